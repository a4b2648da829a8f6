//! The JSON of a fault script, read strictly and written back.
//!
//! A step is an object with exactly one effect:
//!
//! | effect | what happens |
//! |---|---|
//! | `"status": 429` | this answer, 200 to 599; nothing is stored. With it: `"retry_after"` (`2`, `"http-date:+2"`, any other text as it is, or `null` for none), `"rate_limit_reset": 2`, `"body": "..."` |
//! | `"delay_ms": 500` | served as ever and stored at once, but answered late. Beside another effect: that effect comes late |
//! | `"hang": true` | no answer for `"seconds"` (3600), then the connection is closed; nothing is stored |
//! | `"reset": true` | TCP reset before an answer; nothing is stored |
//! | `"reset": "mid_body"` | the calls are stored, then TCP reset after half of the answer's body |
//! | `"accept_then_drop": true` | the calls are stored, then the connection is closed without an answer |
//! | `"non_json_400": true` | 400 with the text `Bad Request`; nothing is stored |
//!
//! and, with any of them, its selection:
//!
//! | member | default | meaning |
//! |---|---|---|
//! | `"times"` | `1` | how many requests it is applied to; `"always"` until cleared |
//! | `"after"` | `0` | how many matching requests pass first |
//! | `"message_id"`, `"message_ids"` | any | only requests that carry this id, or one of these |
//! | `"write_key"` | any | only requests with this write key |
//! | `"path"` | any that brings calls | only this path, such as `"/token"` |
//!
//! Unknown members are refused.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fault::{DEFAULT_HANG, Effect, Fault, Only, ResetAt, RetryAfter, StatusAnswer, Times};

/// Steps that one request may bring.
pub const MAX_STEPS: usize = 10_000;
/// Milliseconds that a step may delay, or seconds that it may hang: a day.
const MAX_WAIT_SECONDS: u64 = 86_400;

const EFFECTS: &str = "status, delay_ms, hang, reset, accept_then_drop, non_json_400";
const HTTP_DATE: &str = "http-date:+";

/// Why a script was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Not an array.
    #[error("a script is a JSON array of steps")]
    NotAnArray(#[source] serde_json::Error),
    /// More than [`MAX_STEPS`].
    #[error("a script has at most {MAX_STEPS} steps")]
    TooLong,
    /// A member is unknown or has the wrong type.
    #[error("step {index} cannot be read")]
    Unreadable {
        /// The step's place, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// The members do not make a step.
    #[error("step {index}: {reason}")]
    Senseless {
        /// The step's place, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<NumberOrText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_reset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hang: Option<Yes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<YesOrText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_then_drop: Option<Yes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    non_json_400: Option<Yes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<NumberOrText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "expected a whole number or a text")]
enum NumberOrText {
    Number(u64),
    Text(String),
}

/// `true`; `false` says nothing and is refused.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "bool", into = "bool")]
struct Yes;

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(yes: bool) -> Result<Self, Self::Error> {
        yes.then_some(Self)
            .ok_or("write true, or leave the member out")
    }
}

impl From<Yes> for bool {
    fn from(Yes: Yes) -> Self {
        true
    }
}

#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "expected true or \"mid_body\"")]
enum YesOrText {
    Yes(Yes),
    Text(String),
}

/// Reads a script.
pub(super) fn parse(json: &[u8]) -> Result<Vec<Fault>, ScriptError> {
    let steps: Vec<&RawValue> = serde_json::from_slice(json).map_err(ScriptError::NotAnArray)?;
    if steps.len() > MAX_STEPS {
        return Err(ScriptError::TooLong);
    }
    let read = |(index, raw): (usize, &RawValue)| {
        let step: Step = serde_json::from_str(raw.get())
            .map_err(|cause| ScriptError::Unreadable { index, cause })?;
        step.fault()
            .map_err(|reason| ScriptError::Senseless { index, reason })
    };
    steps.into_iter().enumerate().map(read).collect()
}

/// Writes steps the way they are read.
pub(super) fn to_json(faults: &[Fault]) -> String {
    let steps: Vec<Step> = faults.iter().map(Step::of).collect();
    serde_json::to_string(&steps).expect("a step holds nothing but numbers and text")
}

impl Step {
    fn fault(self) -> Result<Fault, String> {
        let wait = self.delay_ms.unwrap_or(0) / 1000;
        if wait > MAX_WAIT_SECONDS || self.seconds.unwrap_or(0) > MAX_WAIT_SECONDS {
            return Err("no step waits longer than a day".into());
        }
        let effect = self.effect()?;
        self.check_companions(&effect)?;
        let times = match self.times {
            None => Times::Count(1),
            Some(NumberOrText::Number(n)) => {
                let n = u32::try_from(n).ok().filter(|n| *n > 0);
                Times::Count(n.ok_or("times is at least 1 and fits 32 bits")?)
            }
            Some(NumberOrText::Text(text)) if text == "always" => Times::Always,
            Some(NumberOrText::Text(_)) => return Err("times is a number or \"always\"".into()),
        };
        let mut message_ids = self.message_ids.unwrap_or_default();
        message_ids.extend(self.message_id);
        Ok(Fault {
            effect,
            delay: Duration::from_millis(self.delay_ms.unwrap_or(0)),
            times,
            after: self.after.unwrap_or(0),
            only: Only {
                message_ids,
                write_key: self.write_key,
                path: self.path,
            },
        })
    }

    fn effect(&self) -> Result<Effect, String> {
        let mut effects = Vec::new();
        if let Some(status) = self.status {
            effects.push(Effect::Status(self.answer(status)?));
        }
        if self.hang.is_some() {
            let limit = self.seconds.map_or(DEFAULT_HANG, Duration::from_secs);
            effects.push(Effect::Hang(limit));
        }
        match &self.reset {
            None => (),
            Some(YesOrText::Yes(_)) => effects.push(Effect::Reset(ResetAt::BeforeAnswer)),
            Some(YesOrText::Text(at)) if at == "mid_body" => {
                effects.push(Effect::Reset(ResetAt::MidBody));
            }
            Some(YesOrText::Text(_)) => return Err("reset is true or \"mid_body\"".into()),
        }
        if self.accept_then_drop.is_some() {
            effects.push(Effect::AcceptThenDrop);
        }
        if self.non_json_400.is_some() {
            effects.push(Effect::NonJson400);
        }
        let mut effects = effects.into_iter();
        match (effects.next(), effects.next()) {
            (Some(_), Some(_)) => Err(format!("more than one effect; a step has one of {EFFECTS}")),
            (Some(effect), None) => Ok(effect),
            (None, _) if self.delay_ms.is_some() => Ok(Effect::Late),
            (None, _) => Err(format!("no effect; a step has one of {EFFECTS}")),
        }
    }

    /// Refuses members that mean nothing beside `effect`.
    fn check_companions(&self, effect: &Effect) -> Result<(), String> {
        let of_status =
            self.retry_after.is_some() || self.rate_limit_reset.is_some() || self.body.is_some();
        if of_status && !matches!(effect, Effect::Status(_)) {
            return Err("retry_after, rate_limit_reset and body go with status".into());
        }
        if self.seconds.is_some() && !matches!(effect, Effect::Hang(_)) {
            return Err("seconds goes with hang".into());
        }
        if self.delay_ms.is_some() && matches!(effect, Effect::Hang(_)) {
            return Err("a hanging request needs no delay_ms".into());
        }
        Ok(())
    }

    fn answer(&self, status: u16) -> Result<StatusAnswer, String> {
        if !(200..=599).contains(&status) {
            return Err("a status is between 200 and 599".into());
        }
        let retry_after = match &self.retry_after {
            None => None,
            Some(NumberOrText::Number(seconds)) => Some(RetryAfter::Seconds(*seconds)),
            Some(NumberOrText::Text(text)) => Some(retry_after(text)?),
        };
        Ok(StatusAnswer {
            status,
            retry_after,
            rate_limit_reset: self.rate_limit_reset,
            body: self.body.clone(),
        })
    }

    fn of(fault: &Fault) -> Self {
        let mut step = Self {
            times: Some(match fault.times {
                Times::Count(n) => NumberOrText::Number(n.into()),
                Times::Always => NumberOrText::Text("always".into()),
            }),
            after: (fault.after > 0).then_some(fault.after),
            message_ids: (!fault.only.message_ids.is_empty())
                .then(|| fault.only.message_ids.clone()),
            write_key: fault.only.write_key.clone(),
            path: fault.only.path.clone(),
            ..Self::default()
        };
        let delay_ms = u64::try_from(fault.delay.as_millis()).unwrap_or(u64::MAX);
        step.delay_ms = (delay_ms > 0 || fault.effect == Effect::Late).then_some(delay_ms);
        match &fault.effect {
            Effect::Late => (),
            Effect::Status(answer) => {
                step.status = Some(answer.status);
                step.rate_limit_reset = answer.rate_limit_reset;
                step.body.clone_from(&answer.body);
                step.retry_after = answer.retry_after.as_ref().map(|after| match after {
                    RetryAfter::Seconds(seconds) => NumberOrText::Number(*seconds),
                    RetryAfter::DateIn(seconds) => {
                        NumberOrText::Text(format!("{HTTP_DATE}{seconds}"))
                    }
                    RetryAfter::Text(text) => NumberOrText::Text(text.clone()),
                });
            }
            Effect::NonJson400 => step.non_json_400 = Some(Yes),
            Effect::Hang(limit) => {
                step.hang = Some(Yes);
                step.seconds = Some(limit.as_secs());
            }
            Effect::Reset(ResetAt::BeforeAnswer) => step.reset = Some(YesOrText::Yes(Yes)),
            Effect::Reset(ResetAt::MidBody) => {
                step.reset = Some(YesOrText::Text("mid_body".into()));
            }
            Effect::AcceptThenDrop => step.accept_then_drop = Some(Yes),
        }
        step
    }
}

fn retry_after(text: &str) -> Result<RetryAfter, String> {
    if let Some(seconds) = text.strip_prefix(HTTP_DATE) {
        let seconds = seconds
            .parse()
            .map_err(|_| "http-date: wants a number, as in http-date:+2")?;
        return Ok(RetryAfter::DateIn(seconds));
    }
    if text.starts_with("http-date") || http::HeaderValue::from_str(text).is_err() {
        return Err("retry_after is a number, \"http-date:+2\", or text that fits a header".into());
    }
    Ok(RetryAfter::Text(text.to_owned()))
}
