//! What this node has counted and not written yet.
//!
//! Counting is on the path of every event, so it is one short lock and a few
//! additions to numbers that are there; a whole page or batch takes the lock once.
//! They become series when their minute is over, or when somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use journal::Partition;
use receive::Receipt;
use tokio::sync::Notify;

use super::format::Marks;
use super::hour::{Hour, HourNumber, Minute};
use super::intake::{Intake, Turn};
use super::latency::Bucket;
use super::page::{Group, Groups, Seen};
use super::recent::Recent;
use super::series::{Answered, Ending, Series, What, event_of_code};
use crate::observe::End;

/// A clock that goes back further than this has been put right; one that goes
/// back less counts to its newest minute.
const JUMP_MINUTES: u64 = 60;
/// Series that wait for the journal over all hours, 5 MB; beyond, the oldest hour
/// is forgotten.
const MAX_WAITING: usize = 20_000;

/// What this node counts.
#[derive(Debug, Default)]
pub(crate) struct Live {
    counting: Mutex<Counting>,
    /// A workspace began to hold, or flows again.
    pub(super) turned: Notify,
}

#[derive(Debug, Default)]
struct Counting {
    /// The minute that is being counted.
    minute: Minute,
    workspaces: HashMap<Arc<str>, OfWorkspace>,
    connections: HashMap<Arc<str>, OfConnection>,
    waiting: BTreeMap<HourNumber, Hour>,
    marks: Marks,
    marks_moved: bool,
    intake: Intake,
    intake_moved: bool,
}

#[derive(Debug, Default)]
struct OfWorkspace {
    answers: [u32; Answered::ALL.len()],
    recent: Recent,
}

#[derive(Debug)]
struct OfConnection {
    ends: [u32; Ending::ALL.len()],
    took: [u32; Bucket::COUNT],
    attempts: HashMap<Option<u16>, u32>,
    recent: Recent,
}

/// What is to be written, as it was at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    pub(super) hours: BTreeMap<HourNumber, Hour>,
    pub(super) marks: Marks,
}

impl Live {
    /// A request was answered.
    pub(crate) fn answered(&self, receipt: &Receipt, now: Timestamp) {
        let answered = Answered::of(&receipt.answer);
        let mut counting = self.lock();
        counting.turn_to(now);
        let of = counting.workspace(receipt.workspace.as_ref());
        add(&mut of.answers, answered as usize, 1);
        if answered == Answered::Journaled {
            of.recent.add(now, 1);
        }
        let turn = counting.intake.note(receipt, now);
        counting.intake_moved |= receipt.workspace.is_some();
        drop(counting);
        if turn == Turn::Turned {
            self.turned.notify_one();
        }
    }

    /// A page of a partition was indexed. Records that were counted before are
    /// not counted again: after a crash the indexer reads them once more.
    pub(crate) fn indexed(&self, partition: Partition, page: &[Seen<'_>], now: Timestamp) {
        let mark = self.lock().marks.get(&partition.get()).copied();
        let mut groups = Groups::new(now);
        let mut last = None;
        for seen in page
            .iter()
            .filter(|seen| mark.is_none_or(|mark| seen.seq.get() > mark))
        {
            last = Some(seen.seq.get());
            groups.add(seen);
        }
        let Some(last) = last else { return };
        let mut counting = self.lock();
        counting.turn_to(now);
        counting.marks.insert(partition.get(), last);
        counting.marks_moved = true;
        for group in &groups.groups {
            counting.count_group(group);
        }
        counting.forget_oldest();
    }

    /// A connection is done with these records.
    pub(crate) fn ended(&self, connection: &Arc<str>, ends: &[(Timestamp, End)], now: Timestamp) {
        let mut counting = self.lock();
        counting.turn_to(now);
        let of = counting.connection(connection);
        let mut accepted = 0;
        for (received_at, end) in ends {
            add(&mut of.ends, Ending::of(*end) as usize, 1);
            if *end == End::Accepted {
                accepted += 1;
                let took = Duration::try_from(now.duration_since(*received_at));
                let bucket = Bucket::of(took.unwrap_or_default());
                add(&mut of.took, bucket.index(), 1);
            }
        }
        if accepted > 0 {
            of.recent.add(now, accepted);
        }
    }

    /// A connection has made these attempts.
    pub(crate) fn attempted(
        &self,
        connection: &Arc<str>,
        statuses: &[Option<u16>],
        now: Timestamp,
    ) {
        let mut counting = self.lock();
        counting.turn_to(now);
        let of = counting.connection(connection);
        for status in statuses {
            let count = of.attempts.entry(*status).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// What was written before this node began: counts go on behind it.
    pub(super) fn go_on(&self, marks: &Marks, intake: &Intake) {
        let mut counting = self.lock();
        for (partition, seq) in marks {
            let known = counting.marks.entry(*partition).or_default();
            *known = (*seq).max(*known);
        }
        counting.intake.merge(intake);
    }

    /// A copy of what is not written yet, with everything that was counted so far.
    pub(super) fn waiting(&self, now: Timestamp) -> Waiting {
        let mut counting = self.lock();
        counting.turn_to(now);
        counting.pour();
        let mut hours = counting.waiting.clone();
        if counting.marks_moved {
            // The marks are looked for in the newest hour.
            hours.entry(counting.minute.hour()).or_default();
        }
        Waiting {
            hours,
            marks: counting.marks.clone(),
        }
    }

    /// These counts of an hour are written.
    pub(super) fn written(&self, hour: HourNumber, counts: &Hour, marks: &Marks) {
        let mut counting = self.lock();
        if let Some(waiting) = counting.waiting.get_mut(&hour) {
            waiting.subtract(counts);
            if waiting.is_empty() {
                counting.waiting.remove(&hour);
            }
        }
        if hour == counting.minute.hour() {
            counting.marks_moved = counting.marks != *marks;
        }
    }

    /// What was answered, if it has changed since it was kept.
    pub(super) fn intake_moved(&self) -> Option<Intake> {
        let mut counting = self.lock();
        let moved = std::mem::take(&mut counting.intake_moved);
        moved.then(|| counting.intake.clone())
    }

    /// It could not be kept.
    pub(super) fn intake_not_kept(&self) {
        self.lock().intake_moved = true;
    }

    /// What was answered.
    pub(super) fn intake(&self) -> Intake {
        self.lock().intake.clone()
    }

    /// Events of a workspace that were journaled per second, over the last minute.
    pub(super) fn rate(&self, workspace: &str, now: Timestamp) -> f64 {
        let counting = self.lock();
        let of = counting.workspaces.get(workspace);
        of.map_or(0.0, |of| of.recent.rate(now))
    }

    /// Records that a connection's destination accepted per second, likewise.
    pub(super) fn accepted_rate(&self, connection: &str, now: Timestamp) -> f64 {
        let counting = self.lock();
        let of = counting.connections.get(connection);
        of.map_or(0.0, |of| of.recent.rate(now))
    }

    fn lock(&self) -> MutexGuard<'_, Counting> {
        // Counts are whole whatever their last holder died of.
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counting {
    /// Begins a new minute, if it is time.
    fn turn_to(&mut self, now: Timestamp) {
        let minute = Minute::of(now);
        let is_back = minute.0 + JUMP_MINUTES < self.minute.0;
        if minute > self.minute || is_back {
            self.pour();
            self.minute = minute;
        }
    }

    /// Makes series of the numbers of this minute.
    fn pour(&mut self) {
        let minute = self.minute;
        let mut poured = Hour::default();
        for (name, of) in &mut self.workspaces {
            of.pour(name, |series, n| poured.add(series, minute, n));
        }
        for (id, of) in &mut self.connections {
            of.pour(id, |series, n| poured.add(series, minute, n));
        }
        if !poured.is_empty() {
            self.waiting_at(minute.hour()).merge(&poured);
            self.forget_oldest();
        }
        // Those that nothing happens to would stay for ever.
        let idle_at = minute.begins_at();
        let is_busy = |recent: &Recent| recent.rate(idle_at) > 0.0;
        self.workspaces.retain(|_, of| is_busy(&of.recent));
        self.connections.retain(|_, of| is_busy(&of.recent));
    }

    fn waiting_at(&mut self, hour: HourNumber) -> &mut Hour {
        self.waiting.entry(hour).or_default()
    }

    fn forget_oldest(&mut self) {
        let mut n_waiting: usize = self.waiting.values().map(Hour::len).sum();
        while n_waiting > MAX_WAITING
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            n_waiting -= oldest.len();
        }
    }

    fn count_group(&mut self, group: &Group<'_>) {
        let workspace: Arc<str> = group.workspace.into();
        let hour = self.waiting_at(group.minute.hour());
        if group.repeats > 0 {
            let repeats = Series::new(What::Duplicate, &workspace);
            hour.add(repeats, group.minute, group.repeats);
        }
        for (code, n) in (0..=u8::MAX).zip(group.events) {
            if let Some(what) = event_of_code(code).filter(|_| n > 0) {
                hour.add(Series::new(what, &workspace), group.minute, n);
            }
        }
    }

    fn workspace(&mut self, name: Option<&Arc<str>>) -> &mut OfWorkspace {
        let name = name.map_or_else(|| Arc::from(""), Arc::clone);
        self.workspaces.entry(name).or_default()
    }

    fn connection(&mut self, id: &Arc<str>) -> &mut OfConnection {
        self.connections.entry(Arc::clone(id)).or_default()
    }
}

impl OfWorkspace {
    fn pour(&mut self, name: &Arc<str>, mut into: impl FnMut(Series, u32)) {
        for (answered, count) in Answered::ALL.into_iter().zip(&mut self.answers) {
            pour_one(&mut into, (What::Answer(answered), name), count);
        }
    }
}

impl OfConnection {
    fn pour(&mut self, id: &Arc<str>, mut into: impl FnMut(Series, u32)) {
        for (ending, count) in Ending::ALL.into_iter().zip(&mut self.ends) {
            pour_one(&mut into, (What::Ended(ending), id), count);
        }
        for (bucket, count) in Bucket::all().zip(&mut self.took) {
            pour_one(&mut into, (What::Took(bucket), id), count);
        }
        for (status, mut count) in self.attempts.drain() {
            pour_one(&mut into, (What::Attempt(status), id), &mut count);
        }
    }
}

impl Default for OfConnection {
    fn default() -> OfConnection {
        OfConnection {
            ends: [0; Ending::ALL.len()],
            took: [0; Bucket::COUNT],
            attempts: HashMap::new(),
            recent: Recent::default(),
        }
    }
}

fn pour_one(into: &mut impl FnMut(Series, u32), (what, of): (What, &Arc<str>), count: &mut u32) {
    let n = std::mem::take(count);
    if n > 0 {
        into(Series::new(what, of), n);
    }
}

fn add(counts: &mut [u32], index: usize, n: u32) {
    if let Some(count) = counts.get_mut(index) {
        *count = count.saturating_add(n);
    }
}

#[cfg(test)]
mod tests;
