//! The page before something that cannot be taken back: what goes, what stays.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::process::Process;
use crate::shell::{Console, Nav, Shell, Visit, respond};

/// What is asked before it is done.
pub(crate) struct Question {
    /// The question, which the page is called by.
    pub(crate) asks: String,
    /// What happens then, a sentence or two each.
    pub(crate) says: Vec<String>,
    /// Where the answer goes.
    pub(crate) action: String,
    /// What the button says.
    pub(crate) button: &'static str,
    /// The page that one came from: its address and name.
    pub(crate) from: (String, String),
    /// Why it was not done; empty at first.
    pub(crate) refused: String,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page {
    shell: Shell,
    question: Question,
}

/// Asks.
pub(crate) async fn ask<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    nav: Nav,
    question: Question,
) -> Response {
    let status = if question.refused.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let shell = visit.shell(console, nav, question.asks.clone()).await;
    respond(status, &Page { shell, question })
}
