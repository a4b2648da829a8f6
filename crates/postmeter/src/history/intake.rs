//! Whether Customer.io's feed flows, as far as its requests tell.
//!
//! Each node notes what it has answered; together the newest 200 and the newest
//! other answer decide. A refusal is kept in words, which hold no secret.

use std::collections::BTreeMap;
use std::time::Duration;

use console::seen::WorkspaceState;
use jiff::Timestamp;
use receive::{Answer, Receipt};
use serde::{Deserialize, Serialize};

/// How long Customer.io tries an event again before it gives it up.
const TRIES_TIME: Duration = Duration::from_hours(7 * 24);
/// Workspaces that are remembered, and keys of each; then the longest silent goes.
const MAX_WORKSPACES: usize = 1_000;
const MAX_KEYS: usize = 16;

/// What a node has answered to each workspace's webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Intake {
    workspaces: BTreeMap<String, Feed>,
}

/// What was answered to a workspace's webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Feed {
    /// When an event was answered 200, which means journaled.
    pub(crate) last_event_at: Option<Timestamp>,
    /// The answers since then that were no 200.
    failing: Option<Failing>,
    /// Why a request was refused last.
    pub(crate) last_refusal: Option<Refused>,
    /// When each key verified a request last.
    pub(crate) keys: BTreeMap<String, Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Failing {
    since: Timestamp,
    at: Timestamp,
    status: u16,
}

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
}

/// Whether an answer has changed what is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The workspace holds now, or flows again.
    Turned,
    /// As before.
    Same,
}

impl Intake {
    /// Notes an answer. One that names no workspace of ours says nothing.
    pub(crate) fn note(&mut self, receipt: &Receipt, now: Timestamp) -> Turn {
        let Some(name) = receipt.workspace.as_deref() else {
            return Turn::Same;
        };
        if let Some(feed) = self.workspaces.get_mut(name) {
            return feed.note(&receipt.answer, now);
        }
        if self.workspaces.len() >= MAX_WORKSPACES {
            let mut each = self.workspaces.iter();
            let first = each.next();
            let silent = first.map(|first| each.fold(first, quieter));
            let silent = silent.map(|(name, _)| name.clone());
            silent.map(|name| self.workspaces.remove(&name));
        }
        let feed = self.workspaces.entry(name.to_owned()).or_default();
        feed.note(&receipt.answer, now);
        Turn::Turned
    }

    /// What is known of a workspace.
    pub(crate) fn feed(&self, workspace: &str) -> Option<&Feed> {
        self.workspaces.get(workspace)
    }

    /// What two nodes know, or two runs of one.
    pub(crate) fn merge(&mut self, other: &Intake) {
        for (name, feed) in &other.workspaces {
            match self.workspaces.get_mut(name) {
                Some(known) => known.merge(feed),
                None => drop(self.workspaces.insert(name.clone(), feed.clone())),
            }
        }
    }
}

type Named<'i> = (&'i String, &'i Feed);

fn quieter<'i>(one: Named<'i>, other: Named<'i>) -> Named<'i> {
    if other.1.last_at() < one.1.last_at() {
        other
    } else {
        one
    }
}

impl Feed {
    fn note(&mut self, answer: &Answer, now: Timestamp) -> Turn {
        let was_failing = self.failing.is_some();
        match answer {
            Answer::Journaled { signed_by, .. } => {
                self.last_event_at = Some(now);
                self.failing = None;
                if let Some(key) = signed_by {
                    self.matched(key.as_str(), now);
                }
            }
            Answer::UnknownWorkspace => return Turn::Same,
            Answer::Refused(refusal) => {
                self.last_refusal = Some(Refused {
                    at: now,
                    reason: refusal.to_string(),
                });
                self.failed(answer, now);
            }
            Answer::TooLarge(_) | Answer::Unread(_) | Answer::Unavailable(_) => {
                self.failed(answer, now);
            }
        }
        if was_failing == self.failing.is_some() {
            Turn::Same
        } else {
            Turn::Turned
        }
    }

    fn failed(&mut self, answer: &Answer, now: Timestamp) {
        let since = self.failing.as_ref().map_or(now, |failing| failing.since);
        let status = answer.status().as_u16();
        self.failing = Some(Failing {
            since,
            at: now,
            status,
        });
    }

    fn matched(&mut self, key: &str, now: Timestamp) {
        if let Some(at) = self.keys.get_mut(key) {
            *at = now;
            return;
        }
        if self.keys.len() >= MAX_KEYS {
            let oldest = self.keys.iter().min_by_key(|(_, at)| **at);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|key| self.keys.remove(&key));
        }
        self.keys.insert(key.to_owned(), now);
    }

    fn last_at(&self) -> Option<Timestamp> {
        let failing = self.failing.as_ref().map(|failing| failing.at);
        self.last_event_at.max(failing)
    }

    fn merge(&mut self, other: &Feed) {
        self.last_event_at = self.last_event_at.max(other.last_event_at);
        // A failure that a 200 came after is over; one that began before a 200 of
        // another node has begun anew.
        let flowed_at = self.last_event_at;
        let both = self.failing.take().into_iter().chain(other.failing.clone());
        let both = both.filter(|failing| Some(failing.at) > flowed_at);
        self.failing = both.reduce(|one, other| {
            let since = one.since.min(other.since);
            let newer = if other.at > one.at { other } else { one };
            Failing { since, ..newer }
        });
        if let (Some(flowed_at), Some(failing)) = (flowed_at, &mut self.failing) {
            failing.since = failing.since.max(flowed_at);
        }
        let refusals = self.last_refusal.take().into_iter();
        let refusals = refusals.chain(other.last_refusal.clone());
        self.last_refusal = refusals.max_by_key(|refused| refused.at);
        for (key, at) in &other.keys {
            let known = self.keys.entry(key.clone()).or_insert(*at);
            *known = (*at).max(*known);
        }
    }

    /// As people are shown it.
    pub(crate) fn state(&self) -> WorkspaceState {
        match (&self.failing, self.last_event_at) {
            (Some(failing), _) => WorkspaceState::Holding {
                since: failing.since,
                status: failing.status,
                drops_at: failing
                    .since
                    .checked_add(TRIES_TIME)
                    .unwrap_or(Timestamp::MAX),
            },
            (None, Some(_)) => WorkspaceState::Sending,
            (None, None) => WorkspaceState::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use receive::{BodyError, Refusal};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn receipt(answer: Answer) -> Receipt {
        Receipt {
            workspace: Some("acme".into()),
            answer,
        }
    }

    fn taken() -> Receipt {
        receipt(Answer::Journaled {
            place: None,
            signed_by: None,
        })
    }

    fn refused() -> Receipt {
        receipt(Answer::Refused(Refusal::Mismatch))
    }

    fn too_large() -> Receipt {
        let error = BodyError::TooLarge { limit_bytes: 1 };
        receipt(Answer::TooLarge(Arc::new(error)))
    }

    fn noted(answers: &[(i64, Receipt)]) -> Intake {
        let mut intake = Intake::default();
        for (second, receipt) in answers {
            intake.note(receipt, at(*second));
        }
        intake
    }

    fn state(intake: &Intake) -> WorkspaceState {
        intake.feed("acme").unwrap().state()
    }

    fn holding(since: i64, status: u16) -> WorkspaceState {
        WorkspaceState::Holding {
            since: at(since),
            status,
            drops_at: at(since + 7 * 24 * 3_600),
        }
    }

    #[test]
    fn a_feed_holds_from_its_first_failure_until_the_next_200() {
        let mut intake = noted(&[(1, taken()), (2, refused()), (9, too_large())]);
        assert_eq!(state(&intake), holding(2, 413));
        assert_eq!(intake.note(&refused(), at(10)), Turn::Same);
        assert_eq!(intake.note(&taken(), at(11)), Turn::Turned);
        assert_eq!(state(&intake), WorkspaceState::Sending);
        assert_eq!(intake.note(&refused(), at(12)), Turn::Turned);
        assert_eq!(state(&intake), holding(12, 401));
        let refusal = intake.feed("acme").unwrap().last_refusal.clone().unwrap();
        assert!(refusal.reason.contains("signing keys"), "{refusal:?}");
    }

    #[test]
    fn of_two_nodes_the_newest_answers_decide() {
        let holds = noted(&[(2, refused()), (5, refused())]);
        let cases = [
            (noted(&[(6, taken())]), WorkspaceState::Sending),
            // The 200 at 3 ended what began at 2.
            (noted(&[(3, taken())]), holding(3, 401)),
            (noted(&[(1, taken())]), holding(2, 401)),
            (
                noted(&[(1, too_large()), (7, too_large())]),
                holding(1, 413),
            ),
        ];
        for (other, expected) in cases {
            let (mut one, mut two) = (holds.clone(), other.clone());
            one.merge(&other);
            two.merge(&holds);
            assert_eq!(state(&one), expected, "{other:?}");
            assert_eq!(state(&two), expected, "{other:?}");
        }
    }

    #[test]
    fn nobody_who_names_no_workspace_is_remembered() {
        let unknown = Receipt {
            workspace: None,
            answer: Answer::UnknownWorkspace,
        };
        let intake = noted(&[(1, unknown)]);
        assert_eq!(intake, Intake::default());
    }

    #[test]
    fn the_longest_silent_workspace_makes_room() {
        let mut intake = Intake::default();
        for n in 0..=1_000 {
            let mut receipt = taken();
            receipt.workspace = Some(format!("w{n}").into());
            intake.note(&receipt, at(10_000 - n));
        }
        assert_eq!(intake.workspaces.len(), MAX_WORKSPACES);
        assert!(intake.feed("w999").is_none(), "it was silent for longest");
        assert!(intake.feed("w1000").is_some());
    }

    #[test]
    fn what_another_build_kept_is_understood() {
        let kept = r#"{"workspaces": {"acme": {"mood": "good", "keys": {"0a0b0c0d": "2026-01-02T03:04:05Z"}}}}"#;
        let intake: Intake = serde_json::from_str(kept).unwrap();
        assert_eq!(state(&intake), WorkspaceState::Silent);
        let written = serde_json::to_vec(&intake).unwrap();
        assert_eq!(serde_json::from_slice::<Intake>(&written).unwrap(), intake);
    }
}
