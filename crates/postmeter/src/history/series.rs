//! What is counted. A series is a word of ours and the workspace or connection it
//! is about: of an event only its channel and its step of the funnel are in it.
//!
//! The codes are part of the stored format: they are never used for anything else.

use std::sync::Arc;

use console::seen::Channel;
use receive::Answer;
use shape::Kind;

use crate::observe::End;

/// One thing that is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Series {
    pub(crate) what: What,
    /// The workspace's name or the connection's id.
    pub(crate) of: Arc<str>,
}

/// What is counted of a workspace or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    /// Events of a workspace, each the first time that it came.
    Event(Channel, Step),
    /// Events of a workspace that had come before.
    Duplicate,
    /// Requests to a workspace's webhook.
    Answer(Answered),
    /// Records that a connection is done with.
    Ended(Ending),
    /// POSTs of a connection, by the answer's status if there was an answer.
    Attempt(Option<u16>),
    /// Accepted records of a connection, by the time that it took.
    Took(super::latency::Bucket),
    /// What had no room for a series of its own.
    Rest,
}

/// How far a message came, as an event's metric says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    Sent,
    Delivered,
    Opened,
    Clicked,
    Converted,
    /// A metric that is no step, or none at all.
    Other,
}

/// What a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answered {
    Journaled,
    Refused,
    UnknownWorkspace,
    TooLarge,
    Unread,
    Unavailable,
}

/// How a record ended for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ending {
    Accepted,
    Skipped,
    Buried,
}

const EVENT: u8 = 1;
const DUPLICATE: u8 = 2;
const ANSWER: u8 = 3;
const ENDED: u8 = 4;
const ATTEMPT: u8 = 5;
const TOOK: u8 = 6;
const REST: u8 = 255;

/// The status that stands for no answer.
const NO_STATUS: u16 = 0;

impl Series {
    pub(crate) fn new(what: What, of: &Arc<str>) -> Series {
        let of = Arc::clone(of);
        Series { what, of }
    }

    /// The series of whatever has none.
    pub(crate) fn rest() -> Series {
        Series {
            what: What::Rest,
            of: Arc::from(""),
        }
    }
}

impl What {
    /// A kind and a detail of it.
    pub(crate) fn code(self) -> (u8, u16) {
        match self {
            What::Event(channel, step) => (EVENT, u16::from(event_code(channel, step))),
            What::Duplicate => (DUPLICATE, 0),
            What::Answer(answered) => (ANSWER, answered.code()),
            What::Ended(ending) => (ENDED, ending.code()),
            What::Attempt(status) => (ATTEMPT, status.unwrap_or(NO_STATUS)),
            What::Took(bucket) => (TOOK, bucket.code()),
            What::Rest => (REST, 0),
        }
    }

    /// What has this code; none where it is of a newer build, or nothing.
    pub(crate) fn of_code(kind: u8, detail: u16) -> Option<What> {
        Some(match kind {
            EVENT => event_of_code(u8::try_from(detail).ok()?)?,
            DUPLICATE => What::Duplicate,
            ANSWER => What::Answer(by_code(Answered::ALL, Answered::code, detail)?),
            ENDED => What::Ended(by_code(Ending::ALL, Ending::code, detail)?),
            ATTEMPT => What::Attempt(Some(detail).filter(|status| *status != NO_STATUS)),
            TOOK => What::Took(super::latency::Bucket::of_code(detail)?),
            REST => What::Rest,
            _ => return None,
        })
    }
}

/// A channel and a step in one byte: four bits each.
pub(crate) fn event_code(channel: Channel, step: Step) -> u8 {
    channel_code(channel) << 4 | step.code()
}

/// The events of this code; none where there are none.
pub(crate) fn event_of_code(code: u8) -> Option<What> {
    let channel = by_code(Channel::ALL, channel_code, code >> 4)?;
    let step = by_code(Step::ALL, Step::code, code & 0xf)?;
    Some(What::Event(channel, step))
}

/// What an event is counted as, by what it says that it is.
pub(crate) fn event_code_of(kind: Option<Kind<'_>>) -> u8 {
    let channel = Channel::of(kind.and_then(|kind| kind.object_type));
    event_code(channel, Step::of(kind.map(|kind| kind.metric)))
}

fn by_code<T: Copy, C: Copy + PartialEq, const N: usize>(
    all: [T; N],
    code: fn(T) -> C,
    wanted: C,
) -> Option<T> {
    all.into_iter().find(|each| code(*each) == wanted)
}

fn channel_code(channel: Channel) -> u8 {
    match channel {
        Channel::Email => 1,
        Channel::Push => 2,
        Channel::Sms => 3,
        Channel::InApp => 4,
        Channel::Whatsapp => 5,
        Channel::Slack => 6,
        Channel::Webhook => 7,
        Channel::Customer => 8,
        Channel::Other => 9,
    }
}

impl Step {
    const ALL: [Step; 6] = [
        Step::Sent,
        Step::Delivered,
        Step::Opened,
        Step::Clicked,
        Step::Converted,
        Step::Other,
    ];

    /// The steps of a funnel, in order, and what they are called.
    pub(crate) const FUNNEL: [(Step, &'static str); 5] = [
        (Step::Sent, "sent"),
        (Step::Delivered, "delivered"),
        (Step::Opened, "opened"),
        (Step::Clicked, "clicked"),
        (Step::Converted, "converted"),
    ];

    fn of(metric: Option<&str>) -> Step {
        let mut steps = Step::FUNNEL.into_iter();
        let found = steps.find(|(_, word)| Some(*word) == metric);
        found.map_or(Step::Other, |(step, _)| step)
    }

    fn code(self) -> u8 {
        match self {
            Step::Sent => 1,
            Step::Delivered => 2,
            Step::Opened => 3,
            Step::Clicked => 4,
            Step::Converted => 5,
            Step::Other => 6,
        }
    }
}

impl Answered {
    pub(crate) const ALL: [Answered; 6] = [
        Answered::Journaled,
        Answered::Refused,
        Answered::UnknownWorkspace,
        Answered::TooLarge,
        Answered::Unread,
        Answered::Unavailable,
    ];

    pub(crate) fn of(answer: &Answer) -> Answered {
        match answer {
            Answer::Journaled { .. } => Answered::Journaled,
            Answer::Refused(_) => Answered::Refused,
            Answer::UnknownWorkspace => Answered::UnknownWorkspace,
            Answer::TooLarge(_) => Answered::TooLarge,
            Answer::Unread(_) => Answered::Unread,
            Answer::Unavailable(_) => Answered::Unavailable,
        }
    }

    fn code(self) -> u16 {
        match self {
            Answered::Journaled => 1,
            Answered::Refused => 2,
            Answered::UnknownWorkspace => 3,
            Answered::TooLarge => 4,
            Answered::Unread => 5,
            Answered::Unavailable => 6,
        }
    }
}

impl Ending {
    pub(crate) const ALL: [Ending; 3] = [Ending::Accepted, Ending::Skipped, Ending::Buried];

    pub(crate) fn of(end: End) -> Ending {
        match end {
            End::Accepted => Ending::Accepted,
            End::Skipped(_) => Ending::Skipped,
            End::Buried => Ending::Buried,
        }
    }

    fn code(self) -> u16 {
        match self {
            Ending::Accepted => 1,
            Ending::Skipped => 2,
            Ending::Buried => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_a_code_comes_back_from_it() {
        let mut known = 0;
        for kind in 0..=u8::MAX {
            for detail in 0..=u16::MAX {
                let Some(what) = What::of_code(kind, detail) else {
                    continue;
                };
                known += 1;
                // Of what has no detail, any detail is the same.
                let (same_kind, same_detail) = what.code();
                assert_eq!(same_kind, kind);
                assert_eq!(What::of_code(same_kind, same_detail), Some(what));
            }
        }
        assert!(known > 54 + 6 + 3, "{known}");
    }

    #[test]
    fn an_event_is_counted_by_its_channel_and_its_step() {
        let cases = [
            (Some("email"), "opened", Channel::Email, Step::Opened),
            (Some("in_app"), "converted", Channel::InApp, Step::Converted),
            (
                Some("customer"),
                "subscribed",
                Channel::Customer,
                Step::Other,
            ),
            (Some("carrier_pigeon"), "sent", Channel::Other, Step::Sent),
            (None, "bounced", Channel::Other, Step::Other),
        ];
        for (object_type, metric, channel, step) in cases {
            let kind = Kind {
                object_type,
                metric,
            };
            let what = event_of_code(event_code_of(Some(kind)));
            assert_eq!(what, Some(What::Event(channel, step)), "{kind}");
        }
        let nothing = event_of_code(event_code_of(None));
        assert_eq!(nothing, Some(What::Event(Channel::Other, Step::Other)));
    }
}
