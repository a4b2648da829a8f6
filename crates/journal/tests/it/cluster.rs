//! The promises of a journal that several nodes share: what one does the others
//! see, no two do the same work, and whoever joins late or goes without a word
//! takes nothing away.

mod duties;
mod joining;
mod kept;
mod records;
mod speaking;

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use journal::{ClusterConfig, DeadLetterFilter, Duty, Journal, Tenure};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use crate::engine::node_config;
use crate::nats::{Cluster, Options, Proxy};
use crate::support::*;

const INDEX: Duty = Duty::Index(P);

/// Three servers, and a folder for each node that joins.
struct Shared {
    servers: Cluster,
    dir: TempDir,
}

/// A node that can be killed: its tasks run on a runtime of its own, and its
/// connections go through proxies of its own.
struct Node {
    journal: Journal,
    runtime: Option<Runtime>,
    wires: Vec<Proxy>,
}

impl Shared {
    fn start() -> Shared {
        Shared {
            servers: Cluster::start(3, Options::default()),
            dir: TempDir::new().unwrap(),
        }
    }

    fn config(&self, name: &str) -> ClusterConfig {
        ClusterConfig {
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            ..node_config(&self.dir.path().join(name), self.servers.servers())
        }
    }

    /// A node with a folder of its own, which is empty when it joins first.
    fn join(&self, name: &str) -> Node {
        self.join_with(name, |_| ())
    }

    fn join_with(&self, name: &str, change: impl FnOnce(&mut ClusterConfig)) -> Node {
        let servers = self.servers.servers();
        let wires: Vec<_> = servers.iter().map(|server| Proxy::start(server)).collect();
        let mut config = self.config(name);
        config.servers = wires.iter().map(Proxy::url).collect();
        change(&mut config);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let join = || runtime.block_on(Journal::join(config));
        let joined = thread::scope(|scope| scope.spawn(join).join());
        Node {
            journal: joined.unwrap().unwrap(),
            runtime: Some(runtime),
            wires,
        }
    }

    /// Two nodes that know of each other.
    async fn pair(&self) -> [Node; 2] {
        let pair = [self.join("a"), self.join("b")];
        for node in &pair {
            eventually("both are alive", || node.journal.nodes().len() == 2).await;
        }
        pair
    }
}

impl Node {
    /// Ends everything that it does, without a word to anybody.
    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Cuts it off, without it or the servers being told.
    fn cut_off(&self) {
        self.wires.iter().for_each(Proxy::blackhole);
    }

    fn reconnect(&self) {
        self.wires.iter().for_each(Proxy::pass);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lets two nodes take a duty, and tells whose turn it is: that node and its
/// tenure, then the other.
async fn taken(pair: [Node; 2], duty: &Duty) -> (Node, Tenure, Node) {
    let [a, b] = pair;
    let first = async {
        tokio::select! {
            tenure = a.journal.take(duty) => (true, tenure.unwrap()),
            tenure = b.journal.take(duty) => (false, tenure.unwrap()),
        }
    };
    let (is_a, tenure) = soon(first).await;
    let (holder, other) = if is_a { (a, b) } else { (b, a) };
    (holder, tenure, other)
}

async fn bodies(journal: &Journal) -> Vec<Bytes> {
    let records = records(read_all(journal).await);
    records.into_iter().map(|record| record.body).collect()
}

async fn indexed(journal: &Journal, last: u64) {
    let mut indexed = journal.indexed(P);
    let reached = indexed.wait_for(|indexed| *indexed >= Some(seq(last)));
    soon(reached).await.unwrap();
}

fn all_letters() -> DeadLetterFilter {
    DeadLetterFilter {
        connection: None,
        after: None,
        limit: 99,
    }
}

/// Waits until a node knows of so many dead letters.
async fn until_count(journal: &Journal, expected: u64) {
    let reached = async {
        while journal.dead_letter_count().await.unwrap() != expected {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(reached).await;
}
