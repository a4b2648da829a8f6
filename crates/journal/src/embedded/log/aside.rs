//! Sets aside what cannot be read: a copy of the bytes for whoever wants to look
//! at them, and a line that says where they were and why they are none.
//!
//! ```text
//! 00000000000000000004-00000000000000000006.damaged
//!     records 4 to 6: ..., 3123 bytes from byte 1044 of 00000000000000000004.log LF
//!     the bytes, as far as there is room for them
//! ```
//!
//! Nothing depends on these files: what cannot be copied is still passed over, and
//! they go with the records around them.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use tracing::{error, warn};

use super::segments::segment_name;
use super::storage::{Storage, StoredFile};
use crate::lock::lock;
use crate::place::Seq;

/// The most bytes that are copied of one damage.
const MAX_PIECE_BYTES: u64 = 8 * 1024 * 1024;
/// The most bytes that all copies take.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The most damages that are told of.
const MAX_TOLD: usize = 100;
/// The longest line that a file of ours begins with.
const MAX_LINE_BYTES: usize = 512;
const SUFFIX: &str = ".damaged";

/// Records that cannot be read, and the bytes where they were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Flaw {
    pub(super) first: Seq,
    pub(super) last: Seq,
    /// The segment that they belong to; none where it is missing.
    pub(super) segment: Option<Seq>,
    pub(super) bytes: Range<u64>,
    pub(super) why: &'static str,
}

impl Flaw {
    fn name(&self) -> String {
        let (first, last) = (self.first.get(), self.last.get());
        format!("{first:020}-{last:020}{SUFFIX}")
    }

    /// What it is, in words.
    fn words(&self) -> String {
        let Flaw {
            first, last, why, ..
        } = self;
        let Some(segment) = self.segment else {
            return format!("records {first} to {last}: {why}");
        };
        let (n_bytes, from) = (self.bytes.end - self.bytes.start, self.bytes.start);
        let segment = segment_name(segment);
        format!("records {first} to {last}: {why}, {n_bytes} bytes from byte {from} of {segment}")
    }
}

/// What was set aside.
pub(super) struct Aside {
    storage: Arc<dyn Storage>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What is there, by the first and the last record that it is about.
    told: Vec<(Seq, Seq, String)>,
    bytes: u64,
}

impl Aside {
    /// Finds what was set aside before.
    pub(super) fn open(storage: Arc<dyn Storage>) -> Aside {
        let mut inner = Inner::default();
        for file in storage.list().unwrap_or_default() {
            let Some((first, last)) = parse_name(&file.name) else {
                continue;
            };
            inner.bytes += file.bytes;
            let line = storage.open(&file.name).and_then(|file| first_line(&*file));
            inner.told.extend(line.ok().map(|line| (first, last, line)));
        }
        inner.told.sort();
        inner.told.truncate(MAX_TOLD);
        Aside {
            storage,
            inner: Mutex::new(inner),
        }
    }

    /// What was set aside, in words, upwards.
    pub(super) fn told(&self) -> Vec<String> {
        let inner = lock(&self.inner);
        inner
            .told
            .iter()
            .map(|(_, _, words)| words.clone())
            .collect()
    }

    /// Copies the bytes of a flaw out of its segment, and tells of it.
    pub(super) fn set(&self, flaw: &Flaw, segment: Option<&Arc<dyn StoredFile>>) {
        let words = flaw.words();
        error!("the journal cannot read {words}; they are set aside, and the rest goes on");
        let mut inner = lock(&self.inner);
        if let Some(segment) = segment {
            match self.copy(flaw, &**segment, &inner) {
                Ok(bytes) => inner.bytes += bytes,
                Err(error) => warn!("their bytes cannot be copied: {error}"),
            }
        }
        if inner.told.len() < MAX_TOLD {
            inner.told.push((flaw.first, flaw.last, words));
        }
    }

    fn copy(&self, flaw: &Flaw, segment: &dyn StoredFile, inner: &Inner) -> io::Result<u64> {
        let name = flaw.name();
        let room = MAX_BYTES.saturating_sub(inner.bytes).min(MAX_PIECE_BYTES);
        let n_bytes = (flaw.bytes.end - flaw.bytes.start).min(room);
        let n_bytes = usize::try_from(n_bytes).unwrap_or(0);
        let mut copy = flaw.words().into_bytes();
        copy.push(b'\n');
        let line_bytes = copy.len();
        copy.resize(line_bytes + n_bytes, 0);
        if let Some(bytes) = copy.get_mut(line_bytes..) {
            let n_read = segment.read_at(bytes, flaw.bytes.start)?;
            copy.truncate(line_bytes + n_read);
        }
        let file = self.storage.create(&name)?;
        let written = file.append(&copy).and_then(|()| file.sync());
        written.inspect_err(|_| drop(self.storage.unlink(&name)))?;
        Ok(copy.len() as u64)
    }

    /// Removes what is about certain records, given the first and the last that it
    /// is about: they were to be kept no longer.
    pub(super) fn remove(&self, is_doomed: impl Fn(Seq, Seq) -> bool) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        inner
            .told
            .retain(|(first, last, _)| !is_doomed(*first, *last));
        if inner.bytes == 0 {
            return Ok(());
        }
        for file in self.storage.list()? {
            let is_old = parse_name(&file.name).is_some_and(|(first, last)| is_doomed(first, last));
            if is_old {
                self.storage.unlink(&file.name)?;
                inner.bytes = inner.bytes.saturating_sub(file.bytes);
            }
        }
        Ok(())
    }
}

/// The records that a file of this name is about; none when it is another's.
fn parse_name(name: &str) -> Option<(Seq, Seq)> {
    let (first, last) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some((Seq::new(first.parse().ok()?), Seq::new(last.parse().ok()?)))
}

fn first_line(file: &dyn StoredFile) -> io::Result<String> {
    let mut bytes = vec![0; MAX_LINE_BYTES];
    let n_read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(n_read);
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}
