//! What can never be delivered as it is.

use jiff::Timestamp;
use serde::Serialize;

/// Dead letters, grouped by why they are.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Letters {
    /// All there are.
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
    /// The last word of the destination or the reason, for a person.
    pub note: Option<String>,
}
