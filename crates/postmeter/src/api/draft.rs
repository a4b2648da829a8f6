//! A workspace or a connection as JSON with the document's keys.
//!
//! What was asked is written into the document as it is now, and the document's
//! own reading judges it. So the API knows no key by itself, and cannot come to
//! disagree with files and pages about what is valid.

use connections::{Connection, Connections, Edit, Mistake, Workspace, Written};
use serde_json::{Map, Value};

use super::failure::Failure;

/// What is asked of one: values by the document's keys.
pub(super) type Keys = Map<String, Value>;

/// What a document has tables of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Workspace,
    Connection,
}

impl Kind {
    /// As the document and the answers call it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Workspace => "workspace",
            Kind::Connection => "connection",
        }
    }

    /// There is none of this name.
    pub(super) fn missing(self, name: &str) -> Failure {
        Failure::not_found(format!("there is no {} {name:?}", self.word()))
    }
}

/// Keys of which the document takes one only: what is given now replaces what was
/// there, so that nobody has to take the other away by hand.
const GIVES_WAY: [(&str, &str); 6] = [
    ("region", "endpoint"),
    ("endpoint", "region"),
    ("signing_keys", "signature"),
    ("app_api_region", "app_api_url"),
    ("app_api_url", "app_api_region"),
    ("signature", "signing_keys"),
];

/// The keys of the one of this name, as the document has them.
pub(super) fn keys_of(decided: &Connections, kind: Kind, name: &str) -> Option<Keys> {
    let mut draft = Draft::of(decided);
    let n = draft.position(kind, name)?;
    let table = draft.tables(kind).get(n)?.clone();
    let json = serde_json::to_value(table).expect("a table without dates is JSON");
    json.as_object().cloned()
}

/// The edit by which one comes into being.
pub(super) fn added(decided: &Connections, kind: Kind, keys: Keys) -> Result<Edit, Failure> {
    if keys.contains_key("id") {
        let what = "is made by the server: leave it out";
        return Err(mistake(kind, "id", what));
    }
    let mut draft = Draft::of(decided);
    let mut table = toml::Table::new();
    write(kind, &mut table, keys)?;
    draft.tables(kind).push(toml::Value::Table(table));
    let n = draft.tables(kind).len() - 1;
    let next = draft.judged(decided)?;
    Ok(match kind {
        Kind::Workspace => Edit::AddWorkspace(workspace(&next, n)),
        Kind::Connection => Edit::AddConnection(connection(&next, n).without_id()),
    })
}

/// The edit by which the one of this name gets other values: a key that is given
/// replaces, `null` takes it away, and all others stay.
pub(super) fn changed(
    decided: &Connections,
    kind: Kind,
    name: &str,
    keys: Keys,
) -> Result<Edit, Failure> {
    let mut draft = Draft::of(decided);
    let n = draft
        .position(kind, name)
        .ok_or_else(|| kind.missing(name))?;
    let table = draft
        .tables(kind)
        .get_mut(n)
        .and_then(toml::Value::as_table_mut);
    let table = table.expect("the document is a list of tables");
    if let Some(id) = keys.get("id")
        && id.as_str() != table.get("id").and_then(toml::Value::as_str)
    {
        return Err(mistake(kind, "id", "never changes: leave it out"));
    }
    if let (Kind::Workspace, Some(given)) = (kind, keys.get("name"))
        && given.as_str() != Some(name)
    {
        let what = "never changes, since its webhook and its events bear it: leave it out";
        return Err(mistake(kind, "name", what));
    }
    write(kind, table, keys)?;
    let next = draft.judged(decided)?;
    Ok(match kind {
        Kind::Workspace => Edit::ReplaceWorkspace(workspace(&next, n)),
        Kind::Connection => Edit::ReplaceConnection(connection(&next, n)),
    })
}

/// The edit by which the one of this name goes away.
pub(super) fn removed(decided: &Connections, kind: Kind, name: &str) -> Result<Edit, Failure> {
    let n = Draft::of(decided).position(kind, name);
    let n = n.ok_or_else(|| kind.missing(name))?;
    Ok(match kind {
        Kind::Workspace => Edit::RemoveWorkspace(workspace(decided, n).name),
        Kind::Connection => Edit::RemoveConnection(connection(decided, n).id),
    })
}

/// The tables of a document, in its order.
struct Draft {
    workspaces: Vec<toml::Value>,
    connections: Vec<toml::Value>,
}

impl Draft {
    fn of(decided: &Connections) -> Draft {
        let document = decided.to_toml().parse::<toml::Table>();
        let mut document = document.expect("what is exported can be read");
        let mut tables = |kind: Kind| match document.remove(kind.word()) {
            Some(toml::Value::Array(tables)) => tables,
            _ => Vec::new(),
        };
        Draft {
            workspaces: tables(Kind::Workspace),
            connections: tables(Kind::Connection),
        }
    }

    fn tables(&mut self, kind: Kind) -> &mut Vec<toml::Value> {
        match kind {
            Kind::Workspace => &mut self.workspaces,
            Kind::Connection => &mut self.connections,
        }
    }

    fn position(&mut self, kind: Kind, name: &str) -> Option<usize> {
        let mut tables = self.tables(kind).iter();
        tables.position(|table| table.get("name").and_then(toml::Value::as_str) == Some(name))
    }

    /// What would be decided, or every mistake of it.
    fn judged(self, decided: &Connections) -> Result<Connections, Failure> {
        let mut document = toml::Table::new();
        document.insert("workspace".to_owned(), self.workspaces.into());
        document.insert("connection".to_owned(), self.connections.into());
        let document = toml::to_string(&document);
        let document = document.map_err(|error| {
            Failure::unusable(format!("this cannot be written as a document: {error}"))
        })?;
        let written = Written::parse(&document);
        let written = written.map_err(|found| Failure::mistaken(found.iter().cloned()))?;
        let settled = written.settle_ids(decided);
        settled.map_err(|error| {
            let error = anyhow::Error::from(error).context("no randomness for an id");
            error.into()
        })
    }
}

fn workspace(decided: &Connections, n: usize) -> Workspace {
    let found = decided.workspaces().get(n).cloned();
    found.expect("a document without mistakes has a workspace for each table")
}

fn connection(decided: &Connections, n: usize) -> Connection {
    let found = decided.connections().get(n).cloned();
    found.expect("a document without mistakes has a connection for each table")
}

/// Writes what is asked for over what is there.
fn write(kind: Kind, table: &mut toml::Table, keys: Keys) -> Result<(), Failure> {
    if kind == Kind::Connection && keys.get("name").is_some_and(|name| name == "document") {
        let what = "is where the API has the whole document: choose another name";
        return Err(mistake(kind, "name", what));
    }
    make_room(table, &keys);
    for (key, value) in keys {
        if value.is_null() {
            table.remove(&key);
            continue;
        }
        let value = toml_of(value).map_err(|what| mistake(kind, &key, what))?;
        table.insert(key, value);
    }
    Ok(())
}

/// Takes away what would contradict the keys that are given, or means nothing
/// without those that go.
fn make_room(table: &mut toml::Table, keys: &Keys) {
    let mut give_way = Vec::new();
    for (key, other) in GIVES_WAY {
        if keys.get(key).is_some_and(|value| gives(key, value)) {
            give_way.push(other);
        }
    }
    if keys
        .get("send_frequency")
        .is_some_and(|value| value.is_null() || value == "every")
    {
        give_way.push("first_per");
    }
    if keys.get("app_api_key").is_some_and(Value::is_null) {
        give_way.extend(["app_api_region", "app_api_url"]);
    }
    for key in give_way {
        if !keys.contains_key(key) {
            table.remove(key);
        }
    }
}

/// Whether the value says something that leaves no room for the key's opposite.
fn gives(key: &str, value: &Value) -> bool {
    match key {
        "signature" => value == "off",
        _ => !value.is_null(),
    }
}

fn toml_of(value: Value) -> Result<toml::Value, &'static str> {
    Ok(match value {
        Value::Null => return Err("has null inside: that stands for a key as a whole"),
        Value::Bool(value) => value.into(),
        Value::String(text) => text.into(),
        Value::Number(number) => match (number.as_i64(), number.is_f64()) {
            (Some(whole), _) => whole.into(),
            (None, true) => number.as_f64().unwrap_or(f64::NAN).into(),
            (None, false) => return Err("is too large a number"),
        },
        Value::Array(items) => {
            let items: Result<Vec<_>, _> = items.into_iter().map(toml_of).collect();
            items?.into()
        }
        Value::Object(pairs) => {
            let pair = |(key, value)| Ok((key, toml_of(value)?));
            let table: Result<toml::Table, &str> = pairs.into_iter().map(pair).collect();
            table?.into()
        }
    })
}

fn mistake(kind: Kind, key: &str, what: &str) -> Failure {
    Failure::mistaken([Mistake {
        line: None,
        at: format!("{}: {key}", kind.word()),
        what: what.to_owned(),
        hint: None,
    }])
}

#[cfg(test)]
mod tests;
