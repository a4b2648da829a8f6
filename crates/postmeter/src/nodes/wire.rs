//! How nodes write what they say. Nodes of two builds speak with each other while
//! a cluster is brought up to date, so what is missing has a default and what is
//! not known is left alone.

use std::collections::BTreeMap;

use dispatch::Condition;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::observe::Counts;

/// The most bytes of attempts in one answer: a message between nodes is a
/// megabyte at the most.
const ATTEMPTS_BYTES: usize = 512 * 1024;

/// How one node is doing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeReport {
    /// Its journal's health in a word.
    pub(crate) health: String,
    /// Why, where it is not well.
    pub(crate) reason: Option<String>,
    /// What its operator should look at.
    pub(crate) warnings: Vec<String>,
    /// The partitions that it indexes.
    pub(crate) indexes: Vec<u16>,
    /// The partitions that it feeds, by the connection's name.
    pub(crate) feeds: BTreeMap<String, Vec<u16>>,
    /// What it has counted.
    pub(crate) counts: Counts,
}

/// How one connection is doing on one node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LineReport {
    /// Whose line.
    pub(super) id: String,
    /// The partitions that the node feeds.
    pub(super) partitions: Vec<u16>,
    /// What holds it back, if anything does.
    pub(super) waiting: Option<Waiting>,
    /// Its last attempts, newest first, as the API shows them.
    pub(super) attempts: Vec<Value>,
}

/// What holds a connection back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Waiting {
    #[serde(with = "moment")]
    pub(crate) since: Timestamp,
    pub(crate) reason: String,
    #[serde(with = "moment")]
    pub(crate) retry_at: Timestamp,
}

impl Waiting {
    pub(super) fn of(condition: &Condition) -> Option<Waiting> {
        match condition {
            Condition::Flowing => None,
            Condition::Waiting {
                since,
                reason,
                retry_at,
                ..
            } => Some(Waiting {
                since: *since,
                reason: reason.clone(),
                retry_at: *retry_at,
            }),
        }
    }
}

/// A moment as text, RFC 3339.
mod moment {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(
        moment: &Timestamp,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(moment)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The reports with no more attempts than fit into an answer; each line keeps its
/// newest.
pub(super) fn budgeted(mut reports: Vec<LineReport>) -> Vec<LineReport> {
    let share = ATTEMPTS_BYTES / reports.len().max(1);
    for report in &mut reports {
        let mut left = share;
        let fits = |attempt: &Value| {
            let bytes = attempt.to_string().len();
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        };
        let fitting = report.attempts.iter().map(fits).take_while(|fits| *fits);
        let n_fitting = fitting.count();
        report.attempts.truncate(n_fitting);
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_never_holds_more_attempts_than_fit() {
        let attempt = Value::String("x".repeat(4_000));
        let report = LineReport {
            attempts: vec![attempt; 50],
            ..LineReport::default()
        };
        let small = budgeted(vec![report.clone()]);
        assert_eq!(small.first().unwrap().attempts.len(), 50);
        let large = budgeted(vec![report; 20]);
        let bytes = serde_json::to_vec(&large).unwrap().len();
        assert!(bytes < ATTEMPTS_BYTES + 20 * 200, "{bytes} bytes");
        assert!(large.iter().all(|report| !report.attempts.is_empty()));
    }

    #[test]
    fn a_report_of_another_build_is_understood() {
        let report: NodeReport =
            serde_json::from_str(r#"{"indexes": [1], "mood": "good"}"#).unwrap();
        assert_eq!(report.indexes, [1]);
        assert_eq!(report.reason, None);
    }
}
