//! `postmeter serve`: the server, until a signal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use connections::{Connections, Secret, SecretRef, Secrets, Unlocked, Written};

use super::{block_on, print, start_logging, until_signal};
use crate::cli::ServeArgs;
use crate::config::{Config, Engine};
use crate::observe::Observer;
use crate::secrets::environment;
use crate::serve::{Server, Start};

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
    let start = Start {
        connections,
        rebuild_index: args.rebuild_index,
    };
    block_on(until_signal(|stop| async move {
        let starting = Box::pin(Server::start(config, start, Observer::new()?));
        // A cluster that is not there yet is waited for.
        let Some(server) = stop.run_until_cancelled(starting).await else {
            return Ok(ExitCode::SUCCESS);
        };
        let server = server?;
        let addresses = server.addresses()?;
        print(format_args!(
            "receiving on http://{}/webhooks/{{workspace}}",
            addresses.receive
        ))?;
        print(format_args!("console on http://{}", addresses.console))?;
        server.run(stop).await?;
        Ok(ExitCode::SUCCESS)
    }))
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
