//! A sender like Customer.io, several at once: each takes the next event to a
//! node, and takes it to another until somebody answers 200. Every answer is kept
//! with its times.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::cluster::Doors;
use crate::harness::{PATIENCE, SIGNING_KEY, opened, sign};

/// How many events are on their way at a time.
pub(super) const SENDERS: usize = 8;
/// How long Customer.io waits for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(4);
/// A sender's pace: the servers, the nodes and the test share one disk.
const PACE: Duration = Duration::from_millis(50);
/// Every so many events one is sent once more, as if its answer had been lost.
const PER_REPEAT: usize = 5;
/// Every so many events one opens a message that others open, too.
const PER_SHARED: usize = 4;
/// How many opens such a message has, if all of them come.
const SHARED_OPENS: usize = 8;

/// What came back for one request.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) event: usize,
    pub(super) node: usize,
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    pub(super) what: Heard,
}

/// A status, or why there was none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    Status(u16),
    Nothing(String),
}

impl Answer {
    pub(super) fn is_taken(&self) -> bool {
        self.what == Heard::Status(200)
    }
}

/// Events on their way. Cheap to clone.
#[derive(Clone)]
pub(super) struct Load {
    doors: Doors,
    next: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Answer>>>,
    /// How many answers said 200, and how many did not.
    counts: Arc<watch::Sender<Counts>>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    taken: usize,
    refused: usize,
}

/// The event of this number: a person of its own, and every so often a message
/// that others open, too.
pub(super) fn event(n: usize) -> Value {
    let mut event = opened(n);
    event["data"]["delivery_id"] = json!(delivery(n));
    event["data"]["subject"] = json!(subject(n));
    event
}

/// The message that an event is about.
pub(super) fn delivery(n: usize) -> String {
    if n.is_multiple_of(PER_SHARED) {
        format!("shared-{}", n / (PER_SHARED * SHARED_OPENS))
    } else {
        format!("delivery-{n}")
    }
}

/// A text that only this event has.
pub(super) fn subject(n: usize) -> String {
    format!("Grüße, №{n} \u{1f389}")
}

impl Load {
    /// Begins to send to whatever doors are open.
    pub(super) fn start(doors: Doors) -> (Load, JoinSet<()>) {
        let load = Load {
            doors,
            next: Arc::default(),
            stopped: Arc::default(),
            answers: Arc::default(),
            counts: Arc::new(watch::Sender::default()),
        };
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            senders.spawn(load.clone().send());
        }
        (load, senders)
    }

    /// Takes up no more events; what was begun is still sent until it is taken.
    /// Tells how many events there are.
    pub(super) async fn finish(&self, senders: JoinSet<()>) -> usize {
        self.stopped.store(true, Ordering::SeqCst);
        let ended = tokio::time::timeout(PATIENCE, senders.join_all());
        ended.await.expect("every event is taken in the end");
        self.next.load(Ordering::SeqCst)
    }

    /// Waits until so many more events are taken.
    pub(super) async fn taken_more(&self, n_events: usize) {
        let end = self.counts.borrow().taken + n_events;
        self.until("events are taken", |counts| counts.taken >= end)
            .await;
    }

    /// Waits until so many more events are turned away.
    pub(super) async fn refused_more(&self, n_events: usize) {
        let end = self.counts.borrow().refused + n_events;
        self.until("events are turned away", |counts| counts.refused >= end)
            .await;
    }

    /// Waits until this node has said to a request of now whether it takes events.
    pub(super) async fn heard_from(&self, node: usize, what: &Heard) {
        let from = Instant::now();
        let said =
            |answer: &Answer| answer.node == node && answer.asked >= from && answer.what == *what;
        let heard = |_: &Counts| self.answers.lock().unwrap().iter().any(said);
        self.until(&format!("node {node} says {what:?}"), heard)
            .await;
    }

    /// The events that are taken by now.
    pub(super) fn taken(&self) -> BTreeSet<usize> {
        let answers = self.answers.lock().unwrap();
        let taken = answers.iter().filter(|answer| answer.is_taken());
        taken.map(|answer| answer.event).collect()
    }

    async fn until(&self, what: &str, reached: impl Fn(&Counts) -> bool) {
        let mut counts = self.counts.subscribe();
        let waited = tokio::time::timeout(PATIENCE, counts.wait_for(|counts| reached(counts)));
        if waited.await.is_err() {
            let last = self
                .answers()
                .split_off(self.answers().len().saturating_sub(9));
            panic!("waited for this in vain: {what}; the last answers: {last:#?}");
        }
    }

    /// Every answer there was.
    pub(super) fn answers(&self) -> Vec<Answer> {
        self.answers.lock().unwrap().clone()
    }

    async fn send(self) {
        let http = client();
        let mut pace = tokio::time::interval(PACE);
        while !self.stopped.load(Ordering::SeqCst) {
            pace.tick().await;
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            self.send_until_taken(&http, n, n).await;
            if n.is_multiple_of(PER_REPEAT) {
                self.send_until_taken(&http, n, n + 1).await;
            }
        }
    }

    /// Takes an event from node to node, beginning with `node`.
    async fn send_until_taken(&self, http: &reqwest::Client, n: usize, node: usize) {
        let body = event(n).to_string();
        for node in node.. {
            if let Some((node, door)) = self.doors.from(node) {
                let asked = Instant::now();
                let what = ask(http, &format!("http://{door}/webhooks/acme"), &body).await;
                let answer = Answer {
                    event: n,
                    node,
                    asked,
                    answered: Instant::now(),
                    what,
                };
                if self.note(answer) {
                    return;
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Keeps an answer; tells whether it was a 200.
    fn note(&self, answer: Answer) -> bool {
        let taken = answer.is_taken();
        self.answers.lock().unwrap().push(answer);
        self.counts.send_modify(|counts| {
            if taken {
                counts.taken += 1;
            } else {
                counts.refused += 1;
            }
        });
        taken
    }
}

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy();
    client.timeout(ANSWER_PATIENCE).build().unwrap()
}

async fn ask(http: &reqwest::Client, url: &str, body: &str) -> Heard {
    let timestamp = "1700000000";
    let request = http
        .post(url)
        .header("X-CIO-Timestamp", timestamp)
        .header(
            "X-CIO-Signature",
            sign(SIGNING_KEY, timestamp, body.as_bytes()),
        )
        .body(body.to_owned());
    match request.send().await {
        Ok(answer) => Heard::Status(answer.status().as_u16()),
        Err(error) => Heard::Nothing(format!("{error:?}")),
    }
}
