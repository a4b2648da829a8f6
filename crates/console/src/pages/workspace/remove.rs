//! What needs a second look: removing a workspace, and checking its signatures no
//! more.

use axum::extract::{Path, State};
use axum::response::Response;
use connections::{Edit, Signature};

use super::{Here, replace};
use crate::form::Fields;
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
    let says = [
        "Its address answers 404 from then on. Customer.io takes that for a failure, holds its line \
         for an hour at a time and drops events after seven days: remove its reporting webhook first.",
        "Its events stay in the journal until they are trimmed.",
    ];
    Question {
        asks: format!("Remove the workspace {}?", here.name()),
        says: says.map(str::to_owned).to_vec(),
        action: format!("{}/remove", here.path()),
        button: "Remove the workspace",
        from: (here.path(), here.name().to_owned()),
        refused: String::new(),
    }
}

/// Removes it, unless connections use it.
pub(super) async fn remove<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let edit = Edit::RemoveWorkspace(here.workspace.name.clone());
        let mut mistakes = Mistakes::default();
        if let Err(found) = here.decided.edited(&edit) {
            mistakes.add_all(&found);
        }
        if mistakes.is_empty() {
            match console.process.edit(edit, Enabling::Now).await {
                Ok(_) => return Ok(visit.go("/connections", &format!("{name} is removed."))),
                Err(refusal) => mistakes.add_refusal(refusal)?,
            }
        }
        let question = Question {
            refused: mistakes.on_top(),
            ..removing(&here)
        };
        Ok(ask_page(&console, &visit, Nav::Connections, question).await)
    };
    answer(&console, &visit, made.await).await
}

/// Asks before signatures are checked no more.
pub(super) async fn ask_unsigned<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let says = [
            "Whoever knows the address can then send events in the name of any person, and they go \
             on to Segment like those of Customer.io.",
            "All signing keys of the workspace are removed from what is decided, and the console \
             warns for as long as it stays so.",
        ];
        let question = Question {
            asks: format!("Take events for {name} from anyone?"),
            says: says.map(str::to_owned).to_vec(),
            action: format!("{}/unsigned", here.path()),
            button: "Set signature = \"off\"",
            from: (here.path(), name.clone()),
            refused: String::new(),
        };
        Ok(ask_page(&console, &visit, Nav::Connections, question).await)
    };
    answer(&console, &visit, made.await).await
}

/// Checks them no more.
pub(super) async fn unsigned<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let mut next = here.workspace.clone();
        next.signature = Signature::Off;
        let nothing = (Mistakes::default(), Fields::default());
        replace((&console, &visit), here, next, nothing).await
    };
    answer(&console, &visit, made.await).await
}
