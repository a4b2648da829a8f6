//! What was written down: the connections file, its secrets, and keys that look odd.

use std::path::Path;

use connections::{Connections, Mistakes, Signature, Unlocked};

use super::finding::{Check, Finding};
use crate::commands::serve::{Offline, read_connections, unlock};

/// What a connections file came to.
#[derive(Default)]
pub(super) struct Written {
    pub(super) findings: Vec<Finding>,
    /// What it decides; none where it has mistakes or there is none.
    pub(super) decided: Option<Connections>,
    /// The same with its secrets; none where one cannot be read.
    pub(super) unlocked: Option<Unlocked>,
}

/// Reads the file as `serve` does.
pub(super) fn read(path: &Path) -> Written {
    let shown = path.display();
    let document = match read_connections(path) {
        Ok(document) => document,
        Err(error) => {
            let advice = "correct it; postmeter check says the same";
            return Written {
                findings: mistakes(&Check::new("connections", shown), &error, advice),
                ..Written::default()
            };
        }
    };
    let decided = document.clone().settle_ids(&Connections::default()).ok();
    match unlock(&document) {
        Ok(Offline { unlocked, unread }) => {
            let mut findings = odd(&unlocked);
            for secret in unread {
                let found = format!("{secret} is in a server's journal, so it was not read");
                findings.push(Check::new("secret", "").ok(found));
            }
            let found = format!(
                "valid: {} workspace(s), {} connection(s)",
                unlocked.workspaces.len(),
                unlocked.connections.len()
            );
            findings.insert(0, Check::new("connections", shown).ok(found));
            Written {
                findings,
                decided,
                unlocked: Some(unlocked),
            }
        }
        Err(error) => {
            let advice = "set the variable, or make the file, for the user that runs Postmeter; \
                          doctor has to run with the same environment";
            Written {
                findings: mistakes(&Check::new("secret", ""), &error, advice),
                decided,
                unlocked: None,
            }
        }
    }
}

/// Each mistake is a finding of its own; the error itself where it holds none.
pub(super) fn mistakes(check: &Check, error: &anyhow::Error, advice: &str) -> Vec<Finding> {
    let mut chain = error.chain();
    let found = chain.find_map(<dyn std::error::Error>::downcast_ref::<Mistakes>);
    match found {
        Some(mistakes) => mistakes
            .iter()
            .map(|mistake| check.clone().fail(mistake.to_string(), advice))
            .collect(),
        None => vec![check.clone().fail(format!("{error:#}"), advice)],
    }
}

/// What works and deserves a look.
fn odd(unlocked: &Unlocked) -> Vec<Finding> {
    let warned = unlocked.warnings.iter().map(|warning| {
        let found = warning.as_str();
        Check::new("key", "").warn(found, warning_advice(found))
    });
    warned
        .chain(shared(unlocked))
        .chain(signed_alike(unlocked))
        .collect()
}

fn warning_advice(warning: &str) -> &'static str {
    if warning.contains("write key has") || warning.contains("write key is") {
        "copy it again from Segment: the source's Settings, API Keys"
    } else if warning.contains("not https") {
        "write https://, unless the network in between is yours"
    } else {
        "give the workspace signing_keys: Customer.io shows the key where the reporting webhook is set up"
    }
}

/// Keys that two of them have.
fn shared(unlocked: &Unlocked) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut others = unlocked.connections.as_slice();
    while let Some((one, rest)) = others.split_first() {
        for other in rest
            .iter()
            .filter(|other| other.destination == one.destination)
        {
            let found = format!(
                "connections {} and {} have the same write key (it ends with {}), so the source gets the events of both",
                one.connection.name, other.connection.name, one.write_key_ends_with
            );
            let advice = "give each connection a Segment source of its own, if that was not meant";
            findings.push(Check::new("key", "").warn(found, advice));
        }
        others = rest;
    }
    findings
}

/// Workspaces that take events from anyone are told of by their warning; those that
/// share a key are told of here.
fn signed_alike(unlocked: &Unlocked) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut others = unlocked.workspaces.as_slice();
    while let Some((one, rest)) = others.split_first() {
        let signed = one.workspace.signature != Signature::Off;
        for other in rest.iter().filter(|_| signed) {
            let mut keys = one.signing_keys.iter();
            if keys.any(|key| other.signing_keys.contains(key)) {
                let found = format!(
                    "workspaces {} and {} have a signing key in common: events of one would be taken for the other",
                    one.workspace.name, other.workspace.name
                );
                let advice = "copy each workspace's own key from Customer.io";
                findings.push(Check::new("key", "").warn(found, advice));
            }
        }
        others = rest;
    }
    findings
}
