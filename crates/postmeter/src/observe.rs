//! What there is to see: counters for a scraper, samples for whoever watches.
//!
//! No stage reports on itself. Each returns what happened, the process hands that
//! to the [`Observer`], and this file alone decides how it is counted. Labels are
//! names of workspaces and connections, never anything out of an event.

mod sample;
mod tally;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use journal::{DiskStats, Partition, PartitionStats};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use receive::{Answer, Receipt};
use tokio::sync::broadcast;
use tracing::warn;

pub(crate) use self::sample::{End, Sample, SkipCause};
pub(crate) use self::tally::Counts;
use self::tally::Tally;
use crate::history::{Live, Seen};
use crate::pipeline::feed::ConnectionLabel;

/// Samples that a slow watcher may fall behind; then it misses the oldest.
const SAMPLES: usize = 1_024;

/// How long the same warning is kept back after it was given.
const WARNING_PAUSE: Duration = Duration::from_mins(1);
/// Upper bounds of the latency histograms, in seconds.
const LATENCY_BOUNDS_S: [f64; 14] = [
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 3_600.0,
];

/// Counts and shows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Observer {
    samples: broadcast::Sender<Sample>,
    recorder: Arc<PrometheusRecorder>,
    tally: Arc<Tally>,
    live: Arc<Live>,
    warned_at: Arc<Mutex<HashMap<&'static str, Instant>>>,
}

impl Observer {
    /// An observer that has seen nothing.
    pub(crate) fn new() -> anyhow::Result<Observer> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BOUNDS_S)
            .context("the latency bounds are refused")?
            .build_recorder();
        let (samples, _) = broadcast::channel(SAMPLES);
        let recorder = Arc::new(recorder);
        let observer = Observer {
            samples,
            recorder,
            tally: Arc::default(),
            live: Arc::default(),
            warned_at: Arc::default(),
        };
        observer.count(describe);
        Ok(observer)
    }

    /// Counts into this observer and not into one of the whole process.
    fn count(&self, into: impl FnOnce()) {
        metrics::with_local_recorder(&*self.recorder, into);
    }

    /// Watches from now on. A watcher that falls behind misses samples.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Sample> {
        self.samples.subscribe()
    }

    /// Events so far that had been received before.
    pub(crate) fn duplicates(&self) -> u64 {
        self.tally.duplicates()
    }

    /// What this node has counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// What this node counts for the history.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// All counters in Prometheus' text form.
    pub(crate) fn render(&self) -> String {
        let handle = self.recorder.handle();
        handle.run_upkeep();
        handle.render()
    }

    /// A request was answered after `took`.
    pub(crate) fn answered(&self, receipt: &Receipt, took: Duration) {
        let workspace = receipt.workspace.as_deref().unwrap_or("").to_owned();
        let answer = receipt.answer.label();
        self.tally.received(answer);
        self.live.answered(receipt, Timestamp::now());
        self.warn_of(receipt);
        self.count(|| {
            counter!("postmeter_events_received_total", "workspace" => workspace, "answer" => answer)
                .increment(1);
            histogram!("postmeter_answer_seconds").record(took.as_secs_f64());
        });
    }

    /// Tells the operator of answers that hold up Customer.io's feed, now and then.
    fn warn_of(&self, receipt: &Receipt) {
        let workspace = receipt.workspace.as_deref().unwrap_or_default();
        let label = receipt.answer.label();
        match &receipt.answer {
            Answer::Refused(refusal) if self.may_warn(label) => warn!(
                "events for workspace {workspace} are answered 401: {refusal}. If Customer.io \
                 sent them, its feed stands still until the signing key here is the one there"
            ),
            Answer::Unavailable(cause) if self.may_warn(label) => {
                let cause: &(dyn std::error::Error + 'static) = &**cause;
                warn!(
                    error = cause,
                    "events are answered 503, and Customer.io sends them again"
                );
            }
            Answer::Journaled { .. }
            | Answer::Refused(_)
            | Answer::UnknownWorkspace
            | Answer::TooLarge(_)
            | Answer::Unread(_)
            | Answer::Unavailable(_) => {}
        }
    }

    /// Whether it is time to say this again.
    fn may_warn(&self, what: &'static str) -> bool {
        let now = Instant::now();
        let mut warned_at = self
            .warned_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let due = warned_at
            .get(what)
            .is_none_or(|at| now.duration_since(*at) >= WARNING_PAUSE);
        if due {
            warned_at.insert(what, now);
        }
        due
    }

    /// A page of a partition was indexed.
    pub(crate) fn indexed<'r>(&self, partition: Partition, page: &[Seen<'r>]) {
        let mut repeats: HashMap<&'r str, u64> = HashMap::new();
        for seen in page.iter().filter(|seen| seen.is_repeat) {
            *repeats.entry(seen.workspace).or_default() += 1;
        }
        self.live.indexed(partition, page, Timestamp::now());
        for (workspace, n) in repeats {
            self.tally.duplicates_came(n);
            let workspace = workspace.to_owned();
            self.count(|| {
                counter!("postmeter_duplicates_total", "workspace" => workspace).increment(n);
            });
        }
    }

    /// Records in the log could not be read any more.
    pub(crate) fn damaged(&self, n_records: u64) {
        self.count(|| counter!("postmeter_damaged_records_total").increment(n_records));
    }

    /// A connection is done with these records, of which each says when its event
    /// was received.
    pub(crate) fn ended(&self, connection: &ConnectionLabel, ends: &[(Timestamp, End)]) {
        let now = Timestamp::now();
        let mut sums: HashMap<End, u64> = HashMap::new();
        for (_, end) in ends {
            *sums.entry(*end).or_default() += 1;
        }
        self.tally.ended(&connection.name, &sums);
        self.live.ended(&connection.id, ends, now);
        self.count(|| count_ends(&connection.name, ends, (&sums, now)));
        // Nobody watching is the usual case.
        if self.samples.receiver_count() > 0 {
            for (received_at, end) in ends {
                let sample = Sample {
                    received_at: *received_at,
                    ended_at: now,
                    end: *end,
                };
                drop(self.samples.send(sample));
            }
        }
    }

    /// POSTs to a connection's destination ended.
    pub(crate) fn attempted(&self, connection: &ConnectionLabel, attempts: &[dispatch::Attempt]) {
        let statuses: Vec<Option<u16>> = attempts.iter().map(status).collect();
        self.live
            .attempted(&connection.id, &statuses, Timestamp::now());
        for status in statuses {
            let name = connection.name.to_string();
            let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            self.count(|| {
                counter!("postmeter_attempts_total", "connection" => name, "status" => status)
                    .increment(1);
            });
        }
    }

    /// Calls of replays ended: so many accepted, so many refused.
    pub(crate) fn replayed(&self, connection: &str, (accepted, refused): (u64, u64)) {
        self.count(|| {
            for (end, n) in [("accepted", accepted), ("refused", refused)] {
                let name = connection.to_owned();
                counter!("postmeter_replayed_calls_total", "connection" => name, "end" => end)
                    .increment(n);
            }
        });
    }

    /// How far a connection is behind, taken now and then.
    pub(crate) fn lag(&self, connection: &str, lag: Lag) {
        let (name, again) = (connection.to_owned(), connection.to_owned());
        self.count(|| {
            gauge!("postmeter_lag_records", "connection" => name).set(as_float(lag.records));
            gauge!("postmeter_oldest_unsettled_seconds", "connection" => again)
                .set(lag.oldest.as_secs_f64());
        });
    }

    /// What the journal holds, taken now and then.
    pub(crate) fn journal(&self, bytes: u64, dead_letters: u64) {
        self.count(|| {
            gauge!("postmeter_journal_bytes").set(as_float(bytes));
            gauge!("postmeter_dead_letters").set(as_float(dead_letters));
        });
    }

    /// How the journal's disk is, taken now and then.
    pub(crate) fn disk(&self, disk: &DiskStats) {
        self.count(|| {
            gauge!("postmeter_disk_free_bytes").set(as_float(disk.free_bytes));
            gauge!("postmeter_disk_total_bytes").set(as_float(disk.total_bytes));
            gauge!("postmeter_disk_min_free_bytes").set(as_float(disk.min_free_bytes));
            gauge!("postmeter_disk_ballast_bytes").set(as_float(disk.ballast_bytes));
        });
    }

    /// How far a partition has come, taken now and then.
    pub(crate) fn partition(&self, stats: &PartitionStats) {
        let label = || stats.partition.to_string();
        let number = |seq: Option<journal::Seq>| as_float(seq.map_or(0, journal::Seq::get));
        self.count(|| {
            gauge!("postmeter_journal_last_record", "partition" => label()).set(number(stats.last));
            gauge!("postmeter_journal_indexed_record", "partition" => label())
                .set(number(stats.indexed));
        });
    }
}

fn count_ends(
    connection: &str,
    ends: &[(Timestamp, End)],
    (sums, now): (&HashMap<End, u64>, Timestamp),
) {
    for (end, n) in sums {
        let (name, end) = (connection.to_owned(), end.label());
        counter!("postmeter_records_ended_total", "connection" => name, "end" => end).increment(*n);
    }
    if sums.contains_key(&End::Accepted) {
        let name = connection.to_owned();
        let acceptance = histogram!("postmeter_acceptance_seconds", "connection" => name);
        for (received_at, _) in ends.iter().filter(|(_, end)| *end == End::Accepted) {
            acceptance.record(now.duration_since(*received_at).as_secs_f64());
        }
    }
}

/// What was answered; none where there was no answer.
fn status(attempt: &dispatch::Attempt) -> Option<u16> {
    match &attempt.result {
        dispatch::AttemptResult::Answered { status, .. } => Some(*status),
        dispatch::AttemptResult::Failed { .. } => None,
    }
}

/// How far a connection is behind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lag {
    /// Records that it has not settled.
    pub(crate) records: u64,
    /// The age of the oldest of them.
    pub(crate) oldest: Duration,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; nobody counts to 2^53 here"
)]
fn as_float(count: u64) -> f64 {
    count as f64
}

fn describe() {
    describe_counter!(
        "postmeter_events_received_total",
        "Requests to a webhook, by what they were answered"
    );
    describe_histogram!(
        "postmeter_answer_seconds",
        "Time from a request's head to its answer"
    );
    describe_counter!(
        "postmeter_duplicates_total",
        "Events that had been received before"
    );
    describe_counter!(
        "postmeter_damaged_records_total",
        "Records that the disk gave back damaged"
    );
    describe_counter!(
        "postmeter_records_ended_total",
        "Records that a connection is done with, by how they ended"
    );
    describe_histogram!(
        "postmeter_acceptance_seconds",
        "Time from an event's receipt to Segment's acceptance"
    );
    describe_counter!(
        "postmeter_attempts_total",
        "POSTs to a destination, by status"
    );
    describe_counter!(
        "postmeter_replayed_calls_total",
        "Calls that replays sent again, by how they ended"
    );
    describe_gauge!(
        "postmeter_lag_records",
        "Records that a connection has not settled"
    );
    describe_gauge!(
        "postmeter_oldest_unsettled_seconds",
        "Age of the oldest unsettled record"
    );
    describe_gauge!(
        "postmeter_journal_last_record",
        "The last record on stable storage, by partition"
    );
    describe_gauge!(
        "postmeter_journal_indexed_record",
        "The last record that is indexed, by partition"
    );
    describe_gauge!("postmeter_journal_bytes", "Bytes of the log on disk");
    describe_gauge!(
        "postmeter_disk_free_bytes",
        "What is free of the journal's disk"
    );
    describe_gauge!(
        "postmeter_disk_total_bytes",
        "How large the journal's disk is"
    );
    describe_gauge!(
        "postmeter_disk_min_free_bytes",
        "Below this many free bytes events are answered 503"
    );
    describe_gauge!(
        "postmeter_disk_ballast_bytes",
        "Room held back for a full disk; zero while it is let go"
    );
    describe_gauge!("postmeter_dead_letters", "Dead letters kept");
}
