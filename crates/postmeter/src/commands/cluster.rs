//! `postmeter cluster check`: whether what the cluster acknowledges is durable.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use journal::Durability;
use journal::durability::{Finding, ServerReport, Standing, Storage, StreamReport};
use serde_json::{Value, json};

use super::table::lay_out;
use super::{EXIT_MISTAKE, EXIT_WRONG, block_on, print, print_json, talk, tell};
use crate::cli::ClusterCommand;
use crate::config::{Cluster, Config, Engine};
use crate::secrets::environment;

/// How long servers may take that are just being started.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(command: &ClusterCommand) -> anyhow::Result<ExitCode> {
    let ClusterCommand::Check { config, json } = command;
    let found = match examine(config) {
        Ok(found) => found,
        Err(error) => {
            tell(&error);
            return Ok(ExitCode::from(EXIT_MISTAKE));
        }
    };
    if *json {
        print_json(&as_json(&found))?;
    } else {
        show(&found)?;
    }
    Ok(if found.judgement.is_durable() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_WRONG)
    })
}

fn examine(path: &Path) -> anyhow::Result<Durability> {
    // Already installed is as good: there is one provider in this program.
    drop(rustls::crypto::ring::default_provider().install_default());
    let config = Config::load(Some(path))?;
    let Engine::Cluster(cluster) = &config.journal else {
        anyhow::bail!("this config keeps its journal in a folder: there is no cluster to check");
    };
    block_on(ask(cluster))
}

/// What the servers and streams say of themselves.
pub(super) async fn ask(cluster: &Cluster) -> anyhow::Result<Durability> {
    let mut cluster = cluster.unlock(&environment)?;
    cluster.join_patience = Some(PATIENCE);
    let checked = journal::check(&cluster).await;
    checked.context("cannot check the cluster")
}

fn show(found: &Durability) -> anyhow::Result<()> {
    let servers: Vec<_> = found.report.servers.iter().map(server_row).collect();
    print(lay_out(&["SERVER", "VERSION", "SYNCS", "PROVEN"], &servers))?;
    print("")?;
    let streams: Vec<_> = found.report.streams.iter().map(stream_row).collect();
    if streams.is_empty() {
        talk("there are no streams yet: the first node makes them when it starts");
    } else {
        let heads = ["STREAM", "STORAGE", "REPLICAS", "ACKNOWLEDGES", "SERVERS"];
        print(lay_out(&heads, &streams))?;
        print("")?;
    }
    for finding in &found.judgement.refused {
        print(format_args!(
            "{}: {}\n{}\n",
            finding.about, finding.what, finding.fix
        ))?;
    }
    for finding in &found.judgement.accepted {
        print(format_args!(
            "accepted: {}: {}",
            finding.about, finding.what
        ))?;
    }
    print(match found.judgement.refused.len() {
        0 if found.judgement.accepted.is_empty() => "durable: proven".to_owned(),
        0 => "durable: except for what is accepted".to_owned(),
        n => format!("not durable: {n} finding(s)"),
    })
}

fn server_row(server: &ServerReport) -> Vec<String> {
    let syncs = match (server.sync_always, server.sync_interval) {
        (Some(true), _) => "always".to_owned(),
        (Some(false), Some(interval)) => format!("every {interval:?}"),
        (Some(false), None) => "not always".to_owned(),
        (None, _) => "-".to_owned(),
    };
    vec![
        server.name.clone(),
        server.version.clone().unwrap_or_else(|| "-".to_owned()),
        syncs,
        standing(server.standing).to_owned(),
    ]
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Proven => "yes",
        Standing::Refuted => "no",
        Standing::Away => "away",
        Standing::Silent => "no answer",
    }
}

fn stream_row(stream: &StreamReport) -> Vec<String> {
    let acknowledges = if stream.persist_async {
        "before it writes"
    } else {
        "after it writes"
    };
    let peers: Vec<&str> = stream.peers.iter().map(|peer| peer.name.as_str()).collect();
    vec![
        stream.name.clone(),
        storage(stream.storage).to_owned(),
        stream.replicas.to_string(),
        acknowledges.to_owned(),
        peers.join(" "),
    ]
}

fn storage(storage: Storage) -> &'static str {
    match storage {
        Storage::File => "file",
        Storage::Memory => "memory",
    }
}

fn as_json(found: &Durability) -> Value {
    let server = |server: &ServerReport| {
        json!({
            "name": server.name,
            "version": server.version,
            "sync_always": server.sync_always,
            "sync_interval_s": server.sync_interval.map(|interval| interval.as_secs_f64()),
            "standing": standing(server.standing),
        })
    };
    let stream = |stream: &StreamReport| {
        let peers: Vec<_> = stream.peers.iter().map(|peer| peer.name.as_str()).collect();
        json!({
            "name": stream.name,
            "storage": storage(stream.storage),
            "replicas": stream.replicas,
            "persist_async": stream.persist_async,
            "servers": peers,
        })
    };
    let servers: Vec<_> = found.report.servers.iter().map(server).collect();
    let streams: Vec<_> = found.report.streams.iter().map(stream).collect();
    let refused: Vec<_> = found.judgement.refused.iter().map(finding).collect();
    let accepted: Vec<_> = found.judgement.accepted.iter().map(finding).collect();
    json!({
        "durable": found.judgement.is_durable(),
        "servers": servers,
        "streams": streams,
        "findings": refused,
        "accepted": accepted,
        "checked_at": format!("{:.3}", found.checked_at),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "loss": finding.loss.name(),
        "about": finding.about.to_string(),
        "what": finding.what,
        "fix": finding.fix,
    })
}
