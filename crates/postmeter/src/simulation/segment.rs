//! A simulated Segment source: what it takes, what it answers, and all the ways in
//! which an answer does not arrive.
//!
//! It stands in for one POST and what lies behind it, the network included. It
//! judges nothing; it remembers what it has taken for whoever does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dispatch::{Answer, Parcel, Policy, Post, Posting};
use flate2::read::GzDecoder;
use jiff::fmt::strtime;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::chance::Chance;
use super::clock;
use super::network::Link;
use super::trace::Trace;

/// How a source is for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mood {
    /// Everything arrives and is answered.
    Calm,
    /// Now and then something goes wrong.
    Fair,
    /// Every other thing goes wrong.
    Rough,
    Down,
    Throttling,
    Unreachable,
}

/// What will become of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plan {
    Take,
    /// Taken after a while, yet in time.
    TakeSlowly,
    TakeThenCut,
    TakeThenHang,
    /// The network holds it for so long that it arrives when nobody waits.
    TakeLate,
    Refuse(u16),
    Throttle,
    CannotConnect,
    Hang,
}

/// A source; clones are the same one.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) name: &'static str,
    trace: Trace,
    inside: Arc<Mutex<Inside>>,
    late: Arc<Mutex<JoinSet<()>>>,
}

struct Inside {
    chance: Chance,
    mood: Mood,
    until: Option<Instant>,
    taken: BTreeMap<String, Taken>,
    /// Message ids whose acceptance was answered to the process of now.
    answered: BTreeSet<String>,
    n_requests: u64,
    n_failed: u64,
    wrongs: Vec<String>,
}

/// One call that was taken, however often.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) json: String,
    pub(super) times: u32,
}

/// A call out of a batch.
struct Called {
    message_id: String,
    json: String,
}

/// Segment refuses a call that it finds wrong by itself; which those are follows from
/// the id, so that every repetition is as wrong as the first.
pub(super) fn is_poison(message_id: &str) -> bool {
    let sum: u32 = message_id.bytes().map(u32::from).sum();
    sum.is_multiple_of(13)
}

impl Source {
    pub(super) fn new(name: &'static str, chance: Chance, trace: Trace) -> Source {
        Source {
            name,
            trace,
            inside: Arc::new(Mutex::new(Inside {
                chance,
                mood: Mood::Fair,
                until: None,
                taken: BTreeMap::new(),
                answered: BTreeSet::new(),
                n_requests: 0,
                n_failed: 0,
                wrongs: Vec::new(),
            })),
            late: Arc::default(),
        }
    }

    /// The way to this source for a process behind `link`.
    pub(super) fn way(&self, link: Arc<Link>) -> Box<dyn Post> {
        self.inside().answered.clear();
        Box::new(Way {
            source: self.clone(),
            link,
        })
    }

    pub(super) fn be(&self, mood: Mood, time: Option<Duration>) {
        let mut inside = self.inside();
        inside.mood = mood;
        inside.until = time.map(|time| Instant::now() + time);
    }

    /// Everything that was taken so far, by message id.
    pub(super) fn taken(&self) -> BTreeMap<String, Taken> {
        self.inside().taken.clone()
    }

    /// What it saw that must not happen.
    pub(super) fn wrongs(&self) -> Vec<String> {
        self.inside().wrongs.clone()
    }

    /// How many requests came, and how many were not answered with success.
    pub(super) fn counts(&self) -> (u64, u64) {
        let inside = self.inside();
        (inside.n_requests, inside.n_failed)
    }

    /// Waits for what the network still holds.
    pub(super) async fn last_of_the_late(&self) {
        let mut late = std::mem::take(&mut *self.late.lock().unwrap());
        while late.join_next().await.is_some() {}
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    async fn exchange(&self, parcel: Parcel) -> Result<Answer, String> {
        let calls = unpack(&parcel.gzip);
        let plan = self.inside().plan(parcel.retry_count);
        let (travel, delay) = {
            let chance = &mut self.inside().chance;
            (chance.millis(1, 80), chance.seconds(1, 13))
        };
        let text = format!("{} calls, {plan:?}: {}", calls.len(), ids(&calls));
        self.trace.note(self.name, text);
        match plan {
            Plan::Take => sleep(travel).await,
            Plan::TakeSlowly => sleep(travel + delay).await,
            Plan::TakeThenCut => {
                sleep(travel).await;
                self.take(calls).ok();
                return Err("the connection broke before the answer was there".to_owned());
            }
            Plan::TakeThenHang => {
                sleep(travel).await;
                self.take(calls).ok();
                return std::future::pending().await;
            }
            Plan::TakeLate => {
                let source = self.clone();
                let held = 4 * delay + Policy::default().request_timeout;
                self.late.lock().unwrap().spawn(async move {
                    sleep(held).await;
                    source.take(calls).ok();
                });
                return std::future::pending().await;
            }
            Plan::Refuse(status) => {
                sleep(travel).await;
                return Ok(answer(status, None));
            }
            Plan::Throttle => {
                sleep(travel).await;
                let retry_after = self.inside().retry_after();
                return Ok(answer(429, Some(retry_after)));
            }
            Plan::CannotConnect => {
                sleep(travel).await;
                return Err("cannot connect".to_owned());
            }
            Plan::Hang => return std::future::pending().await,
        }
        match self.take(calls) {
            Ok(()) => Ok(answer(200, None)),
            Err(()) => Ok(answer(400, None)),
        }
    }

    /// Takes all of the calls, or none where one is wrong.
    fn take(&self, calls: Vec<Called>) -> Result<(), ()> {
        if calls.iter().any(|call| is_poison(&call.message_id)) {
            return Err(());
        }
        let mut inside = self.inside();
        let Inside { taken, wrongs, .. } = &mut *inside;
        for Called { message_id, json } in calls {
            let known = taken.entry(message_id.clone()).or_insert_with(|| Taken {
                json: json.clone(),
                times: 0,
            });
            known.times += 1;
            if known.json != json {
                wrongs.push(format!("{message_id} came again with another body"));
            }
        }
        Ok(())
    }
}

impl Inside {
    fn plan(&mut self, retry_count: u32) -> Plan {
        self.n_requests += 1;
        if self.until.is_some_and(|until| until <= Instant::now()) {
            self.until = None;
            self.mood = Mood::Fair;
        }
        let chance = &mut self.chance;
        let plan = match self.mood {
            Mood::Calm => Plan::Take,
            Mood::Fair if !chance.one_in(12) => Plan::Take,
            Mood::Rough if chance.one_in(2) => Plan::Take,
            Mood::Down => Plan::Refuse([500, 502, 503, 504, 408, 401][chance.below(6)]),
            Mood::Throttling => Plan::Throttle,
            Mood::Unreachable => [Plan::CannotConnect, Plan::Hang][chance.below(2)],
            Mood::Fair | Mood::Rough => [
                Plan::TakeSlowly,
                Plan::TakeSlowly,
                Plan::TakeThenCut,
                Plan::TakeThenHang,
                Plan::TakeLate,
                Plan::Refuse(503),
                Plan::Throttle,
                Plan::CannotConnect,
                Plan::Refuse(if retry_count > 0 { 422 } else { 410 }),
            ][chance.below(9)],
        };
        let is_taken = matches!(plan, Plan::Take | Plan::TakeSlowly);
        self.n_failed += u64::from(!is_taken);
        plan
    }

    /// In seconds, or as a date.
    fn retry_after(&mut self) -> String {
        let seconds = self.chance.below(90);
        if self.chance.one_in(2) {
            return seconds.to_string();
        }
        let at = clock::now() + Duration::from_secs(seconds as u64);
        strtime::format("%a, %d %b %Y %H:%M:%S GMT", at).unwrap()
    }
}

/// The way to a source, from one process.
struct Way {
    source: Source,
    link: Arc<Link>,
}

impl Post for Way {
    fn post(&self, parcel: Parcel) -> Posting<'_> {
        Box::pin(async move {
            if !self.link.is_up() {
                return std::future::pending().await; // it is dead, and has yet to notice
            }
            let ids: Vec<String> = unpack(&parcel.gzip)
                .into_iter()
                .map(|call| call.message_id)
                .collect();
            let again = {
                let inside = self.source.inside();
                let again = ids.iter().find(|id| inside.answered.contains(*id));
                again.map(|id| format!("{id} was sent again after its acceptance"))
            };
            self.source.inside().wrongs.extend(again);
            let limit = Policy::default().request_timeout;
            let posted = match timeout(limit, self.source.exchange(parcel)).await {
                Ok(posted) => posted,
                Err(_) => Err(format!("no answer within {limit:?}")),
            };
            if !self.link.is_up() {
                return std::future::pending().await;
            }
            if posted.as_ref().is_ok_and(|answer| answer.status == 200) {
                self.source.inside().answered.extend(ids);
            }
            posted
        })
    }

    fn renew(&self) {}
}

fn answer(status: u16, retry_after: Option<String>) -> Answer {
    let body = match status {
        200 => r#"{"success":true}"#,
        _ => r#"{"success":false}"#,
    };
    Answer {
        status,
        body: body.to_owned(),
        retry_after,
    }
}

/// The calls of a request, byte for byte.
fn unpack(gzip: &[u8]) -> Vec<Called> {
    #[derive(serde::Deserialize)]
    struct Batch<'a> {
        #[serde(borrow)]
        batch: Vec<&'a RawValue>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Call {
        message_id: String,
    }
    let mut body = String::new();
    GzDecoder::new(gzip).read_to_string(&mut body).unwrap();
    let Batch { batch } = serde_json::from_str(&body).expect("a batch is JSON");
    let calls = batch.into_iter().map(|raw| {
        let call: Call = serde_json::from_str(raw.get()).expect("a call has a message id");
        Called {
            message_id: call.message_id,
            json: raw.get().to_owned(),
        }
    });
    calls.collect()
}

fn ids(calls: &[Called]) -> String {
    let short = calls.iter().map(|call| &call.message_id[3..9]);
    short.collect::<Vec<_>>().join(" ")
}
