//! `postmeter dead-letters`: what could never be delivered, and why; once more, and
//! for good.

mod act;

use std::process::ExitCode;

use serde_json::{Value, json};

use super::events::visible;
use super::table::{lay_out, text};
use super::{block_on, print, print_json, talk};
use crate::cli::{DeadLettersArgs, DeadLettersCommand, ListArgs};
use crate::client::{Client, encoded};

pub(super) fn run(args: DeadLettersArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        DeadLettersCommand::List(args) => {
            let client = Client::find(&args.server)?;
            block_on(list(&client, &args))?;
        }
        DeadLettersCommand::Show { id, json, server } => {
            let answer = block_on(Client::find(&server)?.get(&format!("/api/dead-letters/{id}")))?;
            if json {
                print_json(&answer)?;
            } else {
                show(&answer)?;
            }
        }
        DeadLettersCommand::Retry(args) => return act::run(&act::RETRY, &args),
        DeadLettersCommand::Discard(args) => return act::run(&act::DISCARD, &args),
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, args: &ListArgs) -> anyhow::Result<()> {
    let mut filter = args.only.filter.clone();
    if let Some(name) = &args.connection {
        filter = format!("{filter} connection:\"{name}\"");
    }
    let limit = args.limit as usize;
    let (mut letters, mut after, mut total) = (Vec::new(), args.after, json!(0));
    loop {
        let mut path = format!("/api/dead-letters?filter={}", encoded(filter.trim()));
        path = format!("{path}&limit={}", limit - letters.len());
        if let Some(after) = after {
            path = format!("{path}&after={after}");
        }
        let answer = client.get(&path).await?;
        letters.extend(rows_of(&answer).cloned());
        total = answer.get("total").cloned().unwrap_or(total);
        after = answer.get("older").and_then(Value::as_u64);
        if after.is_none() || letters.len() >= limit {
            break;
        }
    }
    if args.json {
        return print_json(&json!({ "dead_letters": letters, "total": total, "older": after }));
    }
    tell(&letters, &total)
}

fn rows_of(answer: &Value) -> impl Iterator<Item = &Value> {
    let letters = answer.get("dead_letters").and_then(Value::as_array);
    letters.into_iter().flatten()
}

fn tell(letters: &[Value], total: &Value) -> anyhow::Result<()> {
    let keys = ["id", "record", "connection", "buried_at", "event", "reason"];
    let row = |letter: &Value| keys.iter().map(|key| visible(&text(letter, key))).collect();
    let rows: Vec<Vec<String>> = letters.iter().map(row).collect();
    if rows.is_empty() && *total == json!(0) {
        talk("there are no dead letters");
        return Ok(());
    }
    if rows.is_empty() {
        talk(format_args!(
            "none of the {total} dead letters is like that"
        ));
        return Ok(());
    }
    let heads = ["ID", "RECORD", "CONNECTION", "BURIED", "EVENT", "REASON"];
    print(lay_out(&heads, &rows))?;
    talk(format_args!("{} of {total}", rows.len()));
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
