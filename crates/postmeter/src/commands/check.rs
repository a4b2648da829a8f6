//! `postmeter check`: everything that can be known wrong before a start.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::serve::{Offline, read_connections, unlock};
use super::{EXIT_MISTAKE, print, talk, tell};
use crate::cli::CheckArgs;
use crate::config::{Config, Engine};
use crate::secrets::environment;

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut results = vec![check_config(args.config.as_deref())];
    results.extend(args.connections.as_deref().map(check_connections));
    let mut code = ExitCode::SUCCESS;
    for result in results {
        match result {
            Ok(summary) => print(summary)?,
            Err(error) => {
                tell(&error);
                code = ExitCode::from(EXIT_MISTAKE);
            }
        }
    }
    Ok(code)
}

fn check_config(path: Option<&Path>) -> anyhow::Result<String> {
    let config = Config::load(path)?;
    check_folder(&config)?;
    Ok(match &config.journal {
        Engine::Embedded(journal) => {
            format!("config: fine; the journal is in {}", journal.dir.display())
        }
        Engine::Cluster(cluster) => {
            let cluster = cluster.unlock(&environment)?;
            let servers = cluster.servers.join(", ");
            format!(
                "config: fine; node {} of the journal on {servers}",
                cluster.name
            )
        }
    })
}

/// Whether the journal's folder is there or can be made, and takes files.
fn check_folder(config: &Config) -> anyhow::Result<()> {
    let dir = config.journal.dir();
    let mut existing = dir;
    while !existing.exists() {
        match existing.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => existing = parent,
            _ => return Ok(()), // a relative folder in the current one
        }
    }
    let probe = existing.join(format!(".postmeter-check-{}", std::process::id()));
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    written.with_context(|| format!("the journal's folder {} takes no files", dir.display()))
}

fn check_connections(path: &Path) -> anyhow::Result<String> {
    let Offline { unlocked, unread } = unlock(&read_connections(path)?)?;
    for secret in unread {
        talk(format_args!(
            "note: {secret} is in a server's journal, so it was not read"
        ));
    }
    for warning in &unlocked.warnings {
        talk(format_args!("warning: {warning}"));
    }
    Ok(format!(
        "connections: fine; {} workspace(s), {} connection(s)",
        unlocked.workspaces.len(),
        unlocked.connections.len()
    ))
}
