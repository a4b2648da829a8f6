//! The names directory: what Customer.io's ids are called.
//!
//! Events bear ids alone; some tables want names too. Each workspace with an App
//! API key has a [`Book`] of them, which the journal keeps, so that a restart
//! without network knows what was known. It is filled by look-ups that no call
//! waits long for: a call without a name is better than a line that stands still.

mod app_api;
mod book;
mod known;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connections::{Unlocked, UnlockedAppApi};
use journal::Journal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::worker::Worker;

pub(crate) use self::book::{Book, NamesStatus};
pub(crate) use self::known::{Key, Wanted};

/// Every workspace's names. Clones are the same directory.
#[derive(Clone)]
pub(crate) struct Directory {
    journal: Journal,
    lines: Arc<Mutex<BTreeMap<String, Line>>>,
    /// Told when a workspace gets another key, or none.
    changed: watch::Sender<()>,
}

/// A workspace in the directory.
#[derive(Clone, Default)]
struct Line {
    book: Book,
    /// Where names are looked up; nowhere where the workspace has no key.
    api: Option<UnlockedAppApi>,
}

impl Directory {
    /// The directory that `journal` keeps. Nothing is looked up before [`run`].
    pub(crate) fn of(journal: Journal) -> Directory {
        Directory {
            journal,
            lines: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Takes up which workspaces have a key. Who feeds connections calls it before
    /// their feeds start, so that the first page has its names too.
    pub(crate) fn take_up(&self, decided: &Unlocked) {
        let mut lines = self.lines();
        let mut apis = BTreeMap::new();
        for each in &decided.workspaces {
            apis.insert(each.workspace.name.to_string(), each.app_api.clone());
        }
        for (workspace, api) in &apis {
            let line = lines.entry(workspace.clone()).or_default();
            match api {
                Some(_) => line.book.open(),
                None => line.book.close(),
            }
            line.api.clone_from(api);
        }
        lines.retain(|workspace, line| {
            let stays = apis.contains_key(workspace);
            if !stays {
                line.book.close();
            }
            stays
        });
        drop(lines);
        self.changed.send_replace(());
    }

    /// The names of a workspace: none as long as it has no key.
    pub(crate) fn book(&self, workspace: &str) -> Book {
        let mut lines = self.lines();
        let line = lines.entry(workspace.to_owned()).or_default();
        line.book.clone()
    }

    /// How a workspace's names are doing; none where it has no key.
    pub(crate) fn status(&self, workspace: &str) -> Option<NamesStatus> {
        let lines = self.lines();
        let line = lines.get(workspace).filter(|line| line.api.is_some());
        line.map(|line| line.book.status())
    }

    /// The same for each workspace that has a key.
    pub(crate) fn statuses(&self) -> BTreeMap<String, NamesStatus> {
        let lines = self.lines();
        let open = lines.iter().filter(|(_, line)| line.api.is_some());
        open.map(|(workspace, line)| (workspace.clone(), line.book.status()))
            .collect()
    }

    /// Has all of a workspace's names read anew; says whether it has a key.
    pub(crate) fn refresh(&self, workspace: &str) -> bool {
        let lines = self.lines();
        let line = lines.get(workspace).filter(|line| line.api.is_some());
        line.inspect(|line| line.book.refresh()).is_some()
    }

    /// The workspaces that have a key, each with its names and where to look.
    fn with_key(&self) -> BTreeMap<String, (Book, UnlockedAppApi)> {
        let lines = self.lines();
        let with_key = lines.iter().filter_map(|(workspace, line)| {
            let api = line.api.clone()?;
            Some((workspace.clone(), (line.book.clone(), api)))
        });
        with_key.collect()
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        // A map of handles is whole whatever its last holder died of.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks names up until `stop`, for each workspace by itself.
pub(crate) async fn run(directory: Directory, stop: CancellationToken) {
    let mut changed = directory.changed.subscribe();
    let mut running: BTreeMap<String, (UnlockedAppApi, CancellationToken)> = BTreeMap::new();
    let mut workers = JoinSet::new();
    loop {
        changed.borrow_and_update();
        let wanted = directory.with_key();
        let mut replaced = BTreeSet::new();
        running.retain(|workspace, (api, stop)| {
            let stays = wanted.get(workspace).is_some_and(|(_, now)| now == api);
            if !stays {
                stop.cancel();
                replaced.insert(workspace.clone());
            }
            stays
        });
        for (workspace, (book, api)) in wanted {
            if running.contains_key(&workspace) {
                continue;
            }
            if replaced.contains(&workspace) {
                book.refresh(); // which shows whether the new key works
            }
            let line = (workspace.clone(), book);
            match Worker::new(directory.journal.clone(), line, api.clone()) {
                Ok(worker) => {
                    let stop = stop.child_token();
                    workers.spawn(worker.run(stop.clone()));
                    running.insert(workspace, (api, stop));
                }
                Err(error) => error!(%workspace, "names cannot be looked up: {error:#}"),
            }
        }
        tokio::select! {
            _ = changed.changed() => {}
            Some(_) = workers.join_next(), if !workers.is_empty() => {}
            () = stop.cancelled() => break,
        }
    }
    while workers.join_next().await.is_some() {}
}
