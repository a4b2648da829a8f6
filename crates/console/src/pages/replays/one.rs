//! One replay: how far is it, and how did it end?
//!
//! While it runs, the part that moves is asked for again; without script the page
//! is as of when it was opened.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::process::{NotChanged, Process};
use crate::seen::{ReplaySeen, ReplayState, Steer};
use crate::shell::{Console, Nav, NoPage, Shell, Visit, answer, page as rendered};
use crate::words::counted;

#[derive(Template)]
#[template(path = "replay.html")]
struct Page {
    shell: Shell,
    part: String,
}

/// What moves: the headline, the figures and what can be done.
#[derive(Template)]
#[template(path = "replay_part.html")]
struct Part {
    shell: Shell,
    seen: ReplaySeen,
}

impl Part {
    fn title(&self) -> String {
        let seen = &self.seen;
        let accepted = counted(seen.counts.accepted, "call", "calls");
        match seen.state {
            ReplayState::Running if seen.reason.is_some() => {
                format!("Replay {} waits.", seen.number)
            }
            ReplayState::Running => {
                format!("Replay {} is {} % through.", seen.number, seen.percent())
            }
            ReplayState::Paused => format!("Replay {} is paused.", seen.number),
            ReplayState::Cancelled => format!("Replay {} was cancelled.", seen.number),
            ReplayState::Failed => format!("Replay {} failed.", seen.number),
            ReplayState::Done if seen.counts.refused > 0 => format!(
                "Replay {} is done: Segment took {accepted} and refused {}.",
                seen.number, seen.counts.refused
            ),
            ReplayState::Done => {
                format!("Replay {} is done: Segment took {accepted}.", seen.number)
            }
        }
    }

    fn steers(&self) -> &'static [(Steer, &'static str, &'static str)] {
        const PAUSE: (Steer, &str, &str) = (Steer::Pause, "Pause", "btn");
        const RESUME: (Steer, &str, &str) = (Steer::Resume, "Resume", "btn primary");
        const CANCEL: (Steer, &str, &str) = (Steer::Cancel, "Cancel", "btn danger");
        match self.seen.state {
            ReplayState::Running => &[PAUSE, CANCEL],
            ReplayState::Paused => &[RESUME, CANCEL],
            ReplayState::Cancelled | ReplayState::Failed => &[RESUME],
            ReplayState::Done => &[],
        }
    }

    fn is_moving(&self) -> bool {
        self.seen.state == ReplayState::Running
    }
}

pub(super) async fn page<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(number): Path<String>,
) -> Response {
    let made = async {
        let part = made(&console, &visit, &number).await?;
        let title = format!("Replay {number}");
        Ok(rendered(&Page {
            shell: visit.shell(&console, Nav::Replays, title).await,
            part: part.render().unwrap_or_default(),
        }))
    };
    answer(&console, &visit, made.await).await
}

/// The part that moves, alone.
pub(super) async fn part<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(number): Path<String>,
) -> Response {
    let made = async { Ok(rendered(&made(&console, &visit, &number).await?)) };
    answer(&console, &visit, made.await).await
}

async fn made<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    number: &str,
) -> Result<Part, NoPage> {
    let missing = || NoPage::Missing(format!("replay {number}"));
    let found = number.parse().map_err(|_| missing())?;
    let seen = console.process.replay(found).await?.ok_or_else(missing)?;
    let shell = visit.shell(console, Nav::Replays, "").await;
    Ok(Part { shell, seen })
}

/// Pauses, resumes or cancels it.
pub(super) async fn steer<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path((number, word)): Path<(String, String)>,
) -> Response {
    let made = async {
        let steer = Steer::ALL.into_iter().find(|steer| steer.word() == word);
        let missing = || NoPage::Missing(format!("page {}", visit.uri.path()));
        let (Some(steer), Ok(found)) = (steer, number.parse()) else {
            return Err(missing());
        };
        let said = match console.process.steer_replay(found, steer).await {
            Ok(_) => match steer {
                Steer::Pause => "It is paused, and keeps its place.".to_owned(),
                Steer::Resume => "It goes on from where it was.".to_owned(),
                Steer::Cancel => "It is cancelled. What it has sent stays sent.".to_owned(),
            },
            Err(NotChanged::Mistakes(why)) => why.join("; "),
            Err(error) => return Err(error.into()),
        };
        Ok(visit.go(&format!("/replays/{number}"), &said))
    };
    answer(&console, &visit, made.await).await
}
