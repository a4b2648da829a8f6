//! Senders like Customer.io: each takes the next event and sends it until it is
//! taken, over connections that live on or over a new one each time. What they
//! heard is kept.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::event::{Event, Kind, Patience};
use crate::harness::{PATIENCE, SIGNING_KEY, sign};

/// How many events are on their way at a time; half of the senders keep their
/// connections.
const SENDERS: usize = 8;
/// How long a sender waits for an answer. Customer.io waits four times as long.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// How long a sender that was turned away waits. A server needs longer to start.
const PAUSE: Duration = Duration::from_millis(10);

/// What was heard about one event.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Heard {
    /// How often it was sent.
    pub(super) requests: usize,
    /// How often the answer was 200.
    pub(super) taken: usize,
}

/// Events on their way. Cheap to clone.
#[derive(Clone)]
pub(super) struct Load {
    url: Arc<str>,
    events: Arc<Vec<Event>>,
    next: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<Heard>>>,
    counts: Arc<watch::Sender<Counts>>,
}

/// How far the senders are.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    /// Events that are done with, taken or given up.
    done: usize,
    /// Answers of 503.
    turned_away: usize,
}

impl Load {
    /// Begins to send through this door.
    pub(super) fn start(events: Arc<Vec<Event>>, door: SocketAddr) -> (Load, JoinSet<()>) {
        let load = Load {
            url: format!("http://{door}/webhooks/acme").into(),
            heard: Arc::new(Mutex::new(vec![Heard::default(); events.len()])),
            events,
            next: Arc::default(),
            counts: Arc::new(watch::Sender::default()),
        };
        let mut senders = JoinSet::new();
        for index in 0..SENDERS {
            let kept = if index % 2 == 0 { SENDERS } else { 0 };
            senders.spawn(load.clone().send(client(kept)));
        }
        (load, senders)
    }

    /// Waits until so many events are done with.
    pub(super) async fn done(&self, n_events: usize) {
        self.until("events are done with", |counts| counts.done >= n_events)
            .await;
    }

    /// Waits until so many more requests were turned away, or all events are done with.
    pub(super) async fn turned_away(&self, n_requests: usize) {
        let all = self.events.len();
        let end = self.counts.borrow().turned_away + n_requests;
        let reached = |counts: &Counts| counts.turned_away >= end || counts.done >= all;
        self.until("requests are turned away", reached).await;
    }

    /// What was heard of each event.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    async fn until(&self, what: &str, reached: impl Fn(&Counts) -> bool) {
        let mut counts = self.counts.subscribe();
        let waited = tokio::time::timeout(PATIENCE, counts.wait_for(|counts| reached(counts)));
        if waited.await.is_err() {
            let counts = *self.counts.borrow();
            panic!("waited for this in vain: {what}; {counts:?}");
        }
    }

    async fn send(self, http: reqwest::Client) {
        loop {
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(event) = self.events.get(n) else {
                return;
            };
            self.send_until_taken(&http, event).await;
            if event.patience == Patience::Repeats {
                self.send_until_taken(&http, event).await;
            }
            self.counts.send_modify(|counts| counts.done += 1);
        }
    }

    async fn send_until_taken(&self, http: &reqwest::Client, event: &Event) {
        let is_forged = event.kind == Kind::Forged;
        loop {
            let status = self.ask(http, event).await;
            self.note(event.n, status);
            match status {
                Some(200) if !is_forged => return,
                Some(401) if is_forged => return,
                Some(503) | None => {}
                Some(status) => panic!("event {} was answered {status}: {event:?}", event.n),
            }
            if event.patience == Patience::Once {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note(&self, n: usize, status: Option<u16>) {
        let mut heard = self.heard.lock().unwrap();
        heard[n].requests += 1;
        heard[n].taken += usize::from(status == Some(200));
        drop(heard);
        if status == Some(503) {
            self.counts.send_modify(|counts| counts.turned_away += 1);
        }
    }

    /// The status of an answer, if there was one. It is a promise even where the
    /// rest of the answer is cut off.
    async fn ask(&self, http: &reqwest::Client, event: &Event) -> Option<u16> {
        let timestamp = "1700000000";
        let key = match event.kind {
            Kind::Forged => "not the key of anybody we know.",
            _ => SIGNING_KEY,
        };
        let signature = sign(key, timestamp, event.body.as_bytes());
        let request = http
            .post(&*self.url)
            .header("X-CIO-Timestamp", timestamp)
            .header("X-CIO-Signature", signature)
            .body(event.body.clone());
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        drop(answer.bytes().await);
        Some(status)
    }
}

fn client(kept: usize) -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy();
    let client = client.pool_max_idle_per_host(kept);
    client.timeout(ANSWER_PATIENCE).build().unwrap()
}
