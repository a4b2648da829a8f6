//! Invented traffic: people, messages to them, and what becomes of each.
//!
//! Nobody in it exists: ids are numbered, addresses end in `example.com`. The
//! same seed gives the same bytes, in any run of the same build.

mod catalogue;
mod chance;
mod person;
mod story;
mod wording;

use std::{collections::BTreeMap, fmt, num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use catalogue::every_pair;

pub(super) use self::wording::{ACTIONS, BROADCASTS, CAMPAIGNS, NEWSLETTERS, TRANSACTIONAL};

use self::{chance::Chance, person::Person, story::Beat, wording::Message};
use super::event::Event;

/// Events that are known and not yet due, at most about so many: above it, people react faster.
const MAX_PENDING_EVENTS: u64 = 50_000;

/// What Customer.io reports on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Channel {
    /// Emails.
    Email,
    /// Text messages.
    Sms,
    /// Push notifications.
    Push,
    /// Messages inside an app.
    InApp,
    /// Native WhatsApp messages.
    Whatsapp,
    /// Slack messages.
    Slack,
    /// Webhooks that a campaign calls.
    Webhook,
    /// People's own subscriptions.
    Customer,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Sms,
        Self::Push,
        Self::InApp,
        Self::Whatsapp,
        Self::Slack,
        Self::Webhook,
        Self::Customer,
    ];

    /// The word of `object_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
            Self::InApp => "in_app",
            Self::Whatsapp => "whatsapp",
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Customer => "customer",
        }
    }
}

/// A word that names no channel.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no channel")]
pub struct UnknownChannel(String);

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == word);
        found.ok_or_else(|| UnknownChannel(word.to_owned()))
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether sent events carry the message's body: the webhook's Body Content option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// They do.
    Included,
    /// They do not.
    Omitted,
}

/// A stream of events about invented people, endless unless bounded.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// How many people there are; at least one.
    pub people: NonZeroU32,
    /// Decides everything.
    pub seed: u64,
    /// When the first message goes out.
    pub start: Timestamp,
    /// Events per second of the events' own time.
    pub rate: NonZeroU32,
    /// The channels in use, all equally often; none means no events.
    pub channels: Vec<Channel>,
    /// Whether bodies are reported.
    pub content: Content,
    /// How many events there are; none means no end.
    pub events: Option<u64>,
}

impl Campaign {
    /// Ten thousand people on every channel, ten events a second, without end.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        const PEOPLE: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");
        const RATE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
        Self {
            people: PEOPLE,
            seed,
            start,
            rate: RATE,
            channels: Channel::ALL.to_vec(),
            content: Content::Omitted,
            events: None,
        }
    }
}

impl IntoIterator for Campaign {
    type Item = Event;
    type IntoIter = CampaignEvents;

    fn into_iter(self) -> CampaignEvents {
        CampaignEvents {
            chance: Chance::new(self.seed),
            left: self.events,
            next_message: self.start.as_microsecond(),
            n_planned: 0,
            pending: BTreeMap::new(),
            campaign: self,
        }
    }
}

/// The events of a [`Campaign`], in the order of their time.
#[derive(Debug)]
pub struct CampaignEvents {
    campaign: Campaign,
    chance: Chance,
    left: Option<u64>,
    /// When the next message goes out, in microseconds of unix time.
    next_message: i64,
    n_planned: u64,
    /// By time, then by order of planning, so that no two share a key.
    pending: BTreeMap<(i64, u64), (Arc<Message>, &'static str)>,
}

impl Iterator for CampaignEvents {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.left == Some(0) || self.campaign.channels.is_empty() {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        while self
            .pending
            .first_key_value()
            .is_none_or(|((at, _), _)| *at >= self.next_message)
        {
            self.plan_message();
        }
        let ((at, _), (message, metric)) = self.pending.pop_first()?;
        let body = message.report(metric, at, &mut self.chance);
        Some(Event::new(body))
    }
}

impl CampaignEvents {
    /// Sends one more message, or lets somebody change a subscription.
    fn plan_message(&mut self) {
        let channel = *self.chance.pick(&self.campaign.channels);
        let number = self.chance.below(u64::from(self.campaign.people.get())) + 1;
        let person = Person::new(self.campaign.seed, number);
        let message = Message::new(channel, person, self.campaign.content, &mut self.chance);
        let message = Arc::new(message);
        let beats = story::of(channel, &mut self.chance);
        let n_beats = i64::try_from(beats.len()).unwrap_or(1).max(1);
        for Beat { metric, after } in beats {
            let at = self.next_message.saturating_add(self.squeezed(after));
            self.pending
                .insert((at, self.n_planned), (Arc::clone(&message), metric));
            self.n_planned += 1;
        }
        let gap = n_beats * 1_000_000 / i64::from(self.campaign.rate.get());
        self.next_message = self.next_message.saturating_add(gap.max(1));
    }

    /// A delay in microseconds, shortened so that not too many events are pending.
    fn squeezed(&self, after: Duration) -> i64 {
        let rate = u64::from(self.campaign.rate.get());
        let reach = Duration::from_secs(MAX_PENDING_EVENTS) / self.campaign.rate.get();
        let micros = if reach >= story::LONGEST {
            after.as_micros()
        } else {
            let room = u128::from(MAX_PENDING_EVENTS) * 1_000_000 / u128::from(rate);
            after.as_micros() * room / story::LONGEST.as_micros()
        };
        i64::try_from(micros).unwrap_or(i64::MAX)
    }
}
