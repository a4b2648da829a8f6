//! A connection's state in sentences: what it does, what happens by itself, and
//! what a person must do.

use connections::Connection;

use crate::seen::{ConnectionSeen, JournalSeen, LineState};
use crate::words::{counted, span};

/// What the page says first.
#[derive(Debug)]
pub(super) struct Telling {
    /// The state, as a sentence.
    pub(super) title: String,
    /// The reason, in somebody else's words.
    pub(super) reason: Option<String>,
    /// What follows from it.
    pub(super) lede: String,
}

pub(super) fn tell(
    connection: &Connection,
    seen: Option<&ConnectionSeen>,
    journal: &JournalSeen,
) -> Telling {
    let name = &connection.name;
    let Some(seen) = seen else {
        return Telling {
            title: format!("{name} was just set up."),
            reason: None,
            lede: "It is being taken up; reload the page in a moment.".to_owned(),
        };
    };
    Telling {
        title: format!("{name} {}.", verb(seen.state)),
        reason: seen.reason.clone().filter(|reason| !reason.is_empty()),
        lede: lede(seen, journal),
    }
}

fn verb(state: LineState) -> &'static str {
    match state {
        LineState::UpToDate => "is up to date",
        LineState::CatchingUp => "is catching up",
        LineState::Waiting => "is waiting; nothing is lost",
        LineState::Unconfirmed => "is unconfirmed: nobody has seen an event arrive",
        LineState::Paused => "is paused",
        LineState::Disabled => "is disabled",
        LineState::Starting => "is starting",
        LineState::Unknown => "may be running on a node that does not answer",
    }
}

fn lede(seen: &ConnectionSeen, journal: &JournalSeen) -> String {
    let waiting = waiting(seen);
    match seen.state {
        LineState::UpToDate => "Every event that arrived is settled.".to_owned(),
        LineState::CatchingUp => format!("{waiting} They go out by themselves."),
        LineState::Waiting => {
            format!("{waiting} It tries again by itself until it is through.")
        }
        LineState::Unconfirmed => "Segment answers 200 even to a wrong write key, and drops the \
             calls: only somebody who looks can tell. Events are sent meanwhile. Send a test event, \
             look for it in the source's debugger in Segment, and say so here."
            .to_owned(),
        LineState::Paused => format!(
            "{waiting} It keeps its place, and what waits is never trimmed: the journal grows \
             until it is resumed."
        ),
        LineState::Disabled => format!(
            "It sends nothing. Events are journaled and kept for {}; enabling it asks whether to \
             begin with the next event or to catch up.",
            counted(journal.retention_days, "day", "days")
        ),
        LineState::Starting => "It was just taken up, and says more in a moment.".to_owned(),
        LineState::Unknown => {
            "The other nodes take its work over by themselves; nothing is lost.".to_owned()
        }
    }
}

fn waiting(seen: &ConnectionSeen) -> String {
    match seen.lag_records {
        0 => "No event waits.".to_owned(),
        1 => format!("One event waits, for {}.", span(seen.oldest_s)),
        n => {
            let events = counted(n, "event", "events");
            format!(
                "{events} wait in the journal, the oldest for {}.",
                span(seen.oldest_s)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trying::{Scene, connection};

    #[test]
    fn every_state_says_what_a_person_must_know() {
        let scene = Scene::busy();
        let decided = scene.connection();
        let told = |state| {
            let mut seen = connection("acme-production", state);
            seen.lag_records = 18_240;
            seen.oldest_s = 372.0;
            let told = tell(&decided, Some(&seen), &scene.overview.journal);
            format!("{} {}", told.title, told.lede).replace('\u{202f}', " ")
        };
        let cases = [
            (LineState::Waiting, "nothing is lost. 18 240 events wait"),
            (LineState::CatchingUp, "the oldest for 6 min 12 s"),
            (LineState::Unconfirmed, "even to a wrong write key"),
            (LineState::Paused, "the journal grows"),
            (LineState::Disabled, "kept for 30 days"),
            (LineState::UpToDate, "acme-production is up to date."),
        ];
        for (state, says) in cases {
            assert!(told(state).contains(says), "{}", told(state));
        }
    }
}
