//! The log: records in the order they came, in append-only segments.
//!
//! An append is answered when the record and the way to find it are on stable
//! storage, and not before. What was answered is there after any crash, byte for
//! byte, at the same place; what was not may be there or not. A place is never
//! given to another record once it could be read.
//!
//! The log opens in the time it takes to list its folder and read its last
//! segment. It never appends to a segment that it did not begin itself: a new
//! one, named by the next place, ends what came before, whatever a crash left
//! there.
//!
//! It knows bytes and places; what an event is, and who has read how far, it
//! refuses to know.

mod aside;
mod committer;
mod damage;
mod erase;
mod read;
mod recover;
mod segments;
mod space;
mod storage;
mod trim;
mod walk;

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use tokio::sync::watch;
use tracing::error;

pub use space::DiskStats;
pub use storage::{Capacity, Listed, Storage, StoredFile};
pub use trim::{Expiry, Trimmed};

pub(crate) use read::Lookup;
pub(crate) use space::make_way;
pub(crate) use storage::{Disk, make_folder, sync_folder};

use self::aside::Aside;
use self::committer::Committer;
use self::damage::Damage;
use self::recover::{Tail, recover_tail};
use self::segments::{Segment, Segments, is_rewritten_name, parse_segment_name, segment_name};
use self::space::Space;
use crate::append::{Order, Permit, Queue};
use crate::config::Config;
use crate::lock::lock;
use crate::place::Seq;
use crate::room::{Health, Limits, Room, Unavailable};

/// A log that is open. Dropping it commits what waits.
pub struct Log {
    shared: Arc<Shared>,
    /// Where appends go; none once the log is closed.
    queue: Arc<Mutex<Option<SyncSender<Order>>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    trimming: Mutex<()>,
}

/// The committer of a log without a thread: whoever has it says when the disk has
/// had its time.
pub struct Commits {
    committer: Committer,
    orders: Receiver<Order>,
}

impl Commits {
    /// Commits what was appended and waits, as one group, and answers it. Tells how
    /// many records that were.
    pub fn turn(&mut self) -> usize {
        self.committer.turn(&self.orders)
    }
}

/// What the committer, the readers and those who append have in common.
struct Shared {
    storage: Arc<dyn Storage>,
    segment_bytes: u64,
    max_bytes: u64,
    segments: Segments,
    room: Arc<Room>,
    space: Space,
    durable: watch::Sender<Option<Seq>>,
    /// When the newest record arrived, in seconds; the least when none is known.
    newest_second: AtomicI64,
    damage: Mutex<Damage>,
    /// The last segment that nothing is written to any more, by its first record. The
    /// committer holds it from the moment it looks until it has acknowledged.
    closed: Mutex<Seq>,
    aside: Aside,
}

/// What the log holds, in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogStats {
    /// The first place that may be read; none when the log is empty.
    pub first: Option<Seq>,
    /// The last place on stable storage; none when nothing was ever appended.
    pub last: Option<Seq>,
    /// Bytes on disk.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: usize,
    /// Records that were found to be damaged since the log was opened.
    pub damaged: u64,
    /// What is known of the disk; none where it does not say.
    pub disk: Option<DiskStats>,
    /// How the log is.
    pub health: Health,
}

impl Log {
    /// Opens the log in `storage`, with the limits of `config`.
    ///
    /// Everything up to `floor` is known to have been durable: it is never
    /// taken for a torn tail, and no place up to there is given out again.
    ///
    /// # Errors
    ///
    /// The storage failed, or no thread could be started.
    pub fn open(storage: Arc<dyn Storage>, config: &Config, floor: Seq) -> io::Result<Log> {
        let (log, commits) = Self::open_by_hand(storage, config, floor)?;
        let Commits { committer, orders } = commits;
        let thread = thread::Builder::new()
            .name("journal-log".to_owned())
            .spawn(move || committer.run(&orders))?;
        *lock(&log.committer) = Some(thread);
        Ok(log)
    }

    /// As [`Log::open`], without a thread: nothing is committed but by hand.
    pub(crate) fn open_by_hand(
        storage: Arc<dyn Storage>,
        config: &Config,
        floor: Seq,
    ) -> io::Result<(Log, Commits)> {
        let segments = Segments::new(Arc::clone(&storage));
        let (tail, bytes) = load(&storage, &segments, floor)?;
        let last = (tail.last > Seq::ZERO).then_some(tail.last);
        let newest = tail.received_at.map_or(i64::MIN, Timestamp::as_second);
        let limits = Limits {
            max_bytes: config.max_bytes,
            queue_records: config.queue_records,
            queue_bytes: config.queue_bytes,
        };
        let room = Arc::new(Room::new(limits, bytes));
        let aside = Aside::open(Arc::clone(&storage));
        let space = Space::open(Arc::clone(&storage), config, Arc::clone(&room));
        let shared = Arc::new(Shared {
            storage,
            segment_bytes: config.segment_bytes,
            max_bytes: config.max_bytes,
            segments,
            room,
            space,
            durable: watch::Sender::new(last),
            newest_second: AtomicI64::new(newest),
            damage: Mutex::default(),
            closed: Mutex::new(Seq::ZERO),
            aside,
        });
        // Room is claimed before anything is sent, so the queue is never full; one
        // more than that is for who trims.
        let (sender, orders) = sync_channel(config.queue_records + 1);
        let committer = Committer::new(Arc::clone(&shared), tail.last.next());
        let log = Log {
            shared,
            queue: Arc::new(Mutex::new(Some(sender))),
            committer: Mutex::default(),
            trimming: Mutex::new(()),
        };
        Ok((log, Commits { committer, orders }))
    }

    /// Reserves room for a record with a body of `body_bytes`; never waits.
    pub fn reserve(&self, body_bytes: usize) -> Result<Permit, Unavailable> {
        Ok(Permit {
            claim: self.shared.room.claim(body_bytes)?,
            queue: Queue::Thread(Arc::clone(&self.queue)),
        })
    }

    /// Follows the last place on stable storage.
    pub fn durable(&self) -> watch::Receiver<Option<Seq>> {
        self.shared.durable.subscribe()
    }

    /// When the newest record arrived, or one not long before it; none when no
    /// record can be read.
    pub(crate) fn newest_at(&self) -> Option<Timestamp> {
        let second = self.shared.newest_second.load(Ordering::Relaxed);
        Timestamp::from_second(second).ok().or_else(|| {
            let segments = self.shared.segments.all();
            let mut newest_first = segments.iter().rev();
            newest_first.find_map(|holding| self.begun_at(holding).ok().flatten())
        })
    }

    /// Looks how much of the disk is free, and turns events away or takes them
    /// again. To be called about every second: the log itself looks only after
    /// it has written a few MiB.
    pub fn look(&self) {
        self.shared.space.look();
    }

    /// Takes nothing more: what is beside the log cannot be trusted.
    pub(crate) fn poison(&self, cause: &str) {
        self.shared.room.poison(cause.to_owned());
    }

    /// How many bytes lie in the segments that hold `first` and all above.
    pub(crate) fn bytes_from(&self, first: Seq) -> u64 {
        self.shared.segments.bytes_from(first)
    }

    /// What was found that cannot be read, in words: where it was, and why. Its
    /// bytes are in files beside the segments.
    pub fn set_aside(&self) -> Vec<String> {
        self.shared.aside.told()
    }

    /// What the log holds.
    pub fn stats(&self) -> LogStats {
        let last = *self.shared.durable.borrow();
        let first = self.shared.segments.first();
        LogStats {
            // An empty segment is named by the record that will come.
            first: first.filter(|first| last.is_some_and(|last| *first <= last)),
            last,
            bytes: self.shared.room.disk_bytes(),
            segments: self.shared.segments.count(),
            damaged: lock(&self.shared.damage).records(),
            disk: self.shared.space.stats(),
            health: self.shared.room.health(),
        }
    }

    /// Gives no more permits, commits what was appended, and ends the thread.
    /// Waits for all of it. Permits still held are worth nothing afterwards.
    pub fn close(&self) {
        self.shared.room.close();
        lock(&self.queue).take();
        let committer = lock(&self.committer).take();
        if committer.is_some_and(|thread| thread.join().is_err()) {
            error!("the journal's committer panicked; what it had in hand was not acknowledged");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// Lists the segments and recovers the last of them. Tells how many bytes they
/// all take.
fn load(storage: &Arc<dyn Storage>, segments: &Segments, floor: Seq) -> io::Result<(Tail, u64)> {
    let mut listed = Vec::new();
    for file in storage.list()? {
        if is_rewritten_name(&file.name) {
            storage.unlink(&file.name)?; // its original is there, and whole
        }
        if let Some(first) = parse_segment_name(&file.name) {
            listed.push((first, file.bytes));
        }
    }
    listed.sort_unstable();
    let mut tail = Tail {
        last: floor,
        received_at: None,
    };
    if let Some((first, _)) = listed.last().copied() {
        tail = recover(storage, first, floor)?;
        if tail.last < first {
            // Nothing in it was ever acknowledged. The file stays until the
            // next append replaces it.
            listed.pop();
        }
    }
    let mut bytes = 0;
    for (first, segment_bytes) in listed {
        bytes += segment_bytes;
        segments.insert(Arc::new(Segment::new(first, segment_bytes)));
    }
    Ok((tail, bytes))
}

/// Recovers the segment that begins with `first`, and makes sure that what it
/// keeps stays.
fn recover(storage: &Arc<dyn Storage>, first: Seq, floor: Seq) -> io::Result<Tail> {
    let file = storage.open(&segment_name(first))?;
    // What is read back may be in memory only. Nobody may see it before it is
    // where a power cut cannot take it away again.
    file.sync()?;
    storage.sync_dir()?;
    recover_tail(&file, first, floor)
}
