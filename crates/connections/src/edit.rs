//! What a page changes: one workspace or connection at a time.
//!
//! An edit is judged as if its outcome had been written in the file: it becomes a
//! document, and only a document without mistakes is given back. So pages and
//! files cannot come to disagree about what is valid.

use crate::connection::{Connection, Connections, NewConnection, Workspace};
use crate::export;
use crate::id::{ConnectionId, Name};
use crate::mistakes::Mistakes;
use crate::parse::Written;

/// One change of what is decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// A workspace comes into being.
    AddWorkspace(Workspace),
    /// The workspace of this name becomes this. It keeps its name: its webhook's
    /// address and its records bear it, and what is not sent yet would be nobody's.
    ReplaceWorkspace(Workspace),
    /// A workspace without connections goes away.
    RemoveWorkspace(Name),
    /// A connection comes into being. It gets its id when the document is settled.
    AddConnection(NewConnection),
    /// The connection of this id becomes this.
    ReplaceConnection(Connection),
    /// A connection goes away.
    RemoveConnection(ConnectionId),
}

impl Connections {
    /// What is decided once `edit` is made, as a document without mistakes.
    ///
    /// # Errors
    /// Every mistake of it, without lines: nobody has the document before their
    /// eyes. What the edit is about and is not there is one.
    pub fn edited(&self, edit: &Edit) -> Result<Written, Mistakes> {
        let mut next = self.clone();
        let mut added = None;
        match edit {
            Edit::AddWorkspace(workspace) => next.workspaces.push(workspace.clone()),
            Edit::ReplaceWorkspace(workspace) => {
                *next.workspace_mut(&workspace.name)? = workspace.clone();
            }
            Edit::RemoveWorkspace(name) => next.remove_workspace(name)?,
            Edit::AddConnection(connection) => added = Some(export::connection(None, connection)),
            Edit::ReplaceConnection(connection) => {
                *next.connection_mut(&connection.id)? = connection.clone();
            }
            Edit::RemoveConnection(id) => {
                next.connection_mut(id)?;
                next.connections.retain(|each| each.id != *id);
            }
        }
        let mut document = next.to_toml();
        if let Some(added) = added {
            document.push('\n');
            document.push_str(&added);
        }
        Written::parse(&document).map_err(Mistakes::without_lines)
    }

    fn remove_workspace(&mut self, name: &Name) -> Result<(), Mistakes> {
        self.workspace_mut(name)?;
        let its_own = self
            .connections
            .iter()
            .filter(|each| each.workspace == *name);
        let its_own: Vec<&str> = its_own.map(|each| each.name.as_str()).collect();
        if !its_own.is_empty() {
            let what = format!("still has connections: remove {} first", its_own.join(", "));
            return Err(Mistakes::single(format!("workspace {name}"), what));
        }
        self.workspaces.retain(|each| each.name != *name);
        Ok(())
    }

    fn workspace_mut(&mut self, name: &Name) -> Result<&mut Workspace, Mistakes> {
        let found = self.workspaces.iter_mut().find(|each| each.name == *name);
        found.ok_or_else(|| missing("workspace", name.as_str()))
    }

    fn connection_mut(&mut self, id: &ConnectionId) -> Result<&mut Connection, Mistakes> {
        let found = self.connections.iter_mut().find(|each| each.id == *id);
        found.ok_or_else(|| missing("connection", id.as_str()))
    }
}

fn missing(kind: &str, name: &str) -> Mistakes {
    Mistakes::single(format!("{kind} {name}"), "is not there any more".to_owned())
}
