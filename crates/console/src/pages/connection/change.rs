//! Changing a connection: the form, what it would change, and the change.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use connections::{Connection, Edit};

use super::{Here, Page, replace};
use crate::form::Fields;
use crate::pages::connections::capital;
use crate::pages::draft::{Draft, changes};
use crate::pages::mistakes::Mistakes;
use crate::pages::sample::{self, Sample};
use crate::process::{Process, Trouble};
use crate::seen::Enabling;
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, respond};
use crate::words::few;

#[derive(Template)]
#[template(path = "connection_review.html")]
struct Review {
    shell: Shell,
    connection: Connection,
    path: String,
    draft: Draft,
    changes: Vec<String>,
    samples: Result<Vec<Sample>, Trouble>,
}

impl Review {
    fn heading(&self) -> String {
        match self.changes.len() as u64 {
            0 => "Nothing would change.".to_owned(),
            n => format!("{} would change.", capital(&few(n, "thing", "things"))),
        }
    }
}

/// What was typed, and what it comes to.
struct Typing {
    here: Here,
    draft: Draft,
    mistakes: Mistakes,
    next: Option<Connection>,
}

async fn read<P: Process>(
    console: &Console<P>,
    name: &str,
    fields: &Fields,
) -> Result<Typing, NoPage> {
    let here = Here::at(console, name).await?;
    let mut mistakes = Mistakes::default();
    let draft = Draft::of(&here.connection);
    let draft = draft.read(fields, &console.process, &mut mistakes).await?;
    let next = draft.applied(&here.connection, &here.decided, &mut mistakes);
    Ok(Typing {
        here,
        draft,
        mistakes,
        next,
    })
}

/// Says what would change.
pub(super) async fn review<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = made_review(&console, &visit, &name, &fields).await;
    answer(&console, &visit, made).await
}

async fn made_review<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    name: &str,
    fields: &Fields,
) -> Result<Response, NoPage> {
    let Typing {
        here,
        draft,
        mistakes,
        next,
    } = read(console, name, fields).await?;
    let Some(next) = next else {
        let page = Page::of(console, visit, here).await?;
        return Ok(page.refusing("Nothing was changed.", draft, mistakes));
    };
    let changes = changes(&here.decided, &Edit::ReplaceConnection(next.clone()));
    let title = format!("Review the changes of {name}");
    let review = Review {
        shell: visit.shell(console, Nav::Connections, title).await,
        path: here.path(),
        connection: here.connection,
        draft,
        changes,
        samples: sample::samples(&console.process, &next).await,
    };
    Ok(respond(StatusCode::OK, &review))
}

/// Goes back to the form with what was typed.
pub(super) async fn edit<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let typing = read(&console, &name, &fields).await?;
        let page = Page::of(&console, &visit, typing.here).await?;
        let page = Page {
            draft: typing.draft,
            mistakes: typing.mistakes,
            ..page
        };
        Ok(respond(StatusCode::OK, &page))
    };
    answer(&console, &visit, made.await).await
}

/// Makes the change.
pub(super) async fn save<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let Typing {
            here,
            draft,
            mistakes,
            next,
        } = read(&console, &name, &fields).await?;
        if let Some(next) = next {
            return replace((&console, &visit), here, next, Enabling::Now).await;
        }
        let page = Page::of(&console, &visit, here).await?;
        Ok(page.refusing("Nothing was changed.", draft, mistakes))
    };
    answer(&console, &visit, made.await).await
}
