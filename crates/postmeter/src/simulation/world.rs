//! Everything around the process: who sends, who takes, what breaks and when, and an
//! operator who starts what has died.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use emulator::customerio::Campaign;
use journal::Seq;
use shape::{FirstPer, Options, SendFrequency};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::chance::Chance;
use super::clock;
use super::disk::{Disk, Power, Room};
use super::network::{Host, Network, Weather};
use super::oracle::{Oracle, Sent};
use super::process::{Connection, Process};
use super::segment::{Mood, Source};
use super::sender::{Accepted, Line};
use super::trace::Trace;

/// How long all may take to come to rest once nothing is broken any more: longer than
/// any hold, pause or backoff.
const REST: Duration = Duration::from_hours(12);
/// How long a fresh event may take when nothing is broken.
const FRESH: Duration = Duration::from_mins(2);
/// How often the operator tries to start a process; more things in a row do not break.
const PATIENCE: usize = 10;
/// How fast a healthy disk is, in milliseconds.
const USUAL_PACE: (u64, u64) = (1, 8);

/// What a run came to, in numbers.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) hours: f64,
    pub(super) kills: u64,
    pub(super) power_cuts: u64,
    pub(super) stops: u64,
    pub(super) faults: u64,
    pub(super) records: u64,
    pub(super) requests: u64,
    pub(super) failed_requests: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Counts) {
        self.events += other.events;
        self.hours += other.hours;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.stops += other.stops;
        self.faults += other.faults;
        self.records += other.records;
        self.requests += other.requests;
        self.failed_requests += other.failed_requests;
    }
}

/// What breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    Kill,
    PowerCut,
    PowerCutInCall,
    Stop,
    FullDisk,
    SlowDisk,
    FailedSync,
    Segment(Mood),
    Network(Weather),
    LostIndex,
}

/// The world of one run.
pub(super) struct World {
    chance: Chance,
    trace: Trace,
    disk: Disk,
    network: Network,
    connections: Vec<Connection>,
    sent: Vec<Sent>,
    oracle: Oracle,
    folder: TempDir,
    pace: watch::Sender<(u64, u64)>,
    /// Until when the disk is full, slow or both.
    disk_until: Option<Instant>,
    lost_index: bool,
    counts: Counts,
}

impl World {
    pub(super) fn new(seed: u64, trace: &Trace) -> World {
        let mut chance = Chance::new(seed);
        let connections = connections(&mut chance, trace);
        let sent = ["news", "shop"].map(|workspace| Sent {
            workspace,
            events: events(&mut chance),
            accepted: Accepted::default(),
        });
        World {
            disk: Disk::new(chance.fork()),
            network: Network::new(),
            trace: trace.clone(),
            connections,
            sent: sent.into(),
            oracle: Oracle::default(),
            folder: in_memory(),
            pace: watch::Sender::new(USUAL_PACE),
            disk_until: None,
            lost_index: false,
            counts: Counts::default(),
            chance,
        }
    }

    /// Lives through trouble until every event is taken, heals, and settles accounts.
    pub(super) async fn run(mut self) -> Result<Counts, String> {
        let mut lines = self.lines();
        let mut process = self.start().await?;
        while !lines.is_empty() {
            process = self.a_while(process, &mut lines).await?;
        }
        self.trace.note("world", "all is healed");
        self.heal();
        if process.is_poisoned() {
            process = self.restart(process).await?;
        }
        self.come_to_rest(&process, REST).await?;
        process = self.send_fresh(process).await?;
        self.oracle.look(&process.journal, &self.sent).await?;
        let accounts = (self.sent.as_slice(), self.connections.as_slice());
        self.oracle.judge(&process.journal, accounts).await?;
        process.stop().await;
        self.count();
        Ok(self.counts)
    }

    fn lines(&mut self) -> JoinSet<()> {
        let mut lines = JoinSet::new();
        for number in 0..self.sent.len() {
            let events = self.sent[number].events.clone();
            lines.spawn(self.line(number, events).run());
        }
        lines
    }

    fn line(&mut self, number: usize, events: Vec<Bytes>) -> Line {
        Line {
            workspace: self.sent[number].workspace,
            events,
            network: self.network.clone(),
            chance: self.chance.fork(),
            trace: self.trace.clone(),
            accepted: Accepted::clone(&self.sent[number].accepted),
        }
    }

    /// Lets some time pass, and then something break.
    async fn a_while(
        &mut self,
        mut process: Process,
        lines: &mut JoinSet<()>,
    ) -> Result<Process, String> {
        let wait = match self.chance.below(3) {
            0 => self.chance.millis(10, 3_000),
            1 => self.chance.seconds(3, 60),
            _ => self.chance.seconds(60, 2_400),
        };
        let power_went = tokio::select! {
            biased;
            () = process.power_cut() => true,
            Some(ended) = lines.join_next() => {
                ended.expect("no line panics");
                return Ok(process);
            }
            () = sleep(wait) => false,
        };
        if self.disk_until.is_some_and(|until| until <= Instant::now()) {
            self.disk_until = None;
            self.disk.set_room(Room::Left);
            self.pace.send_replace(USUAL_PACE);
        }
        if power_went {
            return self.power_cut(process).await;
        }
        if self.chance.one_in(5) {
            self.keep_house(&process).await?;
        }
        if self.disk.power() == Power::Off {
            return self.power_cut(process).await;
        }
        if process.is_poisoned() && self.chance.one_in(2) {
            return self.restart(process).await;
        }
        let trouble = self.trouble();
        self.break_something(process, trouble).await
    }

    /// Trims; the oracle sees before what then goes.
    async fn keep_house(&mut self, process: &Process) -> Result<(), String> {
        self.oracle.look(&process.journal, &self.sent).await?;
        process.trim().await;
        Ok(())
    }

    fn trouble(&mut self) -> Option<Trouble> {
        let chance = &mut self.chance;
        let moods = [Mood::Rough, Mood::Down, Mood::Throttling, Mood::Unreachable];
        let weathers = [Weather::Rough, Weather::Slow];
        Some(match chance.below(40) {
            0 => Trouble::Kill,
            1 => Trouble::PowerCut,
            2..4 => Trouble::PowerCutInCall,
            4 => Trouble::Stop,
            5..7 => Trouble::FullDisk,
            7..9 => Trouble::SlowDisk,
            9 => Trouble::FailedSync,
            10..14 => Trouble::Segment(moods[chance.below(moods.len())]),
            14..17 => Trouble::Network(weathers[chance.below(2)]),
            17 => Trouble::LostIndex,
            _ => return None,
        })
    }

    async fn break_something(
        &mut self,
        process: Process,
        trouble: Option<Trouble>,
    ) -> Result<Process, String> {
        let Some(trouble) = trouble else {
            return Ok(process);
        };
        self.trace.note("world", format!("{trouble:?}"));
        self.counts.faults += 1;
        let spell = self.chance.seconds(1, 1_200);
        match trouble {
            Trouble::Kill => return self.restart(process).await,
            Trouble::PowerCut => return self.power_cut(process).await,
            Trouble::PowerCutInCall => self.disk.cut_power_after(self.chance.below(12)),
            Trouble::Stop => {
                self.counts.stops += 1;
                self.network.lead_to(Host::Refusing);
                process.stop().await;
                return self.start_again().await;
            }
            Trouble::FullDisk => {
                self.disk.set_room(Room::Full);
                self.disk_until = Some(Instant::now() + spell);
            }
            Trouble::SlowDisk => {
                self.pace.send_replace((200, 6_000));
                self.disk_until = Some(Instant::now() + spell);
            }
            Trouble::FailedSync => self.disk.fail_next_sync(),
            Trouble::Segment(mood) => {
                let which = self.chance.below(self.connections.len());
                self.connections[which].source.be(mood, Some(spell));
            }
            Trouble::Network(weather) => self.network.be(weather, Some(spell)),
            Trouble::LostIndex => self.lost_index = true,
        }
        Ok(process)
    }

    async fn restart(&mut self, process: Process) -> Result<Process, String> {
        self.counts.kills += 1;
        self.trace.note("world", "the process is killed");
        self.network.lead_to(Host::Refusing);
        process.kill().await;
        self.start_again().await
    }

    async fn power_cut(&mut self, process: Process) -> Result<Process, String> {
        self.network.lead_to(Host::Silent);
        process.kill().await;
        self.lose_power();
        sleep(self.chance.seconds(5, 600)).await;
        self.network.lead_to(Host::Refusing);
        self.start_again().await
    }

    fn lose_power(&mut self) {
        self.counts.power_cuts += 1;
        let left = self.disk.cut_power();
        self.trace.note("world", format!("the power goes; {left}"));
    }

    async fn start_again(&mut self) -> Result<Process, String> {
        sleep(self.chance.millis(5, 30_000)).await;
        self.start().await
    }

    async fn start(&mut self) -> Result<Process, String> {
        let folder = self.journal_folder();
        if std::mem::take(&mut self.lost_index) {
            self.trace.note("world", "the index is gone");
            std::fs::remove_dir_all(folder.join("state/derived")).map_err(|e| e.to_string())?;
        }
        for _ in 0..PATIENCE {
            let outside = (self.pace.subscribe(), self.chance.fork());
            let opened = Process::start(&folder, &self.disk, &self.connections, outside);
            match opened {
                Ok(process) => return self.greet(process).await,
                Err(_) if self.disk.power() == Power::Off => self.lose_power(),
                Err(error) => {
                    let cause = anyhow::Error::from(error).root_cause().to_string();
                    self.trace.note("world", format!("cannot start: {cause}"));
                    sleep(Duration::from_secs(30)).await;
                }
            }
        }
        Err("the process does not start any more".to_owned())
    }

    async fn greet(&mut self, process: Process) -> Result<Process, String> {
        let last = process.journal.stats().partitions[0].last;
        let last = last.map_or(0, Seq::get);
        self.trace.note("world", format!("started behind {last}"));
        self.oracle.look(&process.journal, &self.sent).await?;
        let front = Arc::clone(&process.front);
        self.network.lead_to(Host::Listening(front));
        Ok(process)
    }

    fn heal(&mut self) {
        self.disk.heal();
        self.pace.send_replace(USUAL_PACE);
        self.network.be(Weather::Calm, None);
        for connection in &self.connections {
            connection.source.be(Mood::Calm, None);
        }
    }

    async fn come_to_rest(&self, process: &Process, patience: Duration) -> Result<(), String> {
        let rest = async {
            while !process.is_idle().await {
                sleep(Duration::from_millis(500)).await;
            }
            for connection in &self.connections {
                connection.source.last_of_the_late().await;
            }
        };
        let rested = timeout(patience, rest).await;
        rested.map_err(|_| format!("not everything is settled after {patience:?}"))
    }

    /// Whatever happened, the next event arrives, and soon.
    async fn send_fresh(&mut self, process: Process) -> Result<Process, String> {
        self.keep_house(&process).await?;
        let mut lines = JoinSet::new();
        for number in 0..self.sent.len() {
            let event = plain_event(&format!("fresh-{number}"), "opened");
            self.sent[number].events.push(event.clone());
            lines.spawn(self.line(number, vec![event]).run());
        }
        let fresh = async { while lines.join_next().await.is_some() {} };
        let sent = timeout(FRESH, fresh).await;
        sent.map_err(|_| "a fresh event is not taken".to_owned())?;
        self.come_to_rest(&process, FRESH).await?;
        Ok(process)
    }

    fn count(&mut self) {
        let counts = &mut self.counts;
        counts.hours = clock::elapsed().as_secs_f64() / 3_600.0;
        counts.events = self.sent.iter().map(|line| line.events.len() as u64).sum();
        counts.records = self.oracle.n_records();
        for connection in &self.connections {
            let (requests, failed) = connection.source.counts();
            counts.requests += requests;
            counts.failed_requests += failed;
        }
    }

    fn journal_folder(&self) -> PathBuf {
        self.folder.path().join("journal")
    }
}

/// Where a sync costs nothing, if there is such a place.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

fn connections(chance: &mut Chance, trace: &Trace) -> Vec<Connection> {
    let every = SendFrequency::Every;
    let first = SendFrequency::First(FirstPer::DeliveryAndName);
    let kinds = [
        ("all", "news", every),
        ("firsts", "news", first),
        ("shop", "shop", every),
    ];
    let connections = kinds.map(|(name, workspace, send_frequency)| Connection {
        source: Source::new(name, chance.fork(), trace.clone()),
        workspace,
        options: Options {
            connection_id: format!("connection-{name}"),
            send_frequency,
            ..Options::default()
        },
    });
    connections.into()
}

/// What one line sends: usual traffic about few people, and now and then an event
/// that nothing can be made of.
fn events(chance: &mut Chance) -> Vec<Bytes> {
    let campaign = Campaign {
        people: 3.try_into().unwrap(),
        events: Some(20 + chance.next() % 60),
        ..Campaign::new(chance.next(), clock::now())
    };
    let mut events = Vec::new();
    for (number, event) in campaign.into_iter().enumerate() {
        match chance.below(25) {
            0 => events.push(Bytes::from(format!("no JSON, number {number}"))),
            1 => events.push(Bytes::from(format!(
                r#"{{"event_id":"nobody-{number}","object_type":"email","metric":"opened","data":{{}}}}"#
            ))),
            2..5 => {
                // The same delivery opened again: another event, no first occurrence.
                let again = plain_event(&format!("again-{number}"), "opened");
                events.push(again);
            }
            _ => {}
        }
        events.push(event.body().clone());
    }
    events
}

fn plain_event(id: &str, metric: &str) -> Bytes {
    let at = clock::now().as_second();
    Bytes::from(format!(
        r#"{{"event_id":"{id}","object_type":"email","metric":"{metric}","timestamp":{at},"data":{{"delivery_id":"the-one","identifiers":{{"id":"7"}},"subject":"hello"}}}}"#
    ))
}
