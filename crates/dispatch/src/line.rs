//! The HTTP client of one connection, replaced before its connections grow old.
//!
//! Segment's addresses are not stable: DNS has to be asked again, at the latest when
//! something looks wrong. A pool keeps a busy connection for ever, so the whole client,
//! pool included, is swapped by age; requests under way keep the one they left with.
//! What is slow to make, the root certificates in memory, is made once and stays, so that a
//! renewal is a matter of microseconds. Knows nothing of what is sent.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::{Client, redirect, retry};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;
use tracing::warn;

use crate::{Endpoint, Policy, Proxies};

const USER_AGENT: &str = concat!("postmeter/", env!("CARGO_PKG_VERSION"));
/// Shorter than the 60 s after which Amazon's load balancers close an idle connection, so
/// that a request rarely meets one that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(45);

/// What we offer to speak inside TLS, in ALPN's words.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why there is no [`Outbox`](crate::Outbox).
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The system has no root certificates; https needs them.
    #[error("cannot load the system's root certificates")]
    Roots(#[source] rustls::Error),
    /// The HTTP client cannot be made.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Hands out a client whose connections are young enough.
pub(crate) struct Line {
    recipe: Recipe,
    policy: Policy,
    held: Mutex<Held>,
}

struct Held {
    client: Client,
    since: Instant,
}

/// What every client of one connection has in common.
struct Recipe {
    tls: ClientConfig,
    proxies: Proxies,
}

impl Line {
    pub(crate) fn new(endpoint: &Endpoint, policy: Policy) -> Result<Self, OutboxError> {
        let recipe = Recipe::new(endpoint, &policy).map_err(OutboxError::Roots)?;
        let client = recipe.client(&policy).map_err(OutboxError::Client)?;
        let held = Mutex::new(Held {
            client,
            since: Instant::now(),
        });
        Ok(Self {
            recipe,
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
        match self.recipe.client(&self.policy) {
            Ok(client) => held.client = client,
            // The old client still works, and its time will come again.
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

impl Recipe {
    fn new(endpoint: &Endpoint, policy: &Policy) -> Result<Self, rustls::Error> {
        if endpoint.is_plaintext() {
            // No redirect is followed, so TLS is never spoken, and an emulator must also
            // run where there are no certificates.
            let nobody = RootCertStore::empty();
            let tls = tls_versions()?
                .with_root_certificates(nobody)
                .with_no_client_auth();
            return Ok(Self {
                tls,
                proxies: Proxies::Never,
            });
        }
        let mut tls = tls_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        tls.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self {
            tls,
            proxies: policy.proxies,
        })
    }

    fn client(&self, policy: &Policy) -> Result<Client, reqwest::Error> {
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .http1_only()
            .tls_backend_preconfigured(self.tls.clone())
            .redirect(redirect::Policy::none())
            .retry(retry::never()) // one attempt is one request: retries are counted and gated
            .timeout(policy.request_timeout)
            .connect_timeout(policy.connect_timeout)
            .pool_idle_timeout(POOL_IDLE);
        match self.proxies {
            Proxies::FromEnvironment => client.build(),
            Proxies::Never => client.no_proxy().build(),
        }
    }
}

fn tls_versions() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}
