//! What a request is answered that came to nothing.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use connections::{Mistake, Mistakes};
use serde_json::{Value, json};

use crate::operator::ApplyError;

/// A request that came to nothing, in words for whoever made it.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: String,
    mistakes: Vec<Mistake>,
}

impl Failure {
    fn new(status: StatusCode, error: impl Into<String>) -> Failure {
        Failure {
            status,
            error: error.into(),
            mistakes: Vec::new(),
        }
    }

    pub(super) fn not_found(error: impl Into<String>) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, error)
    }

    /// What is here stands against it.
    pub(super) fn conflict(error: impl Into<String>) -> Failure {
        Failure::new(StatusCode::CONFLICT, error)
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Failure {
        Failure {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            error: "the connections have mistakes".to_owned(),
            mistakes: mistakes.iter().cloned().collect(),
        }
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Failure {
        match error {
            ApplyError::Mistakes(mistakes) => mistakes.into(),
            ApplyError::Conflict => Failure::conflict(error.to_string()),
            ApplyError::Failed(error) => error.into(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}"))
    }
}

impl From<journal::StateError> for Failure {
    fn from(error: journal::StateError) -> Failure {
        anyhow::Error::from(error).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mistakes: Vec<Value> = self.mistakes.iter().map(mistake).collect();
        let body = match mistakes.as_slice() {
            [] => json!({ "error": self.error }),
            mistakes => json!({ "error": self.error, "mistakes": mistakes }),
        };
        (self.status, Json(body)).into_response()
    }
}

fn mistake(mistake: &Mistake) -> Value {
    json!({
        "line": mistake.line,
        "at": mistake.at,
        "what": mistake.what,
        "hint": mistake.hint,
        "text": mistake.to_string(),
    })
}
