//! A replay as it is kept: what was asked for, and how far a partition has come.
//!
//! Plain values and what follows from them. Reads no clock and no journal.

use console::seen::{Origin, ReplayCounts, ReplaySeen, ReplayState, Steer};
use jiff::{SignedDuration, Timestamp};
use journal::{Partition, Place, Seq};
use serde::{Deserialize, Serialize};

/// Notes that are kept of one partition: the first ones.
const NOTES: usize = 20;

/// What was asked for, and how it stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) number: u64,
    /// The connection's id.
    pub(crate) connection: String,
    /// What it was called when it was asked for: it may be gone.
    pub(crate) connection_name: String,
    /// In the filter language, with times that say when.
    pub(crate) filter: String,
    pub(crate) rate_per_s: u32,
    pub(crate) asked_at: Timestamp,
    pub(crate) asked_through: Origin,
    /// The records that it goes through, by partition, in order.
    pub(crate) spans: Vec<Span>,
    pub(crate) state: ReplayState,
    pub(crate) reason: Option<String>,
    pub(crate) ended_at: Option<Timestamp>,
}

/// Records of one partition, from `first` through `last`; none where `last` is
/// before `first`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) partition: u16,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Span {
    pub(crate) fn partition(&self) -> Partition {
        Partition::new(self.partition)
    }

    pub(crate) fn records(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// How far a replay has come in one partition.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// The first record that it has not been through.
    pub(crate) next: u64,
    pub(crate) counts: ReplayCounts,
    /// The first record whose call was sent, and the last.
    pub(crate) first_sent: Option<u64>,
    pub(crate) last_sent: Option<u64>,
    /// How long it has worked, in milliseconds.
    pub(crate) worked_ms: u64,
    /// The mark of the options that calls are made with.
    pub(crate) options: Option<String>,
    pub(crate) notes: Vec<String>,
}

impl Progress {
    /// Nothing of `span` yet.
    pub(crate) fn at(span: &Span) -> Progress {
        Progress {
            next: span.first,
            ..Progress::default()
        }
    }

    pub(crate) fn is_through(&self, span: &Span) -> bool {
        self.next > span.last
    }

    /// Notes that a call of this record was sent.
    pub(crate) fn sent(&mut self, seq: Seq) {
        self.first_sent.get_or_insert(seq.get());
        self.last_sent = Some(seq.get());
    }

    /// Notes which options calls are made with from here on.
    pub(crate) fn made_with(&mut self, options: &str) {
        let before = self.options.replace(options.to_owned());
        if before.is_some_and(|before| before != options) && self.notes.len() < NOTES {
            self.notes.push(format!(
                "the connection's options changed before record {}: calls from there on are made \
                 with the new ones",
                self.next
            ));
        }
    }
}

/// Under which name the journal has the traces of a replay: beside those of the
/// connection, because its batches end with other records.
pub(crate) fn traced_as(connection: &str, number: u64) -> String {
    format!("{connection}/replay/{number}")
}

/// A replay with how far each of its partitions has come.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Kept {
    pub(crate) job: Job,
    /// One for each span, in their order.
    pub(crate) progress: Vec<Progress>,
}

impl Kept {
    /// The partition that is to be gone on with; none once all are through.
    pub(crate) fn current(&self) -> Option<(Span, &Progress)> {
        let mut each = self.job.spans.iter().zip(&self.progress);
        let found = each.find(|(span, progress)| !progress.is_through(span));
        found.map(|(span, progress)| (*span, progress))
    }

    /// Whether it may have sent the call of this record.
    pub(crate) fn has_passed(&self, place: Place) -> bool {
        let mut each = self.job.spans.iter().zip(&self.progress);
        each.any(|(span, progress)| {
            let passed = span.first..progress.next;
            span.partition() == place.partition && passed.contains(&place.seq.get())
        })
    }

    /// What became of all records so far.
    pub(crate) fn counts(&self) -> ReplayCounts {
        let mut counts = ReplayCounts::default();
        self.progress
            .iter()
            .for_each(|each| counts.add(&each.counts));
        counts
    }

    /// As it is shown. `connection` is the name of now, and `waits` what it waits for.
    pub(crate) fn seen(&self, connection: String, waits: Option<String>) -> ReplaySeen {
        let job = &self.job;
        let counts = self.counts();
        let records = job.spans.iter().map(Span::records).sum();
        let worked_ms: u64 = self.progress.iter().map(|each| each.worked_ms).sum();
        let sent = |which: fn(&Progress) -> Option<u64>| {
            let each = job.spans.iter().zip(&self.progress);
            each.filter_map(move |(span, progress)| {
                let place = Place::new(span.partition(), Seq::new(which(progress)?));
                Some(place.to_string())
            })
        };
        ReplaySeen {
            number: job.number,
            connection,
            filter: job.filter.clone(),
            rate_per_s: job.rate_per_s,
            asked_at: job.asked_at,
            asked_through: job.asked_through,
            state: job.state,
            reason: job.reason.clone().or(waits),
            ended_at: job.ended_at,
            worked_s: std::time::Duration::from_millis(worked_ms).as_secs_f64(),
            records,
            examined: counts.examined(),
            counts,
            first_record: sent(|progress| progress.first_sent).next(),
            last_record: sent(|progress| progress.last_sent).next_back(),
            done_at: None,
            notes: self
                .progress
                .iter()
                .flat_map(|each| each.notes.clone())
                .collect(),
        }
    }

    /// When it will be through if it goes on as it did, seen at `now`.
    pub(crate) fn done_at(&self, now: Timestamp) -> Option<Timestamp> {
        let worked_ms: u64 = self.progress.iter().map(|each| each.worked_ms).sum();
        let examined = self.counts().examined();
        if self.job.state != ReplayState::Running || examined == 0 {
            return None;
        }
        let records: u64 = self.job.spans.iter().map(Span::records).sum();
        let left = u128::from(records.saturating_sub(examined));
        let left_ms = left * u128::from(worked_ms) / u128::from(examined);
        let left = SignedDuration::from_millis(i64::try_from(left_ms).ok()?);
        now.checked_add(left).ok()
    }
}

/// Why a replay is not steered that way.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("replay {number} is {}: {advice}", .state.word())]
pub(crate) struct NotNow {
    number: u64,
    state: ReplayState,
    advice: &'static str,
}

impl Job {
    /// Steers it; says whether that changed anything.
    pub(crate) fn steer(&mut self, steer: Steer, now: Timestamp) -> Result<bool, NotNow> {
        use ReplayState::{Cancelled, Done, Failed, Paused, Running};
        let next = match (steer, self.state) {
            (Steer::Pause, Running) => Paused,
            (Steer::Pause, Paused) | (Steer::Resume, Running) | (Steer::Cancel, Cancelled) => {
                return Ok(false);
            }
            (Steer::Resume, Paused | Cancelled | Failed) => Running,
            (Steer::Cancel, Running | Paused) => Cancelled,
            (Steer::Pause, Cancelled | Done | Failed) => {
                return Err(self.not_now("there is nothing to pause"));
            }
            (Steer::Cancel, Done | Failed) => {
                return Err(self.not_now("there is nothing to cancel"));
            }
            (Steer::Resume, Done) => {
                return Err(self.not_now("start another one to send its events once more"));
            }
        };
        self.state = next;
        self.reason = None;
        self.ended_at = next.is_over().then_some(now);
        Ok(true)
    }

    fn not_now(&self, advice: &'static str) -> NotNow {
        NotNow {
            number: self.number,
            state: self.state,
            advice,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn job() -> Job {
        Job {
            number: 3,
            connection: "id".to_owned(),
            connection_name: "acme".to_owned(),
            filter: String::new(),
            rate_per_s: 200,
            asked_at: Timestamp::UNIX_EPOCH,
            asked_through: Origin::Api,
            spans: vec![
                Span {
                    partition: 0,
                    first: 1,
                    last: 10,
                },
                Span {
                    partition: 1,
                    first: 5,
                    last: 4,
                },
                Span {
                    partition: 2,
                    first: 7,
                    last: 7,
                },
            ],
            state: ReplayState::Running,
            reason: None,
            ended_at: None,
        }
    }

    fn kept(nexts: [u64; 3]) -> Kept {
        let progress = nexts.map(|next| Progress {
            next,
            ..Progress::default()
        });
        Kept {
            job: job(),
            progress: progress.into(),
        }
    }

    #[test]
    fn partitions_are_gone_through_one_after_the_other_and_empty_ones_are_through() {
        let current = |nexts| kept(nexts).current().map(|(span, _)| span.partition);
        assert_eq!(current([1, 5, 7]), Some(0));
        assert_eq!(current([11, 5, 7]), Some(2));
        assert_eq!(current([11, 5, 8]), None);
    }

    #[test]
    fn a_record_is_passed_once_it_lies_before_the_next() {
        let place = |partition, seq| Place::new(Partition::new(partition), Seq::new(seq));
        let kept = kept([4, 5, 7]);
        assert!(kept.has_passed(place(0, 3)));
        assert!(!kept.has_passed(place(0, 4)));
        assert!(!kept.has_passed(place(2, 3)));
    }

    #[test]
    fn what_is_over_is_resumed_unless_it_is_done() {
        let now = Timestamp::UNIX_EPOCH;
        let mut job = job();
        assert_eq!(job.steer(Steer::Resume, now), Ok(false));
        assert_eq!(job.steer(Steer::Cancel, now), Ok(true));
        assert_eq!(job.ended_at, Some(now));
        assert!(job.steer(Steer::Pause, now).is_err());
        assert_eq!(job.steer(Steer::Resume, now), Ok(true));
        assert_eq!((job.state, job.ended_at), (ReplayState::Running, None));
        job.state = ReplayState::Done;
        for steer in Steer::ALL {
            let refused = job.steer(steer, now).unwrap_err().to_string();
            assert!(refused.starts_with("replay 3 is done: "), "{refused}");
        }
    }

    #[test]
    fn options_that_change_on_the_way_are_noted_once() {
        let mut progress = Progress {
            next: 9,
            ..Progress::default()
        };
        progress.made_with("a");
        progress.made_with("a");
        assert_eq!(progress.notes, [""; 0]);
        progress.made_with("b");
        progress.made_with("b");
        assert_eq!(progress.notes.len(), 1);
        assert!(progress.notes.iter().all(|note| note.contains("record 9")));
    }
}
