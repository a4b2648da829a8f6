//! `postmeter dead-letters`: what could never be delivered, and why.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::table::{lay_out, text};
use super::{block_on, print, print_json, talk};
use crate::cli::{DeadLettersArgs, DeadLettersCommand};
use crate::client::Client;

pub(super) fn run(args: DeadLettersArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        DeadLettersCommand::List {
            connection,
            after,
            limit,
            json,
            server,
        } => {
            let mut path = format!("/api/dead-letters?limit={limit}");
            for (key, value) in [("connection", connection), ("after", after)] {
                if let Some(value) = value {
                    write!(path, "&{key}={value}").context("cannot write a path")?;
                }
            }
            let answer = block_on(Client::find(&server)?.get(&path))?;
            if json {
                print_json(&answer)?;
            } else {
                list(&answer)?;
            }
        }
        DeadLettersCommand::Show { id, json, server } => {
            let answer = block_on(Client::find(&server)?.get(&format!("/api/dead-letters/{id}")))?;
            if json {
                print_json(&answer)?;
            } else {
                show(&answer)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(answer: &Value) -> anyhow::Result<()> {
    let letters = answer.get("dead_letters").and_then(Value::as_array);
    let keys = ["id", "record", "connection", "buried_at", "event", "reason"];
    let row = |letter: &Value| keys.iter().map(|key| text(letter, key)).collect();
    let rows: Vec<Vec<String>> = letters.into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        talk("there are no dead letters");
        return Ok(());
    }
    let heads = ["ID", "RECORD", "CONNECTION", "BURIED", "EVENT", "REASON"];
    print(lay_out(&heads, &rows))?;
    talk(format_args!("{} of {}", rows.len(), text(answer, "total")));
    Ok(())
}

fn show(letter: &Value) -> anyhow::Result<()> {
    let facts = [
        "id",
        "record",
        "workspace",
        "connection",
        "buried_at",
        "event",
        "reason",
        "status",
    ];
    for key in facts {
        print(format_args!("{key:<11}{}", text(letter, key)))?;
    }
    for (key, head) in [
        ("answer", "Segment answered"),
        ("call", "the call"),
        ("body", "the event"),
    ] {
        if let Some(whole) = letter.get(key).and_then(Value::as_str) {
            print(format_args!("\n{head}:\n{whole}"))?;
        }
    }
    Ok(())
}
