//! `postmeter doctor`: what is wrong, with what to do about it.
//!
//! Each check is a thin probe and a judgement of what it brought. They look from
//! outside: a running server is asked by its API, and the journal's files are opened
//! by nobody here. Nothing is changed; the file that times the disk is removed again.

mod disk;
mod finding;
mod folder;
mod ports;
mod proc;
mod reach;
mod running;
mod written;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use connections::{Connections, Endpoint};
use jiff::Timestamp;
use serde_json::json;

use self::finding::{Check, Finding, Level};
use self::ports::Server;
use self::reach::Endpoints;
use self::running::{Asked, Seen};
use self::written::Written;
use super::{EXIT_MISTAKE, EXIT_WRONG, block_on, print, print_json, talk};
use crate::cli::DoctorArgs;
use crate::client::Client;
use crate::config::{Config, Engine};

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(args.server.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            let file = args
                .server
                .config
                .as_deref()
                .map_or(String::new(), |file| file.display().to_string());
            let findings = written::mistakes(
                &Check::new("config", file),
                &error,
                "correct it, and run doctor again: nothing else was looked at",
            );
            report(&findings, args)?;
            return Ok(ExitCode::from(EXIT_MISTAKE));
        }
    };
    let findings = block_on(examine(config, args))?;
    report(&findings, args)?;
    let worst = findings.iter().map(Finding::level).max();
    Ok(match worst {
        Some(Level::Fail) => ExitCode::from(EXIT_WRONG),
        Some(Level::Warn | Level::Ok) | None => ExitCode::SUCCESS,
    })
}

/// Every check, in the order in which causes come before what they cause.
async fn examine(mut config: Config, args: &DoctorArgs) -> anyhow::Result<Vec<Finding>> {
    // Already installed is as good: there is one provider in this program.
    drop(rustls::crypto::ring::default_provider().install_default());
    if let Some(token_file) = &args.server.token_file {
        config.token_file.clone_from(token_file);
    }
    if let Some(address) = args.server.server {
        config.console_listen = address;
    }
    let written = args
        .connections
        .as_deref()
        .map(written::read)
        .unwrap_or_default();
    let asked = ask(args).await;
    let seen = match &asked {
        Asked::Answered(seen) => Some(&**seen),
        Asked::Silent(_) | Asked::Refused => None,
    };
    let holder = proc::lock_holder(config.journal.dir());
    let server = match (seen, &holder) {
        (None, None) => Server::Stopped,
        (_, holder) => Server::Runs(holder.as_ref()),
    };

    let mut findings = vec![valid(args)];
    findings.extend(folder::examine(&config));
    findings.push(time_disk(&config).await?);
    findings.extend(ports::examine(&config, server));
    findings.extend(presence(&asked, server));
    let Written {
        findings: said,
        decided,
        unlocked,
    } = written;
    findings.extend(said);
    findings.extend(unknown(args, seen));
    let endpoints = endpoints(decided.as_ref(), seen);
    let tolerance = decided.as_ref().and_then(tolerance);
    findings.extend(reach::endpoints(endpoints, &config.dispatch, tolerance).await);
    if let Some(unlocked) = unlocked {
        findings.extend(reach::app_apis(&unlocked.workspaces).await);
    }
    if let Engine::Cluster(cluster) = &config.journal {
        findings.extend(judge_cluster(super::cluster::ask(cluster).await));
    }
    findings.extend(
        seen.into_iter()
            .flat_map(|seen| running::judge(seen, Timestamp::now())),
    );
    Ok(findings)
}

fn valid(args: &DoctorArgs) -> Finding {
    match &args.server.config {
        Some(file) => Check::new("config", file.display()).ok("valid"),
        None => Check::new("config", "").ok("no file was named: the defaults"),
    }
}

async fn ask(args: &DoctorArgs) -> Asked {
    match Client::find(&args.server) {
        Ok(client) => running::ask(&client).await,
        Err(error) => Asked::Silent(format!("{error:#}")),
    }
}

/// Syncing waits for the disk, so it is off the runtime's threads.
async fn time_disk(config: &Config) -> anyhow::Result<Finding> {
    let dir = folder::existing(config.journal.dir());
    let timed = tokio::task::spawn_blocking(move || match disk::time(&dir) {
        Ok(timed) => disk::judge(&dir, &timed),
        Err(error) => disk::unwritable(&dir, &error),
    });
    timed.await.context("the disk's timing died")
}

/// Whether a server runs, where it does not say so itself.
fn presence(asked: &Asked, server: Server<'_>) -> Option<Finding> {
    let check = Check::new("server", "");
    match (asked, server) {
        (Asked::Answered(_), _) => None,
        (Asked::Refused, _) => Some(check.fail(
            "what answers there does not take this token",
            "--config and --token-file have to be those of the server that runs; restart it if its token was changed",
        )),
        (Asked::Silent(_), Server::Stopped) => Some(check.ok("none runs here: looked at from outside")),
        (Asked::Silent(why), Server::Runs(holder)) => {
            let pid = holder.map_or_else(String::new, |holder| format!(" (process {})", holder.pid));
            let found = format!("one has the journal open{pid} and cannot be asked: {why}");
            let advice = "give --server and --token-file where it listens elsewhere; if it hangs, \
                          its log says why, and a restart loses nothing";
            Some(check.fail(found, advice))
        }
    }
}

/// That connections were not looked at, where nobody says what they are.
fn unknown(args: &DoctorArgs, seen: Option<&Seen>) -> Option<Finding> {
    let nobody = args.connections.is_none() && seen.is_none();
    nobody.then(|| {
        Check::new("connections", "").warn(
            "not looked at: no file was named, and no server says what they are",
            "name the file with --connections, or start the server",
        )
    })
}

/// Where calls go, by the file and by the server.
fn endpoints(decided: Option<&Connections>, seen: Option<&Seen>) -> Endpoints {
    let mut endpoints = Endpoints::new();
    let mut add = |endpoint: Endpoint, name: &str| {
        let (_, users) = endpoints
            .entry(endpoint.to_string())
            .or_insert_with(|| (endpoint, Vec::new()));
        if !users.iter().any(|user| user == name) {
            users.push(name.to_owned());
        }
    };
    for each in decided.into_iter().flat_map(Connections::connections) {
        add(each.target.endpoint(), each.name.as_str());
    }
    for each in seen.into_iter().flat_map(|seen| &seen.connections) {
        if let Ok(endpoint) = Endpoint::parse(&each.endpoint) {
            add(endpoint, &each.name);
        }
    }
    endpoints
}

/// The least tolerance of any workspace.
fn tolerance(decided: &Connections) -> Option<Duration> {
    let workspaces = decided.workspaces().iter();
    workspaces.filter_map(|each| each.timestamp_tolerance).min()
}

fn judge_cluster(asked: anyhow::Result<journal::Durability>) -> Vec<Finding> {
    let found = match asked {
        Ok(found) => found,
        Err(error) => {
            let advice = "see whether the NATS servers run, and whether [journal] names them and their secrets";
            return vec![Check::new("cluster", "").fail(format!("{error:#}"), advice)];
        }
    };
    let refused = found.judgement.refused.iter();
    let mut findings: Vec<Finding> = refused
        .map(|it| Check::new("cluster", &it.about).fail(it.what.clone(), it.fix.clone()))
        .collect();
    findings.extend(found.judgement.accepted.iter().map(|it| {
        let advice = format!("accepted as a loss; to be safe: {}", it.fix);
        Check::new("cluster", &it.about).warn(it.what.clone(), advice)
    }));
    if findings.is_empty() {
        let n_servers = found.report.servers.len();
        let proven = format!("{n_servers} server(s) keep what they acknowledge: proven");
        findings.push(Check::new("cluster", "").ok(proven));
    }
    findings
}

fn report(findings: &[Finding], args: &DoctorArgs) -> anyhow::Result<()> {
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level() == level)
            .count()
    };
    let [ok, warn, fail] = [Level::Ok, Level::Warn, Level::Fail].map(count);
    if args.json {
        return print_json(&json!({ "checks": findings, "ok": ok, "warn": warn, "fail": fail }));
    }
    for finding in findings {
        print(finding.lines())?;
    }
    talk(format_args!("{ok} fine, {warn} to look at, {fail} wrong"));
    Ok(())
}
