//! What fits into one request: calls, counted to the byte before they are sent.
//!
//! Segment answers 400 to a body over 500 KB and silently drops what is beyond
//! 2,500 calls, so a batch above the limits must not exist. This module knows the
//! envelope of `/v1/batch`; it never looks inside a call.

use std::ops::Range;

use jiff::Timestamp;

const HEAD: &str = r#"{"batch":["#;
const TAIL: &str = "]}";
const STAMPED_TAIL_HEAD: &str = r#"],"sentAt":""#;
const STAMPED_TAIL_END: &str = r#""}"#;
/// The length of `2026-01-02T03:04:05.678Z`, which every stamp has.
const SENT_AT_BYTES: usize = 24;

/// One Segment call, serialised, on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The id under which Segment drops repetitions; the same in `json`.
    pub message_id: String,
    /// One complete JSON object without `sentAt`. It is sent byte for byte and
    /// never checked: what is not JSON here makes Segment refuse the call.
    pub json: String,
    /// The caller's own mark, handed back untouched in the [`Outcome`](crate::Outcome).
    pub tag: u64,
}

/// Whether a batch tells Segment when it was sent.
///
/// Segment shifts every call's `timestamp` by the difference between `sentAt` and
/// its own clock; a batch without `sentAt` keeps the exact time of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// For live events: `sentAt` is written anew on every attempt, so that a batch
    /// that waited for an hour does not arrive an hour late.
    SentAt,
    /// For replays and imports, which want the event time as it is.
    Omitted,
}

/// Calls that fit into one request.
///
/// Never above [`Batch::MAX_CALLS`] calls, nor above [`Batch::MAX_BYTES`] with
/// envelope, commas and `sentAt`, because [`Batch::push`] hands back what does not fit.
#[derive(Clone, Debug)]
pub struct Batch {
    calls: Vec<Call>,
    bytes: usize,
    stamp: Stamp,
}

/// Why a batch did not take a call; the call is inside, unharmed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The batch is full: the call belongs into the next. An empty batch never says so.
    #[error("the batch has no room for another call")]
    Full(Call),
    /// Segment takes no such call: no batch will ever have room for it.
    #[error("the call is above {} bytes", Batch::MAX_CALL_BYTES)]
    TooLarge(Call),
}

impl PushError {
    /// Hands the call back.
    pub fn into_call(self) -> Call {
        match self {
            Self::Full(call) | Self::TooLarge(call) => call,
        }
    }
}

impl Batch {
    /// The most calls in one request; Segment answers 200 to more and drops them.
    pub const MAX_CALLS: usize = 2_500;
    /// The most bytes of one request before compression, envelope included.
    ///
    /// Segment's limit is "500 KB", measured nobody knows how; its own clients
    /// disagree between 475,000 and 524,288.
    pub const MAX_BYTES: usize = 490_000;
    /// The most bytes of one serialised call; Segment's limit is "32 KB".
    pub const MAX_CALL_BYTES: usize = 32_000;

    /// An empty batch.
    pub fn new(stamp: Stamp) -> Self {
        let tail_bytes = match stamp {
            Stamp::SentAt => STAMPED_TAIL_HEAD.len() + SENT_AT_BYTES + STAMPED_TAIL_END.len(),
            Stamp::Omitted => TAIL.len(),
        };
        Self {
            calls: Vec::new(),
            bytes: HEAD.len() + tail_bytes,
            stamp,
        }
    }

    /// Adds `call`, or hands it back when there is no room for it.
    pub fn push(&mut self, call: Call) -> Result<(), PushError> {
        if call.json.len() > Self::MAX_CALL_BYTES {
            return Err(PushError::TooLarge(call));
        }
        let comma = usize::from(!self.calls.is_empty());
        let bytes = self.bytes + comma + call.json.len();
        if self.calls.len() == Self::MAX_CALLS || bytes > Self::MAX_BYTES {
            return Err(PushError::Full(call));
        }
        self.bytes = bytes;
        self.calls.push(call);
        Ok(())
    }

    /// How many calls it holds.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether it holds no call; such a batch is never sent.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The exact length of the request's body before compression.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The calls, in the order in which they were pushed.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Whether it tells Segment when it was sent.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Hands the calls back, in the order in which they were pushed.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }

    /// The body of a request for the calls in `piece`: [`Batch::bytes`] long for all of them.
    ///
    /// The calls are spliced in as they are; only `sentAt` is new on each attempt.
    pub(crate) fn body(&self, piece: &Range<usize>, sent_at: Timestamp) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes);
        body.extend_from_slice(HEAD.as_bytes());
        let calls = self
            .calls
            .get(piece.clone())
            .expect("pieces are cut from this batch");
        for (place, call) in calls.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(call.json.as_bytes());
        }
        match self.stamp {
            Stamp::SentAt => {
                body.extend_from_slice(STAMPED_TAIL_HEAD.as_bytes());
                body.extend_from_slice(format!("{sent_at:.3}").as_bytes());
                body.extend_from_slice(STAMPED_TAIL_END.as_bytes());
            }
            Stamp::Omitted => body.extend_from_slice(TAIL.as_bytes()),
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(bytes: usize) -> Call {
        let json = format!("{{\"p\":\"{}\"}}", "x".repeat(bytes - 8));
        assert_eq!(json.len(), bytes);
        Call {
            message_id: "pm-1".to_owned(),
            json,
            tag: 7,
        }
    }

    fn body_of(batch: &Batch) -> Vec<u8> {
        batch.body(&(0..batch.len()), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_stamp_is_the_last_field_in_utc_with_milliseconds() {
        let mut batch = Batch::new(Stamp::SentAt);
        batch.push(call(10)).unwrap();
        batch.push(call(11)).unwrap();
        let at: Timestamp = "2026-01-02T03:04:05.6789Z".parse().unwrap();
        assert_eq!(
            String::from_utf8(batch.body(&(0..2), at)).unwrap(),
            r#"{"batch":[{"p":"xx"},{"p":"xxx"}],"sentAt":"2026-01-02T03:04:05.678Z"}"#,
        );
    }

    #[test]
    fn a_batch_without_stamp_has_no_sent_at() {
        let mut batch = Batch::new(Stamp::Omitted);
        batch.push(call(10)).unwrap();
        assert_eq!(body_of(&batch), br#"{"batch":[{"p":"xx"}]}"#);
    }

    #[test]
    fn a_piece_carries_only_its_own_calls() {
        let mut batch = Batch::new(Stamp::Omitted);
        for bytes in [10, 11, 12] {
            batch.push(call(bytes)).unwrap();
        }
        let body = batch.body(&(1..2), Timestamp::UNIX_EPOCH);
        assert_eq!(body, br#"{"batch":[{"p":"xxx"}]}"#);
    }

    #[test]
    fn the_call_after_the_last_is_handed_back() {
        let mut batch = Batch::new(Stamp::SentAt);
        for _ in 0..Batch::MAX_CALLS {
            batch.push(call(10)).unwrap();
        }
        assert_eq!(batch.push(call(10)), Err(PushError::Full(call(10))));
        assert_eq!(batch.len(), Batch::MAX_CALLS);
    }

    #[test]
    fn a_call_above_its_limit_is_refused_even_by_an_empty_batch() {
        let mut batch = Batch::new(Stamp::SentAt);
        let large = call(Batch::MAX_CALL_BYTES + 1);
        assert_eq!(batch.push(large.clone()), Err(PushError::TooLarge(large)));
        assert_eq!(batch.push(call(Batch::MAX_CALL_BYTES)), Ok(()));
    }

    #[test]
    fn a_batch_fills_to_the_last_byte() {
        let mut batch = Batch::new(Stamp::SentAt);
        while batch.bytes() + 1 + Batch::MAX_CALL_BYTES <= Batch::MAX_BYTES {
            batch.push(call(Batch::MAX_CALL_BYTES)).unwrap();
        }
        let room = Batch::MAX_BYTES - batch.bytes() - 1;
        assert!(matches!(
            batch.push(call(room + 1)),
            Err(PushError::Full(_))
        ));
        batch.push(call(room)).unwrap();
        assert_eq!(body_of(&batch).len(), Batch::MAX_BYTES);
    }

    proptest! {
        #[test]
        fn a_batch_never_exceeds_its_limits_and_counts_its_bytes_exactly(
            sizes in prop::collection::vec(prop_oneof![9..700_usize, 9..33_000_usize], 0..300),
            stamped in any::<bool>(),
        ) {
            let mut batch = Batch::new(if stamped { Stamp::SentAt } else { Stamp::Omitted });
            for bytes in sizes {
                let before = batch.bytes();
                match batch.push(call(bytes)) {
                    Ok(()) => (),
                    Err(PushError::TooLarge(call)) => prop_assert!(call.json.len() > Batch::MAX_CALL_BYTES),
                    Err(PushError::Full(call)) => {
                        prop_assert!(before + 1 + call.json.len() > Batch::MAX_BYTES);
                    }
                }
                prop_assert!(batch.bytes() <= Batch::MAX_BYTES);
                prop_assert!(batch.len() <= Batch::MAX_CALLS);
            }
            let body = body_of(&batch);
            prop_assert_eq!(body.len(), batch.bytes());
            let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(parsed["batch"].as_array().unwrap().len(), batch.len());
        }
    }
}
