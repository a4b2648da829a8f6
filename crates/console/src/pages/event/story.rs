//! What happened to an event, step by step, with times.

use jiff::Timestamp;
use serde::Serialize;

use super::address::event_path;
use crate::seen::{AttemptSeen, Came, Explained, Outcome, RowKind, Told};
use crate::words;

/// How much of an answer a step shows.
const MAX_ANSWER_CHARS: usize = 160;

/// One thing that happened.
pub(crate) struct Step {
    /// The time of day, or how long after the receipt; empty where nobody noted it.
    pub(crate) at: String,
    pub(crate) pieces: Vec<Piece>,
    /// How long it took.
    pub(crate) took: String,
}

/// A piece of what is said about it.
pub(crate) enum Piece {
    /// Our words.
    Text(String),
    /// Somebody else's.
    Foreign(String),
    /// Leads to `href`.
    Link { href: String, text: String },
    /// A state in a word.
    State {
        class: &'static str,
        word: &'static str,
    },
}

fn text(text: impl Into<String>) -> Piece {
    Piece::Text(text.into())
}

fn link(href: impl Into<String>, text: impl Into<String>) -> Piece {
    Piece::Link {
        href: href.into(),
        text: text.into(),
    }
}

fn untimed(pieces: Vec<Piece>) -> Step {
    Step {
        at: String::new(),
        pieces,
        took: String::new(),
    }
}

/// The same story in plain words, for those who have no page before them.
pub fn tell(explained: &Explained) -> Vec<Telling> {
    story(explained).into_iter().map(Telling::of).collect()
}

/// One thing that happened, in plain words.
#[derive(Clone, Debug, Serialize)]
pub struct Telling {
    /// The time of day, or how long after the receipt; empty where nobody noted it.
    pub at: String,
    /// What happened.
    pub what: String,
    /// How long it took; empty where that says nothing.
    pub took: String,
}

impl Telling {
    fn of(step: Step) -> Telling {
        let word = |piece: Piece| match piece {
            Piece::Text(text) | Piece::Foreign(text) | Piece::Link { text, .. } => text,
            Piece::State { word, .. } => word.to_owned(),
        };
        Telling {
            at: step.at,
            what: step.pieces.into_iter().map(word).collect(),
            took: step.took,
        }
    }
}

/// Everything that happened to it, in order.
pub(super) fn story(explained: &Explained) -> Vec<Step> {
    let received_at = explained.row.received_at;
    let received = Step {
        at: words::clock(received_at),
        ..untimed(vec![text(verified(explained))])
    };
    let journaled = format!(
        "Journaled as record {}{}",
        explained.row.place,
        match explained.row.came {
            Came::Live => " and answered 200",
            Came::Imported => "",
        }
    );
    let mut steps = vec![received, untimed(vec![text(journaled)])];
    steps.push(untimed(verdict(explained)));
    for told in &explained.told {
        steps.extend(shaped(told));
        steps.extend(told.attempts.iter().map(|one| attempt(one, received_at)));
        steps.push(outcome(told));
    }
    steps
}

/// Who says that it is from Customer.io.
fn verified(explained: &Explained) -> String {
    if explained.row.came == Came::Imported {
        return "Imported from a file; sent without the time of sending, so that Segment keeps \
                the event's own"
            .to_owned();
    }
    match (&explained.signed_by, &explained.key) {
        (None, _) => "Received; signatures are not checked in this workspace".to_owned(),
        (Some(id), None) => {
            format!("Received, signature matched key {id}, which the workspace no longer has")
        }
        (Some(_), Some(key)) => format!(
            "Received, signature matched key …{} ({})",
            key.ends_with, key.written
        ),
    }
}

/// What the record turned out to be.
fn verdict(explained: &Explained) -> Vec<Piece> {
    match &explained.row.kind {
        RowKind::Event => {
            let mut pieces = vec![text("First of its event id")];
            for (n, place) in explained.repeats.iter().enumerate() {
                pieces.push(text(if n == 0 {
                    "; repeated by record "
                } else {
                    ", "
                }));
                pieces.push(link(event_path(place), place.to_string()));
            }
            pieces
        }
        RowKind::Duplicate { of } => vec![
            text("Repeat of record "),
            link(event_path(of), of.to_string()),
            text(", which had this event before: not sent again"),
        ],
        RowKind::Test => vec![text(
            "A test of Customer.io's webhook page: it names no metric, so it is not sent",
        )],
        RowKind::Unusable { reason } => {
            let mut pieces = vec![
                text("Nothing can be made of it: "),
                Piece::Foreign(reason.clone()),
            ];
            let letter = explained
                .row
                .ends
                .iter()
                .find_map(|end| letter(&end.outcome));
            pieces.extend(letter.into_iter().flatten());
            pieces
        }
        RowKind::Fresh => vec![text("Nobody has looked at it yet; that takes a moment")],
    }
}

/// The step before any attempt; none where it never became a call.
fn shaped(told: &Told) -> Option<Step> {
    told.call.as_ref()?;
    let said = format!(
        "Shaped for {}, payload {}, options {}",
        told.connection, told.payload_version, told.options
    );
    Some(untimed(vec![text(said)]))
}

fn attempt(attempt: &AttemptSeen, received_at: Timestamp) -> Step {
    let after = attempt.at.duration_since(received_at).as_secs_f64();
    let batch = match attempt.calls {
        1 => "Sent alone: ".to_owned(),
        calls => format!("Sent in a batch of {}: ", words::count(calls)),
    };
    let status = match attempt.status {
        Some(status) => format!("{status} "),
        None => "no answer, ".to_owned(),
    };
    Step {
        at: format!("+ {}", words::span(after.max(0.0))),
        pieces: vec![
            text(batch + &status),
            Piece::Foreign(clipped(&attempt.answer)),
        ],
        took: words::ms(attempt.duration_ms),
    }
}

fn outcome(told: &Told) -> Step {
    let mut pieces = vec![
        Piece::State {
            class: words::outcome_class(&told.outcome),
            word: words::outcome(&told.outcome),
        },
        text(format!(" {} {}", by(&told.outcome), told.connection)),
    ];
    let reason = words::outcome_reason(&told.outcome);
    if !reason.is_empty() {
        pieces.push(text(": "));
        pieces.push(Piece::Foreign(reason.to_owned()));
    }
    if let Some(first) = &told.first {
        pieces.push(text("; the first is "));
        pieces.push(link(event_path(first), format!("record {first}")));
    }
    pieces.extend(letter(&told.outcome).into_iter().flatten());
    let at = match &told.outcome {
        Outcome::Accepted { took_ms: Some(ms) } => format!("+ {}", words::ms(ms)),
        _ => String::new(),
    };
    Step {
        at,
        ..untimed(pieces)
    }
}

fn by(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } | Outcome::Skipped { .. } | Outcome::Passed { .. } => "by",
        Outcome::Waiting { .. } => "for",
        Outcome::Buried { .. } => "of",
    }
}

/// The way to the dead letter.
fn letter(outcome: &Outcome) -> Option<[Piece; 2]> {
    match outcome {
        Outcome::Buried {
            letter: Some(id), ..
        } => {
            let href = format!("/dead-letters/{id}");
            Some([text("; "), link(href, format!("dead letter {id}"))])
        }
        Outcome::Buried { letter: None, .. }
        | Outcome::Accepted { .. }
        | Outcome::Skipped { .. }
        | Outcome::Waiting { .. }
        | Outcome::Passed { .. } => None,
    }
}

fn clipped(answer: &str) -> String {
    match answer.char_indices().nth(MAX_ANSWER_CHARS) {
        Some((end, _)) => format!("{}…", answer.get(..end).unwrap_or_default()),
        None => answer.to_owned(),
    }
}
