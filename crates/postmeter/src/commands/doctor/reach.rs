//! The way out: each endpoint's name, port, certificate and answer, the App APIs and
//! their keys, and this machine's clock beside theirs. No event and no write key leave.

use std::collections::BTreeMap;
use std::time::Duration;

use connections::UnlockedWorkspace;
use dispatch::{Endpoint, Obstacle, Policy, Reached, Unreached, reach};
use jiff::SignedDuration;
use tokio::task::JoinSet;

use super::finding::{Check, Finding};
use crate::names;

/// How long an answer to nothing may take: a shorter patience than for calls.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far two clocks may be apart: a date is exact to a second, and takes a while.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(5);
/// Event times that are so wrong are of no use.
const CLOCK_WRONG: SignedDuration = SignedDuration::from_mins(1);

/// An endpoint and the connections that send to it, by the endpoint's text.
pub(super) type Endpoints = BTreeMap<String, (Endpoint, Vec<String>)>;

/// Goes the way to each endpoint, all at once, and compares clocks.
pub(super) async fn endpoints(
    endpoints: Endpoints,
    policy: &Policy,
    tolerance: Option<Duration>,
) -> Vec<Finding> {
    let policy = Policy {
        request_timeout: policy.request_timeout.min(PATIENCE),
        ..policy.clone()
    };
    let mut probes = JoinSet::new();
    for (text, (endpoint, users)) in endpoints {
        let policy = policy.clone();
        probes.spawn(async move {
            let about = format!("{text} ({})", users.join(", "));
            (about, reach(&endpoint, &policy).await)
        });
    }
    let mut results = probes.join_all().await;
    results.sort_by(|(one, _), (other, _)| one.cmp(other));
    let ahead: Vec<SignedDuration> = results
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok()?.ahead)
        .collect();
    let mut findings: Vec<Finding> = results
        .into_iter()
        .map(|(about, result)| judge(Check::new("segment", about), result))
        .collect();
    findings.extend(judge_clock(&ahead, tolerance));
    findings
}

fn judge(check: Check, result: Result<Reached, Unreached>) -> Finding {
    let reached = match result {
        Ok(reached) => reached,
        Err(Unreached { obstacle, what }) => return check.fail(what, advice(obstacle)),
    };
    let ms = reached.took.as_millis();
    let found = format!("answers {} within {ms} ms", reached.status);
    match reached.status {
        407 => check.fail(
            format!("{found}: a proxy asks for a password"),
            "put it into HTTPS_PROXY, or name the endpoint's host in NO_PROXY",
        ),
        300..400 => check.warn(
            format!("{found}: it sends us elsewhere, and no redirect is followed"),
            "write the endpoint that it names",
        ),
        500.. => check.warn(
            format!("{found}: it has trouble"),
            "wait, and look at its status page; calls wait in the journal meanwhile",
        ),
        _ => check.ok(format!("{found}; no event was sent")),
    }
}

fn advice(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Here => {
            "install the system's root certificates (ca-certificates); SSL_CERT_FILE may name others"
        }
        Obstacle::Name => {
            "correct the endpoint, or mend name resolution (/etc/resolv.conf) on this machine"
        }
        Obstacle::Connect => {
            "let a firewall pass connections to this host and port, set HTTPS_PROXY where there is \
             no other way out, or start the server there"
        }
        Obstacle::Certificate => {
            "renew the certificate, correct the host's name, or trust its issuer on this machine \
             (SSL_CERT_FILE); a proxy that opens TLS shows its own"
        }
        Obstacle::Secure => {
            "the port does not speak TLS as it should: write http:// or another port if that is meant"
        }
        Obstacle::Silence => {
            "it takes connections and does not answer: look at that server, or at a proxy in between"
        }
        Obstacle::Break => {
            "something in between cuts the connection: look at proxies and firewalls"
        }
    }
}

/// The best of all comparisons counts: one clock that agrees is enough.
fn judge_clock(ahead: &[SignedDuration], tolerance: Option<Duration>) -> Option<Finding> {
    let check = Check::new("clock", "");
    let ahead = ahead.iter().min_by_key(|ahead| ahead.abs()).copied()?;
    let seconds = ahead.abs().as_secs();
    let direction = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    let found = format!("this machine is {seconds} s {direction} the endpoints' clocks");
    let advice = "synchronise the clock (timedatectl set-ntp true)";
    let refused = tolerance.and_then(|tolerance| SignedDuration::try_from(tolerance).ok());
    if refused.is_some_and(|tolerance| ahead.abs() > tolerance) {
        let found = format!("{found}: beyond timestamp_tolerance_s, so events are answered 401");
        return Some(check.fail(found, advice));
    }
    if ahead.abs() > CLOCK_SLACK {
        let found = format!("{found}, and Segment shifts every event's time by as much");
        return Some(if ahead.abs() > CLOCK_WRONG {
            check.fail(found, advice)
        } else {
            check.warn(found, advice)
        });
    }
    Some(check.ok(format!(
        "within {} s of the endpoints' clocks",
        CLOCK_SLACK.as_secs()
    )))
}

/// Whether each App API answers and takes its key.
pub(super) async fn app_apis(workspaces: &[UnlockedWorkspace]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for each in workspaces {
        let Some(api) = each.app_api.clone() else {
            continue;
        };
        let about = format!("{} ({})", api.url, each.workspace.name);
        let check = Check::new("app api", about);
        findings.push(match names::knock(api).await {
            Ok(()) => check.ok("answers, and takes the key"),
            Err(error) => check.fail(
                format!("{error:#}"),
                "correct app_api_key and app_api_region (Customer.io: Account settings, API \
                 credentials, App API keys); calls go on without new names meanwhile",
            ),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn answered(status: u16) -> Reached {
        Reached {
            status,
            took: Duration::from_millis(12),
            ahead: None,
        }
    }

    #[test]
    fn any_answer_but_trouble_shows_that_the_way_is_open() {
        let levels = [
            (200, Level::Ok),
            (401, Level::Ok),
            (404, Level::Ok),
            (301, Level::Warn),
            (503, Level::Warn),
            (407, Level::Fail),
        ];
        for (status, level) in levels {
            assert_eq!(
                judge(Check::new("segment", "u"), Ok(answered(status))).level(),
                level,
                "{status}"
            );
        }
    }

    #[test]
    fn a_clock_is_wrong_where_no_other_agrees() {
        let seconds = |all: &[i64]| -> Vec<SignedDuration> {
            all.iter().copied().map(SignedDuration::from_secs).collect()
        };
        let minutes_5 = Some(Duration::from_mins(5));
        let cases = [
            (seconds(&[1, -4_000]), None, Level::Ok),
            (seconds(&[-20]), None, Level::Warn),
            (seconds(&[-20]), Some(Duration::from_secs(10)), Level::Fail),
            (seconds(&[200]), minutes_5, Level::Fail),
        ];
        for (ahead, tolerance, level) in cases {
            let finding = judge_clock(&ahead, tolerance).unwrap();
            assert_eq!(finding.level(), level, "{}", finding.lines());
        }
        assert_eq!(judge_clock(&[], None), None);
    }
}
