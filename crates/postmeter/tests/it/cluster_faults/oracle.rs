//! What must hold whatever was killed: every event that was taken is at Segment,
//! whole, under one id; nothing else is; a first-only connection has one call per
//! message; and nobody was turned away without a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::{Answer, Heard, delivery, subject};

/// How long after a server was killed or cut off events may be turned away: its
/// streams choose new leaders.
pub(super) const ELECTION: Duration = Duration::from_secs(15);

/// Why a request may go without a 200.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Excuse {
    /// The servers choose leaders, or there is no majority: 503, by any node.
    NoLeader,
    /// This node has lost its server: 503, by this node.
    Alone(usize),
    /// This node is dead: no answer at all.
    Dead(usize),
}

/// A time for which there is an excuse.
#[derive(Clone, Debug)]
struct Window {
    excuse: Excuse,
    from: Instant,
    until: Option<Instant>,
}

/// What was done, and when.
pub(super) struct Timeline {
    begun: Instant,
    windows: Vec<Window>,
    silences: Vec<Silence>,
    faults: Vec<(String, Instant)>,
}

/// A time in which a 200 would be a lie: by this node, or by any.
struct Silence {
    node: Option<usize>,
    from: Instant,
    until: Option<Instant>,
}

impl Timeline {
    pub(super) fn new() -> Timeline {
        Timeline {
            begun: Instant::now(),
            windows: Vec::new(),
            silences: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Notes what is done now.
    pub(super) fn fault(&mut self, what: String) {
        println!("{:7.2} s  {what}", self.begun.elapsed().as_secs_f64());
        self.faults.push((what, Instant::now()));
    }

    /// From now on there is an excuse.
    pub(super) fn excuse(&mut self, excuse: Excuse) {
        self.windows.push(Window {
            excuse,
            from: Instant::now(),
            until: None,
        });
    }

    /// The excuse ends so long after now.
    pub(super) fn no_excuse(&mut self, excuse: Excuse, after: Duration) {
        let until = Instant::now() + after;
        let same = |window: &&mut Window| window.excuse == excuse && window.until.is_none();
        for window in self.windows.iter_mut().filter(same) {
            window.until = Some(until);
        }
    }

    /// From now on nothing can be stored through this node, or through any.
    pub(super) fn silence(&mut self, node: Option<usize>) {
        self.silences.push(Silence {
            node,
            from: Instant::now(),
            until: None,
        });
    }

    /// Things can be stored again.
    pub(super) fn no_silence(&mut self) {
        for silence in &mut self.silences {
            silence.until.get_or_insert_with(Instant::now);
        }
    }

    /// Nobody said 200 who could not have stored anything.
    pub(super) fn assert_honest(&self, answers: &[Answer]) {
        for silence in &self.silences {
            let lies = answers.iter().filter(|answer| {
                let of_node = silence.node.is_none_or(|node| node == answer.node);
                let ended = silence.until.is_some_and(|until| answer.answered >= until);
                of_node && answer.is_taken() && answer.asked >= silence.from && !ended
            });
            assert_eq!(lies.count(), 0, "events were taken that nobody stored");
        }
    }

    /// Nobody was turned away without an excuse, and nobody heard anything but
    /// 200 and 503.
    pub(super) fn assert_excused(&self, answers: &[Answer]) {
        let unexcused: Vec<String> = answers
            .iter()
            .filter(|answer| !answer.is_taken() && !self.is_excused(answer))
            .map(|answer| {
                let at = |time: Instant| (time - self.begun).as_secs_f64();
                let (asked, answered) = (at(answer.asked), at(answer.answered));
                let Answer { node, what, .. } = answer;
                format!("{asked:.2} to {answered:.2} s, node {node}: {what:?}")
            })
            .collect();
        let shown = unexcused.len().min(20);
        assert!(
            unexcused.is_empty(),
            "{} answers without an excuse: {:#?}",
            unexcused.len(),
            &unexcused[..shown]
        );
    }

    fn is_excused(&self, answer: &Answer) -> bool {
        let fits = |window: &Window| match window.excuse {
            Excuse::NoLeader => answer.what == Heard::Status(503),
            Excuse::Alone(node) => answer.what == Heard::Status(503) && node == answer.node,
            Excuse::Dead(node) => matches!(answer.what, Heard::Nothing(_)) && node == answer.node,
        };
        let during = |window: &Window| {
            let ended = window.until.is_some_and(|until| match window.excuse {
                Excuse::Dead(_) => answer.asked > until,
                _ => answer.answered > until,
            });
            answer.answered >= window.from && !ended
        };
        self.windows
            .iter()
            .any(|window| fits(window) && during(window))
    }

    /// Prints for each fault the longest time without a 200.
    pub(super) fn print_gaps(&self, answers: &[Answer]) {
        let taken = answers.iter().filter(|answer| answer.is_taken());
        let mut times: Vec<Instant> = taken.map(|answer| answer.answered).collect();
        times.sort();
        let ends = self.faults.iter().skip(1).map(|(_, begun)| *begun);
        let ends = ends.chain(times.last().copied());
        for ((what, begun), end) in self.faults.iter().zip(ends) {
            let of_fault = times.iter().copied().filter(|at| begun <= at && *at <= end);
            let points: Vec<Instant> = [*begun].into_iter().chain(of_fault).collect();
            let gaps = points.windows(2).map(|pair| pair[1] - pair[0]);
            let longest = gaps.max().unwrap_or_default();
            println!("{:7.2} s without a 200: {what}", longest.as_secs_f64());
        }
        let slowest = answers.iter().map(|answer| answer.answered - answer.asked);
        let slowest = slowest.max().unwrap_or_default();
        println!("{:7.2} s took the slowest answer", slowest.as_secs_f64());
    }
}

/// The event that became this call.
pub(super) fn person(call: &Value) -> usize {
    let person = call["userId"].as_str().unwrap();
    person.strip_prefix("person-").unwrap().parse().unwrap()
}

/// Every event up to `n_events` has arrived whole, under one id, and no other.
pub(super) fn assert_conserved(calls: &[Value], n_events: usize) {
    let mut ids: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for call in calls {
        let n = person(call);
        assert_eq!(call["properties"]["subject"], subject(n), "{call}");
        assert_eq!(call["properties"]["delivery_id"], delivery(n), "{call}");
        let id = call["messageId"].as_str().unwrap();
        ids.entry(n).or_default().insert(id);
    }
    let missing: Vec<usize> = (0..n_events).filter(|n| !ids.contains_key(n)).collect();
    assert_eq!(missing, [0; 0], "lost");
    let invented: Vec<_> = ids.keys().filter(|n| **n >= n_events).collect();
    assert_eq!(invented, [&0; 0], "invented");
    ids.retain(|_, ids| ids.len() > 1);
    assert!(ids.is_empty(), "under more than one id: {ids:?}");
}

/// Of each message exactly one open has arrived.
pub(super) fn assert_first_only(calls: &[Value], n_events: usize) {
    let mut opens: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in calls {
        let delivery = call["properties"]["delivery_id"].as_str().unwrap();
        let id = call["messageId"].as_str().unwrap();
        opens.entry(delivery).or_default().insert(id);
    }
    let expected: BTreeSet<String> = (0..n_events).map(delivery).collect();
    let found: BTreeSet<String> = opens.keys().map(|&delivery| delivery.to_owned()).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    assert!(missing.is_empty(), "no open of {missing:?}");
    let invented: Vec<_> = found.difference(&expected).collect();
    assert!(invented.is_empty(), "invented: {invented:?}");
    opens.retain(|_, ids| ids.len() > 1);
    assert!(opens.is_empty(), "more than one open: {opens:?}");
}

/// How many messages so many events are about.
pub(super) fn n_deliveries(n_events: usize) -> usize {
    (0..n_events).map(delivery).collect::<BTreeSet<_>>().len()
}
