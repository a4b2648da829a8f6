//! The pages, each in a file of its own: what it shows, how it is made, and what
//! its forms do.

pub(crate) mod login;

mod confirm;
mod connect;
mod connection;
mod connections;
mod dead_letters;
mod debugger;
mod draft;
pub(crate) mod event;
mod mistakes;
mod options;
mod overview;
pub(crate) mod replays;
mod sample;
mod secret;
mod settings;
mod workspace;

use axum::Router;
use axum::extract::State;
use axum::response::Response;

use crate::process::Process;
use crate::shell::{Console, NoPage, Visit, answer};

/// The routes of all pages.
pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .merge(overview::routes())
        .merge(connections::routes())
        .merge(connect::routes())
        .merge(connection::routes())
        .merge(workspace::routes())
        .merge(debugger::routes())
        .merge(event::routes())
        .merge(dead_letters::routes())
        .merge(replays::routes())
        .merge(settings::routes())
        .fallback(nothing_here::<P>)
}

async fn nothing_here<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let missing = NoPage::Missing(format!("page {}", visit.uri.path()));
    answer(&console, &visit, Err(missing)).await
}
