//! How a connection is doing on all nodes together: as its worst part does.

use connections::Connection;
use console::seen::LineState;
use jiff::Timestamp;
use serde_json::Value;

use super::wire::{LineReport, Waiting};
use super::{Gathered, Member};
use crate::observe::Lag;
use crate::operator::Operator;

/// How one connection is doing.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) connection: Connection,
    pub(crate) confirmed_at: Option<Timestamp>,
    pub(crate) lag: Lag,
    /// Who feeds which partition.
    pub(crate) holders: Vec<Holder>,
    /// Partitions that nobody who answered feeds.
    pub(crate) idle: Vec<u16>,
    /// What holds it back, where anything does: the longest wait of all.
    pub(crate) waiting: Option<Waiting>,
    /// The last attempts of all nodes, newest first.
    pub(crate) attempts: Vec<Value>,
}

impl Status {
    /// The state in a word, and why; `unanswered` are the nodes that did not say.
    pub(crate) fn state(&self, unanswered: &[String]) -> (LineState, Option<String>) {
        if !self.connection.enabled {
            return (LineState::Disabled, None);
        }
        if self.connection.paused {
            let why = "it keeps its place until somebody lets it go on";
            return (LineState::Paused, Some(why.to_owned()));
        }
        if let Some(Waiting {
            since,
            reason,
            retry_at,
        }) = &self.waiting
        {
            let why = format!("{reason}, since {since:.0}; tries again at {retry_at:.0}");
            return (LineState::Waiting, Some(why));
        }
        if !self.idle.is_empty() {
            return idle(&self.idle, unanswered);
        }
        if self.confirmed_at.is_none() {
            let why = "nobody has confirmed that an event arrived in Segment";
            return (LineState::Unconfirmed, Some(why.to_owned()));
        }
        match self.lag.records {
            0 => (LineState::UpToDate, None),
            _ => (LineState::CatchingUp, None),
        }
    }
}

/// The state of a connection some of whose partitions nobody is known to feed.
fn idle(partitions: &[u16], unanswered: &[String]) -> (LineState, Option<String>) {
    let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    let partitions = partitions.join(", ");
    match unanswered {
        [] => {
            let why = format!("no node has taken partition {partitions} up yet");
            (LineState::Starting, Some(why))
        }
        silent => {
            let silent = silent.join(", ");
            let why = format!("partition {partitions} may be with {silent}, which does not answer");
            (LineState::Unknown, Some(why))
        }
    }
}

/// A node that feeds a partition of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Holder {
    pub(crate) partition: u16,
    pub(crate) node: String,
}

/// How every connection is doing, and which nodes did not say.
pub(crate) async fn statuses(operator: &Operator) -> anyhow::Result<(Vec<Status>, Vec<String>)> {
    let gathered = super::lines(operator).await;
    let partitions: Vec<u16> = operator
        .journal
        .partitions()
        .map(journal::Partition::get)
        .collect();
    let mut statuses = Vec::new();
    for connection in operator.connections() {
        let merged = merge(&gathered, connection.id.as_str(), &partitions);
        statuses.push(Status {
            confirmed_at: operator.confirmed(&connection).await?,
            lag: operator.lag(&connection).await?,
            connection,
            holders: merged.holders,
            idle: merged.idle,
            waiting: merged.waiting,
            attempts: merged.attempts,
        });
    }
    Ok((statuses, gathered.unanswered))
}

/// What the nodes say of one connection.
#[derive(PartialEq, Debug, Default)]
struct Merged {
    holders: Vec<Holder>,
    idle: Vec<u16>,
    waiting: Option<Waiting>,
    attempts: Vec<Value>,
}

fn merge(gathered: &Gathered<Vec<LineReport>>, id: &str, partitions: &[u16]) -> Merged {
    let mut merged = Merged::default();
    let answers = gathered.answers.iter();
    let lines = answers.flat_map(|(node, lines)| lines.iter().map(move |line| (node, line)));
    for (node, line) in lines.filter(|(_, line)| line.id == id) {
        merged.take_up(node, line);
    }
    merged.holders.sort_by_key(|holder| holder.partition);
    let held = |partition: &&u16| {
        let mut holders = merged.holders.iter();
        holders.any(|holder| holder.partition == **partition)
    };
    merged.idle = partitions
        .iter()
        .filter(|each| !held(each))
        .copied()
        .collect();
    // Times are written alike, so that their text sorts as they do.
    let at = |attempt: &Value| attempt.get("at").map(Value::to_string);
    merged
        .attempts
        .sort_by_key(|attempt| std::cmp::Reverse(at(attempt)));
    merged.attempts.truncate(dispatch::RECENT_ATTEMPTS);
    merged
}

impl Merged {
    fn take_up(&mut self, node: &Member, line: &LineReport) {
        self.attempts.extend(line.attempts.iter().cloned());
        let holders = line.partitions.iter().map(|partition| Holder {
            partition: *partition,
            node: node.name.clone(),
        });
        self.holders.extend(holders);
        // A gate that nothing goes through says nothing about the connection.
        let waiting = line.waiting.clone().filter(|_| !line.partitions.is_empty());
        let both = self.waiting.take().into_iter().chain(waiting);
        self.waiting = both.min_by_key(|waiting| waiting.since);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(name: &str) -> Member {
        Member {
            name: name.to_owned(),
            ..Member::alone()
        }
    }

    fn line(partitions: &[u16], waits_since: Option<i64>, attempts: &[&str]) -> Vec<LineReport> {
        let waiting = waits_since.map(|second| Waiting {
            since: Timestamp::from_second(second).unwrap(),
            reason: format!("since {second}"),
            retry_at: Timestamp::UNIX_EPOCH,
        });
        let attempts = attempts.iter().map(|at| json!({ "at": at }));
        vec![LineReport {
            id: "c".to_owned(),
            partitions: partitions.to_vec(),
            waiting,
            attempts: attempts.collect(),
        }]
    }

    fn gathered(answers: Vec<Vec<LineReport>>) -> Gathered<Vec<LineReport>> {
        let names = ["a", "b", "c"].into_iter();
        Gathered {
            answers: names.map(member).zip(answers).collect(),
            unanswered: Vec::new(),
        }
    }

    #[test]
    fn a_connection_waits_as_long_as_its_slowest_part() {
        let nodes = gathered(vec![
            line(&[0], None, &["2026-01-01T00:00:01.000Z"]),
            line(&[1], Some(50), &["2026-01-01T00:00:03.000Z"]),
            line(&[2], Some(40), &["2026-01-01T00:00:02.000Z"]),
        ]);
        let merged = merge(&nodes, "c", &[0, 1, 2]);
        assert_eq!(merged.waiting.unwrap().reason, "since 40");
        let at = |attempt: &Value| attempt["at"].as_str().unwrap()[18..19].to_owned();
        let order: Vec<String> = merged.attempts.iter().map(at).collect();
        assert_eq!(order, ["3", "2", "1"], "newest first, whoever made them");
        assert_eq!(merged.idle, [0; 0]);
    }

    #[test]
    fn a_node_that_feeds_nothing_holds_nothing_back() {
        let nodes = gathered(vec![line(&[0], None, &[]), line(&[], Some(1), &[])]);
        let merged = merge(&nodes, "c", &[0, 1]);
        assert_eq!(merged.waiting, None);
        assert_eq!(merged.idle, [1], "nobody feeds partition 1");
        let holder = Holder {
            partition: 0,
            node: "a".to_owned(),
        };
        assert_eq!(merged.holders, [holder]);
    }
}
