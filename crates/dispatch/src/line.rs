//! The HTTP client of one connection, replaced before its connections grow old.
//!
//! Segment's addresses are not stable: DNS has to be asked again, at the latest when
//! something looks wrong. A pool keeps a busy connection for ever, so the whole client,
//! pool included, is swapped by age; requests under way keep the one they left with.
//! Knows nothing of what is sent.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::{Client, redirect, retry};
use tracing::warn;

use crate::{Endpoint, Policy, Proxies};

const USER_AGENT: &str = concat!("postmeter/", env!("CARGO_PKG_VERSION"));
/// Shorter than the 60 s after which Amazon's load balancers close an idle connection, so
/// that a request rarely meets one that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(45);

/// Why there is no [`Outbox`](crate::Outbox).
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// For https, most likely because the system has no root certificates.
    #[error("cannot set up the HTTP client and its root certificates")]
    Client(#[source] reqwest::Error),
}

/// Hands out a client whose connections are young enough.
pub(crate) struct Line {
    endpoint: Endpoint,
    policy: Policy,
    held: Mutex<Held>,
}

struct Held {
    client: Client,
    since: Instant,
}

impl Line {
    pub(crate) fn new(endpoint: Endpoint, policy: Policy) -> Result<Self, OutboxError> {
        let client = build(&endpoint, &policy).map_err(OutboxError::Client)?;
        let held = Mutex::new(Held {
            client,
            since: Instant::now(),
        });
        Ok(Self {
            endpoint,
            policy,
            held,
        })
    }

    /// The client to send the next request with; a new one when the last has had its time.
    pub(crate) fn client(&self) -> Client {
        let mut held = self.lock();
        if held.since.elapsed() >= self.policy.connection_lifetime {
            self.renew(&mut held);
        }
        held.client.clone()
    }

    /// Makes the next request use a new connection, unless that was done a moment ago.
    pub(crate) fn renew_after_failure(&self) {
        let mut held = self.lock();
        if held.since.elapsed() >= self.policy.renewal_interval {
            self.renew(&mut held);
        }
    }

    fn renew(&self, held: &mut Held) {
        match build(&self.endpoint, &self.policy) {
            Ok(client) => held.client = client,
            // The old client still works; the certificates may be back by the next renewal.
            Err(cause) => {
                let cause: &dyn std::error::Error = &cause;
                warn!(
                    error = cause,
                    "cannot renew the HTTP client, keeping the old one"
                );
            }
        }
        held.since = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

fn build(endpoint: &Endpoint, policy: &Policy) -> Result<Client, reqwest::Error> {
    // TLS comes without a provider of its own; whoever came first in this process may stay.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let mut client = Client::builder()
        .user_agent(USER_AGENT)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never()) // one attempt is one request: retries are counted and gated
        .timeout(policy.request_timeout)
        .connect_timeout(policy.connect_timeout)
        .pool_idle_timeout(POOL_IDLE);
    if endpoint.is_plaintext() {
        // No redirect is followed, so TLS is never spoken and needs no roots.
        client = client.tls_certs_only([]);
    }
    if endpoint.is_plaintext() || policy.proxies == Proxies::Never {
        client = client.no_proxy();
    }
    client.build()
}
