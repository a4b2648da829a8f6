//! The API's side of HTTP: routing, faults, the request log.

use std::{borrow::Cow, collections::BTreeMap, io, sync::Arc, time::Duration};

use axum::{
    body::Body as HttpBody,
    extract::{ConnectInfo, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER},
    request::Parts,
};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use super::{
    State,
    answer::{self, Answer, RATE_LIMIT_RESET},
    auth::{self, Auth},
    body::{Body, Unreadable},
    check::DiscardCode,
    fault::{Effect, Fault, ResetAt, RetryAfter, StatusAnswer, Target},
    ingest::{Inbound, Shape, Taken},
    lock,
    oauth::TokenRequest,
    pixel,
    route::Route,
    server::Peer,
    shelf::{Delivery, Discard, LoggedRequest},
    wire,
};

/// A request, read to its end.
struct Visit {
    parts: Parts,
    body: Body,
    received_at: Timestamp,
    peer: Option<Peer>,
}

/// A request served, its answer not yet on the way.
struct Served {
    response: Response,
    calls: usize,
    write_key: Option<String>,
}

impl From<Answer> for Served {
    fn from(answer: Answer) -> Self {
        answer.into_response().into()
    }
}

impl From<Response> for Served {
    fn from(response: Response) -> Self {
        Self {
            response,
            calls: 0,
            write_key: None,
        }
    }
}

impl Visit {
    fn route(&self) -> Route<'_> {
        Route::of(&self.parts.method, self.parts.uri.path())
    }

    fn text(&self) -> Result<&str, Unreadable> {
        self.body.text.as_deref().map_err(|unreadable| *unreadable)
    }

    /// The request as one that brings calls; none where its path takes none.
    fn inbound(&self) -> Option<Inbound<'_>> {
        let shape = match self.route() {
            Route::Single(kind) | Route::Pixel(kind) => Shape::Single(kind),
            Route::Batch => Shape::Batch,
            Route::Telemetry
            | Route::Settings { .. }
            | Route::Token
            | Route::NotPosted
            | Route::Unknown => return None,
        };
        Some(Inbound {
            shape,
            text: self.text(),
            auth: Auth::of(&self.parts.headers),
            peer: self.peer.as_ref().map(|peer| peer.address.ip()),
            received_at: self.received_at,
        })
    }

    /// Waits, but not beyond the server's end.
    async fn wait(&self, delay: Duration) {
        let slept = tokio::time::sleep(delay);
        match &self.peer {
            Some(peer) => drop(peer.stop.run_until_cancelled(slept).await),
            None => slept.await,
        }
    }

    /// Closes the connection; without a socket of ours, the answer breaks off.
    fn closed(&self) -> Response {
        if let Some(peer) = &self.peer {
            peer.line.close();
        }
        broken_off()
    }

    fn reset(&self) -> Response {
        if let Some(peer) = &self.peer {
            peer.line.reset();
        }
        broken_off()
    }

    /// A 200 whose connection is reset after half of its body.
    fn half_answered(&self) -> Response {
        let line = self.peer.as_ref().map(|peer| Arc::clone(&peer.line));
        let half = Answer::SUCCESS.len() / 2;
        let first = Bytes::from_static(Answer::SUCCESS.as_bytes()).slice(..half);
        let chunks = stream::unfold(Some(first), move |first| {
            let line = line.as_ref().map(Arc::clone);
            async move {
                if let Some(first) = first {
                    return Some((Ok(first), None));
                }
                // What was written goes out while this task waits its turn.
                tokio::task::yield_now().await;
                if let Some(line) = line {
                    line.reset();
                }
                Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
        });
        let mut response = answer::json(StatusCode::OK, HttpBody::from_stream(chunks));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, Answer::SUCCESS.len().into());
        response
    }
}

/// A response that cannot be sent to its end.
fn broken_off() -> Response {
    let broken = io::Error::from(io::ErrorKind::ConnectionReset);
    let chunks = stream::once(async { Err::<Bytes, _>(broken) });
    HttpBody::from_stream(chunks).into_response()
}

impl State {
    /// Answers a request to the API, or does to it what the script says.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let received_at = self.clock.now();
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let peer = peer.map(|ConnectInfo(peer)| peer.clone());
        let mut body = Body::read(body, &parts.headers, self.config.limits.body_bytes).await;
        if let Route::Pixel(_) = Route::of(&parts.method, parts.uri.path()) {
            body.text = pixel::call(&parts.uri).ok_or(Unreadable::Malformed);
        }
        let visit = Visit {
            parts,
            body,
            received_at,
            peer,
        };
        if let Some((fault, write_key)) = self.fault_for(&visit) {
            return self.suffer(&visit, &fault, write_key).await;
        }
        let served = self.serve(&visit);
        self.log(&visit, &served, None);
        served.response
    }

    fn fault_for(&self, visit: &Visit) -> Option<(Fault, Option<String>)> {
        if !self.script.is_armed() {
            return None;
        }
        let inbound = visit.inbound();
        let payload = inbound.as_ref().and_then(|inbound| inbound.payload().ok());
        let calls = payload.iter().flat_map(|payload| &payload.calls);
        let ids: Vec<_> = calls
            .filter_map(|(_, call)| wire::text(call.message_id?))
            .collect();
        let key = match (&payload, &inbound) {
            (Some(payload), Some(inbound)) => auth::write_key(payload, &inbound.auth),
            (None, _) | (_, None) => None,
        };
        let target = Target {
            path: visit.parts.uri.path(),
            brings_calls: inbound.is_some(),
            write_key: key.as_deref(),
            message_ids: ids.iter().map(AsRef::as_ref).collect(),
        };
        let fault = self.script.take(&target)?;
        Some((fault, key.map(Cow::into_owned)))
    }

    /// Applies a fault.
    ///
    /// The request is logged before anything waits: a sender that leaves ends
    /// this future where it stands.
    async fn suffer(&self, visit: &Visit, fault: &Fault, write_key: Option<String>) -> Response {
        let served = match &fault.effect {
            Effect::Late | Effect::AcceptThenDrop | Effect::Reset(ResetAt::MidBody) => {
                self.serve(visit)
            }
            Effect::Status(answer) => status_response(answer).into(),
            Effect::NonJson400 => (StatusCode::BAD_REQUEST, "Bad Request")
                .into_response()
                .into(),
            Effect::Hang(_) | Effect::Reset(ResetAt::BeforeAnswer) => broken_off().into(),
        };
        let served = Served {
            write_key: served.write_key.or(write_key),
            ..served
        };
        self.log(visit, &served, Some(fault));
        visit.wait(fault.delay).await;
        match &fault.effect {
            Effect::Late | Effect::Status(_) | Effect::NonJson400 => served.response,
            Effect::Hang(limit) => {
                visit.wait(*limit).await;
                visit.closed()
            }
            Effect::Reset(ResetAt::BeforeAnswer) => visit.reset(),
            Effect::Reset(ResetAt::MidBody) => visit.half_answered(),
            Effect::AcceptThenDrop => visit.closed(),
        }
    }

    fn serve(&self, visit: &Visit) -> Served {
        match visit.route() {
            Route::Single(_) | Route::Batch => visit.inbound().map_or_else(
                || Answer::NotFound.into(),
                |inbound| served(self.ingest(&inbound)),
            ),
            Route::Pixel(_) => Served {
                response: pixel::picture(),
                ..visit.inbound().map_or_else(
                    || Answer::NotFound.into(),
                    |inbound| self.serve_pixel(&inbound),
                )
            },
            Route::Telemetry => Answer::Success.into(),
            Route::Settings { write_key } => Served {
                write_key: Some(write_key.to_owned()),
                ..settings(write_key, &visit.parts.headers).into()
            },
            Route::Token => self.serve_token(visit).into(),
            Route::NotPosted => Answer::MalformedJson.into(),
            Route::Unknown => Answer::NotFound.into(),
        }
    }

    fn serve_pixel(&self, inbound: &Inbound<'_>) -> Served {
        let taken = self.ingest(inbound);
        if taken.answer == Answer::MalformedJson {
            let code = DiscardCode::PixelMalformed;
            let discard = Discard {
                code,
                message: code.message(),
                call: None,
                write_key: String::new(),
                received_at: inbound.received_at,
            };
            let delivery = Delivery {
                calls: Vec::new(),
                discards: vec![discard],
            };
            self.shelf.put(delivery, inbound.received_at);
        }
        served(taken)
    }

    fn serve_token(&self, visit: &Visit) -> Response {
        let request = TokenRequest {
            headers: &visit.parts.headers,
            body: visit.text().unwrap_or_default(),
            now: visit.received_at,
        };
        self.tokens.answer(&request, &mut *lock(&self.chance))
    }

    fn log(&self, visit: &Visit, served: &Served, fault: Option<&Fault>) {
        let cut = fault.is_some_and(|fault| match fault.effect {
            Effect::Hang(_) | Effect::Reset(_) | Effect::AcceptThenDrop => true,
            Effect::Late | Effect::Status(_) | Effect::NonJson400 => false,
        });
        let key = served.write_key.as_deref();
        self.shelf.log(LoggedRequest {
            received_at: visit.received_at,
            method: visit.parts.method.to_string(),
            path: without(key, visit.parts.uri.path()),
            status: (!cut).then(|| served.response.status().as_u16()),
            headers: shown(&visit.parts.headers, key),
            write_key: key.map(auth::masked),
            body_bytes: visit.body.sent_bytes,
            inflated_bytes: visit.text().map_or(0, str::len),
            calls: served.calls,
            fault: fault.map(ToString::to_string),
        });
    }
}

fn served(taken: Taken) -> Served {
    Served {
        response: taken.answer.into_response(),
        calls: taken.calls,
        write_key: taken.write_key,
    }
}

/// What a browser library fetches before it sends: the least that lets it start.
fn settings(write_key: &str, headers: &HeaderMap) -> Response {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let settings = serde_json::json!({
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": format!("{host}/v1"),
                "unbundledIntegrations": [],
                "addBundledMetadata": true,
            }
        },
        "plan": { "track": { "__default": { "enabled": true, "integrations": {} } } },
        "edgeFunction": {},
        "analyticsNextEnabled": true,
        "enabledMiddleware": {},
        "metrics": { "sampleRate": 0 },
    });
    answer::json(StatusCode::OK, settings.to_string())
}

fn status_response(answer: &StatusAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let body = match &answer.body {
        Some(body) => body.clone(),
        None if status.is_success() => Answer::SUCCESS.to_owned(),
        None => answer::envelope(reason, "emulated_fault"),
    };
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
    let mut response = answer::json(status, body);
    let headers = response.headers_mut();
    if !is_json {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
    }
    if let Some(value) = answer.retry_after.as_ref().and_then(retry_after) {
        headers.insert(RETRY_AFTER, value);
    }
    if let Some(seconds) = answer.rate_limit_reset {
        headers.insert(RATE_LIMIT_RESET, seconds.into());
    }
    response
}

/// The header's text; a date counts from the system's clock, for that is what senders go by.
fn retry_after(form: &RetryAfter) -> Option<HeaderValue> {
    match form {
        RetryAfter::Seconds(seconds) => Some((*seconds).into()),
        RetryAfter::Text(text) => HeaderValue::from_str(text).ok(),
        RetryAfter::DateIn(seconds) => {
            // The date has whole seconds: the next one, so that it is never too soon.
            let seconds = i64::try_from(*seconds).ok()?;
            let at = Timestamp::now()
                .as_second()
                .checked_add(seconds)?
                .checked_add(1)?;
            let at = Timestamp::from_second(at).ok()?;
            let date = DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&at)
                .ok()?;
            HeaderValue::from_str(&date).ok()
        }
    }
}

/// Headers as they may be shown: of a credential, only its scheme.
fn shown(headers: &HeaderMap, write_key: Option<&str>) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = if name == AUTHORIZATION {
            format!("{} ...", value.split(' ').next().unwrap_or_default())
        } else {
            without(write_key, &value)
        };
        shown.insert(name.to_string(), value);
    }
    shown
}

fn without(write_key: Option<&str>, text: &str) -> String {
    match write_key {
        Some(key) if !key.is_empty() => text.replace(key, &auth::masked(key)),
        Some(_) | None => text.to_owned(),
    }
}
