//! Keeps one feed running for each connection that sends, and partition.
//!
//! When the operator decides anew, feeds whose connection is gone or different
//! stop, finish what is in flight, and only then their successors start: two
//! feeds never share a cursor. Of several nodes the one that holds a feed's duty
//! runs it; the others wait for their turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use connections::{ConnectionId, Unlocked, UnlockedConnection};
use dispatch::{Outbox, Policy};
use journal::{Duty, Journal, Partition};
use shape::PayloadVersion;
use tokio::sync::{self, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::desk::Desk;
use crate::duties::{Duties, Work};
use crate::names::Directory;
use crate::observe::Observer;
use crate::pipeline::feed::{ConnectionLabel, Feed, Live};
use crate::replay::Replayer;

/// What all feeds share.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) journal: Journal,
    pub(crate) duties: Duties,
    pub(crate) names: Directory,
    pub(crate) observer: Observer,
    /// What replays look at records with.
    pub(crate) desk: Desk,
    pub(crate) policy: Policy,
    pub(crate) window: usize,
}

/// The connections that run now, for whoever shows them. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<BTreeMap<ConnectionId, Line>>>);

/// One running connection.
#[derive(Clone)]
pub(crate) struct Line {
    connection: UnlockedConnection,
    /// Where its batches leave.
    pub(crate) outbox: Arc<Outbox>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Running {
    /// The line of a connection that runs.
    pub(crate) fn line(&self, id: &ConnectionId) -> Option<Line> {
        self.lines().get(id).cloned()
    }

    /// Has every line finish what it has in hand and begin anew with what the journal
    /// holds now. Waits for the former, which takes an attempt's time at most.
    pub(crate) async fn renew(&self) {
        let lines: Vec<Line> = self.lines().values().cloned().collect();
        for line in &lines {
            line.stop.cancel();
        }
        for line in lines {
            line.ended.cancelled().await;
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConnectionId, Line>> {
        // A map of handles is whole whatever its last holder died of.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what is decided, until `stop`; returns when every feed has ended.
pub(crate) async fn run(
    workshop: Workshop,
    mut decided: watch::Receiver<Arc<Unlocked>>,
    running: Running,
    stop: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    loop {
        let wanted = Arc::clone(&decided.borrow_and_update());
        reconcile(&workshop, &wanted, &running, &mut tasks);
        tokio::select! {
            changed = decided.changed() => if changed.is_err() { break },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            () = stop.cancelled() => break,
        }
    }
    for line in running.lines().values() {
        line.stop.cancel();
    }
    while tasks.join_next().await.is_some() {}
}

/// Stops what is not wanted any more, and starts what does not run yet.
fn reconcile(workshop: &Workshop, wanted: &Unlocked, running: &Running, tasks: &mut JoinSet<()>) {
    let mut lines = running.lines();
    let sending = wanted
        .connections
        .iter()
        .filter(|each| each.connection.is_sending());
    let sending: BTreeMap<&ConnectionId, &UnlockedConnection> =
        sending.map(|each| (&each.connection.id, each)).collect();
    let mut leaving = BTreeMap::new();
    lines.retain(|id, line| {
        let wanted = sending.get(id).is_some_and(|each| line.is_for(each));
        let stays = wanted && !line.stop.is_cancelled();
        if !stays {
            line.stop.cancel();
            leaving.insert(id.clone(), line.ended.clone());
        }
        stays
    });
    for (id, connection) in sending {
        if lines.contains_key(id) {
            continue;
        }
        match start(workshop, connection, leaving.remove(id), tasks) {
            Ok(line) => drop(lines.insert(id.clone(), line)),
            Err(error) => error!(
                connection = %connection.connection.name,
                error = &error as &dyn std::error::Error,
                "a connection cannot start: its outbox cannot be made"
            ),
        }
    }
}

fn start(
    workshop: &Workshop,
    connection: &UnlockedConnection,
    predecessor: Option<CancellationToken>,
    tasks: &mut JoinSet<()>,
) -> Result<Line, dispatch::OutboxError> {
    let destination = connection.destination.clone();
    let outbox = Arc::new(Outbox::new(destination, workshop.policy.clone())?);
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let partitions = workshop.journal.partitions();
    let feeds = partitions
        .map(|each| fed(workshop, connection, &outbox, each))
        .collect();
    let duties = workshop.duties.clone();
    let tokens = (stop.clone(), ended.clone());
    tasks.spawn(run_line(duties, feeds, predecessor, tokens));
    Ok(Line {
        connection: connection.clone(),
        outbox,
        stop,
        ended,
    })
}

/// A connection's feed of a partition, and beside it what is replayed there.
struct Fed {
    feed: Feed,
    replayer: Replayer,
}

impl Work for Fed {
    fn duty(&self) -> Duty {
        self.feed.duty()
    }

    fn name(&self) -> String {
        self.feed.name()
    }

    async fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        // The replayer works in a task of its own: the feed never waits for it.
        let leave = stop.child_token();
        let mut replaying = JoinSet::new();
        let (replayer, until) = (self.replayer.clone(), leave.clone());
        replaying.spawn(async move { replayer.run(&until).await });
        let fed = self.feed.run(stop).await;
        leave.cancel();
        if fed.is_err() {
            // What it has in hand must not keep the feed from beginning anew.
            replaying.abort_all();
        }
        while replaying.join_next().await.is_some() {}
        fed
    }
}

fn fed(
    workshop: &Workshop,
    UnlockedConnection { connection, .. }: &UnlockedConnection,
    outbox: &Arc<Outbox>,
    partition: Partition,
) -> Fed {
    let options = connection.shape_options();
    let has_names = options.names || options.payload_version == PayloadVersion::V1;
    let workspace = connection.workspace.as_str();
    let label = ConnectionLabel {
        id: connection.id.as_str().into(),
        name: connection.name.as_str().into(),
        workspace: workspace.into(),
    };
    let feed = Feed {
        names: has_names.then(|| workshop.names.book(workspace)),
        journal: workshop.journal.clone(),
        observer: workshop.observer.clone(),
        outbox: Arc::clone(outbox),
        connection: label.clone(),
        options,
        written: connection.options.clone(),
        window: workshop.window,
        partition,
        live: watch::Sender::new(Live::Behind),
        settling: Arc::new(sync::Mutex::new(())),
    };
    let replayer = Replayer {
        desk: workshop.desk.clone(),
        outbox: Arc::clone(outbox),
        connection: connection.clone(),
        label,
        partition,
        live: feed.live.subscribe(),
        settling: Arc::clone(&feed.settling),
    };
    Fed { feed, replayer }
}

/// Runs a connection's feeds once its predecessor has ended: each while this node
/// is the one to feed its partition.
async fn run_line(
    duties: Duties,
    feeds: Vec<Fed>,
    predecessor: Option<CancellationToken>,
    (stop, ended): (CancellationToken, CancellationToken),
) {
    let _ended = ended.drop_guard();
    if let Some(predecessor) = predecessor {
        predecessor.cancelled().await;
    }
    let mut running = JoinSet::new();
    for feed in feeds {
        let (duties, stop) = (duties.clone(), stop.clone());
        running.spawn(async move { duties.perform(&feed, &stop).await });
    }
    while running.join_next().await.is_some() {}
}

impl Line {
    /// Whether it runs this very connection with these very secrets.
    fn is_for(&self, wanted: &UnlockedConnection) -> bool {
        self.connection.connection == wanted.connection
            && self.connection.destination == wanted.destination
    }
}
