//! What one press of a button does.

use axum::extract::{Path, State};
use axum::response::Response;

use super::{Here, Page, replace};
use crate::form::encoded;
use crate::pages::draft::Draft;
use crate::pages::mistakes::Mistakes;
use crate::process::Process;
use crate::seen::Enabling;
use crate::shell::{Console, NoPage, Visit, answer};

/// Holds the connection where it is.
pub(super) async fn pause<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = switch((&console, &visit), &name, |one| one.paused = true).await;
    answer(&console, &visit, made).await
}

/// Lets it go on.
pub(super) async fn resume<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = switch((&console, &visit), &name, |one| one.paused = false).await;
    answer(&console, &visit, made).await
}

/// Stops it; what comes meanwhile is not its own.
pub(super) async fn disable<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = switch((&console, &visit), &name, |one| one.enabled = false).await;
    answer(&console, &visit, made).await
}

async fn switch<P: Process>(
    at: (&Console<P>, &Visit),
    name: &str,
    turn: impl FnOnce(&mut connections::Connection),
) -> Result<Response, NoPage> {
    let here = Here::at(at.0, name).await?;
    let mut next = here.connection.clone();
    turn(&mut next);
    replace(at, here, next, Enabling::Now).await
}

/// Sends a test event, and says what to look for.
pub(super) async fn test<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = send_test(&console, &visit, &name).await;
    answer(&console, &visit, made).await
}

async fn send_test<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    name: &str,
) -> Result<Response, NoPage> {
    let here = Here::at(console, name).await?;
    let mut mistakes = Mistakes::default();
    match console.process.send_test(name).await {
        Ok(sent) if sent.accepted => {
            let (path, event) = (here.path(), encoded(&sent.event));
            let path = format!("{path}?sent={}&event={event}", encoded(&sent.message_id));
            let what = format!(
                "A test event was sent. The answer was {}",
                short(&sent.answer)
            );
            return Ok(visit.go(&path, &what));
        }
        Ok(sent) => mistakes.add("", &format!("the answer was {}", short(&sent.answer))),
        Err(refusal) => mistakes.add_refusal(refusal)?,
    }
    let draft = Draft::of(&here.connection);
    let page = Page::of(console, visit, here).await?;
    Ok(page.refusing("The test event was not accepted.", draft, mistakes))
}

/// The beginning of an answer: it has to fit into a cookie.
fn short(answer: &str) -> String {
    answer.chars().take(200).collect()
}

/// Keeps that somebody saw a test event arrive.
pub(super) async fn confirm<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        console.process.confirm(&name).await?;
        let what = format!("{name} is confirmed: its events are known to arrive.");
        Ok(visit.go(&here.path(), &what))
    };
    answer(&console, &visit, made.await).await
}
