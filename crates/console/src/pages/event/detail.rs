//! One event, as the debugger's side and the event's own page show it.

use super::address::{address, event_path};
use super::curl::curl;
use super::story::{Step, story};
use crate::compare::{Part, beginning, compare, lay_out};
use crate::seen::{Explained, Outcome, Row, RowEnd, RowKind, Told};
use crate::words;

/// An event, ready to be shown.
pub(crate) struct Detail {
    pub(crate) explained: Explained,
    /// What became of it, behind its name and person.
    pub(crate) end: String,
    /// The record as a part of an address.
    pub(crate) address: String,
    /// Where everything about it is.
    pub(crate) path: String,
    pub(crate) story: Vec<Step>,
    /// The body, laid out, where no connection made anything of it.
    pub(crate) received: Vec<Part>,
    /// The beginning of the body, not laid out.
    pub(crate) raw: String,
    pub(crate) tellings: Vec<Telling>,
    /// Whether any connection made a call of it.
    pub(crate) has_call: bool,
}

/// What one connection made of it, beside what came.
pub(crate) struct Telling {
    pub(crate) told: Told,
    pub(crate) received: Vec<Part>,
    /// Empty where it became no call.
    pub(crate) sent: Vec<Part>,
    pub(crate) curl: Option<String>,
}

impl Detail {
    pub(crate) fn of(explained: Explained) -> Detail {
        let tellings = explained
            .told
            .iter()
            .map(|told| Telling::of(told, &explained.body));
        let tellings: Vec<Telling> = tellings.collect();
        Detail {
            has_call: tellings.iter().any(|telling| telling.curl.is_some()),
            end: end(&explained.row),
            address: address(&explained.row.place),
            path: event_path(&explained.row.place),
            story: story(&explained),
            received: lay_out(&explained.body),
            raw: beginning(&explained.body),
            tellings,
            explained,
        }
    }
}

impl Telling {
    fn of(told: &Told, body: &str) -> Telling {
        let (received, sent) = match &told.call {
            Some(call) => compare(body, &call.json),
            None => (lay_out(body), Vec::new()),
        };
        let call = told.call.as_ref();
        Telling {
            curl: call.map(|call| curl(&told.endpoint, &call.json)),
            told: told.clone(),
            received,
            sent,
        }
    }
}

/// What became of it, as the end of a sentence that begins with its name.
fn end(row: &Row) -> String {
    match &row.kind {
        RowKind::Duplicate { of } => return format!("a repeat of record {of}, is not sent again."),
        RowKind::Test => return "a test of Customer.io's webhook page, is not sent.".to_owned(),
        RowKind::Unusable { .. } => return "of which nothing can be made, is kept.".to_owned(),
        RowKind::Fresh => return "received a moment ago and not looked at yet.".to_owned(),
        RowKind::Event => (),
    }
    match row.ends.as_slice() {
        [] => "for no connection: its workspace has none.".to_owned(),
        [one] => format!("{}.", end_on(&one.outcome, &one.connection)),
        few if few.len() <= 3 => {
            let said = |end: &RowEnd| format!("{} {}", done_by(&end.outcome), end.connection);
            format!("{}.", few.iter().map(said).collect::<Vec<_>>().join(", "))
        }
        many => {
            let mut groups: Vec<(&str, u64)> = Vec::new();
            for outcome in many.iter().map(|end| &end.outcome) {
                let done = done_by(outcome);
                match groups.iter_mut().find(|(there, _)| *there == done) {
                    Some((_, count)) => *count += 1,
                    None => groups.push((done, 1)),
                }
            }
            let said = |(done, n): &(&str, u64)| {
                format!("{done} {}", words::counted(*n, "connection", "connections"))
            };
            format!(
                "{}.",
                groups.iter().map(said).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

fn end_on(outcome: &Outcome, connection: &str) -> String {
    match outcome {
        Outcome::Accepted { took_ms: Some(ms) } => {
            format!(
                "accepted by {connection} {} after it arrived",
                words::ms(ms)
            )
        }
        other => format!("{} {connection}", done_by(other)),
    }
}

fn done_by(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted by",
        Outcome::Skipped { .. } => "skipped by",
        Outcome::Buried { .. } => "a dead letter of",
        Outcome::Waiting { .. } => "waiting for",
        Outcome::Passed { .. } => "passed by",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trying::{place, row};

    fn ended(outcomes: Vec<Outcome>) -> String {
        let mut row = row(1);
        let end = |outcome| RowEnd {
            connection: "one".to_owned(),
            outcome,
        };
        row.ends = outcomes.into_iter().map(end).collect();
        end_of(&row)
    }

    fn end_of(row: &Row) -> String {
        end(row).replace('\u{202f}', " ")
    }

    #[test]
    fn the_first_sentence_says_what_became_of_it() {
        let accepted = || Outcome::Accepted {
            took_ms: Some(218.0),
        };
        let reason = || "why".to_owned();
        let skipped = || Outcome::Skipped { reason: reason() };
        let buried = Outcome::Buried {
            letter: None,
            reason: reason(),
        };
        let cases = [
            (vec![accepted()], "accepted by one 218 ms after it arrived."),
            (
                vec![Outcome::Accepted { took_ms: None }],
                "accepted by one.",
            ),
            (vec![buried], "a dead letter of one."),
            (
                vec![accepted(), skipped()],
                "accepted by one, skipped by one.",
            ),
            (
                vec![accepted(), skipped(), accepted(), accepted()],
                "accepted by 3 connections, skipped by 1 connection.",
            ),
            (vec![], "for no connection: its workspace has none."),
        ];
        for (outcomes, sentence) in cases {
            assert_eq!(ended(outcomes), sentence);
        }
        let mut repeat = row(2);
        repeat.kind = RowKind::Duplicate { of: place(1) };
        assert_eq!(end_of(&repeat), "a repeat of record 1, is not sent again.");
    }
}
