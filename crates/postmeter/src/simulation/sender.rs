//! A simulated Customer.io: for each workspace one line, which sends one event at a
//! time, waits four seconds, tries again, and lets nothing pass what it holds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use emulator::customerio::{ANSWER_TIMEOUT, FIRST_BACKOFF, Failure, HOLD, MAX_BACKOFF, SigningKey};
use emulator::customerio::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::chance::Chance;
use super::clock;
use super::network::{Network, Passage};
use super::trace::Trace;

/// What both sides of every workspace sign with.
pub(super) const KEY: &str = "simulated-signing-key";

/// One workspace's line.
pub(super) struct Line {
    pub(super) workspace: &'static str,
    pub(super) events: Vec<Bytes>,
    pub(super) network: Network,
    pub(super) chance: Chance,
    pub(super) trace: Trace,
    /// What was answered 200, in order; others read it.
    pub(super) accepted: Accepted,
}

/// Events that a line was told are stored, each with the place that it was told.
pub(super) type Accepted = Arc<Mutex<Vec<(Bytes, u64)>>>;

/// Requests on their way; they outlive the patience of whoever sent them.
pub(super) type UnderWay = JoinSet<()>;

impl Line {
    /// Sends all events, however long that takes.
    pub(super) async fn run(mut self) {
        let mut under_way = UnderWay::new();
        for (number, event) in std::mem::take(&mut self.events).into_iter().enumerate() {
            if number > 0 {
                sleep(self.pause()).await;
            }
            self.deliver(number, event, &mut under_way).await;
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Bursts, with a pause now and then.
    fn pause(&mut self) -> Duration {
        match self.chance.below(40) {
            0 => self.chance.seconds(60, 3_600),
            1..4 => self.chance.seconds(1, 30),
            4..20 => self.chance.millis(1, 400),
            _ => Duration::ZERO,
        }
    }

    async fn deliver(&mut self, number: usize, event: Bytes, under_way: &mut UnderWay) {
        let (mut backoff, mut held) = (FIRST_BACKOFF, false);
        loop {
            let passage = self.network.passage(&mut self.chance);
            let heard = self.attempt(&event, passage, under_way).await;
            let text = format!("event {number} {passage:?}: {heard:?}");
            self.trace.note(self.workspace, text);
            let failure = match heard {
                Ok(place) => {
                    self.accepted.lock().unwrap().push((event, place));
                    return;
                }
                Err(failure) => failure,
            };
            if failure.holds_an_hour() && !std::mem::replace(&mut held, true) {
                sleep(HOLD).await;
            } else {
                sleep(backoff).await;
                backoff = (2 * backoff).min(MAX_BACKOFF);
            }
        }
    }

    /// The place that the event was given, or what went wrong.
    async fn attempt(
        &mut self,
        event: &Bytes,
        passage: Passage,
        under_way: &mut UnderWay,
    ) -> Result<u64, Failure> {
        let request = request(self.workspace, event);
        let (told, telling) = tokio::sync::oneshot::channel();
        let (network, chance) = (self.network.clone(), self.chance.fork());
        under_way.spawn(async move {
            let answer = network.carry(request, passage, chance).await;
            told.send(answer).ok(); // nobody waits so long
        });
        match timeout(ANSWER_TIMEOUT, telling).await {
            Err(_) => Err(Failure::Timeout),
            Ok(Ok(Some(answer))) => read(&answer),
            Ok(_) => Err(Failure::Connection),
        }
    }
}

fn request(workspace: &str, body: &[u8]) -> Vec<u8> {
    let timestamp = clock::now().as_second().to_string();
    let signature = SigningKey::new(KEY).sign(&timestamp, body);
    let head = format!(
        "POST /webhooks/{workspace} HTTP/1.1\r\nhost: simulated\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\
         {TIMESTAMP_HEADER}: {timestamp}\r\n{SIGNATURE_HEADER}: {signature}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn read(answer: &[u8]) -> Result<u64, Failure> {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or(Failure::Connection)?;
    let place = text.rsplit(' ').next().map(str::trim);
    match (status, place.and_then(|place| place.parse().ok())) {
        (200, Some(place)) => Ok(place),
        (200, None) => Err(Failure::Connection), // it broke off in the answer
        (status, _) => Err(Failure::Status(status)),
    }
}
