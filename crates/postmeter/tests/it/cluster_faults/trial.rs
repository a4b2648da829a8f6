//! Three servers, three nodes, a load on them and what is known of it: the stage
//! on which faults happen.

use std::time::{Duration, Instant};

use tokio::task::{JoinSet, block_in_place};

use super::load::{Load, SENDERS};
use super::oracle::{
    ELECTION, Excuse, Timeline, assert_conserved, assert_first_only, n_deliveries, person,
};
use crate::harness::chance::Chance;
use crate::harness::cluster::Nodes;
use crate::harness::{ONE_CONNECTION, PATIENCE, Segment};
use crate::nats::{Cluster, Options, Proxy};

/// How many servers and nodes there are.
pub(super) const SIZE: usize = 3;
/// How many events must be taken for the work to count as going on: with fewer,
/// all could be in partitions that lost nothing.
const GOING_ON: usize = 60;
/// How often it is looked what has arrived.
const POLL: Duration = Duration::from_millis(200);
/// Heavy tests run one after another, where one process runs them all.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Waits until no other heavy test goes on in this process.
pub(super) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// What can be killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Victim {
    Server(usize),
    Node(usize),
}

/// The stage.
pub(super) struct Trial {
    _alone: tokio::sync::MutexGuard<'static, ()>,
    pub(super) chance: Chance,
    pub(super) servers: Cluster,
    /// For each node, a wire to each server.
    pub(super) wires: Vec<Vec<Proxy>>,
    pub(super) nodes: Nodes,
    pub(super) load: Load,
    senders: JoinSet<()>,
    pub(super) timeline: Timeline,
    /// What the connection that takes everything has sent.
    pub(super) segment: Segment,
    /// What the connection that takes first opens only has sent.
    firsts: Segment,
}

/// A connection that takes everything, and one that takes first opens only.
pub(super) fn connections(firsts: &Segment) -> String {
    let firsts = firsts.url();
    format!(
        "{ONE_CONNECTION}\n[[connection]]\nname = \"firsts\"\nworkspace = \"acme\"\n\
         write_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"{firsts}\"\nsend_frequency = \"first\"\n"
    )
}

impl Trial {
    /// Starts everything, and waits until events are taken.
    pub(super) async fn start() -> Trial {
        let alone = alone().await;
        let chance = Chance::new(Chance::seed("POSTMETER_FAULT_SEED"));
        let (segment, firsts) = (Segment::start(), Segment::start());
        let (servers, wires, nodes) = block_in_place(|| {
            let servers = Cluster::start(SIZE, Options::default());
            let wires: Vec<Vec<Proxy>> = (0..SIZE).map(|_| wires(&servers)).collect();
            let urls = wires
                .iter()
                .map(|wires| wires.iter().map(Proxy::url).collect());
            let urls: Vec<Vec<String>> = urls.collect();
            let nodes = Nodes::start(&urls, &connections(&firsts), &segment);
            (servers, wires, nodes)
        });
        let (load, senders) = Load::start(nodes.doors());
        let trial = Trial {
            _alone: alone,
            chance,
            servers,
            wires,
            nodes,
            load,
            senders,
            timeline: Timeline::new(),
            segment,
            firsts,
        };
        trial.goes_on().await;
        trial
    }

    /// Waits until events are taken.
    pub(super) async fn goes_on(&self) {
        self.load.taken_more(GOING_ON).await;
    }

    /// Kills, looks what becomes of the work without them, and brings them back.
    pub(super) async fn kill(&mut self, victims: &[Victim]) {
        // In the middle of things.
        let events = self.chance.below(GOING_ON);
        self.load.taken_more(events).await;
        self.timeline.fault(format!("kill {victims:?}"));
        self.end(victims);
        let servers = |victim: &&Victim| matches!(victim, Victim::Server(_));
        let is_majority = 2 * victims.iter().filter(servers).count() < SIZE;
        if is_majority {
            // They choose leaders from now on.
            self.timeline.no_excuse(Excuse::NoLeader, ELECTION);
            self.goes_on().await;
        } else {
            self.timeline.silence(None);
            self.load.refused_more(2 * SENDERS).await;
            self.timeline.no_silence();
        }
        self.bring_back(victims);
        self.goes_on().await;
    }

    /// The server that a node is connected to.
    pub(super) fn server_of(&self, node: usize) -> usize {
        let name = format!("\"postmeter {}\"", Nodes::name(node));
        let mut servers = 0..SIZE;
        let found = servers.find(|server| {
            let clients = self.servers.monitor(*server, "/connz");
            clients.is_some_and(|clients| clients.contains(&name))
        });
        found.expect("a node is connected")
    }

    /// Waits until all that is taken by now has arrived, and tells how long that
    /// took.
    pub(super) async fn all_arrives(&self) {
        let (begun, mut taken) = (Instant::now(), self.load.taken());
        loop {
            for call in self.segment.calls().await {
                taken.remove(&person(&call));
            }
            if taken.is_empty() {
                break;
            }
            if begun.elapsed() > PATIENCE {
                self.nodes.show().await;
                panic!("nobody forwards {taken:?}");
            }
            tokio::time::sleep(POLL).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("           all arrived {seconds:.2} s later");
    }

    fn end(&mut self, victims: &[Victim]) {
        for victim in victims {
            match *victim {
                Victim::Server(server) => {
                    self.timeline.excuse(Excuse::NoLeader);
                    block_in_place(|| self.servers.kill(server));
                }
                Victim::Node(node) => {
                    self.timeline.excuse(Excuse::Dead(node));
                    block_in_place(|| self.nodes.kill(node));
                }
            }
        }
    }

    fn bring_back(&mut self, victims: &[Victim]) {
        block_in_place(|| {
            for victim in victims {
                if let Victim::Server(server) = *victim {
                    self.servers.restart(server);
                }
            }
            self.servers.wait_ready();
            self.timeline.no_excuse(Excuse::NoLeader, ELECTION);
            for victim in victims {
                if let Victim::Node(node) = *victim {
                    self.nodes.start_again(node);
                    self.timeline.no_excuse(Excuse::Dead(node), Duration::ZERO);
                }
            }
        });
    }

    /// Ends the load, and asserts that nothing is lost or invented.
    pub(super) async fn end_well(mut self) {
        let senders = std::mem::take(&mut self.senders);
        let n_events = self.load.finish(senders).await;
        let answers = self.load.answers();
        self.timeline.print_gaps(&answers);
        self.all_arrives().await;
        let calls = self.segment.wait(n_events).await;
        self.firsts.wait(n_deliveries(n_events)).await;
        for index in 0..self.nodes.len() {
            let node = self.nodes.node(index);
            let all = node.api_until("/api/connections", |answer| {
                let connections = answer["connections"].as_array().unwrap();
                connections.iter().all(|each| each["lag_records"] == 0)
            });
            all.await;
            assert_eq!(node.api("/api/dead-letters").await["total"], 0);
        }
        assert_conserved(&calls, n_events);
        assert_conserved(&self.segment.calls().await, n_events);
        assert_first_only(&self.firsts.calls().await, n_events);
        let repeats = self.segment.get("/emulator/stats").await["duplicates"].clone();
        self.timeline.assert_honest(&answers);
        self.timeline.assert_excused(&answers);
        let asked = answers.len();
        println!("{n_events} events in {asked} requests; {repeats} calls were sent more than once");
    }
}

fn wires(servers: &Cluster) -> Vec<Proxy> {
    let servers = servers.servers();
    servers.iter().map(|server| Proxy::start(server)).collect()
}
