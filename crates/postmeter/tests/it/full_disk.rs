//! A disk that is really full: Customer.io is answered 503, nothing acknowledged is
//! lost, what waits drains, and events are taken again, all without a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::volume::Volume;
use crate::harness::{
    Home, ONE_CONNECTION, PATIENCE, SIGNING_KEY, Segment, Server, http, opened, sign,
};

/// The size of the disk.
const DISK_MIB: u64 = 96;
/// What makes an event large without making its call large.
const PADDING_BYTES: usize = 24_000;
const SENDERS: usize = 8;
/// So many refusals are seen before anything is done about them.
const REFUSALS: usize = 50;
/// How long a sender waits after a refusal, as Customer.io does at the least.
const SENDER_PAUSE: Duration = Duration::from_millis(100);

/// A server whose journal is on a small disk, and a Segment that is down.
struct Stage {
    segment: Segment,
    server: Server,
    volume: Volume,
}

impl Stage {
    async fn set(journal: &str) -> Stage {
        let segment = Segment::start();
        segment
            .faults(json!([{ "status": 503, "times": 1_000_000 }]))
            .await;
        let home = Home::new(ONE_CONNECTION, segment.url());
        let dir = home.path("journal");
        // Counts are written often, so that there is always something to write.
        home.write(
            "postmeter.toml",
            &format!(
                "[receive]\nlisten = \"127.0.0.1:0\"\n\
                 [console]\nlisten = \"127.0.0.1:0\"\nhistory_flush_s = 1\n\
                 [journal]\ndir = {dir:?}\nmax_bytes = 134217728\n{journal}\n\
                 [dispatch]\nbackoff_max_s = 1\n"
            ),
        );
        let volume = Volume::mount(&home.path("journal"), DISK_MIB);
        let server = start(home, &volume);
        Stage {
            segment,
            server,
            volume,
        }
    }

    /// Waits until every record has been settled.
    async fn drained(&self) {
        let has_drained = |answer: &Value| answer["connections"][0]["lag_records"] == 0;
        self.server.api_until("/api/connections", has_drained).await;
    }

    async fn until_health(&self, word: &str) {
        let is_so = |nodes: &Value| nodes["nodes"][0]["health"] == word;
        self.server.api_until("/api/nodes", is_so).await;
    }

    async fn ready(&self) -> (u16, String) {
        let url = format!("http://{}/readyz", self.server.console);
        let answer = self.server.http.get(url).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("a whole answer"))
    }

    /// Every acknowledged event has arrived under one id, and no other.
    async fn assert_conserved(&self, taken: &BTreeSet<usize>) {
        let calls = self.segment.wait(taken.len()).await;
        let mut ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for call in &calls {
            let person = call["userId"].as_str().expect("a person");
            let id = call["messageId"].as_str().expect("an id");
            ids.entry(person).or_default().insert(id);
        }
        for n in taken {
            let person = format!("person-{n}");
            let n_ids = ids.remove(person.as_str()).map(|ids| ids.len());
            assert_eq!(n_ids, Some(1), "message ids of {person}");
        }
        assert!(ids.is_empty(), "never acknowledged: {:?}", ids.keys());
        assert_eq!(self.server.api("/api/dead-letters").await["total"], 0);
    }

    /// Ends the server in good order, and tells what it said.
    fn end(mut self) -> String {
        assert_eq!(self.server.process.terminate(), Some(0));
        let said = self.server.process.stderr();
        assert!(!said.contains("panicked"), "{said}");
        said
    }
}

fn start(home: Home, volume: &Volume) -> Server {
    let command = volume.inside(&home.serve());
    let server = Server::with(command, home);
    // The token is on a disk that this process does not see.
    let token = std::fs::read(volume.root().join("token")).expect("a token");
    let seen = server.home.path("journal").join("token");
    std::fs::write(seen, token).expect("a mount point takes a file");
    server
}

/// Customer.io, many times over: each sender repeats an event until it is taken.
#[derive(Clone, Default)]
struct Senders {
    next: Arc<AtomicUsize>,
    refusals: Arc<AtomicUsize>,
    taken: Arc<Mutex<BTreeSet<usize>>>,
    stop: Arc<AtomicBool>,
}

impl Senders {
    fn start(&self, webhook: &str) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..SENDERS {
            tasks.spawn(self.clone().send(webhook.to_owned()));
        }
        tasks
    }

    async fn send(self, webhook: String) {
        let http = http();
        while !self.stop.load(Ordering::SeqCst) {
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            let mut event = opened(n);
            event["padding"] = Value::String("x".repeat(PADDING_BYTES));
            let body = event.to_string();
            let signature = sign(SIGNING_KEY, "1700000000", body.as_bytes());
            while !self.stop.load(Ordering::SeqCst) {
                let request = http.post(&webhook).header("X-CIO-Timestamp", "1700000000");
                let request = request.header("X-CIO-Signature", &signature);
                let answer = request.body(body.clone()).send().await;
                let answer = answer.expect("the server answers");
                match answer.status().as_u16() {
                    200 => {
                        self.taken.lock().unwrap().insert(n);
                        break;
                    }
                    503 => {
                        assert!(answer.headers().contains_key("retry-after"));
                        self.refusals.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(SENDER_PAUSE).await;
                    }
                    other => panic!("only 200 and 503 do no harm, and {other} came"),
                }
            }
        }
    }

    fn n_taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    fn n_refused(&self) -> usize {
        self.refusals.load(Ordering::SeqCst)
    }

    /// Ends the senders; what each has in hand is answered first.
    async fn end(&self, mut tasks: JoinSet<()>) -> BTreeSet<usize> {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a sender ends well");
        }
        self.taken.lock().unwrap().clone()
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Fills the disk with events while Segment is down, then brings Segment back.
async fn fills_drains_and_resumes(journal: &str) -> String {
    let stage = Stage::set(journal).await;
    let senders = Senders::default();
    let tasks = senders.start(&stage.server.webhook());
    until("events are refused", || senders.n_refused() > REFUSALS).await;
    let taken_until_full = senders.n_taken();
    assert!(taken_until_full > 1_000, "{taken_until_full} were taken");
    stage.until_health("no space").await;
    let (status, said) = stage.ready().await;
    assert_eq!(status, 503, "{said}");

    stage.segment.no_faults().await;

    // As many again as fitted, so room was made for every one of them.
    let enough = taken_until_full + taken_until_full / 2;
    until("events are taken again", || senders.n_taken() > enough).await;
    let taken = senders.end(tasks).await;
    stage.drained().await;
    stage.assert_conserved(&taken).await;
    stage.until_health("healthy").await;
    assert_eq!(stage.ready().await.0, 200);
    stage.end()
}

#[tokio::test]
async fn a_disk_is_not_filled_above_its_mark_and_drains_and_takes_events_again() {
    let said = fills_drains_and_resumes("").await;
    assert!(!said.contains("cannot write"), "{said}");
}

#[tokio::test]
async fn writes_that_meet_a_full_disk_lose_nothing_and_events_are_taken_again() {
    let said = fills_drains_and_resumes("min_free_bytes = 0").await;
    assert!(said.contains("ballast is let go"), "{said}");
    assert!(said.contains("ballast is made"), "{said}");
}

/// The ballast's room is taken as well, so that settling itself meets a full disk.
#[tokio::test]
async fn a_disk_that_another_fills_stops_settling_and_goes_on_when_that_one_is_gone() {
    let stage = Stage::set("").await;
    let senders = Senders::default();
    let tasks = senders.start(&stage.server.webhook());
    until("there is something to settle", || senders.n_taken() > 500).await;
    stage.volume.fill();
    until("events are refused", || senders.n_refused() > REFUSALS).await;
    // The ballast is let go, and its room is taken as well; so is what comes free
    // until settling has failed.
    stage.segment.no_faults().await;
    let failing = |nodes: &Value| {
        stage.volume.fill();
        nodes["nodes"][0]["health"] == "failing"
    };
    stage.server.api_until("/api/nodes", failing).await;

    stage.volume.clear();

    let before = senders.n_taken();
    until("events are taken again", || {
        senders.n_taken() > before + 200
    })
    .await;
    let taken = senders.end(tasks).await;
    stage.drained().await;
    stage.assert_conserved(&taken).await;
    let Stage {
        segment,
        mut server,
        volume,
    } = stage;
    server.process.kill();
    let said = server.process.stderr();
    assert!(said.contains("state is open again"), "{said}");
    // What was settled after that is settled for good.
    let server = start(server.home, &volume);
    let stage = Stage {
        segment,
        server,
        volume,
    };
    stage.drained().await;
    stage.assert_conserved(&taken).await;
    stage.end();
}
