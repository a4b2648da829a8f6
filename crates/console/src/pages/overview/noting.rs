//! The overview's notes: what is wrong or decided to stay as it is, until when,
//! and the one link that mends it.

use super::telling::{Link, Note, connection_path, holding, is_dropped, workspace_path};
use crate::seen::{Assurance, Overview, WorkspaceSeen, WorkspaceState};
use crate::words;

/// Every note, the worst first.
pub(super) fn notes(seen: &Overview) -> Vec<Note> {
    let mut notes: Vec<Note> = holding(seen).map(|one| on_holding(one, seen)).collect();
    notes.extend(seen.assurance.iter().flat_map(on_assurance));
    notes.extend(seen.workspaces.iter().filter_map(on_unsigned));
    notes.extend(seen.workspaces.iter().filter_map(on_names));
    let more = seen
        .warnings
        .iter()
        .filter(|text| !says_unsigned(text, seen));
    notes.extend(more.map(|text| on_warning(text, seen)));
    notes
}

fn on_holding(workspace: &WorkspaceSeen, seen: &Overview) -> Note {
    let WorkspaceState::Holding {
        status, drops_at, ..
    } = workspace.state
    else {
        return Note::default();
    };
    let (why, until, mends) = match status {
        401 => (
            "No signing key matches.",
            "Until one does",
            "Add the signing key",
        ),
        413 => (
            "An event is larger than the limit, [receive] body_limit_bytes.",
            "Until the limit is raised",
            "See the limit",
        ),
        503 => (
            "The journal did not take an event.",
            "Until it does",
            "See the journal",
        ),
        _ => (
            "A request could not be read.",
            "Until one can",
            "Open the workspace",
        ),
    };
    let to = match status {
        413 | 503 => "/settings".to_owned(),
        401 => keys_path(&workspace.name),
        _ => workspace_path(&workspace.name),
    };
    let day = words::day(drops_at);
    let then = if is_dropped(workspace, seen) {
        format!(
            "It gave the first of them up on {day}, and goes on to drop what is older than seven days."
        )
    } else {
        format!(
            "{until}, Customer.io keeps its events and tries again, every hour or so after a while; \
                 it begins to drop them on {day}."
        )
    };
    Note {
        class: "bad",
        strong: format!("{} answers {status} to Customer.io.", workspace.name),
        text: format!("{why} {then}"),
        link: Some(Link { to, words: mends }),
    }
}

/// Where a workspace's signing keys are.
fn keys_path(workspace: &str) -> String {
    format!("{}#keys", workspace_path(workspace))
}

fn on_assurance(assurance: &Assurance) -> Vec<Note> {
    let note = |class, strong: &str, text: &String| Note {
        class,
        strong: strong.to_owned(),
        text: text.clone(),
        link: Some(Link {
            to: "/settings".to_owned(),
            words: "Durability",
        }),
    };
    let findings = assurance.findings.iter();
    let findings = findings.map(|text| note("bad", "The cluster's promise is not proven.", text));
    let accepted = assurance.accepted.iter();
    let accepted = accepted.map(|text| note("", "You have accepted a loss.", text));
    findings.chain(accepted).collect()
}

fn on_unsigned(workspace: &WorkspaceSeen) -> Option<Note> {
    (!workspace.signed).then(|| Note {
        class: "",
        strong: format!("{} takes events without a signature.", workspace.name),
        text: "Whoever knows its address can send events.".to_owned(),
        link: Some(Link {
            to: keys_path(&workspace.name),
            words: "Add a signing key",
        }),
    })
}

fn on_names(workspace: &WorkspaceSeen) -> Option<Note> {
    let error = workspace.names.as_ref()?.last_error.as_ref()?;
    Some(Note {
        class: "",
        strong: format!("The names of {} could not be read anew.", workspace.name),
        text: format!(
            "{error}. Those that are known are used meanwhile; it is tried again by itself."
        ),
        link: Some(Link {
            to: format!("{}#names", workspace_path(&workspace.name)),
            words: "Open the workspace",
        }),
    })
}

/// Whether a warning says of a workspace what its own note says.
fn says_unsigned(text: &str, seen: &Overview) -> bool {
    let unsigned = seen.workspaces.iter().filter(|one| !one.signed);
    let mut openings = unsigned.map(|one| format!("workspace {}: signatures are off", one.name));
    openings.any(|opening| text.starts_with(&opening))
}

fn on_warning(text: &str, seen: &Overview) -> Note {
    let connections = seen.connections.iter().map(|one| &one.name);
    let connection = connections
        .filter(|name| text.starts_with(&format!("connection {name}:")))
        .map(|name| (connection_path(name), "Open the connection"));
    let workspaces = seen.workspaces.iter().map(|one| &one.name);
    let workspace = workspaces
        .filter(|name| text.starts_with(&format!("workspace {name}:")))
        .map(|name| (workspace_path(name), "Open the workspace"));
    let (to, words) = (connection.chain(workspace).next())
        .unwrap_or_else(|| ("/settings".to_owned(), "Settings"));
    Note {
        class: "",
        strong: String::new(),
        text: sentence(text),
        link: Some(Link { to, words }),
    }
}

/// The text with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    let stop = if text.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    first.unwrap_or_default() + chars.as_str() + stop
}
