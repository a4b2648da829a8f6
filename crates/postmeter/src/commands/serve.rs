//! `postmeter serve`: the server, until a signal or until another takes its place.
//!
//! Where somebody may be waiting already, at sockets that were inherited, the doors are
//! open before there is a server, and requests wait behind them. Else the journal is
//! opened first, and nobody is let in before it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use bytes::Bytes;
use connections::{Connections, Secret, SecretRef, Secrets, Unlocked, Written};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{block_on, print, start_logging, until_signal};
use crate::cli::ServeArgs;
use crate::config::{Config, Engine};
use crate::doors::Doors;
use crate::handover::{Invitation, Predecessor, Taken};
use crate::notify::Manager;
use crate::observe::Observer;
use crate::secrets::environment;
use crate::serve::{After, Ended, Entrance, Server, Start};
use crate::sockets::{Inherited, Listeners};

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    // The NATS client tells of every connection what we say ourselves.
    start_logging("info,async_nats=warn");
    // Everything is read and checked before the journal is touched.
    let config = Config::load(args.config.as_deref())?;
    if let Engine::Cluster(cluster) = &config.journal {
        cluster.unlock(&environment)?;
    }
    let connections = args
        .connections
        .as_deref()
        .map(read_connections)
        .transpose()?;
    if let Some(written) = &connections {
        unlock(written)?;
    }
    let mut start = Start {
        connections,
        rebuild_index: args.rebuild_index,
        after: After::Nothing,
    };
    // Before there is a second thread.
    let inherited = Inherited::from_manager()?;
    block_on(until_signal(|stop| async move {
        let mut entry = Entry {
            manager: Manager::find(&inherited),
            config,
            doors: None,
            taken: None,
        };
        if inherited.has_sockets() {
            entry.enter(inherited).await?;
        } else if args.take_over {
            start.after = After::Another;
            Box::pin(entry.take_over(&stop)).await?;
        }
        Box::pin(entry.serve(start, &stop)).await
    }))
}

/// The way from the sockets to a server that serves.
struct Entry {
    config: Config,
    manager: Manager,
    /// Open before there is a server, where somebody may be waiting at them.
    doors: Option<Doors>,
    /// Whose place is being taken.
    taken: Option<Taken>,
}

impl Entry {
    /// Serves those who wait at sockets that systemd has bound.
    async fn enter(&mut self, mut inherited: Inherited) -> anyhow::Result<()> {
        let connections = std::mem::take(&mut inherited.connections);
        let doors = Doors::open(Listeners::take_or_bind(inherited, &self.config)?)?;
        for (side, tcp) in connections {
            doors.admit(side, Bytes::new(), tcp).await;
        }
        self.doors = Some(doors);
        Ok(())
    }

    /// Takes the place of the server that runs on the folder, if one does.
    async fn take_over(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let Some((running, inherited)) = Predecessor::find(&self.config).await? else {
            return Ok(());
        };
        // What may fail comes first: until it is asked to, the other does not notice.
        let sockets = Listeners::take_or_bind(inherited, &self.config)?;
        let Some(taken) = stop.run_until_cancelled(running.take()).await else {
            return Ok(()); // told to stop; the other one notices, and goes on
        };
        let taken = taken?;
        let doors = Doors::open(sockets)?;
        let inherited = stop.run_until_cancelled(taken.inherit(&doors)).await;
        self.doors = Some(doors);
        self.taken = Some(taken);
        match inherited {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) => {
                self.give_up().await;
                Err(error)
            }
        }
    }

    async fn serve(
        mut self,
        mut start: Start,
        stop: &CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        loop {
            let starting = Server::start(self.config.clone(), start, Observer::new()?);
            // A cluster that is not there yet is waited for.
            let server = match stop.run_until_cancelled(Box::pin(starting)).await {
                Some(Ok(server)) => server,
                Some(Err(error)) => {
                    self.give_up().await;
                    return Err(error);
                }
                None => {
                    self.give_up().await;
                    return Ok(ExitCode::SUCCESS);
                }
            };
            let entrance = self.open().await?;
            match server.run(entrance, stop).await? {
                Ended::Stopped | Ended::Replaced => return Ok(ExitCode::SUCCESS),
                Ended::Deserted(doors) => {
                    warn!("the process that was to take over has ended: this one goes on");
                    self.doors = Some(doors);
                    start = Start {
                        after: After::Another,
                        ..Start::default()
                    };
                }
            }
        }
    }

    /// Opens the doors, where they are not open yet, and tells everybody.
    async fn open(&mut self) -> anyhow::Result<Entrance> {
        let doors = match self.doors.take() {
            Some(doors) => doors,
            None => Doors::open(Listeners::take_or_bind(Inherited::default(), &self.config)?)?,
        };
        let invitation = Invitation::put(self.config.journal.dir(), doors.sockets()?);
        let addresses = doors.addresses()?;
        print(format_args!(
            "receiving on http://{}/webhooks/{{workspace}}",
            addresses.receive
        ))?;
        print(format_args!("console on http://{}", addresses.console))?;
        if let Some(taken) = self.taken.take() {
            taken.dismiss().await;
        }
        self.manager.ready().await;
        Ok(Entrance {
            doors,
            invitation,
            manager: self.manager.clone(),
        })
    }

    /// Leaves the place to the server that was to be replaced: it goes on as soon as
    /// its successor is silent.
    async fn give_up(&mut self) {
        self.taken = None;
        if let Some(doors) = self.doors.take() {
            doors.abandon().await;
        }
    }
}

/// A connections file whose secrets were read without a journal.
pub(super) struct Offline {
    pub(super) unlocked: Unlocked,
    /// The secrets that only the journal can tell; something stands in for them.
    pub(super) unread: Vec<SecretRef>,
}

/// Reads the secrets that a connections file names, but for those in the journal.
pub(super) fn unlock(written: &Written) -> anyhow::Result<Offline> {
    let connections = written.clone().settle_ids(&Connections::default())?;
    let (mut kept, mut unread) = (BTreeMap::new(), Vec::new());
    for secret in connections.secrets() {
        if let SecretRef::Kept(id) = secret {
            // As long as a write key, so that nobody warns of its length.
            kept.insert(id.clone(), Secret::new("0".repeat(32)));
            unread.push(secret.clone());
        }
    }
    let unlocked = connections.unlock(Secrets {
        environment: &environment,
        kept: &kept,
    });
    let unlocked = unlocked.context("some secrets cannot be read")?;
    Ok(Offline { unlocked, unread })
}

/// Reads a connections file; every mistake in it is in the error.
pub(super) fn read_connections(path: &Path) -> anyhow::Result<Written> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the connections file {shown}"))?;
    Written::parse(&text).with_context(|| format!("the connections file {shown} has mistakes"))
}
