//! Writes what this node has counted, once a minute, and goes on with it after a
//! restart.
//!
//! An hour is written over itself by compare and set: what is found is read, the
//! counts that wait are added, and only then they do not wait any more. A write
//! whose answer was lost is recognised by its bytes, so it is not counted twice.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use jiff::Timestamp;
use journal::{PutError, Revision};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::format::{Marks, Slot};
use super::hour::{HOURS_KEPT, Hour, HourNumber, Minute};
use super::{History, Intake, NODES, intake_key, slot_key};

/// How long a change of what is answered stays unwritten at most, and at least.
const TURN_PAUSE: Duration = Duration::from_secs(1);
/// How far behind a whole minute counts are written, so that the minute is whole.
const BEHIND_MINUTE: Duration = Duration::from_secs(1);
/// How often a write that somebody else overtook is tried at once.
const TRIES: usize = 4;
/// Nodes whose counts are looked for; a further one is not shown by others.
const MAX_NODES: usize = 64;

/// What the one who writes remembers.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// This node's name is in the list.
    listed: bool,
    /// A write that may have been made although it failed.
    tried: Option<Tried>,
}

#[derive(Debug)]
struct Tried {
    hour: HourNumber,
    value: Bytes,
    counts: Hour,
    marks: Marks,
}

#[cfg(test)]
impl Writer {
    /// As after a write that was made although it failed.
    pub(super) fn lost(&mut self, hour: HourNumber, value: Bytes, waiting: &super::live::Waiting) {
        self.tried = Some(Tried {
            hour,
            value,
            counts: waiting.hours.get(&hour).cloned().unwrap_or_default(),
            marks: waiting.marks.clone(),
        });
    }
}

/// What stands in an hour's place.
struct Base {
    counts: Hour,
    revision: Option<Revision>,
}

/// Writes every `period`, and what is answered as soon as it turns, until `stop`.
/// What fails is tried with the next round, and told once.
pub(crate) async fn keep(history: History, period: Duration, stop: CancellationToken) {
    let begin = Instant::now() + until_next(period, Timestamp::now());
    let mut rounds = interval_at(begin, period);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut failing = false;
    loop {
        let kept = tokio::select! {
            _ = rounds.tick() => history.flush(Timestamp::now()).await,
            () = history.live.turned.notified() => history.keep_intake().await,
            () = stop.cancelled() => return,
        };
        if let Some(error) = kept.as_ref().err().filter(|_| !failing) {
            warn!("the history cannot be written; it is tried every minute: {error:#}");
        }
        failing = kept.is_err();
        if stop
            .run_until_cancelled(tokio::time::sleep(TURN_PAUSE))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// How long until the next round: a moment behind a whole period of the clock.
fn until_next(period: Duration, now: Timestamp) -> Duration {
    let passed = Duration::try_from(now.duration_since(Timestamp::UNIX_EPOCH));
    let passed = passed.unwrap_or_default().as_millis();
    let into = passed % period.as_millis().max(1);
    let into = Duration::from_millis(u64::try_from(into).unwrap_or_default());
    period.saturating_sub(into) + BEHIND_MINUTE.min(period / 10)
}

impl History {
    /// Takes up where this node was when it was last stopped or killed. What
    /// cannot be read is counted anew.
    pub(super) async fn go_on(&self, now: Timestamp) {
        let marks = self.last_marks(now).await.unwrap_or_default();
        let key = intake_key(&self.shared.node);
        let setting = self.journal.setting(&key).await.ok().flatten();
        let intake = setting.and_then(|it| serde_json::from_slice(&it.value).ok());
        self.live.go_on(&marks, &intake.unwrap_or_default());
    }

    /// The marks of the newest hour that this node has written.
    async fn last_marks(&self, now: Timestamp) -> Option<Marks> {
        let this = Minute::of(now).hour().0;
        for ago in 0..HOURS_KEPT.min(this) {
            let hour = HourNumber(this - ago);
            let key = slot_key(&self.shared.node, hour);
            let setting = self.journal.setting(&key).await.ok()?;
            let slot = setting.and_then(|it| Slot::decode(&it.value));
            let slot = slot.filter(|slot| slot.hour == hour && !slot.marks.is_empty());
            if let Some(slot) = slot {
                return Some(slot.marks);
            }
        }
        None
    }

    /// Writes everything that was counted and is not written yet.
    pub(crate) async fn flush(&self, now: Timestamp) -> anyhow::Result<()> {
        let mut writer = self.shared.writer.lock().await;
        if !writer.listed {
            self.list().await?;
            writer.listed = true;
        }
        let waiting = self.live.waiting(now);
        for (hour, counts) in waiting.hours {
            self.write(&mut writer, hour, (counts, &waiting.marks))
                .await?;
        }
        drop(writer);
        self.keep_intake().await
    }

    /// Writes what was answered, if that has changed.
    async fn keep_intake(&self) -> anyhow::Result<()> {
        let Some(intake) = self.live.intake_moved() else {
            return Ok(());
        };
        let kept = self.put_intake(&intake).await;
        if kept.is_err() {
            self.live.intake_not_kept();
        }
        kept
    }

    async fn put_intake(&self, intake: &Intake) -> anyhow::Result<()> {
        let key = intake_key(&self.shared.node);
        self.change(&key, |found| {
            let found: Option<Intake> = found.and_then(|it| serde_json::from_slice(it).ok());
            let mut all = intake.clone();
            all.merge(&found.unwrap_or_default());
            let json = serde_json::to_vec(&all).expect("names and times are JSON");
            Some(json.into())
        })
        .await
        .context("cannot keep what was answered")
    }

    /// Puts this node's name into the list of those that count.
    async fn list(&self) -> anyhow::Result<()> {
        let node = &self.shared.node;
        self.change(NODES, |found| {
            let found = found.and_then(|it| serde_json::from_slice(it).ok());
            let mut names: Vec<String> = found.unwrap_or_default();
            if names.contains(node) || names.len() >= MAX_NODES {
                return None;
            }
            names.push(node.clone());
            let json = serde_json::to_vec(&names).expect("names are JSON");
            Some(json.into())
        })
        .await
        .context("cannot list this node among those that count")
    }

    /// Changes a setting from what it is, unless there is nothing to change.
    async fn change(
        &self,
        key: &str,
        change: impl Fn(Option<&[u8]>) -> Option<Bytes>,
    ) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let found = self.journal.setting(key).await?;
            let value = change(found.as_ref().map(|setting| &*setting.value));
            let Some(value) = value else { return Ok(()) };
            let revision = found.map(|setting| setting.revision);
            match self.journal.put_setting(key, value, revision).await {
                Ok(_) => return Ok(()),
                Err(PutError::Conflict { .. }) => {}
                Err(error @ PutError::State(_)) => return Err(error.into()),
            }
        }
        anyhow::bail!("others change it all the time")
    }

    /// Writes what waits of an hour.
    async fn write(
        &self,
        writer: &mut Writer,
        hour: HourNumber,
        (mut counts, marks): (Hour, &Marks),
    ) -> anyhow::Result<()> {
        let key = slot_key(&self.shared.node, hour);
        for _ in 0..TRIES {
            let mut base = self.base(writer, hour, &mut counts).await?;
            base.counts.merge(&counts);
            let slot = Slot {
                hour,
                marks: marks.clone(),
                counts: base.counts,
            };
            let value = slot.encode();
            match self
                .journal
                .put_setting(&key, value.clone(), base.revision)
                .await
            {
                Ok(revision) => {
                    self.wrote(&slot, (&counts, marks), Some(revision));
                    return Ok(());
                }
                Err(PutError::Conflict { .. }) => {
                    self.stored().forget(&self.shared.node, hour);
                }
                Err(error @ PutError::State(_)) => {
                    self.stored().forget(&self.shared.node, hour);
                    writer.tried = Some(Tried {
                        hour,
                        value,
                        counts,
                        marks: marks.clone(),
                    });
                    return Err(error).context("cannot write the counts of an hour");
                }
            }
        }
        anyhow::bail!("another process writes this node's counts; node names must differ")
    }

    /// What stands in an hour's place. If it is what was tried before, that does
    /// not wait any more.
    async fn base(
        &self,
        writer: &mut Writer,
        hour: HourNumber,
        counts: &mut Hour,
    ) -> anyhow::Result<Base> {
        let node = self.shared.node.as_str();
        let tried = writer.tried.take_if(|tried| tried.hour == hour);
        let known = self.stored().base(node, hour);
        if let Some((counts, revision)) = known.filter(|_| tried.is_none()) {
            return Ok(Base { counts, revision });
        }
        let setting = self.journal.setting(&slot_key(node, hour)).await;
        let setting = setting.context("cannot read the counts of an hour")?;
        // Known from here on, so that nobody who looks reads it behind the write.
        let moment = self.moment(hour.first_minute().begins_at());
        self.stored().read((node, hour), setting.as_ref(), moment);
        let Some(setting) = setting else {
            return Ok(Base {
                counts: Hour::default(),
                revision: None,
            });
        };
        let slot = Slot::decode(&setting.value).filter(|slot| slot.hour == hour);
        let slot = slot.unwrap_or_default();
        let revision = Some(setting.revision);
        if let Some(tried) = tried.filter(|tried| tried.value == setting.value) {
            self.wrote(&slot, (&tried.counts, &tried.marks), revision);
            counts.subtract(&tried.counts);
        }
        Ok(Base {
            counts: slot.counts,
            revision,
        })
    }

    /// Notes what is written now: in both places at once, so that whoever looks
    /// counts it neither twice nor not at all.
    fn wrote(&self, slot: &Slot, (counts, marks): (&Hour, &Marks), revision: Option<Revision>) {
        let moment = self.moment(slot.hour.first_minute().begins_at());
        let mut stored = self.stored();
        let place = (self.shared.node.as_str(), slot.hour);
        stored.wrote(place, slot.counts.clone(), (revision, moment));
        self.live.written(slot.hour, counts, marks);
    }
}
