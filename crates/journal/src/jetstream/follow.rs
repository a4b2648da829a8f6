//! Reads a stream from some message on, in order, without a gap, for ever.
//!
//! Behind it is a consumer that the servers keep in memory and forget. When it is
//! lost, because its server died or the connection was cut, another is made
//! behind the last message that was read: whoever follows never notices.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::{self, Stream};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use bytes::Bytes;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::wire::{REQUEST_TIME, Wire, chain};

/// How often the servers say that they are still there while nothing is new. A
/// consumer that misses two is given up.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long a request for messages stands before it is renewed.
const EXPIRES: Duration = Duration::from_secs(30);
/// The most messages that are under way to us.
const BATCH: usize = 512;
/// The pause before a lost consumer is made anew.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long the servers keep a consumer that nobody reads.
const FORGET: Duration = Duration::from_secs(30);

/// A message as it is read.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) headers: HeaderMap,
    /// When it was stored.
    pub(crate) stored_at: Timestamp,
    /// Empty where only headers were asked for.
    pub(crate) payload: Bytes,
}

/// Where one has come to in a stream.
pub(crate) struct Follower {
    wire: Wire,
    stream: String,
    headers_only: bool,
    next: u64,
    open: Option<Open>,
}

struct Open {
    messages: Stream,
    /// Every message that the consumer sent has the number after the last one.
    delivered: u64,
}

impl Follower {
    /// Will read `stream` from the message `next` on, or from the first after it.
    pub(crate) fn from(wire: Wire, stream: String, next: u64) -> Follower {
        Follower {
            wire,
            stream,
            headers_only: false,
            next,
            open: None,
        }
    }

    /// Leaves the payloads where they are.
    pub(crate) fn headers_only(mut self) -> Follower {
        self.headers_only = true;
        self
    }

    /// The next message, however long it takes.
    pub(crate) async fn next(&mut self) -> Followed {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin().await,
            };
            match open.messages.next().await {
                Some(Ok(message)) => {
                    let Some((sequence, delivered, stored_at)) = numbers(&message) else {
                        continue;
                    };
                    if delivered != open.delivered + 1 {
                        debug!(stream = self.stream, "a message was lost on its way");
                        continue;
                    }
                    open.delivered = delivered;
                    self.open = Some(open);
                    if sequence < self.next {
                        continue;
                    }
                    self.next = sequence + 1;
                    return Followed {
                        subject: message.message.subject.to_string(),
                        sequence,
                        stored_at,
                        headers: message.message.headers.unwrap_or_default(),
                        payload: message.message.payload,
                    };
                }
                Some(Err(error)) => {
                    debug!(
                        stream = self.stream,
                        "a consumer is lost: {}",
                        chain(&error)
                    );
                    sleep(RETRY_PAUSE).await;
                }
                None => sleep(RETRY_PAUSE).await,
            }
        }
    }

    async fn begin(&self) -> Open {
        loop {
            match timeout(2 * REQUEST_TIME, self.try_begin()).await {
                Ok(Ok(messages)) => {
                    return Open {
                        messages,
                        delivered: 0,
                    };
                }
                Ok(Err(cause)) => debug!(stream = self.stream, "cannot follow yet: {cause}"),
                Err(_) => debug!(stream = self.stream, "cannot follow yet: no answer"),
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_begin(&self) -> Result<Stream, String> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.next.max(1),
            },
            ack_policy: AckPolicy::None,
            headers_only: self.headers_only,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: FORGET,
            ..pull::Config::default()
        };
        let consumer = self
            .wire
            .context
            .create_consumer_on_stream(config, self.stream.as_str())
            .await;
        let consumer = consumer.map_err(|error| chain(&error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .heartbeat(HEARTBEAT)
            .expires(EXPIRES)
            .messages()
            .await;
        messages.map_err(|error| chain(&error))
    }
}

/// The message's sequence in the stream, the number that its consumer gave it, and
/// when it was stored.
fn numbers(message: &async_nats::jetstream::Message) -> Option<(u64, u64, Timestamp)> {
    let info = message.info().ok()?;
    let stored_at = Timestamp::from_second(info.published.unix_timestamp()).ok()?;
    Some((info.stream_sequence, info.consumer_sequence, stored_at))
}
