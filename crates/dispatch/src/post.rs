//! One attempt: one POST, and as much of its answer as is worth keeping.
//!
//! Says what came back, or in words why nothing did. What an answer means is for
//! `verdict`, whether to try again for the outbox. An answer that breaks off is no
//! answer: the calls may or may not have arrived, so they go again under the same ids.
//!
//! A POST is the narrowest thing that dispatch does to the outside world. So it is a
//! trait: [`Http`] does it for real, and a simulation puts its own network in its place.

use std::error::Error;
use std::io::{self, Write};
use std::pin::Pin;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response};
use rustls::CertificateError;

use crate::line::Line;
use crate::verdict::MAX_RETRY_COUNT;
use crate::{Destination, Endpoint, OutboxError, Policy};

/// How much of an answer's body is read and kept.
pub(crate) const MAX_ANSWER_BYTES: usize = 4 * 1024;
/// The header in which Segment's clients say how often they have tried; absent at first.
const RETRY_COUNT: &str = "X-Retry-Count";
/// Segment's bodies shrink to a quarter or less: the compressor rarely has to grow its buffer.
const EXPECTED_RATIO: usize = 4;

/// The way to one destination.
pub trait Post: Send + Sync {
    /// Sends `parcel` and says what came back, or in words that a person understands
    /// why nothing did. Ends within [`Policy::request_timeout`].
    fn post(&self, parcel: Parcel) -> Posting<'_>;

    /// Makes the next request use a new connection: the last one failed.
    fn renew(&self);
}

/// A POST under way.
pub type Posting<'a> = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send + 'a>>;

/// What the destination said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The first 4 KB of the body, as text.
    pub body: String,
    /// The header of that name, unread.
    pub retry_after: Option<String>,
}

/// A compressed body and how often its calls have been sent before.
pub struct Parcel {
    /// The request's body.
    pub gzip: Vec<u8>,
    /// Zero, and the header is absent, on the first attempt; never above ten.
    pub retry_count: u32,
}

/// The way to a destination over HTTP.
pub(crate) struct Http {
    line: Line,
    destination: Destination,
    policy: Policy,
}

impl Http {
    pub(crate) fn new(destination: Destination, policy: Policy) -> Result<Self, OutboxError> {
        Ok(Self {
            line: Line::new(&destination.endpoint, policy.clone())?,
            destination,
            policy,
        })
    }
}

impl Post for Http {
    fn post(&self, parcel: Parcel) -> Posting<'_> {
        Box::pin(async move {
            let posted = post(&self.line.client(), &self.destination, parcel).await;
            posted.map_err(|error| explain(&error, &self.destination.endpoint, &self.policy))
        })
    }

    fn renew(&self) {
        self.line.renew_after_failure();
    }
}

impl Parcel {
    /// Compresses `body`, on the caller's thread.
    ///
    /// The largest body takes one to two milliseconds, once per 490 KB: a hand-over to a blocking
    /// thread and back would cost more waking up than it spares the runtime's other tasks.
    pub(crate) fn new(body: &[u8], retries: u32) -> Self {
        let room = Vec::with_capacity(body.len() / EXPECTED_RATIO);
        let mut encoder = GzEncoder::new(room, Compression::fast());
        encoder.write_all(body).expect("a Vec takes every byte");
        let gzip = encoder.finish().expect("a Vec takes every byte");
        Self {
            gzip,
            retry_count: retries.min(MAX_RETRY_COUNT),
        }
    }
}

/// Sends `parcel` and reads the answer, within the client's timeouts.
///
/// The write key goes into Basic authentication only: Segment takes it from there, and
/// it does not have to be spliced into each body.
async fn post(
    client: &Client,
    destination: &Destination,
    parcel: Parcel,
) -> Result<Answer, reqwest::Error> {
    let mut request = client
        .post(destination.endpoint.batch_url().clone())
        .basic_auth(destination.write_key.expose(), Some(""))
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_ENCODING, "gzip");
    if parcel.retry_count > 0 {
        request = request.header(RETRY_COUNT, parcel.retry_count);
    }
    let response = request.body(parcel.gzip).send().await?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body = beginning(response).await?;
    Ok(Answer {
        status,
        body,
        retry_after,
    })
}

/// Reads the first bytes of the body. What is beyond is not read: the connection is given up.
async fn beginning(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() <= MAX_ANSWER_BYTES
        && let Some(chunk) = response.chunk().await?
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(MAX_ANSWER_BYTES);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    text.truncate(text.floor_char_boundary(MAX_ANSWER_BYTES)); // � is longer than the byte it replaces
    Ok(text)
}

/// Says in words that a person understands why there was no answer.
pub(crate) fn explain(error: &reqwest::Error, endpoint: &Endpoint, policy: &Policy) -> String {
    let host = endpoint.host();
    if error.is_dns() {
        return format!("cannot resolve host {host}: {}", root(error));
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => format!(
            "cannot connect to {host} within {:?}",
            policy.connect_timeout
        ),
        (false, true) => format!("no answer from {host} within {:?}", policy.request_timeout),
        (true, false) => match causes(error).find_map(|cause| cause.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                format!(
                    "the certificate of {host} cannot be trusted: {}",
                    certificate_words(why)
                )
            }
            Some(tls) => format!("cannot make a secure connection to {host}: {tls}"),
            None => format!("cannot connect to {host}: {}", root(error)),
        },
        (false, false) => {
            format!(
                "the connection to {host} broke before the answer was there: {}",
                root(error)
            )
        }
    }
}

fn certificate_words(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "its issuer is unknown to this system".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        other => other.to_string(),
    }
}

/// The error and what caused it. An I/O error skips the error it wraps in its source.
pub(crate) fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |cause| {
        let wrapped = (*cause)
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        wrapped
            .map(|wrapped| wrapped as &dyn Error)
            .or_else(|| (*cause).source())
    })
}

fn root(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
