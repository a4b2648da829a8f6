//! The routes that `postmeter import` uses; what they do is in [`crate::import`].

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::asked::{Asked, Given, Raw};
use super::failure::Failure;
use super::route::{Route, post};
use crate::import::{self, Begin, Chunk, MAX_EVENT_BYTES, Progress, Refused, Taken};

/// The largest chunk: one event may be as large as any, and stands with others.
const MAX_CHUNK_BYTES: usize = 2 * MAX_EVENT_BYTES;

pub(super) fn routes() -> Vec<Route> {
    let routes = [
        post("/api/import/begin", begin),
        post("/api/import/lines", lines),
        post("/api/import/finish", finish),
    ];
    let routes = routes.into_iter();
    routes
        .map(|route| route.with_body_limit(MAX_CHUNK_BYTES))
        .collect()
}

async fn begin(State(api): State<Api>, Given(begin): Given<Begin>) -> Result<Response, Failure> {
    let progress = import::begin(&api.desk.operator, begin).await?;
    Ok(Json(progress).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinesQuery {
    source: String,
    after: u64,
    through: u64,
}

/// One event a line.
async fn lines(
    State(api): State<Api>,
    Asked(query): Asked<LinesQuery>,
    Raw(body): Raw,
) -> Result<Response, Failure> {
    let each = body.split(|byte| *byte == b'\n');
    let events = each.filter(|line| !line.is_empty());
    let chunk = Chunk {
        source: query.source,
        after: query.after,
        through: query.through,
        events: events.map(|line| body.slice_ref(line)).collect(),
    };
    Ok(match import::store(&api.desk.operator, chunk).await? {
        Taken::Stored(progress) => Json(progress).into_response(),
        Taken::Later(why) => Json(json!({ "later": why })).into_response(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finished {
    source: String,
}

async fn finish(State(api): State<Api>, Given(end): Given<Finished>) -> Result<Response, Failure> {
    let progress: Progress = import::finish(&api.desk.operator, &end.source).await?;
    Ok(Json(progress).into_response())
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Unusable(_) => Failure::unusable(refused.to_string()),
            Refused::NoWorkspace(_) => Failure::not_found(refused.to_string()),
            Refused::OutOfOrder { .. } => Failure::conflict(refused.to_string()),
            Refused::Failed(error) => error.into(),
        }
    }
}
