//! What the stand-in is told at the start: limits, write keys, clock, rate.
//!
//! Every default is what Segment publishes, or what was seen of its real API.
//! Nothing here can be changed while it runs.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use jiff::Timestamp;

/// Bytes of one request's body, inflated: Segment's "500 KB".
pub const DEFAULT_BODY_BYTES: usize = 512_000;
/// Bytes of one call: Segment's "32 KB".
pub const DEFAULT_CALL_BYTES: usize = 32_768;
/// Calls of one batch.
pub const DEFAULT_BATCH_CALLS: usize = 2_500;
/// Properties of one call; Segment throws the surplus away.
pub const DEFAULT_PROPERTIES: usize = 10_000;
/// Calls, discards and requests kept for introspection, each.
pub const DEFAULT_KEEP_CALLS: usize = 100_000;
/// Message ids remembered for deduplication: about 250 MB when full.
pub const DEFAULT_KEEP_MESSAGE_IDS: usize = 5_000_000;
/// How long a message id is remembered.
pub const DEFAULT_DEDUP_WINDOW: Duration = Duration::from_hours(24);
/// Shorter write keys than this are refused, as the real API was seen to do.
pub const DEFAULT_MIN_WRITE_KEY_CHARS: usize = 7;
/// How long a token of `POST /token` lives.
pub const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// The stand-in's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sizes above which a request or a call is refused.
    pub limits: Limits,
    /// How many calls, discards and requests are kept, each; the oldest go first.
    pub keep_calls: usize,
    /// How many message ids are remembered; the oldest go first, even inside the window.
    pub keep_message_ids: usize,
    /// How long a message id is remembered, by the stand-in's clock.
    pub dedup_window: Duration,
    /// Shorter write keys are refused with 400.
    pub min_write_key_chars: usize,
    /// What is known of single write keys; all others are taken as live keys.
    pub keys: BTreeMap<String, KeyState>,
    /// What becomes of a write key that `keys` does not list.
    pub unknown_keys: UnknownKeys,
    /// A limit on traffic; none unless asked for.
    pub rate_limit: Option<RateLimit>,
    /// How long an issued OAuth token is accepted.
    pub token_lifetime: Duration,
    /// Where the clock starts.
    pub clock: ClockStart,
    /// Makes generated message ids and tokens the same in every run.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            keep_calls: DEFAULT_KEEP_CALLS,
            keep_message_ids: DEFAULT_KEEP_MESSAGE_IDS,
            dedup_window: DEFAULT_DEDUP_WINDOW,
            min_write_key_chars: DEFAULT_MIN_WRITE_KEY_CHARS,
            keys: BTreeMap::new(),
            unknown_keys: UnknownKeys::Accept,
            rate_limit: None,
            token_lifetime: DEFAULT_TOKEN_LIFETIME,
            clock: ClockStart::System,
            seed: None,
        }
    }
}

/// Sizes above which Segment refuses.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body, both as sent and inflated; above it, 400.
    pub body_bytes: usize,
    /// Bytes of one call's JSON text; above it, 400 for the whole request.
    pub call_bytes: usize,
    /// Calls of a batch; above it, 200 and the batch is discarded.
    pub batch_calls: usize,
    /// Properties of a call; the surplus is thrown away.
    pub properties: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: DEFAULT_BODY_BYTES,
            call_bytes: DEFAULT_CALL_BYTES,
            batch_calls: DEFAULT_BATCH_CALLS,
            properties: DEFAULT_PROPERTIES,
        }
    }
}

/// What the stand-in knows of one write key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// An enabled source.
    Live,
    /// The source is switched off: 200, and every call is discarded.
    SourceDisabled,
    /// The workspace is locked: 200, and every call is discarded.
    WorkspaceLocked,
    /// The key belongs to another region: 200, and nothing is seen of the calls again.
    WrongRegion,
}

/// What becomes of a write key that nobody listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnknownKeys {
    /// It is taken as live: Segment's edge does not know its keys.
    Accept,
    /// 401, so that a test can see a wrong key. Segment never does this: the
    /// answer says so in the header `X-Emulator-Unfaithful`.
    Refuse,
}

/// A ceiling per second; above it 429 with `Retry-After` and `X-RateLimit-Reset`.
///
/// Counted over the whole stand-in, as if it served one workspace. Segment's
/// pages disagree on the unit, so both are offered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RateLimit {
    /// Requests a second.
    Requests(NonZeroU32),
    /// Calls a second; a batch may overdraw once, and the next one waits.
    Calls(NonZeroU32),
}

/// Where the clock starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClockStart {
    /// The system's time, running.
    System,
    /// This instant, standing still until moved.
    FrozenAt(Timestamp),
}
