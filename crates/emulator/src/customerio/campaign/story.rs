//! What becomes of a message: which reports follow, and when.

use std::time::Duration;

use super::{Channel, chance::Chance};

/// No story is longer.
pub(super) const LONGEST: Duration = Duration::from_hours(6);

/// One report, so long after the message was made.
pub(super) struct Beat {
    pub(super) metric: &'static str,
    pub(super) after: Duration,
}

/// A story being told.
struct Plot<'a> {
    beats: Vec<Beat>,
    clock: Duration,
    chance: &'a mut Chance,
}

/// The reports on one message, in the order of their time; at least one.
pub(super) fn of(channel: Channel, chance: &mut Chance) -> Vec<Beat> {
    let mut plot = Plot {
        beats: Vec::new(),
        clock: Duration::ZERO,
        chance,
    };
    match channel {
        Channel::Email => plot.email(),
        Channel::Sms => plot.sms(),
        Channel::Push => plot.push(),
        Channel::InApp => plot.in_app(),
        Channel::Whatsapp => plot.whatsapp(),
        Channel::Slack | Channel::Webhook => plot.call_out(),
        Channel::Customer => plot.person(),
    }
    plot.beats
}

impl Plot<'_> {
    /// Tells `metric`, up to so many seconds after the last one.
    fn tell(&mut self, metric: &'static str, within_seconds: u64) {
        let millis = self.chance.below(within_seconds * 1000 + 1);
        self.clock = (self.clock + Duration::from_millis(millis)).min(LONGEST);
        self.beats.push(Beat {
            metric,
            after: self.clock,
        });
    }

    /// Tells it with this likelihood; whether it was told.
    fn maybe(&mut self, percent: u64, metric: &'static str, within_seconds: u64) -> bool {
        let told = self.chance.percent(percent);
        if told {
            self.tell(metric, within_seconds);
        }
        told
    }

    /// The way out: drafted by some, sometimes late; whether it was sent.
    fn leaves(&mut self) -> bool {
        self.maybe(15, "drafted", 0);
        self.maybe(3, "attempted", 60);
        if self.maybe(2, "failed", 60) || self.maybe(1, "undeliverable", 1) {
            return false;
        }
        self.tell("sent", 5);
        true
    }

    fn email(&mut self) {
        if self.chance.percent(2) {
            return self.tell("dropped", 1);
        }
        if !self.leaves() {
            return;
        }
        self.maybe(2, "deferred", 300);
        if self.maybe(3, "bounced", 60) {
            return;
        }
        self.tell("delivered", 10);
        if !self.chance.percent(45) {
            self.maybe(1, "spammed", 3600);
            return;
        }
        self.tell("opened", 3600);
        self.maybe(25, "opened", 3600);
        if self.maybe(30, "clicked", 600) {
            self.maybe(20, "clicked", 300);
            self.maybe(25, "converted", 1800);
        }
        self.maybe(2, "unsubscribed", 120);
    }

    fn sms(&mut self) {
        if !self.leaves() || self.maybe(3, "bounced", 30) {
            return;
        }
        self.tell("delivered", 10);
        if self.maybe(20, "clicked", 1800) {
            self.maybe(25, "converted", 1800);
        }
        self.maybe(5, "replied", 3600);
    }

    fn push(&mut self) {
        if self.chance.percent(2) {
            return self.tell("dropped", 1);
        }
        if !self.leaves() || self.maybe(4, "bounced", 30) {
            return;
        }
        self.maybe(80, "delivered", 10);
        if self.maybe(15, "opened", 3600) && self.maybe(40, "clicked", 30) {
            self.maybe(25, "converted", 1800);
        }
    }

    fn in_app(&mut self) {
        if self.leaves() && self.maybe(60, "opened", 3 * 3600) && self.maybe(35, "clicked", 60) {
            self.maybe(30, "converted", 1800);
        }
    }

    fn whatsapp(&mut self) {
        if self.chance.percent(1) {
            return self.tell("dropped", 1);
        }
        if !self.leaves() || self.maybe(2, "bounced", 30) {
            return;
        }
        self.tell("delivered", 10);
        if self.maybe(60, "opened", 1800) {
            if self.maybe(20, "clicked", 600) {
                self.maybe(25, "converted", 1800);
            }
            self.maybe(10, "replied", 1800);
        }
    }

    fn call_out(&mut self) {
        if self.leaves() && self.maybe(10, "clicked", 3600) {
            self.maybe(10, "converted", 1800);
        }
    }

    fn person(&mut self) {
        let metrics = [
            "subscribed",
            "unsubscribed",
            "cio_subscription_preferences_changed",
        ];
        let metric = *self.chance.pick(&metrics);
        self.tell(metric, 0);
    }
}
