//! Connections: how they are doing, what is decided about each, and deciding it.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use connections::{Connection, Secret, Settings, Written};
use console::Process as _;
use console::seen::{Enabling, Origin};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::answers::{preview, status, tested};
use super::asked::{Asked, Given, Named, Raw, limit};
use super::draft::{Keys, Kind};
use super::failure::Failure;
use super::route::{Route, delete, get, patch, post, put};
use super::workspaces::{Decision, create, remove, show};
use crate::carry::Carried;
use crate::cli::EnableFrom;
use crate::nodes;
use crate::operator::Apply;

/// Events in a preview unless the request says otherwise, and at most.
const PREVIEWS: usize = 5;
const MAX_PREVIEWS: usize = 50;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/connections", list),
        post("/api/connections", add),
        get("/api/connections/document", export),
        put("/api/connections/document", apply),
        get("/api/connections/{name}", one),
        patch("/api/connections/{name}", change),
        delete("/api/connections/{name}", take_away),
        post("/api/connections/{name}/test", send_test),
        post("/api/connections/{name}/confirm", confirm),
        post("/api/connections/{name}/reset-claims", reset_claims),
        get("/api/connections/{name}/preview", previews),
        post("/api/secrets", keep_secret),
    ]
}

async fn list(State(api): State<Api>) -> Result<Response, Failure> {
    let operator = &api.desk.operator;
    let (statuses, unanswered) = nodes::statuses(operator).await?;
    let each = statuses.iter();
    let lines: Vec<_> = each.map(|each| status(each, &unanswered)).collect();
    let mut warnings = operator.warnings();
    let carried = Carried::load(&operator.journal).await?;
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
    Asked(query): Asked<ApplyQuery>,
    Raw(document): Raw,
) -> Result<Response, Failure> {
    let enable_from = match enabling(query.enable_from.as_deref())? {
        Enabling::Backlog => EnableFrom::Backlog,
        Enabling::Now => EnableFrom::Now,
    };
    let how = if query.dry_run {
        Apply::DryRun
    } else {
        Apply::Now(enable_from)
    };
    let document = std::str::from_utf8(&document);
    let document =
        document.map_err(|_| Failure::bad_request("the document is not UTF-8: save it as that"))?;
    let written = Written::parse(document)?;
    let applied = api.desk.operator.apply(written, how, Origin::Api).await?;
    let changes: Vec<String> = applied.changes.iter().map(ToString::to_string).collect();
    let answer = json!({
        "applied": how != Apply::DryRun,
        "changes": changes,
        "warnings": applied.warnings,
    });
    Ok(Json(answer).into_response())
}

fn enabling(word: Option<&str>) -> Result<Enabling, Failure> {
    match word {
        None | Some("backlog") => Ok(Enabling::Backlog),
        Some("now") => Ok(Enabling::Now),
        Some(_) => {
            let error = "enable_from is \"backlog\" or \"now\"";
            Err(Failure::bad_request(error))
        }
    }
}

async fn add(State(api): State<Api>, Given(keys): Given<Keys>) -> Result<Response, Failure> {
    create(&api, Kind::Connection, keys).await
}

async fn one(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    show(&api, Kind::Connection, &name).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeQuery {
    enable_from: Option<String>,
}

async fn change(
    State(api): State<Api>,
    Named(name): Named,
    Asked(query): Asked<ChangeQuery>,
    Given(keys): Given<Keys>,
) -> Result<Response, Failure> {
    let enabling = enabling(query.enable_from.as_deref())?;
    let decision = Decision {
        kind: Kind::Connection,
        name,
        keys,
    };
    decision.make(&api, enabling).await
}

async fn take_away(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    remove(&api, Kind::Connection, &name).await
}

async fn send_test(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    let sent = api.desk.operator.send_test(&name).await?;
    let sent = sent.ok_or_else(|| Kind::Connection.missing(&name))?;
    Ok(Json(tested(&sent)).into_response())
}

async fn confirm(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    api.desk.confirm(&name).await?;
    Ok(Json(json!({ "confirmed": true })).into_response())
}

async fn reset_claims(State(api): State<Api>, Named(name): Named) -> Result<Response, Failure> {
    api.desk.reset_claims(&name).await?;
    Ok(Json(json!({ "reset": true })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewQuery {
    limit: Option<u64>,
}

async fn previews(
    State(api): State<Api>,
    Named(name): Named,
    Asked(query): Asked<PreviewQuery>,
) -> Result<Response, Failure> {
    let limit = limit(query.limit, PREVIEWS, MAX_PREVIEWS)?;
    let decided = api.desk.decided().await?;
    let candidate: &Connection = decided
        .named(&name)
        .ok_or_else(|| Kind::Connection.missing(&name))?;
    let previews = api.desk.preview(candidate, limit).await?;
    let lines: Vec<_> = previews.iter().map(preview).collect();
    Ok(Json(json!({ "previews": lines })).into_response())
}

/// A secret that is to be kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    secret: String,
}

async fn keep_secret(
    State(api): State<Api>,
    Given(NewSecret { secret }): Given<NewSecret>,
) -> Result<Response, Failure> {
    if secret.trim().is_empty() || secret.len() > Settings::MAX_SECRET_BYTES {
        let most = Settings::MAX_SECRET_BYTES;
        let error = format!("secret is the secret itself: 1 to {most} bytes, and not all blank");
        return Err(Failure::unusable(error));
    }
    let kept = api.desk.keep_secret(&secret).await?;
    let secret = Secret::new(secret.trim().to_owned());
    let answer = json!({ "secret": kept.to_string(), "ends_with": secret.last_four() });
    Ok(Json(answer).into_response())
}
