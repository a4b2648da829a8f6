//! `postmeter connections`: which there are, and how they are doing.

use std::process::ExitCode;

use serde_json::Value;

use super::table::{lay_out, text};
use super::{block_on, print, print_json, talk};
use crate::cli::{ConnectionsArgs, ConnectionsCommand};
use crate::client::Client;

pub(super) fn run(args: &ConnectionsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(&args.server)?;
    match &args.command {
        None => list(&block_on(client.get("/api/connections"))?, args)?,
        Some(ConnectionsCommand::Confirm { connection }) => {
            block_on(client.post(&format!("/api/connections/{connection}/confirm")))?;
            talk(format_args!("{connection} is confirmed"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(answer: &Value, args: &ConnectionsArgs) -> anyhow::Result<()> {
    if args.json {
        return print_json(answer);
    }
    for warning in texts(answer, "warnings") {
        talk(format_args!("warning: {warning}"));
    }
    for silent in texts(answer, "unanswered") {
        talk(format_args!("warning: node {silent} does not answer"));
    }
    let connections = answer.get("connections").and_then(Value::as_array);
    let rows: Vec<Vec<String>> = connections.into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        talk("there are no connections yet: write a file and `postmeter apply` it");
        return Ok(());
    }
    let heads = [
        "NAME",
        "WORKSPACE",
        "STATE",
        "LAG",
        "OLDEST",
        "LAST ANSWER",
        "WHY",
    ];
    print(lay_out(&heads, &rows))
}

fn texts<'v>(answer: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    let list = answer.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn row(connection: &Value) -> Vec<String> {
    let oldest = connection
        .get("oldest_unsettled_s")
        .and_then(Value::as_f64)
        .unwrap_or(0.0);
    let attempt = connection.get("last_attempt").unwrap_or(&Value::Null);
    let answer = match text(attempt, "status").as_str() {
        "-" => text(attempt, "failure"),
        status => status.to_owned(),
    };
    vec![
        text(connection, "name"),
        text(connection, "workspace"),
        text(connection, "state"),
        text(connection, "lag_records"),
        if oldest > 0.0 {
            format!("{oldest:.0} s")
        } else {
            "-".to_owned()
        },
        answer,
        text(connection, "reason"),
    ]
}
