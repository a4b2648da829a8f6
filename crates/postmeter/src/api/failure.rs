//! What a request is answered that came to nothing.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use connections::{Mistake, Mistakes};
use console::{NotChanged, Trouble};
use serde_json::{Value, json};

use crate::operator::ApplyError;

/// What stands above a list of mistakes.
const MISTAKES: &str = "the connections have mistakes";

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

    /// It was understood, and asks for what cannot be.
    pub(super) fn unusable(error: impl Into<String>) -> Failure {
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, error)
    }

    /// The same, with what is wrong one by one. Nobody has lines before their eyes.
    pub(super) fn mistaken(mistakes: impl IntoIterator<Item = Mistake>) -> Failure {
        let without_line = |mistake| Mistake {
            line: None,
            ..mistake
        };
        Failure {
            mistakes: mistakes.into_iter().map(without_line).collect(),
            ..Failure::unusable(MISTAKES)
        }
    }

    /// The same of something else, a sentence each.
    pub(super) fn faulty(error: &str, sentences: Vec<String>) -> Failure {
        let mistake = |what| Mistake {
            line: None,
            at: String::new(),
            what,
            hint: None,
        };
        Failure {
            mistakes: sentences.into_iter().map(mistake).collect(),
            ..Failure::unusable(error)
        }
    }

    pub(super) fn too_large() -> Failure {
        let error = "the body is larger than this route takes";
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    pub(super) fn no_json() -> Failure {
        let error = "the body must be JSON: say so with `Content-Type: application/json`";
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
    }

    pub(super) fn wrong_method() -> Failure {
        let error = "this path does not take that method: `Allow` has those it takes";
        Failure::new(StatusCode::METHOD_NOT_ALLOWED, error)
    }

    /// Whoever asks has not shown the token.
    pub(super) fn no_token() -> Failure {
        let error = "this needs the server's token: `Authorization: Bearer TOKEN`";
        Failure::new(StatusCode::UNAUTHORIZED, error)
    }

    /// What is here stands against it.
    pub(super) fn conflict(error: impl Into<String>) -> Failure {
        Failure::new(StatusCode::CONFLICT, error)
    }
}

/// What says that the process cannot do its work now, for whoever asks only that.
pub(super) fn not_ready(reason: &str) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    (status, format!("{reason}\n")).into_response()
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Failure {
        Failure {
            mistakes: mistakes.iter().cloned().collect(),
            ..Failure::unusable(MISTAKES)
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

impl From<Trouble> for Failure {
    fn from(Trouble(text): Trouble) -> Failure {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

impl From<NotChanged> for Failure {
    fn from(error: NotChanged) -> Failure {
        match error {
            NotChanged::Mistakes(sentences) => Failure::faulty(MISTAKES, sentences),
            NotChanged::Missing(what) => Failure::not_found(format!("there is no {what}")),
            NotChanged::Trouble(trouble) => trouble.into(),
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
