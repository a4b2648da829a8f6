//! What speaks against durability, by what streams and servers say: facts in,
//! findings out. Whether a finding matters is not decided here.

use super::{About, Finding, Loss, ServerReport, Standing, Storage, StreamReport};

/// The first version whose replicated streams are known to be synced before they
/// are acknowledged, at a bearable price.
const OLDEST: [u64; 3] = [2, 15, 1];

/// What is demanded, and by which subject servers are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand<'a> {
    pub(super) replicas: usize,
    pub(super) report_subject: &'a str,
}

pub(super) fn find(
    streams: &[StreamReport],
    servers: &[ServerReport],
    demand: Demand<'_>,
) -> Vec<Finding> {
    let of_streams = streams
        .iter()
        .flat_map(|stream| of_stream(stream, demand.replicas));
    let mut findings: Vec<Finding> = of_streams.collect();
    let n_answers = servers.iter().filter(|server| answered(server)).count();
    if n_answers == 0 {
        findings.push(nobody_answered(demand.report_subject));
        return findings;
    }
    let of_servers = servers
        .iter()
        .filter(|server| is_near(server, streams))
        .flat_map(|server| of_server(server, n_answers, demand.report_subject));
    findings.extend(of_servers);
    findings
}

/// Servers of other clusters than the streams' can hold no replica.
fn is_near(server: &ServerReport, streams: &[StreamReport]) -> bool {
    let mut clusters = streams.iter().filter_map(|stream| stream.cluster.as_ref());
    match &server.cluster {
        Some(theirs) => streams.is_empty() || clusters.any(|ours| ours == theirs),
        None => true,
    }
}

pub(super) fn answered(server: &ServerReport) -> bool {
    matches!(server.standing, Standing::Proven | Standing::Refuted)
}

/// What a server's own words are worth. One that does not mention that it syncs
/// always does not.
pub(super) fn standing(version: &str, sync_always: Option<bool>) -> Standing {
    if sync_always == Some(true) && is_new_enough(version) {
        Standing::Proven
    } else {
        Standing::Refuted
    }
}

/// Of a version between two releases, only the number before the dash is compared;
/// a forerunner of the oldest release is older than it.
fn is_new_enough(version: &str) -> bool {
    let (numbers, forerunner) = match version.split_once('-') {
        Some((numbers, _)) => (numbers, true),
        None => (version, false),
    };
    let numbers: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
    let Ok(numbers) = numbers else {
        return false;
    };
    match numbers.as_slice().cmp(OLDEST.as_slice()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => !forerunner,
        std::cmp::Ordering::Greater => true,
    }
}

fn of_stream(stream: &StreamReport, wanted: usize) -> Vec<Finding> {
    let name = &stream.name;
    let finding = |loss, what, fix| Finding {
        loss,
        about: About::Stream(name.clone()),
        what,
        fix,
    };
    let anew = format!(
        "a stream keeps this for life: empty it, remove it and let Postmeter make it anew\n  nats stream rm {name}"
    );
    let mut findings = Vec::new();
    if stream.storage == Storage::Memory {
        let what = format!("stream {name} is kept in memory");
        findings.push(finding(Loss::MemoryStorage, what, anew.clone()));
    }
    if stream.persist_async {
        let what = format!("stream {name} is acknowledged before it is written");
        findings.push(finding(Loss::AsyncPersist, what, anew));
    }
    let held = stream.replicas.min(stream.peers.len().max(1));
    if held < wanted {
        let what = format!("stream {name} is held by {held} of {wanted} servers");
        let fix = format!(
            "nats stream edit {name} --replicas {wanted}\nand in postmeter.toml:\n  [journal]\n  replicas = {wanted}"
        );
        findings.push(finding(Loss::FewReplicas, what, fix));
    }
    findings
}

fn of_server(server: &ServerReport, n_answers: usize, report_subject: &str) -> Vec<Finding> {
    let name = &server.name;
    let finding = |loss, what, fix| Finding {
        loss,
        about: About::Server(name.clone()),
        what,
        fix,
    };
    if server.standing == Standing::Away {
        let what = format!("server {name} is away: it cannot say whether it syncs");
        return vec![finding(
            Loss::Unproven,
            what,
            format!("start server {name}"),
        )];
    }
    if server.standing == Standing::Silent {
        let what =
            format!("server {name} takes part, but does not say on {report_subject} how it syncs");
        let mut fix = format!("nats request {report_subject} '' --replies 0 --timeout 2s");
        if n_answers == 1 {
            // What an export without it looks like from here.
            fix = format!(
                "in the export of the system account, if it is missing:\n  response_type: stream\nand ask again:\n  {fix}"
            );
        }
        return vec![finding(Loss::Unproven, what, fix)];
    }
    let mut findings = Vec::new();
    if server.sync_always != Some(true) {
        let every = server.sync_interval.map_or_else(
            || "now and then".to_owned(),
            |every| format!("every {every:?}"),
        );
        let what = format!("server {name} syncs {every}, not before it acknowledges");
        let fix = format!(
            "in the configuration of server {name}:\n  jetstream {{ sync_interval: always }}"
        );
        findings.push(finding(Loss::UnsyncedWrites, what, fix));
    }
    let version = server.version.as_deref().unwrap_or_default();
    if !is_new_enough(version) {
        let [major, minor, patch] = OLDEST;
        let what = format!("server {name} runs NATS {version:?}");
        let fix = format!("install NATS {major}.{minor}.{patch} or newer on server {name}");
        findings.push(finding(Loss::OldServer, what, fix));
    }
    findings
}

fn nobody_answered(report_subject: &str) -> Finding {
    Finding {
        loss: Loss::Unproven,
        about: About::Cluster,
        what: format!("no server says on {report_subject} how it syncs"),
        fix: export(report_subject),
    }
}

/// The lines that let the application's account ask every server.
fn export(report_subject: &str) -> String {
    format!(
        r#"in the configuration of every server, SYS being its system account and APP that of Postmeter's user:
  accounts {{
    SYS {{ exports: [ {{ service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream, accounts: [APP] }} ] }}
    APP {{ imports: [ {{ service: {{ account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" }}, to: "{report_subject}" }} ] }}
  }}
and the user may publish {report_subject}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_version_before_the_oldest_is_new_enough() {
        for new in ["2.15.1", "2.15.2", "2.16.0", "2.16.0-RC.1", "3.0.0"] {
            assert!(is_new_enough(new), "{new}");
        }
        for old in [
            "2.15.0",
            "2.15.1-RC.2",
            "2.14.9",
            "2.9.25",
            "1.99.99",
            "",
            "2",
            "dev",
            "2.15.x",
        ] {
            assert!(!is_new_enough(old), "{old}");
        }
    }
}
