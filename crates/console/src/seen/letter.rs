//! What can never be delivered as it is.

use jiff::Timestamp;
use serde::Serialize;

use super::Difference;

/// Dead letters, grouped by why they are.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Letters {
    /// All there are, whatever passes.
    pub total: u64,
    /// How many of the newest were looked at for the groups.
    pub examined: u64,
    /// Most letters first.
    pub groups: Vec<LetterGroup>,
}

/// Dead letters with one reason, of one connection.
#[derive(Clone, Debug, Serialize)]
pub struct LetterGroup {
    /// Names the group in addresses.
    pub key: String,
    /// Why, in words.
    pub reason: String,
    /// The connection; none where no connection could have delivered it.
    pub connection: Option<String>,
    /// How many.
    pub count: u64,
    /// When the newest was buried.
    pub newest_at: Timestamp,
    /// When the oldest was buried.
    pub oldest_at: Timestamp,
    /// Names of the events in it, a few.
    pub events: Vec<String>,
}

/// One dead letter.
#[derive(Clone, Debug, Serialize)]
pub struct LetterSeen {
    /// Its number.
    pub id: u64,
    /// Its record, as a text.
    pub record: String,
    /// The connection's name; none where no connection could have delivered it.
    pub connection: Option<String>,
    /// The workspace.
    pub workspace: String,
    /// When it was buried.
    pub buried_at: Timestamp,
    /// Why, in words.
    pub reason: String,
    /// The name of the event, where it got one.
    pub event: Option<String>,
    /// What Segment answered: the status and the beginning of the body.
    pub answer: Option<(u16, String)>,
    /// The raw event, as text.
    pub body: String,
    /// The call, as JSON; none where it became none.
    pub call: Option<String>,
}

/// Some dead letters, newest first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LetterList {
    /// They.
    pub letters: Vec<LetterSeen>,
    /// Below which number to look for older ones; none where there are none.
    pub older: Option<u64>,
    /// How many letters were looked at for them.
    pub examined: u64,
}

/// What an action on dead letters would touch, before it does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Foreseen {
    /// How many are meant, as far as was looked.
    pub count: u64,
    /// How many were looked at.
    pub examined: u64,
    /// Below which number there may be more that are meant; none where all were
    /// looked at, so that the count is exact.
    pub next: Option<u64>,
    /// All that is meant is below this number: what is buried later is not.
    pub below: u64,
    /// A retry sends them as they were refused.
    pub same: u64,
    /// A retry sends them with other fields than were refused.
    pub differ: u64,
    /// A retry makes a call of them, where there was none.
    pub fresh: u64,
    /// A retry cannot send them: how many for which reason, a few of those.
    pub unsendable: Vec<(String, u64)>,
    /// A few of them, those first that a retry changes.
    pub samples: Vec<Ahead>,
}

/// What a retry of one dead letter would send.
#[derive(Clone, Debug, Serialize)]
pub struct Ahead {
    /// Its number.
    pub id: u64,
    /// The name of the event, where it got one.
    pub event: Option<String>,
    /// The connection's name.
    pub connection: Option<String>,
    /// The call that was refused; none where there was none.
    pub before: Option<String>,
    /// The call of now.
    pub now: Option<String>,
    /// Why it is not sent; none where it is.
    pub why_not: Option<String>,
    /// The fields in which the two calls differ.
    pub differences: Vec<Difference>,
}

/// What came of discarding dead letters.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Discarded {
    /// They are gone for good.
    pub discarded: u64,
    /// Time was up: go on below this number. None where all are done.
    pub next: Option<u64>,
}

/// What came of trying dead letters again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Retried {
    /// Segment has them now; they are gone from the list.
    pub accepted: u64,
    /// Refused again; they stay.
    pub refused: u64,
    /// Not to be sent with the connection's options of now; they stay.
    pub skipped: u64,
    /// Not tried, because the destination does not answer or they have no connection.
    pub left: u64,
    /// Time was up: go on below this number. None where all were looked at.
    pub next: Option<u64>,
    /// The last word of the destination or the reason, for a person.
    pub note: Option<String>,
}
