//! `postmeter emulator customerio`: a stand-in for Customer.io's sender.

use std::process::ExitCode;

use anyhow::Context as _;
use connections::Secrets;
use emulator::customerio::{
    Campaign, Content, Event, Next, Outcome, Progress, Report, Sender, SigningKey, read_events,
};
use jiff::Timestamp;
use serde_json::json;

use super::{EXIT_WRONG, block_on, print, print_json, start_logging, talk, until_signal};
use crate::cli::CustomerioArgs;
use crate::secrets::environment;

pub(super) fn run(args: &CustomerioArgs) -> anyhow::Result<ExitCode> {
    start_logging("warn");
    let key = args
        .signing_key
        .read(Secrets::without_kept(&environment))
        .context("cannot read the signing key")?;
    let sender = Sender {
        signing_key: Some(SigningKey::new(key.reveal())),
        in_flight: args.in_flight,
        time_scale: args.time_scale,
        rate: args.rate,
        repeat_percent: args.repeat_percent,
        seed: args.seed,
        ..Sender::new(args.to.clone())
    };
    let events = events(args)?;
    let report = block_on(until_signal(|stop| async move {
        let sent = sender.run_observed(events, stop, tell).await;
        sent.context("cannot start sending")
    }))?;
    if args.json {
        print_json(&as_json(&report))?;
    } else {
        account(&report)?;
    }
    let whole = report.accepted == report.sent;
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_WRONG)
    })
}

fn events(args: &CustomerioArgs) -> anyhow::Result<Box<dyn Iterator<Item = Event>>> {
    if let Some(path) = &args.events {
        let events = read_events(path).context("cannot take events from the file")?;
        return Ok(Box::new(events.into_iter()));
    }
    let mut campaign = Campaign::new(args.seed, Timestamp::now());
    campaign.people = args.people;
    campaign.events = args.count;
    campaign.content = if args.body_content {
        Content::Included
    } else {
        Content::Omitted
    };
    campaign.rate = args.rate.unwrap_or(campaign.rate);
    if !args.channels.is_empty() {
        campaign.channels.clone_from(&args.channels);
    }
    Ok(Box::new(campaign.into_iter()))
}

/// Says what went wrong with an attempt, and what that costs the line.
fn tell(progress: Progress) {
    let Outcome::Failed(failure) = progress.outcome else {
        return;
    };
    let Progress {
        sequence, attempt, ..
    } = progress;
    match progress.next {
        Next::RetryAfter(wait) => talk(format_args!(
            "event {sequence}, attempt {attempt}: {failure}; the line waits for {wait:.0?}"
        )),
        Next::Lost | Next::Done => {
            talk(format_args!(
                "event {sequence}, attempt {attempt}: {failure}; it is given up"
            ));
        }
    }
}

fn account(report: &Report) -> anyhow::Result<()> {
    let Report {
        sent,
        accepted,
        repeats,
        attempts,
        lost,
        unfinished,
        holds,
        ..
    } = report;
    print(format_args!(
        "{accepted} of {sent} events accepted, in {attempts} attempts"
    ))?;
    print(format_args!(
        "{repeats} sent once more, {lost} given up, {unfinished} unfinished"
    ))?;
    print(format_args!("the line was held up {holds} time(s)"))?;
    if *accepted == 0 {
        return Ok(());
    }
    let latency = &report.latency;
    print(format_args!(
        "answers took {:.1?} (p50), {:.1?} (p99), {:.1?} at most",
        latency.p50(),
        latency.p99(),
        latency.max()
    ))
}

fn as_json(report: &Report) -> serde_json::Value {
    let held = report.held.iter().map(|hold| {
        json!({
            "event": hold.sequence,
            "cause": hold.cause.to_string(),
            "attempts": hold.attempts,
            "held_for_s": hold.held_for.as_secs_f64(),
            "end": format!("{:?}", hold.end).to_lowercase(),
        })
    });
    let unanswered = report.unanswered.iter();
    let unanswered: serde_json::Map<String, serde_json::Value> = unanswered
        .map(|(failure, n)| (failure.to_string(), json!(n)))
        .collect();
    json!({
        "sent": report.sent,
        "accepted": report.accepted,
        "repeats": report.repeats,
        "lost": report.lost,
        "unfinished": report.unfinished,
        "attempts": report.attempts,
        "statuses": report.statuses,
        "unanswered": unanswered,
        "holds": report.holds,
        "held": held.collect::<Vec<_>>(),
        "latency_ms": {
            "p50": report.latency.p50().as_secs_f64() * 1_000.0,
            "p99": report.latency.p99().as_secs_f64() * 1_000.0,
            "max": report.latency.max().as_secs_f64() * 1_000.0,
        },
    })
}
