//! The worker: goes through the records of a replay, page by page, and leaves a
//! batch behind whenever the connection's own feed keeps up.
//!
//! It runs beside the feed of its connection and partition, while this node has
//! their duty, and works at one replay at a time: the oldest that runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connections::Connection;
use console::seen::ReplayState;
use console::seen::filter::Filter;
use dispatch::{Condition, Outbox};
use jiff::Timestamp;
use journal::{Indexed, Partition, Place, ReadLimit, Revision, Seq};
use shape::{PayloadVersion, SendFrequency};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::job::{Job, Progress, Span};
use super::look::{Lens, Look, Why, ends};
use super::send::{Letters, Parcel, Sent};
use super::store::{End, is_stopping};
use crate::carry::Carried;
use crate::desk::Desk;
use crate::names::Wanted;
use crate::pipeline::feed::{ConnectionLabel, Live};
use crate::pipeline::shelf;
use crate::pipeline::trace::OptionsMark;

/// What is read ahead.
const PAGE: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 1024 * 1024,
};
/// Records that a connection may be behind what is durable without its replays
/// waiting: some are always on their way.
const LIVE_LAG: u64 = 5_000;
/// How often a replay that lets live events go first looks again.
const LOOK: Duration = Duration::from_millis(50);
/// How often it stores how far it has come while it sends nothing.
const STORE: Duration = Duration::from_secs(1);
/// The pause before a replay that failed to read or write goes on.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Replays one partition of one connection.
#[derive(Clone)]
pub(crate) struct Replayer {
    pub(crate) desk: Desk,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) connection: Connection,
    pub(crate) label: ConnectionLabel,
    pub(crate) partition: Partition,
    /// Whether the feed beside it keeps up.
    pub(crate) live: watch::Receiver<Live>,
    /// Held while something of this connection and partition is settled.
    pub(crate) settling: Arc<Mutex<()>>,
}

/// Whether there is anything to do.
#[derive(PartialEq, Eq)]
enum Turn {
    Over,
    Another,
    /// Not until a setting changes.
    None,
}

/// Whether to go on with a replay.
#[derive(PartialEq, Eq)]
enum Next {
    On,
    Leave,
}

/// A replay that is being worked at.
pub(super) struct Work {
    pub(super) job: Job,
    pub(super) span: Span,
    pub(super) filter: Filter,
    pub(super) options: OptionsMark,
    pub(super) progress: Progress,
    revision: Option<Revision>,
    pub(super) letters: Letters,
    /// What was read and not looked at.
    page: VecDeque<Indexed>,
    /// When the rate lets the next batch leave.
    next_at: Instant,
    /// Since when its time is not counted yet.
    counted_at: Instant,
    stored_at: Instant,
}

impl Replayer {
    /// Works at whatever replay it is the turn of, until `stop`. What fails is told
    /// and tried again: a replay is never given up because a disk was full.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let mut settings = self.desk.operator.journal.watch_settings();
        while !stop.is_cancelled() {
            settings.borrow_and_update();
            match self.turn(stop).await {
                Ok(Turn::Over | Turn::Another) => {}
                Ok(Turn::None) => {
                    let changed = stop.run_until_cancelled(settings.changed()).await;
                    if !matches!(changed, Some(Ok(()))) {
                        return;
                    }
                }
                Err(error) if is_stopping(&error) => return,
                Err(error) => {
                    let (name, seconds) = (&self.label.name, RETRY_PAUSE.as_secs());
                    error!("a replay of {name} goes on in {seconds} s: {error:#}");
                    stop.run_until_cancelled(sleep(RETRY_PAUSE)).await;
                }
            }
        }
    }

    /// Works at the replay whose turn it is, if it is this partition's.
    async fn turn(&self, stop: &CancellationToken) -> anyhow::Result<Turn> {
        let all = self.desk.operator.replays.all().await?;
        let id = self.connection.id.as_str();
        let mut own = all
            .iter()
            .filter(|kept| kept.job.connection == id && kept.job.state == ReplayState::Running);
        let Some(kept) = own.next() else {
            return Ok(Turn::None);
        };
        let Some((span, _)) = kept.current() else {
            let last = kept.job.spans.last().map(Span::partition);
            if last == Some(self.partition) {
                self.end(&kept.job).await?;
                return Ok(Turn::Another);
            }
            return Ok(Turn::None);
        };
        if span.partition() != self.partition || self.is_carried_over().await? {
            return Ok(Turn::None);
        }
        let Ok(filter) = Filter::parse(&kept.job.filter, Timestamp::now()) else {
            let why = "its filter cannot be read by this version: start another replay";
            self.desk
                .operator
                .replays
                .end(kept.job.number, End::Failed(why))
                .await?;
            return Ok(Turn::Another);
        };
        let mut work = self.take_up(kept.job.clone(), span, filter).await?;
        while self.step(&mut work, stop).await? == Next::On {}
        self.store(&mut work).await?;
        Ok(Turn::Over)
    }

    /// Whether the connection waits for what another journal knows of it.
    async fn is_carried_over(&self) -> anyhow::Result<bool> {
        let SendFrequency::First(_) = self.connection.options.send_frequency else {
            return Ok(false);
        };
        let carried = Carried::load(&self.desk.operator.journal).await?;
        Ok(carried.is_some_and(|carried| !carried.is_done))
    }

    /// Says that a replay is done, once.
    async fn end(&self, job: &Job) -> anyhow::Result<()> {
        if !self
            .desk
            .operator
            .replays
            .end(job.number, End::Done)
            .await?
        {
            return Ok(());
        }
        let (number, name) = (job.number, &self.label.name);
        let Some(kept) = self.desk.operator.replays.one(number).await? else {
            return Ok(());
        };
        let counts = kept.counts();
        let line = format!(
            "replay {number} of {name} is done: {} records, {} calls accepted, {} refused, {} skipped",
            counts.examined(),
            counts.accepted,
            counts.refused,
            counts.skipped()
        );
        info!("{line}");
        let audit = &self.desk.operator.audit;
        audit.note(job.asked_through, vec![line]).await;
        Ok(())
    }

    async fn take_up(&self, job: Job, span: Span, filter: Filter) -> anyhow::Result<Work> {
        let operator = &self.desk.operator;
        let found = operator.replays.progress(job.number, &span).await?;
        let (mut progress, revision) = found;
        let options = shelf::keep(&operator.journal, &self.connection.options).await;
        progress.made_with(&options.to_string());
        let now = Instant::now();
        Ok(Work {
            letters: self.letters().await?,
            job,
            span,
            filter,
            options,
            progress,
            revision,
            page: VecDeque::new(),
            next_at: now,
            counted_at: now,
            stored_at: now,
        })
    }

    /// One batch, or one page without a call in it.
    async fn step(&self, work: &mut Work, stop: &CancellationToken) -> anyhow::Result<Next> {
        if work.progress.is_through(&work.span) || !self.may_go_on(work, stop).await? {
            return Ok(Next::Leave);
        }
        if !self.live_goes_first(work, stop).await? {
            return Ok(Next::Leave);
        }
        if work.page.is_empty() && !self.read(work, stop).await? {
            return Ok(Next::Leave);
        }
        let mut parcel = self.gather(work).await?;
        self.claim(&mut parcel).await?;
        if !parcel.is_empty() {
            if !self.keep_pace(work, (parcel.len(), stop)).await? {
                return Ok(Next::Leave);
            }
            if let Sent::Stopped = self.send(work, &mut parcel, stop).await? {
                // Some may have arrived: they go again under the same ids.
                work.page.clear();
                return Ok(Next::Leave);
            }
        }
        let is_small = parcel.is_empty() && work.stored_at.elapsed() < STORE;
        work.progress = parcel.progress;
        if is_small && !work.progress.is_through(&work.span) {
            return Ok(Next::On);
        }
        self.store(work).await
    }

    /// Whether nobody has paused or ended it.
    pub(super) async fn may_go_on(
        &self,
        work: &Work,
        stop: &CancellationToken,
    ) -> anyhow::Result<bool> {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let found = self.desk.operator.replays.job(work.job.number).await?;
        Ok(found.is_some_and(|(job, _)| job.state == ReplayState::Running))
    }

    /// Waits until live events are on their way; false when it is to leave.
    async fn live_goes_first(&self, work: &Work, stop: &CancellationToken) -> anyhow::Result<bool> {
        let mut live = self.live.clone();
        loop {
            let level = *live.borrow_and_update();
            let most = match *self.outbox.condition().borrow() {
                Condition::Flowing => LIVE_LAG,
                // The first batch that is tried again is a live one, if there is any.
                Condition::Waiting { .. } => 0,
            };
            if level == Live::Level && self.lag().await? <= most {
                return Ok(true);
            }
            tokio::select! {
                changed = live.changed() => if changed.is_err() { return Ok(false) },
                () = sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
            if !self.may_go_on(work, stop).await? {
                return Ok(false);
            }
        }
    }

    /// Records that the feed has not settled.
    async fn lag(&self) -> anyhow::Result<u64> {
        let newest = *self.desk.operator.journal.durable(self.partition).borrow();
        let newest = newest.unwrap_or(Seq::ZERO);
        Ok(newest.get().saturating_sub(self.settled().await?.get()))
    }

    async fn settled(&self) -> anyhow::Result<Seq> {
        self.desk
            .operator
            .settled(&self.connection, self.partition)
            .await
    }

    /// Reads the next page, and waits for the indexer where it must; false when it
    /// is to leave.
    async fn read(&self, work: &mut Work, stop: &CancellationToken) -> anyhow::Result<bool> {
        let journal = &self.desk.operator.journal;
        let mut indexed = journal.indexed(self.partition);
        loop {
            let through = *indexed.borrow_and_update();
            let from = Place::new(self.partition, Seq::new(work.progress.next));
            let page = journal.read_indexed(from, PAGE).await;
            work.page = page.context("cannot read the log")?.into();
            if !work.page.is_empty() {
                self.look_names_up(work, stop).await;
                return Ok(true);
            }
            if through.is_some_and(|seq| seq.get() >= work.span.last) {
                // All that was left is not kept any more.
                let rest = work.span.last + 1 - work.progress.next;
                work.progress.counts.gone += rest;
                work.progress.next = work.span.last + 1;
                return Ok(true);
            }
            tokio::select! {
                changed = indexed.changed() => changed.context("the journal is closed")?,
                () = sleep(STORE) => {}
                () = stop.cancelled() => {}
            }
            if !self.may_go_on(work, stop).await? {
                return Ok(false);
            }
        }
    }

    /// Has the names of a page looked up, as its feed does.
    async fn look_names_up(&self, work: &Work, stop: &CancellationToken) {
        let options = &self.connection.options;
        if !options.names && options.payload_version != PayloadVersion::V1 {
            return;
        }
        let mut keys = std::collections::BTreeSet::new();
        for entry in &work.page {
            if let Indexed::Record { record, .. } = entry
                && *record.workspace == *self.label.workspace
                && let Ok(event) = shape::Event::parse(&record.body)
            {
                keys.extend(Wanted::of(&event.references()).keys());
            }
        }
        let book = self.desk.operator.names.book(&self.label.workspace);
        book.look_up(keys, stop).await;
    }

    /// Takes records off the page until a batch is full or the page is empty.
    async fn gather(&self, work: &mut Work) -> anyhow::Result<Parcel> {
        let settled = self.settled().await?;
        let mut parcel = Parcel::new(work.progress.clone(), work.job.rate_per_s);
        while !parcel.is_full()
            && let Some(entry) = work.page.pop_front()
        {
            let (first, last) = ends(&entry);
            let progress = &mut parcel.progress;
            let begin = first.get().min(work.span.last + 1).max(progress.next);
            progress.counts.gone += begin - progress.next;
            progress.next = begin;
            if begin > work.span.last {
                work.page.clear();
                break;
            }
            match entry {
                Indexed::Erased(_) | Indexed::Damaged { .. } => {
                    let end = last.get().min(work.span.last) + 1;
                    progress.counts.gone += end.saturating_sub(begin);
                    progress.next = end;
                }
                Indexed::Record { record, verdict } => {
                    progress.next = begin + 1;
                    let lens = Lens {
                        desk: &self.desk,
                        connection: &self.connection,
                        filter: &work.filter,
                        number: Some(work.job.number),
                    };
                    match lens.look(&record, verdict, settled).await? {
                        Look::Call(call) => self.put(&mut parcel, record, *call).await?,
                        Look::Not(why) => {
                            why.count(&mut parcel.progress.counts);
                            if let Why::Unusable(Some(reason)) = why {
                                parcel.bury(&record, reason);
                            }
                        }
                    }
                }
            }
        }
        Ok(parcel)
    }

    /// Waits until the rate lets another batch leave; false when it is to leave.
    async fn keep_pace(
        &self,
        work: &mut Work,
        (n_calls, stop): (usize, &CancellationToken),
    ) -> anyhow::Result<bool> {
        let mut settings = self.desk.operator.journal.watch_settings();
        while Instant::now() < work.next_at {
            tokio::select! {
                () = sleep_until(work.next_at) => {}
                _ = settings.changed() => {}
                () = stop.cancelled() => {}
            }
            if !self.may_go_on(work, stop).await? {
                return Ok(false);
            }
        }
        let n_calls = u32::try_from(n_calls).unwrap_or(u32::MAX);
        let takes = Duration::from_secs(1) / work.job.rate_per_s.max(1) * n_calls;
        // Time that was lost is not made up for: that would be above the rate.
        work.next_at = Instant::now() + takes;
        Ok(true)
    }

    /// Stores how far it has come; whoever was faster goes on with it.
    async fn store(&self, work: &mut Work) -> anyhow::Result<Next> {
        let worked = u64::try_from(work.counted_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        work.progress.worked_ms += worked;
        work.counted_at = Instant::now();
        let replays = &self.desk.operator.replays;
        let which = (work.job.number, &work.span);
        let kept = replays.keep(which, &work.progress, work.revision).await?;
        if kept.is_none() {
            return Ok(Next::Leave);
        }
        work.revision = kept;
        work.stored_at = Instant::now();
        Ok(Next::On)
    }
}
