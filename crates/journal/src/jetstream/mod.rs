//! The engine for any number of nodes: everything that must last is in replicated
//! streams of a NATS `JetStream` cluster, and no node holds any of it alone.
//!
//! ```text
//! log-P    packs of records, by any node           --> counted: where each record is
//! state-P  what the holder of the index decides,   --> view: index, claims, in two
//!          what holders of feeds claim                 databases of each node
//! kept     settings, cursors, duties               --> in memory of each node
//! letters  dead letters                            --> their ids in memory
//! ```
//!
//! Any node may append. Records get their places by counting, which all nodes do
//! alike. Deciding which record is the first of its event is the duty of one node
//! at a time, and its decisions are entries that all nodes read; a holder that
//! was replaced cannot write any more. So is moving a connection's cursor. A node
//! that dies leaves nothing behind that others do not have.
//!
//! The promise stands on what the servers sync, so it is checked, at the start and
//! then on: see [`durability`].

pub mod durability;

mod cache;
mod config;
mod duties;
mod engine;
mod entry;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod join;
mod kept;
mod letters;
mod names;
mod nodes;
mod numbering;
mod pack;
mod packer;
mod partition;
mod streams;
mod wire;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

pub use config::{Access, ClusterConfig, Placement, Tls};
pub use join::{Durability, JoinError, check};
pub use streams::StreamError;

use self::durability::{Loss, Moment};
use self::duties::Duties;
use self::join::{Layout, VIEW};
use self::kept::Kept;
use self::letters::Letters;
use self::names::Names;
use self::nodes::Nodes;
use self::packer::Packer;
use self::partition::{Partition, Shared, View};
use self::wire::{Wire, WireError};
use crate::append::Queue;
use crate::embedded::folder::Folder;
use crate::lock::lock;
use crate::peers::Node;
use crate::place::Partition as Number;
use crate::room::{Limits, Room};

/// The folder of a node within the journal's.
const NODE_FOLDER: &str = "node";
/// How often the log is measured.
const MEASURE: Duration = Duration::from_secs(1);
/// How often the cluster is asked what it keeps.
const EXAMINE: Duration = Duration::from_secs(15);
/// So many times in a row must servers be silent until that counts against them.
const SILENCES: u32 = 3;
/// How long leaving may take.
const FAREWELL: Duration = Duration::from_secs(3);

/// A node of a journal on a cluster. Dropping it leaves without a word.
pub(crate) struct Member {
    pub(crate) config: ClusterConfig,
    room: Arc<Room>,
    queue: Mutex<Option<Queue>>,
    closing: watch::Sender<bool>,
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) kept: Kept,
    pub(crate) letters: Letters,
    pub(crate) nodes: Nodes,
    duties: Duties,
    durability: watch::Sender<Arc<Durability>>,
    /// Ends with the member.
    tasks: Mutex<JoinSet<()>>,
    packers: tokio::sync::Mutex<JoinSet<()>>,
    _folder: Folder,
}

impl Member {
    /// Joins the journal that `config` describes, and makes it when it is missing.
    pub(crate) async fn join(config: ClusterConfig) -> Result<Member, JoinError> {
        config.check().map_err(|what| JoinError::Config { what })?;
        let dir = config.local.dir.join(NODE_FOLDER);
        let folder = Folder::open(&dir).map_err(JoinError::Folder)?;
        let id = join::node_id(&dir)?;
        let wire = Wire::new(join::connect(&config).await?);
        let names = Names::new(&config.prefix);
        join::ensure_streams(&wire, &names, &config).await?;
        let mut tasks = JoinSet::new();
        let kept = Kept::new(wire.clone(), names.clone());
        tasks.spawn(kept.clone().follow());
        catch_up(&wire, &kept, (&names, &config)).await?;
        let layout = Layout::settle(&kept, &config).await?;
        let durability = prove(&wire, &names, &config, (&kept, &layout)).await?;
        join::keep_view_of(&dir, &layout.id)?;
        let letters = Letters::new(wire.clone(), names.clone());
        tasks.spawn(letters.clone().follow());
        join::patiently(&config, || letters.catch_up()).await?;
        let shared = Shared {
            wire: wire.clone(),
            names: names.clone(),
            kept: kept.clone(),
            letters: letters.clone(),
        };
        let partitions = open_partitions(&dir, &config, shared, &mut tasks).await?;
        let this = Node {
            id,
            name: config.name.clone(),
            version: config.version.clone(),
            is_this: true,
        };
        let nodes = Nodes::new(wire.clone(), names, this, config.node_timeout);
        tasks.spawn(nodes.clone().beat());
        tasks.spawn(nodes.clone().hear());
        tasks.spawn(nodes.clone().hear_questions());
        let limits = Limits {
            max_bytes: config.local.max_bytes,
            queue_records: config.local.queue_records,
            queue_bytes: config.local.queue_bytes,
        };
        let bytes = partitions.iter().map(|each| each.bytes()).sum();
        let room = Arc::new(Room::new(limits, bytes));
        let closing = watch::Sender::new(false);
        let (queue, packers) = start_packers(&config, &partitions, &room, &closing.subscribe());
        let durability = watch::Sender::new(Arc::new(durability));
        let examiner = Examiner {
            wire: wire.clone(),
            config: config.clone(),
            room: Arc::clone(&room),
            durability: durability.clone(),
        };
        tasks.spawn(examiner.run());
        tasks.spawn(measure(partitions.clone(), Arc::clone(&room)));
        Ok(Member {
            duties: Duties::new(kept.clone(), nodes.clone()),
            config,
            room,
            queue: Mutex::new(Some(queue)),
            closing,
            partitions,
            kept,
            letters,
            nodes,
            durability,
            tasks: Mutex::new(tasks),
            packers: tokio::sync::Mutex::new(packers),
            _folder: folder,
        })
    }

    /// Follows what is known about how the cluster keeps what it acknowledges.
    pub(crate) fn durability(&self) -> watch::Receiver<Arc<Durability>> {
        self.durability.subscribe()
    }

    /// Takes no more, publishes what was appended, gives the duties back, and
    /// tells the others.
    pub(crate) async fn leave(&self) {
        self.room.close();
        lock(&self.queue).take();
        self.closing.send_replace(true);
        let mut packers = self.packers.lock().await;
        while packers.join_next().await.is_some() {}
        let bye = async {
            self.duties.give_all_back(FAREWELL).await;
            self.nodes.leave().await;
        };
        if timeout(FAREWELL, bye).await.is_err() {
            warn!("the other nodes will find out themselves that this one is gone");
        }
        let partitions = self.partitions.clone();
        let flushed = blocking(move || {
            for partition in &partitions {
                if let Err(fault) = partition.view.flush(partition.bytes_per_record()) {
                    error!("cannot write this node's view, it will be built again: {fault:?}");
                }
            }
        });
        flushed.await;
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }
}

async fn catch_up(
    wire: &Wire,
    kept: &Kept,
    (names, config): (&Names, &ClusterConfig),
) -> Result<(), JoinError> {
    let state = join::patiently(config, async || wire.state(&names.kept_stream()).await).await?;
    if state.messages > 0 {
        kept.wait_for(state.last_sequence).await;
    }
    Ok(())
}

/// Has durability proven before anything is acknowledged.
async fn prove(
    wire: &Wire,
    names: &Names,
    config: &ClusterConfig,
    (kept, layout): (&Kept, &Layout),
) -> Result<Durability, JoinError> {
    let moment = if layout.is_proven {
        Moment::Started
    } else {
        Moment::Created
    };
    let streams = names.streams(config.partitions);
    let mut attempts = 0;
    let durability = loop {
        attempts += 1;
        let report = join::examine(wire, config, &streams).await;
        let durability = join::judged(report.map_err(JoinError::Examine)?, config, moment);
        let refused = &durability.judgement.refused;
        let may_pass = refused.iter().all(|finding| finding.loss == Loss::Unproven);
        // Right after streams were made, or a server came back, not everybody
        // knows of everybody.
        if durability.judgement.is_durable() || !may_pass || attempts >= SILENCES {
            break durability;
        }
        sleep(MEASURE).await;
    };
    if !durability.judgement.is_durable() {
        return Err(JoinError::NotDurable {
            findings: durability.judgement.refused,
        });
    }
    for loss in &config.accepted {
        warn!("accepted by the operator: {loss}");
    }
    if !layout.is_proven {
        layout.prove(kept).await?;
    }
    Ok(durability)
}

async fn open_partitions(
    dir: &Path,
    config: &ClusterConfig,
    shared: Shared,
    tasks: &mut JoinSet<()>,
) -> Result<Vec<Arc<Partition>>, JoinError> {
    let mut partitions = Vec::new();
    for number in (0..config.partitions).map(Number::new) {
        let (dir, local) = (dir.join(VIEW), config.local.clone());
        let opened = blocking(move || {
            crate::embedded::log::make_folder(&dir)?;
            View::open(&dir.join(format!("p{number}")), number, &local)
        });
        let view = opened.await.ok_or(JoinError::Stopping)?;
        let view = view.map_err(JoinError::View)?;
        let partition = Arc::new(Partition::new(number, shared.clone(), view));
        tasks.spawn(Arc::clone(&partition).follow_log());
        tasks.spawn(Arc::clone(&partition).follow_state());
        partitions.push(partition);
    }
    for partition in &partitions {
        join::patiently(config, || partition.catch_up()).await?;
        join::patiently(config, || partition.catch_up_with_log()).await?;
    }
    info!(
        "this node's view of {} partitions is up to date",
        partitions.len()
    );
    Ok(partitions)
}

fn start_packers(
    config: &ClusterConfig,
    partitions: &[Arc<Partition>],
    room: &Arc<Room>,
    closing: &watch::Receiver<bool>,
) -> (Queue, JoinSet<()>) {
    let mut packers = JoinSet::new();
    let mut senders = Vec::new();
    for partition in partitions {
        // Room is claimed before anything is sent, so the queue is never full.
        let (sender, jobs) = mpsc::channel(config.local.queue_records);
        let packer = Packer {
            partition: Arc::clone(partition),
            room: Arc::clone(room),
            run: join::fresh_id(),
            append_timeout: config.append_timeout,
            pack_records: config.pack_records,
        };
        packers.spawn(packer.run(jobs, closing.clone()));
        senders.push(sender);
    }
    (Queue::Tasks(senders.into()), packers)
}

/// Asks the cluster what it keeps, again and again.
struct Examiner {
    wire: Wire,
    config: ClusterConfig,
    room: Arc<Room>,
    durability: watch::Sender<Arc<Durability>>,
}

impl Examiner {
    async fn run(self) {
        let names = Names::new(&self.config.prefix);
        let streams = names.streams(self.config.partitions);
        let mut silences = 0;
        loop {
            sleep(if silences == 0 { EXAMINE } else { MEASURE }).await;
            // Without a leader nothing is acknowledged, and nothing to be proven.
            let Ok(report) = join::examine(&self.wire, &self.config, &streams).await else {
                continue;
            };
            let durability = join::judged(report, &self.config, Moment::Running);
            silences = self.weigh(&durability, silences);
            self.durability.send_replace(Arc::new(durability));
        }
    }

    /// Refuses or takes events accordingly; tells how often in a row servers were
    /// silent.
    fn weigh(&self, durability: &Durability, silences: u32) -> u32 {
        let refused = &durability.judgement.refused;
        let Some(first) = refused.first() else {
            self.room.proven_but_for(None);
            return 0;
        };
        let only_silent = refused.iter().all(|finding| finding.loss == Loss::Unproven);
        if only_silent && silences + 1 < SILENCES {
            return silences + 1;
        }
        error!(
            "no event is taken until this is put right: {}\n{}",
            first.what, first.fix
        );
        self.room.proven_but_for(Some(first.what.clone()));
        silences.max(1)
    }
}

/// Measures what the log takes, whoever wrote it, for ever; by the way, whether
/// the cluster is there at all.
async fn measure(partitions: Vec<Arc<Partition>>, room: Arc<Room>) {
    let mut rounds = interval(MEASURE);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        rounds.tick().await;
        match measure_all(&partitions).await {
            Ok(bytes) => {
                failures = 0;
                room.measured(bytes);
                room.recovered();
            }
            // A single one may be an election.
            Err(error) => {
                failures += 1;
                if failures >= SILENCES {
                    room.failed(error.to_string());
                }
            }
        }
    }
}

async fn measure_all(partitions: &[Arc<Partition>]) -> Result<u64, WireError> {
    let mut bytes = 0;
    for partition in partitions {
        partition.measure().await?;
        bytes += partition.bytes();
    }
    Ok(bytes)
}

/// Does what blocks on a thread that may; none when the runtime is stopping.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    crate::embedded::finished(spawn_blocking(work).await)
}
