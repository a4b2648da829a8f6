//! Where replays are kept, how they are begun and steered: by any node, since all
//! of it is compare-and-set on settings.
//!
//! ```text
//! replays       the numbers of the oldest and the newest
//! replay/N      what was asked for, and how it stands
//! replay/N/P    how far partition P has come: written by whoever feeds it
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use console::seen::{Origin, ReplayState, Steer};
use jiff::Timestamp;
use journal::{Journal, PutError, Revision, StateError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::job::{Job, Kept, NotNow, Progress, Span, traced_as};
use crate::operator::Operator;

/// Replays that are kept; the oldest that are over make room for new ones.
const KEPT: u64 = 50;
/// How often a change is made anew because somebody else was faster.
const TRIES: usize = 10;
/// The setting that says which there are.
const RANGE: &str = "replays";

/// Which numbers are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Range {
    oldest: u64,
    newest: u64,
}

impl Default for Range {
    fn default() -> Range {
        Range {
            oldest: 1,
            newest: 0,
        }
    }
}

/// Why a replay was not begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Too many are not over yet.
    #[error("{KEPT} replays are not over yet: cancel one, or wait for one to end")]
    TooMany,
    /// It could not be kept.
    #[error("cannot keep the replay")]
    Failed(#[from] anyhow::Error),
}

/// Why a replay was not steered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SteerError {
    /// There is none of this number.
    #[error("there is no replay {0}")]
    Missing(u64),
    /// It does not stand so that this could be done.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// It could not be kept.
    #[error("cannot change the replay")]
    Failed(#[from] anyhow::Error),
}

/// The replays that a journal keeps. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replays {
    journal: Journal,
    /// All of them as they were at this change of the settings.
    seen: Arc<Mutex<Option<Seen>>>,
}

struct Seen {
    change: u64,
    all: Arc<[Kept]>,
}

impl Replays {
    pub(crate) fn of(journal: Journal) -> Replays {
        Replays {
            journal,
            seen: Arc::default(),
        }
    }

    /// All that are kept, oldest first. Costs nothing while no setting changes.
    pub(crate) async fn all(&self) -> anyhow::Result<Arc<[Kept]>> {
        let change = *self.journal.watch_settings().borrow();
        if let Some(seen) = self.seen().as_ref()
            && seen.change == change
        {
            return Ok(Arc::clone(&seen.all));
        }
        let (range, _) = self.range().await?;
        let mut all = Vec::new();
        for number in range.oldest..=range.newest {
            all.extend(self.one(number).await?);
        }
        let all: Arc<[Kept]> = all.into();
        *self.seen() = Some(Seen {
            change,
            all: Arc::clone(&all),
        });
        Ok(all)
    }

    /// The replay of this number.
    pub(crate) async fn one(&self, number: u64) -> anyhow::Result<Option<Kept>> {
        let Some((job, _)) = self.job(number).await? else {
            return Ok(None);
        };
        let mut progress = Vec::new();
        for span in &job.spans {
            progress.push(self.progress(number, span).await?.0);
        }
        Ok(Some(Kept { job, progress }))
    }

    /// Keeps a new replay, and gives it its number.
    pub(crate) async fn add(&self, mut job: Job) -> Result<u64, StartError> {
        self.make_room().await?;
        for _ in 0..TRIES {
            let (mut range, revision) = self.range().await?;
            range.newest += 1;
            let put = self.journal.put_setting(RANGE, encode(&range), revision);
            match put.await {
                Ok(_) => {}
                Err(PutError::Conflict { .. }) => continue,
                Err(error) => return Err(anyhow::Error::from(error).into()),
            }
            // The number is ours alone. Being killed here leaves it unused.
            job.number = range.newest;
            let (key, value) = (key(job.number), encode(&job));
            let added = self.journal.put_setting(&key, value, None).await;
            added.map_err(anyhow::Error::from)?;
            return Ok(job.number);
        }
        Err(busy().into())
    }

    /// Forgets the oldest replays that are over while there are too many.
    async fn make_room(&self) -> Result<(), StartError> {
        loop {
            let all = self.all().await?;
            if (all.len() as u64) < KEPT {
                return Ok(());
            }
            let mut over = all.iter().filter(|kept| kept.job.state.is_over());
            let oldest = over.next().ok_or(StartError::TooMany)?;
            self.forget(&oldest.job).await?;
        }
    }

    async fn forget(&self, job: &Job) -> anyhow::Result<()> {
        let traced = traced_as(&job.connection, job.number);
        self.journal.forget_connection(&traced).await?;
        for span in &job.spans {
            self.remove(&progress_key(job.number, span)).await?;
        }
        self.remove(&key(job.number)).await?;
        let (mut range, revision) = self.range().await?;
        if range.oldest == job.number {
            range.oldest += 1;
            let put = self.journal.put_setting(RANGE, encode(&range), revision);
            // Numbers that are gone are passed over anyway.
            if let Err(error) = put.await {
                warn!("the oldest replay's number is looked at in vain: {error:#}");
            }
        }
        Ok(())
    }

    async fn remove(&self, key: &str) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let Some(there) = self.journal.setting(key).await? else {
                return Ok(());
            };
            match self.journal.remove_setting(key, there.revision).await {
                Err(PutError::Conflict { .. }) => {}
                removed => return removed.context("cannot forget a replay"),
            }
        }
        Err(busy())
    }

    /// Steers a replay, and says how it stands then and whether that is new.
    pub(crate) async fn steer(
        &self,
        number: u64,
        steer: Steer,
        now: Timestamp,
    ) -> Result<(Job, bool), SteerError> {
        for _ in 0..TRIES {
            let found = self.job(number).await?;
            let (mut job, revision) = found.ok_or(SteerError::Missing(number))?;
            if !job.steer(steer, now)? {
                return Ok((job, false));
            }
            if self.put(&job, revision).await? {
                return Ok((job, true));
            }
        }
        Err(busy().into())
    }

    /// Ends a replay that is not over; says whether this was what ended it.
    pub(crate) async fn end(&self, number: u64, end: End) -> anyhow::Result<bool> {
        for _ in 0..TRIES {
            let Some((mut job, revision)) = self.job(number).await? else {
                return Ok(false);
            };
            let may_end = match end {
                End::Done => job.state == ReplayState::Running,
                End::Failed(_) => !job.state.is_over(),
            };
            if !may_end {
                return Ok(false);
            }
            (job.state, job.reason) = match end {
                End::Done => (ReplayState::Done, None),
                End::Failed(why) => (ReplayState::Failed, Some(why.to_owned())),
            };
            job.ended_at = Some(Timestamp::now());
            if self.put(&job, revision).await? {
                return Ok(true);
            }
        }
        Err(busy())
    }

    /// Stores how far a partition has come, provided that nobody else has since
    /// `revision`; none where somebody has: another node goes on with it.
    pub(super) async fn keep(
        &self,
        (number, span): (u64, &Span),
        progress: &Progress,
        revision: Option<Revision>,
    ) -> anyhow::Result<Option<Revision>> {
        let key = progress_key(number, span);
        match self
            .journal
            .put_setting(&key, encode(progress), revision)
            .await
        {
            Ok(revision) => Ok(Some(revision)),
            Err(PutError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error).context("cannot keep how far a replay has come"),
        }
    }

    pub(super) async fn progress(
        &self,
        number: u64,
        span: &Span,
    ) -> anyhow::Result<(Progress, Option<Revision>)> {
        let found = self.load(&progress_key(number, span)).await?;
        Ok(match found {
            Some((progress, revision)) => (progress, Some(revision)),
            None => (Progress::at(span), None),
        })
    }

    pub(super) async fn job(&self, number: u64) -> anyhow::Result<Option<(Job, Revision)>> {
        self.load(&key(number)).await
    }

    /// Puts a job; false where somebody else was faster.
    async fn put(&self, job: &Job, revision: Revision) -> anyhow::Result<bool> {
        let (key, value) = (key(job.number), encode(job));
        match self.journal.put_setting(&key, value, Some(revision)).await {
            Ok(_) => Ok(true),
            Err(PutError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error).context("cannot keep a replay"),
        }
    }

    async fn range(&self) -> anyhow::Result<(Range, Option<Revision>)> {
        let found = self.load(RANGE).await?;
        Ok(match found {
            Some((range, revision)) => (range, Some(revision)),
            None => (Range::default(), None),
        })
    }

    async fn load<T: DeserializeOwned>(&self, key: &str) -> anyhow::Result<Option<(T, Revision)>> {
        let found = self.journal.setting(key).await;
        let Some(found) = found.context("cannot read a replay")? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&found.value);
        let value = value.with_context(|| format!("the setting {key} is damaged"))?;
        Ok(Some((value, found.revision)))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Seen>> {
        // Replaced as a whole, so whole whatever its last holder died of.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a replay ends by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It has been through all of its records.
    Done,
    /// It cannot go on, for this reason.
    Failed(&'static str),
}

/// Ends the replays of connections that are removed, until `stop`.
pub(crate) async fn oversee(operator: Operator, stop: CancellationToken) {
    let mut decided = operator.decided();
    while !stop.is_cancelled() {
        decided.borrow_and_update();
        if let Err(error) = end_orphans(&operator).await {
            warn!("replays of removed connections may be shown as running: {error:#}");
        }
        tokio::select! {
            changed = decided.changed() => if changed.is_err() {
                stop.cancelled().await;
            },
            () = stop.cancelled() => {}
        }
    }
}

async fn end_orphans(operator: &Operator) -> anyhow::Result<()> {
    let connections = operator.connections();
    for kept in operator.replays.all().await?.iter() {
        let job = &kept.job;
        let mut ids = connections.iter().map(|each| each.id.as_str());
        if job.state.is_over() || ids.any(|id| id == job.connection) {
            continue;
        }
        let why = "its connection was removed";
        if operator.replays.end(job.number, End::Failed(why)).await? {
            let line = format!("replay {} failed: {why}", job.number);
            operator.audit.note(Origin::Start, vec![line]).await;
        }
    }
    Ok(())
}

fn key(number: u64) -> String {
    format!("replay/{number}")
}

fn progress_key(number: u64, span: &Span) -> String {
    format!("replay/{number}/{}", span.partition)
}

fn encode(value: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(value);
    json.expect("these have text for keys, so they are JSON")
        .into()
}

fn busy() -> anyhow::Error {
    anyhow::anyhow!("others change the replays all the time: try again")
}

/// Whether the journal is closing, which is no news.
pub(super) fn is_stopping(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause| matches!(cause, StateError::Stopping))
}

#[cfg(test)]
mod tests {
    use journal::Config;
    use tempfile::TempDir;

    use super::*;
    use crate::replay::job::tests::job;

    async fn replays() -> (TempDir, Replays) {
        let folder = TempDir::new().unwrap();
        let config = Config::for_tests(folder.path().join("journal"));
        let journal = Journal::open(config).await.unwrap();
        (folder, Replays::of(journal))
    }

    #[tokio::test]
    async fn a_replay_is_kept_under_a_number_of_its_own_and_steered_by_it() {
        let (_folder, replays) = replays().await;
        assert_eq!(replays.add(job()).await.unwrap(), 1);
        assert_eq!(replays.add(job()).await.unwrap(), 2);
        let now = Timestamp::UNIX_EPOCH;
        let (paused, is_new) = replays.steer(2, Steer::Pause, now).await.unwrap();
        assert_eq!((paused.state, is_new), (ReplayState::Paused, true));
        let all = replays.all().await.unwrap();
        let states: Vec<_> = all
            .iter()
            .map(|kept| (kept.job.number, kept.job.state))
            .collect();
        assert_eq!(
            states,
            [(1, ReplayState::Running), (2, ReplayState::Paused)]
        );
        let missing = replays.steer(3, Steer::Pause, now).await.unwrap_err();
        assert_eq!(missing.to_string(), "there is no replay 3");
    }

    #[tokio::test]
    async fn a_number_whose_taker_was_killed_is_passed_over() {
        let (_folder, replays) = replays().await;
        replays.add(job()).await.unwrap();
        let range = Range {
            oldest: 1,
            newest: 2,
        };
        let (_, revision) = replays.range().await.unwrap();
        let put = replays.journal.put_setting(RANGE, encode(&range), revision);
        put.await.unwrap();
        assert_eq!(replays.add(job()).await.unwrap(), 3);
        assert_eq!(replays.all().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn the_oldest_that_are_over_make_room_and_others_do_not() {
        let (_folder, replays) = replays().await;
        for _ in 0..KEPT {
            replays.add(job()).await.unwrap();
        }
        assert!(matches!(replays.add(job()).await, Err(StartError::TooMany)));
        let now = Timestamp::UNIX_EPOCH;
        replays.steer(7, Steer::Cancel, now).await.unwrap();
        assert_eq!(replays.add(job()).await.unwrap(), KEPT + 1);
        assert!(replays.one(7).await.unwrap().is_none());
        assert_eq!(replays.all().await.unwrap().len() as u64, KEPT);
    }

    #[tokio::test]
    async fn progress_is_stored_only_by_whoever_saw_the_last() {
        let (_folder, replays) = replays().await;
        let number = replays.add(job()).await.unwrap();
        let span = job().spans[0];
        let (mut progress, revision) = replays.progress(number, &span).await.unwrap();
        assert_eq!((progress.next, revision), (1, None));
        progress.next = 5;
        let kept = replays
            .keep((number, &span), &progress, revision)
            .await
            .unwrap();
        assert!(kept.is_some());
        let stale = replays
            .keep((number, &span), &progress, revision)
            .await
            .unwrap();
        assert!(stale.is_none());
    }
}
