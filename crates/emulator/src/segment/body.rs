//! Reading a request's body: at most the limit, inflated at most to the limit.
//!
//! Whatever the `Content-Type` says is ignored, as the real API ignores it. The
//! only encoding is gzip; any other is read as it stands and fails as JSON.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body_util::BodyExt;

/// How much of a body over the limit is still read, so that its sender gets the answer.
const DRAIN_BYTES: usize = 8 << 20;

/// How much larger inflated calls usually are; a guess that saves growing.
const USUAL_RATIO: usize = 6;

/// A body, and its sizes for the request log.
pub(super) struct Body {
    pub(super) text: Result<String, Unreadable>,
    /// Bytes as they were sent.
    pub(super) sent_bytes: usize,
}

/// Why a body has no text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unreadable {
    TooLarge,
    Malformed,
}

impl Body {
    /// Reads to the end, or as far as it makes sense to.
    pub(super) async fn read(body: axum::body::Body, headers: &HeaderMap, limit: usize) -> Self {
        let mut sent_bytes = 0;
        let text = match collect(body, limit, &mut sent_bytes).await {
            Ok(bytes) if is_gzip(headers) => inflate(&bytes, limit),
            Ok(bytes) => Ok(bytes.into()),
            Err(reason) => Err(reason),
        };
        let text =
            text.and_then(|bytes| String::from_utf8(bytes).map_err(|_| Unreadable::Malformed));
        Self { text, sent_bytes }
    }
}

async fn collect(
    mut body: axum::body::Body,
    limit: usize,
    sent_bytes: &mut usize,
) -> Result<Bytes, Unreadable> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unreadable::Malformed)?;
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        *sent_bytes += data.len();
        if *sent_bytes <= limit {
            bytes.extend_from_slice(&data);
        } else if *sent_bytes > limit.saturating_add(DRAIN_BYTES) {
            break;
        }
    }
    if *sent_bytes > limit {
        return Err(Unreadable::TooLarge);
    }
    Ok(bytes.freeze())
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"))
}

fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Unreadable> {
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut inflated = Vec::with_capacity(bytes.len().saturating_mul(USUAL_RATIO).min(limit));
    MultiGzDecoder::new(bytes)
        .take(one_more)
        .read_to_end(&mut inflated)
        .map_err(|_| Unreadable::Malformed)?;
    if inflated.len() > limit {
        return Err(Unreadable::TooLarge);
    }
    Ok(inflated)
}
