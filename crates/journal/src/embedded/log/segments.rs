//! Which segments there are, where in them to start looking for a record, and a
//! bounded number of them held open.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::storage::{Storage, StoredFile};
use super::walk::Span;
use crate::lock::lock;
use crate::place::Seq;

/// A segment's name is the seq of its first record, in so many digits, and this.
const SUFFIX: &str = ".log";
const SEQ_DIGITS: usize = 20;
/// The most segments that are held open for reading.
const MAX_OPEN_FILES: usize = 32;
/// What stands behind the name of a segment that is being written anew.
const REWRITTEN_SUFFIX: &str = ".new";
/// How far apart the remembered offsets of a segment are, at least.
const MARK_EVERY_BYTES: u64 = 64 * 1024;

/// One segment that holds at least one record that may be read.
pub(super) struct Segment {
    pub(super) first: Seq,
    bytes: AtomicU64,
    /// Where some of the records begin, upwards; never empty.
    marks: Mutex<Vec<Mark>>,
    /// When its first readable record arrived, once somebody has looked.
    pub(super) begun_at: Mutex<Option<Timestamp>>,
}

#[derive(Clone, Copy)]
struct Mark {
    seq: Seq,
    offset: u64,
}

impl Segment {
    pub(super) fn new(first: Seq, bytes: u64) -> Segment {
        let start = Mark {
            seq: first,
            offset: 0,
        };
        Segment {
            first,
            bytes: AtomicU64::new(bytes),
            marks: Mutex::new(vec![start]),
            begun_at: Mutex::new(None),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Remembers where `seq` begins, if that is worth it.
    ///
    /// Only called while walking up from an earlier mark, so that no mark is
    /// ever above one that is missing.
    pub(super) fn note(&self, seq: Seq, offset: u64) {
        let mut marks = lock(&self.marks);
        let last = marks.last().map_or(0, |mark| mark.offset);
        if offset >= last + MARK_EVERY_BYTES {
            marks.push(Mark { seq, offset });
        }
    }

    /// The walk that reaches `from` soonest and ends before `end`.
    pub(super) fn span(&self, from: Seq, end: Seq) -> Span {
        let marks = lock(&self.marks);
        let nearest = marks.partition_point(|mark| mark.seq <= from);
        let mark = nearest
            .checked_sub(1)
            .and_then(|index| marks.get(index))
            .copied();
        Span {
            offset: mark.map_or(0, |mark| mark.offset),
            from: mark.map_or(self.first, |mark| mark.seq),
            end,
        }
    }
}

/// A segment and the first place that is no longer its own.
pub(super) struct Holding {
    pub(super) segment: Arc<Segment>,
    /// The next segment's first place; what this one has there or beyond was
    /// never acknowledged.
    pub(super) end: Option<Seq>,
}

/// What became of the file that a segment was in.
pub(super) enum Opened {
    /// It is there.
    File(Arc<dyn StoredFile>),
    /// The log has let go of it.
    Trimmed,
    /// Another segment has its place, with the same records or their tombstones.
    Replaced,
}

/// All segments of a log, upwards.
pub(super) struct Segments {
    storage: Arc<dyn Storage>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_first: BTreeMap<Seq, Arc<Segment>>,
    /// Least recently used first.
    open: VecDeque<(Seq, Arc<dyn StoredFile>)>,
}

impl Segments {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Segments {
        Segments {
            storage,
            inner: Mutex::default(),
        }
    }

    pub(super) fn insert(&self, segment: Arc<Segment>) {
        lock(&self.inner).by_first.insert(segment.first, segment);
    }

    /// Forgets a segment; nobody finds it any more, who reads it may finish.
    pub(super) fn remove(&self, first: Seq) {
        let mut inner = lock(&self.inner);
        inner.by_first.remove(&first);
        inner.open.retain(|(open, _)| *open != first);
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.inner).by_first.len()
    }

    /// The first place that may be read; none when there is no segment.
    pub(super) fn first(&self) -> Option<Seq> {
        lock(&self.inner).by_first.keys().next().copied()
    }

    /// The first place of the last segment; none when there is no segment.
    pub(super) fn last(&self) -> Option<Seq> {
        lock(&self.inner).by_first.keys().next_back().copied()
    }

    /// Every segment with its end, upwards.
    pub(super) fn all(&self) -> Vec<Holding> {
        let inner = lock(&self.inner);
        let ends = inner.by_first.keys().skip(1).copied().map(Some);
        let segments = inner.by_first.values().cloned();
        segments
            .zip(ends.chain([None]))
            .map(|(segment, end)| Holding { segment, end })
            .collect()
    }

    /// The segment that `seq` belongs to, or else the first one above it.
    pub(super) fn holding(&self, seq: Seq) -> Option<Holding> {
        let inner = lock(&self.inner);
        let at_or_below = inner.by_first.range(..=seq).next_back();
        let (_, segment) = at_or_below.or_else(|| inner.by_first.range(seq..).next())?;
        let end = inner.by_first.range(segment.first.next()..).next();
        Some(Holding {
            segment: Arc::clone(segment),
            end: end.map(|(first, _)| *first),
        })
    }

    /// How many bytes the segments take that hold `first` and everything above.
    pub(super) fn bytes_from(&self, first: Seq) -> u64 {
        let inner = lock(&self.inner);
        let above = inner.by_first.range(first.next()..);
        let holding = inner.by_first.range(..=first).next_back();
        above
            .chain(holding)
            .map(|(_, segment)| segment.bytes())
            .sum()
    }

    /// The segment's file. It is this very segment's, whose marks fit to it, or none.
    pub(super) fn file(&self, segment: &Arc<Segment>) -> io::Result<Opened> {
        let mut inner = lock(&self.inner);
        match inner.by_first.get(&segment.first) {
            None => return Ok(Opened::Trimmed),
            Some(there) if !Arc::ptr_eq(there, segment) => return Ok(Opened::Replaced),
            Some(_) => (),
        }
        if let Some(file) = inner.already_open(segment.first) {
            return Ok(Opened::File(file));
        }
        match self.storage.open(&segment_name(segment.first)) {
            Ok(file) => {
                inner.keep_open(segment.first, Arc::clone(&file));
                Ok(Opened::File(file))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Opened::Trimmed),
            Err(error) => Err(error),
        }
    }

    /// Has `rename` put another file of so many bytes in the place of the segment's.
    /// Who has the old one open reads on in it; nobody meets one with the other's marks.
    pub(super) fn replace(
        &self,
        segment: &Segment,
        bytes: u64,
        rename: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let replacement = Segment::new(segment.first, bytes);
        *lock(&replacement.begun_at) = *lock(&segment.begun_at);
        let mut inner = lock(&self.inner);
        rename()?;
        inner.open.retain(|(open, _)| *open != segment.first);
        inner.by_first.insert(segment.first, Arc::new(replacement));
        Ok(())
    }

    /// Holds `file` open, and closes the one that was not used for longest when
    /// there are too many.
    pub(super) fn keep_open(&self, first: Seq, file: Arc<dyn StoredFile>) {
        let mut inner = lock(&self.inner);
        if inner.by_first.contains_key(&first) {
            inner.keep_open(first, file);
        }
    }
}

impl Inner {
    fn already_open(&mut self, first: Seq) -> Option<Arc<dyn StoredFile>> {
        let index = self.open.iter().position(|(open, _)| *open == first)?;
        let used = self.open.remove(index)?;
        let file = Arc::clone(&used.1);
        self.open.push_back(used);
        Some(file)
    }

    fn keep_open(&mut self, first: Seq, file: Arc<dyn StoredFile>) {
        self.open.retain(|(open, _)| *open != first);
        self.open.push_back((first, file));
        if self.open.len() > MAX_OPEN_FILES {
            self.open.pop_front();
        }
    }
}

/// The name of the segment that begins with `first`.
pub(super) fn segment_name(first: Seq) -> String {
    format!("{:0SEQ_DIGITS$}{SUFFIX}", first.get())
}

/// The name of what is to replace the segment that begins with `first`.
pub(super) fn rewritten_name(first: Seq) -> String {
    format!("{}{REWRITTEN_SUFFIX}", segment_name(first))
}

/// Whether a file of this name was to replace a segment.
pub(super) fn is_rewritten_name(name: &str) -> bool {
    let original = name.strip_suffix(REWRITTEN_SUFFIX);
    original.is_some_and(|original| parse_segment_name(original).is_some())
}

/// The first seq of the segment with this name; none when it is another file's.
pub(super) fn parse_segment_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != SEQ_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits
        .parse()
        .ok()
        .map(Seq::new)
        .filter(|seq| *seq > Seq::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_named_by_its_first_record() {
        let name = segment_name(Seq::new(4711));
        assert_eq!(name, "00000000000000004711.log");
        assert_eq!(parse_segment_name(&name), Some(Seq::new(4711)));
        for other in [
            "FORMAT",
            "4711.log",
            "00000000000000000000.log",
            "+0000000000000004711.log",
        ] {
            assert_eq!(parse_segment_name(other), None, "{other}");
        }
    }
}
