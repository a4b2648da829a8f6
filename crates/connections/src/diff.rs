//! What changes between two sets of connections, line by line.

use std::collections::BTreeMap;
use std::fmt;

use crate::connection::Connections;

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A workspace or a connection comes into being.
    Added {
        /// Such as `connection acme-segment`.
        what: String,
    },
    /// One goes away.
    Removed {
        /// Such as `connection acme-segment`.
        what: String,
    },
    /// One of its values changes.
    Changed {
        /// Such as `connection acme-segment`.
        what: String,
        /// The key, as the document calls it.
        key: String,
        /// The value before, as the document writes it; `None` where it was left out.
        from: Option<String>,
        /// The value after; `None` where it is left out now.
        to: Option<String>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEFT_OUT: &str = "left out";
        match self {
            Change::Added { what } => write!(f, "+ {what}"),
            Change::Removed { what } => write!(f, "- {what}"),
            Change::Changed {
                what,
                key,
                from,
                to,
            } => {
                let from = from.as_deref().unwrap_or(LEFT_OUT);
                let to = to.as_deref().unwrap_or(LEFT_OUT);
                write!(f, "~ {what}: {key} {from} -> {to}")
            }
        }
    }
}

impl Connections {
    /// What changes on the way from `self` to `next`. Empty where they are equal.
    ///
    /// A connection is the same one while its id is, whatever its name.
    pub fn changes_to(&self, next: &Connections) -> Vec<Change> {
        let (before, after) = (described(self), described(next));
        let mut changes = Vec::new();
        for (key, old) in &before {
            match after.get(key) {
                None => changes.push(Change::Removed {
                    what: old.what.clone(),
                }),
                Some(new) => changes.extend(old.changes_to(new)),
            }
        }
        let added = after.iter().filter(|(key, _)| !before.contains_key(*key));
        changes.extend(added.map(|(_, new)| Change::Added {
            what: new.what.clone(),
        }));
        changes
    }
}

/// A workspace or a connection as the lines that the document has for it. The
/// document is the one description that cannot forget a key.
struct Described {
    what: String,
    lines: BTreeMap<String, String>,
}

impl Described {
    fn new(kind: &str, name: &str, document: &str) -> Described {
        let lines = document.lines().filter_map(|line| line.split_once(" = "));
        let lines = lines
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Described {
            what: format!("{kind} {name}"),
            lines,
        }
    }

    fn changes_to(&self, next: &Described) -> Vec<Change> {
        let mut keys: Vec<&String> = self.lines.keys().chain(next.lines.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let values = keys
            .iter()
            .map(|key| (*key, self.lines.get(*key), next.lines.get(*key)));
        values
            .filter(|(_, from, to)| from != to)
            .map(|(key, from, to)| Change::Changed {
                what: next.what.clone(),
                key: key.clone(),
                from: from.cloned(),
                to: to.cloned(),
            })
            .collect()
    }
}

fn described(connections: &Connections) -> BTreeMap<(u8, String), Described> {
    let alone = |workspaces, connections| {
        Connections {
            workspaces,
            connections,
        }
        .to_toml()
    };
    let workspaces = connections.workspaces().iter().map(|workspace| {
        let document = alone(vec![workspace.clone()], Vec::new());
        let name = workspace.name.to_string();
        (
            (0, name.clone()),
            Described::new("workspace", &name, &document),
        )
    });
    let rest = connections.connections().iter().map(|connection| {
        let document = alone(Vec::new(), vec![connection.clone()]);
        let described = Described::new("connection", connection.name.as_str(), &document);
        ((1, connection.id.to_string()), described)
    });
    workspaces.chain(rest).collect()
}
