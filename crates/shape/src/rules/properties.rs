//! The properties of a call: what the event carries, in its order, and what we add.
//!
//! Whatever no rule names is passed on under its own name, so that a field that
//! Customer.io adds tomorrow arrives. `null` is never passed on.

use super::content::{self, Body};
use super::size::Spare;
use crate::call::Who;
use crate::event::{Event, Kind};
use crate::json::{Json, Member, Object, Writer};
use crate::options::{Names, Options, PayloadVersion};

/// What the properties are made of.
#[derive(Clone, Copy)]
pub(crate) struct Source<'s> {
    pub(crate) event: &'s Event<'s>,
    pub(crate) kind: Kind<'s>,
    pub(crate) who: Who<'s>,
    pub(crate) options: &'s Options,
    pub(crate) names: &'s Names<'s>,
}

/// Writes the object, and tells what may be cut out of it.
pub(crate) fn write(out: &mut Writer, source: Source<'_>) -> Spare {
    let data = source.event.data();
    let mut properties = Properties {
        out,
        source,
        body: content::body(source.event, source.kind, source.options),
        link: Link::read(data),
        topics: content::topics(source.event, source.kind),
        spare: Spare::default(),
    };
    properties.out.verbatim("{");
    for member in data
        .members()
        .iter()
        .filter(|member| !member.value.is_null())
    {
        properties.carried(member);
    }
    properties.added();
    properties.out.verbatim("}");
    properties.spare
}

/// Where an event's link leads, from `link_id` and `href`.
#[derive(Clone, Copy)]
pub(crate) struct Link<'a> {
    pub(crate) id: Option<Json<'a>>,
    pub(crate) url: Option<Json<'a>>,
}

impl<'a> Link<'a> {
    pub(crate) fn read(data: &Object<'a>) -> Option<Self> {
        let id = data.get("link_id");
        let url = data.get("href").filter(|href| href.as_str() != "\"\"");
        (id.is_some() || url.is_some()).then_some(Self { id, url })
    }
}

struct Properties<'w, 's> {
    out: &'w mut Writer,
    source: Source<'s>,
    body: Body<'s>,
    link: Option<Link<'s>>,
    topics: Option<String>,
    spare: Spare,
}

impl Properties<'_, '_> {
    /// A member of the event's data, which is not `null`.
    fn carried(&mut self, member: &Member<'_>) {
        let Source { kind, options, .. } = self.source;
        let value = member.value;
        match &*member.key {
            // Said elsewhere in the call, or said by us: the event's own would collide.
            "identifiers" | "email_address" | "href" | "link_id" | "email_id" | "userId"
            | "anonymousId" | "content_truncated" => (),
            "link" if self.link.is_some() => (),
            "topics" if self.topics.is_some() => (),
            "email_subject" if self.renames_subject() => (),
            // Said only if asked for.
            "customer_id" if !options.customer_id => (),
            "headers" if !content::is_passed_on(kind, options) => (),
            "action_name" | "campaign_name" | "newsletter_name" | "transactional_message_name"
                if !self.has_names() => {}
            // Said in another way.
            "content" => self.content(),
            "subject" if self.renames_subject() => self.value("email_subject", value),
            "recipients" => self.recipients(value),
            "link" => self.value_without_nulls("link", value),
            key if self.is_left_out(key) => (),
            _ => {
                self.out.key_of(member);
                self.out.value(value);
            }
        }
    }

    /// What the call says besides the event's own members.
    fn added(&mut self) {
        self.email_id();
        self.link();
        self.null_content();
        if let Some(topics) = self.topics.take()
            && self.begin("topics")
        {
            self.out.verbatim(&topics);
        }
        self.names();
        for (key, id) in self.source.who.ids(self.source.options) {
            if self.begin(key) {
                self.out.text(id);
            }
        }
    }

    fn content(&mut self) {
        let Body::Carried(content) = self.body else {
            return;
        };
        if !self.begin("content") {
            return;
        }
        let start = self.out.len_bytes();
        self.out.value(content);
        if content.string().is_some() {
            self.spare.content = Some(start + 1..self.out.len_bytes() - 1);
            self.spare.mark = if self.is_left_out("content_truncated") {
                ""
            } else {
                ",\"content_truncated\":true"
            };
        }
    }

    fn null_content(&mut self) {
        if self.body == Body::Null && self.begin("content") {
            self.out.verbatim("null");
        }
    }

    fn recipients(&mut self, value: Json<'_>) {
        let Some(recipients) = value.elements() else {
            return self.value("recipients", value);
        };
        if !self.begin("recipients") {
            return;
        }
        self.out.verbatim("[");
        for recipient in recipients {
            self.out.comma();
            self.out.value_without_nulls(recipient);
        }
        self.out.verbatim("]");
    }

    fn link(&mut self) {
        let Some(link) = self.link.filter(|_| self.begin("link")) else {
            return;
        };
        self.out.verbatim("{");
        for (key, value) in [("id", link.id), ("url", link.url)] {
            if let Some(value) = value {
                self.out.key(key);
                self.out.value(value);
            }
        }
        self.out.verbatim("}");
    }

    /// The older name of the delivery's id, which only 1.0.0 has.
    fn email_id(&mut self) {
        if self.source.options.payload_version == PayloadVersion::V1 {
            let data = self.source.event.data();
            if let Some(id) = data.get("delivery_id").or_else(|| data.get("email_id")) {
                self.value("email_id", id);
            }
        }
    }

    /// The names that were looked up, where the event has none of its own.
    fn names(&mut self) {
        if !self.has_names() {
            return;
        }
        let Source { event, names, .. } = self.source;
        for (key, name) in [
            ("action_name", names.action),
            ("campaign_name", names.campaign),
            ("newsletter_name", names.newsletter),
            ("transactional_message_name", names.transactional_message),
        ] {
            if let Some(name) = name
                && event.data().get(key).is_none()
                && self.begin(key)
            {
                self.out.string(name);
            }
        }
    }

    fn has_names(&self) -> bool {
        self.source.options.names || self.source.options.payload_version == PayloadVersion::V1
    }

    /// Whether the event's `subject` becomes `email_subject`.
    fn renames_subject(&self) -> bool {
        self.source.options.payload_version == PayloadVersion::V1
            && self.source.event.data().get("subject").is_some()
    }

    fn value(&mut self, key: &str, value: Json<'_>) {
        if self.begin(key) {
            self.out.value(value);
        }
    }

    fn value_without_nulls(&mut self, key: &str, value: Json<'_>) {
        if self.begin(key) {
            self.out.value_without_nulls(value);
        }
    }

    /// Writes `key`, unless the connection leaves it out: then no value may follow.
    fn begin(&mut self, key: &str) -> bool {
        let is_wanted = !self.is_left_out(key);
        if is_wanted {
            self.out.key(key);
        }
        is_wanted
    }

    fn is_left_out(&self, key: &str) -> bool {
        let left_out = &self.source.options.left_out;
        !left_out.is_empty() && left_out.contains(key)
    }
}
