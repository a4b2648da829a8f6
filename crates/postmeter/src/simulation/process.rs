//! One life of the process: the real routes, journal, indexer and feeds, without a
//! thread, from its start to its stop or its death.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dispatch::{Destination, Endpoint, Outbox, Outside, Policy, WriteKey};
use journal::log::Commits;
use journal::{Config, Health, Journal, Partition, Seq};
use receive::{Intake, Limits, Signature, SigningKey, Workspace};
use shape::Options;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::chance::Chance;
use super::clock;
use super::disk::{Disk, Power};
use super::network::Front;
use super::segment::Source;
use super::sender::KEY;
use crate::duties::Duties;
use crate::observe::Observer;
use crate::pipeline::feed::{ConnectionLabel, Feed, Live};
use crate::pipeline::indexer::Indexer;
use crate::pipeline::keys;

/// How long a stopping process waits for requests and attempts in hand.
const GRACE: Duration = Duration::from_secs(10);
/// Batches under way per connection.
const WINDOW: usize = 3;

/// A connection as the simulation has it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) source: Source,
    pub(super) workspace: &'static str,
    pub(super) options: Options,
}

impl Connection {
    pub(super) fn id(&self) -> &str {
        &self.options.connection_id
    }
}

/// A process that runs.
pub(super) struct Process {
    pub(super) journal: Journal,
    pub(super) front: Arc<Front>,
    connections: Vec<Connection>,
    stages: JoinSet<()>,
    stop: CancellationToken,
}

/// How long the disk takes, for a while.
pub(super) type Pace = watch::Receiver<(u64, u64)>;

impl Process {
    /// Opens the journal and starts everything that the server would start.
    pub(super) fn start(
        folder: &Path,
        disk: &Disk,
        connections: &[Connection],
        (pace, mut chance): (Pace, Chance),
    ) -> Result<Process, journal::OpenError> {
        let config = Config {
            segment_bytes: 8 * 1024,
            max_bytes: 64 * 1024,
            index_records_in_memory: 8,
            ..Config::for_tests(folder)
        };
        let (journal, commits) = Journal::open_by_hand(config, Arc::new(disk.clone()))?;
        let front = Arc::new(Front::new(receive::router(intake(&journal, connections))));
        let stop = CancellationToken::new();
        let mut stages = JoinSet::new();
        let observer = Observer::new().unwrap();
        let duties = Duties::of(journal.clone());
        let committer = Committer {
            commits,
            front: Arc::clone(&front),
            disk: disk.clone(),
            pace,
            chance: chance.fork(),
        };
        stages.spawn(committer.run());
        let indexer = Indexer {
            journal: journal.clone(),
            observer: observer.clone(),
            partition: Partition::ZERO,
        };
        let (working, until) = (duties.clone(), stop.clone());
        stages.spawn(async move { working.perform(&indexer, &until).await });
        for connection in connections {
            let outbox = outbox(connection, &front, chance.next());
            let feed = feed(connection, outbox, (&journal, &observer));
            let (working, until) = (duties.clone(), stop.clone());
            stages.spawn(async move { working.perform(&feed, &until).await });
        }
        Ok(Process {
            journal,
            front,
            connections: connections.to_vec(),
            stages,
            stop,
        })
    }

    /// Waits until the power goes, which only the disk's own calls can notice.
    pub(super) async fn power_cut(&mut self) {
        self.stages.join_next().await; // only the committer ends by itself
    }

    /// Stops in good order: no more requests, the attempts in hand, the journal.
    pub(super) async fn stop(mut self) {
        let mut requests = self.front.connections();
        timeout(GRACE, async {
            while requests.join_next().await.is_some() {}
        })
        .await
        .ok();
        self.stop.cancel();
        let rest =
            async { while self.stages.len() > 1 && self.stages.join_next().await.is_some() {} };
        let in_time = timeout(GRACE, rest).await;
        if in_time.is_ok() && self.front.link.is_up() {
            self.journal.close().await.ok();
        }
        requests.shutdown().await;
        self.kill().await;
    }

    /// Ends it as kill -9 does: nothing more is said, written or put away.
    pub(super) async fn kill(mut self) {
        self.front.link.cut();
        self.front.connections().shutdown().await;
        self.stages.shutdown().await;
    }

    pub(super) fn is_poisoned(&self) -> bool {
        matches!(self.journal.stats().health, Health::Poisoned { .. })
    }

    /// Gives space back, as the server's housekeeping does.
    pub(super) async fn trim(&self) {
        let mut keep = Vec::new();
        for connection in &self.connections {
            keep.push((Partition::ZERO, self.settled(connection).await.next()));
        }
        // A disk that is full or dead may refuse; the next round tries again.
        self.journal.trim(clock::now(), &keep).await.ok();
    }

    /// Through which record a connection has settled.
    pub(super) async fn settled(&self, connection: &Connection) -> Seq {
        let cursor = self.journal.cursor(connection.id(), Partition::ZERO).await;
        cursor.unwrap().unwrap_or(Seq::ZERO)
    }

    /// Whether every connection is through with every record.
    pub(super) async fn is_idle(&self) -> bool {
        let last = *self.journal.durable(Partition::ZERO).borrow();
        for connection in &self.connections {
            if self.settled(connection).await < last.unwrap_or(Seq::ZERO) {
                return false;
            }
        }
        true
    }
}

/// Commits when the disk has had its time, so that what arrives meanwhile is one group.
struct Committer {
    commits: Commits,
    front: Arc<Front>,
    disk: Disk,
    pace: Pace,
    chance: Chance,
}

impl Committer {
    /// Ends when the power goes.
    async fn run(mut self) {
        while self.disk.power() == Power::On {
            self.front.arrived.notified().await;
            let (least, most) = *self.pace.borrow();
            sleep(self.chance.millis(least, most)).await;
            while self.commits.turn() > 0 {}
        }
        self.front.link.cut();
    }
}

fn intake(journal: &Journal, connections: &[Connection]) -> Intake {
    let workspaces = connections.iter().map(|connection| Workspace {
        name: connection.workspace.into(),
        signature: Signature::Keys(vec![SigningKey::new(KEY)]),
        timestamp_tolerance: Some(Duration::from_mins(5)),
    });
    Intake {
        journal: journal.clone(),
        workspaces: watch::Sender::new(Arc::new(workspaces.collect())).subscribe(),
        limits: Limits::default(),
        affinity: keys::affinity,
        now: clock::now,
    }
}

fn outbox(connection: &Connection, front: &Front, seed: u64) -> Arc<Outbox> {
    let destination = Destination {
        endpoint: Endpoint::us(),
        write_key: WriteKey::new("simulated"),
    };
    let outside = Outside {
        post: connection.source.way(Arc::clone(&front.link)),
        now: clock::now,
        seed,
    };
    Arc::new(Outbox::over(destination, Policy::default(), outside))
}

fn feed(
    connection: &Connection,
    outbox: Arc<Outbox>,
    (journal, observer): (&Journal, &Observer),
) -> Feed {
    Feed {
        journal: journal.clone(),
        observer: observer.clone(),
        outbox,
        connection: ConnectionLabel {
            id: connection.id().into(),
            name: connection.source.name.into(),
            workspace: connection.workspace.into(),
        },
        options: connection.options.clone(),
        written: connections::Options::default(),
        names: None,
        window: WINDOW,
        partition: Partition::ZERO,
        live: watch::Sender::new(Live::Behind),
        settling: Arc::default(),
    }
}
