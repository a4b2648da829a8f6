//! What happened over the last 30 days, minute by minute, on all nodes.
//!
//! Each node counts in memory ([`live`]) and writes its counts once a minute to the
//! journal's settings, an hour to a key: `history/NODE/SLOT`, where the slot is the
//! hour's number modulo 720. So what is kept is bounded by construction, survives
//! restarts and is the same on both engines. `intake/NODE` holds what was answered
//! to each workspace ([`intake`]), and `history/nodes` the names to look for.
//!
//! A kill loses what was counted since the last write, but for events: how far
//! they are counted is written with the counts, and the indexer's second reading
//! adds the others. Nothing here can stop anything: what cannot be written waits,
//! what cannot be read is left out.

pub(crate) mod format;
pub(crate) mod hour;
mod intake;
mod keep;
mod latency;
mod live;
mod page;
mod recent;
pub(crate) mod series;
mod stored;
mod sums;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use console::seen::{self, Span};
use jiff::Timestamp;
use journal::Journal;

pub(crate) use self::intake::{Feed, Intake};
pub(crate) use self::keep::keep;
pub(crate) use self::live::Live;
pub(crate) use self::page::Seen;
pub(crate) use self::series::event_code_of;

use self::hour::{HOURS_KEPT, HourNumber, Minute};
use self::keep::Writer;
use self::series::{Answered, Ending, Series, What};
use self::stored::{Ask, Moment, Stored, Told};
use self::sums::Sums;

/// What a journal of one process calls its node.
const THIS: &str = "this";
/// The setting that lists the nodes that have ever counted.
const NODES: &str = "history/nodes";

/// The counts of all nodes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct History {
    journal: Journal,
    live: Arc<Live>,
    shared: Arc<Shared>,
}

struct Shared {
    /// This node's name.
    node: String,
    stored: Mutex<Stored>,
    /// Held while this node writes, so that two writes do not mix.
    writer: tokio::sync::Mutex<Writer>,
}

/// What a workspace's webhook was sent in the last 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    /// Events journaled.
    pub(crate) received: u64,
    /// Those that had come before.
    pub(crate) duplicates: u64,
    /// Requests answered 401.
    pub(crate) refused: u64,
}

fn slot_key(node: &str, hour: HourNumber) -> String {
    format!("history/{node}/{}", hour.slot())
}

fn intake_key(node: &str) -> String {
    format!("intake/{node}")
}

impl History {
    /// The counts in `journal`, and what this node counts in `live`, which goes on
    /// where it was.
    pub(crate) async fn open(journal: Journal, live: Arc<Live>) -> History {
        let nodes = journal.nodes().into_iter();
        let mut this = nodes.filter(|node| node.is_this).map(|node| node.name);
        let shared = Shared {
            node: this.next().unwrap_or_else(|| THIS.to_owned()),
            stored: Mutex::default(),
            writer: tokio::sync::Mutex::default(),
        };
        let history = History {
            journal,
            live,
            shared: Arc::new(shared),
        };
        history.go_on(Timestamp::now()).await;
        history
    }

    /// Everything that happened over a span, on all nodes together.
    pub(crate) async fn over(&self, span: Span, now: Timestamp) -> anyhow::Result<seen::History> {
        let mut sums = Sums::over(span, now);
        let (from, until) = (sums.from, sums.until);
        let ask = Ask {
            node: None,
            from,
            until,
            wanted: &Sums::wants,
        };
        self.each(&ask, now, |minute, series, count| {
            sums.add(minute, series, count);
        })
        .await?;
        Ok(sums.into_history())
    }

    /// Events of a workspace journaled per second, over the last minute: this
    /// node's to the second, those of others as of their last whole minute.
    pub(crate) async fn rate(&self, workspace: &str, now: Timestamp) -> anyhow::Result<f64> {
        let what = What::Answer(Answered::Journaled);
        let others = self.rate_elsewhere(what, workspace, now).await?;
        Ok(others + self.live.rate(workspace, now))
    }

    /// Records of a connection that its destination accepted per second, likewise.
    pub(crate) async fn accepted_rate(
        &self,
        connection: &str,
        now: Timestamp,
    ) -> anyhow::Result<f64> {
        let what = What::Ended(Ending::Accepted);
        let others = self.rate_elsewhere(what, connection, now).await?;
        Ok(others + self.live.accepted_rate(connection, now))
    }

    /// Records of a connection accepted in each of the last 60 minutes, oldest
    /// first; the last is the minute of `now`.
    pub(crate) async fn hour(&self, connection: &str, now: Timestamp) -> anyhow::Result<Vec<u64>> {
        let until = Minute(Minute::of(now).0 + 1);
        let from = Minute(until.0.saturating_sub(60));
        let is_its = |series: &Series| {
            series.what == What::Ended(Ending::Accepted) && &*series.of == connection
        };
        let ask = Ask {
            node: None,
            from,
            until,
            wanted: &is_its,
        };
        let mut minutes = vec![0; 60];
        self.each(&ask, now, |minute, _, count| {
            let index = usize::try_from(minute.0 - from.0).unwrap_or(usize::MAX);
            if let Some(sum) = minutes.get_mut(index) {
                *sum += count;
            }
        })
        .await?;
        Ok(minutes)
    }

    /// What a workspace was sent in the last 24 hours.
    pub(crate) async fn day(&self, workspace: &str, now: Timestamp) -> anyhow::Result<Day> {
        let until = Minute(Minute::of(now).0 + 1);
        let is_its = |series: &Series| &*series.of == workspace;
        let ask = Ask {
            node: None,
            from: Minute(until.0.saturating_sub(24 * 60)),
            until,
            wanted: &is_its,
        };
        let mut day = Day::default();
        self.each(&ask, now, |_, series, count| match series.what {
            What::Answer(Answered::Journaled) => day.received += count,
            What::Answer(Answered::Refused) => day.refused += count,
            What::Duplicate => day.duplicates += count,
            What::Answer(_)
            | What::Event(..)
            | What::Ended(_)
            | What::Attempt(_)
            | What::Took(_)
            | What::Rest => {}
        })
        .await?;
        Ok(day)
    }

    /// What all nodes have answered to the workspaces' webhooks.
    pub(crate) async fn intake(&self, now: Timestamp) -> anyhow::Result<Intake> {
        let told = self.told(self.moment(now)).await?;
        let mut intake = told.intake;
        intake.merge(&self.live.intake());
        Ok(intake)
    }

    /// What the other nodes counted in their last whole minute, per second.
    async fn rate_elsewhere(&self, what: What, of: &str, now: Timestamp) -> anyhow::Result<f64> {
        let moment = self.moment(now);
        let told = self.told(moment).await?;
        let this = Minute::of(now);
        let from = Minute(this.0.saturating_sub(2));
        self.refresh(from.hour()..=this.hour(), moment).await?;
        let is_its = |series: &Series| series.what == what && &*series.of == of;
        let stored = self.stored();
        let mut rate = 0.0;
        for node in told.nodes.iter().filter(|node| **node != self.shared.node) {
            let ask = Ask {
                node: Some(node),
                from,
                until: this,
                wanted: &is_its,
            };
            // The newer of the two, once it is written.
            let mut last = (Minute(0), 0_u64);
            stored.each(&ask, &mut |minute, _, count| {
                last = last.max((minute, count));
            });
            rate += f64::from(u32::try_from(last.1).unwrap_or(u32::MAX)) / 60.0;
        }
        Ok(rate)
    }

    /// Tells every count that is asked for: of what is written, and of what this
    /// node has not written yet.
    async fn each(
        &self,
        ask: &Ask<'_>,
        now: Timestamp,
        mut tell: impl FnMut(Minute, &Series, u64),
    ) -> anyhow::Result<()> {
        let hours = ask.from.hour()..=ask.until.hour();
        self.refresh(hours, self.moment(now)).await?;
        // What is being written is noted under this lock in both places at once.
        let stored = self.stored();
        let waiting = self.live.waiting(now);
        stored.each(ask, &mut tell);
        for (hour, counts) in &waiting.hours {
            ask.each_minute(*hour, counts, &mut tell);
        }
        Ok(())
    }

    /// Reads what may have changed of these hours.
    async fn refresh(&self, hours: RangeInclusive<HourNumber>, now: Moment) -> anyhow::Result<()> {
        let told = self.told(now).await?;
        let oldest = now.hour.0.saturating_sub(HOURS_KEPT - 1);
        let (from, until) = (hours.start().0.max(oldest), hours.end().0.min(now.hour.0));
        for node in &told.nodes {
            let is_this = *node == self.shared.node;
            for hour in (from..=until).map(HourNumber) {
                let is_due = if is_this {
                    self.stored().lacks(node, hour)
                } else {
                    self.stored().wants(node, hour, now)
                };
                if !is_due {
                    continue;
                }
                let setting = self.journal.setting(&slot_key(node, hour)).await;
                let setting = setting.context("cannot read the history")?;
                self.stored().read((node, hour), setting.as_ref(), now);
            }
        }
        self.stored().age(now.hour);
        Ok(())
    }

    /// The names of all nodes and what the others have answered, this one's first.
    async fn told(&self, now: Moment) -> anyhow::Result<Told> {
        if let Some((at, told)) = &self.stored().told
            && *at == now
        {
            return Ok(told.clone());
        }
        let mut told = Told {
            nodes: vec![self.shared.node.clone()],
            ..Told::default()
        };
        for node in self.listed().await? {
            if node == self.shared.node {
                continue;
            }
            let setting = self.journal.setting(&intake_key(&node)).await;
            let setting = setting.context("cannot read what another node has answered")?;
            let answered = setting.and_then(|it| serde_json::from_slice(&it.value).ok());
            told.intake.merge(&answered.unwrap_or_default());
            told.nodes.push(node);
        }
        self.stored().told = Some((now, told.clone()));
        Ok(told)
    }

    /// The nodes that have ever counted; none where that cannot be understood.
    async fn listed(&self) -> anyhow::Result<Vec<String>> {
        let setting = self.journal.setting(NODES).await;
        let setting = setting.context("cannot read which nodes have counted")?;
        let names = setting.and_then(|it| serde_json::from_slice(&it.value).ok());
        Ok(names.unwrap_or_default())
    }

    fn moment(&self, now: Timestamp) -> Moment {
        Moment {
            settings: *self.journal.watch_settings().borrow(),
            hour: Minute::of(now).hour(),
        }
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        let stored = &self.shared.stored;
        stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
