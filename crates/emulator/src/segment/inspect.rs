//! Looking inside, under `/emulator/`: JSON for tests and scripts.
//!
//! | request | answer |
//! |---|---|
//! | `GET /emulator/calls?event=&userId=&messageId=&writeKey=&limit=&offset=` | stored calls as Segment's raw debugger shows them, oldest first |
//! | `GET /emulator/wait?calls=N&timeout_s=S` | 200 `{"calls": n}` once `N` calls are stored, else 408 with the count reached |
//! | `GET /emulator/discards` | what was dropped after a 200: code, message, item, write key |
//! | `GET /emulator/requests` | the request log; write keys show their last four characters |
//! | `GET /emulator/stats` | counts since the last reset |
//! | `GET`, `POST`, `DELETE /emulator/faults` | the script: what is left, append steps, clear |
//! | `POST /emulator/clock` | `{"advance_s": n}` or `{"freeze_at": "2022-05-09T21:27:03.384Z"}` |
//! | `POST /emulator/reset` | forgets everything, clock and script included |
//!
//! Bad input is a 400 with `{"error": "..."}`.

use std::{fmt::Write, time::Duration};

use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Segment, answer, call::StoredCall, skew, steps};

/// How long `/emulator/wait` waits unless told.
const DEFAULT_WAIT_SECONDS: u64 = 10;
/// The longest that `/emulator/wait` waits.
const MAX_WAIT_SECONDS: u64 = 600;

pub(super) fn routes() -> Router<Segment> {
    Router::new()
        .route("/emulator/calls", get(calls))
        .route("/emulator/wait", get(wait))
        .route("/emulator/discards", get(discards))
        .route("/emulator/requests", get(requests))
        .route("/emulator/stats", get(stats))
        .route(
            "/emulator/faults",
            get(faults).post(push_faults).delete(clear_faults),
        )
        .route("/emulator/clock", post(clock))
        .route("/emulator/reset", post(reset))
        .route("/emulator/{*rest}", any(unknown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallFilter {
    event: Option<String>,
    #[serde(rename = "userId")]
    user_id: Option<String>,
    #[serde(rename = "messageId")]
    message_id: Option<String>,
    #[serde(rename = "writeKey")]
    write_key: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

impl CallFilter {
    fn matches(&self, call: &StoredCall) -> bool {
        let same = |wanted: &Option<String>, value: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == value
        };
        same(&self.event, call.event())
            && same(&self.user_id, call.user_id())
            && same(&self.message_id, Some(call.message_id()))
            && same(&self.write_key, Some(call.write_key()))
    }
}

async fn calls(
    State(segment): State<Segment>,
    filter: Result<Query<CallFilter>, QueryRejection>,
) -> Response {
    let filter = match filter {
        Ok(Query(filter)) => filter,
        Err(rejection) => return bad_request(&rejection.body_text()),
    };
    let calls = segment.calls();
    let found = calls
        .iter()
        .filter(|call| filter.matches(call))
        .skip(filter.offset.unwrap_or(0))
        .take(filter.limit.unwrap_or(usize::MAX));
    let views: Vec<String> = found.map(StoredCall::to_json).collect();
    answer::json(StatusCode::OK, format!("[{}]", views.join(",\n")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Awaited {
    calls: u64,
    timeout_s: Option<u64>,
}

async fn wait(
    State(segment): State<Segment>,
    awaited: Result<Query<Awaited>, QueryRejection>,
) -> Response {
    let awaited = match awaited {
        Ok(Query(awaited)) => awaited,
        Err(rejection) => return bad_request(&rejection.body_text()),
    };
    let seconds = awaited.timeout_s.unwrap_or(DEFAULT_WAIT_SECONDS);
    if seconds > MAX_WAIT_SECONDS {
        return bad_request(&format!("timeout_s is at most {MAX_WAIT_SECONDS}"));
    }
    let timeout = Duration::from_secs(seconds);
    let stored = segment.state.shelf.wait(awaited.calls, timeout).await;
    let status = if stored >= awaited.calls {
        StatusCode::OK
    } else {
        StatusCode::REQUEST_TIMEOUT
    };
    answer::json(status, format!(r#"{{"calls": {stored}}}"#))
}

async fn discards(State(segment): State<Segment>) -> Response {
    listed(&segment.discards())
}

async fn requests(State(segment): State<Segment>) -> Response {
    listed(&segment.requests())
}

async fn stats(State(segment): State<Segment>) -> Response {
    listed(&segment.stats())
}

async fn faults(State(segment): State<Segment>) -> Response {
    answer::json(StatusCode::OK, steps::to_json(&segment.faults()))
}

async fn push_faults(State(segment): State<Segment>, body: Bytes) -> Response {
    match steps::parse(&body) {
        Ok(steps) => {
            let n_steps = steps.len();
            segment.push_faults(steps);
            answer::json(StatusCode::OK, format!(r#"{{"steps": {n_steps}}}"#))
        }
        Err(error) => bad_request(&chain(&error)),
    }
}

async fn clear_faults(State(segment): State<Segment>) -> StatusCode {
    segment.clear_faults();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    advance_s: Option<u64>,
    freeze_at: Option<String>,
}

async fn clock(State(segment): State<Segment>, body: Bytes) -> Response {
    let step: Move = match serde_json::from_slice(&body) {
        Ok(step) => step,
        Err(error) => return bad_request(&chain(&error)),
    };
    match (step.advance_s, step.freeze_at) {
        (Some(seconds), None) => segment.advance_clock(Duration::from_secs(seconds)),
        (None, Some(at)) => match at.parse::<Timestamp>() {
            Ok(at) => segment.freeze_clock(at),
            Err(error) => return bad_request(&format!("freeze_at: {error}")),
        },
        (Some(_), Some(_)) | (None, None) => {
            return bad_request("give either advance_s or freeze_at");
        }
    }
    let now = skew::stamp(segment.now());
    answer::json(StatusCode::OK, format!(r#"{{"now": "{now}"}}"#))
}

async fn reset(State(segment): State<Segment>) -> StatusCode {
    segment.reset();
    StatusCode::NO_CONTENT
}

/// A misspelt path is no request to the API, so it is not in the log.
async fn unknown() -> Response {
    let known = "calls, wait, discards, requests, stats, faults, clock, reset";
    let why = serde_json::json!({ "error": format!("under /emulator/ there are {known}") });
    answer::json(StatusCode::NOT_FOUND, why.to_string())
}

fn listed(entries: &impl Serialize) -> Response {
    match serde_json::to_string(entries) {
        Ok(json) => answer::json(StatusCode::OK, json),
        Err(error) => {
            let why = serde_json::json!({ "error": error.to_string() });
            answer::json(StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
        }
    }
}

fn bad_request(why: &str) -> Response {
    let body = serde_json::json!({ "error": why }).to_string();
    answer::json(StatusCode::BAD_REQUEST, body).into_response()
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("writing to a string does not fail");
        cause = error.source();
    }
    text
}
