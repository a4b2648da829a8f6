//! Sending again what the journal has: what is asked for, what it would do, and
//! how one is doing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CallSeen, Difference, Origin, Row};

/// What somebody wants to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayAsked {
    /// The name of the connection that sends it.
    pub connection: String,
    /// Which events, in the filter language; an empty text means all.
    pub filter: String,
    /// Calls per second at most; none: [`ReplayAsked::USUAL_RATE`].
    pub rate_per_s: Option<u32>,
}

impl ReplayAsked {
    /// Calls per second where nobody says otherwise.
    pub const USUAL_RATE: u32 = 200;
    /// The most calls per second that may be asked for.
    pub const MAX_RATE: u32 = 20_000;
}

/// How a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// It goes on, or waits for its turn.
    Running,
    /// The operator holds it; it keeps its place.
    Paused,
    /// The operator ended it; it keeps its place and can be resumed.
    Cancelled,
    /// It has been through all of its records.
    Done,
    /// It cannot go on.
    Failed,
}

impl ReplayState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            ReplayState::Running => "running",
            ReplayState::Paused => "paused",
            ReplayState::Cancelled => "cancelled",
            ReplayState::Done => "done",
            ReplayState::Failed => "failed",
        }
    }

    /// Whether nothing more happens unless somebody resumes it.
    pub fn is_over(self) -> bool {
        match self {
            ReplayState::Cancelled | ReplayState::Done | ReplayState::Failed => true,
            ReplayState::Running | ReplayState::Paused => false,
        }
    }
}

/// What an operator does to a replay that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Holds it where it is.
    Pause,
    /// Lets a paused or cancelled one go on where it was.
    Resume,
    /// Ends it where it is.
    Cancel,
}

impl Steer {
    /// All of them.
    pub const ALL: [Steer; 3] = [Steer::Pause, Steer::Resume, Steer::Cancel];

    /// As addresses and commands have it.
    pub fn word(self) -> &'static str {
        match self {
            Steer::Pause => "pause",
            Steer::Resume => "resume",
            Steer::Cancel => "cancel",
        }
    }
}

/// What became of the records that a replay has been through. Each is counted in
/// one of them, but for `sent`, which is `accepted` and `refused` together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayCounts {
    /// Calls that were sent.
    pub sent: u64,
    /// Calls that Segment took.
    pub accepted: u64,
    /// Calls that Segment refused: each has a dead letter.
    pub refused: u64,
    /// Other workspaces' records, and events that the filter leaves out.
    pub not_asked: u64,
    /// Records that the connection has not been through itself: they go by
    /// themselves.
    pub not_settled: u64,
    /// Repeats of an event, which are never sent.
    pub duplicates: u64,
    /// Not the first occurrence, on a connection that sends only those.
    pub not_first: u64,
    /// Events that the connection's options leave out.
    pub left_out: u64,
    /// Events that no call can be made of: each has a dead letter.
    pub unusable: u64,
    /// Records that are damaged, erased, or not kept any more.
    pub gone: u64,
}

impl ReplayCounts {
    /// Records that it has been through.
    pub fn examined(&self) -> u64 {
        self.sent + self.skipped()
    }

    /// Records that were not sent.
    pub fn skipped(&self) -> u64 {
        let asked = self.not_settled + self.duplicates + self.not_first + self.left_out;
        asked + self.unusable + self.gone + self.not_asked
    }

    /// Adds what another has counted.
    pub fn add(&mut self, more: &ReplayCounts) {
        self.sent += more.sent;
        self.accepted += more.accepted;
        self.refused += more.refused;
        self.not_asked += more.not_asked;
        self.not_settled += more.not_settled;
        self.duplicates += more.duplicates;
        self.not_first += more.not_first;
        self.left_out += more.left_out;
        self.unusable += more.unusable;
        self.gone += more.gone;
    }
}

/// A replay and how far it has come; once it is over, its report.
#[derive(Clone, Debug, Serialize)]
pub struct ReplaySeen {
    /// Its number.
    pub number: u64,
    /// The connection's name.
    pub connection: String,
    /// Which events it is for, in the filter language.
    pub filter: String,
    /// Calls per second at most.
    pub rate_per_s: u32,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Through what.
    pub asked_through: Origin,
    /// How it stands.
    pub state: ReplayState,
    /// Why, or what it waits for; none where the state says it all.
    pub reason: Option<String>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How long it has worked, in seconds.
    pub worked_s: f64,
    /// Records that it goes through in all.
    pub records: u64,
    /// Records that it has been through.
    pub examined: u64,
    /// What became of those.
    pub counts: ReplayCounts,
    /// The record of the first call that was sent.
    pub first_record: Option<String>,
    /// The record of the last call that was sent.
    pub last_record: Option<String>,
    /// When it will be done if it goes on like this; none where nobody can say.
    pub done_at: Option<Timestamp>,
    /// What deserves a look, such as options that changed on the way.
    pub notes: Vec<String>,
}

impl ReplaySeen {
    /// How much of its records it has been through, from 0 to 100.
    pub fn percent(&self) -> u64 {
        match self.records {
            0 => 100,
            records => self.examined.min(records) * 100 / records,
        }
    }
}

/// What a replay would do.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayPreview {
    /// The connection's name.
    pub connection: String,
    /// Which events it would be for, with its times as they are.
    pub filter: String,
    /// Calls per second at most.
    pub rate_per_s: u32,
    /// Records that it would go through.
    pub records: u64,
    /// How many of these were looked at.
    pub examined: u64,
    /// Whether that was all of them. Otherwise there are at least so many calls.
    pub complete: bool,
    /// Through when the records were received that were looked at; none where
    /// there are none.
    pub looked_through: Option<Timestamp>,
    /// Calls that would be sent, of the records that were looked at.
    pub calls: u64,
    /// Calls in all, reckoned from those that were looked at.
    pub calls_about: u64,
    /// How long that takes at the rate, in seconds.
    pub takes_s: u64,
    /// What else becomes of the records that were looked at.
    pub counts: ReplayCounts,
    /// What deserves a look before it begins.
    pub warnings: Vec<String>,
    /// The first few calls.
    pub samples: Vec<ReplaySample>,
}

/// One call that a replay would send.
#[derive(Clone, Debug, Serialize)]
pub struct ReplaySample {
    /// The event, with what became of it on the connection before.
    pub row: Row,
    /// The call as it would be sent.
    pub call: CallSeen,
    /// Whether it was sent before, as far as anybody knows.
    pub sent_before: bool,
    /// Fields that are not what they were in the call before; none where they are
    /// the same, or it was not sent before.
    pub differences: Vec<Difference>,
}
