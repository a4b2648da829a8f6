//! One connection: how it is doing, what can be done about it, and all that can
//! be set.

mod acts;
mod change;
mod enable;
mod remove;
mod telling;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use connections::{Connection, Connections, Edit};

use self::telling::Telling;
use super::draft::{Draft, told};
use super::mistakes::Mistakes;
use super::options::Region;
use super::secret::kept_where;
use crate::form::encoded;
use crate::process::Process;
use crate::seen::{ConnectionSeen, Enabling};
use crate::shell::{Console, Nav, NoPage, Shell, Visit, answer, respond};

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route("/connections/{name}", get(page::<P>))
        .route("/connections/{name}/edit", post(change::edit::<P>))
        .route("/connections/{name}/review", post(change::review::<P>))
        .route("/connections/{name}/save", post(change::save::<P>))
        .route("/connections/{name}/pause", post(acts::pause::<P>))
        .route("/connections/{name}/resume", post(acts::resume::<P>))
        .route("/connections/{name}/disable", post(acts::disable::<P>))
        .route("/connections/{name}/test", post(acts::test::<P>))
        .route("/connections/{name}/confirm", post(acts::confirm::<P>))
        .route(
            "/connections/{name}/enable",
            get(enable::page::<P>).post(enable::enable::<P>),
        )
        .route(
            "/connections/{name}/versions",
            get(enable::versions::<P>).post(enable::change::<P>),
        )
        .route(
            "/connections/{name}/reset",
            get(remove::ask_reset::<P>).post(remove::reset::<P>),
        )
        .route(
            "/connections/{name}/remove",
            get(remove::ask::<P>).post(remove::remove::<P>),
        )
}

/// A connection, and what else is decided.
struct Here {
    decided: Connections,
    connection: Connection,
}

impl Here {
    async fn at<P: Process>(console: &Console<P>, name: &str) -> Result<Here, NoPage> {
        let decided = console.process.decided().await?;
        let connection = decided.named(name).cloned();
        let missing = || NoPage::Missing(format!("connection {name}"));
        Ok(Here {
            connection: connection.ok_or_else(missing)?,
            decided,
        })
    }

    fn name(&self) -> &str {
        self.connection.name.as_str()
    }

    fn path(&self) -> String {
        path_of(self.name())
    }
}

/// The address of a connection's page.
pub(crate) fn path_of(name: &str) -> String {
    format!("/connections/{}", encoded(name))
}

#[derive(Template)]
#[template(path = "connection.html")]
struct Page {
    shell: Shell,
    connection: Connection,
    path: String,
    /// None for a moment after it came into being.
    seen: Option<ConnectionSeen>,
    telling: Telling,
    draft: Draft,
    /// What went wrong, above all mistakes.
    alert: &'static str,
    mistakes: Mistakes,
    workspaces: Vec<String>,
    workspace_path: String,
    has_names: bool,
    key_now: Option<String>,
    /// The name and message id of a test event that was just sent.
    tested: Option<(String, String)>,
    is_new: bool,
}

impl Page {
    fn is_confirmed(&self) -> bool {
        self.seen
            .as_ref()
            .is_none_or(|seen| seen.confirmed_at.is_some())
    }
}

fn event_names() -> Vec<&'static str> {
    let names: std::collections::BTreeSet<_> = shape::catalogue().map(|one| one.event).collect();
    names.into_iter().collect()
}

async fn page<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let page = Page::of(&console, &visit, here).await?;
        Ok(respond(StatusCode::OK, &page))
    };
    answer(&console, &visit, made.await).await
}

impl Page {
    async fn of<P: Process>(
        console: &Console<P>,
        visit: &Visit,
        here: Here,
    ) -> Result<Page, NoPage> {
        let overview = console.process.overview().await?;
        let mut seen = overview.connections.into_iter();
        let seen = seen.find(|seen| seen.name == here.name());
        let telling = telling::tell(&here.connection, seen.as_ref(), &overview.journal);
        let workspace = &here.connection.workspace;
        let workspaces = here.decided.workspaces();
        let ends = seen.as_ref().map(|seen| seen.write_key_ends_with.as_str());
        Ok(Page {
            shell: visit
                .shell(
                    console,
                    Nav::Connections,
                    telling.title.trim_end_matches('.'),
                )
                .await,
            path: here.path(),
            telling,
            draft: Draft::of(&here.connection),
            alert: "",
            mistakes: Mistakes::default(),
            workspaces: workspaces.iter().map(|one| one.name.to_string()).collect(),
            workspace_path: super::workspace::path_of(workspace.as_str()),
            has_names: workspaces
                .iter()
                .any(|one| one.name == *workspace && one.app_api.is_some()),
            key_now: Some(key_now(&here.connection, ends.unwrap_or_default())),
            tested: tested(visit),
            is_new: visit.query.is_on("new"),
            seen,
            connection: here.connection,
        })
    }

    /// The page as it answers a form that could not be followed.
    fn refusing(self, alert: &'static str, draft: Draft, mistakes: Mistakes) -> Response {
        let page = Page {
            draft,
            alert,
            mistakes,
            ..self
        };
        respond(StatusCode::UNPROCESSABLE_ENTITY, &page)
    }
}

fn key_now(connection: &Connection, ends: &str) -> String {
    let place = kept_where(&connection.write_key);
    let ends = if ends.is_empty() {
        String::new()
    } else {
        format!(", ends in {ends}")
    };
    format!("Now: {place}{ends}.")
}

/// What the address says of a test event; nothing where that is no message id.
fn tested(visit: &Visit) -> Option<(String, String)> {
    let id = visit.query.filled("sent")?;
    let is_id = id.len() <= 64
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let event = visit.query.filled("event").unwrap_or("Postmeter Test");
    is_id.then(|| (event.chars().take(100).collect(), id.to_owned()))
}

/// Makes a change of one connection, and goes back to its page.
async fn replace<P: Process>(
    (console, visit): (&Console<P>, &Visit),
    here: Here,
    next: Connection,
    enabling: Enabling,
) -> Result<Response, NoPage> {
    let path = path_of(next.name.as_str());
    let draft = Draft::of(&next);
    match console
        .process
        .edit(Edit::ReplaceConnection(next), enabling)
        .await
    {
        Ok(changed) => Ok(visit.go(&path, &told(&changed))),
        Err(refusal) => {
            let mut mistakes = Mistakes::default();
            mistakes.add_refusal(refusal)?;
            let page = Page::of(console, visit, here).await?;
            Ok(page.refusing("Nothing was changed.", draft, mistakes))
        }
    }
}

/// The colour of an answer.
fn answer_class(status: Option<u16>) -> &'static str {
    match status {
        Some(200..=299) => "ok",
        Some(429 | 500..) | None => "warn",
        Some(_) => "bad",
    }
}
