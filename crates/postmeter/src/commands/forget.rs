//! `postmeter forget`: erases a person, after showing what there is of them.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::ask::{Yes, agreed};
use super::{block_on, print, print_json, talk};
use crate::cli::ForgetArgs;
use crate::client::Client;

const PATH: &str = "/api/forget";

pub(super) fn run(args: &ForgetArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(&args.server)?;
    let asked = json!({ "person": args.person, "exact": args.exact });
    let with = |dry_run: bool| {
        let mut asked = asked.clone();
        if let Some(asked) = asked.as_object_mut() {
            asked.insert("dry_run".to_owned(), dry_run.into());
        }
        asked
    };
    let preview = block_on(client.post_json(PATH, &with(true)))?;
    if args.dry_run || is_nothing(&preview) {
        return show(&preview, args, "found:");
    }
    if !args.yes {
        talk(told(&preview, "found:"));
        if !agreed("Erase all of it, for good?", Yes::InFull)? {
            talk("nothing was erased");
            return Ok(ExitCode::SUCCESS);
        }
    }
    let done = block_on(client.post_json(PATH, &with(false)))?;
    show(&done, args, "erased:")
}

fn show(answer: &Value, args: &ForgetArgs, head: &str) -> anyhow::Result<ExitCode> {
    if args.json {
        print_json(answer)?;
    } else {
        print(told(answer, head))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn number(answer: &Value, key: &str) -> u64 {
    answer.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn is_nothing(answer: &Value) -> bool {
    number(answer, "records") == 0 && number(answer, "dead_letters") == 0
}

fn told(answer: &Value, head: &str) -> String {
    let identifiers = answer.get("identifiers").and_then(Value::as_array);
    let identifiers: Vec<&str> = identifiers
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut lines = vec![
        format!("known as: {}", identifiers.join(", ")),
        format!(
            "{head} {} record(s), {} dead letter(s)",
            number(answer, "records"),
            number(answer, "dead_letters")
        ),
    ];
    let sent = number(answer, "calls_sent");
    if sent > 0 {
        lines.push(format!(
            "remains: {sent} call(s) had been sent to Segment. Delete them there too, by Segment's \
             own deletion request; and remember backups, and Customer.io itself"
        ));
    }
    lines.join("\n")
}
