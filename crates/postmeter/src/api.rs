//! The private listener: health, metrics, and the operator's actions as JSON.
//!
//! `/healthz` and `/readyz` answer anyone who reaches the listener. `/metrics` and
//! everything under `/api/` ask for the token, as `Authorization: Bearer TOKEN`;
//! every other path is the console's, which asks for it in its own way.
//!
//! `api/openapi.json` describes every route; a test holds the two to each other.
//! Handlers are thin: what they answer and do, the desk answers and does, for the
//! console as well.

mod answers;
mod asked;
mod connections;
mod draft;
mod events;
mod failure;
mod forget;
mod import;
mod letters;
mod migration;
mod names;
mod replays;
mod route;
mod workspaces;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};

pub(crate) use self::answers::{attempt, health, record_name};
use self::failure::Failure;
use self::route::{Route, get};
use crate::desk::Desk;
use crate::nodes;
use crate::token::Token;

/// What describes the routes to programs and people.
const OPENAPI: &str = include_str!("api/openapi.json");

/// What the routes work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) desk: Desk,
    pub(crate) token: Token,
}

/// The private routes.
pub(crate) fn router(api: Api) -> Router {
    let guarded = route::router(guarded_routes())
        .method_not_allowed_fallback(wrong_method)
        .route("/api/{*rest}", any(no_such_route))
        .layer(from_fn_with_state(api.token.clone(), guard));
    route::router(open_routes())
        .method_not_allowed_fallback(wrong_method)
        .merge(guarded)
        .with_state(api)
}

/// What answers without the token.
fn open_routes() -> Vec<Route> {
    vec![get("/healthz", healthz), get("/readyz", readyz)]
}

/// What asks for the token.
fn guarded_routes() -> Vec<Route> {
    let own = vec![
        get("/metrics", metrics),
        get("/api/nodes", all_nodes),
        get("/api/openapi.json", openapi),
    ];
    let parts = [
        events::routes(),
        connections::routes(),
        workspaces::routes(),
        names::routes(),
        letters::routes(),
        forget::routes(),
        replays::routes(),
        migration::routes(),
        import::routes(),
    ];
    own.into_iter().chain(parts.into_iter().flatten()).collect()
}

async fn guard(State(token): State<Token>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
    if shown.is_some_and(|shown| token.is(shown.trim())) {
        return next.run(request).await;
    }
    let asks = [(header::WWW_AUTHENTICATE, "Bearer")];
    (asks, Failure::no_token()).into_response()
}

async fn no_such_route() -> Failure {
    Failure::not_found("there is no such route: /api/openapi.json has them all")
}

async fn wrong_method() -> Failure {
    Failure::wrong_method()
}

/// The process runs and answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The process can do its work: the journal takes events.
async fn readyz(State(api): State<Api>) -> Response {
    match health(&api.desk.operator.journal.stats().health) {
        (_, None) => "ready\n".into_response(),
        (_, Some(reason)) => failure::not_ready(&reason),
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    let form = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (form, api.desk.observer.render()).into_response()
}

async fn all_nodes(State(api): State<Api>) -> Response {
    let gathered = nodes::nodes(&api.desk.operator, &api.desk.observer).await;
    let durability = api.desk.operator.journal.durability();
    let durability = durability.map(|watched| watched.borrow().clone());
    Json(answers::nodes(&gathered, durability.as_deref())).into_response()
}

async fn openapi() -> Response {
    let form = [(header::CONTENT_TYPE, "application/json")];
    (form, OPENAPI).into_response()
}

#[cfg(test)]
mod tests;
