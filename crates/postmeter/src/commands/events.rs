//! `postmeter events`: a running server's events, as the debugger lists them.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::table::{lay_out, text};
use super::{block_on, print, print_json, talk, until_signal};
use crate::cli::EventsArgs;
use crate::client::{Client, encoded};

/// Events that one request asks for.
const PAGE: u32 = 200;
/// Between two looks at what came by.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

pub(super) fn run(args: EventsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(&args.server)?;
    block_on(until_signal(|stop| async move {
        let found = newest(&client, &args).await?;
        if args.json {
            print_json(&json!({
                "events": found.rows,
                "examined": found.examined,
                "older": found.older,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        tell(&found)?;
        if args.follow {
            follow(&client, &args, (found.next, &stop)).await?;
        }
        Ok(ExitCode::SUCCESS)
    }))
}

/// What was found from the newest back.
struct Found {
    /// Newest first.
    rows: Vec<Value>,
    examined: u64,
    /// How far back that was.
    reached_at: Option<String>,
    /// Where it would go on; none where there is nothing more that could pass.
    older: Option<String>,
    /// Where what comes by later begins.
    next: String,
}

/// The newest events that pass, in as many looks as that takes.
async fn newest(client: &Client, args: &EventsArgs) -> anyhow::Result<Found> {
    let filter = encoded(&args.only.filter);
    let mut found = Found {
        rows: Vec::new(),
        examined: 0,
        reached_at: None,
        older: None,
        next: String::new(),
    };
    loop {
        let had = u32::try_from(found.rows.len()).unwrap_or(u32::MAX);
        let limit = args.limit.saturating_sub(had).clamp(1, PAGE);
        let mut path = format!("/api/events?filter={filter}&limit={limit}");
        if let Some(older) = &found.older {
            path = format!("{path}&before={older}");
        }
        let watched = client.get(&path).await?;
        let rows = watched.get("rows").and_then(Value::as_array);
        found.rows.extend(rows.into_iter().flatten().cloned());
        found.examined += watched.get("examined").and_then(Value::as_u64).unwrap_or(0);
        let word = |key| watched.get(key).and_then(Value::as_str).map(str::to_owned);
        found.reached_at = word("reached_at").or(found.reached_at);
        found.older = word("older");
        if found.next.is_empty() {
            found.next = word("next").unwrap_or_default();
        }
        if found.older.is_none() || found.rows.len() >= args.limit as usize {
            return Ok(found);
        }
    }
}

/// Prints them, oldest first as a log does, and says how far was looked.
fn tell(found: &Found) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = found.rows.iter().rev().map(line).collect();
    if rows.is_empty() {
        talk("no event is like that");
    } else {
        print(lay_out(&HEADS, &rows))?;
    }
    let reached = found.reached_at.as_deref().unwrap_or("the beginning");
    let more = if found.older.is_some() {
        "; there are older ones: --limit shows more"
    } else {
        ""
    };
    talk(format_args!(
        "{} of {} looked at, back to {reached}{more}",
        rows.len(),
        found.examined
    ));
    Ok(())
}

const HEADS: [&str; 6] = [
    "RECORD", "RECEIVED", "CHANNEL", "EVENT", "PERSON", "OUTCOME",
];

fn line(row: &Value) -> Vec<String> {
    let mut cells: Vec<String> = ["place", "received_at", "channel", "name", "person"]
        .iter()
        .map(|key| visible(&text(row, key)))
        .collect();
    cells.push(outcome(row));
    cells
}

/// A text out of an event on a terminal: nothing in it moves the cursor.
pub(super) fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// What became of it: `accepted`, or by connection where there are several.
pub(super) fn outcome(row: &Value) -> String {
    let word = |value: Option<&Value>| value.map(|value| text(value, "word")).unwrap_or_default();
    let kind = word(row.get("kind"));
    if kind != "event" {
        return kind;
    }
    let ends = row.get("ends").and_then(Value::as_array);
    let ends: Vec<&Value> = ends.into_iter().flatten().collect();
    let many = ends.len() > 1;
    let each = ends.iter().map(|end| {
        let word = word(end.get("outcome"));
        if many {
            format!("{}: {word}", text(end, "connection"))
        } else {
            word
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Prints what comes by until `stop`. What came faster than it was looked at is said.
async fn follow(
    client: &Client,
    args: &EventsArgs,
    (mut after, stop): (String, &CancellationToken),
) -> anyhow::Result<()> {
    let filter = encoded(&args.only.filter);
    while !stop.is_cancelled() {
        let path = format!("/api/events?filter={filter}&limit={PAGE}&after={after}");
        let Some(watched) = stop.run_until_cancelled(client.get(&path)).await else {
            break;
        };
        let watched = watched?;
        after = text(&watched, "next");
        let rows = watched.get("rows").and_then(Value::as_array);
        for row in rows.into_iter().flatten().rev() {
            print(line(row).join("  "))?;
        }
        let count = |key| watched.get(key).and_then(Value::as_u64).unwrap_or(0);
        if count("examined") < count("passed") {
            let (examined, passed) = (count("examined"), count("passed"));
            talk(format_args!(
                "{passed} came by, {examined} of them looked at"
            ));
        }
        stop.run_until_cancelled(tokio::time::sleep(LOOK_PAUSE))
            .await;
    }
    Ok(())
}
