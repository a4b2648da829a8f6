//! Workspaces, and deciding about one thing at a time, which is the same for
//! connections.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use console::Process as _;
use console::seen::{Changed, Enabling};
use serde_json::json;

use super::Api;
use super::asked::{Given, Named};
use super::draft::{self, Keys, Kind};
use super::failure::Failure;
use super::route::{Route, delete, get, patch, post};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/workspaces", list),
        post("/api/workspaces", add),
        get("/api/workspaces/{name}", one),
        patch("/api/workspaces/{name}", change),
        delete("/api/workspaces/{name}", take_away),
        post("/api/workspaces/{name}/refresh-names", refresh_names),
    ]
}

async fn list(State(api): State<Api>) -> Result<Response, Failure> {
    let overview = api.desk.overview().await?;
    Ok(Json(json!({ "workspaces": overview.workspaces })).into_response())
}

async fn add(State(api): State<Api>, Given(keys): Given<Keys>) -> Result<Response, Failure> {
    create(&api, Kind::Workspace, keys).await
}

async fn one(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    show(&api, Kind::Workspace, &name).await
}

async fn change(
    State(api): State<Api>,
    Named(name): Named,
    Given(keys): Given<Keys>,
) -> Result<Response, Failure> {
    let decision = Decision {
        kind: Kind::Workspace,
        name,
        keys,
    };
    decision.make(&api, Enabling::Backlog).await
}

async fn take_away(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    remove(&api, Kind::Workspace, &name).await
}

async fn refresh_names(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    let decided = api.desk.decided().await?;
    let mut workspaces = decided.workspaces().iter();
    let workspace = workspaces.find(|each| each.name.as_str() == name);
    let workspace = workspace.ok_or_else(|| Kind::Workspace.missing(&name))?;
    if workspace.app_api.is_none() {
        let error = format!("workspace {name:?} has no names directory: give it an app_api_key");
        return Err(Failure::conflict(error));
    }
    api.desk.refresh_names(&name).await?;
    Ok(Json(json!({ "refreshing": true })).into_response())
}

/// What is to be different about one.
pub(super) struct Decision {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) keys: Keys,
}

impl Decision {
    /// Makes it, and answers with how the one is now.
    pub(super) async fn make(self, api: &Api, enabling: Enabling) -> Result<Response, Failure> {
        let Decision { kind, name, keys } = self;
        let renamed = keys.get("name").and_then(|name| name.as_str());
        let next = renamed.unwrap_or(&name).to_owned();
        let decided = api.desk.decided().await?;
        let edit = draft::changed(&decided, kind, &name, keys)?;
        let changed = api.desk.edit(edit, enabling).await?;
        answer(api, kind, &next, changed).await
    }
}

/// Has one come into being, and answers with it.
pub(super) async fn create(api: &Api, kind: Kind, keys: Keys) -> Result<Response, Failure> {
    let name = keys.get("name").and_then(|name| name.as_str());
    let name = name.unwrap_or_default().to_owned();
    let decided = api.desk.decided().await?;
    let edit = draft::added(&decided, kind, keys)?;
    let changed = api.desk.edit(edit, Enabling::Backlog).await?;
    let location = [(header::LOCATION, format!("/api/{}s/{name}", kind.word()))];
    let made = answer(api, kind, &name, changed).await?;
    Ok((StatusCode::CREATED, location, made).into_response())
}

/// Answers with what is decided about one.
pub(super) async fn show(api: &Api, kind: Kind, name: &str) -> Result<Response, Failure> {
    let decided = api.desk.decided().await?;
    let keys = draft::keys_of(&decided, kind, name);
    let keys = keys.ok_or_else(|| kind.missing(name))?;
    Ok(Json(keys).into_response())
}

/// Has one go away.
pub(super) async fn remove(api: &Api, kind: Kind, name: &str) -> Result<Response, Failure> {
    let edit = draft::removed(&api.desk.decided().await?, kind, name)?;
    let changed = api.desk.edit(edit, Enabling::Backlog).await?;
    Ok(Json(changed).into_response())
}

async fn answer(
    api: &Api,
    kind: Kind,
    name: &str,
    Changed { changes, warnings }: Changed,
) -> Result<Response, Failure> {
    let decided = api.desk.decided().await?;
    let keys = draft::keys_of(&decided, kind, name);
    let keys = keys.ok_or_else(|| kind.missing(name))?;
    let answer = json!({ kind.word(): keys, "changes": changes, "warnings": warnings });
    Ok(Json(answer).into_response())
}
