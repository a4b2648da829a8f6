//! Reads a request body within its limits, and all bodies within theirs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body that is read, in bytes.
    pub body_bytes: usize,
    /// The longest that a body may take to arrive.
    pub body_time: Duration,
    /// The most that the bodies of all requests under way take up, in bytes.
    pub bodies_bytes: usize,
}

impl Default for Limits {
    /// 8 MiB, since Body Content puts whole rendered emails into events; 10 s,
    /// well over the 4 s after which Customer.io hangs up by itself; and 256 MiB
    /// for all, tens of thousands of usual events.
    fn default() -> Self {
        Limits {
            body_bytes: 8 * 1024 * 1024,
            body_time: Duration::from_secs(10),
            bodies_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It announces, or turned out to have, more bytes than the limit.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// It had not arrived whole when its time was up.
    #[error("the body did not arrive within {} s", limit.as_secs_f64())]
    TooSlow {
        /// The time that it had.
        limit: Duration,
    },
    /// The connection broke, or the chunked encoding is wrong.
    #[error("the body could not be read to its end")]
    Broken(#[source] axum::Error),
    /// The bodies of other requests take up all the room there is for them.
    #[error("too many bodies are under way")]
    Crowded,
}

/// The room for the bodies of all requests, from their first byte to the answer.
/// A stranger's body takes room before its signature can be refused.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new(bytes: usize) -> Room {
        Room(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::Crowded)?;
        let taken = Arc::clone(&self.0).try_acquire_many_owned(bytes);
        taken.map_err(|_| BodyError::Crowded)
    }
}

/// A body with the room that it takes up.
#[derive(Debug)]
pub(crate) struct Roomed {
    pub(crate) body: Bytes,
    /// Held until the request is answered.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// Reads `body` whole, but never more than the limit of it nor longer than its
/// time. A body that announces too much is refused unread.
pub(crate) async fn read(body: Body, limits: Limits, room: &Room) -> Result<Roomed, BodyError> {
    let limit = limits.body_time;
    let reading = read_at_most(body, limits.body_bytes, room);
    match tokio::time::timeout(limit, reading).await {
        Ok(read) => read,
        Err(_elapsed) => Err(BodyError::TooSlow { limit }),
    }
}

async fn read_at_most(
    mut body: Body,
    limit_bytes: usize,
    room: &Room,
) -> Result<Roomed, BodyError> {
    let announced = http_body::Body::size_hint(&body).lower();
    if announced > limit_bytes as u64 {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    let mut taken = room.take(0)?;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else {
            continue; // trailers carry nothing that we sign or store
        };
        if whole.len() + data.len() > limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        taken.merge(room.take(data.len())?);
        if whole.is_empty() && data.len() as u64 == announced {
            return Ok(Roomed {
                body: data,
                _room: taken,
            }); // one frame, no copy
        }
        whole.extend_from_slice(&data);
    }
    Ok(Roomed {
        body: whole.freeze(),
        _room: taken,
    })
}
