//! What cannot be taken back: removing a connection, and forgetting what a
//! first-only one has sent.

use axum::extract::{Path, State};
use axum::response::Response;
use connections::Edit;

use super::Here;
use crate::pages::confirm::{Question, ask as ask_page};
use crate::pages::mistakes::Mistakes;
use crate::process::Process;
use crate::seen::Enabling;
use crate::shell::{Console, Nav, Visit, answer};

/// Asks before it is removed.
pub(super) async fn ask<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        Ok(ask_page(&console, &visit, Nav::Connections, removing(&here)).await)
    };
    answer(&console, &visit, made.await).await
}

fn removing(here: &Here) -> Question {
    let name = here.name();
    let says = [
        "It sends nothing any more, and what it has not sent yet stays unsent.",
        "Its place in the journal and its first-only claims are forgotten: a connection of the \
         same name begins anew, under another id, and Segment takes what it sends for new.",
        "Events stay in the journal, and its dead letters stay where they are.",
    ];
    Question {
        asks: format!("Remove {name}?"),
        says: says.map(str::to_owned).to_vec(),
        action: format!("{}/remove", here.path()),
        button: "Remove the connection",
        from: (here.path(), name.to_owned()),
        refused: String::new(),
    }
}

/// Removes it.
pub(super) async fn remove<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let edit = Edit::RemoveConnection(here.connection.id.clone());
        match console.process.edit(edit, Enabling::Now).await {
            Ok(_) => Ok(visit.go("/connections", &format!("{name} is removed."))),
            Err(refusal) => {
                let mut mistakes = Mistakes::default();
                mistakes.add_refusal(refusal)?;
                let question = Question {
                    refused: mistakes.on_top(),
                    ..removing(&here)
                };
                Ok(ask_page(&console, &visit, Nav::Connections, question).await)
            }
        }
    };
    answer(&console, &visit, made.await).await
}

/// Asks before its claims are forgotten.
pub(super) async fn ask_reset<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let says = [
            "A first-only connection keeps which event was the first for each delivery and name, \
             and skips the others.",
            "After a reset all of that is forgotten: the next open or click of a message that was \
             reported already is sent once more, as if it were the first.",
        ];
        let question = Question {
            asks: format!("Forget what {name} has sent?"),
            says: says.map(str::to_owned).to_vec(),
            action: format!("{}/reset", here.path()),
            button: "Reset first-only claims",
            from: (here.path(), name.clone()),
            refused: String::new(),
        };
        Ok(ask_page(&console, &visit, Nav::Connections, question).await)
    };
    answer(&console, &visit, made.await).await
}

/// Forgets them.
pub(super) async fn reset<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        console.process.reset_claims(&name).await?;
        let what = format!("The first-only claims of {name} are reset.");
        Ok(visit.go(&here.path(), &what))
    };
    answer(&console, &visit, made.await).await
}
