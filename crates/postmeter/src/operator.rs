//! What an operator may do to a running server, and what the server says of itself.
//!
//! The API, the start of `serve` and the demo all act through here, so that they
//! cannot disagree. Decisions are validated whole, kept durably, and only then
//! take effect; see [`decide`].

mod audit;
mod decide;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connections::{Connection, SecretRef, Settings, Unlocked, UnlockedConnection};
use jiff::Timestamp;
use journal::{Journal, Partition, Place, ReadError, Revision, Seq};
use receive::Workspaces;
use shape::{Event, Shaped};
use tokio::sync::{Mutex, watch};

use self::audit::Audit;
pub(crate) use self::decide::{Apply, ApplyError, follow};
use crate::duties::Duties;
use crate::names::{self, Directory};
use crate::observe::Lag;
use crate::replay::Replays;
use crate::supervisor::Running;
use crate::trial::{self, Tested};

/// The hands on a running server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) journal: Journal,
    pub(crate) running: Running,
    pub(crate) duties: Duties,
    pub(crate) names: Directory,
    pub(crate) audit: Audit,
    pub(crate) replays: Replays,
    settings: Settings,
    policy: dispatch::Policy,
    decided: watch::Sender<Arc<Unlocked>>,
    workspaces: watch::Sender<Arc<Workspaces>>,
    /// The revision of what is decided. Held while a decision is made, so that
    /// two do not mix.
    deciding: Arc<Mutex<Option<Revision>>>,
    /// Why the newest decisions are not in effect on this node.
    trouble: watch::Sender<Option<String>>,
}

/// Where an event came from, and when.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) workspace: &'a str,
    pub(crate) at: Timestamp,
}

impl Operator {
    /// Takes hold of a journal. Nothing is decided until [`Operator::reload`].
    pub(crate) fn of(journal: Journal, policy: dispatch::Policy) -> Operator {
        let nothing = Unlocked::default();
        Operator {
            audit: Audit::of(journal.clone()),
            replays: Replays::of(journal.clone()),
            settings: Settings::of(journal.clone()),
            duties: Duties::of(journal.clone()),
            names: Directory::of(journal.clone()),
            journal,
            running: Running::default(),
            policy,
            decided: watch::Sender::new(Arc::new(nothing)),
            workspaces: watch::Sender::new(Arc::default()),
            deciding: Arc::default(),
            trouble: watch::Sender::new(None),
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

    /// What works on this node and still deserves a look, and what does not.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let unlocked = self.decided.borrow();
        let trouble = self.trouble.borrow().clone();
        trouble
            .into_iter()
            .chain(unlocked.warnings.clone())
            .chain(self.journal.set_aside())
            .collect()
    }

    /// The decisions as a document.
    pub(crate) async fn export(&self) -> anyhow::Result<String> {
        let (connections, _) = self.settings.load().await?;
        Ok(connections.to_toml())
    }

    /// Keeps a secret that somebody typed in, and says where.
    pub(crate) async fn keep_secret(&self, secret: &str) -> anyhow::Result<SecretRef> {
        let kept = self.settings.keep_secret(secret).await;
        kept.context("cannot keep the secret")
    }

    /// Every connection, enabled or not.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        let unlocked = self.decided.borrow();
        let each = unlocked.connections.iter();
        each.map(|each| each.connection.clone()).collect()
    }

    /// When a person saw a test event arrive through this very connection.
    pub(crate) async fn confirmed(
        &self,
        connection: &Connection,
    ) -> anyhow::Result<Option<Timestamp>> {
        Ok(self.settings.confirmed(connection).await?)
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
                    Err(ReadError::Damaged { .. } | ReadError::Erased { .. }) => None,
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

    /// Keeps a confirmation that was given elsewhere, where there is none here.
    pub(crate) async fn take_confirmation_over(
        &self,
        id: &str,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let mut connections = self.connections().into_iter();
        let Some(connection) = connections.find(|each| each.id.as_str() == id) else {
            return Ok(());
        };
        if self.confirmed(&connection).await?.is_none() {
            self.settings.confirm(&connection, at).await?;
        }
        Ok(())
    }

    /// Sends one test event through a connection, past its queue and its
    /// selection, and waits for one answer; `None`: no such connection.
    pub(crate) async fn send_test(&self, name: &str) -> anyhow::Result<Option<Tested>> {
        let Some(UnlockedConnection {
            connection,
            destination,
            ..
        }) = self.find(name)
        else {
            return Ok(None);
        };
        trial::send(&connection, destination, self.policy.clone())
            .await
            .map(Some)
    }

    /// What an event of a workspace becomes with these options, with the names
    /// that are known now.
    pub(crate) fn shaped(
        &self,
        event: &Event<'_>,
        arrival: Arrival<'_>,
        options: &shape::Options,
    ) -> Shaped {
        let known = self.names.book(arrival.workspace).known();
        let wanted = names::Wanted::of(&event.references());
        let names = known.names_of(&wanted);
        shape::shape(event, Some(arrival.at), options, &names)
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
