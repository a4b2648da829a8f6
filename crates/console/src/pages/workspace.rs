//! One workspace: the address that Customer.io sends to, the keys that it signs
//! with, and where names are looked up.

mod change;
mod new;
mod remove;
mod telling;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use connections::{AppApiTarget, Connections, Edit, SecretRef, Signature, Workspace};

use self::telling::Telling;
use super::draft::told;
use super::mistakes::Mistakes;
use super::secret::kept_where;
use crate::form::{Fields, encoded};
use crate::process::Process;
use crate::seen::{Enabling, KeySeen, WorkspaceSeen, WorkspaceState};
use crate::shell::{Console, Nav, NoPage, Shell, Visit, answer, respond};

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route("/workspaces/new", get(new::page::<P>).post(new::add::<P>))
        .route("/workspaces/{name}", get(page::<P>))
        .route("/workspaces/{name}/keys", post(change::add_key::<P>))
        .route(
            "/workspaces/{name}/keys/remove",
            post(change::remove_key::<P>),
        )
        .route("/workspaces/{name}/names", post(change::set_names::<P>))
        .route(
            "/workspaces/{name}/names/refresh",
            post(change::refresh_names::<P>),
        )
        .route(
            "/workspaces/{name}/names/remove",
            post(change::remove_names::<P>),
        )
        .route("/workspaces/{name}/settings", post(change::set::<P>))
        .route(
            "/workspaces/{name}/unsigned",
            get(remove::ask_unsigned::<P>).post(remove::unsigned::<P>),
        )
        .route(
            "/workspaces/{name}/remove",
            get(remove::ask::<P>).post(remove::remove::<P>),
        )
}

/// The address of a workspace's page.
pub(crate) fn path_of(name: &str) -> String {
    format!("/workspaces/{}", encoded(name))
}

/// A workspace, and what else is decided.
struct Here {
    decided: Connections,
    workspace: Workspace,
}

impl Here {
    async fn at<P: Process>(console: &Console<P>, name: &str) -> Result<Here, NoPage> {
        let decided = console.process.decided().await?;
        let mut workspaces = decided.workspaces().iter();
        let workspace = workspaces.find(|one| one.name.as_str() == name).cloned();
        let missing = || NoPage::Missing(format!("workspace {name}"));
        Ok(Here {
            workspace: workspace.ok_or_else(missing)?,
            decided,
        })
    }

    fn name(&self) -> &str {
        self.workspace.name.as_str()
    }

    fn path(&self) -> String {
        path_of(self.name())
    }
}

/// A signing key, as far as it may be shown.
struct Key {
    /// Where it is, as the document has it.
    written: String,
    /// The same in words.
    place: String,
    /// What is known of it; none where it was added a moment ago.
    seen: Option<KeySeen>,
}

#[derive(Template)]
#[template(path = "workspace.html")]
struct Page {
    shell: Shell,
    workspace: Workspace,
    path: String,
    /// None for a moment after it came into being.
    seen: Option<WorkspaceSeen>,
    telling: Telling,
    webhook: String,
    keys: Vec<Key>,
    /// Names of connections that use it.
    used_by: Vec<String>,
    alert: &'static str,
    mistakes: Mistakes,
    typed: Fields,
}

impl Page {
    async fn of<P: Process>(
        console: &Console<P>,
        visit: &Visit,
        here: Here,
    ) -> Result<Page, NoPage> {
        let overview = console.process.overview().await?;
        let mut seen = overview.workspaces.into_iter();
        let seen = seen.find(|seen| seen.name == here.name());
        let telling = telling::tell(here.name(), seen.as_ref(), &overview.journal);
        let title = telling.title.trim_end_matches('.').to_owned();
        let uses = here.decided.connections().iter();
        let uses = uses.filter(|one| one.workspace == here.workspace.name);
        Ok(Page {
            shell: visit.shell(console, Nav::Connections, title).await,
            path: here.path(),
            webhook: webhook(visit, here.name()),
            keys: keys(&here.workspace, seen.as_ref()),
            used_by: uses.map(|one| one.name.to_string()).collect(),
            workspace: here.workspace,
            seen,
            telling,
            alert: "",
            mistakes: Mistakes::default(),
            typed: Fields::default(),
        })
    }

    /// What was typed into a field, else what it is now.
    fn typed<'t>(&'t self, field: &str, now: &'t str) -> &'t str {
        self.typed.text(field).unwrap_or(now)
    }

    fn tolerance(&self) -> String {
        let tolerance = self.workspace.timestamp_tolerance;
        tolerance.map_or_else(String::new, |tolerance| tolerance.as_secs().to_string())
    }

    fn is_silent(&self) -> bool {
        let state = self.seen.as_ref().map(|seen| &seen.state);
        matches!(state, None | Some(WorkspaceState::Silent))
    }

    fn is_in(&self, word: &str) -> bool {
        let target = self.workspace.app_api.as_ref().map(|api| &api.target);
        let now = match target {
            None | Some(AppApiTarget::Us) => "us",
            Some(AppApiTarget::Eu) => "eu",
            Some(AppApiTarget::Url(_)) => "url",
        };
        self.typed("app_api_region", now) == word
    }

    fn app_api_url(&self) -> String {
        let target = self.workspace.app_api.as_ref().map(|api| &api.target);
        let now = match target {
            Some(target @ AppApiTarget::Url(_)) => target.url(),
            _ => String::new(),
        };
        self.typed("app_api_url", &now).to_owned()
    }
}

fn keys(workspace: &Workspace, seen: Option<&WorkspaceSeen>) -> Vec<Key> {
    let written: &[SecretRef] = match &workspace.signature {
        Signature::Keys(keys) => keys,
        Signature::Off => &[],
    };
    let key = |at: &SecretRef| {
        let written = at.to_string();
        let mut known = seen.iter().flat_map(|seen| &seen.keys);
        Key {
            seen: known.find(|one| one.written == written).cloned(),
            place: kept_where(at),
            written,
        }
    };
    written.iter().map(key).collect()
}

/// The URL to give to Customer.io. Which name the public listener is reached by is
/// not known here: that of this page is a guess, where it is one that others could
/// reach.
fn webhook(visit: &Visit, name: &str) -> String {
    let host = visit.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_public = host.contains('.')
        && !host.contains([':', '"', '<', '>', '/'])
        && host.contains(|letter: char| letter.is_ascii_alphabetic());
    let host = if is_public { host } else { "YOUR-HOST" };
    format!("https://{host}/webhooks/{name}")
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

/// Makes a change of one workspace and goes back to its page, unless `mistakes`
/// speak against it.
async fn replace<P: Process>(
    (console, visit): (&Console<P>, &Visit),
    here: Here,
    next: Workspace,
    (mut mistakes, typed): (Mistakes, Fields),
) -> Result<Response, NoPage> {
    let path = path_of(next.name.as_str());
    let edit = Edit::ReplaceWorkspace(next);
    if let Err(found) = here.decided.edited(&edit) {
        mistakes.add_all(&found);
    }
    if mistakes.is_empty() {
        match console.process.edit(edit, Enabling::Now).await {
            Ok(changed) => return Ok(visit.go(&path, &told(&changed))),
            Err(refusal) => mistakes.add_refusal(refusal)?,
        }
    }
    let alert = "Nothing was changed.";
    let page = Page::of(console, visit, here).await?;
    let page = Page {
        alert,
        mistakes,
        typed,
        ..page
    };
    Ok(respond(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
