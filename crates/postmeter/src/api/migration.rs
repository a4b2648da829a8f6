//! The routes that `postmeter migrate` uses; what they do is in [`crate::carry`].

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;

use super::Api;
use super::failure::Failure;
use crate::carry::{self, Begin, Chunk, Finish, Letters, Refused};

/// The largest chunk: one record may be as large as the journal takes.
const MAX_CHUNK_BYTES: usize = journal::Draft::MAX_BODY_BYTES + 1024 * 1024;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/migration/begin", post(begin))
        .route("/api/migration/records", post(records))
        .route("/api/migration/letters", post(letters))
        .route("/api/migration/finish", post(finish))
        .route("/api/migration/abandon", post(abandon))
        .layer(DefaultBodyLimit::max(MAX_CHUNK_BYTES))
}

async fn begin(State(api): State<Api>, Json(begin): Json<Begin>) -> Result<Response, Failure> {
    Ok(through(carry::begin(&api.desk.operator, begin).await?))
}

async fn records(State(api): State<Api>, chunk: Bytes) -> Result<Response, Failure> {
    let chunk = Chunk::decode(chunk);
    let chunk = chunk.map_err(|damaged| Failure::bad_request(damaged.to_string()))?;
    Ok(through(carry::records(&api.desk.operator.journal, chunk).await?))
}

async fn letters(State(api): State<Api>, Json(sent): Json<Letters>) -> Result<Response, Failure> {
    carry::letters(&api.desk.operator.journal, &sent).await?;
    Ok(done())
}

async fn finish(State(api): State<Api>, Json(end): Json<Finish>) -> Result<Response, Failure> {
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
