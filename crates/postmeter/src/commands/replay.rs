//! `postmeter replay`: sends again what the journal has, and looks after that.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{Yes, agreed};
use super::table::{lay_out, text};
use super::{EXIT_WRONG, block_on, print, print_json, talk};
use crate::cli::{NewReplay, ReplayArgs, ReplayCommand, SteeredReplay};
use crate::client::Client;

/// How often `--wait` looks.
const LOOK: Duration = Duration::from_millis(500);
/// Characters of the bar.
const BAR: u64 = 30;

/// What is counted of the records that were not sent, and what that is called.
const SKIPPED: [(&str, &str); 7] = [
    ("not_asked", "not meant"),
    ("not_settled", "not sent by the connection itself yet"),
    ("duplicates", "repeats of an event"),
    ("not_first", "not the first occurrence"),
    ("left_out", "left out by the connection's options"),
    ("unusable", "no call can be made of them"),
    ("gone", "damaged, erased, or not kept any more"),
];

pub(super) fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ReplayCommand::Start(new) => start(&new),
        ReplayCommand::List { json, server } => {
            let answer = block_on(Client::find(&server)?.get("/api/replays"))?;
            if json {
                print_json(&answer)?;
            } else {
                list(&answer)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ReplayCommand::Show(which) => {
            let client = Client::find(&which.server)?;
            let replay = block_on(client.get(&format!("/api/replays/{}", which.number)))?;
            told(&replay, which.json.into())
        }
        ReplayCommand::Pause(which) => steer(&which, "pause"),
        ReplayCommand::Resume(which) => steer(&which, "resume"),
        ReplayCommand::Cancel(which) => steer(&which, "cancel"),
    }
}

fn steer(which: &SteeredReplay, how: &str) -> anyhow::Result<ExitCode> {
    let client = Client::find(&which.server)?;
    let path = format!("/api/replays/{}/{how}", which.number);
    told(&block_on(client.post(&path))?, which.json.into())
}

/// For whom something is printed.
#[derive(Clone, Copy)]
enum As {
    Json,
    Text,
}

/// For a program where `--json` was written.
impl From<bool> for As {
    fn from(json: bool) -> As {
        if json { As::Json } else { As::Text }
    }
}

fn told(replay: &Value, how: As) -> anyhow::Result<ExitCode> {
    match how {
        As::Json => print_json(replay)?,
        As::Text => show(replay)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start(new: &NewReplay) -> anyhow::Result<ExitCode> {
    let client = Client::find(&new.server)?;
    let body = json!({
        "connection": new.connection,
        "filter": new.filter,
        "since": new.since,
        "until": new.until,
        "rate_per_s": new.rate,
    });
    if new.dry_run || !new.yes {
        let preview = block_on(client.post_json("/api/replays/preview", &body))?;
        if new.dry_run && new.json {
            print_json(&preview)?;
        } else {
            for line in foretold(&preview) {
                if new.dry_run {
                    print(line)?;
                } else {
                    talk(line);
                }
            }
        }
        if new.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        if !agreed("Begin?", Yes::Short)? {
            talk("nothing was sent");
            return Ok(ExitCode::SUCCESS);
        }
    }
    let mut replay = block_on(client.post_json("/api/replays", &body))?;
    let number = text(&replay, "number");
    talk(format_args!("replay {number} has begun"));
    if new.wait {
        replay = block_on(wait(&client, &number))?;
    }
    told(&replay, new.json.into())?;
    let is_well = !new.wait || text(&replay, "state") == "done";
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_WRONG)
    })
}

/// Waits until the replay is over, with a bar where somebody sees it.
async fn wait(client: &Client, number: &str) -> anyhow::Result<Value> {
    let is_seen = io::stderr().is_terminal();
    loop {
        let replay = client.get(&format!("/api/replays/{number}")).await?;
        if is_seen {
            drop(write!(io::stderr(), "\r\u{1b}[K{}", bar(&replay)));
        }
        if matches!(
            text(&replay, "state").as_str(),
            "done" | "cancelled" | "failed"
        ) {
            if is_seen {
                talk("");
            }
            return Ok(replay);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn bar(replay: &Value) -> String {
    let (examined, records) = (number(replay, "examined"), number(replay, "records"));
    let full = (examined * BAR).checked_div(records).unwrap_or(BAR);
    let filled: String = (0..BAR).map(|n| if n < full { '#' } else { '.' }).collect();
    let accepted = replay
        .get("counts")
        .map_or(0, |counts| number(counts, "accepted"));
    let mut line = format!("[{filled}] {examined} of {records} records, {accepted} calls accepted");
    let state = text(replay, "state");
    if state != "running" {
        line = format!("{line}, {state}");
    }
    match text(replay, "reason").as_str() {
        "-" => line,
        reason => format!("{line}, {reason}"),
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// What a replay would do, line by line.
fn foretold(preview: &Value) -> Vec<String> {
    let mut lines = vec![headline(preview)];
    lines.extend(skipped(preview.get("counts").unwrap_or(&Value::Null)));
    let samples = preview.get("samples").and_then(Value::as_array);
    for sample in samples.into_iter().flatten() {
        lines.extend(sampled(sample));
    }
    let warnings = preview.get("warnings").and_then(Value::as_array);
    let warnings = warnings.into_iter().flatten().filter_map(Value::as_str);
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines
}

fn headline(preview: &Value) -> String {
    let (calls, about) = (number(preview, "calls"), number(preview, "calls_about"));
    let connection = text(preview, "connection");
    let rate = number(preview, "rate_per_s");
    let takes = span(number(preview, "takes_s"));
    let (examined, records) = (number(preview, "examined"), number(preview, "records"));
    if preview.get("complete") == Some(&Value::Bool(true)) {
        let noun = if calls == 1 { "call" } else { "calls" };
        return format!(
            "{calls} {noun} would be sent through {connection}, of {records} records: {takes} at \
             {rate} calls/s"
        );
    }
    format!(
        "at least {calls} calls would be sent through {connection}, about {about} in all: {takes} \
         at {rate} calls/s ({examined} of {records} records were looked at)"
    )
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

fn skipped(counts: &Value) -> Vec<String> {
    let found = SKIPPED
        .iter()
        .map(|(key, words)| (number(counts, key), words));
    let some = found.filter(|(n, _)| *n > 0);
    some.map(|(n, words)| format!("  {n:>9}  {words}"))
        .collect()
}

fn sampled(sample: &Value) -> Vec<String> {
    let (row, call) = (sample.get("row"), sample.get("call"));
    let of = |value: Option<&Value>, key| value.map_or_else(String::new, |value| text(value, key));
    let mut lines = vec![format!(
        "sample: record {}, {}, {}",
        of(row, "place"),
        of(call, "event"),
        of(call, "message_id")
    )];
    if sample.get("sent_before") != Some(&Value::Bool(true)) {
        lines.push("  was not sent before".to_owned());
        return lines;
    }
    let differences = sample.get("differences").and_then(Value::as_array);
    let differences: Vec<&Value> = differences.into_iter().flatten().collect();
    if differences.is_empty() {
        lines.push("  as it was sent before".to_owned());
    }
    for each in differences {
        let (field, before, now) = (text(each, "field"), text(each, "before"), text(each, "now"));
        lines.push(format!("  {field}: {before} -> {now}"));
    }
    lines
}

fn list(answer: &Value) -> anyhow::Result<()> {
    let replays = answer.get("replays").and_then(Value::as_array);
    let rows: Vec<Vec<String>> = replays.into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        talk("there are no replays");
        return Ok(());
    }
    let heads = [
        "REPLAY",
        "CONNECTION",
        "STATE",
        "RECORDS",
        "ACCEPTED",
        "REFUSED",
        "FILTER",
        "WHY",
    ];
    print(lay_out(&heads, &rows))
}

fn row(replay: &Value) -> Vec<String> {
    let counts = replay.get("counts").unwrap_or(&Value::Null);
    vec![
        text(replay, "number"),
        text(replay, "connection"),
        text(replay, "state"),
        format!(
            "{} of {}",
            number(replay, "examined"),
            number(replay, "records")
        ),
        text(counts, "accepted"),
        text(counts, "refused"),
        text(replay, "filter"),
        text(replay, "reason"),
    ]
}

fn show(replay: &Value) -> anyhow::Result<()> {
    let facts = [
        "number",
        "connection",
        "filter",
        "rate_per_s",
        "asked_at",
        "state",
        "reason",
        "ended_at",
        "records",
        "examined",
        "first_record",
        "last_record",
        "worked_s",
    ];
    for key in facts {
        print(format_args!("{key:<13}{}", text(replay, key)))?;
    }
    let counts = replay.get("counts").unwrap_or(&Value::Null);
    for key in ["sent", "accepted", "refused"] {
        print(format_args!("{key:<13}{}", number(counts, key)))?;
    }
    for line in skipped(counts) {
        print(line)?;
    }
    let notes = replay.get("notes").and_then(Value::as_array);
    for note in notes.into_iter().flatten().filter_map(Value::as_str) {
        print(format_args!("note: {note}"))?;
    }
    Ok(())
}
