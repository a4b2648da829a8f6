//! `postmeter explain`: the whole story of one event, in the words of the console.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::events::{outcome, visible};
use super::table::{lay_out, text};
use super::{EXIT_WRONG, block_on, print, print_json, talk};
use crate::cli::ExplainArgs;
use crate::client::{Client, encoded};

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(&args.server)?;
    block_on(explain(&client, args))
}

/// What stands before a record, so that nobody's id is taken for one.
const RECORD: &str = "record:";

async fn explain(client: &Client, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    if let Some(record) = args.id.strip_prefix(RECORD) {
        tell_one(client, args, record).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = client
        .get(&format!("/api/find?q={}", encoded(&args.id)))
        .await?;
    let rows = found.get("rows").and_then(Value::as_array);
    let rows: Vec<&Value> = rows.into_iter().flatten().collect();
    let is_more = found.get("more").and_then(Value::as_bool) == Some(true);
    match rows.as_slice() {
        [] => {
            if args.json {
                print_json(&json!({ "found": [] }))?;
            }
            talk(format_args!("nothing is known of {:?}", args.id));
            talk(
                "hint: it may be an event id, a delivery id, a message id (pm-...), a person's id or email, or a \
                 record; what retention has removed is gone. Search by other things with: postmeter events --filter",
            );
            return Ok(ExitCode::from(EXIT_WRONG));
        }
        [only] if !is_more => {
            tell_one(client, args, &text(only, "place")).await?;
        }
        several if args.json => {
            print_json(&json!({ "found": several, "more": is_more }))?;
        }
        several => list(&text(&found, "meaning"), (several, is_more))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn tell_one(client: &Client, args: &ExplainArgs, place: &str) -> anyhow::Result<()> {
    let place = encoded(&place.replacen('/', "-", 1));
    let told = client.get(&format!("/api/events/{place}")).await?;
    if args.json {
        print_json(&told)
    } else {
        tell(&told)
    }
}

fn list(meaning: &str, (rows, is_more): (&[&Value], bool)) -> anyhow::Result<()> {
    let line = |row: &&Value| {
        let mut cells: Vec<String> = ["place", "received_at", "name", "person"]
            .iter()
            .map(|key| visible(&text(row, key)))
            .collect();
        cells.push(outcome(row));
        cells
    };
    let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    let heads = ["RECORD", "RECEIVED", "EVENT", "PERSON", "OUTCOME"];
    print(lay_out(&heads, &lines))?;
    let more = if is_more { ", and there are more" } else { "" };
    talk(format_args!(
        "{} events bear this as {meaning}{more}: choose one by its record, as in: postmeter explain {RECORD}{}",
        rows.len(),
        lines
            .first()
            .and_then(|cells| cells.first())
            .map_or("", String::as_str)
    ));
    Ok(())
}

fn tell(told: &Value) -> anyhow::Result<()> {
    let Some(row) = told.get("row") else {
        anyhow::bail!("the server's answer has no event");
    };
    print(visible(&text(row, "name")))?;
    let facts = [
        ("record", text(row, "place")),
        ("workspace", text(row, "workspace")),
        ("person", text(row, "person")),
        ("event id", text(row, "event_id")),
        ("delivery", text(row, "delivery_id")),
        ("happened", text(told, "happened_at")),
        ("received", text(row, "received_at")),
    ];
    for (name, value) in facts {
        if value != "-" {
            print(format_args!("  {name:<10}{}", visible(&value)))?;
        }
    }
    print("")?;
    let steps = told.get("story").and_then(Value::as_array);
    for step in steps.into_iter().flatten() {
        let (at, what, took) = (text(step, "at"), text(step, "what"), text(step, "took"));
        let line = format!("{at:>12}  {}  {took}", visible(&what));
        print(line.trim_end())?;
    }
    let connections = told.get("told").and_then(Value::as_array);
    for one in connections.into_iter().flatten() {
        if let Some(call) = one.get("call").filter(|call| call.is_object()) {
            let name = text(one, "connection");
            print(format_args!(
                "\nthe call for {name}:\n{}",
                text(call, "json")
            ))?;
        }
    }
    print(format_args!("\nthe event:\n{}", text(told, "body")))
}
