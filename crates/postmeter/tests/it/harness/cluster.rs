//! Several nodes of one journal on real NATS servers: each a process with a
//! folder of its own, which can be killed and started again.
//!
//! It starts and ends processes. What a test sends them, and what must come of
//! it, the test knows.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Home, Segment, Server};
use crate::nats::{PASSWORD, REPORT_SUBJECT, USER};

/// How long a node may be silent before its duties move.
pub(crate) const NODE_TIMEOUT: Duration = Duration::from_secs(5);
/// Names the nodes' `RUST_LOG`, for whoever looks for the cause of a failure.
const LOG_FILTER: &str = "POSTMETER_TEST_LOG";
/// Without it, how much of a node's log is shown when a test fails.
const SHOWN_LINES: usize = 60;

/// Nodes that share a journal, and a stand-in for Segment for each connection.
pub(crate) struct Nodes {
    slots: Vec<Slot>,
    doors: Doors,
}

/// A node's place: its process, or the files that it left behind.
struct Slot {
    alive: Option<Server>,
    dead: Option<Home>,
    /// What its earlier processes had to say.
    said: Vec<String>,
}

/// Where the nodes take events now; none where a node is dead. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<Vec<Option<SocketAddr>>>>);

impl Doors {
    /// The first open door from `node` on, and whose it is.
    pub(crate) fn from(&self, node: usize) -> Option<(usize, SocketAddr)> {
        let doors = self.0.lock().unwrap();
        let turns = (0..doors.len()).map(|step| (node + step) % doors.len());
        let mut open = turns.filter_map(|node| Some((node, doors[node]?)));
        open.next()
    }

    fn set(&self, node: usize, door: Option<SocketAddr>) {
        self.0.lock().unwrap()[node] = door;
    }
}

impl Nodes {
    /// Starts a node for each list of NATS servers. The first one makes the journal
    /// and applies `connections`, in which `ENDPOINT` stands for `segment`.
    pub(crate) fn start(servers: &[Vec<String>], connections: &str, segment: &Segment) -> Nodes {
        let doors = Doors::default();
        doors.0.lock().unwrap().resize(servers.len(), None);
        let mut nodes = Nodes {
            slots: Vec::new(),
            doors,
        };
        for (index, servers) in servers.iter().enumerate() {
            let home = Home::new(connections, segment.url());
            home.configure(&config(index, servers));
            nodes.slots.push(Slot {
                alive: None,
                dead: Some(home),
                said: Vec::new(),
            });
        }
        nodes.run(0, |home| {
            let mut command = on_cluster(home);
            command
                .arg("--connections")
                .arg(home.path("connections.toml"));
            command
        });
        for index in 1..servers.len() {
            nodes.start_again(index);
        }
        nodes
    }

    /// Starts a dead node on the files that it left behind.
    pub(crate) fn start_again(&mut self, index: usize) {
        self.run(index, on_cluster);
    }

    fn run(&mut self, index: usize, command: impl FnOnce(&Home) -> Command) {
        let slot = &mut self.slots[index];
        let home = slot.dead.take().expect("the node is dead");
        let server = Server::with(command(&home), home);
        self.doors.set(index, Some(server.receive));
        slot.alive = Some(server);
    }

    /// SIGKILL: what a power cut is to a process.
    pub(crate) fn kill(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let Server {
            mut process, home, ..
        } = slot.alive.take().expect("the node is alive");
        process.kill();
        self.doors.set(index, None);
        slot.said.push(process.stderr());
        slot.dead = Some(home);
    }

    /// SIGSTOP and SIGCONT: a node that sleeps, and wakes up in another time.
    pub(crate) fn signal(&self, index: usize, signal: &str) {
        self.node(index).process.signal(signal);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// A node that is alive.
    pub(crate) fn node(&self, index: usize) -> &Server {
        let alive = self.slots[index].alive.as_ref();
        alive.expect("the node is alive")
    }

    /// Prints what every node says of all, for whoever looks for the cause of a
    /// failure.
    pub(crate) async fn show(&self) {
        for index in 0..self.len() {
            let Some(node) = self.slots[index].alive.as_ref() else {
                continue;
            };
            for path in ["/api/nodes", "/api/connections"] {
                let mut answer = node.api(path).await;
                for each in answer["connections"].as_array_mut().into_iter().flatten() {
                    each["attempts"].take();
                }
                println!("-- {path} of {}: {answer:#}", Nodes::name(index));
            }
            let metrics = node.private_text("/metrics").await;
            let levels = metrics
                .lines()
                .filter(|line| line.contains("record{") || line.contains("lag"));
            levels.for_each(|line| println!("{line}"));
        }
    }

    /// What a node's configuration calls it.
    pub(crate) fn name(index: usize) -> String {
        format!("node-{}", index + 1)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for index in 0..self.len() {
            if self.slots[index].alive.is_some() {
                self.kill(index);
            }
            for said in &self.slots[index].said {
                let lines: Vec<&str> = said.lines().collect();
                let all = std::env::var_os(LOG_FILTER).is_some();
                let left_out = lines.len().saturating_sub(SHOWN_LINES);
                let shown = if all { 0 } else { left_out };
                println!("-- {} said last:", Nodes::name(index));
                println!("{}", lines[shown..].join("\n"));
            }
        }
    }
}

fn on_cluster(home: &Home) -> Command {
    let mut command = super::postmeter();
    command.env("NATS_PASSWORD", PASSWORD);
    if let Some(filter) = std::env::var_os(LOG_FILTER) {
        command.env("RUST_LOG", filter);
    }
    command.arg("serve");
    command.arg("--config").arg(home.path("postmeter.toml"));
    command
}

fn config(index: usize, servers: &[String]) -> String {
    let (name, timeout_s) = (Nodes::name(index), NODE_TIMEOUT.as_secs());
    format!(
        "engine = \"jetstream\"\nservers = {servers:?}\nuser = \"{USER}\"\n\
         password = \"env:NATS_PASSWORD\"\nreport_subject = \"{REPORT_SUBJECT}\"\n\
         partitions = 3\nnode_name = \"{name}\"\nnode_timeout_s = {timeout_s}\n\n\
         [dispatch]\nrequest_timeout_s = 2\nbackoff_max_s = 1\n"
    )
}
