//! `postmeter nodes`: who shares the journal, what each does, and what all counted.

use std::process::ExitCode;

use serde_json::Value;

use super::table::{lay_out, text};
use super::{block_on, print, print_json, talk};
use crate::cli::NodesArgs;
use crate::client::Client;

pub(super) fn run(args: &NodesArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(&args.server)?;
    let answer = block_on(client.get("/api/nodes"))?;
    if args.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let heads = ["NODE", "VERSION", "HEALTH", "INDEXES", "FEEDS", "WHY"];
    let rows: Vec<_> = list(&answer, "nodes").map(row).collect();
    print(lay_out(&heads, &rows))?;
    for (what, count) in counts(answer.get("total").unwrap_or(&Value::Null)) {
        print(format_args!("{count:>12}  {what}"))?;
    }
    let durability = answer.get("durability").unwrap_or(&Value::Null);
    for loss in ["findings", "accepted"]
        .iter()
        .flat_map(|key| list(durability, key))
    {
        talk(format_args!(
            "warning: {}",
            loss.as_str().unwrap_or_default()
        ));
    }
    for silent in list(&answer, "unanswered").filter_map(Value::as_str) {
        talk(format_args!("warning: node {silent} does not answer"));
    }
    for node in list(&answer, "nodes") {
        for warning in list(node, "warnings").filter_map(Value::as_str) {
            talk(format_args!("warning: {}: {warning}", text(node, "name")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn row(node: &Value) -> Vec<String> {
    let feeds = node.get("feeds").and_then(Value::as_object);
    let feeds: Vec<String> = feeds
        .into_iter()
        .flatten()
        .map(|(connection, partitions)| format!("{connection} {}", numbers(partitions)))
        .collect();
    vec![
        text(node, "name"),
        text(node, "version"),
        text(node, "health"),
        numbers(node.get("indexes").unwrap_or(&Value::Null)),
        if feeds.is_empty() {
            "-".to_owned()
        } else {
            feeds.join("; ")
        },
        text(node, "reason"),
    ]
}

fn numbers(list: &Value) -> String {
    let numbers = list.as_array().into_iter().flatten();
    let numbers: Vec<String> = numbers.map(ToString::to_string).collect();
    if numbers.is_empty() {
        "-".to_owned()
    } else {
        numbers.join(",")
    }
}

/// Each count that all nodes have together, with what it counts.
fn counts(total: &Value) -> Vec<(String, u64)> {
    let each = |value: &Value, head: &str| -> Vec<(String, u64)> {
        let counts = value.as_object().into_iter().flatten();
        counts
            .filter_map(|(what, count)| Some((format!("{head}{what}"), count.as_u64()?)))
            .collect()
    };
    let mut counts = total
        .get("received")
        .map_or_else(Vec::new, |it| each(it, "requests, answered "));
    let duplicates = total.get("duplicates").and_then(Value::as_u64);
    counts.extend(duplicates.map(|count| ("events that had come before".to_owned(), count)));
    let connections = total.get("ended").and_then(Value::as_object);
    for (connection, ends) in connections.into_iter().flatten() {
        counts.extend(each(ends, &format!("records of {connection}, ")));
    }
    counts
}
