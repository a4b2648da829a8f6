//! From [`Connections`] back to a document that reads as the same.

use std::fmt::Write as _;

use shape::{FirstPer, NewKinds, SendFrequency};

use crate::connection::{AppApi, AppApiTarget, Connections, NewConnection, Options};
use crate::connection::{Signature, Target, Workspace};
use crate::id::ConnectionId;

impl Connections {
    /// The document: what `apply` takes back without a difference.
    ///
    /// The common options are always written out, so that a reader sees what may
    /// be changed; the rare ones only where they differ from the default.
    pub fn to_toml(&self) -> String {
        let workspaces = self.workspaces.iter().map(workspace);
        let connections = self.connections.iter();
        let connections = connections.map(|each| connection(Some(&each.id), &each.without_id()));
        let tables: Vec<String> = workspaces.chain(connections).collect();
        tables.join("\n")
    }
}

impl Options {
    /// The options alone, as [`Options::parse`] takes them back.
    pub fn to_toml(&self) -> String {
        let mut out = Table(String::new());
        options(&mut out, self);
        out.0
    }
}

fn workspace(workspace: &Workspace) -> String {
    let mut out = Table::headed("[[workspace]]");
    out.text("name", workspace.name.as_str());
    match &workspace.signature {
        Signature::Keys(keys) => out.texts("signing_keys", keys.iter().map(ToString::to_string)),
        Signature::Off => out.text("signature", "off"),
    }
    if let Some(tolerance) = workspace.timestamp_tolerance {
        out.raw("timestamp_tolerance_s", tolerance.as_secs());
    }
    if let Some(AppApi { key, target }) = &workspace.app_api {
        out.text("app_api_key", &key.to_string());
        match target {
            AppApiTarget::Us => out.text("app_api_region", "us"),
            AppApiTarget::Eu => out.text("app_api_region", "eu"),
            AppApiTarget::Url(_) => out.text("app_api_url", &target.url()),
        }
    }
    out.0
}

/// A connection's table; one that has no id yet gets it when the document is read.
pub(crate) fn connection(id: Option<&ConnectionId>, connection: &NewConnection) -> String {
    let mut out = Table::headed("[[connection]]");
    out.text("name", connection.name.as_str());
    if let Some(id) = id {
        out.text("id", id.as_str());
    }
    if let Some(label) = &connection.label {
        out.text("label", label);
    }
    out.text("workspace", connection.workspace.as_str());
    out.raw("enabled", connection.enabled);
    if connection.paused {
        out.raw("paused", true);
    }
    out.text("write_key", &connection.write_key.to_string());
    match &connection.target {
        Target::Us => out.text("region", "us"),
        Target::Eu => out.text("region", "eu"),
        Target::Url(endpoint) => out.text("endpoint", &endpoint.to_string()),
    }
    options(&mut out, &connection.options);
    out.0
}

fn options(out: &mut Table, options: &Options) {
    let default = Options::default();
    let mut patterns = options.events.patterns();
    if !patterns.all(|pattern| pattern == "*") {
        out.texts("events", options.events.patterns().map(str::to_owned));
    }
    match options.send_frequency {
        SendFrequency::Every => out.text("send_frequency", "every"),
        SendFrequency::First(per) => {
            out.text("send_frequency", "first");
            if per == FirstPer::DeliveryNameAndLink {
                out.text("first_per", "link");
            }
        }
    }
    out.raw("body_content", options.body_content);
    out.raw("send_back", options.send_back);
    out.text("payload_version", &options.payload_version.to_string());
    match options.events.new_kinds {
        NewKinds::ByPattern => {}
        NewKinds::On => out.text("new_kinds", "on"),
        NewKinds::Off => out.text("new_kinds", "off"),
    }
    if options.empty_user_id != default.empty_user_id {
        out.raw("empty_user_id", options.empty_user_id);
    }
    if options.customer_id != default.customer_id {
        out.raw("customer_id", options.customer_id);
    }
    if options.names != default.names {
        out.raw("names", options.names);
    }
    if !options.leave_out.is_empty() {
        out.texts("leave_out", options.leave_out.iter().cloned());
    }
    if !options.rename.is_empty() {
        let pair = |(from, to): (&String, &String)| format!("{} = {}", quoted(from), quoted(to));
        let pairs: Vec<String> = options.rename.iter().map(pair).collect();
        out.raw("rename", format!("{{ {} }}", pairs.join(", ")));
    }
}

struct Table(String);

impl Table {
    fn headed(head: &str) -> Table {
        Table(format!("{head}\n"))
    }

    fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        writeln!(self.0, "{key} = {value}").expect("a String takes all that is written to it");
    }

    fn text(&mut self, key: &str, text: &str) {
        self.raw(key, quoted(text));
    }

    fn texts(&mut self, key: &str, texts: impl Iterator<Item = String>) {
        let quoted: Vec<String> = texts.map(|text| quoted(&text)).collect();
        self.raw(key, format!("[{}]", quoted.join(", ")));
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                write!(out, "\\u{:04X}", u32::from(c)).expect("a String takes all that is written");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
