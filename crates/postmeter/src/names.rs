//! The names directory: what Customer.io's ids are called.
//!
//! Events bear ids alone; some tables want names too. Each workspace with an App
//! API key has a [`Book`] of them, which the journal keeps, so that a restart
//! without network knows what was known. It is filled by look-ups that no call
//! waits long for: a call without a name is better than a line that stands still.

mod app_api;
mod book;
pub(crate) mod known;
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

/// Asks for the campaigns once, to see whether the App API is there and takes the key.
pub(crate) async fn knock(api: UnlockedAppApi) -> anyhow::Result<()> {
    let api = app_api::AppApi::new(api)?;
    api.page(&app_api::List::Campaigns).await?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use connections::{Connections, Secret, Secrets, Written};
    use emulator::customerio::{AppApi, Listing, Named};
    use journal::{Config, Journal};
    use tempfile::TempDir;
    use tokio::net::TcpListener;

    use super::*;

    /// What an operator decided who wants the names that are at `url`.
    fn decided(url: &str, key: &str) -> Unlocked {
        let text = format!(
            "[[workspace]]\nname = \"acme\"\nsignature = \"off\"\n\
             app_api_key = \"kept:key\"\napp_api_url = \"{url}\"\n"
        );
        let written = Written::parse(&text).unwrap();
        let connections = written.settle_ids(&Connections::default()).unwrap();
        let kept = BTreeMap::from([("key".to_owned(), Secret::new(key.to_owned()))]);
        let environment = |_: &str| None;
        let unlocked = connections.unlock(Secrets {
            environment: &environment,
            kept: &kept,
        });
        unlocked.unwrap()
    }

    /// An App API that listens, and where.
    async fn app_api(tasks: &mut JoinSet<()>, stop: &CancellationToken) -> (AppApi, String) {
        let app_api = AppApi::new("key");
        app_api.list(Listing {
            newsletters: vec![Named::new(7, "Weekly")],
            ..Listing::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (served, stop) = (app_api.clone(), stop.clone());
        tasks.spawn(async move { served.run(listener, stop).await.unwrap() });
        (app_api, url)
    }

    /// Waits until a directory's status is as it should be.
    async fn status_until(
        directory: &Directory,
        is_it: impl Fn(&NamesStatus) -> bool,
    ) -> NamesStatus {
        let begun = tokio::time::Instant::now();
        loop {
            let status = directory.status("acme").unwrap();
            if is_it(&status) {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "{status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn journal(folder: &TempDir) -> Journal {
        let config = Config::for_tests(folder.path().join("journal"));
        Journal::open(config).await.unwrap()
    }

    #[tokio::test]
    async fn what_one_node_has_looked_up_the_others_know() {
        let (folder, stop) = (TempDir::new().unwrap(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let journal = journal(&folder).await;
        let (_, url) = app_api(&mut tasks, &stop).await;
        let (one, other) = (
            Directory::of(journal.clone()),
            Directory::of(journal.clone()),
        );
        // Nobody listens on port 1.
        other.take_up(&decided("http://127.0.0.1:1", "key"));
        tasks.spawn(run(other.clone(), stop.clone()));
        status_until(&other, |status| status.last_error.is_some()).await;
        one.take_up(&decided(&url, "key"));
        tasks.spawn(run(one.clone(), stop.clone()));
        let known = status_until(&other, |status| status.names == 1).await;
        assert!(known.refreshed_at.is_some() && known.last_error.is_some());
        stop.cancel();
        tasks.join_all().await;
        journal.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_new_key_is_tried_at_once_and_no_key_means_no_names() {
        let (folder, stop) = (TempDir::new().unwrap(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let journal = journal(&folder).await;
        let (app_api, url) = app_api(&mut tasks, &stop).await;
        let directory = Directory::of(journal.clone());
        directory.take_up(&decided(&url, "wrong"));
        tasks.spawn(run(directory.clone(), stop.clone()));
        let refused = status_until(&directory, |status| status.last_error.is_some()).await;
        let said = refused.last_error.unwrap();
        assert!(said.contains("401") && !said.contains("wrong"), "{said}");

        directory.take_up(&decided(&url, "key"));
        status_until(&directory, |status| status.names == 1).await;
        let n_asked = app_api.asked().len();
        assert!(directory.refresh("acme"));
        let asked_again = |_: &NamesStatus| app_api.asked().len() > n_asked;
        status_until(&directory, asked_again).await;

        assert_eq!(directory.book("acme").known().len(), 1);
        directory.take_up(&Unlocked::default());
        assert_eq!(directory.status("acme"), None);
        assert_eq!(directory.book("acme").known().len(), 0);
        assert!(!directory.refresh("acme"));
        stop.cancel();
        tasks.join_all().await;
        journal.close().await.unwrap();
    }
}
