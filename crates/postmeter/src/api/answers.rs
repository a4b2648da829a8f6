//! The JSON of the API.

use console::seen::{Explained, LetterSeen, LineState, Preview};
use dispatch::{Attempt, AttemptResult};
use jiff::Timestamp;
use journal::durability::Finding;
use journal::{Durability, Health, Place};
use serde_json::{Value, json};

use crate::carry::FORMER;
use crate::nodes::{Gathered, Holder, Member, NodeReport, Status};
use crate::observe::Counts;
use crate::trial::Tested;

/// A connection and how it is doing; `unanswered` are the nodes that did not say.
pub(super) fn status(status: &Status, unanswered: &[String]) -> Value {
    let connection = &status.connection;
    let (state, reason) = status.state(unanswered);
    json!({
        "name": connection.name.as_str(),
        "id": connection.id.as_str(),
        "label": connection.label,
        "workspace": connection.workspace.as_str(),
        "endpoint": connection.target.endpoint().to_string(),
        "enabled": connection.enabled,
        "paused": connection.paused,
        "payload_version": connection.options.payload_version.to_string(),
        "state": word(state),
        "reason": reason,
        "confirmed_at": status.confirmed_at.map(time),
        "lag_records": status.lag.records,
        "oldest_unsettled_s": status.lag.oldest.as_secs_f64(),
        "partitions": status.holders.iter().map(holder).collect::<Vec<_>>(),
        "last_attempt": status.attempts.first(),
        "attempts": status.attempts,
    })
}

fn holder(holder: &Holder) -> Value {
    json!({ "partition": holder.partition, "node": holder.node })
}

/// A state in a word.
fn word(state: LineState) -> &'static str {
    match state {
        LineState::UpToDate => "up to date",
        LineState::CatchingUp => "catching up",
        LineState::Waiting => "waiting",
        LineState::Unconfirmed => "unconfirmed",
        LineState::Paused => "paused",
        LineState::Disabled => "disabled",
        LineState::Starting => "starting",
        LineState::Unknown => "unknown",
    }
}

/// Every node and what it does, with the sum of what all have counted.
/// With a cluster behind the journal, also what is known of its durability: what
/// the operator has accepted is shown for ever.
pub(super) fn nodes(gathered: &Gathered<NodeReport>, durability: Option<&Durability>) -> Value {
    let mut total = Counts::default();
    for (_, report) in &gathered.answers {
        total.add(&report.counts);
    }
    let answers = gathered.answers.iter();
    let nodes: Vec<_> = answers
        .map(|(member, report)| node(member, report))
        .collect();
    json!({
        "nodes": nodes,
        "unanswered": gathered.unanswered,
        "total": total,
        "durability": durability.map(self::durability),
    })
}

fn durability(known: &Durability) -> Value {
    let sentences = |findings: &[Finding]| -> Vec<String> {
        let said = |each: &Finding| format!("{}: {} ({})", each.about, each.what, each.loss);
        findings.iter().map(said).collect()
    };
    json!({
        "durable": known.judgement.is_durable(),
        "findings": sentences(&known.judgement.refused),
        "accepted": sentences(&known.judgement.accepted),
        "away": known.judgement.away,
        "checked_at": time(known.checked_at),
    })
}

fn node(member: &Member, report: &NodeReport) -> Value {
    json!({
        "id": member.id,
        "name": member.name,
        "version": member.version,
        "this": member.is_this,
        "health": report.health,
        "reason": report.reason,
        "warnings": report.warnings,
        "indexes": report.indexes,
        "feeds": report.feeds,
        "counts": report.counts,
    })
}

/// A journal's health in a word, and what it means for events.
pub(crate) fn health(health: &Health) -> (&'static str, Option<String>) {
    match health {
        Health::Healthy => ("healthy", None),
        Health::Full => {
            let why = "the journal is full: events are answered 503";
            ("full", Some(why.to_owned()))
        }
        Health::NoSpace {
            free_bytes,
            needed_bytes,
        } => {
            let (free, needed) = (free_bytes >> 20, needed_bytes.div_ceil(1 << 20));
            let why = format!(
                "too little of the journal's disk is free: {free} MiB, and events are answered \
                 503 until {needed} MiB are"
            );
            ("no space", Some(why))
        }
        Health::Failing { cause } => (
            "failing",
            Some(format!("the journal cannot be written: {cause}")),
        ),
        Health::Unproven { cause } => {
            let why = format!("it is not proven that the NATS servers keep events: {cause}");
            ("unproven", Some(why))
        }
        Health::Poisoned { cause } => {
            let why = format!("the journal is broken: {cause}; restart to recover");
            ("poisoned", Some(why))
        }
    }
}

/// An attempt. Its time is written so that texts sort as times do.
pub(crate) fn attempt(attempt: &Attempt) -> Value {
    let (status, answer, failure) = match &attempt.result {
        AttemptResult::Answered { status, body } => (Some(status), Some(body), None),
        AttemptResult::Failed { cause } => (None, None, Some(cause)),
    };
    json!({
        "at": time(attempt.at),
        "calls": attempt.calls,
        "status": status,
        "answer": answer,
        "failure": failure,
        "duration_ms": attempt.duration.as_secs_f64() * 1_000.0,
        "body_bytes": attempt.body_bytes,
        "sent_bytes": attempt.sent_bytes,
    })
}

/// RFC 3339 in UTC, to the millisecond.
fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// What became of a test event.
pub(super) fn tested(tested: &Tested) -> Value {
    json!({
        "event": tested.event_name,
        "message_id": tested.message_id,
        "accepted": tested.accepted,
        "attempt": tested.attempt.as_ref().map(attempt),
    })
}

/// A record's name, of a letter that may have been carried over.
pub(crate) fn record_name(place: Place) -> String {
    match place.partition {
        FORMER => format!("{} of the former journal", place.seq),
        _ => place.to_string(),
    }
}

/// A dead letter in a list.
pub(super) fn dead_letter_line(letter: &LetterSeen) -> Value {
    json!({
        "id": letter.id,
        "record": letter.record,
        "workspace": letter.workspace,
        "connection": letter.connection,
        "buried_at": time(letter.buried_at),
        "event": letter.event,
        "reason": letter.reason,
        "status": letter.answer.as_ref().map(|(status, _)| status),
    })
}

/// A dead letter whole.
pub(super) fn dead_letter(letter: &LetterSeen) -> Value {
    let mut whole = dead_letter_line(letter);
    if let Some(whole) = whole.as_object_mut() {
        let answer = letter.answer.as_ref().map(|(_, body)| body);
        whole.insert("body".to_owned(), json!(letter.body));
        whole.insert("call".to_owned(), json!(letter.call));
        whole.insert("answer".to_owned(), json!(answer));
    }
    whole
}

/// Everything about an event, and the same told as people read it.
pub(super) fn explained(explained: &Explained) -> Value {
    let mut whole = json!(explained);
    if let Some(whole) = whole.as_object_mut() {
        whole.insert("story".to_owned(), json!(console::tell(explained)));
    }
    whole
}

/// An event as a connection would send it.
pub(super) fn preview(preview: &Preview) -> Value {
    let (call, reason) = match &preview.call {
        Ok(call) => (Some(call), None),
        Err(reason) => (None, Some(reason)),
    };
    json!({ "row": preview.row, "body": preview.body, "call": call, "reason": reason })
}
