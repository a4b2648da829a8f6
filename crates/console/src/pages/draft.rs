//! A connection while a person types it in, from page to page.
//!
//! What was settled on earlier pages travels in hidden fields, checked anew on
//! each: a page may come from anywhere. A pasted key travels as the name under
//! which the journal keeps it.

use connections::{Connection, Connections, Edit, Name, NewConnection, Options, Target};
use connections::{Endpoint, Secret, write_key_warning};

use super::connections::capital;
use super::mistakes::Mistakes;
use super::options::Chosen;
use super::secret::{Given, Taken};
use crate::form::Fields;
use crate::process::{NotChanged, Process};
use crate::seen::Changed;

/// The fields of the first section, as mistakes name them.
pub(crate) const SOURCE: [&str; 4] = ["name", "label", "workspace", "write_key"];
/// Those of the second.
pub(crate) const EVENTS: [&str; 1] = ["events"];

/// A connection as far as it is typed in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) workspace: String,
    pub(crate) write_key: Option<Taken>,
    /// What was typed to name the key, where it names nothing.
    pub(crate) write_key_at: String,
    /// What is odd about the key.
    pub(crate) key_note: String,
    pub(crate) chosen: Chosen,
}

impl Draft {
    /// Nothing but the hosted integration's defaults.
    pub(crate) fn new(workspace: &str) -> Draft {
        Draft {
            name: String::new(),
            label: String::new(),
            workspace: workspace.to_owned(),
            write_key: None,
            write_key_at: String::new(),
            key_note: String::new(),
            chosen: Chosen::of(&Options::default(), &Target::Us),
        }
    }

    /// A connection as it is decided. Its key stays unless another is given.
    pub(crate) fn of(connection: &Connection) -> Draft {
        Draft {
            name: connection.name.to_string(),
            label: connection.label.clone().unwrap_or_default(),
            workspace: connection.workspace.to_string(),
            chosen: Chosen::of(&connection.options, &connection.target),
            ..Draft::new("")
        }
    }

    /// Reads what earlier pages carried and what this one asked for.
    ///
    /// # Errors
    /// A pasted key could not be kept.
    pub(crate) async fn read<P: Process>(
        mut self,
        fields: &Fields,
        process: &P,
        mistakes: &mut Mistakes,
    ) -> Result<Draft, NotChanged> {
        self.read_carried(fields, mistakes);
        let asked = fields.all("asked");
        if asked.contains("source") {
            self.read_source(fields, process, mistakes).await?;
        }
        if asked.contains("events") {
            self.chosen.read_events(fields, mistakes);
        }
        if asked.contains("hosted") {
            self.chosen.read_hosted(fields, mistakes);
        }
        if asked.contains("more") {
            self.chosen.read_more(fields, mistakes);
        }
        Ok(self)
    }

    async fn read_source<P: Process>(
        &mut self,
        fields: &Fields,
        process: &P,
        mistakes: &mut Mistakes,
    ) -> Result<(), NotChanged> {
        let text = |name: &str| fields.filled(name).unwrap_or_default().to_owned();
        self.name = text("name");
        self.label = text("label");
        self.workspace = text("workspace");
        self.write_key_at = text("write_key_at");
        if let Some(given) = Given::read(fields, "write_key", mistakes) {
            self.key_note = match &given {
                Given::Pasted(key) => note_on(key),
                Given::Named(_) => String::new(),
            };
            self.write_key = Some(given.take(process).await?);
        }
        Ok(())
    }

    /// All of it, as hidden fields.
    pub(crate) fn carries(&self) -> Vec<(&'static str, String)> {
        let target = match &self.chosen.target {
            Target::Us => "us".to_owned(),
            Target::Eu => "eu".to_owned(),
            Target::Url(endpoint) => endpoint.to_string(),
        };
        let mut carried = vec![
            ("c_name", self.name.clone()),
            ("c_label", self.label.clone()),
            ("c_workspace", self.workspace.clone()),
            ("c_target", target),
            ("c_options", self.chosen.options.to_toml()),
        ];
        if let Some(key) = &self.write_key {
            carried.push(("c_write_key", key.at.to_string()));
            carried.push(("c_ends_with", key.ends_with.clone()));
            carried.push(("c_key_note", self.key_note.clone()));
        }
        carried
    }

    fn read_carried(&mut self, fields: &Fields, mistakes: &mut Mistakes) {
        let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
        let (Some(options), Some(target)) = (fields.text("c_options"), fields.text("c_target"))
        else {
            return;
        };
        let target = match target {
            "us" => Some(Target::Us),
            "eu" => Some(Target::Eu),
            url => Endpoint::parse(url).ok().map(Target::Url),
        };
        let (Ok(options), Some(target)) = (Options::parse(options), target) else {
            mistakes.add("", "the form came back damaged: begin again");
            return;
        };
        self.chosen = Chosen::of(&options, &target);
        self.name = text("c_name");
        self.label = text("c_label");
        self.workspace = text("c_workspace");
        if let Some(at) = fields.text("c_write_key").and_then(|at| at.parse().ok()) {
            let ends_with = text("c_ends_with");
            self.write_key = Some(Taken { at, ends_with });
            self.key_note = text("c_key_note");
        }
    }

    /// The connection to come; none where something of it is wrong.
    pub(crate) fn connection(
        &self,
        decided: &Connections,
        mistakes: &mut Mistakes,
    ) -> Option<NewConnection> {
        let name = read_name("name", &self.name, mistakes);
        let workspace = read_name("workspace", &self.workspace, mistakes);
        if self.write_key.is_none() && !mistakes.has("write_key") {
            mistakes.add("write_key", "the write key is missing");
        }
        let connection = NewConnection {
            name: name?,
            label: (!self.label.is_empty()).then(|| self.label.clone()),
            workspace: workspace?,
            enabled: true,
            paused: false,
            write_key: self.write_key.clone()?.at,
            target: self.chosen.target.clone(),
            options: self.chosen.options.clone(),
        };
        let edit = Edit::AddConnection(connection.clone());
        check(decided, &edit, mistakes)?;
        Some(connection)
    }

    /// `before` with what is typed; none where something of it is wrong.
    pub(crate) fn applied(
        &self,
        before: &Connection,
        decided: &Connections,
        mistakes: &mut Mistakes,
    ) -> Option<Connection> {
        let name = read_name("name", &self.name, mistakes);
        let workspace = read_name("workspace", &self.workspace, mistakes);
        let key = self.write_key.as_ref().map(|taken| taken.at.clone());
        let connection = Connection {
            name: name?,
            label: (!self.label.is_empty()).then(|| self.label.clone()),
            workspace: workspace?,
            write_key: key.unwrap_or_else(|| before.write_key.clone()),
            target: self.chosen.target.clone(),
            options: self.chosen.options.clone(),
            ..before.clone()
        };
        let edit = Edit::ReplaceConnection(connection.clone());
        check(decided, &edit, mistakes)?;
        Some(connection)
    }
}

fn read_name(field: &str, text: &str, mistakes: &mut Mistakes) -> Option<Name> {
    if text.is_empty() {
        mistakes.add(field, &format!("the {field} is missing"));
        return None;
    }
    let name = Name::new(text);
    name.map_err(|error| mistakes.add(field, &error.to_string()))
        .ok()
}

/// Notes what is wrong with a change before it is asked for.
fn check(decided: &Connections, edit: &Edit, mistakes: &mut Mistakes) -> Option<()> {
    match decided.edited(edit) {
        Ok(_) => mistakes.is_empty().then_some(()),
        Err(found) => {
            mistakes.add_all(&found);
            None
        }
    }
}

/// What changes by an edit, line by line, before it is made.
pub(crate) fn changes(decided: &Connections, edit: &Edit) -> Vec<String> {
    let next = decided.edited(edit).ok();
    let next = next.and_then(|written| written.settle_ids(decided).ok());
    let changes = next.map(|next| decided.changes_to(&next));
    let changes = changes.unwrap_or_default();
    changes.iter().map(ToString::to_string).collect()
}

/// What a change changed, in a sentence that fits into a cookie.
pub(crate) fn told(changed: &Changed) -> String {
    const MOST_BYTES: usize = 1_500;
    let mut text = match changed.changes.as_slice() {
        [] => "Nothing changed: it is so already.".to_owned(),
        changes => format!("{}.", changes.join("; ")),
    };
    for warning in &changed.warnings {
        text = format!("{text} Note: {warning}.");
    }
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push('\u{2026}');
    }
    text
}

fn note_on(key: &Secret) -> String {
    let warning = write_key_warning(key.reveal());
    warning.map_or_else(String::new, |text| capital(&text))
}
