//! What the stand-in remembers: calls, discards, requests, counts.
//!
//! One lock, held once per request. Memory is bounded: each list keeps the
//! newest entries up to its limit and counts those it forgot.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::sync::{broadcast, watch};

use super::{
    call::StoredCall,
    check::DiscardCode,
    config::Config,
    dedup::{IdHash, IdHasher, Seen},
    lock, skew,
};

/// Calls that a slow subscriber may lag behind before it misses some.
const SUBSCRIBER_CALLS: usize = 16_384;
/// Distinct event names counted one by one; further ones count as "(other)".
const MAX_EVENT_NAMES: usize = 10_000;

/// Something that Segment would have dropped after its 200.
#[derive(Clone, Debug, Serialize)]
pub struct Discard {
    /// Why.
    #[serde(serialize_with = "code")]
    pub code: DiscardCode,
    /// The code as one sentence.
    pub message: &'static str,
    /// The call's JSON as received; none where the whole batch is meant.
    #[serde(rename = "item")]
    pub call: Option<Box<RawValue>>,
    /// The write key of its request.
    #[serde(rename = "writeKey")]
    pub write_key: String,
    /// When its request arrived.
    #[serde(rename = "receivedAt", serialize_with = "stamp")]
    pub received_at: Timestamp,
}

/// One request to the API, as the request log keeps it. Shows no write key.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// When it arrived, by the stand-in's clock.
    #[serde(serialize_with = "stamp")]
    pub received_at: Timestamp,
    /// `POST`, `GET`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The status that was answered; none where the connection was cut or held.
    pub status: Option<u16>,
    /// All headers, secrets masked.
    pub headers: BTreeMap<String, String>,
    /// The last four characters of the write key.
    pub write_key: Option<String>,
    /// Bytes of the body as sent.
    pub body_bytes: usize,
    /// Bytes of the body after inflation; 0 where it could not be read.
    pub inflated_bytes: usize,
    /// How many calls it brought.
    pub calls: usize,
    /// The fault that was applied, in words.
    pub fault: Option<String>,
}

/// Counts since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// Requests to the API.
    pub requests: u64,
    /// Calls stored, those forgotten since included.
    pub calls: u64,
    /// Calls dropped because their message id had been seen.
    pub duplicates: u64,
    /// Discards by code.
    pub discards: BTreeMap<&'static str, u64>,
    /// Stored calls by event name; other kinds than track are in parentheses.
    pub events: BTreeMap<String, u64>,
    /// Entries that are counted above and no longer kept.
    pub forgotten: Forgotten,
}

/// How many entries were dropped to stay within the limit.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Forgotten {
    /// Calls no longer listed.
    pub calls: u64,
    /// Discards no longer listed.
    pub discards: u64,
    /// Requests no longer listed.
    pub requests: u64,
}

/// What one request leaves behind.
#[derive(Default)]
pub(super) struct Delivery {
    pub(super) calls: Vec<(IdHash, StoredCall)>,
    pub(super) discards: Vec<Discard>,
}

/// The stand-in's memory.
pub(super) struct Shelf {
    pub(super) ids: IdHasher,
    kept: Mutex<Kept>,
    stored: watch::Sender<u64>,
    news: broadcast::Sender<StoredCall>,
}

struct Kept {
    calls: Ring<StoredCall>,
    discards: Ring<Discard>,
    requests: Ring<LoggedRequest>,
    seen: Seen,
    duplicates: u64,
    by_code: BTreeMap<DiscardCode, u64>,
    by_event: HashMap<Box<str>, u64>,
}

impl Shelf {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            ids: IdHasher::default(),
            kept: Mutex::new(Kept {
                calls: Ring::new(config.keep_calls),
                discards: Ring::new(config.keep_calls),
                requests: Ring::new(config.keep_calls),
                seen: Seen::new(config.dedup_window, config.keep_message_ids),
                duplicates: 0,
                by_code: BTreeMap::new(),
                by_event: HashMap::new(),
            }),
            stored: watch::Sender::new(0),
            news: broadcast::Sender::new(SUBSCRIBER_CALLS),
        }
    }

    /// Stores the calls that are no duplicates, and the discards.
    pub(super) fn put(&self, delivery: Delivery, now: Timestamp) {
        let mut kept = lock(&self.kept);
        for discard in delivery.discards {
            *kept.by_code.entry(discard.code).or_default() += 1;
            kept.discards.push(discard);
        }
        let is_heard = self.news.receiver_count() > 0;
        for (id, call) in delivery.calls {
            if kept.seen.claim(id, now) {
                kept.count_event(&call);
                if is_heard {
                    drop(self.news.send(call.clone())); // nobody left to hear it
                }
                kept.calls.push(call);
            } else {
                kept.duplicates += 1;
            }
        }
        self.stored.send_replace(kept.calls.total);
    }

    pub(super) fn log(&self, request: LoggedRequest) {
        lock(&self.kept).requests.push(request);
    }

    pub(super) fn calls(&self) -> Vec<StoredCall> {
        lock(&self.kept).calls.to_vec()
    }

    pub(super) fn discards(&self) -> Vec<Discard> {
        lock(&self.kept).discards.to_vec()
    }

    pub(super) fn requests(&self) -> Vec<LoggedRequest> {
        lock(&self.kept).requests.to_vec()
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<StoredCall> {
        self.news.subscribe()
    }

    /// How many calls are stored, waiting until there are `calls` of them.
    pub(super) async fn wait(&self, calls: u64, timeout: Duration) -> u64 {
        let mut stored = self.stored.subscribe();
        let reached = stored.wait_for(|stored| *stored >= calls);
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(stored)) => *stored,
            Ok(Err(_)) | Err(_) => *self.stored.borrow(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let kept = lock(&self.kept);
        let by_code = kept.by_code.iter();
        let by_event = kept.by_event.iter();
        Stats {
            requests: kept.requests.total,
            calls: kept.calls.total,
            duplicates: kept.duplicates,
            discards: by_code.map(|(code, &n)| (code.as_str(), n)).collect(),
            events: by_event.map(|(name, &n)| (name.to_string(), n)).collect(),
            forgotten: Forgotten {
                calls: kept.calls.forgotten(),
                discards: kept.discards.forgotten(),
                requests: kept.requests.forgotten(),
            },
        }
    }

    pub(super) fn clear(&self) {
        let mut kept = lock(&self.kept);
        kept.calls.clear();
        kept.discards.clear();
        kept.requests.clear();
        kept.seen.clear();
        kept.duplicates = 0;
        kept.by_code.clear();
        kept.by_event.clear();
        self.stored.send_replace(0);
    }
}

impl Kept {
    fn count_event(&mut self, call: &StoredCall) {
        let name = call.event().unwrap_or_else(|| call.kind().in_parentheses());
        if let Some(count) = self.by_event.get_mut(name) {
            *count += 1;
            return;
        }
        let full = self.by_event.len() >= MAX_EVENT_NAMES;
        let name = if full { "(other)" } else { name };
        *self.by_event.entry(name.into()).or_default() += 1;
    }
}

/// The newest entries, and how many there ever were.
struct Ring<T> {
    newest: VecDeque<T>,
    max: usize,
    total: u64,
}

impl<T: Clone> Ring<T> {
    fn new(max: usize) -> Self {
        Self {
            newest: VecDeque::new(),
            max,
            total: 0,
        }
    }

    fn push(&mut self, entry: T) {
        self.total += 1;
        self.newest.push_back(entry);
        if self.newest.len() > self.max {
            self.newest.pop_front();
        }
    }

    fn to_vec(&self) -> Vec<T> {
        self.newest.iter().cloned().collect()
    }

    fn forgotten(&self) -> u64 {
        let kept = u64::try_from(self.newest.len()).unwrap_or(u64::MAX);
        self.total.saturating_sub(kept)
    }

    fn clear(&mut self) {
        self.newest = VecDeque::new();
        self.total = 0;
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn code<S: Serializer>(code: &DiscardCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

fn stamp<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&skew::stamp(*at))
}
