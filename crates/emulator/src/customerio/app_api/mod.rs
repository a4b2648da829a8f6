//! A stand-in for the lists of Customer.io's App API: what its ids are called.
//!
//! ```text
//! GET /v1/campaigns                   GET /v1/campaigns/{id}/actions?start=
//! GET /v1/broadcasts                  GET /v1/broadcasts/{id}/actions
//! GET /v1/newsletters?limit=&start=   GET /v1/newsletters/{id}
//! GET /v1/transactional
//! ```
//!
//! Answers have the members that the reference shows and `id` and `name` are the
//! only true ones. The key is asked for as a bearer token, and whoever asks more
//! than ten times within a second gets a 429. It can be told to fail.
//!
//! Where the API's behaviour is not published, this is a guess, and said to be
//! one: the bodies of errors, that a 429 has no `Retry-After` and counts against
//! the limit too, and that a newsletters page without `limit` has 100 items.

mod listing;
mod routes;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use listing::{Listing, Named, Workflow};

/// The most requests within [`APP_API_WINDOW`].
pub const APP_API_LIMIT: usize = 10;
/// The time that the limit is for.
pub const APP_API_WINDOW: Duration = Duration::from_secs(1);
/// Requests that are remembered; the oldest go first.
pub const MAX_ASKED: usize = 10_000;

/// A stand-in for the App API. Clones are the same one.
#[derive(Clone)]
pub struct AppApi {
    state: Arc<Mutex<State>>,
    key: Arc<str>,
}

/// What is wrong with the App API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AppApiFault {
    /// Nothing.
    #[default]
    None,
    /// Every answer breaks off.
    BreakOff,
    /// Every answer comes so many milliseconds later.
    Slow(u64),
    /// Every answer is this status.
    Status(u16),
    /// Every answer is this status and says after how many seconds to come again.
    Busy {
        /// The status.
        status: u16,
        /// The seconds.
        retry_after: u64,
    },
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Its path with its query.
    pub path: String,
    /// What it was answered.
    pub status: u16,
    /// When it came, in milliseconds of unix time.
    pub at_ms: i64,
}

#[derive(Default)]
struct State {
    listing: Listing,
    fault: AppApiFault,
    asked: VecDeque<Asked>,
    recent: VecDeque<Instant>,
}

impl AppApi {
    /// One that knows no names yet, and this key.
    pub fn new(key: impl Into<Arc<str>>) -> AppApi {
        AppApi {
            state: Arc::default(),
            key: key.into(),
        }
    }

    /// What it lists from now on.
    pub fn list(&self, listing: Listing) {
        self.state().listing = listing;
    }

    /// How it fails from now on.
    pub fn fail(&self, fault: AppApiFault) {
        self.state().fault = fault;
    }

    /// The requests that came, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.iter().cloned().collect()
    }

    /// The API as a service, for tests without a port.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let serve = axum::serve(listener, self.router());
        // A client that keeps its connection open does not keep us.
        tokio::select! {
            ended = serve.into_future() => ended,
            () = stop.cancelled() => Ok(()),
        }
    }

    /// Counts a request, and says whether it is within the limit.
    fn is_within_limit(&self, now: Instant) -> bool {
        let mut state = self.state();
        while state.recent.len() > APP_API_LIMIT {
            state.recent.pop_front();
        }
        state.recent.push_back(now);
        let tenth_before = state.recent.iter().rev().nth(APP_API_LIMIT);
        tenth_before.is_none_or(|at| now.duration_since(*at) >= APP_API_WINDOW)
    }

    fn note(&self, asked: Asked) {
        let mut state = self.state();
        if state.asked.len() >= MAX_ASKED {
            state.asked.pop_front();
        }
        state.asked.push_back(asked);
    }

    fn is_key(&self, shown: Option<&str>) -> bool {
        shown.is_some_and(|shown| shown == &*self.key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Lists of plain values are whole whatever their last holder died of.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_request_within_a_second_is_too_many() {
        let (app_api, begun) = (AppApi::new("key"), Instant::now());
        let asks = |ms| app_api.is_within_limit(begun + Duration::from_millis(ms));
        assert!((0..10).all(|n| asks(n * 10)));
        assert!(!asks(999), "the eleventh");
        assert!(asks(1_010), "the first two are a second ago");
        assert!(!asks(1_015), "which counted itself");
    }

    #[test]
    fn ten_a_second_may_go_on_for_ever() {
        let (app_api, begun) = (AppApi::new("key"), Instant::now());
        let asks = |n: u64| app_api.is_within_limit(begun + Duration::from_millis(n * 100));
        assert!((0..1_000).all(asks));
    }
}
