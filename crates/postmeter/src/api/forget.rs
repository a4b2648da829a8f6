//! Forgetting a person. Who it is stands in the body: an address is logged by others.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::Api;
use super::asked::Given;
use super::failure::Failure;
use super::route::{Route, post};
use crate::desk::forget::{Forget, Reach, Unforgotten};

/// The longest identifier, in characters: an email address has 320 at the most.
const MAX_PERSON: usize = 320;

pub(super) fn routes() -> Vec<Route> {
    vec![post("/api/forget", forget)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    person: String,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    dry_run: bool,
}

async fn forget(State(api): State<Api>, Given(asked): Given<Asked>) -> Result<Response, Failure> {
    if !(1..=MAX_PERSON).contains(&asked.person.chars().count()) {
        return Err(Failure::unusable(format!(
            "person is an id, an email address or a cio_id: 1 to {MAX_PERSON} characters"
        )));
    }
    let forget = Forget {
        person: asked.person,
        reach: if asked.exact {
            Reach::Exact
        } else {
            Reach::Linked
        },
    };
    let forgotten = if asked.dry_run {
        api.desk.look_for(&forget).await?
    } else {
        api.desk.forget(&forget).await?
    };
    Ok(Json(forgotten).into_response())
}

impl From<Unforgotten> for Failure {
    fn from(error: Unforgotten) -> Failure {
        match error {
            Unforgotten::TooManyIdentifiers
            | Unforgotten::TooManyRecords
            | Unforgotten::OnACluster => Failure::conflict(error.to_string()),
            Unforgotten::Failed(error) => error.into(),
        }
    }
}
