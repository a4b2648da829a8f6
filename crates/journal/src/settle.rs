//! What dispatch leaves behind: how far a connection has come, what it claimed on
//! the way, and what could never be delivered. Settings live here too: the other
//! things that nobody can derive from the log.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use crate::index::ClaimKey;
use crate::place::{Partition, Place, Seq};

/// One step of a connection through one partition. The cursor is the last to move:
/// behind it everything else is durable, and a step that broke off in between may
/// be taken again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// Whose cursor moves.
    pub connection: String,
    /// The partition it moves in.
    pub partition: Partition,
    /// Every record up to this one is accepted, skipped or buried. A cursor that
    /// is already further stays where it is.
    pub through: Seq,
    /// First-only claims and the records that make them. A claim that another
    /// record holds stays with its holder.
    pub claims: Vec<(ClaimKey, Place)>,
    /// What was buried on the way.
    pub dead_letters: Vec<NewDeadLetter>,
    /// What ended on the way, before or behind `through`: batches end in any
    /// order.
    pub traces: Vec<Trace>,
}

/// What a connection did with some of the records from one to another.
///
/// What it was is for whoever wrote it to tell. A connection has one trace through
/// each record of a partition: the one that was written last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The first of the records.
    pub first: Seq,
    /// The last of them.
    pub through: Seq,
    /// What was done.
    pub value: Bytes,
}

impl Trace {
    /// The most bytes of a value.
    pub const MAX_VALUE_BYTES: usize = 16 * 1024;

    /// How many traces behind a record are looked at for those that begin before
    /// it. Ranges overlap where calls were sent again, and seldom by more.
    pub const MAX_LOOKED_AT: usize = 256;
}

/// An event or call that can never be delivered as it is, about to be buried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDeadLetter {
    /// The record it came from.
    pub place: Place,
    /// The connection that could not deliver it; none when no connection could.
    pub connection: Option<String>,
    /// When it was buried.
    pub buried_at: Timestamp,
    /// Why, in words for a person.
    pub reason: String,
    /// The name of the event, where it got one.
    pub event_name: Option<String>,
    /// The call it became, if it became one.
    pub call: Option<Bytes>,
    /// What the target answered, if it was asked.
    pub answer: Option<Answer>,
    /// The workspace the event came from.
    pub workspace: String,
    /// The raw event, kept here because the log may have trimmed it.
    pub body: Bytes,
}

/// A target's answer to an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status of the answer.
    pub status: u16,
    /// As much of its body as the caller chose to keep.
    pub body: Bytes,
}

/// A dead letter's number: later burials have larger ones, and none is used
/// twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeadLetterId(u64);

impl DeadLetterId {
    /// The id with this number.
    pub const fn new(number: u64) -> DeadLetterId {
        DeadLetterId(number)
    }

    /// The bare number, as shown to people.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A dead letter as kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Its number.
    pub id: DeadLetterId,
    /// What was buried.
    pub letter: NewDeadLetter,
}

/// Which dead letters to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetterFilter {
    /// Only this connection's; all when none is named.
    pub connection: Option<String>,
    /// Only what a list, newest first, shows below this one: the last id of the
    /// page before.
    pub after: Option<DeadLetterId>,
    /// The most letters.
    pub limit: usize,
}

/// How often the settings had been changed when one was written. Never used
/// twice, so equal revisions mean an equal value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Revision(u64);

impl Revision {
    /// The revision with this number.
    pub const fn new(number: u64) -> Revision {
        Revision(number)
    }

    /// The bare number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A setting as kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The bytes that were put.
    pub value: Bytes,
    /// The change that put them.
    pub revision: Revision,
}
