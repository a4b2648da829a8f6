//! The routes that `postmeter migrate` uses; what they do is in [`crate::carry`].

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Api;
use super::asked::{Given, Raw};
use super::failure::Failure;
use super::route::{Route, post};
use crate::carry::{self, Begin, Chunk, Finish, Letters, Refused};

/// The largest chunk: one record may be as large as the journal takes.
const MAX_CHUNK_BYTES: usize = journal::Draft::MAX_BODY_BYTES + 1024 * 1024;

pub(super) fn routes() -> Vec<Route> {
    let routes = [
        post("/api/migration/begin", begin),
        post("/api/migration/records", records),
        post("/api/migration/letters", letters),
        post("/api/migration/finish", finish),
        post("/api/migration/abandon", abandon),
    ];
    let routes = routes.into_iter();
    routes
        .map(|route| route.with_body_limit(MAX_CHUNK_BYTES))
        .collect()
}

async fn begin(State(api): State<Api>, Given(begin): Given<Begin>) -> Result<Response, Failure> {
    Ok(through(carry::begin(&api.desk.operator, begin).await?))
}

async fn records(State(api): State<Api>, Raw(chunk): Raw) -> Result<Response, Failure> {
    let chunk = Chunk::decode(chunk);
    let chunk = chunk.map_err(|damaged| Failure::bad_request(damaged.to_string()))?;
    Ok(through(
        carry::records(&api.desk.operator.journal, chunk).await?,
    ))
}

async fn letters(State(api): State<Api>, Given(sent): Given<Letters>) -> Result<Response, Failure> {
    carry::letters(&api.desk.operator.journal, &sent).await?;
    Ok(done())
}

async fn finish(State(api): State<Api>, Given(end): Given<Finish>) -> Result<Response, Failure> {
    carry::finish(&api.desk.operator.journal, end).await?;
    Ok(done())
}

async fn abandon(State(api): State<Api>) -> Result<Response, Failure> {
    carry::abandon(&api.desk.operator.journal).await?;
    Ok(done())
}

fn through(through: u64) -> Response {
    Json(json!({ "through": through })).into_response()
}

fn done() -> Response {
    Json(json!({ "done": true })).into_response()
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Differs(_) | Refused::OutOfOrder { .. } => {
                Failure::conflict(refused.to_string())
            }
            Refused::Connections(error) => error.into(),
            Refused::Failed(error) => error.into(),
        }
    }
}
