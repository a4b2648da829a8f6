//! The JSON of the API, and what a failure says.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use connections::{Mistake, Mistakes};
use dispatch::{Attempt, AttemptResult, Condition};
use jiff::Timestamp;
use journal::DeadLetter;
use serde_json::{Value, json};

use crate::operator::{ApplyError, Operator, Status};
use crate::trial::Tested;

/// A connection and how it is doing.
pub(super) fn status(status: &Status) -> Value {
    let connection = &status.connection;
    let (state, reason) = state(status);
    json!({
        "name": connection.name.as_str(),
        "id": connection.id.as_str(),
        "label": connection.label,
        "workspace": connection.workspace.as_str(),
        "endpoint": connection.target.endpoint().to_string(),
        "enabled": connection.enabled,
        "payload_version": connection.options.payload_version.to_string(),
        "state": state,
        "reason": reason,
        "confirmed_at": status.confirmed_at.map(time),
        "lag_records": status.lag.records,
        "oldest_unsettled_s": status.lag.oldest.as_secs_f64(),
        "last_attempt": status.attempts.first().map(attempt),
        "attempts": status.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

/// The state in a word, and why.
fn state(status: &Status) -> (&'static str, Option<String>) {
    match &status.condition {
        None => ("disabled", None),
        Some(Condition::Waiting {
            since,
            reason,
            retry_at,
            ..
        }) => {
            let why = format!("{reason}, since {since:.0}; tries again at {retry_at:.0}");
            ("waiting", Some(why))
        }
        Some(Condition::Flowing) if status.confirmed_at.is_none() => {
            let why = "nobody has confirmed that an event arrived in Segment";
            ("unconfirmed", Some(why.to_owned()))
        }
        Some(Condition::Flowing) if status.lag.records > 0 => ("catching up", None),
        Some(Condition::Flowing) => ("up to date", None),
    }
}

fn attempt(attempt: &Attempt) -> Value {
    let (status, answer, failure) = match &attempt.result {
        AttemptResult::Answered { status, body } => (Some(status), Some(body), None),
        AttemptResult::Failed { cause } => (None, None, Some(cause)),
    };
    json!({
        "at": time(attempt.at),
        "calls": attempt.calls,
        "status": status,
        "answer": answer,
        "failure": failure,
        "duration_ms": attempt.duration.as_secs_f64() * 1_000.0,
        "body_bytes": attempt.body_bytes,
        "sent_bytes": attempt.sent_bytes,
    })
}

/// RFC 3339 in UTC, to the millisecond.
fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// What became of a test event.
pub(super) fn tested(tested: &Tested) -> Value {
    json!({
        "event": tested.event_name,
        "message_id": tested.message_id,
        "accepted": tested.accepted,
        "attempt": tested.attempt.as_ref().map(attempt),
    })
}

/// A dead letter in a list.
pub(super) fn dead_letter_line(operator: &Operator, found: &DeadLetter) -> Value {
    let letter = &found.letter;
    json!({
        "id": found.id.get(),
        "record": letter.place.to_string(),
        "workspace": letter.workspace,
        "connection": letter.connection.as_deref().map(|id| operator.name_of(id)),
        "buried_at": time(letter.buried_at),
        "event": letter.event_name,
        "reason": letter.reason,
        "status": letter.answer.as_ref().map(|answer| answer.status),
    })
}

/// A dead letter whole.
pub(super) fn dead_letter(operator: &Operator, found: &DeadLetter) -> Value {
    let letter = &found.letter;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut whole = dead_letter_line(operator, found);
    if let Some(whole) = whole.as_object_mut() {
        let answer = letter.answer.as_ref().map(|answer| text(&answer.body));
        whole.insert("body".to_owned(), json!(text(&letter.body)));
        whole.insert("call".to_owned(), json!(letter.call.as_deref().map(text)));
        whole.insert("answer".to_owned(), json!(answer));
    }
    whole
}

/// A request that came to nothing, in words for whoever made it.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: String,
    mistakes: Vec<Mistake>,
}

impl Failure {
    pub(super) fn not_found(error: impl Into<String>) -> Failure {
        Failure {
            status: StatusCode::NOT_FOUND,
            error: error.into(),
            mistakes: Vec::new(),
        }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Failure {
        Failure {
            status: StatusCode::BAD_REQUEST,
            error: error.into(),
            mistakes: Vec::new(),
        }
    }

    fn of(status: StatusCode, error: &anyhow::Error) -> Failure {
        Failure {
            status,
            error: format!("{error:#}"),
            mistakes: Vec::new(),
        }
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
            ApplyError::Failed(error) => error.into(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::of(StatusCode::SERVICE_UNAVAILABLE, &error)
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
