//! What is set for the whole server, where each of it is set, and who changed what.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::connections::capital;
use crate::process::Process;
use crate::seen::{AuditLine, Origin, Overview};
use crate::shell::{Console, Nav, Shell, Visit, answer, respond};
use crate::words::{counted, few};

/// How many changes are listed.
const MOST_CHANGES: usize = 100;

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route("/settings", get(page::<P>))
        .route("/settings/connections.toml", get(document::<P>))
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    shell: Shell,
    title: String,
    seen: Overview,
    audit: Vec<AuditLine>,
    /// Where this page was asked for, as a host.
    host: String,
}

impl Page {
    /// The beginning of an address that leads here.
    fn origin(&self) -> String {
        format!("http://{}", self.host)
    }
}

async fn page<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = async {
        let seen = console.process.overview().await?;
        let audit = console.process.audit(MOST_CHANGES).await?;
        let page = Page {
            shell: visit.shell(&console, Nav::Settings, "Settings").await,
            title: title(&seen),
            seen,
            audit,
            host: host(&visit),
        };
        Ok(respond(StatusCode::OK, &page))
    };
    answer(&console, &visit, made.await).await
}

fn host(visit: &Visit) -> String {
    let host = visit.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    host.unwrap_or("127.0.0.1:8081").to_owned()
}

/// What is worth knowing first: what was given up, else how long things are kept.
fn title(seen: &Overview) -> String {
    let n_open = seen.workspaces.iter().filter(|one| !one.signed).count() as u64;
    if n_open > 0 {
        let workspaces = capital(&few(n_open, "workspace takes", "workspaces take"));
        return format!("{workspaces} events from anyone.");
    }
    match &seen.assurance {
        Some(assurance) if !assurance.durable => {
            "This cluster does not prove that it keeps what it acknowledges.".to_owned()
        }
        Some(assurance) if !assurance.accepted.is_empty() => {
            "It was accepted that this cluster may lose events.".to_owned()
        }
        Some(_) | None => {
            let days = counted(seen.journal.retention_days, "day", "days");
            format!("Events are kept for {days}.")
        }
    }
}

fn through(origin: Origin) -> &'static str {
    match origin {
        Origin::Console => "console",
        Origin::Api => "API",
        Origin::Start => "start",
    }
}

/// What is decided, as `postmeter apply` takes it back.
async fn document<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = async {
        let decided = console.process.decided().await?;
        let mut response = decided.to_toml().into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/toml; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind);
        let name = HeaderValue::from_static("attachment; filename=\"connections.toml\"");
        headers.insert(header::CONTENT_DISPOSITION, name);
        Ok(response)
    };
    answer(&console, &visit, made.await).await
}

#[cfg(test)]
mod tests {
    use connections::Written;

    use super::*;
    use crate::seen::{Assurance, KeySeen};
    use crate::trying::{HOSTILE, Scene, Trial, now};

    #[tokio::test]
    async fn the_page_says_what_is_set_where_and_who_changed_it() {
        let mut scene = Scene::busy();
        scene.overview.workspaces[0].keys = vec![KeySeen {
            id: "9f3c0a11".to_owned(),
            written: "env:ACME_KEY".to_owned(),
            ends_with: "9f3c".to_owned(),
            matched_at: Some(now()),
        }];
        let page = Trial::of(scene).get("/settings").await;
        for there in [
            "Events are kept for 30 days.",
            "retention_days",
            "max_bytes",
            "9f3c0a11",
            "href=\"/workspaces/acme#keys\"",
            "href=\"/settings/connections.toml\"",
            "/api/openapi.json",
            "+ connection acme-production",
        ] {
            assert!(page.text.contains(there), "{there}");
        }
    }

    #[tokio::test]
    async fn the_document_reads_back_as_what_is_decided() {
        let trial = Trial::of(Scene::busy());
        let answered = trial.get("/settings/connections.toml").await;
        assert_eq!(answered.status, StatusCode::OK);
        let read = Written::parse(&answered.text).unwrap();
        let read = read
            .settle_ids(&connections::Connections::default())
            .unwrap();
        assert_eq!(read.connections()[0], trial.scene().connection());
    }

    #[tokio::test]
    async fn what_was_accepted_to_lose_is_shown_for_ever() {
        let mut scene = Scene::busy();
        scene.overview.assurance = Some(Assurance {
            durable: true,
            findings: Vec::new(),
            accepted: vec!["a power cut of two servers may lose events".to_owned()],
            checked_at: now(),
        });
        let page = Trial::of(scene.clone()).get("/settings").await;
        assert!(page.text.contains("a power cut of two servers"));
        assert!(page.text.contains("may lose events."));
        scene.overview.workspaces[0].signed = false;
        let page = Trial::of(scene).get("/settings").await;
        assert!(page.text.contains("takes events from anyone"));
    }

    #[tokio::test]
    async fn what_strangers_wrote_is_shown_as_text() {
        let mut scene = Scene::busy();
        scene.audit[0].what = HOSTILE.to_owned();
        scene.overview.journal.reason = Some(HOSTILE.to_owned());
        scene.overview.nodes[0].name = HOSTILE.to_owned();
        scene.overview.warnings = vec![HOSTILE.to_owned()];
        let page = Trial::of(scene).get("/settings").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"));
    }
}
