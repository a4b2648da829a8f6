//! The one thread that writes: it takes what waits, writes it as one group, syncs
//! once, and only then answers all of it.
//!
//! A write that fails costs its group and its segment; the next group tries a
//! new one. A sync that fails ends everything: what is on the disk is unknown
//! from then on, so nothing more is promised until the log is opened anew.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use tracing::{error, info, warn};

use super::Shared;
use super::segments::{Segment, segment_name};
use super::storage::StoredFile;
use crate::append::{AppendError, Job, Order, Stored};
use crate::lock::lock;
use crate::place::{Partition, Place, Seq};
use crate::record::format;

/// The most records that one sync answers.
const MAX_GROUP_RECORDS: usize = 4096;
/// The most bytes that one sync answers, unless one record alone is larger.
const MAX_GROUP_BYTES: usize = 4 * 1024 * 1024;

/// The thread's state. It owns the segment that is written to.
pub(super) struct Committer {
    shared: Arc<Shared>,
    next: Seq,
    active: Option<Active>,
    poison: Option<Arc<io::Error>>,
    buffer: Vec<u8>,
    /// Taken from the queue, and no part of the group before it.
    waiting: Option<Order>,
}

struct Active {
    segment: Arc<Segment>,
    file: Arc<dyn StoredFile>,
}

/// Why a group was not committed.
enum Failure {
    Write(io::Error),
    Sync(io::Error),
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, next: Seq) -> Committer {
        Committer {
            shared,
            next,
            active: None,
            poison: None,
            buffer: Vec::new(),
            waiting: None,
        }
    }

    /// Does what is asked until every sender is gone and all they sent is answered.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        while let Some(order) = self.waiting.take().or_else(|| orders.recv().ok()) {
            self.carry_out(order, orders);
        }
    }

    /// Commits what waits, as one group, and tells how many it answered.
    pub(super) fn turn(&mut self, orders: &Receiver<Order>) -> usize {
        let next = self.waiting.take().or_else(|| orders.try_recv().ok());
        next.map_or(0, |order| self.carry_out(order, orders))
    }

    /// Tells how many records it answered.
    fn carry_out(&mut self, order: Order, orders: &Receiver<Order>) -> usize {
        match order {
            Order::Append(first) => {
                let group = self.gather(first, orders);
                let answered = group.len();
                self.commit(group);
                answered
            }
            Order::BeginSegment(done) => {
                self.begin_segment();
                // Who trims may have stopped waiting; nothing depends on it.
                done.send(()).ok();
                0
            }
        }
    }

    /// The group that begins with `first`: all that waits behind it and fits.
    fn gather(&mut self, first: Job, orders: &Receiver<Order>) -> Vec<Job> {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < MAX_GROUP_RECORDS {
            match orders.try_recv() {
                Ok(Order::Append(job)) if bytes + job.bytes() <= MAX_GROUP_BYTES => {
                    bytes += job.bytes();
                    group.push(job);
                }
                other => {
                    self.waiting = other.ok();
                    break;
                }
            }
        }
        group
    }

    /// Commits one group and answers everybody in it.
    fn commit(&mut self, group: Vec<Job>) {
        if let Some(cause) = &self.poison {
            let error = AppendError::Poisoned(Arc::clone(cause));
            answer_all(group, &error);
            return;
        }
        let offsets = self.encode(&group);
        let shared = Arc::clone(&self.shared);
        let closed = lock(&shared.closed);
        match self.write(&offsets, *closed) {
            Ok(()) => self.acknowledge(group),
            Err(Failure::Write(cause)) => {
                warn!("cannot write to the journal's log, will try a new segment: {cause}");
                self.shared.room.failed(cause.to_string());
                self.retire();
                self.shared.space.look();
                answer_all(group, &AppendError::Write(Arc::new(cause)));
            }
            Err(Failure::Sync(cause)) => {
                let cause = self.poison(cause);
                answer_all(group, &AppendError::Poisoned(cause));
            }
        }
    }

    /// Promises nothing any more.
    fn poison(&mut self, cause: io::Error) -> Arc<io::Error> {
        error!("cannot sync the journal's log, so it takes nothing more: {cause}");
        self.shared.room.poison(cause.to_string());
        let cause = Arc::new(cause);
        self.poison = Some(Arc::clone(&cause));
        cause
    }

    /// Begins an empty segment, so that all the others can be trimmed. Its name
    /// keeps the number of the next record when they are gone.
    fn begin_segment(&mut self) {
        if self.poison.is_some() {
            return;
        }
        let file = match self.create() {
            Ok(file) => file,
            Err(cause) => return info!("cannot begin a segment yet: {cause}"),
        };
        if let Err(cause) = self.shared.storage.sync_dir() {
            self.poison(cause);
            return;
        }
        let segment = Arc::new(Segment::new(self.next, 0));
        self.shared.segments.insert(Arc::clone(&segment));
        self.shared
            .segments
            .keep_open(segment.first, Arc::clone(&file));
        self.active = Some(Active { segment, file });
    }

    /// Fills the buffer with the group; tells where in it each record begins.
    fn encode(&mut self, group: &[Job]) -> Vec<u64> {
        self.buffer.clear();
        self.buffer.shrink_to(MAX_GROUP_BYTES);
        let mut seq = self.next;
        let mut offsets = Vec::with_capacity(group.len());
        for job in group {
            offsets.push(self.buffer.len() as u64);
            format::encode(&job.draft, seq, self.next, &mut self.buffer);
            seq = seq.next();
        }
        offsets
    }

    /// Brings the buffer onto stable storage, in a segment behind those `closed`.
    fn write(&mut self, offsets: &[u64], closed: Seq) -> Result<(), Failure> {
        let bytes = self.buffer.len() as u64;
        let limit = self.shared.segment_bytes;
        let full = |active: &mut Active| {
            active.segment.bytes() + bytes > limit || active.segment.first <= closed
        };
        if self.active.take_if(full).is_some() {
            info!("finished a segment before record {}", self.next);
        }
        if let Some(Active { segment, file }) = &self.active {
            file.append(&self.buffer).map_err(Failure::Write)?;
            let start = segment.bytes();
            file.sync().map_err(|cause| unsynced(file, start, cause))?;
            self.note(segment, start, offsets);
            segment.set_bytes(start + bytes);
            return Ok(());
        }
        let file = self.create().map_err(Failure::Write)?;
        if let Err(cause) = file.append(&self.buffer) {
            // A disk that is full gets back what was written in vain.
            self.shared.storage.unlink(&segment_name(self.next)).ok();
            return Err(Failure::Write(cause));
        }
        file.sync().map_err(|cause| unsynced(&file, 0, cause))?;
        // The file is found again after a power cut only once its entry is synced.
        self.shared.storage.sync_dir().map_err(Failure::Sync)?;
        let segment = Arc::new(Segment::new(self.next, bytes));
        self.note(&segment, 0, offsets);
        self.shared.segments.insert(Arc::clone(&segment));
        let first = segment.first;
        self.shared.segments.keep_open(first, Arc::clone(&file));
        self.active = Some(Active { segment, file });
        Ok(())
    }

    /// Makes the file of a segment that begins with the next record.
    ///
    /// A file of that name holds nothing that was ever acknowledged: a segment
    /// is named by the first record that is not in the ones before it.
    fn create(&self) -> io::Result<Arc<dyn StoredFile>> {
        let name = segment_name(self.next);
        let storage = &self.shared.storage;
        match storage.create(&name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                storage.unlink(&name)?;
                storage.create(&name)
            }
            created => created,
        }
    }

    fn note(&self, segment: &Segment, start: u64, offsets: &[u64]) {
        let mut seq = self.next;
        for offset in offsets {
            segment.note(seq, start + offset);
            seq = seq.next();
        }
    }

    /// Leaves the segment behind as it is: the next one's name says where its
    /// records end.
    fn retire(&mut self) {
        let Some(Active { segment, file }) = self.active.take() else {
            return;
        };
        if segment.bytes() == 0 {
            // It was begun so that others could go, and is still needed for its name.
            self.shared.segments.remove(segment.first);
            return self.begin_segment();
        }
        if let Ok(bytes) = file.size() {
            self.shared
                .room
                .wrote_in_vain(bytes.saturating_sub(segment.bytes()));
            segment.set_bytes(bytes);
        }
    }

    fn acknowledge(&mut self, mut group: Vec<Job>) {
        self.shared.room.wrote(self.buffer.len() as u64);
        self.shared.space.wrote(self.buffer.len() as u64);
        let claims = group.iter_mut().map(|job| &mut job.claim);
        self.shared.room.give_back(claims);
        let first = self.next;
        for _ in &group {
            self.next = self.next.next();
        }
        if let Some(job) = group.last() {
            let newest = job.draft.received_at.as_second();
            self.shared.newest_second.store(newest, Ordering::Relaxed);
        }
        self.shared.durable.send_replace(Some(self.next.previous()));
        let mut seq = first;
        for job in group {
            let place = Some(Place::new(Partition::ZERO, seq));
            job.answer(Ok(Stored { place }));
            seq = seq.next();
        }
    }
}

/// The failure of a sync of what begins at `start`.
///
/// The system may show those bytes for as long as it runs and never write them,
/// whatever a later sync says. So they go at once: read back after a restart they
/// would be taken for stored, and an event that is sent again for their repetition.
fn unsynced(file: &Arc<dyn StoredFile>, start: u64, cause: io::Error) -> Failure {
    if let Err(error) = file.cut(start) {
        warn!("cannot take back what was not synced: {error}");
    }
    Failure::Sync(cause)
}

fn answer_all(group: Vec<Job>, error: &AppendError) {
    for job in group {
        job.answer(Err(error.clone()));
    }
}
