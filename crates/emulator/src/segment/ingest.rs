//! From a request's text to stored calls and discards, in Segment's order.
//!
//! Body size, JSON, write key, size of each call: what fails here is refused.
//! Everything else is answered 200 first and judged afterwards.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{
    State,
    answer::Answer,
    auth::{self, Auth},
    body::Unreadable,
    call::{Shared, Stored, StoredCall},
    check::{self, DiscardCode},
    config::{KeyState, UnknownKeys},
    ksuid, lock,
    route::Kind,
    shelf::{Delivery, Discard},
    skew,
    wire::{self, Fields, Payload},
};

/// How a path's body is to be cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    Single(Kind),
    Batch,
}

/// A request that brings calls.
pub(super) struct Inbound<'a> {
    pub(super) shape: Shape,
    pub(super) text: Result<&'a str, Unreadable>,
    pub(super) auth: Auth,
    pub(super) peer: Option<IpAddr>,
    pub(super) received_at: Timestamp,
}

/// What became of a request.
pub(super) struct Taken {
    pub(super) answer: Answer,
    pub(super) calls: usize,
    pub(super) write_key: Option<String>,
}

impl<'a> Inbound<'a> {
    /// The calls of the body, cut but not judged.
    pub(super) fn payload(&self) -> Result<Payload<'a>, Answer> {
        let text = self.text.map_err(|unreadable| match unreadable {
            Unreadable::TooLarge => Answer::TooLarge,
            Unreadable::Malformed => Answer::MalformedJson,
        })?;
        let payload = match self.shape {
            Shape::Single(_) => Payload::single(text),
            Shape::Batch => Payload::batch(text),
        };
        payload.map_err(|_| Answer::MalformedJson)
    }

    fn implied(&self) -> Option<Kind> {
        match self.shape {
            Shape::Single(kind) => Some(kind),
            Shape::Batch => None,
        }
    }
}

impl State {
    /// Takes a request in, as Segment's edge and what lies behind it would.
    pub(super) fn ingest(&self, inbound: &Inbound<'_>) -> Taken {
        let payload = match inbound.payload() {
            Ok(payload) => payload,
            Err(answer) => {
                return Taken {
                    answer,
                    calls: 0,
                    write_key: None,
                };
            }
        };
        let write_key = auth::write_key(&payload, &inbound.auth);
        let calls = payload.calls.len();
        let answer = match self.admit(&payload, write_key.as_deref(), inbound) {
            Ok(key) => {
                self.keep(&payload, key, inbound);
                Answer::Success
            }
            Err(answer) => answer,
        };
        Taken {
            answer,
            calls,
            write_key: write_key.map(Cow::into_owned),
        }
    }

    /// The checks that come before the 200; the write key, if they pass.
    fn admit<'k>(
        &self,
        payload: &Payload<'_>,
        write_key: Option<&'k str>,
        inbound: &Inbound<'_>,
    ) -> Result<&'k str, Answer> {
        let long_enough = |key: &&str| key.chars().count() >= self.config.min_write_key_chars;
        let key = write_key
            .filter(long_enough)
            .ok_or(Answer::InvalidWriteKey)?;
        if let Auth::Bearer(token) = &inbound.auth
            && !self.tokens.accepts(token, inbound.received_at)
        {
            return Err(Answer::BadToken);
        }
        if self.config.unknown_keys == UnknownKeys::Refuse && !self.config.keys.contains_key(key) {
            return Err(Answer::UnknownWriteKey);
        }
        let limit = self.config.limits.call_bytes;
        if payload.calls.iter().any(|(text, _)| text.len() > limit) {
            return Err(Answer::TooLarge);
        }
        if let Some(bucket) = &self.bucket {
            let taken = lock(bucket).take(payload.calls.len(), inbound.received_at);
            taken.map_err(|seconds| Answer::RateLimited { seconds })?;
        }
        Ok(key)
    }

    /// What happens behind the 200: checks, enrichment, deduplication.
    fn keep(&self, payload: &Payload<'_>, write_key: &str, inbound: &Inbound<'_>) {
        let state = self
            .config
            .keys
            .get(write_key)
            .copied()
            .unwrap_or(KeyState::Live);
        let sort = Sort {
            state: self,
            inbound,
            shared: Arc::new(self.shared(payload, write_key, inbound)),
            sent: payload
                .envelope
                .sent_at
                .and_then(wire::text)
                .and_then(|text| skew::instant(&text)),
        };
        let delivery = match state {
            KeyState::WrongRegion => return,
            KeyState::SourceDisabled => sort.discard_all(payload, DiscardCode::SourceDisabled),
            KeyState::WorkspaceLocked => sort.discard_all(payload, DiscardCode::LockedWorkspace),
            KeyState::Live => sort.deliver(payload),
        };
        self.shelf.put(delivery, inbound.received_at);
    }

    fn shared(&self, payload: &Payload<'_>, write_key: &str, inbound: &Inbound<'_>) -> Shared {
        let own = |value: Option<&RawValue>| value.map(|raw| raw.get().into());
        let envelope = match inbound.shape {
            Shape::Batch => payload.envelope,
            Shape::Single(_) => Fields::default(),
        };
        Shared {
            write_key: write_key.into(),
            received_at: inbound.received_at,
            sent_at: own(envelope.sent_at),
            context: own(envelope.context),
            integrations: own(envelope.integrations),
            peer: inbound.peer.and_then(ipv4),
            max_properties: self.config.limits.properties,
        }
    }
}

/// Sorts one request's calls into stored and discarded.
struct Sort<'a> {
    state: &'a State,
    inbound: &'a Inbound<'a>,
    shared: Arc<Shared>,
    /// When the envelope says that it was sent; read once for all its calls.
    sent: Option<Timestamp>,
}

impl Sort<'_> {
    fn deliver(&self, payload: &Payload<'_>) -> Delivery {
        let mut delivery = Delivery::default();
        let is_batch = self.inbound.shape == Shape::Batch;
        if is_batch && payload.calls.is_empty() {
            delivery
                .discards
                .push(self.discard(DiscardCode::EmptyBatch, None));
            return delivery;
        }
        if payload.calls.len() > self.state.config.limits.batch_calls {
            delivery
                .discards
                .push(self.discard(DiscardCode::BatchTooLong, None));
            return delivery;
        }
        let mut n_bad = 0;
        for (text, call) in &payload.calls {
            match check::check(call, self.inbound.implied()) {
                Ok(sound) => {
                    delivery.calls.push(self.store(text, call, sound));
                    delivery.discards.extend(self.surplus(text, call));
                }
                Err(code) => {
                    n_bad += 1;
                    delivery.discards.push(self.discard(code, Some(text)));
                }
            }
        }
        if is_batch && n_bad > 0 {
            let all = delivery.calls.is_empty();
            let code = if all {
                DiscardCode::EmptyBatchResult
            } else {
                DiscardCode::MultiUserError
            };
            delivery.discards.push(self.discard(code, None));
        }
        delivery
    }

    fn discard_all(&self, payload: &Payload<'_>, code: DiscardCode) -> Delivery {
        let discards = payload
            .calls
            .iter()
            .map(|(text, _)| self.discard(code, Some(text)));
        Delivery {
            calls: Vec::new(),
            discards: discards.collect(),
        }
    }

    fn discard(&self, code: DiscardCode, text: Option<&str>) -> Discard {
        Discard {
            code,
            message: code.message(),
            call: text.and_then(|text| RawValue::from_string(text.trim().to_owned()).ok()),
            write_key: self.shared.write_key.to_string(),
            received_at: self.shared.received_at,
        }
    }

    /// A note where a call has more properties than are kept.
    fn surplus(&self, text: &str, call: &Fields<'_>) -> Option<Discard> {
        let limit = self.state.config.limits.properties;
        // A member is at least five bytes long, so short ones need not be counted.
        let properties = call.properties.filter(|raw| raw.get().len() / 5 >= limit)?;
        let n_properties = wire::members(properties.get())?.len();
        (n_properties > limit).then(|| self.discard(DiscardCode::PropertiesSurplus, Some(text)))
    }

    fn store(&self, text: &str, call: &Fields<'_>, sound: check::Sound<'_>) -> (u128, StoredCall) {
        let message_id = match call.message_id.and_then(wire::text) {
            Some(id) if !id.is_empty() => id.into_owned(),
            Some(_) | None => {
                ksuid::message_id(self.shared.received_at, &mut *lock(&self.state.chance))
            }
        };
        let original = call.timestamp.and_then(wire::text);
        let own_sent = call
            .sent_at
            .map(|raw| wire::text(raw).and_then(|text| skew::instant(&text)));
        let sent = own_sent.unwrap_or(self.sent);
        let timestamp = skew::corrected(self.shared.received_at, original.as_deref(), sent);
        let hash = self.state.shelf.ids.hash(&message_id);
        let stored = Stored {
            kind: sound.kind,
            message_id: message_id.into(),
            event: sound.event.map(|event| event.into_owned().into()),
            user_id: sound.user_id.map(|id| id.into_owned().into()),
            timestamp: timestamp.into(),
            raw: text.into(),
            request: Arc::clone(&self.shared),
        };
        (hash, StoredCall::new(stored))
    }
}

/// Segment fills in IPv4 addresses only.
fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
