//! The kinds that Customer.io documents, and the Segment event name of each.
//!
//! What the table says wins over the rule in [`names`](super::names); a test holds
//! it to the contracts. It is no list of what is allowed: new kinds are sent too.

use crate::event::{Kind, PREFERENCES};

/// Whether a name comes from Segment's side or from our rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// The hosted integration or its siblings use this name.
    Mapped,
    /// Nobody has printed a name for this kind: it was made by the rule.
    Unmapped,
}

/// A documented kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The channel, or `customer`.
    pub object_type: &'static str,
    /// What was measured.
    pub metric: &'static str,
    /// The Segment event name, before any rename.
    pub event: &'static str,
    /// Where the name comes from.
    pub mapping: Mapping,
}

impl Known {
    /// The name by which Customer.io subscribes to the kind, such as `email_clicked`.
    pub fn kind(&self) -> String {
        Kind {
            object_type: Some(self.object_type),
            metric: self.metric,
        }
        .name()
    }
}

/// All documented kinds, channel by channel.
pub fn catalogue() -> impl Iterator<Item = Known> {
    CHANNELS.iter().flat_map(|(_, known)| known.iter().copied())
}

/// Where a kind stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) channel: usize,
    pub(super) row: usize,
}

/// How many channels the table has.
pub(super) const N_CHANNELS: usize = CHANNELS.len();

/// Finds a documented kind.
pub(crate) fn find(kind: Kind<'_>) -> Option<&'static Known> {
    locate(kind).map(|(_, known)| known)
}

pub(super) fn locate(kind: Kind<'_>) -> Option<(Place, &'static Known)> {
    let object_type = kind.object_type?;
    let channel = CHANNELS.iter().position(|(name, _)| *name == object_type)?;
    let (_, known) = CHANNELS.get(channel)?;
    let row = known.iter().position(|known| known.metric == kind.metric)?;
    Some((Place { channel, row }, known.get(row)?))
}

const CHANNELS: [(&str, &[Known]); 8] = [
    ("customer", CUSTOMER),
    ("email", EMAIL),
    ("push", PUSH),
    ("in_app", IN_APP),
    ("sms", SMS),
    ("whatsapp", WHATSAPP),
    ("slack", SLACK),
    ("webhook", WEBHOOK),
];

const fn mapped(object_type: &'static str, metric: &'static str, event: &'static str) -> Known {
    Known {
        object_type,
        metric,
        event,
        mapping: Mapping::Mapped,
    }
}

const fn unmapped(object_type: &'static str, metric: &'static str, event: &'static str) -> Known {
    Known {
        object_type,
        metric,
        event,
        mapping: Mapping::Unmapped,
    }
}

const CUSTOMER: &[Known] = &[
    mapped("customer", "subscribed", "Customer Subscribed"),
    mapped("customer", "unsubscribed", "Customer Unsubscribed"),
    mapped("customer", PREFERENCES, "Subscription Preferences Changed"),
];

const EMAIL: &[Known] = &[
    mapped("email", "drafted", "Email Drafted"),
    mapped("email", "attempted", "Email Attempted"),
    mapped("email", "sent", "Email Sent"),
    mapped("email", "delivered", "Email Delivered"),
    mapped("email", "opened", "Email Opened"),
    mapped("email", "clicked", "Email Link Clicked"),
    mapped("email", "converted", "Email Converted"),
    mapped("email", "unsubscribed", "Email Unsubscribed"),
    mapped("email", "bounced", "Email Bounced"),
    mapped("email", "dropped", "Email Dropped"),
    mapped("email", "spammed", "Email Marked as Spam"),
    mapped("email", "failed", "Email Failed"),
    mapped("email", "undeliverable", "Email Undeliverable"),
    mapped("email", "deferred", "Email Deferred"),
    mapped("email", "subscribed", "Email Subscribed"),
    unmapped("email", PREFERENCES, "Subscription Preferences Changed"),
];

const PUSH: &[Known] = &[
    mapped("push", "drafted", "Push Drafted"),
    mapped("push", "attempted", "Push Attempted"),
    mapped("push", "sent", "Push Sent"),
    mapped("push", "delivered", "Push Delivered"),
    mapped("push", "opened", "Push Opened"),
    mapped("push", "clicked", "Push Link Clicked"),
    mapped("push", "converted", "Push Converted"),
    mapped("push", "bounced", "Push Bounced"),
    mapped("push", "dropped", "Push Dropped"),
    mapped("push", "failed", "Push Failed"),
    mapped("push", "undeliverable", "Push Undeliverable"),
    unmapped("push", "subscribed", "Push Subscribed"),
    unmapped("push", "unsubscribed", "Push Unsubscribed"),
    unmapped("push", PREFERENCES, "Subscription Preferences Changed"),
];

const IN_APP: &[Known] = &[
    mapped("in_app", "drafted", "In-App Drafted"),
    mapped("in_app", "attempted", "In-App Attempted"),
    mapped("in_app", "sent", "In-App Sent"),
    mapped("in_app", "opened", "In-App Opened"),
    mapped("in_app", "clicked", "In-App Clicked"),
    mapped("in_app", "converted", "In-App Converted"),
    mapped("in_app", "failed", "In-App Failed"),
    mapped("in_app", "undeliverable", "In-App Undeliverable"),
    unmapped("in_app", "subscribed", "In-App Subscribed"),
    unmapped("in_app", "unsubscribed", "In-App Unsubscribed"),
    unmapped("in_app", PREFERENCES, "Subscription Preferences Changed"),
];

const SMS: &[Known] = &[
    mapped("sms", "drafted", "SMS Drafted"),
    mapped("sms", "attempted", "SMS Attempted"),
    mapped("sms", "sent", "SMS Sent"),
    mapped("sms", "delivered", "SMS Delivered"),
    mapped("sms", "clicked", "SMS Link Clicked"),
    mapped("sms", "converted", "SMS Converted"),
    mapped("sms", "bounced", "SMS Bounced"),
    mapped("sms", "failed", "SMS Failed"),
    mapped("sms", "undeliverable", "SMS Undeliverable"),
    mapped("sms", "replied", "SMS Replied"),
    unmapped("sms", "dropped", "SMS Dropped"),
    unmapped("sms", "subscribed", "SMS Subscribed"),
    unmapped("sms", "unsubscribed", "SMS Unsubscribed"),
    unmapped("sms", PREFERENCES, "Subscription Preferences Changed"),
];

const WHATSAPP: &[Known] = &[
    mapped("whatsapp", "drafted", "WhatsApp Drafted"),
    mapped("whatsapp", "attempted", "WhatsApp Attempted"),
    mapped("whatsapp", "sent", "WhatsApp Sent"),
    mapped("whatsapp", "delivered", "WhatsApp Delivered"),
    mapped("whatsapp", "opened", "WhatsApp Opened"),
    mapped("whatsapp", "clicked", "WhatsApp Link Clicked"),
    mapped("whatsapp", "converted", "WhatsApp Converted"),
    mapped("whatsapp", "bounced", "WhatsApp Bounced"),
    mapped("whatsapp", "dropped", "WhatsApp Dropped"),
    mapped("whatsapp", "failed", "WhatsApp Failed"),
    mapped("whatsapp", "undeliverable", "WhatsApp Undeliverable"),
    mapped("whatsapp", "replied", "WhatsApp Replied"),
    unmapped("whatsapp", "subscribed", "WhatsApp Subscribed"),
    unmapped("whatsapp", "unsubscribed", "WhatsApp Unsubscribed"),
    unmapped("whatsapp", PREFERENCES, "Subscription Preferences Changed"),
];

const SLACK: &[Known] = &[
    mapped("slack", "drafted", "Slack Drafted"),
    mapped("slack", "attempted", "Slack Attempted"),
    mapped("slack", "sent", "Slack Sent"),
    mapped("slack", "clicked", "Slack Link Clicked"),
    mapped("slack", "failed", "Slack Failed"),
    mapped("slack", "undeliverable", "Slack Undeliverable"),
    unmapped("slack", "converted", "Slack Converted"),
    unmapped("slack", "subscribed", "Slack Subscribed"),
    unmapped("slack", "unsubscribed", "Slack Unsubscribed"),
    unmapped("slack", PREFERENCES, "Subscription Preferences Changed"),
];

const WEBHOOK: &[Known] = &[
    mapped("webhook", "drafted", "Webhook Drafted"),
    mapped("webhook", "attempted", "Webhook Attempted"),
    mapped("webhook", "sent", "Webhook Sent"),
    mapped("webhook", "clicked", "Webhook Link Clicked"),
    mapped("webhook", "failed", "Webhook Failed"),
    mapped("webhook", "undeliverable", "Webhook Undeliverable"),
    mapped("webhook", "converted", "Webhook Converted"),
    unmapped("webhook", "subscribed", "Webhook Subscribed"),
    unmapped("webhook", "unsubscribed", "Webhook Unsubscribed"),
    unmapped("webhook", PREFERENCES, "Subscription Preferences Changed"),
];
