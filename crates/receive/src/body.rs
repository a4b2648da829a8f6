//! Reads a request body within its limits.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

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
}

/// Reads `body` whole, but never more than `limit_bytes` of it nor longer than
/// `limit`. A body that announces too much is refused unread.
pub(crate) async fn read(
    body: Body,
    limit_bytes: usize,
    limit: Duration,
) -> Result<Bytes, BodyError> {
    let reading = read_at_most(body, limit_bytes);
    match tokio::time::timeout(limit, reading).await {
        Ok(read) => read,
        Err(_elapsed) => Err(BodyError::TooSlow { limit }),
    }
}

async fn read_at_most(mut body: Body, limit_bytes: usize) -> Result<Bytes, BodyError> {
    let announced = http_body::Body::size_hint(&body).lower();
    if announced > limit_bytes as u64 {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else {
            continue; // trailers carry nothing that we sign or store
        };
        if whole.len() + data.len() > limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        if whole.is_empty() && data.len() as u64 == announced {
            return Ok(data); // the common case: one frame, no copy
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
