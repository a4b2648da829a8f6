//! What is sent again: which replays are there, and what would another one do?
//!
//! Beginning one is a form, then a preview of the very same words, then a button.

mod one;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use crate::form::{Fields, encoded};
use crate::pages::connections::capital;
use crate::process::{NotChanged, Process};
use crate::seen::{ReplayAsked, ReplayCounts, ReplayPreview, ReplaySeen, ReplayState};
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, page as rendered, respond};
use crate::words::{counted, few};

/// Where one is asked for.
const NEW: &str = "/replays/new";

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route("/replays", get(list::<P>).post(start::<P>))
        .route(NEW, get(new::<P>))
        .route("/replays/{number}", get(one::page::<P>))
        .route("/replays/{number}/part", get(one::part::<P>))
        .route("/replays/{number}/{steer}", post(one::steer::<P>))
}

/// Where a replay through this connection is asked for.
pub(crate) fn new_path(connection: &str) -> String {
    format!("{NEW}?connection={}", encoded(connection))
}

#[derive(Template)]
#[template(path = "replays.html")]
struct List {
    shell: Shell,
    title: String,
    replays: Vec<ReplaySeen>,
}

async fn list<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = async {
        let replays = console.process.replays().await?;
        Ok(rendered(&List {
            shell: visit.shell(&console, Nav::Replays, "Replays").await,
            title: title(&replays),
            replays,
        }))
    };
    answer(&console, &visit, made.await).await
}

fn title(replays: &[ReplaySeen]) -> String {
    let in_state = |state| {
        let each = replays.iter().filter(|each| each.state == state);
        u64::try_from(each.count()).unwrap_or(u64::MAX)
    };
    let (running, paused) = (
        in_state(ReplayState::Running),
        in_state(ReplayState::Paused),
    );
    let under_way = capital(&few(running, "replay is", "replays are"));
    match (running, paused) {
        (0, 0) => "Nothing is being sent again.".to_owned(),
        (0, _) => {
            let held = capital(&few(paused, "replay is", "replays are"));
            format!("{held} paused.")
        }
        (_, 0) => format!("{under_way} under way."),
        (_, _) => format!("{under_way} under way, {paused} paused."),
    }
}

/// What was typed into the form.
struct Wanted {
    connection: String,
    filter: String,
    rate: String,
}

impl Wanted {
    fn of(fields: &Fields) -> Wanted {
        let text = |name| fields.filled(name).unwrap_or_default().to_owned();
        Wanted {
            connection: text("connection"),
            filter: text("filter"),
            rate: text("rate"),
        }
    }

    /// What it asks for, or what is wrong with the rate.
    fn asked(&self) -> Result<ReplayAsked, Vec<String>> {
        let rate = match self.rate.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                let most = ReplayAsked::MAX_RATE;
                vec![format!("the rate is a number from 1 to {most}")]
            })?),
        };
        Ok(ReplayAsked {
            connection: self.connection.clone(),
            filter: self.filter.clone(),
            rate_per_s: rate,
        })
    }
}

#[derive(Template)]
#[template(path = "replay_new.html")]
struct New {
    shell: Shell,
    connections: Vec<String>,
    wanted: Wanted,
    mistakes: Vec<String>,
    preview: Option<ReplayPreview>,
}

impl New {
    fn title(&self) -> String {
        match &self.preview {
            None => "What is to be sent again?".to_owned(),
            Some(preview) if preview.calls_about == 0 => "Nothing would be sent.".to_owned(),
            Some(preview) => {
                let calls = counted(preview.calls_about, "call", "calls");
                let about = if preview.complete { "" } else { "About " };
                format!("{about}{calls} would be sent again.")
            }
        }
    }

    fn takes(preview: &ReplayPreview) -> String {
        // Nobody waits for so long that a second more or less counts.
        let seconds = std::time::Duration::from_secs(preview.takes_s.max(1));
        crate::words::span(seconds.as_secs_f64())
    }
}

/// What became, or would become, of records that are not sent, with how many.
fn skipped(counts: &ReplayCounts) -> Vec<(u64, &'static str)> {
    let each = [
        (
            counts.not_asked,
            "not meant by the filter, or of another workspace",
        ),
        (
            counts.not_settled,
            "not sent by the connection itself yet: they go by themselves",
        ),
        (
            counts.duplicates,
            "repeats of an event, which are never sent",
        ),
        (counts.not_first, "not the first occurrence"),
        (counts.left_out, "left out by the connection's options"),
        (counts.unusable, "no call can be made of them"),
        (counts.gone, "damaged, erased, or not kept any more"),
    ];
    each.into_iter().filter(|(n, _)| *n > 0).collect()
}

/// The form; with a connection in the address and a look asked for, what it would do.
async fn new<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = async {
        let wanted = Wanted::of(&visit.query);
        if !visit.query.is_on("look") {
            let form = (wanted, Vec::new(), None);
            return asking(&console, &visit, form).await;
        }
        let looked = match wanted.asked() {
            Err(mistakes) => Err(NotChanged::Mistakes(mistakes)),
            Ok(asked) => console.process.preview_replay(&asked).await,
        };
        let form = match looked {
            Ok(preview) => (wanted, Vec::new(), Some(preview)),
            Err(NotChanged::Mistakes(mistakes)) => (wanted, mistakes, None),
            Err(NotChanged::Missing(what)) => (wanted, vec![format!("there is no {what}")], None),
            Err(NotChanged::Trouble(trouble)) => return Err(trouble.into()),
        };
        asking(&console, &visit, form).await
    };
    answer(&console, &visit, made.await).await
}

async fn asking<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    (wanted, mistakes, preview): (Wanted, Vec<String>, Option<ReplayPreview>),
) -> Result<Response, NoPage> {
    let decided = console.process.decided().await?;
    let each = decided.connections().iter();
    let status = if mistakes.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let page = New {
        shell: visit.shell(console, Nav::Replays, "New replay").await,
        connections: each.map(|each| each.name.to_string()).collect(),
        wanted,
        mistakes,
        preview,
    };
    Ok(respond(status, &page))
}

/// Begins it.
async fn start<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let wanted = Wanted::of(&fields);
        let begun = match wanted.asked() {
            Err(mistakes) => Err(NotChanged::Mistakes(mistakes)),
            Ok(asked) => console.process.start_replay(&asked).await,
        };
        match begun {
            Ok(seen) => {
                let path = format!("/replays/{}", seen.number);
                Ok(visit.go(&path, &format!("Replay {} has begun.", seen.number)))
            }
            Err(NotChanged::Mistakes(mistakes)) => {
                asking(&console, &visit, (wanted, mistakes, None)).await
            }
            Err(error) => Err(error.into()),
        }
    };
    answer(&console, &visit, made.await).await
}

/// A replay's state with the colour that goes with the word.
fn class(state: ReplayState) -> &'static str {
    match state {
        ReplayState::Running | ReplayState::Done => "ok",
        ReplayState::Paused | ReplayState::Cancelled => "idle",
        ReplayState::Failed => "bad",
    }
}
