//! What a running server says of itself, and what in it is stuck.
//!
//! Read from its API as any version writes it: what is missing has a default.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::finding::{Check, Finding, ago, size};
use crate::client::{Client, Declined};

/// Where the overview and the counters are.
const OVERVIEW: &str = "/api/overview";
const METRICS: &str = "/metrics";
/// The counter of records that cannot be read any more.
const DAMAGED: &str = "postmeter_damaged_records_total ";
/// The longest a usual workspace is silent.
const LONG_SILENCE_S: f64 = 24.0 * 3_600.0;
/// A connection that is further behind than this does not keep up.
const FAR_BEHIND_S: f64 = 3_600.0;

/// What a server answered.
pub(super) enum Asked {
    /// How it is doing.
    Answered(Box<Seen>),
    /// Nobody, or somebody else, answers; why, in words.
    Silent(String),
    /// It is there, and takes this token not.
    Refused,
}

/// A server, as it shows itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    version: String,
    journal: JournalSeen,
    workspaces: Vec<WorkspaceSeen>,
    pub(super) connections: Vec<ConnectionSeen>,
    dead_letters: u64,
    warnings: Vec<String>,
    nodes: Vec<NodeSeen>,
    unanswered: Vec<String>,
    #[serde(skip)]
    damaged: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JournalSeen {
    health: String,
    reason: Option<String>,
    bytes: u64,
    max_bytes: u64,
    records: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WorkspaceSeen {
    name: String,
    state: StateSeen,
    last_event_at: Option<Timestamp>,
    refused_day: u64,
    last_refusal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StateSeen {
    word: String,
    since: Option<Timestamp>,
    status: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConnectionSeen {
    pub(super) name: String,
    pub(super) endpoint: String,
    state: String,
    reason: Option<String>,
    waiting_since: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
    lag_records: u64,
    oldest_s: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSeen {
    name: String,
    is_this: bool,
    health: String,
    reason: Option<String>,
}

/// Asks the server that `client` knows.
pub(super) async fn ask(client: &Client) -> Asked {
    let overview = match client.get(OVERVIEW).await {
        Ok(overview) => overview,
        Err(error) if error.is::<Declined>() => return Asked::Refused,
        Err(error) => return Asked::Silent(format!("{error:#}")),
    };
    let Some(mut seen) = read(overview) else {
        return Asked::Silent("what answers there is no Postmeter".to_owned());
    };
    if let Ok(metrics) = client.text(METRICS).await {
        seen.damaged = damaged(&metrics);
    }
    Asked::Answered(Box::new(seen))
}

fn read(overview: Value) -> Option<Seen> {
    overview.get("journal")?;
    serde_json::from_value(overview).ok()
}

fn damaged(metrics: &str) -> u64 {
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix(DAMAGED));
    count
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// Everything that it says of itself.
pub(super) fn judge(seen: &Seen, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![version(&seen.version), journal(&seen.journal)];
    if seen.damaged > 0 {
        let found = format!(
            "{} record(s) of the log cannot be read any more and were set aside",
            seen.damaged
        );
        let advice = "the disk loses data: look at the system's log (dmesg) and SMART, and replace \
                      it; the server's log names the records";
        findings.push(Check::new("damage", "").fail(found, advice));
    }
    findings.extend(seen.workspaces.iter().flat_map(|each| workspace(each, now)));
    findings.extend(
        seen.connections
            .iter()
            .flat_map(|each| connection(each, now)),
    );
    findings.push(dead_letters(seen.dead_letters));
    findings.extend(seen.warnings.iter().map(|warning| {
        Check::new("server", "").warn(
            warning.as_str(),
            "the console's settings show where it is decided",
        )
    }));
    findings.extend(nodes(seen));
    findings
}

fn version(theirs: &str) -> Finding {
    let check = Check::new("server", "");
    let ours = env!("CARGO_PKG_VERSION");
    if theirs == ours {
        return check.ok(format!("runs, version {theirs}"));
    }
    check.warn(
        format!("runs version {theirs}, and this program is {ours}"),
        "restart the server with the program that is installed, or run the doctor of its version",
    )
}

fn journal(journal: &JournalSeen) -> Finding {
    let check = Check::new("journal", "");
    let level = format!(
        "{} records, {} of {}",
        journal.records,
        size(journal.bytes),
        size(journal.max_bytes)
    );
    let reason = journal.reason.as_deref().unwrap_or_default();
    let advice = match journal.health.as_str() {
        "healthy" => return check.ok(format!("healthy; {level}")),
        "full" => {
            "see below which connection has not settled, and mend or disable it; or raise \
             [journal] max_bytes where the disk has room"
        }
        "poisoned" => {
            "restart the server, which recovers; if it comes back, the disk is at fault (dmesg)"
        }
        "failing" => {
            "look at the disk: is it full or read-only? It goes on by itself when writes work"
        }
        "unproven" => {
            "postmeter cluster check says which lines of the servers' configuration to change"
        }
        _ => "look at the server's log",
    };
    check.fail(format!("{}: {reason}; {level}", journal.health), advice)
}

fn workspace(workspace: &WorkspaceSeen, now: Timestamp) -> Vec<Finding> {
    let check = || Check::new("workspace", &workspace.name);
    let mut findings = vec![feed(check(), workspace, now)];
    let holds = workspace.state.word == "holding" && workspace.state.status == 401;
    if workspace.refused_day > 0 && !holds {
        let found = format!(
            "{} request(s) were answered 401 within a day: {}",
            workspace.refused_day,
            workspace
                .last_refusal
                .as_deref()
                .unwrap_or("no authentic signature")
        );
        findings.push(check().warn(found, SIGNING_ADVICE));
    }
    findings
}

const SIGNING_ADVICE: &str = "if Customer.io sent them, copy the webhook's signing key from there \
                              into signing_keys; else somebody knocks who knows no key";

fn feed(check: Check, workspace: &WorkspaceSeen, now: Timestamp) -> Finding {
    let since = |at: Option<Timestamp>| at.map(|at| age(at, now));
    match workspace.state.word.as_str() {
        "holding" => {
            let status = workspace.state.status;
            let refusal = workspace.last_refusal.as_deref().filter(|_| status == 401);
            let found = format!(
                "Customer.io's feed stands still for {}: the last request was answered {status}{}",
                since(workspace.state.since).map_or_else(|| "a while".to_owned(), ago),
                refusal.map_or_else(String::new, |refusal| format!(" ({refusal})")),
            );
            let advice = match status {
                401 => SIGNING_ADVICE,
                413 => "raise [receive] body_limit_bytes above the size of its body",
                503 => "the journal takes nothing: see there",
                _ => "the server's log says why",
            };
            check.fail(found, advice)
        }
        "silent" => check.warn(
            "no event has ever come",
            "set the reporting webhook's URL in Customer.io to https://YOUR-HOST/webhooks/WORKSPACE, and send its test",
        ),
        _ => match since(workspace.last_event_at) {
            Some(age) if age > LONG_SILENCE_S => check.warn(
                format!("no event for {}", ago(age)),
                "see in Customer.io whether the reporting webhook is on and messages are sent",
            ),
            Some(age) => check.ok(format!("the last event came {} ago", ago(age))),
            None => check.ok("events come"),
        },
    }
}

fn connection(connection: &ConnectionSeen, now: Timestamp) -> Vec<Finding> {
    let check = || Check::new("connection", &connection.name);
    let lag = format!(
        "{} record(s) not settled, the oldest {} old",
        connection.lag_records,
        ago(connection.oldest_s)
    );
    let mut findings = vec![line(check(), connection, (&lag, now))];
    if connection.confirmed_at.is_none() && connection.state != "disabled" {
        let advice = format!(
            "postmeter send-test {0}, look for it in Segment's debugger, then postmeter connections confirm {0}",
            connection.name
        );
        let found = "unconfirmed: Segment answers 200 even to a wrong write key, and nobody has seen an event arrive";
        findings.push(check().warn(found, advice));
    }
    findings
}

fn line(check: Check, connection: &ConnectionSeen, (lag, now): (&str, Timestamp)) -> Finding {
    let reason = connection
        .reason
        .as_deref()
        .unwrap_or("no reason was given");
    match connection.state.as_str() {
        "waiting" => {
            let since = connection.waiting_since.map_or(0.0, |at| age(at, now));
            let found = format!("stuck for {}: {reason}; {lag}", ago(since));
            check.fail(found, waiting_advice(reason))
        }
        "unknown" => check.warn(format!("{reason}; {lag}"), "see below which node does not answer"),
        "paused" if connection.lag_records > 0 => check.warn(
            format!("paused; {lag}"),
            "set paused = false when it may go on: what it has not sent is kept and fills the journal",
        ),
        "disabled" => check.ok("disabled: nothing is sent"),
        _ if connection.oldest_s > FAR_BEHIND_S => check.warn(
            format!("far behind: {lag}"),
            "watch whether the age shrinks; if not, raise [dispatch] window, or ask Segment for a higher rate",
        ),
        _ => check.ok(lag),
    }
}

/// What to do about a destination, by what it said.
fn waiting_advice(reason: &str) -> &'static str {
    const ADVICE: [(&str, &str); 7] = [
        (
            "401",
            "correct the write key; nothing is lost, it goes on by itself",
        ),
        (
            "403",
            "correct the write key, or what the endpoint allows; it goes on by itself",
        ),
        ("404", "correct the endpoint; it goes on by itself"),
        (
            "429",
            "Segment limits the rate: it goes on by itself; ask Segment for a higher limit if it lasts",
        ),
        (
            "resolve",
            "correct the endpoint or name resolution on this machine; it goes on by itself",
        ),
        (
            "certificate",
            "see the endpoint's line above: renew, correct or trust the certificate",
        ),
        (
            "connect",
            "see the endpoint's line above: start it, or let firewalls pass; it goes on by itself",
        ),
    ];
    let found = ADVICE.into_iter().find(|(word, _)| reason.contains(word));
    found.map_or(
        "look at the endpoint and its status page; nothing is lost, it goes on by itself",
        |(_, advice)| advice,
    )
}

fn dead_letters(n_letters: u64) -> Finding {
    let check = Check::new("dead letters", "");
    if n_letters == 0 {
        return check.ok("none");
    }
    check.warn(
        format!("{n_letters} event(s) or call(s) could not be delivered as they are"),
        "postmeter dead-letters list says why; the console sends them again or discards them",
    )
}

fn nodes(seen: &Seen) -> Vec<Finding> {
    let sick = seen
        .nodes
        .iter()
        .filter(|node| !node.is_this && node.health != "healthy");
    let sick = sick.map(|node| {
        let reason = node.reason.as_deref().unwrap_or(&node.health);
        Check::new("node", &node.name).fail(reason, "run doctor on that machine")
    });
    let silent = seen.unanswered.iter().map(|name| {
        Check::new("node", name).warn(
            "it does not answer",
            "see whether it runs; others take its work within seconds",
        )
    });
    sick.chain(silent).collect()
}

fn age(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Level;
    use super::*;

    const NOW: &str = "2026-05-01T12:00:00Z";

    /// What is said of an overview that has these parts.
    fn said(parts: &Value) -> Vec<Finding> {
        let mut overview = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "journal": { "health": "healthy", "bytes": 5, "max_bytes": 10, "records": 1 },
        });
        let all = overview.as_object_mut().unwrap();
        all.extend(parts.as_object().unwrap().clone());
        judge(&read(overview).unwrap(), NOW.parse().unwrap())
    }

    fn line_with(findings: &[Finding], words: &str) -> Finding {
        let mut lines = findings.iter();
        let found = lines.find(|finding| finding.lines().contains(words));
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {words:?} in {findings:?}"))
    }

    #[test]
    fn what_is_stuck_is_named_with_what_to_do() {
        let connection = |keys: Value| {
            let mut connection = json!({ "name": "c", "confirmed_at": NOW });
            connection
                .as_object_mut()
                .unwrap()
                .extend(keys.as_object().unwrap().clone());
            json!({ "connections": [connection] })
        };
        let cases = [
            (json!({}), "runs, version", Level::Ok),
            (
                json!({ "version": "9.9.9" }),
                "runs version 9.9.9",
                Level::Warn,
            ),
            (
                json!({ "journal": { "health": "full" } }),
                "mend or disable it",
                Level::Fail,
            ),
            (
                json!({ "journal": { "health": "poisoned" } }),
                "restart the server",
                Level::Fail,
            ),
            (
                json!({ "dead_letters": 3 }),
                "dead-letters list",
                Level::Warn,
            ),
            (
                json!({ "unanswered": ["n2"] }),
                "node n2: it does not answer",
                Level::Warn,
            ),
            (
                connection(
                    json!({ "state": "waiting", "reason": "answered 401", "lag_records": 5,
                    "waiting_since": "2026-05-01T11:00:00Z" }),
                ),
                "stuck for 60 min: answered 401; 5 record(s)",
                Level::Fail,
            ),
            (
                connection(json!({ "state": "catching_up", "oldest_s": 9_000.0 })),
                "far behind",
                Level::Warn,
            ),
            (
                connection(json!({ "state": "up_to_date", "confirmed_at": null })),
                "send-test c",
                Level::Warn,
            ),
            (
                json!({ "workspaces": [{ "name": "w", "state": { "word": "holding", "status": 401 },
                    "last_refusal": "the signature is wrong" }] }),
                "answered 401 (the signature is wrong)",
                Level::Fail,
            ),
            (
                json!({ "workspaces": [{ "name": "w", "state": { "word": "sending" },
                    "last_event_at": "2026-04-20T12:00:00Z" }] }),
                "no event for 11 days",
                Level::Warn,
            ),
        ];
        for (parts, words, level) in cases {
            assert_eq!(line_with(&said(&parts), words).level(), level, "{words}");
        }
    }

    #[test]
    fn damage_is_read_from_the_counters() {
        let metrics =
            "# TYPE postmeter_damaged_records_total counter\npostmeter_damaged_records_total 3\n";
        assert_eq!(damaged(metrics), 3);
        assert_eq!(damaged("other 1\n"), 0);
    }

    #[test]
    fn what_answers_without_a_journal_is_no_postmeter() {
        assert!(read(json!({ "hello": 1 })).is_none());
    }
}
