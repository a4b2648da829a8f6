//! The one route: `POST /webhooks/{workspace}`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::routing::post;
use jiff::Timestamp;
use journal::{Affinity, Draft, Journal, Tense};
use tokio::sync::watch;

use crate::answer::{Answer, Receipt, StoreError};
use crate::body::{self, Limits, Room};
use crate::signature::{Unverified, Verified};
use crate::workspaces::{Workspace, Workspaces};

/// What the route works with. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    /// Where authentic events go.
    pub journal: Journal,
    /// Who may send; read at each request, so that a change needs no restart.
    pub workspaces: watch::Receiver<Arc<Workspaces>>,
    /// What a request may cost.
    pub limits: Limits,
    /// Tells from a body what keeps it together with others in one partition.
    pub affinity: fn(&[u8]) -> Affinity,
    /// The clock that says when an event was received.
    pub now: fn() -> Timestamp,
}

/// The public routes. Each response carries a [`Receipt`].
pub fn router(intake: Intake) -> Router {
    let room = Room::new(intake.limits.bodies_bytes);
    Router::new()
        .route("/webhooks/{workspace}", post(receive))
        .with_state((intake, room))
}

async fn receive(
    State((intake, room)): State<(Intake, Room)>,
    Path(name): Path<String>,
    request: Request,
) -> Receipt {
    let workspace = intake.workspaces.borrow().find(&name).cloned();
    let Some(workspace) = workspace else {
        return Receipt {
            workspace: None,
            answer: Answer::UnknownWorkspace,
        };
    };
    let answer = match take(&intake, &room, &workspace, request).await {
        Ok(answer) | Err(answer) => answer,
    };
    Receipt {
        workspace: Some(Arc::clone(&workspace.name)),
        answer,
    }
}

async fn take(
    intake: &Intake,
    room: &Room,
    workspace: &Workspace,
    request: Request,
) -> Result<Answer, Answer> {
    let (head, body) = request.into_parts();
    let roomed = body::read(body, intake.limits, room).await?;
    let received_at = (intake.now)();
    let unverified = Unverified::new(&head.headers, roomed.body.clone());
    let verified = unverified
        .verify(workspace, received_at)
        .map_err(Answer::Refused)?;
    let mut draft = draft(workspace, &verified, received_at);
    // Nothing to decide where there is one partition: then nobody looks inside.
    if intake.journal.partitions().nth(1).is_some() {
        draft.affinity = (intake.affinity)(&draft.body);
    }
    let stored = store(&intake.journal, draft).await;
    let stored = stored.map_err(|error| Answer::Unavailable(Arc::new(error)))?;
    Ok(Answer::Journaled {
        place: stored.place,
        signed_by: verified.signed_by().cloned(),
    })
}

fn draft(workspace: &Workspace, verified: &Verified, received_at: Timestamp) -> Draft {
    Draft {
        received_at,
        workspace: workspace.name.to_string(),
        signed_by: verified.signed_by().map(ToString::to_string),
        affinity: Affinity::default(),
        origin: None,
        tense: Tense::Live,
        body: verified.body().clone(),
    }
}

async fn store(journal: &Journal, draft: Draft) -> Result<journal::Stored, StoreError> {
    let permit = journal.reserve(draft.body.len())?;
    Ok(permit.append(draft).await?)
}
