//! The overview: is anything stuck?
//!
//! Its upper part says so and is refreshed as it changes; below are the charts of
//! the last hour, day or month, which are read anew each minute.

mod charts;
mod live;
mod noting;
mod telling;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;

use self::charts::Charts;
use self::telling::{Sentence, Telling};
use crate::process::{Process, Trouble};
use crate::seen::{ConnectionSeen, Overview, Span};
use crate::shell::{Console, Nav, NoPage, Shell, Visit, answer, page};

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route("/", get(overview::<P>))
        .route("/overview/history", get(history::<P>))
        .route("/live/overview", get(live::live::<P>))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    shell: Shell,
    /// Made of escaped parts by [`Part`].
    part: String,
    charts: Charted,
}

/// The upper part, which is sent again when it changes.
#[derive(Template)]
#[template(path = "overview_part.html")]
struct PartTemplate<'a> {
    part: &'a Part,
    now: Timestamp,
}

/// The charts of a span, which are asked for again each minute.
#[derive(Template)]
#[template(path = "overview_charts.html")]
struct Charted {
    /// None where there is nothing to chart: a server that was just set up.
    charts: Option<Charts>,
    span: Span,
    trouble: Option<String>,
}

/// How everything is, or why that cannot be said.
struct Part {
    seen: Result<Overview, Trouble>,
    telling: Telling,
    sending: Sending,
}

/// How the part travels.
enum Sending {
    /// Within a page.
    InPage,
    /// Alone: it brings the page's title and what stands above it along.
    Alone { trouble: Option<String> },
}

impl Part {
    fn of(seen: Result<Overview, Trouble>, sending: Sending) -> Part {
        let telling = match &seen {
            Ok(seen) => telling::tell(seen),
            Err(Trouble(text)) => Telling {
                title: "This cannot be said just now.".to_owned(),
                lede: vec![Sentence {
                    text: "The server could not find it out".to_owned(),
                    reason: Some(text.clone()),
                    ..Sentence::default()
                }],
                notes: Vec::new(),
            },
        };
        Part {
            seen,
            telling,
            sending,
        }
    }

    fn rendered(&self, now: Timestamp) -> String {
        let rendered = PartTemplate { part: self, now }.render();
        rendered.expect("a String takes all that is written to it")
    }
}

impl Charted {
    async fn of<P: Process>(console: &Console<P>, span: Span) -> Charted {
        let (charts, trouble) = match console.process.history(span).await {
            Ok(history) => (Some(Charts::of(&history)), None),
            Err(Trouble(text)) => (None, Some(text)),
        };
        Charted {
            charts,
            span,
            trouble,
        }
    }
}

async fn overview<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = made(&console, &visit).await;
    answer(&console, &visit, made).await
}

async fn made<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Response, NoPage> {
    let seen = console.process.overview().await?;
    let span = span(visit);
    let charts = if seen.workspaces.is_empty() {
        Charted {
            charts: None,
            span,
            trouble: None,
        }
    } else {
        Charted::of(console, span).await
    };
    let part = Part::of(Ok(seen), Sending::InPage);
    let title = part.telling.title.trim_end_matches('.');
    Ok(page(&Page {
        shell: visit.shell(console, Nav::Overview, title).await,
        part: part.rendered(visit.now),
        charts,
    }))
}

/// The charts alone: for a page that is open as a part of it, else as JSON.
async fn history<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let span = span(&visit);
    if visit.is_partial() {
        return page(&Charted::of(&console, span).await);
    }
    let history = console.process.history(span).await;
    let made = history.map(|history| Json(history).into_response());
    answer(&console, &visit, made.map_err(NoPage::from)).await
}

fn span(visit: &Visit) -> Span {
    let asked = visit.query.filled("span");
    let mut all = Span::ALL.into_iter();
    all.find(|span| Some(span.word()) == asked)
        .unwrap_or_default()
}

/// What was answered last: `200, 91 ms`, `no answer`.
fn last_answer(connection: &ConnectionSeen) -> String {
    match connection.attempts.first() {
        None => String::new(),
        Some(attempt) => match attempt.status {
            Some(status) => format!("{status}, {}", crate::words::ms(attempt.duration_ms)),
            None => "no answer".to_owned(),
        },
    }
}

fn partitions(indexes: &[u16]) -> String {
    let indexes: Vec<String> = indexes.iter().map(u16::to_string).collect();
    indexes.join(", ")
}

#[cfg(test)]
mod tests;
