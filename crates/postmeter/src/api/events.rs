//! What there is to see: the desk's snapshots as they are.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use console::seen::Span;
use console::{Look, Process as _};
use journal::Place;
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::answers;
use super::asked::{Asked, Named, filter, limit};
use super::failure::Failure;
use super::route::{Route, get};

/// Events in one answer unless the request says otherwise, and at most.
const EVENTS: usize = 50;
const MAX_EVENTS: usize = 200;
/// Changes in one answer unless the request says otherwise, and at most.
const CHANGES: usize = 50;
const MAX_CHANGES: usize = 500;
/// The longest text to look for, in characters.
const MAX_WORDS: usize = 1_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/overview", overview),
        get("/api/history", history),
        get("/api/events", events),
        get("/api/events/{place}", event),
        get("/api/find", find),
        get("/api/audit", audit),
    ]
}

async fn overview(State(api): State<Api>) -> Result<Response, Failure> {
    Ok(Json(api.desk.overview().await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    span: Option<String>,
}

async fn history(
    State(api): State<Api>,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Response, Failure> {
    let word = query.span.as_deref().unwrap_or(Span::default().word());
    let span = Span::ALL.into_iter().find(|span| span.word() == word);
    let span =
        span.ok_or_else(|| Failure::bad_request("span is \"hour\", \"day\" or \"month\""))?;
    Ok(Json(api.desk.history(span).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    filter: Option<String>,
    after: Option<String>,
    before: Option<String>,
    limit: Option<u64>,
}

async fn events(
    State(api): State<Api>,
    Asked(query): Asked<EventsQuery>,
) -> Result<Response, Failure> {
    let limit = limit(query.limit, EVENTS, MAX_EVENTS)?;
    let look = match (&query.after, &query.before) {
        (None, None) => Look::Newest,
        (Some(mark), None) if is_mark(mark) => Look::After(mark),
        (None, Some(mark)) if is_mark(mark) => Look::Before(mark),
        (Some(_), Some(_)) => {
            let error = "after and before are two ways to look: give one of them";
            return Err(Failure::unusable(error));
        }
        _ => {
            let error =
                "after is the `next` and before the `older` of an earlier answer, such as 0:4711";
            return Err(Failure::bad_request(error));
        }
    };
    let filter = filter(query.filter.as_deref())?;
    let watched = api.desk.watch(look, &filter, limit).await?;
    Ok(Json(watched).into_response())
}

/// Whether a text may be where an earlier look ended.
fn is_mark(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_pair =
        |(partition, seq): (&str, &str)| -> bool { is_number(partition) && is_number(seq) };
    let mut marks = text.split(',');
    marks.all(|mark| mark.split_once(':').is_some_and(is_pair))
}

async fn event(State(api): State<Api>, Named(place): Named) -> Result<Response, Failure> {
    let missing = || {
        let error = format!("there is no record {place:?}: a record is named 4711 or p2-4711");
        Failure::not_found(error)
    };
    let at: Place = place.replacen('-', "/", 1).parse().map_err(|_| missing())?;
    match api.desk.explain(at).await? {
        Some(explained) => Ok(Json(answers::explained(&explained)).into_response()),
        None => Err(match api.desk.when_erased(at).await {
            Some(when) => Failure::not_found(format!("record {place} was erased at {when:.3}")),
            None => missing(),
        }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindQuery {
    q: String,
}

async fn find(
    State(api): State<Api>,
    Asked(FindQuery { q }): Asked<FindQuery>,
) -> Result<Response, Failure> {
    if !(1..=MAX_WORDS).contains(&q.chars().count()) {
        let error = format!("q is what to look for: 1 to {MAX_WORDS} characters");
        return Err(Failure::bad_request(error));
    }
    Ok(Json(api.desk.find(&q).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    limit: Option<u64>,
}

async fn audit(
    State(api): State<Api>,
    Asked(query): Asked<AuditQuery>,
) -> Result<Response, Failure> {
    let limit = limit(query.limit, CHANGES, MAX_CHANGES)?;
    let lines = api.desk.audit(limit).await?;
    Ok(Json(json!({ "audit": lines })).into_response())
}
