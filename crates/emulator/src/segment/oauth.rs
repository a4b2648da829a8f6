//! The OAuth token endpoint, `POST /token`.
//!
//! Takes the client-credentials grant with a JWT assertion and checks all that
//! can be checked without the application's public key: the form, the three
//! parts, `alg` RS256, and the claims `sub`, `aud`, `iat`, `exp`, `jti`. **The
//! signature itself is not verified**; any is taken.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use axum::{extract::Query, response::Response};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE};
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use serde::Deserialize;

use super::{answer, lock};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SCOPE: &str = "tracking_api:write";
const FORM: &str = "application/x-www-form-urlencoded";
/// How long an assertion may live: Segment's page says less than 60 s.
const MAX_ASSERTION_SECONDS: i64 = 60;
/// How far ahead of our clock an assertion may have been issued.
const MAX_AHEAD_SECONDS: i64 = 60;
/// Tokens remembered; above it the one that expires first is forgotten.
const MAX_TOKENS: usize = 10_000;

/// The tokens that were issued.
pub(super) struct Tokens {
    lifetime: SignedDuration,
    expiry: Mutex<HashMap<String, Timestamp>>,
}

impl Tokens {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime: SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX),
            expiry: Mutex::new(HashMap::new()),
        }
    }

    /// Whether `token` was issued here and has not expired.
    pub(super) fn accepts(&self, token: &str, now: Timestamp) -> bool {
        lock(&self.expiry)
            .get(token)
            .is_some_and(|expiry| now < *expiry)
    }

    pub(super) fn clear(&self) {
        lock(&self.expiry).clear();
    }

    fn issue(&self, now: Timestamp, rng: &mut impl Rng) -> String {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let mut expiry = lock(&self.expiry);
        if expiry.len() >= MAX_TOKENS
            && let Some(first) = expiry
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(token, _)| token.clone())
        {
            expiry.remove(&first);
        }
        let until = now.checked_add(self.lifetime).unwrap_or(Timestamp::MAX);
        expiry.insert(token.clone(), until);
        token
    }

    /// Answers a request for a token.
    pub(super) fn answer(&self, request: &TokenRequest<'_>, rng: &mut impl Rng) -> Response {
        match request.check() {
            Ok(()) => {
                let token = self.issue(request.now, rng);
                let seconds = self.lifetime.as_secs();
                let body = format!(
                    r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds},"scope":"{SCOPE}"}}"#
                );
                answer::json(StatusCode::OK, body)
            }
            Err(refusal) => refusal.response(),
        }
    }
}

/// A request to the token endpoint.
pub(super) struct TokenRequest<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a str,
    pub(super) now: Timestamp,
}

#[derive(Deserialize)]
struct Form {
    grant_type: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
}

enum Refusal {
    NotAForm,
    /// The form is wrong: 400.
    Request(&'static str),
    /// The assertion is wrong: 401.
    Client(&'static str),
}

impl TokenRequest<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let content_type = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(|value| value.starts_with(FORM)) {
            return Err(Refusal::NotAForm);
        }
        let form = form(self.body).ok_or(Refusal::Request("the form cannot be read"))?;
        if form.grant_type.as_deref() != Some("client_credentials") {
            return Err(Refusal::Request("grant_type must be client_credentials"));
        }
        if form.client_assertion_type.as_deref() != Some(ASSERTION_TYPE) {
            return Err(Refusal::Request("client_assertion_type must be jwt-bearer"));
        }
        if form.scope.as_deref() != Some(SCOPE) {
            return Err(Refusal::Request("scope must be tracking_api:write"));
        }
        let missing = Refusal::Request("client_assertion is missing");
        let assertion = form.client_assertion.ok_or(missing)?;
        self.check_assertion(&assertion).map_err(Refusal::Client)
    }

    fn check_assertion(&self, assertion: &str) -> Result<(), &'static str> {
        let parts: Vec<&str> = assertion.split('.').collect();
        let &[header, claims, signature] = parts.as_slice() else {
            return Err("the assertion is no JWT of three parts");
        };
        let header: Header = part(header).ok_or("the header of the assertion cannot be read")?;
        let claims: Claims =
            part(claims).ok_or("a claim of the assertion is missing or malformed")?;
        if header.alg != "RS256" {
            return Err("the assertion must be signed with RS256");
        }
        if URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|bytes| bytes.is_empty())
        {
            return Err("the assertion is not signed");
        }
        if claims.sub.is_empty() || claims.aud.is_empty() || claims.jti.is_empty() {
            return Err("sub, aud and jti must not be empty");
        }
        let now = self.now.as_second();
        if claims.exp <= now {
            return Err("the assertion has expired");
        }
        if claims.iat > now.saturating_add(MAX_AHEAD_SECONDS) {
            return Err("the assertion was issued in the future");
        }
        if claims.exp.saturating_sub(claims.iat) > MAX_ASSERTION_SECONDS {
            return Err("the assertion lives longer than 60 s");
        }
        Ok(())
    }
}

impl Refusal {
    fn response(&self) -> Response {
        let (status, error, description) = match self {
            Self::NotAForm => {
                let wanted = "the body must be application/x-www-form-urlencoded";
                (
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "invalid_request",
                    wanted,
                )
            }
            Self::Request(why) => (StatusCode::BAD_REQUEST, "invalid_request", *why),
            Self::Client(why) => (StatusCode::UNAUTHORIZED, "invalid_client", *why),
        };
        let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
        answer::json(status, body)
    }
}

/// Reads a form the way a query string is read: they are written alike.
fn form(body: &str) -> Option<Form> {
    let uri = Uri::builder()
        .path_and_query(format!("/?{}", body.trim()))
        .build()
        .ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(form)| form)
}

fn part<T: for<'de> Deserialize<'de>>(encoded: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    serde_json::from_slice(&bytes).ok()
}
