//! What an operator may do to a running server, and what the server says of itself.
//!
//! The API, the start of `serve` and the demo all act through here, so that they
//! cannot disagree. Decisions are validated whole, kept durably, and only then
//! take effect.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connections::{Change, Connection, Connections, Mistakes, Settings, Unlocked};
use connections::{UnlockedConnection, UnlockedWorkspace, Written};
use dispatch::{Attempt, Condition};
use jiff::Timestamp;
use journal::{Journal, Partition, Place, ReadError, Seq};
use receive::{Signature, SigningKey, Workspace, Workspaces};
use tokio::sync::{Mutex, watch};

use crate::cli::EnableFrom;
use crate::observe::Lag;
use crate::secrets::environment;
use crate::supervisor::Running;
use crate::trial::{self, Tested};

/// The hands on a running server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) journal: Journal,
    pub(crate) running: Running,
    settings: Settings,
    policy: dispatch::Policy,
    decided: watch::Sender<Arc<Unlocked>>,
    workspaces: watch::Sender<Arc<Workspaces>>,
    /// Held while a decision is made, so that two do not mix.
    deciding: Arc<Mutex<()>>,
}

/// Why a document was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// It has mistakes, or names secrets that cannot be read.
    #[error("the connections have mistakes")]
    Mistakes(#[from] Mistakes),
    /// It is fine, and the server could not do it.
    #[error("cannot apply the connections")]
    Failed(#[from] anyhow::Error),
}

/// What applying a document changed, or would change.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) changes: Vec<Change>,
    pub(crate) warnings: Vec<String>,
}

/// Whether a decision takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apply {
    /// Only say what would change.
    DryRun,
    /// Do it; connections that become enabled begin here.
    Now(EnableFrom),
}

/// How one connection is doing.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) connection: Connection,
    pub(crate) confirmed_at: Option<Timestamp>,
    /// `None` while it is disabled.
    pub(crate) condition: Option<Condition>,
    pub(crate) lag: Lag,
    pub(crate) attempts: Vec<Attempt>,
}

impl Operator {
    /// Takes hold of a journal. Nothing is decided until [`Operator::reload`].
    pub(crate) fn of(journal: Journal, policy: dispatch::Policy) -> Operator {
        let nothing = Unlocked::default();
        Operator {
            settings: Settings::of(journal.clone()),
            journal,
            running: Running::default(),
            policy,
            decided: watch::Sender::new(Arc::new(nothing)),
            workspaces: watch::Sender::new(Arc::default()),
            deciding: Arc::default(),
        }
    }

    /// What is decided, for those who run it.
    pub(crate) fn decided(&self) -> watch::Receiver<Arc<Unlocked>> {
        self.decided.subscribe()
    }

    /// The workspaces, for the stage that receives.
    pub(crate) fn workspaces(&self) -> watch::Receiver<Arc<Workspaces>> {
        self.workspaces.subscribe()
    }

    /// Takes up what the journal's settings say.
    pub(crate) async fn reload(&self) -> Result<Vec<String>, ApplyError> {
        let _deciding = self.deciding.lock().await;
        let (connections, _) = self.settings.load().await.context("cannot load them")?;
        let unlocked = connections.unlock(&environment)?;
        let warnings = unlocked.warnings.clone();
        self.publish(unlocked);
        Ok(warnings)
    }

    /// Makes the decisions those of `written`, or says what that would change.
    pub(crate) async fn apply(&self, written: Written, how: Apply) -> Result<Applied, ApplyError> {
        let _deciding = self.deciding.lock().await;
        let (current, revision) = self.settings.load().await.context("cannot load the old")?;
        let next = written
            .settle_ids(&current)
            .context("no randomness for an id")?;
        let unlocked = next.unlock(&environment)?;
        let warnings = unlocked.warnings.clone();
        let changes = current.changes_to(&next);
        if let Apply::Now(enable_from) = how {
            self.place_cursors(&current, &next, enable_from).await?;
            if !changes.is_empty() {
                self.settings
                    .save(&next, revision)
                    .await
                    .context("cannot keep the new")?;
            }
            self.publish(unlocked);
            self.forget_the_removed(&current, &next).await?;
        }
        Ok(Applied { changes, warnings })
    }

    /// A new connection begins with the next event. One that becomes enabled
    /// begins where it stopped, or with the next event.
    async fn place_cursors(
        &self,
        current: &Connections,
        next: &Connections,
        enable_from: EnableFrom,
    ) -> anyhow::Result<()> {
        for connection in next.connections() {
            let known = current
                .connections()
                .iter()
                .find(|known| known.id == connection.id);
            let resumes = known.is_some_and(|known| !known.enabled && connection.enabled);
            let from_now = known.is_none() || resumes && enable_from == EnableFrom::Now;
            for partition in self.journal.partitions().filter(|_| from_now) {
                let newest = self
                    .journal
                    .durable(partition)
                    .borrow()
                    .unwrap_or(Seq::ZERO);
                let id = connection.id.as_str();
                let placed = self.journal.place_cursor(id, partition, newest).await;
                placed.context("cannot place a cursor")?;
            }
        }
        Ok(())
    }

    async fn forget_the_removed(
        &self,
        current: &Connections,
        next: &Connections,
    ) -> anyhow::Result<()> {
        for removed in current.connections() {
            if !next
                .connections()
                .iter()
                .any(|stays| stays.id == removed.id)
            {
                let forgotten = self.journal.forget_connection(removed.id.as_str()).await;
                forgotten.context("cannot forget a removed connection")?;
            }
        }
        Ok(())
    }

    fn publish(&self, unlocked: Unlocked) {
        let workspaces = unlocked.workspaces.iter().map(workspace).collect();
        self.workspaces.send_replace(Arc::new(workspaces));
        self.decided.send_replace(Arc::new(unlocked));
    }

    /// The decisions as a document.
    pub(crate) async fn export(&self) -> anyhow::Result<String> {
        let (connections, _) = self.settings.load().await?;
        Ok(connections.to_toml())
    }

    /// Every connection, enabled or not.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        let unlocked = self.decided.borrow();
        let each = unlocked.connections.iter();
        each.map(|each| each.connection.clone()).collect()
    }

    /// How every connection is doing.
    pub(crate) async fn statuses(&self) -> anyhow::Result<Vec<Status>> {
        let mut statuses = Vec::new();
        for connection in self.connections() {
            let line = self.running.line(&connection.id);
            let attempts = line.as_ref().map(|line| line.outbox.recent_attempts());
            statuses.push(Status {
                confirmed_at: self.settings.confirmed(&connection).await?,
                condition: line.map(|line| line.outbox.condition().borrow().clone()),
                lag: self.lag(&connection).await?,
                attempts: attempts.unwrap_or_default(),
                connection,
            });
        }
        Ok(statuses)
    }

    /// How far a connection is behind what is durable.
    pub(crate) async fn lag(&self, connection: &Connection) -> anyhow::Result<Lag> {
        let mut lag = Lag::default();
        for partition in self.journal.partitions() {
            let newest = self
                .journal
                .durable(partition)
                .borrow()
                .unwrap_or(Seq::ZERO);
            let settled = self.settled(connection, partition).await?;
            let behind = newest.get().saturating_sub(settled.get());
            lag.records += behind;
            if behind > 0 {
                let oldest = Place {
                    partition,
                    seq: settled.next(),
                };
                let received_at = match self.journal.received_at(oldest).await {
                    // Its age is lost with it; the feed steps over it.
                    Err(ReadError::Damaged { .. }) => None,
                    received_at => received_at?,
                };
                let age = received_at.map(|at| Timestamp::now().duration_since(at));
                let age = age.and_then(|age| Duration::try_from(age).ok());
                lag.oldest = lag.oldest.max(age.unwrap_or_default());
            }
        }
        Ok(lag)
    }

    /// Through where a connection has settled a partition.
    pub(crate) async fn settled(
        &self,
        connection: &Connection,
        partition: Partition,
    ) -> anyhow::Result<Seq> {
        let cursor = self
            .journal
            .cursor(connection.id.as_str(), partition)
            .await?;
        Ok(cursor.unwrap_or(Seq::ZERO))
    }

    /// Keeps that a person saw a test event arrive; `None`: no such connection.
    pub(crate) async fn confirm(&self, name: &str) -> anyhow::Result<Option<()>> {
        let Some(UnlockedConnection { connection, .. }) = self.find(name) else {
            return Ok(None);
        };
        self.settings.confirm(&connection, Timestamp::now()).await?;
        Ok(Some(()))
    }

    /// Sends one test event through a connection, past its queue and its
    /// selection, and waits for one answer; `None`: no such connection.
    pub(crate) async fn send_test(&self, name: &str) -> anyhow::Result<Option<Tested>> {
        let Some(UnlockedConnection {
            connection,
            destination,
        }) = self.find(name)
        else {
            return Ok(None);
        };
        trial::send(&connection, destination, self.policy.clone())
            .await
            .map(Some)
    }

    /// The id of the connection of this name.
    pub(crate) fn id_of(&self, name: &str) -> Option<String> {
        self.find(name).map(|found| found.connection.id.to_string())
    }

    /// The name of the connection of this id; the id itself once it is removed.
    pub(crate) fn name_of(&self, id: &str) -> String {
        let unlocked = self.decided.borrow();
        let mut each = unlocked.connections.iter().map(|each| &each.connection);
        let found = each.find(|connection| connection.id.as_str() == id);
        found.map_or_else(|| id.to_owned(), |connection| connection.name.to_string())
    }

    fn find(&self, name: &str) -> Option<UnlockedConnection> {
        let unlocked = self.decided.borrow();
        let mut each = unlocked.connections.iter();
        each.find(|each| each.connection.name.as_str() == name)
            .cloned()
    }
}

fn workspace(unlocked: &UnlockedWorkspace) -> Workspace {
    let decided = &unlocked.workspace;
    let keys = || {
        unlocked
            .signing_keys
            .iter()
            .map(|key| SigningKey::new(key.reveal()))
            .collect()
    };
    Workspace {
        name: decided.name.as_str().into(),
        signature: match decided.signature {
            connections::Signature::Keys(_) => Signature::Keys(keys()),
            connections::Signature::Off => Signature::Off,
        },
        timestamp_tolerance: decided.timestamp_tolerance,
    }
}
