//! What a connection's owner chose about the calls.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::rules::names::Renames;
use crate::rules::selection::Selection;

/// How a connection's calls look. The default is the hosted integration's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch on the hosted integration's page"
)]
pub struct Options {
    /// Goes into the message ids: two connections never share one.
    pub connection_id: String,
    /// Which kinds of events are sent.
    pub events: Selection,
    /// Which generation of the payload is made.
    pub payload_version: PayloadVersion,
    /// Whether *Sent* events carry the message's body and headers.
    pub body_content: bool,
    /// Whether Segment may hand the calls to a Customer.io destination.
    pub send_back: bool,
    /// Whether a person without an id has `"userId": ""`, as documented.
    pub empty_user_id: bool,
    /// Whether the deprecated `customer_id` is a property.
    pub customer_id: bool,
    /// Whether each occurrence is sent, or the first only.
    pub send_frequency: SendFrequency,
    /// What events are called instead.
    pub renames: Renames,
    /// Properties that are left out, ours included.
    pub left_out: BTreeSet<String>,
    /// Whether 2.0.0 has the names of campaigns and messages too.
    pub names: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connection_id: String::new(),
            events: Selection::all(),
            payload_version: PayloadVersion::V2,
            body_content: false,
            send_back: false,
            empty_user_id: true,
            customer_id: false,
            send_frequency: SendFrequency::Every,
            renames: Renames::default(),
            left_out: BTreeSet::new(),
            names: false,
        }
    }
}

/// Which occurrences are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SendFrequency {
    /// All of them.
    #[default]
    Every,
    /// The first of those that are alike.
    First(FirstPer),
}

/// What makes two occurrences alike, besides the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstPer {
    /// The delivery and the event's name.
    DeliveryAndName,
    /// Those, and the link that was clicked.
    DeliveryNameAndLink,
}

/// The generations of the payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PayloadVersion {
    /// `1.0.0`, before May 2022: email only, with names and `email_id`.
    V1,
    /// `2.0.0`: all channels.
    #[default]
    V2,
}

impl PayloadVersion {
    /// The version as `context.integration` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0.0",
            Self::V2 => "2.0.0",
        }
    }
}

impl fmt::Display for PayloadVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that is neither `1.0.0` nor `2.0.0`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{written:?} is no payload version: there are 1.0.0 and 2.0.0")]
pub struct UnknownVersion {
    /// As it was written.
    pub written: String,
}

impl FromStr for PayloadVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::V1, Self::V2]
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| UnknownVersion {
                written: text.to_owned(),
            })
    }
}

/// Names of what an event refers to by id, as far as somebody looked them up.
///
/// 1.0.0 has them, and 2.0.0 where [`Options::names`] asks. A name in the event wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// Of `action_id`.
    pub action: Option<&'a str>,
    /// Of `campaign_id`.
    pub campaign: Option<&'a str>,
    /// Of `newsletter_id`.
    pub newsletter: Option<&'a str>,
    /// Of `transactional_message_id`.
    pub transactional_message: Option<&'a str>,
}
