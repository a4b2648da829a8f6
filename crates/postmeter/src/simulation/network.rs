//! The simulated network between Customer.io and the machine: it delays, splits, cuts
//! and resets, and delivers late what nobody waits for any more.
//!
//! It carries bytes. What is served at its other end is the real HTTP loop over the
//! real routes; what they mean is not its business.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::chance::Chance;
use crate::http;

/// When a system gives up connecting to a machine that says nothing.
const GIVES_UP: Duration = Duration::from_mins(2);

/// Whether a process can be heard: what it says after its death reaches nobody.
pub(super) struct Link(AtomicBool);

impl Link {
    pub(super) fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn cut(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// The listening side of one process.
pub(super) struct Front {
    router: Router,
    pub(super) link: Arc<Link>,
    connections: Mutex<JoinSet<()>>,
    /// Rung when a request has arrived: there may be something to commit.
    pub(super) arrived: Arc<Notify>,
}

impl Front {
    pub(super) fn new(router: Router) -> Front {
        Front {
            router,
            link: Arc::new(Link(AtomicBool::new(true))),
            connections: Mutex::default(),
            arrived: Arc::default(),
        }
    }

    /// Connections as they are now, taken out.
    pub(super) fn connections(&self) -> JoinSet<()> {
        std::mem::take(&mut *self.connections.lock().unwrap())
    }
}

/// Who answers at the address.
#[derive(Clone)]
pub(super) enum Host {
    /// The machine is off: nobody says anything.
    Silent,
    /// The machine runs and the process does not.
    Refusing,
    Listening(Arc<Front>),
}

/// How the network is for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Weather {
    Calm,
    Fair,
    Rough,
    /// Everything takes seconds.
    Slow,
}

/// What will become of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passage {
    Through,
    /// It arrives when its sender has long given it up.
    Late,
    CutInRequest,
    CutBeforeAnswer,
    AnswerLate,
}

/// The network; clones are the same one.
#[derive(Clone)]
pub(super) struct Network(Arc<Mutex<Inside>>);

struct Inside {
    host: Host,
    weather: Weather,
    until: Option<Instant>,
}

impl Network {
    pub(super) fn new() -> Network {
        Network(Arc::new(Mutex::new(Inside {
            host: Host::Refusing,
            weather: Weather::Fair,
            until: None,
        })))
    }

    pub(super) fn lead_to(&self, host: Host) {
        self.inside().host = host;
    }

    pub(super) fn be(&self, weather: Weather, time: Option<Duration>) {
        let mut inside = self.inside();
        inside.weather = weather;
        inside.until = time.map(|time| Instant::now() + time);
    }

    /// What the network will do with the next request of a sender.
    pub(super) fn passage(&self, chance: &mut Chance) -> Passage {
        let mut inside = self.inside();
        if inside.until.is_some_and(|until| until <= Instant::now()) {
            inside.until = None;
            inside.weather = Weather::Fair;
        }
        match inside.weather {
            Weather::Calm => Passage::Through,
            Weather::Slow => [Passage::Through, Passage::Late][chance.below(2)],
            Weather::Fair if !chance.one_in(20) => Passage::Through,
            Weather::Rough if !chance.one_in(3) => Passage::Through,
            Weather::Fair | Weather::Rough => [
                Passage::Late,
                Passage::CutInRequest,
                Passage::CutBeforeAnswer,
                Passage::AnswerLate,
            ][chance.below(4)],
        }
    }

    /// Carries `request` there and the answer back; none where no answer comes back
    /// although the connection is over. Goes on although nobody waits any more.
    pub(super) async fn carry(
        &self,
        request: Vec<u8>,
        passage: Passage,
        mut chance: Chance,
    ) -> Option<Vec<u8>> {
        sleep(chance.millis(1, 40)).await;
        if passage == Passage::Late {
            sleep(chance.seconds(4, 90)).await;
        }
        let host = self.inside().host.clone();
        let front = match host {
            Host::Silent => {
                sleep(GIVES_UP).await;
                return None;
            }
            Host::Refusing => return None,
            Host::Listening(front) => front,
        };
        let (mut here, there) = duplex(64 * 1024);
        let connection = http::connection(there, TowerToHyperService::new(front.router.clone()));
        front.connections.lock().unwrap().spawn(async move {
            connection.await.ok(); // a cut is the sender's to notice
        });
        let (link, arrived) = (Arc::clone(&front.link), Arc::clone(&front.arrived));
        drop(front); // a request that is late must not keep a dead process open
        let end = match passage {
            Passage::CutInRequest => chance.below(request.len()),
            _ => request.len(),
        };
        let middle = chance.below(end + 1);
        here.write_all(&request[..middle]).await.ok()?;
        sleep(chance.millis(0, 30)).await;
        here.write_all(&request[middle..end]).await.ok()?;
        if end < request.len() {
            return None;
        }
        arrived.notify_one();
        if passage == Passage::CutBeforeAnswer {
            sleep(chance.millis(0, 3)).await;
            return None;
        }
        let mut answer = Vec::new();
        here.read_to_end(&mut answer).await.ok()?;
        if !link.is_up() || answer.is_empty() {
            return None;
        }
        sleep(chance.millis(1, 40)).await;
        if passage == Passage::AnswerLate {
            sleep(chance.seconds(4, 30)).await;
        }
        Some(answer)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }
}
