//! The App API's routes, and how it is told what to do.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::listing::{Listing, Named, Workflow};
use super::{AppApi, AppApiFault, Asked, now_ms};

/// Actions in one page, as documented.
const ACTIONS_PAGE: usize = 10;
/// Newsletters in one page unless the request says otherwise: a guess.
const NEWSLETTERS_PAGE: usize = 100;

pub(super) fn router(app_api: AppApi) -> Router {
    let api = Router::new()
        .route("/v1/campaigns", get(campaigns))
        .route("/v1/campaigns/{id}/actions", get(campaign_actions))
        .route("/v1/broadcasts", get(broadcasts))
        .route("/v1/broadcasts/{id}/actions", get(broadcast_actions))
        .route("/v1/newsletters", get(newsletters))
        .route("/v1/newsletters/{id}", get(newsletter))
        .route("/v1/transactional", get(transactional))
        .fallback(async || missing())
        .layer(from_fn_with_state(app_api.clone(), guard));
    Router::new()
        .route("/emulator/names", put(set_names))
        .route("/emulator/fault", put(set_fault))
        .route("/emulator/requests", get(requests))
        .merge(api)
        .with_state(app_api)
}

/// Fails where told to, asks for the key, keeps the limit, and notes the answer.
async fn guard(State(app_api): State<AppApi>, request: Request, next: Next) -> Response {
    let at_ms = now_ms();
    let path = request.uri().path_and_query().map(ToString::to_string);
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
    let is_key = app_api.is_key(shown);
    let fault = app_api.state().fault.clone();
    let answer = if !app_api.is_within_limit(Instant::now()) {
        refused(
            StatusCode::TOO_MANY_REQUESTS,
            "over the 10-per-second limit",
        )
    } else if !is_key {
        refused(StatusCode::UNAUTHORIZED, "unauthorized")
    } else {
        faulty(fault, request, next).await
    };
    app_api.note(Asked {
        path: path.unwrap_or_default(),
        status: answer.status().as_u16(),
        at_ms,
    });
    answer
}

async fn faulty(fault: AppApiFault, request: Request, next: Next) -> Response {
    match fault {
        AppApiFault::None => next.run(request).await,
        AppApiFault::Slow(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            next.run(request).await
        }
        AppApiFault::BreakOff => {
            let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            Body::from_stream(futures_util::stream::iter([Err::<&str, _>(cut)])).into_response()
        }
        AppApiFault::Status(status) => refused(status_of(status), "told to fail"),
        AppApiFault::Busy {
            status,
            retry_after,
        } => {
            let after = [(header::RETRY_AFTER, retry_after.to_string())];
            (after, refused(status_of(status), "told to fail")).into_response()
        }
    }
}

fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn refused(status: StatusCode, why: &str) -> Response {
    // The reference does not show what errors look like: a guess.
    (status, Json(json!({ "meta": { "error": why } }))).into_response()
}

fn missing() -> Response {
    refused(StatusCode::NOT_FOUND, "not found")
}

/// Ids are documented as integers.
fn missing_or_invalid(id: &str) -> Response {
    match id.parse::<u64>() {
        Ok(_) => missing(),
        Err(_) => refused(StatusCode::BAD_REQUEST, "the id is invalid"),
    }
}

async fn campaigns(State(app_api): State<AppApi>) -> Json<Value> {
    let state = app_api.state();
    let each = state.listing.campaigns.iter().map(workflow);
    Json(json!({ "campaigns": each.collect::<Vec<_>>() }))
}

async fn broadcasts(State(app_api): State<AppApi>) -> Json<Value> {
    let state = app_api.state();
    let each = state.listing.broadcasts.iter().map(workflow);
    Json(json!({ "broadcasts": each.collect::<Vec<_>>() }))
}

fn workflow(workflow: &Workflow) -> Value {
    let actions = workflow.actions.iter();
    let actions: Vec<_> = actions
        .map(|each| json!({ "id": each.id, "type": "email" }))
        .collect();
    json!({
        "id": workflow.id,
        "name": workflow.name,
        "active": true,
        "state": "running",
        "actions": actions,
        "tags": null,
    })
}

async fn transactional(State(app_api): State<AppApi>) -> Json<Value> {
    let state = app_api.state();
    Json(json!({ "messages": state.listing.transactional }))
}

#[derive(Deserialize)]
struct Paging {
    #[serde(default)]
    start: String,
    limit: Option<usize>,
}

async fn newsletters(State(app_api): State<AppApi>, Query(paging): Query<Paging>) -> Response {
    let state = app_api.state();
    let most = paging.limit.unwrap_or(NEWSLETTERS_PAGE).max(1);
    let newsletters = &state.listing.newsletters;
    page("newsletters", newsletters, &paging.start, most)
}

async fn newsletter(State(app_api): State<AppApi>, Path(id): Path<String>) -> Response {
    let state = app_api.state();
    let mut newsletters = state.listing.newsletters.iter();
    match newsletters.find(|each| each.id.to_string() == id) {
        Some(found) => Json(json!({ "newsletter": found })).into_response(),
        None => missing(),
    }
}

async fn campaign_actions(
    State(app_api): State<AppApi>,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Response {
    let state = app_api.state();
    match find(&state.listing.campaigns, &id) {
        Some(found) => page("actions", &found.actions, &paging.start, ACTIONS_PAGE),
        None => missing_or_invalid(&id),
    }
}

/// All at once: the reference shows no pages here.
async fn broadcast_actions(State(app_api): State<AppApi>, Path(id): Path<String>) -> Response {
    let state = app_api.state();
    match find(&state.listing.broadcasts, &id) {
        Some(found) => Json(json!({ "actions": found.actions })).into_response(),
        None => missing_or_invalid(&id),
    }
}

fn find<'w>(workflows: &'w [Workflow], id: &str) -> Option<&'w Workflow> {
    workflows.iter().find(|each| each.id.to_string() == id)
}

/// A page from where the token `start` says, with the token of the next one.
fn page(list: &str, items: &[Named], start: &str, most: usize) -> Response {
    let token = |at: usize| format!("page+{at}/=");
    let at = (0..items.len()).find(|at| token(*at) == start);
    let at = match (start, at) {
        ("", _) => 0,
        (_, Some(at)) => at,
        (_, None) => return refused(StatusCode::BAD_REQUEST, "start is no token of ours"),
    };
    let shown: Vec<&Named> = items.iter().skip(at).take(most).collect();
    let next = at + shown.len();
    let next = if next < items.len() {
        token(next)
    } else {
        String::new()
    };
    Json(json!({ list: shown, "next": next })).into_response()
}

async fn set_names(State(app_api): State<AppApi>, Json(listing): Json<Listing>) -> StatusCode {
    app_api.list(listing);
    StatusCode::NO_CONTENT
}

async fn set_fault(State(app_api): State<AppApi>, Json(fault): Json<AppApiFault>) -> StatusCode {
    app_api.fail(fault);
    StatusCode::NO_CONTENT
}

async fn requests(State(app_api): State<AppApi>) -> Json<Value> {
    Json(json!(app_api.asked()))
}
