//! The private listener: health, metrics, and the operator's actions as JSON.
//!
//! `/healthz` and `/readyz` answer anyone who reaches the listener. `/metrics` and
//! everything under `/api/` ask for the token, as `Authorization: Bearer TOKEN`;
//! every other path is the console's, which asks for it in its own way.

mod answers;
mod failure;
mod migration;
mod names;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use connections::Written;
use console::seen::Origin;
use journal::{DeadLetterFilter, DeadLetterId};
use serde::Deserialize;
use serde_json::json;

pub(crate) use self::answers::{attempt, health, record_name};
use self::answers::{dead_letter, dead_letter_line, status, tested};
use self::failure::Failure;
use crate::carry::Carried;
use crate::cli::EnableFrom;
use crate::desk::Desk;
use crate::nodes;
use crate::operator::Apply;
use crate::token::Token;

/// Dead letters in one answer unless the request says otherwise, and at most.
const DEAD_LETTERS: usize = 100;
const MAX_DEAD_LETTERS: usize = 10_000;

/// What the routes work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) desk: Desk,
    pub(crate) token: Token,
}

/// The private routes.
pub(crate) fn router(api: Api) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/api/nodes", get(all_nodes))
        .route("/api/connections", get(connections))
        .route("/api/connections/document", get(export).put(apply))
        .route("/api/connections/{name}/test", post(send_test))
        .route("/api/connections/{name}/confirm", post(confirm))
        .route("/api/dead-letters", get(dead_letters))
        .route("/api/dead-letters/{id}", get(one_dead_letter))
        .merge(migration::routes())
        .merge(names::routes())
        .route("/api/{*rest}", any(no_such_route))
        .layer(from_fn_with_state(api.token.clone(), guard));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(guarded)
        .with_state(api)
}

async fn guard(State(token): State<Token>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
    if shown.is_some_and(|shown| token.is(shown.trim())) {
        return next.run(request).await;
    }
    let asks = [(header::WWW_AUTHENTICATE, "Bearer")];
    let error = "this needs the server's token: `Authorization: Bearer TOKEN`";
    (
        StatusCode::UNAUTHORIZED,
        asks,
        Json(json!({ "error": error })),
    )
        .into_response()
}

async fn no_such_route() -> Response {
    Failure::not_found("there is no such route").into_response()
}

/// The process runs and answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The process can do its work: the journal takes events.
async fn readyz(State(api): State<Api>) -> Response {
    match health(&api.desk.operator.journal.stats().health) {
        (_, None) => "ready\n".into_response(),
        (_, Some(reason)) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
        }
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    let form = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (form, api.desk.observer.render()).into_response()
}

async fn connections(State(api): State<Api>) -> Result<Response, Failure> {
    let (statuses, unanswered) = nodes::statuses(&api.desk.operator).await?;
    let each = statuses.iter();
    let lines: Vec<_> = each.map(|each| status(each, &unanswered)).collect();
    let mut warnings = api.desk.operator.warnings();
    let carried = Carried::load(&api.desk.operator.journal).await?;
    if carried.is_some_and(|carried| !carried.is_done) {
        let wait = "a journal is being carried over: first-only connections wait for its end";
        warnings.push(wait.to_owned());
    }
    let answer = json!({
        "connections": lines,
        "warnings": warnings,
        "unanswered": unanswered,
    });
    Ok(Json(answer).into_response())
}

async fn all_nodes(State(api): State<Api>) -> Response {
    let gathered = nodes::nodes(&api.desk.operator, &api.desk.observer).await;
    let durability = api.desk.operator.journal.durability();
    let durability = durability.map(|watched| watched.borrow().clone());
    Json(answers::nodes(&gathered, durability.as_deref())).into_response()
}

async fn export(State(api): State<Api>) -> Result<Response, Failure> {
    let form = [(header::CONTENT_TYPE, "application/toml")];
    Ok((form, api.desk.operator.export().await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
    enable_from: Option<String>,
}

async fn apply(
    State(api): State<Api>,
    Query(query): Query<ApplyQuery>,
    document: String,
) -> Result<Response, Failure> {
    let enable_from = match query.enable_from.as_deref() {
        None | Some("backlog") => EnableFrom::Backlog,
        Some("now") => EnableFrom::Now,
        Some(_) => {
            return Err(Failure::bad_request(
                "enable_from is \"backlog\" or \"now\"",
            ));
        }
    };
    let how = if query.dry_run {
        Apply::DryRun
    } else {
        Apply::Now(enable_from)
    };
    let written = Written::parse(&document)?;
    let applied = api.desk.operator.apply(written, how, Origin::Api).await?;
    let changes: Vec<String> = applied.changes.iter().map(ToString::to_string).collect();
    let answer = json!({
        "applied": how != Apply::DryRun,
        "changes": changes,
        "warnings": applied.warnings,
    });
    Ok(Json(answer).into_response())
}

async fn send_test(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    let sent = api.desk.operator.send_test(&name).await?;
    let sent = sent.ok_or_else(|| no_connection(&name))?;
    Ok(Json(tested(&sent)).into_response())
}

async fn confirm(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    api.desk.operator
        .confirm(&name)
        .await?
        .ok_or_else(|| no_connection(&name))?;
    Ok(Json(json!({ "confirmed": true })).into_response())
}

fn no_connection(name: &str) -> Failure {
    Failure::not_found(format!("there is no connection {name:?}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLettersQuery {
    connection: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
}

async fn dead_letters(
    State(api): State<Api>,
    Query(query): Query<DeadLettersQuery>,
) -> Result<Response, Failure> {
    let connection = match &query.connection {
        Some(name) => Some(
            api.desk.operator
                .id_of(name)
                .ok_or_else(|| no_connection(name))?,
        ),
        None => None,
    };
    let filter = DeadLetterFilter {
        connection,
        after: query.after.map(DeadLetterId::new),
        limit: query.limit.unwrap_or(DEAD_LETTERS).min(MAX_DEAD_LETTERS),
    };
    // Counted first, so that an answer never counts letters that it does not show.
    let total = api.desk.operator.journal.dead_letter_count().await?;
    let letters = api.desk.operator.journal.dead_letters(filter).await?;
    let lines: Vec<_> = letters
        .iter()
        .map(|each| dead_letter_line(&api.desk.operator, each))
        .collect();
    Ok(Json(json!({ "dead_letters": lines, "total": total })).into_response())
}

async fn one_dead_letter(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let missing = || Failure::not_found(format!("there is no dead letter {id:?}"));
    let number: u64 = id.parse().map_err(|_| missing())?;
    let found = api
        .desk
        .operator
        .journal
        .dead_letter(DeadLetterId::new(number))
        .await?;
    let found = found.ok_or_else(missing)?;
    Ok(Json(dead_letter(&api.desk.operator, &found)).into_response())
}
