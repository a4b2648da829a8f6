//! A workspace and a connection, as decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dispatch::Endpoint;
use shape::{PayloadVersion, Selection, SendFrequency};

use crate::id::{ConnectionId, Name};
use crate::secret::SecretRef;

/// Everything the operator decided. Valid as a whole: names and ids are unique,
/// and each connection's workspace exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connections {
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) connections: Vec<Connection>,
}

impl Connections {
    /// The workspaces, in the document's order.
    pub fn workspaces(&self) -> &[Workspace] {
        &self.workspaces
    }

    /// The connections, in the document's order.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// The connection of this name.
    pub fn named(&self, name: &str) -> Option<&Connection> {
        self.connections
            .iter()
            .find(|connection| connection.name.as_str() == name)
    }

    /// Every secret that is named, in the document's order.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let workspaces = self.workspaces.iter().flat_map(Workspace::secrets);
        workspaces.chain(self.connections.iter().map(|each| &each.write_key))
    }
}

/// A Customer.io workspace: the origin of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Workspace {
    /// The last part of its webhook path.
    pub name: Name,
    /// How its requests prove where they come from.
    pub signature: Signature,
    /// How far the signed timestamp may be from now; not checked by default.
    pub timestamp_tolerance: Option<Duration>,
    /// Where the names of its campaigns and messages are looked up; nowhere where
    /// there is no key.
    pub app_api: Option<AppApi>,
}

impl Workspace {
    fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let keys: &[SecretRef] = match &self.signature {
            Signature::Keys(keys) => keys,
            Signature::Off => &[],
        };
        keys.iter().chain(self.app_api.iter().map(|api| &api.key))
    }
}

/// Customer.io's App API, as one workspace may ask it.
#[derive(Clone, Debug, PartialEq)]
pub struct AppApi {
    /// The workspace's App API key.
    pub key: SecretRef,
    /// Which of them.
    pub target: AppApiTarget,
}

/// Which App API a workspace is in.
#[derive(Clone, Debug, PartialEq)]
pub enum AppApiTarget {
    /// `https://api.customer.io`.
    Us,
    /// `https://api-eu.customer.io`.
    Eu,
    /// Anything that speaks Customer.io's App API, such as an emulator.
    Url(Endpoint),
}

impl AppApiTarget {
    /// The base URL, without a slash at its end.
    pub fn url(&self) -> String {
        match self {
            AppApiTarget::Us => "https://api.customer.io".to_owned(),
            AppApiTarget::Eu => "https://api-eu.customer.io".to_owned(),
            AppApiTarget::Url(url) => url.to_string().trim_end_matches('/').to_owned(),
        }
    }
}

/// How a workspace's requests prove where they come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Signature {
    /// With any of these signing keys. Never empty.
    Keys(Vec<SecretRef>),
    /// Not at all, as the operator said in so many words.
    Off,
}

/// One workspace feeding one Segment source.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// What message ids, cursor and claims hang on. Never changes.
    pub id: ConnectionId,
    /// What people call it. May change.
    pub name: Name,
    /// A free text beside the name, as in Segment.
    pub label: Option<String>,
    /// Where its events come from.
    pub workspace: Name,
    /// Whether it sends. Events are journaled either way.
    pub enabled: bool,
    /// Whether it holds still although it is enabled: it sends nothing, keeps its
    /// place, and what it has not sent is never trimmed.
    pub paused: bool,
    /// The Segment source's write key.
    pub write_key: SecretRef,
    /// Which Segment it goes to.
    pub target: Target,
    /// What it sends, and in which form.
    pub options: Options,
}

/// A connection before it has an id: everything that a person decides.
#[derive(Clone, Debug, PartialEq)]
pub struct NewConnection {
    /// What people call it.
    pub name: Name,
    /// A free text beside the name.
    pub label: Option<String>,
    /// Where its events come from.
    pub workspace: Name,
    /// Whether it sends.
    pub enabled: bool,
    /// Whether it holds still although it is enabled.
    pub paused: bool,
    /// The Segment source's write key.
    pub write_key: SecretRef,
    /// Which Segment it goes to.
    pub target: Target,
    /// What it sends, and in which form.
    pub options: Options,
}

impl NewConnection {
    /// The connection that has this id from now on.
    pub fn with_id(self, id: ConnectionId) -> Connection {
        Connection {
            id,
            name: self.name,
            label: self.label,
            workspace: self.workspace,
            enabled: self.enabled,
            paused: self.paused,
            write_key: self.write_key,
            target: self.target,
            options: self.options,
        }
    }
}

/// Which Segment a connection sends to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `https://api.segment.io`.
    Us,
    /// `https://events.eu1.segmentapis.com`.
    Eu,
    /// Anything that speaks Segment's HTTP API.
    Url(Endpoint),
}

impl Target {
    /// The base URL.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Target::Us => Endpoint::us(),
            Target::Eu => Endpoint::eu(),
            Target::Url(endpoint) => endpoint.clone(),
        }
    }
}

/// A connection's options, as they were written: every one of `shape::Options`
/// but the connection's id.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch on the hosted integration's page"
)]
pub struct Options {
    /// The events to send, with what happens to kinds that this version does not
    /// know.
    pub events: Selection,
    /// Every occurrence, or the first only.
    pub send_frequency: SendFrequency,
    /// Whether *Sent* events carry the message's body.
    pub body_content: bool,
    /// Whether Segment may send the events back to Customer.io.
    pub send_back: bool,
    /// The shape of the payload.
    pub payload_version: PayloadVersion,
    /// Whether a person without an id gets an empty `userId`, as documented.
    pub empty_user_id: bool,
    /// Whether the deprecated `customer_id` is passed on.
    pub customer_id: bool,
    /// Event names that are replaced, by name or kind.
    pub rename: BTreeMap<String, String>,
    /// Properties that are left out.
    pub leave_out: BTreeSet<String>,
    /// Whether 2.0.0 calls carry campaign and message names too.
    pub names: bool,
}

impl Default for Options {
    /// What the hosted integration does when one enables it.
    fn default() -> Self {
        let shape = shape::Options::default();
        Options {
            events: shape.events,
            send_frequency: shape.send_frequency,
            body_content: shape.body_content,
            send_back: shape.send_back,
            payload_version: shape.payload_version,
            empty_user_id: shape.empty_user_id,
            customer_id: shape.customer_id,
            rename: BTreeMap::new(),
            leave_out: BTreeSet::new(),
            names: shape.names,
        }
    }
}

impl Connection {
    /// All of it but the id.
    pub fn without_id(&self) -> NewConnection {
        NewConnection {
            name: self.name.clone(),
            label: self.label.clone(),
            workspace: self.workspace.clone(),
            enabled: self.enabled,
            paused: self.paused,
            write_key: self.write_key.clone(),
            target: self.target.clone(),
            options: self.options.clone(),
        }
    }

    /// Whether it is to send now.
    pub fn is_sending(&self) -> bool {
        self.enabled && !self.paused
    }

    /// The options in the form that shaping takes.
    pub fn shape_options(&self) -> shape::Options {
        self.options.of(&self.id)
    }
}

impl Options {
    /// The options in the form that shaping takes, for the connection of this id.
    pub fn of(&self, id: &ConnectionId) -> shape::Options {
        shape::Options {
            connection_id: id.to_string(),
            events: self.events.clone(),
            payload_version: self.payload_version,
            body_content: self.body_content,
            send_back: self.send_back,
            empty_user_id: self.empty_user_id,
            customer_id: self.customer_id,
            send_frequency: self.send_frequency,
            renames: self.rename.clone().into_iter().collect(),
            left_out: self.leave_out.clone().into_iter().collect(),
            names: self.names,
        }
    }
}
