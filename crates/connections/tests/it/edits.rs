//! Changing one workspace or connection, as a page does.

use connections::{ConnectionId, Connections, Edit, Name, Signature};

use crate::{EVERY_OPTION, EXAMPLE, read};

fn made(connections: &Connections, edit: &Edit) -> Connections {
    let written = connections.edited(edit);
    let written = written.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    written
        .settle_ids(connections)
        .expect("the system has randomness")
}

fn mistakes(connections: &Connections, edit: &Edit) -> String {
    let refused = connections.edited(edit);
    refused.expect_err("the edit has mistakes").to_string()
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let before = read(EVERY_OPTION);
    let mut connection = before.named("everything").unwrap().clone();
    connection.paused = false;
    connection.name = Name::new("renamed").unwrap();
    let after = made(&before, &Edit::ReplaceConnection(connection.clone()));
    assert_eq!(after.named("renamed"), Some(&connection));
    assert_eq!(after.workspaces(), before.workspaces());
    assert_eq!(after.connections()[1..], before.connections()[1..]);

    let removed = made(&after, &Edit::RemoveConnection(connection.id));
    assert_eq!(removed.connections(), &before.connections()[1..]);
}

#[test]
fn what_is_added_is_as_it_was_typed_in_with_an_id_of_its_own() {
    let before = read(EXAMPLE);
    let mut workspace = before.workspaces()[0].clone();
    workspace.name = Name::new("lab").unwrap();
    let with_workspace = made(&before, &Edit::AddWorkspace(workspace.clone()));
    assert_eq!(with_workspace.workspaces()[1], workspace);

    let mut new = before.connections()[0].without_id();
    new.name = Name::new("lab-segment").unwrap();
    new.workspace = workspace.name;
    let after = made(&with_workspace, &Edit::AddConnection(new.clone()));
    let added = after.named("lab-segment").unwrap();
    assert_eq!(added.without_id(), new);
    assert_ne!(added.id, before.connections()[0].id);
    assert_eq!(after.connections()[0], before.connections()[0]);
}

#[test]
fn a_workspace_is_replaced_by_its_name_and_keeps_it() {
    let before = read(EVERY_OPTION);
    let mut workspace = before.workspaces()[1].clone();
    workspace.timestamp_tolerance = Some(std::time::Duration::from_secs(7));
    let after = made(&before, &Edit::ReplaceWorkspace(workspace.clone()));
    assert_eq!(after.workspaces()[1], workspace);
    assert_eq!(after.connections(), before.connections());
}

#[test]
fn a_workspace_goes_only_when_no_connection_is_left() {
    let before = read(EVERY_OPTION);
    let lab = Edit::RemoveWorkspace(Name::new("lab").unwrap());
    let said = mistakes(&before, &lab);
    assert!(said.contains("workspace lab") && said.contains("remove europe first"));
    let id = before.named("europe").unwrap().id.clone();
    let without = made(&before, &Edit::RemoveConnection(id));
    assert_eq!(made(&without, &lab).workspaces().len(), 1);
}

#[test]
fn an_edit_is_judged_as_if_it_stood_in_the_file() {
    let before = read(EVERY_OPTION);
    let twin = before.connections()[1].without_id();
    let said = mistakes(&before, &Edit::AddConnection(twin));
    assert_eq!(
        said, "connection europe: name: another connection has this name",
        "no line is named, since nobody sees the document"
    );
    let mut workspace = before.workspaces()[0].clone();
    workspace.signature = Signature::Keys(Vec::new());
    let said = mistakes(&before, &Edit::ReplaceWorkspace(workspace));
    assert!(said.contains("signing_keys: is empty"), "{said}");
    let mut connection = before.connections()[0].clone();
    connection.workspace = Name::new("elsewhere").unwrap();
    let said = mistakes(&before, &Edit::ReplaceConnection(connection));
    assert!(said.contains("there is no workspace"), "{said}");
}

#[test]
fn what_is_gone_cannot_be_edited() {
    let before = read(EXAMPLE);
    let mut connection = before.connections()[0].clone();
    connection.id = ConnectionId::new("c-gone").unwrap();
    let mut workspace = before.workspaces()[0].clone();
    workspace.name = Name::new("gone").unwrap();
    let name = workspace.name.clone();
    let edits = [
        Edit::RemoveConnection(connection.id.clone()),
        Edit::ReplaceConnection(connection),
        Edit::RemoveWorkspace(name),
        Edit::ReplaceWorkspace(workspace),
    ];
    for edit in edits {
        let said = mistakes(&before, &edit);
        assert!(said.contains("is not there any more"), "{edit:?}: {said}");
    }
}
