//! Publishing to streams and getting messages back, with words for what can go
//! wrong. What is larger than a message may be goes in parts.
//!
//! ```text
//! payload <= a part:   one message
//! payload  > a part:   parts on SUBJECT.part, then one message without payload
//!                      whose header `Postmeter-Parts` lists their sequences
//! ```
//!
//! The parts are stored before the message that names them, so whoever sees that
//! can read them. Parts without such a message are left from a publisher that
//! died; nobody looks at them, and trimming takes them along.

use std::future::IntoFuture as _;
use std::time::Duration;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, State, Stream};
use async_nats::jetstream::{self, Context, ErrorCode, context};
use async_nats::{Client, HeaderMap};
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep, timeout};

/// The most bytes of one message's payload, where the servers allow as much.
const MAX_PART_BYTES: usize = 512 * 1024;
/// What headers may take of a server's limit.
const HEADER_ROOM_BYTES: usize = 16 * 1024;
/// Lists the sequences of a message's parts, with commas between.
const PARTS: &str = "Postmeter-Parts";
/// The pause before something is tried again that was not done.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How long one request to the cluster may take.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(2);

/// What became of a request to the cluster.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// Somebody else has written to the subject.
    #[error("somebody else has written meanwhile")]
    Overtaken,
    /// The stream is at its byte limit.
    #[error("the stream is full")]
    Full,
    /// No answer: it may have been done or not.
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    /// Another write to the subject is under way: this one was not done.
    #[error("another write is under way")]
    UnderWay,
    /// Nobody is there to do it: it was not done.
    #[error("{0}")]
    Unavailable(String),
    /// It was refused.
    #[error("{0}")]
    Refused(String),
}

/// A message to publish.
#[derive(Clone)]
pub(crate) struct Letterhead {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    /// The sequence of the last message on the subject, if that matters.
    pub(crate) expected: Option<u64>,
    /// A message of the same id within two minutes is stored once.
    pub(crate) id: Option<String>,
    /// After how long the message may go, where it may.
    pub(crate) life: Option<Duration>,
}

impl Letterhead {
    pub(crate) fn on(subject: impl Into<String>) -> Letterhead {
        Letterhead {
            subject: subject.into(),
            headers: HeaderMap::new(),
            expected: None,
            id: None,
            life: None,
        }
    }
}

/// A message as it lies in a stream, its parts put together.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// A message on its way.
pub(crate) struct Sent(Result<PublishAckFuture, PublishError>);

/// Waits until a majority has the message; tells its sequence.
pub(crate) async fn confirmed(sent: Sent, patience: Duration) -> Result<u64, WireError> {
    let answer = async { sent.0?.await };
    match timeout(patience, answer).await {
        Err(_) => Err(WireError::NoAnswer(patience)),
        Ok(Ok(ack)) => Ok(ack.sequence),
        Ok(Err(error)) => Err(publish_error(&error, patience)),
    }
}

/// The way to the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) client: Client,
    pub(crate) context: Context,
}

impl Wire {
    pub(crate) fn new(client: Client) -> Wire {
        let context = context::ContextBuilder::new()
            .timeout(REQUEST_TIME)
            .max_ack_inflight(1024)
            .build(client.clone());
        Wire { client, context }
    }

    /// Publishes and waits until a majority has it; tells its sequence.
    pub(crate) async fn publish(
        &self,
        letterhead: &Letterhead,
        payload: Bytes,
        patience: Duration,
    ) -> Result<u64, WireError> {
        let part_bytes = self.part_bytes();
        if payload.len() <= part_bytes {
            return self.publish_one(letterhead, payload, patience).await;
        }
        let mut sequences = Vec::new();
        let mut rest = payload;
        while !rest.is_empty() {
            let part = rest.split_to(part_bytes.min(rest.len()));
            let mut head = Letterhead::on(part_subject(&letterhead.subject));
            let number = sequences.len();
            head.id = letterhead.id.as_ref().map(|id| format!("{id}.{number}"));
            let sequence = self.publish_one(&head, part, patience).await?;
            sequences.push(sequence.to_string());
        }
        let mut whole = letterhead.clone();
        whole.headers.insert(PARTS, sequences.join(",").as_str());
        self.publish_one(&whole, Bytes::new(), patience).await
    }

    /// As [`Wire::publish`], in one message or not at all. What was surely not done
    /// is tried again for as long as there is patience.
    pub(crate) async fn publish_one(
        &self,
        letterhead: &Letterhead,
        payload: Bytes,
        patience: Duration,
    ) -> Result<u64, WireError> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let sent = self.send(letterhead, payload.clone()).await;
            let error = match confirmed(sent, left).await {
                Ok(sequence) => return Ok(sequence),
                Err(error) => error,
            };
            let was_not_done = matches!(error, WireError::Unavailable(_) | WireError::UnderWay);
            if !was_not_done || Instant::now() + RETRY_PAUSE >= end {
                return Err(error);
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// Puts a message on its way, behind all that were sent before.
    pub(crate) async fn send(&self, letterhead: &Letterhead, payload: Bytes) -> Sent {
        let mut message = PublishMessage::build()
            .payload(payload)
            .headers(letterhead.headers.clone());
        if let Some(expected) = letterhead.expected {
            message = message.expected_last_subject_sequence(expected);
        }
        if let Some(id) = &letterhead.id {
            message = message.message_id(id);
        }
        if let Some(life) = letterhead.life {
            message = message.ttl(life);
        }
        let subject = letterhead.subject.clone();
        Sent(self.context.send_publish(subject, message).await)
    }

    /// The message at `sequence`; none when it is not there any more, or not yet.
    ///
    /// The nearest replica is asked first. It may be behind, so what it does not
    /// have is asked of the leader.
    pub(crate) async fn get(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<Stored>, WireError> {
        let Some(message) = self.get_one(stream, sequence).await? else {
            return Ok(None);
        };
        let Some(parts) = message.headers.get(PARTS) else {
            return Ok(Some(message));
        };
        let mut payload = BytesMut::new();
        for sequence in parts.as_str().split(',') {
            let sequence = sequence.parse();
            let sequence = sequence.map_err(|_| WireError::Refused("parts".to_owned()))?;
            match self.get_one(stream, sequence).await? {
                Some(part) => payload.extend_from_slice(&part.payload),
                None => return Ok(None),
            }
        }
        Ok(Some(Stored {
            headers: message.headers,
            payload: payload.freeze(),
        }))
    }

    async fn get_one(&self, stream: &str, sequence: u64) -> Result<Option<Stored>, WireError> {
        let handle = self.handle(stream).await?;
        let direct = timeout(REQUEST_TIME, handle.direct_get(sequence)).await;
        if let Ok(Ok(message)) = direct {
            return Ok(Some(Stored {
                headers: message.headers,
                payload: message.payload,
            }));
        }
        match timeout(REQUEST_TIME, handle.get_raw_message(sequence)).await {
            Err(_) => Err(WireError::NoAnswer(REQUEST_TIME)),
            Ok(Ok(message)) => Ok(Some(Stored {
                headers: message.headers,
                payload: message.payload,
            })),
            Ok(Err(error)) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                _ => Err(WireError::Unavailable(error.to_string())),
            },
        }
    }

    /// Deletes the message at `sequence`; says whether it was there.
    pub(crate) async fn delete(&self, stream: &str, sequence: u64) -> Result<bool, WireError> {
        let handle = self.handle(stream).await?;
        match timeout(REQUEST_TIME, handle.delete_message(sequence)).await {
            Err(_) => Err(WireError::NoAnswer(REQUEST_TIME)),
            Ok(Ok(deleted)) => Ok(deleted),
            Ok(Err(error)) => Err(WireError::Refused(chain(&error))),
        }
    }

    /// Deletes every message below `sequence`.
    pub(crate) async fn purge_below(&self, stream: &str, sequence: u64) -> Result<(), WireError> {
        let handle = self.handle(stream).await?;
        let purge = handle.purge().sequence(sequence);
        match timeout(REQUEST_TIME, purge.into_future()).await {
            Err(_) => Err(WireError::NoAnswer(REQUEST_TIME)),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(WireError::Refused(chain(&error))),
        }
    }

    /// What the leader of a stream says of it.
    pub(crate) async fn state(&self, stream: &str) -> Result<State, WireError> {
        let handle = self.handle(stream).await?;
        match timeout(REQUEST_TIME, handle.get_info()).await {
            Err(_) => Err(WireError::NoAnswer(REQUEST_TIME)),
            Ok(Ok(info)) => Ok(info.state),
            Ok(Err(error)) => Err(WireError::Unavailable(chain(&error))),
        }
    }

    async fn handle(&self, stream: &str) -> Result<Stream<()>, WireError> {
        let handle = self.context.get_stream_no_info(stream).await;
        handle.map_err(|error| WireError::Unavailable(chain(&error)))
    }

    /// The sequences of a message's parts, for whoever takes it away.
    pub(crate) fn parts(headers: &HeaderMap) -> Vec<u64> {
        let listed = headers.get(PARTS).map(|parts| parts.as_str().to_owned());
        let listed = listed.unwrap_or_default();
        listed
            .split(',')
            .filter_map(|sequence| sequence.parse().ok())
            .collect()
    }

    /// How much one message takes of what is to be published.
    pub(crate) fn part_bytes(&self) -> usize {
        let allowed = self.client.max_payload().saturating_sub(HEADER_ROOM_BYTES);
        allowed.clamp(1024, MAX_PART_BYTES)
    }
}

/// Where the parts of what is published on `subject` go: within its stream.
fn part_subject(subject: &str) -> String {
    // PFX.log.P, PFX.state.P.index and PFX.letters.buried: parts lie beside what
    // has a name of its own, and below what has none.
    let mut tokens: Vec<&str> = subject.split('.').collect();
    if tokens.get(1) != Some(&"log") {
        tokens.truncate(if tokens.get(1) == Some(&"state") {
            3
        } else {
            2
        });
    }
    tokens.push("part");
    tokens.join(".")
}

fn publish_error(error: &PublishError, patience: Duration) -> WireError {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => WireError::Overtaken,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => WireError::NoAnswer(patience),
        PublishErrorKind::StreamNotFound => {
            WireError::Unavailable("no stream takes it now: it has no leader".to_owned())
        }
        _ => match jetstream_error(error) {
            Some(code) if UNDER_WAY.contains(&code) => WireError::UnderWay,
            Some(code) if FULL.contains(&code) => WireError::Full,
            _ => WireError::Refused(chain(error)),
        },
    }
}

/// A write is under way to the same subject, or under the same id.
const UNDER_WAY: [ErrorCode; 2] = [
    ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT,
    ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT,
];
/// There is no room, in the stream or on its disks.
const FULL: [ErrorCode; 2] = [
    ErrorCode::STREAM_STORE_FAILED,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
];

fn jetstream_error(error: &PublishError) -> Option<ErrorCode> {
    let source = std::error::Error::source(error)?;
    let error = source.downcast_ref::<jetstream::Error>()?;
    Some(error.error_code())
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
