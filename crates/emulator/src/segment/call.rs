//! A stored call, and Segment's raw debugger view of it.
//!
//! A call is kept as it was received; the view is written when somebody looks.
//! Keys are in alphabetical order at every level, numbers keep all their digits.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, sync::Arc};

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{route::Kind, skew, wire};

/// Levels below which nested values are shown as they were written.
const MAX_SORTED_DEPTH: u32 = 64;

/// A call that Segment would have published. Cheap to clone.
#[derive(Clone)]
pub struct StoredCall(Arc<Stored>);

pub(super) struct Stored {
    pub(super) kind: Kind,
    pub(super) message_id: Box<str>,
    pub(super) event: Option<Box<str>>,
    pub(super) user_id: Option<Box<str>>,
    pub(super) timestamp: Box<str>,
    /// The call's JSON object, as received.
    pub(super) raw: Box<str>,
    pub(super) request: Arc<Shared>,
}

/// What the calls of one request share.
pub(super) struct Shared {
    pub(super) write_key: Box<str>,
    pub(super) received_at: Timestamp,
    /// The envelope's values, as JSON text.
    pub(super) sent_at: Option<Box<str>>,
    pub(super) context: Option<Box<str>>,
    pub(super) integrations: Option<Box<str>>,
    pub(super) peer: Option<Ipv4Addr>,
    pub(super) max_properties: usize,
}

impl StoredCall {
    pub(super) fn new(stored: Stored) -> Self {
        Self(Arc::new(stored))
    }

    /// What kind of call it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Its id: the sender's, or `api-` and a KSUID.
    pub fn message_id(&self) -> &str {
        &self.0.message_id
    }

    /// The event's name; only track calls have one.
    pub fn event(&self) -> Option<&str> {
        self.0.event.as_deref()
    }

    /// The `userId`, possibly empty.
    pub fn user_id(&self) -> Option<&str> {
        self.0.user_id.as_deref()
    }

    /// The write key of its request, by whatever way it came.
    pub fn write_key(&self) -> &str {
        &self.0.request.write_key
    }

    /// When its request arrived, by the stand-in's clock.
    pub fn received_at(&self) -> Timestamp {
        self.0.request.received_at
    }

    /// The time that Segment would pass on, corrected for skew.
    pub fn timestamp(&self) -> &str {
        &self.0.timestamp
    }

    /// The call's JSON exactly as it was received.
    pub fn raw(&self) -> &str {
        &self.0.raw
    }

    /// The object that Segment's raw debugger would show, as JSON text.
    pub fn to_json(&self) -> String {
        let call = &*self.0;
        let request = &*call.request;
        let own: BTreeMap<_, _> = wire::members(&call.raw)
            .unwrap_or_default()
            .into_iter()
            .collect();
        let item = |name| own.get(name).map(|raw| raw.get());
        let stated = own
            .iter()
            .filter(|(name, value)| value.get() != "null" || !is_time(name));
        let mut view: BTreeMap<String, String> = stated
            .map(|(name, value)| (name.clone(), sorted(value.get(), 0)))
            .collect();
        if let Some(properties) = item("properties") {
            view.insert(
                "properties".into(),
                capped(properties, request.max_properties),
            );
        }
        if let Some(original) = view.remove("timestamp") {
            view.insert("originalTimestamp".into(), original);
        }
        if let Some(sent_at) = &request.sent_at {
            view.entry("sentAt".into())
                .or_insert_with(|| sent_at.to_string());
        }
        view.insert("context".into(), context(item("context"), request));
        let integrations = merged(request.integrations.as_deref(), item("integrations"));
        view.insert("integrations".into(), object(&integrations));
        view.insert("messageId".into(), quoted(&call.message_id));
        view.insert(
            "receivedAt".into(),
            quoted(&skew::stamp(request.received_at)),
        );
        view.insert("timestamp".into(), quoted(&call.timestamp));
        view.insert("type".into(), quoted(call.kind.as_str()));
        view.insert("writeKey".into(), quoted(&request.write_key));
        object(&view)
    }
}

impl fmt::Debug for StoredCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// Times are left out of the view when they are `null`.
fn is_time(name: &str) -> bool {
    matches!(name, "timestamp" | "sentAt")
}

/// The call's context over the envelope's, with what the server adds.
fn context(own: Option<&str>, request: &Shared) -> String {
    let mut context = merged(request.context.as_deref(), own);
    context
        .entry("library".into())
        .or_insert_with(|| r#"{"name":"unknown","version":"unknown"}"#.into());
    let direct = context.get("direct").is_some_and(|direct| direct == "true");
    if let Some(peer) = request.peer.filter(|_| direct) {
        context
            .entry("ip".into())
            .or_insert_with(|| quoted(&peer.to_string()));
    }
    object(&context)
}

/// The members of both objects; those of `over` win.
fn merged(under: Option<&str>, over: Option<&str>) -> BTreeMap<String, String> {
    let both = under.into_iter().chain(over);
    let members = both.filter_map(wire::members).flatten();
    members
        .map(|(name, value)| (name, sorted(value.get(), 1)))
        .collect()
}

/// `properties` without those over the limit, counted in the order they were written.
fn capped(properties: &str, limit: usize) -> String {
    let Some(members) = wire::members(properties) else {
        return properties.to_owned();
    };
    let kept = members.into_iter().take(limit);
    object(
        &kept
            .map(|(name, value)| (name, sorted(value.get(), 1)))
            .collect(),
    )
}

/// `raw` with the keys of its objects in order, without needless space.
fn sorted(raw: &str, depth: u32) -> String {
    let inner = |value: &RawValue| sorted(value.get(), depth + 1);
    if depth >= MAX_SORTED_DEPTH {
        return raw.to_owned();
    }
    if let Some(members) = wire::members(raw) {
        let members = members
            .into_iter()
            .map(|(name, value)| (name, inner(value)));
        return object(&members.collect());
    }
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw) {
        let items: Vec<String> = items.into_iter().map(inner).collect();
        return format!("[{}]", items.join(","));
    }
    raw.to_owned()
}

fn object(members: &BTreeMap<String, String>) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", quoted(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}
