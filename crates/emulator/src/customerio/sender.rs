//! The sender: one line of events, held up by the first that fails.
//!
//! One loop owns the line. What is on the wire, or waits to be sent again, is a
//! future in `lanes`; a new event starts only while none waits. Waits are in
//! Customer.io's time, which can be scaled; the time to answer is real.

use std::{
    collections::VecDeque,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::{Client, Url, redirect};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    event::Event,
    patience::{Failure, Patience},
    report::{Hold, HoldEnd, Next, Outcome, Progress, Report, Turn},
    sign::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER},
};

/// How long Customer.io waits for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// What of an answer is read, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// The real value is not published; receivers must not ask for one.
const USER_AGENT: &str = "Customer.io Web Hooks (emulator)";

/// Sends events the way Customer.io does.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Where to.
    pub url: String,
    /// Signs every attempt; without it, the headers are absent.
    pub signing_key: Option<SigningKey>,
    /// Events on the wire at once. Customer.io's number is not known; one is the
    /// strictest, more measure a receiver.
    pub in_flight: NonZeroUsize,
    /// How long an answer may take. Never scaled.
    pub timeout: Duration,
    /// How much faster than ours Customer.io's clock runs: at 3600, an hour's hold takes a second.
    pub time_scale: NonZeroU32,
    /// Events a second at most, by our clock; a backlog is sent as fast as it goes.
    pub rate: Option<NonZeroU32>,
    /// Of a hundred accepted events, how many are sent once more.
    pub repeat_percent: u8,
    /// Decides which events are repeated.
    pub seed: u64,
}

/// Why a sender cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL is none, or not http or https.
    #[error("cannot send to {url}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        #[source]
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The HTTP client cannot be built.
    #[error("cannot start the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Sender {
    /// A sender with Customer.io's own manners: one at a time, 4 s, real time, unsigned.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            signing_key: None,
            in_flight: NonZeroUsize::MIN,
            timeout: ANSWER_TIMEOUT,
            time_scale: NonZeroU32::MIN,
            rate: None,
            repeat_percent: 0,
            seed: 0,
        }
    }

    /// Sends `events` until they end or `stop`.
    ///
    /// On `stop`, attempts on the wire are finished; events that wait to be sent
    /// again are counted as unfinished.
    ///
    /// # Errors
    ///
    /// Only before the first event.
    pub async fn run<E>(&self, events: E, stop: CancellationToken) -> Result<Report, StartError>
    where
        E: IntoIterator<Item = Event>,
    {
        self.run_observed(events, stop, |_| ()).await
    }

    /// As [`Sender::run`], and tells `observe` of every attempt as it ends.
    ///
    /// # Errors
    ///
    /// Only before the first event.
    pub async fn run_observed<E>(
        &self,
        events: E,
        stop: CancellationToken,
        observe: impl FnMut(Progress),
    ) -> Result<Report, StartError>
    where
        E: IntoIterator<Item = Event>,
    {
        let wire = Wire {
            client: self.client()?,
            url: self.checked_url()?,
            signing_key: self.signing_key.clone(),
            time_scale: self.time_scale,
            stop: stop.clone(),
        };
        let line = Line {
            sender: self,
            wire: &wire,
            events: events.into_iter().fuse(),
            observe,
            repeats: VecDeque::new(),
            holding: 0,
            pace: Instant::now(),
            chance: StdRng::seed_from_u64(self.seed),
            report: Report::default(),
        };
        Ok(line.run(&stop).await)
    }

    fn checked_url(&self) -> Result<Url, StartError> {
        let refused = |cause| StartError::Url {
            url: self.url.clone(),
            cause,
        };
        let url = Url::parse(&self.url).map_err(|cause| refused(Some(cause.into())))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(Some("neither http nor https".into())));
        }
        Ok(url)
    }

    fn client(&self) -> Result<Client, StartError> {
        // Another part of the process may have chosen a provider; then its choice holds.
        drop(rustls::crypto::ring::default_provider().install_default());
        Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .timeout(self.timeout)
            .pool_max_idle_per_host(self.in_flight.get())
            .build()
            .map_err(StartError::Client)
    }
}

/// An event under way.
struct Letter {
    sequence: u64,
    turn: Turn,
    event: Event,
    attempts: u32,
    patience: Patience,
    first_failure: Option<Failure>,
}

/// How a letter came back from the wire.
enum Returned {
    Attempted {
        letter: Letter,
        outcome: Outcome,
        took: Duration,
    },
    /// Stopped while it waited.
    Stopped(Letter),
}

/// What an attempt needs.
struct Wire {
    client: Client,
    url: Url,
    signing_key: Option<SigningKey>,
    time_scale: NonZeroU32,
    stop: CancellationToken,
}

impl Wire {
    /// Waits in Customer.io's time, then makes one attempt.
    async fn send(&self, mut letter: Letter, wait: Duration) -> Returned {
        let wait = tokio::time::sleep(wait / self.time_scale.get());
        if letter.attempts > 0 && self.stop.run_until_cancelled(wait).await.is_none() {
            return Returned::Stopped(letter);
        }
        letter.attempts += 1;
        let began = Instant::now();
        let outcome = match self.post(&letter.event).await {
            Ok(status) if (200..300).contains(&status) => Outcome::Accepted(status),
            Ok(status) => Outcome::Failed(Failure::Status(status)),
            Err(error) if error.is_timeout() => Outcome::Failed(Failure::Timeout),
            Err(_) => Outcome::Failed(Failure::Connection),
        };
        Returned::Attempted {
            letter,
            outcome,
            took: began.elapsed(),
        }
    }

    /// One POST under a fresh timestamp; the answer's status.
    async fn post(&self, event: &Event) -> Result<u16, reqwest::Error> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .body(event.body().clone());
        if let Some(key) = &self.signing_key {
            let timestamp = Timestamp::now().as_second().to_string();
            let signature = key.sign(&timestamp, event.body());
            request = request
                .header(TIMESTAMP_HEADER, timestamp)
                .header(SIGNATURE_HEADER, signature);
        }
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let mut read = 0;
        // The status is the answer; a body that breaks off changes nothing.
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok(status)
    }
}

/// The line of events, and what is known of it.
struct Line<'a, E, O> {
    sender: &'a Sender,
    wire: &'a Wire,
    events: E,
    observe: O,
    /// Accepted events to be sent once more, before the next new one.
    repeats: VecDeque<Letter>,
    /// Letters that have failed and are not done: nothing new starts.
    holding: usize,
    /// When the next event may start.
    pace: Instant,
    chance: StdRng,
    report: Report,
}

impl<E: Iterator<Item = Event>, O: FnMut(Progress)> Line<'_, E, O> {
    async fn run(mut self, stop: &CancellationToken) -> Report {
        let wire = self.wire;
        let mut lanes = FuturesUnordered::new();
        let mut ended = false;
        loop {
            let open = !ended && !stop.is_cancelled();
            let free = open && self.holding == 0 && lanes.len() < self.sender.in_flight.get();
            if free && self.pace <= Instant::now() {
                match self.next() {
                    Some(letter) => lanes.push(wire.send(letter, Duration::ZERO)),
                    None => ended = true,
                }
                continue;
            }
            if lanes.is_empty() && !free {
                return self.report;
            }
            tokio::select! {
                Some(returned) = lanes.next() => {
                    if let Some((letter, wait)) = self.settle(returned) {
                        lanes.push(wire.send(letter, wait));
                    }
                    // A repeat may follow the last event.
                    ended &= self.repeats.is_empty();
                }
                () = tokio::time::sleep_until(self.pace), if free => (),
                () = stop.cancelled(), if open => (),
            }
        }
    }

    /// The next letter, which then counts against the rate.
    fn next(&mut self) -> Option<Letter> {
        let letter = if let Some(repeat) = self.repeats.pop_front() {
            self.report.repeats += 1;
            repeat
        } else {
            let event = self.events.next()?;
            let sequence = self.report.sent;
            self.report.sent += 1;
            Letter::new(sequence, Turn::Event, event)
        };
        if let Some(rate) = self.sender.rate {
            self.pace += Duration::from_secs(1) / rate.get();
        }
        Some(letter)
    }

    /// Counts what came back; a letter that must be sent again comes out with its wait.
    fn settle(&mut self, returned: Returned) -> Option<(Letter, Duration)> {
        let (mut letter, outcome, took) = match returned {
            Returned::Stopped(letter) => {
                self.finish(&letter, HoldEnd::Stopped);
                return None;
            }
            Returned::Attempted {
                letter,
                outcome,
                took,
            } => (letter, outcome, took),
        };
        self.report.count(outcome, took);
        let next = match outcome {
            Outcome::Accepted(_) => Next::Done,
            Outcome::Failed(failure) => {
                if letter.first_failure.is_none() {
                    letter.first_failure = Some(failure);
                    self.holding += 1;
                }
                letter
                    .patience
                    .after(failure)
                    .map_or(Next::Lost, Next::RetryAfter)
            }
        };
        (self.observe)(Progress {
            sequence: letter.sequence,
            attempt: letter.attempts,
            turn: letter.turn,
            outcome,
            took,
            next,
        });
        match next {
            Next::RetryAfter(wait) => Some((letter, wait)),
            Next::Lost => {
                self.finish(&letter, HoldEnd::Lost);
                None
            }
            Next::Done => {
                self.finish(&letter, HoldEnd::Accepted);
                self.maybe_repeat(letter);
                None
            }
        }
    }

    fn finish(&mut self, letter: &Letter, end: HoldEnd) {
        if letter.turn == Turn::Event {
            match end {
                HoldEnd::Accepted => self.report.accepted += 1,
                HoldEnd::Lost => self.report.lost += 1,
                HoldEnd::Stopped => self.report.unfinished += 1,
            }
        }
        if let Some(cause) = letter.first_failure {
            self.holding -= 1;
            self.report.hold(Hold {
                sequence: letter.sequence,
                cause,
                attempts: letter.attempts,
                held_for: letter.patience.waited(),
                end,
            });
        }
    }

    fn maybe_repeat(&mut self, letter: Letter) {
        let drawn = self.chance.next_u32() % 100;
        if letter.turn == Turn::Event && drawn < u32::from(self.sender.repeat_percent) {
            self.repeats
                .push_back(Letter::new(letter.sequence, Turn::Repeat, letter.event));
        }
    }
}

impl Letter {
    fn new(sequence: u64, turn: Turn, event: Event) -> Self {
        Self {
            sequence,
            turn,
            event,
            attempts: 0,
            patience: Patience::default(),
            first_failure: None,
        }
    }
}
