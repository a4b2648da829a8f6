//! Every time limit of dispatch, with its default: the one place to look them up.
//!
//! Says nothing about what the limits are for in detail; the modules that keep them do.

use std::time::Duration;

/// How patient an [`Outbox`](crate::Outbox) is. Any value is allowed; the default is what
/// we promise, chosen after the rules that Segment's own clients follow since 2026.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From the first byte of a request to the last of its answer, connecting included.
    pub request_timeout: Duration,
    /// For name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The longest wait after the first failure; it doubles with each further one.
    pub backoff_first: Duration,
    /// What the doubling ends at.
    pub backoff_max: Duration,
    /// The shortest wait that `Retry-After` can ask for.
    pub retry_after_min: Duration,
    /// The longest wait that `Retry-After` can ask for.
    pub retry_after_max: Duration,
    /// How long connections are used before new ones, to addresses resolved anew, replace them.
    pub connection_lifetime: Duration,
    /// How soon after the last renewal a 5xx or a broken connection may cause another.
    pub renewal_interval: Duration,
    /// Whether the environment's proxies are used.
    pub proxies: Proxies,
}

/// Whether requests may go through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// For https, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` mean what they mean to curl.
    /// An http endpoint is an emulator nearby, so it is always reached directly.
    FromEnvironment,
    /// Every endpoint is reached directly, whatever the environment says.
    Never,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_mins(1),
            retry_after_min: Duration::from_secs(1),
            retry_after_max: Duration::from_mins(5),
            connection_lifetime: Duration::from_mins(5),
            renewal_interval: Duration::from_secs(10),
            proxies: Proxies::FromEnvironment,
        }
    }
}

impl Policy {
    /// Waits of milliseconds, so that a test over real sockets reaches them.
    ///
    /// The request timeout stays long: a test that wants one to expire shortens it, and
    /// no other test may fail because the machine is busy.
    pub fn for_tests() -> Self {
        Self {
            backoff_first: Duration::from_millis(2),
            backoff_max: Duration::from_millis(20),
            retry_after_min: Duration::from_millis(1),
            retry_after_max: Duration::from_millis(40),
            renewal_interval: Duration::ZERO,
            proxies: Proxies::Never,
            ..Self::default()
        }
    }
}
