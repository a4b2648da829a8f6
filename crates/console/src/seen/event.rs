//! One event, and everything that happened to it.

use std::fmt;

use jiff::Timestamp;
use journal::Place;
use serde::{Serialize, Serializer};

use super::overview::KeySeen;

/// What an event is about, as Customer.io's `object_type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// `email`
    Email,
    /// `push`
    Push,
    /// `sms`
    Sms,
    /// `in_app`
    InApp,
    /// `whatsapp`
    Whatsapp,
    /// `slack`
    Slack,
    /// `webhook`
    Webhook,
    /// `customer`
    Customer,
    /// Any that this version does not know.
    Other,
}

impl Channel {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Channel; 9] = [
        Channel::Email,
        Channel::Push,
        Channel::Sms,
        Channel::InApp,
        Channel::Whatsapp,
        Channel::Slack,
        Channel::Webhook,
        Channel::Customer,
        Channel::Other,
    ];

    /// The channel of an `object_type`.
    pub fn of(object_type: Option<&str>) -> Channel {
        let known = Channel::ALL.into_iter();
        let mut known = known.filter(|channel| *channel != Channel::Other);
        let found = known.find(|channel| Some(channel.word()) == object_type);
        found.unwrap_or(Channel::Other)
    }

    /// As events and addresses have it.
    pub fn word(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Push => "push",
            Channel::Sms => "sms",
            Channel::InApp => "in_app",
            Channel::Whatsapp => "whatsapp",
            Channel::Slack => "slack",
            Channel::Webhook => "webhook",
            Channel::Customer => "customer",
            Channel::Other => "other",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Channel::Email => "Email",
            Channel::Push => "Push",
            Channel::Sms => "SMS",
            Channel::InApp => "In-App",
            Channel::Whatsapp => "WhatsApp",
            Channel::Slack => "Slack",
            Channel::Webhook => "Webhook",
            Channel::Customer => "Customer",
            Channel::Other => "Other",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// One POST to a destination.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptSeen {
    /// When it began.
    pub at: Timestamp,
    /// How many calls it carried.
    pub calls: u64,
    /// The answer's status; none where there was no answer.
    pub status: Option<u16>,
    /// The beginning of the answer, or why there was none.
    pub answer: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// An event in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its record.
    #[serde(serialize_with = "as_text")]
    pub place: Place,
    /// When it was received.
    pub received_at: Timestamp,
    /// Whether it came when it happened, or was imported.
    pub came: Came,
    /// Its workspace.
    pub workspace: String,
    /// What it is.
    pub kind: RowKind,
    /// What it is called: `Email Opened`; of what is no event, a word for it.
    pub name: String,
    /// What it is about.
    pub channel: Channel,
    /// The person: id, else email, else the id of Customer.io.
    pub person: Option<String>,
    /// The person's email, where it is known.
    pub email: Option<String>,
    /// Customer.io's id of the event.
    pub event_id: Option<String>,
    /// The delivery that it is about.
    pub delivery_id: Option<String>,
    /// What became of it on each connection of its workspace.
    pub ends: Vec<RowEnd>,
}

/// How an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// Customer.io sent it when it happened.
    Live,
    /// Somebody brought it in from a file.
    Imported,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum RowKind {
    /// The first with this event.
    Event,
    /// A test of Customer.io's webhook page: it names no metric.
    Test,
    /// Another record had this event before.
    Duplicate {
        /// The other one.
        #[serde(serialize_with = "as_text")]
        of: Place,
    },
    /// Nothing can be made of it.
    Unusable {
        /// Why.
        reason: String,
    },
    /// It was received a moment ago, and nobody has looked at it yet.
    Fresh,
}

/// What became of an event on one connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowEnd {
    /// The connection's name.
    pub connection: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an event on a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Outcome {
    /// Segment has the call.
    Accepted {
        /// From receipt to acceptance, in milliseconds; none where no trace is left.
        took_ms: Option<f64>,
    },
    /// It was not to be sent.
    Skipped {
        /// Why, in words.
        reason: String,
    },
    /// It can never be delivered as it is.
    Buried {
        /// The dead letter's number; none once it is gone.
        letter: Option<u64>,
        /// Why, in words.
        reason: String,
    },
    /// It is on its way, or waits.
    Waiting {
        /// What for, in words.
        reason: String,
    },
    /// It was settled without us: before the connection began, or while it was disabled.
    Passed {
        /// Why, in words.
        reason: String,
    },
}

impl Outcome {
    /// In a word, as filters have it.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Buried { .. } => "buried",
            Outcome::Waiting { .. } => "waiting",
            Outcome::Passed { .. } => "passed",
        }
    }
}

/// What came by since the last look.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Watched {
    /// Those that passed the filter, newest first; at most as many as asked for.
    pub rows: Vec<Row>,
    /// Where to look on from: opaque, for the next call.
    pub next: String,
    /// Records that there were to look at: that came by, or from the newest back.
    pub passed: u64,
    /// How many of them were looked at. Fewer than came by: a sample.
    pub examined: u64,
    /// Receipt of the oldest that was looked at; none where nothing was.
    pub reached_at: Option<Timestamp>,
    /// Where to look further back from: opaque, for another call. None where there
    /// is nothing older that could pass.
    pub older: Option<String>,
    /// Events per second over the last minute, of all workspaces.
    pub rate_per_s: f64,
}

/// What was found for a word.
#[derive(Clone, Debug, Serialize)]
pub struct Lookup {
    /// What was looked for.
    pub words: String,
    /// What it turned out to be, such as `a delivery id`; none where nothing bears it.
    pub meaning: Option<String>,
    /// Records that bear it, newest first.
    pub rows: Vec<Row>,
    /// Whether there may be more than these.
    pub more: bool,
}

/// Everything about one event.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// As lists have it.
    pub row: Row,
    /// The raw body, as text; what is no UTF-8 is replaced.
    pub body: String,
    /// Its length in bytes.
    pub body_bytes: u64,
    /// When the thing happened, as the event says.
    pub happened_at: Option<Timestamp>,
    /// The id of the key that verified it; none where signatures are off.
    pub signed_by: Option<String>,
    /// That key, where it is still one of the workspace's.
    pub key: Option<KeySeen>,
    /// Later records with the same event, oldest first.
    #[serde(serialize_with = "as_texts")]
    pub repeats: Vec<Place>,
    /// What each connection of its workspace did with it.
    pub told: Vec<Told>,
}

/// What one connection did with an event.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The connection's name.
    pub connection: String,
    /// Its id.
    pub connection_id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Which options it was shaped with: `as they are now`, or `of 12 March, 10:04`.
    pub options: String,
    /// Such as `2.0.0`.
    pub payload_version: String,
    /// The call it became; none where it became none.
    pub call: Option<CallSeen>,
    /// The record that holds the first occurrence, for first-only connections.
    #[serde(serialize_with = "maybe_as_text")]
    pub first: Option<Place>,
    /// Every attempt of the batch that carried it, oldest first.
    pub attempts: Vec<AttemptSeen>,
    /// Where it is sent.
    pub endpoint: String,
}

/// A call, as it is sent.
#[derive(Clone, Debug, Serialize)]
pub struct CallSeen {
    /// Its name.
    pub event: String,
    /// The id that Segment knows it by.
    pub message_id: String,
    /// The whole of it, as JSON on one line.
    pub json: String,
    /// What deserves a look: an unmapped name, content that was cut.
    pub notes: Vec<String>,
}

/// An event as a connection would send it.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The event.
    pub row: Row,
    /// The raw body, as text.
    pub body: String,
    /// The call, or why there is none.
    pub call: Result<CallSeen, String>,
}

/// A place as its text.
fn as_text<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}

fn as_texts<S: Serializer>(places: &[Place], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(places.iter().map(ToString::to_string))
}

#[expect(clippy::ref_option, reason = "serde wants it so")]
fn maybe_as_text<S: Serializer>(place: &Option<Place>, serializer: S) -> Result<S::Ok, S::Error> {
    place.map(|place| place.to_string()).serialize(serializer)
}
