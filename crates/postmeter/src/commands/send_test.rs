//! `postmeter send-test`: one event through a connection, and what to look for.

use std::process::ExitCode;

use serde_json::Value;

use super::table::text;
use super::{EXIT_WRONG, block_on, print, print_json, talk};
use crate::cli::SendTestArgs;
use crate::client::Client;

pub(super) fn run(args: &SendTestArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(&args.server)?;
    let name = &args.connection;
    let answer = block_on(client.post(&format!("/api/connections/{name}/test")))?;
    let accepted = answer
        .get("accepted")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if args.json {
        print_json(&answer)?;
    } else if accepted {
        tell_accepted(&answer, name)?;
    } else {
        tell_refused(&answer)?;
    }
    Ok(if accepted {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_WRONG)
    })
}

fn tell_accepted(answer: &Value, name: &str) -> anyhow::Result<()> {
    tell_sent(answer)?;
    print(format_args!("Segment answered {}", said(answer)))?;
    talk(format_args!(
        "Segment answers so even to a wrong write key. Look for \"{}\" in the source's\n\
         debugger; when it is there: postmeter connections confirm {name}",
        text(answer, "event")
    ));
    Ok(())
}

fn tell_refused(answer: &Value) -> anyhow::Result<()> {
    tell_sent(answer)?;
    let attempt = answer.get("attempt").unwrap_or(&Value::Null);
    if attempt
        .get("status")
        .is_some_and(|status| !status.is_null())
    {
        print(format_args!("refused: Segment answered {}", said(answer)))
    } else {
        print(format_args!("not delivered: {}", text(attempt, "failure")))
    }
}

fn tell_sent(answer: &Value) -> anyhow::Result<()> {
    print(format_args!(
        "sent \"{}\" as {}",
        text(answer, "event"),
        text(answer, "message_id")
    ))
}

/// Status and body of the answer, on one line.
fn said(answer: &Value) -> String {
    let attempt = answer.get("attempt").unwrap_or(&Value::Null);
    format!(
        "{} {}",
        text(attempt, "status"),
        text(attempt, "answer").trim()
    )
}
