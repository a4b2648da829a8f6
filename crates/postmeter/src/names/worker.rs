//! Looks up one workspace's names, one request at a time, and keeps them.
//!
//! What feeds miss comes first; once an hour everything is read anew. Each node
//! looks up what its own feeds miss; all keep it in one setting and follow that.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use connections::UnlockedAppApi;
use jiff::Timestamp;
use journal::{Journal, PutError, Revision};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::app_api::{AppApi, Failure, List};
use super::book::Book;
use super::known::{Key, Known};

/// The pause between an answer and the next request: never more than ten requests
/// in a second, however they are delayed on their way. Nodes share the limit.
const GAP: Duration = Duration::from_millis(100);
/// How often everything is read anew.
const REFRESH: Duration = Duration::from_hours(1);
/// How much later the other nodes do it where the one that is to does not.
const GRACE: Duration = Duration::from_mins(15);
/// The most campaigns and broadcasts whose actions are read anew each time: those
/// whose actions have been seen in events.
const MAX_PARENTS: usize = 1_000;
/// The most pages of one list, and of all that is read anew.
const MAX_PAGES: usize = 5_000;
/// The first pause after a failure. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, and the one after the key was refused.
const MAX_PAUSE: Duration = Duration::from_mins(5);
/// How often names are kept while more come.
const KEEP: Duration = Duration::from_secs(5);
/// How often keeping is tried when other nodes keep names at the same time.
const TRIES: usize = 3;

/// Who looks up a workspace's names.
pub(super) struct Worker {
    journal: Journal,
    workspace: String,
    book: Book,
    app_api: AppApi,
    started_at: Timestamp,
    /// When the last request was answered.
    answered_at: Instant,
    pause: Duration,
    /// What is left of reading everything anew.
    refresh: VecDeque<List>,
    /// How many pages of that were read.
    n_pages: usize,
    /// What the journal kept when it was last read or put.
    revision: Option<Revision>,
    /// Since when there are names that the journal has not kept.
    unkept_since: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        journal: Journal,
        (workspace, book): (String, Book),
        api: UnlockedAppApi,
    ) -> anyhow::Result<Worker> {
        Ok(Worker {
            journal,
            workspace,
            book,
            app_api: AppApi::new(api)?,
            started_at: Timestamp::now(),
            answered_at: Instant::now(),
            pause: Duration::ZERO,
            refresh: VecDeque::new(),
            n_pages: 0,
            revision: None,
            unkept_since: None,
        })
    }

    /// Looks up until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut settings = self.journal.watch_settings();
        settings.borrow_and_update();
        self.load().await;
        while !stop.is_cancelled() {
            if stop.run_until_cancelled(self.work()).await.is_none() {
                break;
            }
            let idle_until = self.idle_until();
            tokio::select! {
                () = self.book.wanted() => {}
                () = tokio::time::sleep_until(idle_until) => {}
                changed = settings.changed() => match changed {
                    Ok(()) => self.load().await,
                    Err(_) => break, // the journal is closed
                },
                () = stop.cancelled() => break,
            }
        }
        if self.unkept_since.is_some() {
            self.keep().await;
        }
    }

    /// Does what there is to do, until nothing is left or the App API is away.
    async fn work(&mut self) {
        loop {
            if self
                .unkept_since
                .is_some_and(|since| since.elapsed() >= KEEP)
            {
                self.keep().await;
            }
            if self.answered_at.elapsed() < self.pause {
                return;
            }
            let wanted = self.book.take_wanted();
            if !wanted.is_empty() {
                self.look_up(wanted).await;
            } else if let Some(list) = self.refresh.pop_front() {
                self.read_anew(list).await;
            } else if self.is_refresh_due() {
                self.begin_refresh();
            } else {
                return;
            }
        }
    }

    /// When there may be something to do although nobody says so.
    fn idle_until(&self) -> Instant {
        let now = Instant::now();
        let is_away = self.answered_at.elapsed() < self.pause;
        let resumes = is_away.then(|| self.answered_at + self.pause);
        let keeps = self.unkept_since.map(|since| since + KEEP);
        let next = resumes.into_iter().chain(keeps).min();
        // Whether a refresh is due depends on the other nodes too.
        next.unwrap_or(now + FIRST_PAUSE * 10)
    }

    /// Looks up these keys; those that are not found have no name.
    async fn look_up(&mut self, wanted: BTreeSet<Key>) {
        let mut lists: Vec<List> = Vec::new();
        for list in wanted.iter().flat_map(List::with) {
            if !lists.contains(&list) {
                lists.push(list);
            }
        }
        for list in lists {
            let its_own = |key: &&Key| List::with(key).contains(&list);
            let its_own: Vec<&Key> = wanted.iter().filter(its_own).collect();
            if self.read_for(list.clone(), &its_own).await.is_err() {
                return;
            }
        }
        self.book.conclude(wanted);
    }

    /// Reads a list page by page, until its end or until these keys are known.
    async fn read_for(&mut self, list: List, keys: &[&Key]) -> Result<(), Failure> {
        let mut next = Some(list);
        for _ in 0..MAX_PAGES {
            let known = self.book.all();
            let is_missing = keys.iter().any(|key| !known.has(key));
            drop(known);
            let Some(list) = next.filter(|_| is_missing) else {
                break;
            };
            next = match self.page(&list).await {
                Ok(next) => next,
                Err(Failure::Senseless { .. }) => None,
                Err(failure) => return Err(failure),
            };
        }
        Ok(())
    }

    fn is_refresh_due(&mut self) -> bool {
        let asked_for = self.book.take_refresh();
        let nodes = self.journal.nodes();
        let first = nodes.iter().min_by_key(|node| &node.name);
        let is_first = first.is_none_or(|node| node.is_this);
        let due = match self.book.all().refreshed_at {
            Some(at) => after(at, REFRESH),
            None => Timestamp::UNIX_EPOCH,
        };
        let due = if is_first {
            due
        } else {
            after(due.max(self.started_at), GRACE)
        };
        asked_for || due <= Timestamp::now()
    }

    fn begin_refresh(&mut self) {
        let parents = self.book.all().parents().into_iter().take(MAX_PARENTS);
        let all = [
            List::Campaigns,
            List::Broadcasts,
            List::Transactional,
            List::newsletters(),
        ];
        self.refresh = all.into_iter().chain(parents.map(List::actions)).collect();
        self.n_pages = 0;
    }

    /// Reads one page of what is read anew. What fails is tried again, unless that
    /// would not help.
    async fn read_anew(&mut self, list: List) {
        match self.page(&list).await {
            Ok(next) => next
                .into_iter()
                .for_each(|next| self.refresh.push_front(next)),
            Err(Failure::Senseless { .. }) => {}
            Err(_) => return self.refresh.push_front(list),
        }
        self.n_pages += 1;
        if self.n_pages >= MAX_PAGES {
            self.refresh.clear();
        }
        if self.refresh.is_empty() {
            self.book.refreshed(Timestamp::now());
            self.keep().await;
            let names = self.book.all().len();
            info!(workspace = %self.workspace, names, "names: read {names} anew");
        }
    }

    /// Makes one request, not too soon, and notes what came. Gives the next page.
    async fn page(&mut self, list: &List) -> Result<Option<List>, Failure> {
        let n_nodes = u32::try_from(self.journal.nodes().len()).unwrap_or(1);
        tokio::time::sleep_until(self.answered_at + GAP * n_nodes.max(1)).await;
        self.book.asks();
        let page = self.app_api.page(list).await;
        self.answered_at = Instant::now();
        match page {
            Ok(page) => {
                if !page.names.is_empty() {
                    self.unkept_since.get_or_insert(self.answered_at);
                }
                self.pause = Duration::ZERO;
                self.book.note(page.names, Timestamp::now());
                Ok(page.next)
            }
            Err(failure) => {
                self.fail(&failure);
                Err(failure)
            }
        }
    }

    /// Tells of a failure, once for each kind in a row, and pauses.
    fn fail(&mut self, failure: &Failure) {
        let said = failure.to_string();
        if self.book.status().last_error.as_ref() != Some(&said) {
            warn!(workspace = %self.workspace, "names cannot be looked up: {said}");
        }
        self.pause = pause_after(failure, self.pause);
        self.book.fail(said, self.pause);
    }

    /// Takes what another node has kept since.
    async fn load(&mut self) {
        match self.journal.setting(&setting(&self.workspace)).await {
            Ok(Some(kept)) if self.revision != Some(kept.revision) => {
                self.revision = Some(kept.revision);
                self.book.load(Known::decode(&kept.value).as_ref());
            }
            Ok(_) => self.book.load(None),
            Err(error) => {
                let error = anyhow::Error::from(error);
                warn!(workspace = %self.workspace, "kept names cannot be read: {error:#}");
                self.book.load(None);
            }
        }
    }

    /// Keeps what is known, together with what others have kept.
    async fn keep(&mut self) {
        let key = setting(&self.workspace);
        for _ in 0..TRIES {
            let value = self.book.all().encode();
            let put = self.journal.put_setting(&key, value, self.revision).await;
            match put {
                Ok(revision) => {
                    self.revision = Some(revision);
                    self.unkept_since = None;
                    return;
                }
                Err(PutError::Conflict { .. }) => self.load().await,
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    warn!(workspace = %self.workspace, "names cannot be kept: {error:#}");
                    break;
                }
            }
        }
        // They are looked up anew after a restart; until then memory has them.
        self.unkept_since = Some(Instant::now());
    }
}

/// How long to pause after a failure that came `before` that long a pause.
fn pause_after(failure: &Failure, before: Duration) -> Duration {
    let longer = (before * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
    match failure {
        Failure::Refused(_) => MAX_PAUSE,
        Failure::Away { retry_after, .. } => retry_after.unwrap_or(longer),
        // What was asked is at fault, not the one who was asked.
        Failure::Senseless { .. } => Duration::ZERO,
    }
}

fn after(at: Timestamp, pause: Duration) -> Timestamp {
    at.checked_add(pause).unwrap_or(Timestamp::MAX)
}

fn setting(workspace: &str) -> String {
    format!("names/{workspace}")
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn away(retry_after: Option<u64>) -> Failure {
        Failure::Away {
            reason: "status 503".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn pauses_double_up_to_five_minutes_unless_the_answer_says_how_long() {
        let mut pause = Duration::ZERO;
        let pauses: Vec<u64> = std::iter::repeat_with(|| {
            pause = pause_after(&away(None), pause);
            pause.as_secs()
        })
        .take(11)
        .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause_after(&away(Some(7)), pause).as_secs(), 7);
        let refused = Failure::Refused(StatusCode::UNAUTHORIZED);
        assert_eq!(pause_after(&refused, Duration::ZERO), MAX_PAUSE);
    }
}
