//! What is happening right now: events as they come in, what became of each, and
//! everything about the one that is selected.
//!
//! Without script it is the newest events and a link that loads the page again.

mod choice;
mod line;
mod live;
mod pace;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use connections::Connections;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use self::choice::Choice;
use self::line::{Layout, Line};
use self::live::{MAX_COLUMNS, MAX_STREAMS};
use self::pace::events_rate;
use crate::form::encoded;
use crate::pages::event::{Detail, look_up};
use crate::process::{Look, NotChanged, Process, TestSent};
use crate::seen::filter::Key;
use crate::seen::{Row, Watched};
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, page, respond};
use crate::words;

/// Rows that a page begins with.
const FIRST_ROWS: usize = 50;
/// How much of an answer is repeated to a person.
const MAX_ANSWER_CHARS: usize = 200;

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    let room = Arc::new(Semaphore::new(MAX_STREAMS));
    let live = move |State(console): State<Console<P>>, visit: Visit| {
        let streamed = live::stream(console, &visit, &room);
        async move { streamed }
    };
    Router::new()
        .route("/debugger", get(debugger::<P>))
        .route("/debugger/detail/{*place}", get(detail::<P>))
        .route("/debugger/test", post(send_test::<P>))
        .route("/live/debugger", get(live))
}

#[derive(Template)]
#[template(path = "debugger.html")]
struct DebuggerPage {
    shell: Shell,
    layout: Layout,
    workspaces: Vec<String>,
    connections: Vec<String>,
    lines: Vec<Line>,
    status: String,
    /// Where older events are.
    older: Option<String>,
    /// Whether these are older ones, so that nothing new comes to them.
    is_older: bool,
    /// Where the live part listens.
    live: String,
    detail: Option<Detail>,
    mistakes: Vec<String>,
    /// The connection that a test was to go through.
    tested: Option<String>,
}

/// A form that could not be obeyed.
#[derive(Default)]
struct Tried {
    mistakes: Vec<String>,
    tested: Option<String>,
}

async fn debugger<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = made(&console, &visit, Tried::default()).await;
    answer(&console, &visit, made).await
}

async fn made<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    tried: Tried,
) -> Result<Response, NoPage> {
    let choice = Choice::of(&visit.query, Timestamp::now());
    let decided = console.process.decided().await?;
    let watched = look(console, visit, &choice).await?;
    let selected = visit.query.filled("record");
    let detail = match selected {
        Some(place) => look_up(console, place).await?,
        None => None,
    };
    let layout = Layout {
        columns: columns(&decided, &choice),
        selected: detail.as_ref().map(|detail| detail.address.clone()),
        choice,
    };
    let template = DebuggerPage {
        shell: visit.shell(console, Nav::Debugger, "Debugger").await,
        workspaces: named(decided.workspaces().iter().map(|each| each.name.as_str())),
        connections: named(decided.connections().iter().map(|each| each.name.as_str())),
        lines: lines(&layout, &watched.rows),
        status: status(&layout.choice, &watched),
        older: watched
            .older
            .as_deref()
            .map(|older| layout.choice.href([("before", older)])),
        is_older: visit.query.filled("before").is_some(),
        live: live_path(&layout, &watched.next),
        detail,
        layout,
        mistakes: tried.mistakes,
        tested: tried.tested,
    };
    let is_right = template.mistakes.is_empty() && template.layout.choice.mistakes.is_empty();
    let status = if is_right {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    Ok(respond(status, &template))
}

/// The newest events, or those before a mark; none while the filter has mistakes.
async fn look<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    choice: &Choice,
) -> Result<Watched, NoPage> {
    if !choice.mistakes.is_empty() {
        return Ok(Watched::default());
    }
    let look = visit
        .query
        .filled("before")
        .map_or(Look::Newest, Look::Before);
    let watched = console.process.watch(look, &choice.filter, FIRST_ROWS);
    Ok(watched.await?)
}

/// How fast events come, what of them is here, and how far that is from all.
fn status(choice: &Choice, watched: &Watched) -> String {
    let rate = events_rate(watched.rate_per_s);
    let shown = words::count(watched.rows.len() as u64);
    if choice.filter.is_all() {
        return format!("{rate}, the newest {shown}");
    }
    let examined = words::counted(watched.examined, "event", "events");
    match watched.reached_at {
        Some(at) => format!(
            "{rate}, {shown} among {examined} back to {}",
            words::exact(at)
        ),
        None => format!("{rate}, {shown} found"),
    }
}

fn named<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names.map(str::to_owned).collect()
}

fn lines(layout: &Layout, rows: &[Row]) -> Vec<Line> {
    rows.iter().map(|row| layout.line(row)).collect()
}

/// The connections that get a column each: those of the one workspace that is
/// shown, unless they are many.
fn columns(decided: &Connections, choice: &Choice) -> Vec<String> {
    let filter = &choice.filter;
    let only = filter.only(Key::Workspace).or(match decided.workspaces() {
        [only] => Some(only.name.as_str()),
        _ => None,
    });
    let Some(workspace) = only else {
        return Vec::new();
    };
    let of_it = decided.connections().iter();
    let of_it = of_it.filter(|each| each.workspace.as_str() == workspace);
    let wanted = filter.any_of(Key::Connection);
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|each| each == name);
    let of_it = of_it.filter(|each| is_wanted(each.name.as_str()));
    let names = named(of_it.map(|each| each.name.as_str()));
    if names.len() > MAX_COLUMNS {
        return Vec::new();
    }
    names
}

fn live_path(layout: &Layout, after: &str) -> String {
    let columns = layout.columns.iter().map(|name| ("column", name.as_str()));
    let query = layout.choice.query(columns);
    format!("/live/debugger?{query}&after={}", encoded(after))
}

#[derive(Template)]
#[template(path = "debugger_detail.html")]
struct DetailPart {
    detail: Option<Detail>,
}

/// The detail alone, for the side of an open page.
async fn detail<P: Process>(
    State(console): State<Console<P>>,
    Path(place): Path<String>,
    visit: Visit,
) -> Response {
    if !visit.is_partial() {
        return Redirect::to(&format!("/events/{}", encoded(&place))).into_response();
    }
    let detail = look_up(&console, &place).await;
    let made = detail.map(|detail| page(&DetailPart { detail }));
    answer(&console, &visit, made).await
}

async fn send_test<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Typed(fields): Typed,
) -> Response {
    let name = fields.filled("connection").unwrap_or_default().to_owned();
    let made = match console.process.send_test(&name).await {
        Ok(sent) => Ok(visit.go("/debugger", &told(&name, &sent))),
        Err(NotChanged::Mistakes(mistakes)) => {
            let tested = Some(name);
            made(&console, &visit, Tried { mistakes, tested }).await
        }
        Err(error) => Err(error.into()),
    };
    answer(&console, &visit, made).await
}

/// What became of a test event.
fn told(connection: &str, sent: &TestSent) -> String {
    let answer: String = sent.answer.chars().take(MAX_ANSWER_CHARS).collect();
    let (event, id) = (&sent.event, &sent.message_id);
    if sent.accepted {
        format!(
            "{event} went through {connection}: {answer}. Look for {id} in Segment's debugger; \
             this answer comes to a wrong write key too."
        )
    } else {
        format!("{event} did not get through {connection}: {answer}")
    }
}

#[cfg(test)]
mod tests;
