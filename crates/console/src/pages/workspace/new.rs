//! Adding a workspace.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use connections::{Connections, Edit, Name, Signature, Workspace};

use super::{path_of, webhook};
use crate::form::{Fields, encoded};
use crate::pages::draft::told;
use crate::pages::mistakes::Mistakes;
use crate::pages::secret::Given;
use crate::process::Process;
use crate::seen::Enabling;
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, respond};

#[derive(Template)]
#[template(path = "workspace_new.html")]
struct Page {
    shell: Shell,
    name: String,
    signing_keys_at: String,
    unsigned: bool,
    webhook: String,
    /// Whether to go on to Segment afterwards.
    leads_on: bool,
    mistakes: Mistakes,
}

impl Page {
    async fn of<P: Process>(console: &Console<P>, visit: &Visit, typed: &Fields) -> Page {
        let text = |name: &str| typed.text(name).unwrap_or_default().trim().to_owned();
        Page {
            shell: visit
                .shell(console, Nav::Connections, "Add a workspace")
                .await,
            name: text("name"),
            signing_keys_at: text("signing_keys_at"),
            unsigned: typed.text("signature") == Some("off"),
            webhook: webhook(visit, "NAME"),
            leads_on: typed.text("then") == Some("connect"),
            mistakes: Mistakes::default(),
        }
    }
}

/// Asks for its name and signing key.
pub(super) async fn page<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let page = Page::of(&console, &visit, &visit.query).await;
    respond(StatusCode::OK, &page)
}

/// Adds it.
pub(super) async fn add<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Typed(fields): Typed,
) -> Response {
    let made = made_add(&console, &visit, &fields).await;
    answer(&console, &visit, made).await
}

async fn made_add<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    fields: &Fields,
) -> Result<Response, NoPage> {
    let decided = console.process.decided().await?;
    let mut mistakes = Mistakes::default();
    let name = read_name(fields, &decided, &mut mistakes);
    let signature = read_signature(console, fields, &mut mistakes).await?;
    if let (Some(name), Some(signature)) = (name, signature) {
        let workspace = Workspace {
            name: name.clone(),
            signature,
            timestamp_tolerance: None,
            app_api: None,
        };
        match console
            .process
            .edit(Edit::AddWorkspace(workspace), Enabling::Now)
            .await
        {
            Ok(changed) => {
                let path = match fields.text("then") {
                    Some("connect") => format!("/connect?workspace={}", encoded(name.as_str())),
                    _ => path_of(name.as_str()),
                };
                return Ok(visit.go(&path, &format!("{name} is added. {}", told(&changed))));
            }
            Err(refusal) => mistakes.add_refusal(refusal)?,
        }
    }
    let page = Page {
        mistakes,
        ..Page::of(console, visit, fields).await
    };
    Ok(respond(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn read_name(fields: &Fields, decided: &Connections, mistakes: &mut Mistakes) -> Option<Name> {
    let Some(text) = fields.filled("name") else {
        mistakes.add("name", "the name is missing");
        return None;
    };
    if text == "new" {
        mistakes.add("name", "\"new\" is the address of this page: take another");
    } else if decided
        .workspaces()
        .iter()
        .any(|one| one.name.as_str() == text)
    {
        mistakes.add("name", "another workspace has this name");
    }
    let name = Name::new(text);
    let name = name
        .map_err(|error| mistakes.add("name", &error.to_string()))
        .ok();
    name.filter(|_| !mistakes.has("name"))
}

/// Keeps a pasted key only where the rest is right, but for what the process finds.
async fn read_signature<P: Process>(
    console: &Console<P>,
    fields: &Fields,
    mistakes: &mut Mistakes,
) -> Result<Option<Signature>, NoPage> {
    let given = Given::read(fields, "signing_keys", mistakes);
    let unsigned = fields.text("signature") == Some("off");
    match given {
        Some(_) if unsigned => {
            let what = "there is a key, and signatures are not to be checked: keep one of the two";
            mistakes.add("signing_keys", what);
            Ok(None)
        }
        None if unsigned => Ok(Some(Signature::Off)),
        None => {
            if !mistakes.has("signing_keys") {
                mistakes.add("signing_keys", "the signing key is missing");
            }
            Ok(None)
        }
        Some(given) if mistakes.is_empty() => {
            let taken = given.take(&console.process).await?;
            Ok(Some(Signature::Keys(vec![taken.at])))
        }
        Some(_) => Ok(None),
    }
}
