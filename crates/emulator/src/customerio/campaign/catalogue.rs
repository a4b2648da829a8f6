//! One event of every documented kind.

use jiff::Timestamp;

use super::{Channel, Content, chance::Chance, person::Person, wording::Message};
use crate::customerio::Event;

const SUBSCRIPTIONS: [&str; 3] = [
    "subscribed",
    "unsubscribed",
    "cio_subscription_preferences_changed",
];

/// The metrics of a channel's messages, with spaces between.
fn message_metrics(channel: Channel) -> &'static str {
    match channel {
        Channel::Customer => "",
        Channel::Email => {
            "drafted attempted deferred sent delivered opened clicked converted bounced dropped \
             spammed failed undeliverable"
        }
        Channel::Push => {
            "drafted attempted sent delivered opened clicked converted bounced dropped failed \
             undeliverable"
        }
        Channel::Sms => {
            "drafted attempted sent delivered clicked converted bounced dropped failed \
             undeliverable replied"
        }
        Channel::Whatsapp => {
            "drafted attempted sent delivered opened clicked converted bounced dropped failed \
             undeliverable replied"
        }
        Channel::InApp => "drafted attempted sent opened clicked converted failed undeliverable",
        Channel::Slack | Channel::Webhook => {
            "drafted attempted sent clicked converted failed undeliverable"
        }
    }
}

/// One event of each documented pair of `object_type` and `metric`, a second apart.
///
/// Body Content is on, so that every field has its chance to appear. The same
/// seed gives the same bytes.
pub fn every_pair(seed: u64, start: Timestamp) -> Vec<Event> {
    let mut chance = Chance::new(seed);
    let metrics = |channel| {
        message_metrics(channel)
            .split_whitespace()
            .chain(SUBSCRIPTIONS)
    };
    let pairs = Channel::ALL
        .into_iter()
        .flat_map(|channel| metrics(channel).map(move |metric| (channel, metric)));
    let mut at = start.as_microsecond();
    let mut events = Vec::new();
    for (number, (channel, metric)) in (1..).zip(pairs) {
        let person = Person::new(seed, number);
        let message = Message::new(channel, person, Content::Included, &mut chance);
        events.push(Event::new(message.report(metric, at, &mut chance)));
        at = at.saturating_add(1_000_000);
    }
    events
}
