//! The bodies of the webhooks: which fields a report carries.
//!
//! Field by field after the documented schemas: a report has what its pair of
//! `object_type` and `metric` requires, and of the rest what fits the message.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Channel, Content,
    chance::Chance,
    person::{Device, Identifiers, Person, Value},
};

/// Marks changes of single topics; the only metric that does not name itself.
const PREFERENCES: &str = "cio_subscription_preferences_changed";

const SUBJECTS: [&str; 6] = [
    "Welcome aboard",
    "Your weekly summary",
    "Something you may like",
    "One thing left to do",
    "Grüße aus der Werkstatt \u{1F44B}",
    "\"Quoted\" & <marked>",
];

/// Campaigns, by their ids from 1.
pub(crate) const CAMPAIGNS: u64 = 40;
/// API-triggered broadcasts.
pub(crate) const BROADCASTS: u64 = 20;
/// Newsletters.
pub(crate) const NEWSLETTERS: u64 = 300;
/// Transactional messages with a number.
pub(crate) const TRANSACTIONAL: u64 = 12;
/// Actions with a number, in any campaign or broadcast.
pub(crate) const ACTIONS: u64 = 200;

const LINKS: [&str; 4] = [
    "https://example.com/features",
    "https://example.com/pricing?plan=premium&source=message",
    "https://example.com/account",
    "exampleapp://product/2",
];

/// One message to one person, or one person's subscription.
#[derive(Debug)]
pub(super) struct Message {
    channel: Channel,
    person: Person,
    delivery_id: String,
    parent: Parent,
    subject: &'static str,
    content: Content,
}

/// What a message belongs to.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "these are Customer.io's own names"
)]
struct Parent {
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newsletter_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transactional_message_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_action_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journey_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_event_id: Option<String>,
}

/// An id that is a number in some places and a text in others.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

#[derive(Serialize)]
struct Body<'a> {
    event_id: String,
    object_type: &'a str,
    metric: &'a str,
    timestamp: i64,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Value::is_absent")]
    customer_id: Value,
    identifiers: &'a Identifiers,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<&'a str>,
    #[serde(flatten)]
    parent: Option<&'a Parent>,
    #[serde(flatten)]
    detail: Detail<'a>,
}

/// What depends on the metric.
#[derive(Default, Serialize)]
struct Detail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<[Recipient<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracked_response: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbound_event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(flatten)]
    machine: BTreeMap<&'static str, bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'static str, &'static str>>,
}

#[derive(Serialize)]
struct Recipient<'a> {
    #[serde(flatten)]
    device: &'a Device,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_message: Option<&'a str>,
}

impl Message {
    pub(super) fn new(
        channel: Channel,
        person: Person,
        content: Content,
        chance: &mut Chance,
    ) -> Self {
        Self {
            channel,
            person,
            delivery_id: chance.delivery_id(),
            parent: Parent::new(channel, chance),
            subject: *chance.pick::<&str>(&SUBJECTS),
            content,
        }
    }

    /// The webhook's body; `at` is in microseconds of unix time.
    pub(super) fn report(&self, metric: &str, at: i64, chance: &mut Chance) -> String {
        let at_ms = at.div_euclid(1000);
        // The id is minted a moment after the event, as public samples show.
        let minted = at_ms + 600 + i64::try_from(chance.below(1600)).unwrap_or_default();
        let data = if self.is_about_the_person(metric) {
            self.about_the_person(metric, chance)
        } else {
            self.about_the_message(metric, at_ms, chance)
        };
        let body = Body {
            event_id: chance.ulid(minted),
            object_type: self.channel.as_str(),
            metric,
            timestamp: at_ms.div_euclid(1000),
            data,
        };
        serde_json::to_string(&body).expect("text, numbers and maps with text keys are always JSON")
    }

    /// Subscriptions are a person's, except that an email has an unsubscribe link of its own.
    fn is_about_the_person(&self, metric: &str) -> bool {
        match metric {
            "subscribed" | PREFERENCES => true,
            "unsubscribed" => self.channel != Channel::Email,
            _ => false,
        }
    }

    fn about_the_person(&self, metric: &str, chance: &mut Chance) -> Data<'_> {
        let topics = (metric == PREFERENCES && self.content == Content::Included).then(|| {
            let topic = chance.below(8) + 1;
            format!(r#"{{"topics":{{"topic_{topic}":{}}}}}"#, chance.percent(50))
        });
        Data {
            customer_id: self.person.customer_id.clone(),
            identifiers: &self.person.identifiers,
            email_address: Some(&self.person.email),
            delivery_id: None,
            parent: None,
            detail: Detail {
                content: topics,
                ..Detail::default()
            },
        }
    }

    fn about_the_message(&self, metric: &str, at_ms: i64, chance: &mut Chance) -> Data<'_> {
        Data {
            customer_id: self.person.customer_id.clone(),
            identifiers: &self.person.identifiers,
            email_address: None,
            delivery_id: Some(&self.delivery_id),
            parent: Some(&self.parent),
            detail: self.detail(metric, at_ms, chance),
        }
    }

    fn detail(&self, metric: &str, at_ms: i64, chance: &mut Chance) -> Detail<'_> {
        let is_email = self.channel == Channel::Email;
        let failure = self.failure(metric);
        let in_recipients = self.has_recipients(metric);
        let recipient = Recipient {
            device: &self.person.device,
            failure_message: failure,
        };
        let clicked = metric == "clicked";
        let replied = metric == "replied";
        let body_content = metric == "sent" && self.content == Content::Included;
        Detail {
            recipient: self.has_recipient(metric).then(|| self.recipient()),
            recipients: in_recipients.then_some([recipient]),
            subject: (is_email && metric != "attempted").then_some(self.subject),
            failure_message: failure.filter(|_| !in_recipients),
            href: clicked.then(|| *chance.pick(&LINKS)),
            link_id: clicked.then(|| chance.below(9) + 1),
            tracked_response: (clicked && self.channel == Channel::InApp)
                .then_some("primary_button"),
            inbound_event_id: replied.then(|| chance.ulid(at_ms)),
            to: replied.then_some("+15550000000"),
            machine: self.machine(metric, chance),
            content: body_content.then(|| self.body(chance)),
            headers: (body_content && is_email && chance.percent(30))
                .then(|| BTreeMap::from([("X-Example-Header", "one")])),
        }
    }

    fn has_recipient(&self, metric: &str) -> bool {
        let addressed = matches!(metric, "sent" | "clicked" | "converted");
        match self.channel {
            Channel::Email => metric != "attempted",
            Channel::Sms | Channel::Whatsapp => {
                addressed
                    || matches!(
                        metric,
                        "delivered" | "opened" | "bounced" | "dropped" | "replied"
                    )
            }
            Channel::Slack | Channel::Webhook | Channel::InApp => addressed,
            Channel::Push | Channel::Customer => false,
        }
    }

    fn has_recipients(&self, metric: &str) -> bool {
        let reached = matches!(
            metric,
            "sent" | "delivered" | "opened" | "clicked" | "converted" | "bounced" | "dropped"
        );
        self.channel == Channel::Push && reached
    }

    fn recipient(&self) -> &str {
        match self.channel {
            Channel::Email | Channel::Push | Channel::Customer => &self.person.email,
            Channel::Sms | Channel::Whatsapp => &self.person.phone,
            Channel::Slack => "#example-channel",
            Channel::Webhook => "https://hooks.example.com/process",
            Channel::InApp => match &self.person.identifiers.id {
                Value::Text(id) => id,
                Value::Absent | Value::Null => &self.person.email,
            },
        }
    }

    fn failure(&self, metric: &str) -> Option<&'static str> {
        Some(match (self.channel, metric) {
            (_, "undeliverable") => "The message could not be rendered",
            (Channel::Email, "bounced") => {
                "550 5.5.0 Requested action not taken: mailbox unavailable"
            }
            (Channel::Email, "deferred") => "421 4.7.0 Try again later",
            (Channel::Email, "dropped") => "The address is suppressed",
            (Channel::Push, "bounced" | "dropped") => "Unregistered",
            (Channel::Push, "attempted" | "failed") => "NoDevicesSynced",
            (Channel::Webhook, "attempted" | "failed") => "HTTP 404 Not Found []",
            (_, "attempted" | "failed" | "bounced" | "dropped") => {
                "Error 30003: unreachable destination"
            }
            _ => return None,
        })
    }

    /// Flags of machines; a false one is sent by some and left out by others.
    fn machine(&self, metric: &str, chance: &mut Chance) -> BTreeMap<&'static str, bool> {
        let names: &[&'static str] = match (self.channel, metric) {
            (Channel::Email, "opened") => &["prefetched", "proxied", "synthetic"],
            (Channel::Email, "clicked") => &["machine"],
            _ => &[],
        };
        let drawn = names.iter().map(|name| (*name, chance.below(10)));
        let shown = drawn.filter(|(_, draw)| *draw < 4);
        shown.map(|(name, draw)| (name, draw < 2)).collect()
    }

    fn body(&self, chance: &mut Chance) -> String {
        match self.channel {
            Channel::Email => {
                let paragraph = "<p>A paragraph of an example.</p>\n";
                let paragraphs = usize::try_from(chance.below(20) + 1).unwrap_or(1);
                format!(
                    "<!DOCTYPE html>\n<html><body><h1>{}</h1>\n{}</body></html>",
                    self.subject,
                    paragraph.repeat(paragraphs),
                )
            }
            Channel::Push => {
                r#"{"message":{"aps":{"alert":{"title":"Example","body":"Hello"}}}}"#.to_owned()
            }
            Channel::Webhook => r#"{"example":true}"#.to_owned(),
            Channel::Sms
            | Channel::Whatsapp
            | Channel::Slack
            | Channel::InApp
            | Channel::Customer => "Hello, this is an example.".to_owned(),
        }
    }
}

impl Parent {
    /// Transactional messages are documented for email and push only.
    fn new(channel: Channel, chance: &mut Chance) -> Self {
        let transactional = matches!(channel, Channel::Email | Channel::Push);
        let end = if transactional { 100 } else { 90 };
        match chance.below(end) {
            0..60 => Self {
                campaign_id: Some(chance.below(CAMPAIGNS) + 1),
                action_id: Some(Id::action(chance)),
                parent_action_id: chance.percent(10).then(|| chance.below(200) + 1),
                journey_id: Some(chance.ulid(JOURNEYS_MS)),
                trigger_event_id: chance.percent(40).then(|| chance.ulid(JOURNEYS_MS)),
                ..Self::default()
            },
            60..75 => Self {
                broadcast_id: Some(chance.below(BROADCASTS) + 1),
                action_id: Some(Id::action(chance)),
                trigger_id: chance.percent(70).then(|| chance.below(500) + 1),
                journey_id: Some(chance.ulid(JOURNEYS_MS)),
                ..Self::default()
            },
            75..90 => Self {
                newsletter_id: Some(chance.below(NEWSLETTERS) + 1),
                content_id: Some(chance.below(900) + 1),
                ..Self::default()
            },
            _ => Self {
                transactional_message_id: Some(if chance.percent(80) {
                    Id::Number(chance.below(TRANSACTIONAL) + 1)
                } else {
                    Id::Text("example_receipt".to_owned())
                }),
                ..Self::default()
            },
        }
    }
}

/// When all journeys began, in milliseconds of unix time: any moment will do for an opaque id.
const JOURNEYS_MS: i64 = 1_652_131_622_000;

impl Id {
    /// Blocks of newer workflows are `n` and a number.
    fn action(chance: &mut Chance) -> Self {
        let number = chance.below(ACTIONS) + 1;
        if chance.percent(25) {
            Self::Text(format!("n{number}"))
        } else {
            Self::Number(number)
        }
    }
}
