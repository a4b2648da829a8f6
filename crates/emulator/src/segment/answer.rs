//! Segment's answers, byte for byte as far as they were seen.
//!
//! The one place where the API's statuses and texts are written.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE, header::RETRY_AFTER};

/// Seconds until the limit allows more, as Segment names the header.
pub(super) const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Marks an answer that the real API never gives.
const UNFAITHFUL: HeaderName = HeaderName::from_static("x-emulator-unfaithful");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the API says to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Success,
    MalformedJson,
    InvalidWriteKey,
    TooLarge,
    /// A Bearer token that was never issued, or has expired.
    BadToken,
    /// Strict mode only.
    UnknownWriteKey,
    RateLimited {
        seconds: u64,
    },
    NotFound,
}

impl Answer {
    /// The body of a 200.
    pub(super) const SUCCESS: &'static str = r#"{"success": true}"#;

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Success => StatusCode::OK,
            Self::MalformedJson | Self::InvalidWriteKey | Self::TooLarge => StatusCode::BAD_REQUEST,
            Self::BadToken | Self::UnknownWriteKey => StatusCode::UNAUTHORIZED,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    fn body(self) -> String {
        match self {
            Self::Success => Self::SUCCESS.to_owned(),
            Self::MalformedJson => envelope("malformed JSON", "invalid_request"),
            Self::InvalidWriteKey => {
                envelope("An invalid write key was provided", "invalid_request")
            }
            Self::TooLarge => envelope("Exceed payload limit", "invalid_request"),
            Self::BadToken => envelope("An invalid token was provided", "unauthorized"),
            Self::UnknownWriteKey => {
                envelope("The write key is not one of the emulator's", "unauthorized")
            }
            Self::RateLimited { .. } => envelope("Too many requests", "rate_limited"),
            Self::NotFound => envelope("Not found", "not_found"),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Body::from(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        match self {
            Self::RateLimited { seconds } => {
                headers.insert(RETRY_AFTER, seconds.into());
                headers.insert(RATE_LIMIT_RESET, seconds.into());
            }
            Self::UnknownWriteKey => {
                headers.insert(UNFAITHFUL, HeaderValue::from_static("strict write keys"));
            }
            Self::Success
            | Self::MalformedJson
            | Self::InvalidWriteKey
            | Self::TooLarge
            | Self::BadToken
            | Self::NotFound => (),
        }
        response
    }
}

/// Segment's error envelope.
pub(super) fn envelope(message: &str, code: &str) -> String {
    // Both are our own words: nothing in them needs escaping.
    format!(r#"{{"success":false,"message":"{message}","code":"{code}"}}"#)
}

/// A response of JSON text.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, JSON)], body.into()).into_response()
}
