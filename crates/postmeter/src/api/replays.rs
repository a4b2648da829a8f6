//! Replays: what one would do, beginning one, and steering it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use console::seen::{ReplayAsked, Steer};
use console::{NotChanged, Process as _};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::asked::{Given, Named};
use super::failure::Failure;
use super::route::{Route, get, post};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/replays", list),
        post("/api/replays", start),
        post("/api/replays/preview", preview),
        get("/api/replays/{number}", one),
        post("/api/replays/{number}/pause", pause),
        post("/api/replays/{number}/resume", resume),
        post("/api/replays/{number}/cancel", cancel),
    ]
}

/// What is to be sent again. Its times are conditions of the filter by another
/// name, for those who have them apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewReplay {
    connection: String,
    #[serde(default)]
    filter: String,
    since: Option<String>,
    until: Option<String>,
    rate_per_s: Option<u32>,
}

impl From<NewReplay> for ReplayAsked {
    fn from(new: NewReplay) -> ReplayAsked {
        let mut filter = new.filter;
        for (key, time) in [("since", new.since), ("until", new.until)] {
            if let Some(time) = time {
                let time = time.replace(['"', '\\'], "?");
                filter = format!("{filter} {key}:\"{time}\"");
            }
        }
        ReplayAsked {
            connection: new.connection,
            filter: filter.trim().to_owned(),
            rate_per_s: new.rate_per_s,
        }
    }
}

async fn preview(
    State(api): State<Api>,
    Given(new): Given<NewReplay>,
) -> Result<Response, Failure> {
    let preview = api.desk.preview_replay(&new.into()).await;
    Ok(Json(preview.map_err(not_begun)?).into_response())
}

async fn start(State(api): State<Api>, Given(new): Given<NewReplay>) -> Result<Response, Failure> {
    let started = api.desk.start_replay(&new.into()).await;
    Ok(Json(started.map_err(not_begun)?).into_response())
}

async fn list(State(api): State<Api>) -> Result<Response, Failure> {
    let replays = api.desk.replays().await?;
    Ok(Json(json!({ "replays": replays })).into_response())
}

async fn one(State(api): State<Api>, Named(number): Named) -> Result<Response, Failure> {
    let number = read(&number)?;
    let seen = api.desk.replay(number).await?;
    let seen = seen.ok_or_else(|| missing(&number.to_string()))?;
    Ok(Json(seen).into_response())
}

async fn pause(api: State<Api>, number: Named) -> Result<Response, Failure> {
    steer(api, number, Steer::Pause).await
}

async fn resume(api: State<Api>, number: Named) -> Result<Response, Failure> {
    steer(api, number, Steer::Resume).await
}

async fn cancel(api: State<Api>, number: Named) -> Result<Response, Failure> {
    steer(api, number, Steer::Cancel).await
}

async fn steer(
    State(api): State<Api>,
    Named(number): Named,
    steer: Steer,
) -> Result<Response, Failure> {
    let number = read(&number)?;
    match api.desk.steer_replay(number, steer).await {
        Ok(seen) => Ok(Json(seen).into_response()),
        Err(NotChanged::Mistakes(why)) => Err(Failure::conflict(why.join("; "))),
        Err(error) => Err(error.into()),
    }
}

fn read(number: &str) -> Result<u64, Failure> {
    number.parse().map_err(|_| missing(number))
}

fn missing(number: &str) -> Failure {
    Failure::not_found(format!("there is no replay {number}"))
}

fn not_begun(error: NotChanged) -> Failure {
    match error {
        NotChanged::Mistakes(why) => Failure::faulty("the replay cannot begin", why),
        error @ (NotChanged::Missing(_) | NotChanged::Trouble(_)) => error.into(),
    }
}
