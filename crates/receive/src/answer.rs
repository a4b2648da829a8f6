//! What Customer.io is told: the one place with intake statuses.
//!
//! 400, 401, 402, 403, 404, 405, 410, 429, 500, 502 and 521 make Customer.io wait
//! an hour. So only a request that is not ours to store gets one of them, and
//! "cannot store now" is 503, never 500 or 502.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use journal::{AppendError, Place, Unavailable};

use crate::body::BodyError;
use crate::signature::Refusal;
use crate::workspaces::KeyId;

/// What a 503 asks the sender to wait. Short, since most causes (a full queue, a
/// restart) are over in seconds.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How one request ended, and what that says to the sender.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200: the event is on stable storage.
    Journaled {
        /// Where it is; `None` where the journal has yet to number it.
        place: Option<Place>,
        /// The key that verified it; `None` where signatures are off.
        signed_by: Option<KeyId>,
    },
    /// 401: nobody who knows a signing key sent this.
    Refused(Refusal),
    /// 404: no workspace has this name.
    UnknownWorkspace,
    /// 413: the body is over the limit, and was read no further.
    TooLarge(Arc<BodyError>),
    /// 408: the body came too slowly, or broke off.
    Unread(Arc<BodyError>),
    /// 503: authentic, but it cannot be stored now.
    Unavailable(Arc<StoreError>),
}

/// Why an event could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// This process does not have the journal yet, or no longer.
    #[error("the server is being replaced or restarted")]
    NotOpen,
    /// There was no room to read it.
    #[error("there is no room for the event")]
    Crowded(#[source] BodyError),
    /// The journal had no room for it.
    #[error("the journal takes no event now")]
    Reserve(#[from] Unavailable),
    /// The journal had room, but could not write it.
    #[error("the journal could not store the event")]
    Append(#[from] AppendError),
}

/// What happened to one request. It travels in the response's extensions.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The workspace; `None` when the path names none that we know.
    pub workspace: Option<Arc<str>>,
    /// How it ended.
    pub answer: Answer,
}

impl Answer {
    /// The status that the sender sees.
    pub fn status(&self) -> StatusCode {
        match self {
            Answer::Journaled { .. } => StatusCode::OK,
            Answer::Refused(_) => StatusCode::UNAUTHORIZED,
            Answer::UnknownWorkspace => StatusCode::NOT_FOUND,
            Answer::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Answer::Unread(_) => StatusCode::REQUEST_TIMEOUT,
            Answer::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One word for counters: the same for every request that ended this way.
    pub fn label(&self) -> &'static str {
        match self {
            Answer::Journaled { .. } => "journaled",
            Answer::Refused(_) => "refused",
            Answer::UnknownWorkspace => "unknown_workspace",
            Answer::TooLarge(_) => "too_large",
            Answer::Unread(_) => "unread",
            Answer::Unavailable(_) => "unavailable",
        }
    }

    fn text(&self) -> String {
        match self {
            Answer::Journaled { place: None, .. } => "journaled\n".to_owned(),
            Answer::Journaled {
                place: Some(place), ..
            } => format!("journaled as record {place}\n"),
            Answer::Refused(refusal) => format!("{refusal}\n"),
            Answer::UnknownWorkspace => "no workspace has this name\n".to_owned(),
            Answer::TooLarge(error) | Answer::Unread(error) => format!("{error}\n"),
            Answer::Unavailable(error) => format!("{error}; send it again\n"),
        }
    }
}

impl From<BodyError> for Answer {
    fn from(error: BodyError) -> Answer {
        match error {
            BodyError::TooLarge { .. } => Answer::TooLarge(Arc::new(error)),
            BodyError::TooSlow { .. } | BodyError::Broken(_) => Answer::Unread(Arc::new(error)),
            BodyError::Crowded => Answer::Unavailable(Arc::new(StoreError::Crowded(error))),
        }
    }
}

impl IntoResponse for Receipt {
    fn into_response(self) -> Response {
        let mut response = (self.answer.status(), self.answer.text()).into_response();
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from(RETRY_AFTER.as_secs());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(self);
        response
    }
}
