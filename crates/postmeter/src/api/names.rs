//! The names directories over the API.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Api;
use super::asked::Named;
use super::failure::Failure;
use super::route::{Route, get, post};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/names", names),
        post("/api/names/{workspace}/refresh", refresh),
    ]
}

/// How many names each workspace with a key has, and why it has no more.
async fn names(State(api): State<Api>) -> Response {
    let statuses = api.desk.operator.names.statuses().into_iter();
    let lines: Vec<_> = statuses
        .map(|(workspace, status)| {
            json!({
                "workspace": workspace,
                "names": status.names,
                "refreshed_at": status.refreshed_at.map(|at| at.to_string()),
                "last_error": status.last_error,
            })
        })
        .collect();
    Json(json!({ "workspaces": lines })).into_response()
}

async fn refresh(State(api): State<Api>, Named(workspace): Named) -> Result<Response, Failure> {
    if !api.desk.operator.names.refresh(&workspace) {
        let what = format!("there is no workspace {workspace:?} with an App API key");
        return Err(Failure::not_found(what));
    }
    Ok(Json(json!({ "refreshing": true })).into_response())
}
