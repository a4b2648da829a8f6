//! All connections and the workspaces that feed them: which are there, and how is
//! each doing?

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use crate::process::Process;
use crate::seen::{ConnectionSeen, LineState, Overview};
use crate::shell::{Console, Nav, Shell, Visit, answer, respond};
use crate::words::{few, ms};

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new().route("/connections", get(page::<P>))
}

#[derive(Template)]
#[template(path = "connections.html")]
struct Page {
    shell: Shell,
    title: String,
    lede: &'static str,
    seen: Overview,
}

async fn page<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = async {
        let seen = console.process.overview().await?;
        let page = Page {
            shell: visit.shell(&console, Nav::Connections, "Connections").await,
            title: title(&seen),
            lede: lede(&seen),
            seen,
        };
        Ok(respond(StatusCode::OK, &page))
    };
    answer(&console, &visit, made.await).await
}

fn title(seen: &Overview) -> String {
    if seen.workspaces.is_empty() {
        return "Nothing is connected yet.".to_owned();
    }
    let n = seen.connections.len() as u64;
    if n == 0 {
        return "Events are kept, and sent nowhere yet.".to_owned();
    }
    let in_state = |state| {
        let held = seen.connections.iter().filter(|one| one.state == state);
        held.count() as u64
    };
    let parts = [
        (in_state(LineState::Waiting), "waiting"),
        (in_state(LineState::Unconfirmed), "unconfirmed"),
        (in_state(LineState::Paused), "paused"),
        (in_state(LineState::Disabled), "disabled"),
    ];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts.map(|(n, word)| format!("{n} {word}")).collect();
    let all = capital(&few(n, "connection", "connections"));
    match parts.as_slice() {
        [] if n == 1 => format!("{all}, and it sends."),
        [] => format!("{all}, and all of them send."),
        parts => format!("{all}: {}.", parts.join(", ")),
    }
}

fn lede(seen: &Overview) -> &'static str {
    if seen.connections.is_empty() {
        "A connection takes the events of a Customer.io workspace to a Segment source."
    } else {
        "Each takes the events of a Customer.io workspace to a Segment source. Open one to see \
         its last answers, and to change what it sends."
    }
}

/// A text that begins a sentence.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// The newest answer, in a few words.
fn last_answer(seen: &ConnectionSeen) -> String {
    let Some(last) = seen.attempts.first() else {
        return "none yet".to_owned();
    };
    let status = last
        .status
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    format!("{status}, {}", ms(last.duration_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trying::{HOSTILE, Scene, Trial, connection};

    #[tokio::test]
    async fn every_connection_and_webhook_is_listed_with_its_state() {
        let mut scene = Scene::busy();
        let mut waiting = connection("acme-analytics", LineState::Waiting);
        waiting.lag_records = 18_240;
        waiting.oldest_s = 372.0;
        scene.overview.connections.push(waiting);
        let page = Trial::of(scene).get("/connections").await;
        let text = page.text.replace('\u{202f}', " ");
        for there in [
            "Two connections: 1 waiting.",
            "href=\"/connections/acme-analytics\"",
            "18 240",
            "6 min 12 s",
            "200, 91 ms",
            "/webhooks/acme",
            "href=\"/connect\"",
        ] {
            assert!(text.contains(there), "{there}");
        }
    }

    #[tokio::test]
    async fn an_empty_server_leads_to_a_workspace_and_then_to_segment() {
        let page = Trial::of(Scene::empty()).get("/connections").await;
        assert!(page.text.contains("Nothing is connected yet."));
        assert!(page.text.contains("href=\"/workspaces/new\""));
        assert!(!page.text.contains("href=\"/connect\""));
        let mut scene = Scene::busy();
        scene.overview.connections.clear();
        let page = Trial::of(scene).get("/connections").await;
        assert!(page.text.contains("No connection yet."));
    }

    #[tokio::test]
    async fn what_strangers_wrote_is_shown_as_text() {
        let mut scene = Scene::busy();
        for seen in &mut scene.overview.connections {
            seen.label = Some(HOSTILE.to_owned());
            seen.reason = Some(HOSTILE.to_owned());
            seen.region = HOSTILE.to_owned();
        }
        let page = Trial::of(scene).get("/connections").await;
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"));
    }

    #[tokio::test]
    async fn without_an_answer_of_the_process_the_page_says_so() {
        let mut scene = Scene::busy();
        scene.trouble = Some("no majority".to_owned());
        let page = Trial::of(scene).get("/connections").await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.text.contains("no majority"));
    }
}
