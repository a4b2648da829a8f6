//! From a document to [`Connections`], or to every mistake in it.

use std::collections::BTreeSet;
use std::time::Duration;

use dispatch::{Endpoint, EndpointError};
use shape::{FirstPer, NewKinds, PayloadVersion, Selection, SendFrequency};

use crate::connection::{AppApi, AppApiTarget, Connections, NewConnection, Options};
use crate::connection::{Signature, Target, Workspace};
use crate::document::{Document, Fields};
use crate::id::{ConnectionId, Name};
use crate::mistakes::{Mistakes, nearest};
use crate::secret::SecretRef;

/// A document without mistakes, in which connections may still lack an id.
#[derive(Clone, Debug)]
pub struct Written {
    workspaces: Vec<Workspace>,
    connections: Vec<WrittenConnection>,
}

#[derive(Clone, Debug)]
struct WrittenConnection {
    id: Option<ConnectionId>,
    rest: NewConnection,
}

impl Written {
    /// Reads a connections document as a whole.
    pub fn parse(text: &str) -> Result<Written, Mistakes> {
        Document::read(text, |mut top| {
            let workspaces = read_workspaces(&mut top);
            let connections = read_connections(&mut top, &workspaces);
            top.end();
            Written {
                workspaces: workspaces
                    .into_iter()
                    .filter_map(|(_, read)| read)
                    .collect(),
                connections,
            }
        })
    }

    /// Gives each connection without an id that of its namesake in `current`, or
    /// else a new one.
    ///
    /// # Errors
    /// The system has no randomness for a new id.
    pub fn settle_ids(self, current: &Connections) -> Result<Connections, getrandom::Error> {
        let id = |written: &WrittenConnection| match &written.id {
            Some(id) => Ok(id.clone()),
            None => match current.named(written.rest.name.as_str()) {
                Some(namesake) => Ok(namesake.id.clone()),
                None => ConnectionId::random(),
            },
        };
        let connections = self.connections.into_iter().map(|written| {
            let id = id(&written)?;
            Ok(written.rest.with_id(id))
        });
        Ok(Connections {
            connections: connections.collect::<Result<_, getrandom::Error>>()?,
            workspaces: self.workspaces,
        })
    }
}

impl Options {
    /// Reads options that stand alone, as [`Options::to_toml`] writes them.
    pub fn parse(text: &str) -> Result<Options, Mistakes> {
        Document::read(text, |mut top| {
            let options = read_options(&mut top);
            top.end();
            options
        })
    }
}

/// Each workspace by the name that connections may use, even where the rest of
/// it is wrong: one mistake should not cause a second message.
type NamedWorkspaces = Vec<(String, Option<Workspace>)>;

fn read_workspaces(top: &mut Fields<'_, '_>) -> NamedWorkspaces {
    let mut named: NamedWorkspaces = Vec::new();
    for mut fields in top.tables("workspace") {
        let Some(written) = fields.required_text("name") else {
            read_signature(&mut fields);
            read_app_api(&mut fields);
            fields.end();
            continue;
        };
        fields.called(format!("workspace {written}"));
        if named.iter().any(|(name, _)| *name == written) {
            fields.mistake("name", "another workspace has this name", None);
        }
        let name = fields.parsed("name", Name::new);
        let signature = read_signature(&mut fields);
        let tolerance = fields
            .number("timestamp_tolerance_s", 1)
            .map(Duration::from_secs);
        let app_api = read_app_api(&mut fields);
        fields.end();
        let workspace = name.zip(signature).map(|(name, signature)| Workspace {
            name,
            signature,
            timestamp_tolerance: tolerance,
            app_api,
        });
        named.push((written, workspace));
    }
    named
}

fn read_signature(fields: &mut Fields<'_, '_>) -> Option<Signature> {
    let has_keys = fields.has("signing_keys");
    let keys = fields.texts("signing_keys");
    let off = fields
        .word("signature", &[("off", true), ("required", false)])
        .unwrap_or(false);
    match (has_keys, off) {
        (true, false) => {
            let keys = keys?;
            if keys.is_empty() {
                let hint = "copy the key from Customer.io's reporting webhook page";
                fields.mistake("signing_keys", "is empty", Some(hint.to_owned()));
            }
            let read = keys.iter().map(|key| secret(fields, "signing_keys", key));
            read.collect::<Option<Vec<_>>>().map(Signature::Keys)
        }
        (true, true) => {
            fields.mistake(
                "signature",
                "is \"off\" although there are signing keys",
                None,
            );
            None
        }
        (false, true) => Some(Signature::Off),
        (false, false) => {
            let hint =
                "write signing_keys = [\"env:NAME\"]; signature = \"off\" takes events from anyone";
            fields.mistake("signing_keys", "is missing", Some(hint.to_owned()));
            None
        }
    }
}

/// Where names are looked up; none where no key is written, or a wrong one, which
/// is a mistake then.
fn read_app_api(fields: &mut Fields<'_, '_>) -> Option<AppApi> {
    let has_key = fields.has("app_api_key");
    let key = fields.text("app_api_key");
    let key = key.and_then(|text| secret(fields, "app_api_key", &text));
    let regions = [("us", AppApiTarget::Us), ("eu", AppApiTarget::Eu)];
    let region = fields.word("app_api_region", &regions);
    let url = fields
        .parsed("app_api_url", app_api_url)
        .map(AppApiTarget::Url);
    for place in ["app_api_region", "app_api_url"] {
        if fields.has(place) && !has_key {
            let hint = "it belongs to app_api_key = \"env:NAME\"";
            fields.mistake(place, "has no effect here", Some(hint.to_owned()));
        }
    }
    if fields.has("app_api_region") && fields.has("app_api_url") {
        let what = "is there beside a region: keep one of the two";
        fields.mistake("app_api_url", what, None);
    }
    let target = url.or(region).unwrap_or(AppApiTarget::Us);
    key.map(|key| AppApi { key, target })
}

fn app_api_url(text: &str) -> Result<Endpoint, String> {
    Endpoint::parse(text).map_err(|error| match error {
        // Its own words name Segment's address.
        EndpointError::NotAUrl(_) => {
            "is not an absolute URL such as https://api.customer.io".to_owned()
        }
        error => error.to_string(),
    })
}

fn secret(fields: &Fields<'_, '_>, key: &str, text: &str) -> Option<SecretRef> {
    match text.parse() {
        Ok(secret) => Some(secret),
        Err(error) => {
            let error: crate::secret::SecretRefError = error;
            fields.mistake(key, error.to_string(), None);
            None
        }
    }
}

fn read_connections(
    top: &mut Fields<'_, '_>,
    workspaces: &NamedWorkspaces,
) -> Vec<WrittenConnection> {
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let mut connections = Vec::new();
    for mut fields in top.tables("connection") {
        if let Some(name) = fields.required_text("name") {
            fields.called(format!("connection {name}"));
            if !names.insert(name) {
                fields.mistake("name", "another connection has this name", None);
            }
        }
        let connection = read_connection(&mut fields, workspaces);
        if let Some(id) = connection.as_ref().and_then(|read| read.id.clone())
            && !ids.insert(id)
        {
            fields.mistake("id", "another connection has this id", None);
        }
        fields.end();
        connections.extend(connection);
    }
    connections
}

fn read_connection(
    fields: &mut Fields<'_, '_>,
    workspaces: &NamedWorkspaces,
) -> Option<WrittenConnection> {
    let id = fields.parsed("id", ConnectionId::new);
    let name = if fields.has("name") {
        fields.parsed("name", Name::new)
    } else {
        None
    };
    let label = fields.text("label");
    let workspace = read_workspace_name(fields, workspaces);
    let enabled = fields.switch("enabled").unwrap_or(true);
    let paused = fields.switch("paused").unwrap_or(false);
    let write_key = fields.required_text("write_key");
    let write_key = write_key.and_then(|text| secret(fields, "write_key", &text));
    let target = read_target(fields);
    let options = read_options(fields);
    Some(WrittenConnection {
        id,
        rest: NewConnection {
            name: name?,
            label,
            workspace: workspace?,
            enabled,
            paused,
            write_key: write_key?,
            target: target?,
            options,
        },
    })
}

fn read_workspace_name(fields: &mut Fields<'_, '_>, workspaces: &NamedWorkspaces) -> Option<Name> {
    let written = fields.required_text("workspace")?;
    if workspaces.iter().any(|(name, _)| *name == written) {
        return Name::new(&written).ok(); // a bad name was reported with its workspace
    }
    let near = nearest(&written, workspaces.iter().map(|(name, _)| name.as_str()));
    let hint = near.map(|near| format!("did you mean {near:?}?"));
    fields.mistake(
        "workspace",
        format!("there is no workspace {written:?}"),
        hint,
    );
    None
}

fn read_target(fields: &mut Fields<'_, '_>) -> Option<Target> {
    let region = fields.word("region", &[("us", Target::Us), ("eu", Target::Eu)]);
    let endpoint = fields.parsed("endpoint", Endpoint::parse).map(Target::Url);
    match (fields.has("region"), fields.has("endpoint")) {
        (true, true) => {
            fields.mistake(
                "endpoint",
                "is there beside a region: keep one of the two",
                None,
            );
            None
        }
        (true, false) => region,
        (false, true) => endpoint,
        (false, false) => Some(Target::Us),
    }
}

fn read_options(fields: &mut Fields<'_, '_>) -> Options {
    let default = Options::default();
    let versions = [("2.0.0", PayloadVersion::V2), ("1.0.0", PayloadVersion::V1)];
    Options {
        events: read_events(fields),
        send_frequency: read_send_frequency(fields),
        body_content: fields
            .switch("body_content")
            .unwrap_or(default.body_content),
        send_back: fields.switch("send_back").unwrap_or(default.send_back),
        payload_version: fields
            .word("payload_version", &versions)
            .unwrap_or(default.payload_version),
        empty_user_id: fields
            .switch("empty_user_id")
            .unwrap_or(default.empty_user_id),
        customer_id: fields.switch("customer_id").unwrap_or(default.customer_id),
        rename: fields
            .text_table("rename")
            .unwrap_or_default()
            .into_iter()
            .collect(),
        leave_out: fields
            .texts("leave_out")
            .unwrap_or_default()
            .into_iter()
            .collect(),
        names: fields.switch("names").unwrap_or(default.names),
    }
}

/// Which events are sent: all where no pattern is written.
fn read_events(fields: &mut Fields<'_, '_>) -> Selection {
    let words = [
        ("by-pattern", NewKinds::ByPattern),
        ("on", NewKinds::On),
        ("off", NewKinds::Off),
    ];
    let new_kinds = fields.word("new_kinds", &words).unwrap_or_default();
    let patterns = fields.texts("events");
    let selection = patterns.map_or_else(Selection::all, |patterns| select(fields, &patterns));
    selection.with_new_kinds(new_kinds)
}

fn select(fields: &Fields<'_, '_>, patterns: &[String]) -> Selection {
    if patterns.is_empty() {
        let hint = "leave the key out to send all events, or set enabled = false to send none";
        fields.mistake(
            "events",
            "is empty, so nothing would ever be sent",
            Some(hint.to_owned()),
        );
    }
    Selection::parse(patterns).unwrap_or_else(|bad| {
        let known: Vec<String> = shape::catalogue().map(|known| known.kind()).collect();
        for pattern in bad {
            let near = nearest(pattern.written(), known.iter().map(String::as_str));
            let hint = near.map(|near| format!("did you mean {near:?}?"));
            fields.mistake("events", pattern.to_string(), hint);
        }
        Selection::all()
    })
}

fn read_send_frequency(fields: &mut Fields<'_, '_>) -> SendFrequency {
    let per = [
        ("delivery", FirstPer::DeliveryAndName),
        ("link", FirstPer::DeliveryNameAndLink),
    ];
    let first_per = fields.word("first_per", &per);
    let per = first_per.unwrap_or(FirstPer::DeliveryAndName);
    let words = [
        ("every", SendFrequency::Every),
        ("first", SendFrequency::First(per)),
    ];
    let frequency = fields
        .word("send_frequency", &words)
        .unwrap_or(SendFrequency::Every);
    if first_per.is_some() && frequency == SendFrequency::Every {
        let hint = "it belongs to send_frequency = \"first\"";
        fields.mistake("first_per", "has no effect here", Some(hint.to_owned()));
    }
    frequency
}
