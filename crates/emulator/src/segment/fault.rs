//! Faults that the API can be told to show, and the script that holds them.
//!
//! A script is a list of steps. For each request, the steps are looked at in
//! order: one whose selection does not match is passed over; one that still has
//! to skip requests (`after`) counts this one and passes it on; the first that
//! is ripe is applied, and later steps do not see the request. A step that has
//! been applied `times` times is gone.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::lock;

/// How long a hanging request is held, unless the fault says otherwise.
pub const DEFAULT_HANG: Duration = Duration::from_hours(1);

/// One step of a script: what to do, and to which requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What happens.
    pub effect: Effect,
    /// How late the answer comes, or the cut.
    pub delay: Duration,
    /// How many requests it is applied to.
    pub times: Times,
    /// How many matching requests pass unharmed first.
    pub after: u32,
    /// Which requests it is for.
    pub only: Only,
}

/// What a fault does to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The request is served as ever, its calls stored at once; the answer is late.
    Late,
    /// Another answer; nothing is stored.
    Status(StatusAnswer),
    /// 400 with the bare text `Bad Request`; nothing is stored.
    NonJson400,
    /// No answer for so long, then the connection is closed; nothing is stored.
    Hang(Duration),
    /// The TCP connection is reset.
    Reset(ResetAt),
    /// The calls are stored, then the connection is closed without an answer.
    AcceptThenDrop,
}

/// When a connection is reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResetAt {
    /// Before any answer; nothing is stored.
    BeforeAnswer,
    /// After half of a 200's body; the calls are stored.
    MidBody,
}

/// An answer of the script's own.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusAnswer {
    /// 200 to 599.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<RetryAfter>,
    /// The `X-RateLimit-Reset` header.
    pub rate_limit_reset: Option<u64>,
    /// The body; an error envelope unless given.
    pub body: Option<String>,
}

/// The forms of `Retry-After`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RetryAfter {
    /// Whole seconds.
    Seconds(u64),
    /// An HTTP date, so many seconds after the answer by the system's clock.
    DateIn(u64),
    /// Any text, as a broken server might send.
    Text(String),
}

/// How often a fault is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Times {
    /// To so many requests.
    Count(u32),
    /// Until the script is cleared.
    Always,
}

/// Which requests a fault is for; every part that is given must match.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Only {
    /// Only requests that carry one of these message ids; empty means any.
    pub message_ids: Vec<String>,
    /// Only requests with this write key.
    pub write_key: Option<String>,
    /// Only this path, exactly. Without it, only requests that bring calls.
    pub path: Option<String>,
}

impl Fault {
    /// The next request meets `effect`.
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            delay: Duration::ZERO,
            times: Times::Count(1),
            after: 0,
            only: Only::default(),
        }
    }

    /// The next request is answered with `status` (200 to 599).
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Status(StatusAnswer {
            status,
            retry_after: None,
            rate_limit_reset: None,
            body: None,
        }))
    }

    /// Adds `Retry-After` to an answer with a status; other faults have none.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        if let Effect::Status(answer) = &mut self.effect {
            answer.retry_after = Some(retry_after);
        }
        self
    }

    /// The answer comes so late.
    #[must_use]
    pub fn late_by(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// It is applied to so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Times::Count(times);
        self
    }

    /// It is applied until the script is cleared.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = Times::Always;
        self
    }

    /// So many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Only requests that carry `message_id`; may be said of several ids.
    #[must_use]
    pub fn for_message(mut self, message_id: impl Into<String>) -> Self {
        self.only.message_ids.push(message_id.into());
        self
    }

    /// Only requests with `write_key`.
    #[must_use]
    pub fn for_write_key(mut self, write_key: impl Into<String>) -> Self {
        self.only.write_key = Some(write_key.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.effect {
            Effect::Late => write!(f, "late by {} ms", self.delay.as_millis())?,
            Effect::Status(answer) => write!(f, "status {}", answer.status)?,
            Effect::NonJson400 => f.write_str("non-json 400")?,
            Effect::Hang(limit) => write!(f, "hang for {} s", limit.as_secs())?,
            Effect::Reset(ResetAt::BeforeAnswer) => f.write_str("reset before the answer")?,
            Effect::Reset(ResetAt::MidBody) => f.write_str("reset in the body")?,
            Effect::AcceptThenDrop => f.write_str("accepted, answer dropped")?,
        }
        Ok(())
    }
}

/// What a script looks at in a request.
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    /// Whether the path is one that takes calls.
    pub(super) brings_calls: bool,
    pub(super) write_key: Option<&'a str>,
    pub(super) message_ids: Vec<&'a str>,
}

impl Only {
    fn matches(&self, target: &Target<'_>) -> bool {
        let path = match &self.path {
            Some(path) => path == target.path,
            None => target.brings_calls,
        };
        let write_key = self.write_key.as_deref();
        let ids = &self.message_ids;
        path && (write_key.is_none() || write_key == target.write_key)
            && (ids.is_empty()
                || ids
                    .iter()
                    .any(|id| target.message_ids.contains(&id.as_str())))
    }
}

/// The steps still to come.
#[derive(Default)]
pub(super) struct Script {
    steps: Mutex<VecDeque<Fault>>,
    /// False while there are no steps: requests then need not be looked at.
    armed: AtomicBool,
}

impl Script {
    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Acquire)
    }

    pub(super) fn push(&self, steps: Vec<Fault>) {
        let mut all = lock(&self.steps);
        all.extend(
            steps
                .into_iter()
                .filter(|step| step.times != Times::Count(0)),
        );
        self.armed.store(!all.is_empty(), Ordering::Release);
    }

    /// The steps with what is left of their `times` and `after`.
    pub(super) fn left(&self) -> Vec<Fault> {
        lock(&self.steps).iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        let mut all = lock(&self.steps);
        all.clear();
        self.armed.store(false, Ordering::Release);
    }

    /// The fault that this request meets.
    pub(super) fn take(&self, target: &Target<'_>) -> Option<Fault> {
        let mut all = lock(&self.steps);
        let mut ripe = None;
        for (index, step) in all.iter_mut().enumerate() {
            if !step.only.matches(target) {
                continue;
            }
            if step.after > 0 {
                step.after -= 1;
                continue;
            }
            ripe = Some((index, step.clone()));
            break;
        }
        let (index, fault) = ripe?;
        if let Some(Fault {
            times: Times::Count(left),
            ..
        }) = all.get_mut(index)
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                all.remove(index);
            }
        }
        self.armed.store(!all.is_empty(), Ordering::Release);
        Some(fault)
    }
}
