//! Joining a cluster: connecting, making or checking the streams, having their
//! durability proven, and building this node's view.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::sleep;
use tracing::{info, warn};

use super::config::{Access, ClusterConfig};
use super::durability::{self, ExamineError, Finding, Judgement, Moment, Report};
use super::kept::Kept;
use super::names::{KeptKey, Names};
use super::streams::{self, StreamError};
use super::wire::{Wire, WireError, chain};
use crate::embedded::OpenError;
use crate::embedded::log::sync_folder;
use crate::peers::NodeId;
use crate::state::Fault;

/// How long servers have to report, each time they are asked.
pub(crate) const REPORT_PATIENCE: Duration = Duration::from_secs(2);
/// The pause before a cluster is tried again that does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often an operator is told that a node still waits.
const WAITS_PER_WARNING: u32 = 10;
/// A dead connection is noticed after two of these.
const PING: Duration = Duration::from_secs(1);

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The settings contradict each other or a promise.
    #[error("the journal's settings make no sense: {what}")]
    Config {
        /// What is wrong, in words.
        what: &'static str,
    },
    /// The node's own folder is not to be had.
    #[error("cannot use this node's folder")]
    Folder(#[source] OpenError),
    /// A file in the node's folder failed.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The node's view cannot be opened.
    #[error("cannot open this node's view of the journal")]
    View(#[source] Fault),
    /// A server's address is none.
    #[error("{address:?} is no address of a NATS server")]
    Address {
        /// What was written.
        address: String,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The credentials are not to be understood.
    #[error("the NATS credentials cannot be used")]
    Credentials(#[source] io::Error),
    /// No server lets this node in.
    #[error("cannot connect to the NATS servers")]
    Connect(#[source] async_nats::ConnectError),
    /// The streams are not what they must be.
    #[error("cannot use the journal's streams")]
    Streams(#[source] StreamError),
    /// The journal was made with other settings.
    #[error(
        "the journal was made with {found} partitions, and {wanted} are set: it keeps its number"
    )]
    Partitions {
        /// What the journal has.
        found: u16,
        /// What is set.
        wanted: u16,
    },
    /// The journal was made by a newer build.
    #[error("the journal on the cluster has format {found}, this build knows up to {known}")]
    NewerFormat {
        /// Its format.
        found: u16,
        /// The newest that this build knows.
        known: u16,
    },
    /// Durability could not be looked into.
    #[error("cannot ask the cluster what it keeps")]
    Examine(#[source] ExamineError),
    /// What the cluster acknowledges could be lost.
    #[error("{}", refusal(.findings))]
    NotDurable {
        /// All that speaks against it.
        findings: Vec<Finding>,
    },
    /// The cluster did not answer.
    #[error("the cluster did not answer: {cause}")]
    Cluster {
        /// What came instead, in words.
        cause: String,
    },
    /// The runtime is shutting down.
    #[error("the node did not join because the process is stopping")]
    Stopping,
}

fn refusal(findings: &[Finding]) -> String {
    let mut text = "the NATS cluster could lose acknowledged events".to_owned();
    for finding in findings {
        write!(text, "\n\n{}\n{}", finding.what, finding.fix).expect("text takes all");
    }
    text
}

/// What is known about how the cluster keeps what it acknowledges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durability {
    /// What streams and servers said.
    pub report: Report,
    /// What that amounts to.
    pub judgement: Judgement,
    /// When they were asked.
    pub checked_at: Timestamp,
}

/// Asks a cluster how it keeps what it acknowledges, as strictly as when a
/// journal is made on it. Changes nothing there. Where the journal was not made
/// yet, only the servers are asked.
pub async fn check(config: &ClusterConfig) -> Result<Durability, JoinError> {
    config.check().map_err(|what| JoinError::Config { what })?;
    let wire = Wire::new(connect(config).await?);
    let streams = Names::new(&config.prefix).streams(config.partitions);
    match examine(&wire, config, &streams).await {
        Err(ExamineError::NoStream { .. }) => examine(&wire, config, &[])
            .await
            .map_err(JoinError::Examine)
            .map(|report| judged(report, config, Moment::Created)),
        examined => examined
            .map_err(JoinError::Examine)
            .map(|report| judged(report, config, Moment::Created)),
    }
}

pub(crate) async fn examine(
    wire: &Wire,
    config: &ClusterConfig,
    streams: &[String],
) -> Result<Report, ExamineError> {
    durability::examine(
        &wire.context,
        streams,
        &config.report_subject,
        config.replicas,
        REPORT_PATIENCE,
    )
    .await
}

pub(crate) fn judged(report: Report, config: &ClusterConfig, moment: Moment) -> Durability {
    Durability {
        judgement: report.judge(&config.accepted, moment),
        report,
        checked_at: Timestamp::now(),
    }
}

/// Connects, as often as it takes while no server is there; a server that refuses
/// this node ends it.
pub(crate) async fn connect(config: &ClusterConfig) -> Result<Client, JoinError> {
    let addresses = addresses(&config.servers)?;
    for attempt in 1.. {
        let options = options(config)?;
        let error = match options.connect(addresses.as_slice()).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let waits = config
            .join_patience
            .is_none_or(|patience| RETRY_PAUSE * attempt < patience);
        if !matches!(
            error.kind(),
            async_nats::ConnectErrorKind::Io | async_nats::ConnectErrorKind::TimedOut
        ) || !waits
        {
            return Err(JoinError::Connect(error));
        }
        if attempt % WAITS_PER_WARNING == 1 {
            warn!("no NATS server is there, trying again: {}", chain(&error));
        }
        sleep(RETRY_PAUSE).await;
    }
    Err(JoinError::Stopping)
}

fn addresses(servers: &[String]) -> Result<Vec<ServerAddr>, JoinError> {
    let parsed = servers.iter().map(|address| {
        let parsed = address.parse::<ServerAddr>();
        parsed.map_err(|source| JoinError::Address {
            address: address.clone(),
            source,
        })
    });
    parsed.collect()
}

fn options(config: &ClusterConfig) -> Result<ConnectOptions, JoinError> {
    let mut options = ConnectOptions::new()
        .name(format!("postmeter {}", config.name))
        .ping_interval(PING)
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(super::wire::REQUEST_TIME))
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(if attempts > 3 { 250 } else { 20 })
        });
    options = match &config.access {
        Access::Anyone => options,
        Access::Password { user, password } => {
            options.user_and_password(user.clone(), password.clone())
        }
        Access::Token(token) => options.token(token.clone()),
        Access::Credentials(text) => options.credentials(text).map_err(JoinError::Credentials)?,
    };
    let tls = &config.tls;
    if tls.required {
        options = options.require_tls(true);
    }
    if let Some(path) = &tls.ca_file {
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &tls.identity {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// Makes the streams or checks them; waits for a cluster that has no majority.
/// Says whether the journal is new.
pub(crate) async fn ensure_streams(
    wire: &Wire,
    names: &Names,
    config: &ClusterConfig,
) -> Result<(), JoinError> {
    for attempt in 1.. {
        let cause = match streams::ensure(&wire.context, names, config).await {
            Ok(_) => return Ok(()),
            Err(StreamError::NoAnswer { name, cause }) => format!("stream {name}: {cause}"),
            Err(error) => return Err(JoinError::Streams(error)),
        };
        let waits = config
            .join_patience
            .is_none_or(|patience| RETRY_PAUSE * attempt < patience);
        if !waits {
            return Err(JoinError::Cluster { cause });
        }
        if attempt % WAITS_PER_WARNING == 1 {
            warn!("the NATS cluster does not answer yet, trying again: {cause}");
        }
        sleep(RETRY_PAUSE).await;
    }
    Err(JoinError::Stopping)
}

/// Does something as often as it takes while the cluster has no majority.
pub(crate) async fn patiently<T>(
    config: &ClusterConfig,
    mut work: impl AsyncFnMut() -> Result<T, WireError>,
) -> Result<T, JoinError> {
    for attempt in 1.. {
        let error = match work().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let may_pass = !matches!(error, WireError::Full | WireError::Refused(_));
        let waits = config
            .join_patience
            .is_none_or(|patience| RETRY_PAUSE * attempt < patience);
        if !may_pass || !waits {
            return Err(failed(&error));
        }
        sleep(RETRY_PAUSE).await;
    }
    Err(JoinError::Stopping)
}

/// What the journal was made as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    /// Names this very journal, so that a view of another is not taken for one of
    /// it.
    pub(crate) id: String,
    partitions: u16,
    /// Whether durability was proven when it was made.
    pub(crate) is_proven: bool,
}

/// The newest format of a journal on a cluster.
const FORMAT: u16 = 1;

impl Layout {
    /// Reads what the journal was made as, or makes it.
    pub(crate) async fn settle(kept: &Kept, config: &ClusterConfig) -> Result<Layout, JoinError> {
        for _ in 0..2 {
            if let Some(row) = kept.get(&KeptKey::Layout) {
                return Layout::parse(&row.value, config);
            }
            let layout = Layout {
                id: fresh_id(),
                partitions: config.partitions,
                is_proven: false,
            };
            let made = patiently(config, async || {
                match kept.put(&KeptKey::Layout, layout.text(), Some(0)).await {
                    Ok(_) => Ok(true),
                    // Another node was faster.
                    Err(WireError::Overtaken) => Ok(false),
                    Err(error) => Err(error),
                }
            });
            if made.await? {
                return Ok(layout);
            }
            sleep(Duration::from_millis(500)).await;
        }
        Err(JoinError::Cluster {
            cause: "two nodes made the journal at once; start again".to_owned(),
        })
    }

    /// Notes that durability was proven.
    pub(crate) async fn prove(&self, kept: &Kept) -> Result<(), JoinError> {
        let proven = Layout {
            is_proven: true,
            ..self.clone()
        };
        let put = kept.put(&KeptKey::Layout, proven.text(), None).await;
        put.map(drop).map_err(|error| failed(&error))
    }

    /// As words, which a person may read in the stream.
    fn text(&self) -> Bytes {
        let Layout {
            id,
            partitions,
            is_proven,
        } = self;
        let text = format!("postmeter {FORMAT} {id} {partitions} {is_proven}");
        text.into()
    }

    fn parse(text: &Bytes, config: &ClusterConfig) -> Result<Layout, JoinError> {
        let text = String::from_utf8_lossy(text);
        let mut words = text.split(' ').skip(1);
        let format = words
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(u16::MAX);
        if format > FORMAT {
            return Err(JoinError::NewerFormat {
                found: format,
                known: FORMAT,
            });
        }
        let id = words.next().unwrap_or_default().to_owned();
        let found = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        if found != config.partitions {
            return Err(JoinError::Partitions {
                found,
                wanted: config.partitions,
            });
        }
        Ok(Layout {
            id,
            partitions: found,
            is_proven: words.next() == Some("true"),
        })
    }
}

pub(crate) fn failed(error: &WireError) -> JoinError {
    JoinError::Cluster {
        cause: error.to_string(),
    }
}

/// Sixteen hexadecimal digits that nobody else has.
pub(crate) fn fresh_id() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// The id of this node, kept in its folder: a node that comes back is the same.
pub(crate) fn node_id(dir: &Path) -> Result<NodeId, JoinError> {
    let path = dir.join("ID");
    let at = |source| JoinError::File {
        path: path.clone(),
        source,
    };
    match fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(NodeId(id.trim().to_owned())),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(error)),
        _ => {}
    }
    let id = format!("n-{}", fresh_id());
    write(&path, &id).map_err(at)?;
    Ok(NodeId(id))
}

/// Makes sure that the view in `dir` is one of this journal; throws it away when
/// it is another's.
pub(crate) fn keep_view_of(dir: &Path, journal: &str) -> Result<(), JoinError> {
    let path = dir.join("JOURNAL");
    let at = |source| JoinError::File {
        path: path.clone(),
        source,
    };
    if fs::read_to_string(&path).is_ok_and(|known| known.trim() == journal) {
        return Ok(());
    }
    let view = dir.join(VIEW);
    if view.exists() {
        info!("this node's view is of another journal; it is built anew");
        fs::remove_dir_all(&view).map_err(at)?;
    }
    write(&path, journal).map_err(at)
}

/// The folder of a node's view.
pub(crate) const VIEW: &str = "view";

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), sync_folder)
}
