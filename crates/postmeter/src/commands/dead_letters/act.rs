//! Retrying and discarding: says what it is about to touch, asks, and goes on in
//! steps until all of it is done.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::cli::ActionArgs;
use crate::client::Client;
use crate::commands::ask::{Yes, agreed};
use crate::commands::events::visible;
use crate::commands::table::text;
use crate::commands::{EXIT_WRONG, block_on, print, print_json, talk};

/// What is done to dead letters.
pub(super) struct Act {
    path: &'static str,
    /// `Retry 12 dead letters?`
    verb: &'static str,
    /// What its answers count, with how that is said.
    counts: &'static [(&'static str, &'static str)],
    /// Whether it sends calls, so that it matters what is in them.
    sends: Sends,
}

#[derive(PartialEq, Eq)]
enum Sends {
    Calls,
    Nothing,
}

pub(super) const RETRY: Act = Act {
    path: "/api/dead-letters/retry",
    verb: "Retry",
    counts: &[
        ("accepted", "accepted by Segment"),
        ("refused", "refused again"),
        ("skipped", "not to be sent with the options of now"),
        ("left", "left"),
    ],
    sends: Sends::Calls,
};

pub(super) const DISCARD: Act = Act {
    path: "/api/dead-letters/discard",
    verb: "Discard",
    counts: &[("discarded", "gone for good")],
    sends: Sends::Nothing,
};

pub(super) fn run(act: &Act, args: &ActionArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(&args.server)?;
    block_on(go(act, args, &client))
}

async fn go(act: &Act, args: &ActionArgs, client: &Client) -> anyhow::Result<ExitCode> {
    let mut body = which(args);
    let foreseen = foresee(client, &body).await?;
    let count = number(&foreseen, "count");
    if args.dry_run && args.json {
        print_json(&foreseen)?;
        return Ok(ExitCode::SUCCESS);
    }
    if count == 0 {
        talk("no dead letter is like that");
        return Ok(ExitCode::SUCCESS);
    }
    tell(act, &foreseen);
    if args.dry_run {
        list(client, &body).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let letters = if count == 1 { "letter" } else { "letters" };
    let question = format!("{} {count} dead {letters}?", act.verb);
    if !args.yes && !agreed(&question, Yes::Short)? {
        talk("nothing was done");
        return Ok(ExitCode::SUCCESS);
    }
    // What is buried from now on was not asked about.
    body.insert("below".to_owned(), json!(number(&foreseen, "below")));
    let done = steps(act, client, body).await?;
    report(act, args, &done)
}

/// The letters that are meant, as the API takes it.
fn which(args: &ActionArgs) -> Map<String, Value> {
    let (key, value) = match &args.filter {
        Some(filter) => ("filter", json!(filter)),
        None if args.all => ("all", json!(true)),
        None => ("ids", json!(args.ids)),
    };
    Map::from_iter([(key.to_owned(), value)])
}

/// What is about to be touched, all of it: in as many looks as that takes.
async fn foresee(client: &Client, body: &Map<String, Value>) -> anyhow::Result<Value> {
    let mut body = body.clone();
    let mut whole: Option<Value> = None;
    loop {
        let part = client.post_json("/api/dead-letters/preview", &body).await?;
        let next = part.get("next").and_then(Value::as_u64);
        let mut sum = whole.take().unwrap_or_else(|| part.clone());
        if body.contains_key("below") {
            for key in ["count", "examined", "same", "differ", "fresh"] {
                let added = number(&sum, key) + number(&part, key);
                if let Some(place) = sum.get_mut(key) {
                    *place = json!(added);
                }
            }
            if number(&sum, "below") == 0
                && let Some(place) = sum.get_mut("below")
            {
                *place = json!(number(&part, "below"));
            }
        }
        let Some(next) = next else { return Ok(sum) };
        body.insert("below".to_owned(), json!(next));
        whole = Some(sum);
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// Says what would be touched, and what a retry would change.
fn tell(act: &Act, foreseen: &Value) {
    talk(format_args!(
        "{} dead letters are meant",
        number(foreseen, "count")
    ));
    if act.sends == Sends::Nothing {
        return;
    }
    for (key, said) in [
        ("same", "go as they were refused"),
        ("differ", "differ from what was refused"),
        ("fresh", "become calls that they were not before"),
    ] {
        match number(foreseen, key) {
            0 => {}
            n => talk(format_args!("  {n} {said}")),
        }
    }
    let reasons = foreseen.get("unsendable").and_then(Value::as_array);
    for pair in reasons.into_iter().flatten() {
        let (why, n) = (pair.get(0).and_then(Value::as_str), pair.get(1));
        if let (Some(why), Some(n)) = (why, n) {
            talk(format_args!("  {n} stay: {}", visible(why)));
        }
    }
    let samples = foreseen.get("samples").and_then(Value::as_array);
    for sample in samples.into_iter().flatten() {
        let differences = sample.get("differences").and_then(Value::as_array);
        for each in differences.into_iter().flatten() {
            talk(format_args!(
                "  {}: {} {} -> {}",
                text(sample, "id"),
                text(each, "field"),
                visible(&text(each, "before")),
                visible(&text(each, "now"))
            ));
        }
    }
}

/// Lists those that are meant, as far as one list goes.
async fn list(client: &Client, body: &Map<String, Value>) -> anyhow::Result<()> {
    if let Some(ids) = body.get("ids").and_then(Value::as_array) {
        return ids.iter().try_for_each(print);
    }
    let filter = body
        .get("filter")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let filter = crate::client::encoded(filter);
    let mut after = String::new();
    loop {
        let path = format!("/api/dead-letters?filter={filter}&limit=1000{after}");
        let answer = client.get(&path).await?;
        for letter in super::rows_of(&answer) {
            let cells = ["id", "connection", "event", "reason"];
            let cells = cells.map(|key| visible(&text(letter, key)));
            print(cells.join("  "))?;
        }
        match answer.get("older").and_then(Value::as_u64) {
            Some(older) => after = format!("&after={older}"),
            None => return Ok(()),
        }
    }
}

/// Goes on until all is done, or until nothing moves.
async fn steps(act: &Act, client: &Client, mut body: Map<String, Value>) -> anyhow::Result<Value> {
    let mut sums: Map<String, Value> = Map::new();
    loop {
        let part = client.post_json(act.path, &body).await.context(
            "a step failed; what was done before it stays done, and the same command goes on",
        )?;
        for (key, _) in act.counts {
            let sum = sums.get(*key).and_then(Value::as_u64).unwrap_or(0);
            sums.insert((*key).to_owned(), json!(sum + number(&part, key)));
        }
        sums.insert(
            "note".to_owned(),
            part.get("note").cloned().unwrap_or_default(),
        );
        let moved = ["accepted", "refused", "skipped", "discarded"];
        let is_stuck = number(&part, "left") > 0 && moved.iter().all(|key| number(&part, key) == 0);
        match part.get("next").and_then(Value::as_u64) {
            Some(next) if !is_stuck => {
                talk(format_args!("{} so far", said(act, &sums)));
                body.insert("below".to_owned(), json!(next));
            }
            _ => return Ok(Value::Object(sums)),
        }
    }
}

fn said(act: &Act, sums: &Map<String, Value>) -> String {
    let each = act.counts.iter().filter_map(|(key, said)| {
        let n = sums.get(*key).and_then(Value::as_u64).filter(|n| *n > 0)?;
        Some(format!("{n} {said}"))
    });
    let said = each.collect::<Vec<_>>().join(", ");
    if said.is_empty() {
        "nothing was left to do".to_owned()
    } else {
        said
    }
}

fn report(act: &Act, args: &ActionArgs, done: &Value) -> anyhow::Result<ExitCode> {
    if args.json {
        print_json(done)?;
    } else {
        let empty = Map::new();
        print(said(act, done.as_object().unwrap_or(&empty)))?;
        if let Some(note) = done.get("note").and_then(Value::as_str) {
            talk(format_args!("the last word: {}", visible(note)));
        }
    }
    let remain = ["refused", "skipped", "left"];
    let is_clean = remain.iter().all(|key| number(done, key) == 0);
    Ok(if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_WRONG)
    })
}
