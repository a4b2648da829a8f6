//! A stand-in for Segment's HTTP tracking API.
//!
//! It answers as the real one answers, wrong write keys and lost calls
//! included: 200 first, doubts later. What it dropped and why can be looked up,
//! and it can be told to fail in all the ways that a network and an overloaded
//! API fail. It knows nothing of who sends to it.
//!
//! A request goes `route -> body -> (fault) -> ingest -> shelf`:
//!
//! - the checks before the 200, in Segment's order: body size, JSON, write key,
//!   size of each call;
//! - after the 200: Segment's discard codes, message ids, the correction of the
//!   sender's clock, and deduplication by message id over all sources;
//! - outside of the API, under `/emulator/`, introspection, faults and a clock
//!   that can be moved.
//!
//! Where Segment's behaviour is unknown, the stand-in is the stricter of the
//! likely cases, and the type that decides says so.

mod answer;
mod api;
mod auth;
mod body;
mod call;
mod check;
mod clock;
mod config;
mod dedup;
mod fault;
mod ingest;
mod inspect;
mod ksuid;
mod oauth;
mod pixel;
mod rate;
mod route;
mod server;
mod shelf;
mod skew;
mod steps;
mod wire;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State as Extract},
};
use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::sync::CancellationToken;

pub use call::StoredCall;
pub use check::DiscardCode;
pub use config::{
    ClockStart, Config, DEFAULT_BATCH_CALLS, DEFAULT_BODY_BYTES, DEFAULT_CALL_BYTES,
    DEFAULT_DEDUP_WINDOW, DEFAULT_KEEP_CALLS, DEFAULT_KEEP_MESSAGE_IDS,
    DEFAULT_MIN_WRITE_KEY_CHARS, DEFAULT_PROPERTIES, DEFAULT_TOKEN_LIFETIME, KeyState, Limits,
    RateLimit, UnknownKeys,
};
pub use fault::{DEFAULT_HANG, Effect, Fault, Only, ResetAt, RetryAfter, StatusAnswer, Times};
pub use route::Kind;
pub use shelf::{Discard, Forgotten, LoggedRequest, Stats};
pub use steps::{MAX_STEPS, ScriptError};

/// A stand-in for Segment. Cheap to clone: all clones share one state.
#[derive(Clone)]
pub struct Segment {
    state: Arc<State>,
}

struct State {
    config: Config,
    clock: clock::Clock,
    shelf: shelf::Shelf,
    script: fault::Script,
    tokens: oauth::Tokens,
    bucket: Option<Mutex<rate::Bucket>>,
    chance: Mutex<StdRng>,
}

impl Segment {
    /// A stand-in that has seen nothing.
    pub fn new(config: Config) -> Self {
        let clock = clock::Clock::new(config.clock);
        let bucket = config
            .rate_limit
            .map(|limit| rate::Bucket::new(limit, clock.now()));
        // The keys of a new hash map are the standard library's own source of chance.
        let seed = config
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(()));
        Self {
            state: Arc::new(State {
                clock,
                shelf: shelf::Shelf::new(&config),
                script: fault::Script::default(),
                tokens: oauth::Tokens::new(config.token_lifetime),
                bucket: bucket.map(Mutex::new),
                chance: Mutex::new(StdRng::seed_from_u64(seed)),
                config,
            }),
        }
    }

    /// The API and `/emulator/`, for use without a port.
    ///
    /// Faults that cut a connection need [`Segment::run`]; here their answer
    /// breaks off instead.
    pub fn router(&self) -> Router {
        let api = |Extract(segment): Extract<Self>, request: Request| async move {
            segment.state.answer(request).await
        };
        inspect::routes().fallback(api).with_state(self.clone())
    }

    /// Serves until `stop`.
    ///
    /// Requests in flight are finished; those that take longer than two seconds
    /// are cut.
    ///
    /// # Errors
    ///
    /// As of the listener.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        server::run(self.router(), listener, stop).await
    }

    /// The calls that are kept, oldest first.
    pub fn calls(&self) -> Vec<StoredCall> {
        self.state.shelf.calls()
    }

    /// Every call stored from now on. One that lags far behind misses calls and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<StoredCall> {
        self.state.shelf.subscribe()
    }

    /// Waits until `calls` are stored since the start or the last reset, forgotten ones
    /// included; false when `timeout` comes first.
    pub async fn wait_for_calls(&self, calls: u64, timeout: Duration) -> bool {
        self.state.shelf.wait(calls, timeout).await >= calls
    }

    /// What was dropped after a 200 and is kept, oldest first.
    pub fn discards(&self) -> Vec<Discard> {
        self.state.shelf.discards()
    }

    /// The requests to the API that are kept, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.state.shelf.requests()
    }

    /// Counts since the start or the last reset.
    pub fn stats(&self) -> Stats {
        self.state.shelf.stats()
    }

    /// Appends steps to the script.
    pub fn push_faults(&self, faults: Vec<Fault>) {
        self.state.script.push(faults);
    }

    /// Appends steps written as JSON, as `POST /emulator/faults` takes them; returns how many.
    ///
    /// # Errors
    ///
    /// Names the step that cannot be read; then none is appended.
    pub fn push_script(&self, json: &[u8]) -> Result<usize, ScriptError> {
        let faults = steps::parse(json)?;
        let n_steps = faults.len();
        self.push_faults(faults);
        Ok(n_steps)
    }

    /// The steps that are left, with what is left of each.
    pub fn faults(&self) -> Vec<Fault> {
        self.state.script.left()
    }

    /// Drops the steps that are left.
    pub fn clear_faults(&self) {
        self.state.script.clear();
    }

    /// The stand-in's time.
    pub fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// Moves the stand-in's clock forward.
    pub fn advance_clock(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// Stops the stand-in's clock at an instant.
    pub fn freeze_clock(&self, at: Timestamp) {
        self.state.clock.freeze(at);
    }

    /// Forgets everything: calls, counts, message ids, tokens, the script; the
    /// clock goes back to what the configuration says.
    pub fn reset(&self) {
        self.state.shelf.clear();
        self.state.script.clear();
        self.state.tokens.clear();
        self.state.clock.reset();
        if let (Some(bucket), Some(limit)) = (&self.state.bucket, self.state.config.rate_limit) {
            *lock(bucket) = rate::Bucket::new(limit, self.now());
        }
    }
}

/// Locks; what a panicking thread left behind is still whole, for nothing
/// under these locks is changed in two steps that belong together.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
