//! Asks the streams' leaders about the streams, and every server about itself.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Info, PeerInfo, PersistenceMode, StorageType};
use async_nats::{Client, Message, PublishError, StatusCode, SubscribeError};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::find::{Demand, find, standing};
use super::{Peer, Report, ServerReport, Standing, Storage, StreamReport};

/// For how long a leader must not have heard of a server that counts as away.
/// Servers that are there are heard of every second.
const AWAY_AFTER: Duration = Duration::from_secs(3);
/// The most answers that are listened to: servers of one cluster are few.
const MAX_ANSWERS: usize = 1024;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// There is no such stream.
    #[error("there is no stream {name}")]
    NoStream {
        /// The stream that was asked for.
        name: String,
    },
    /// A stream that nobody leads acknowledges nothing either.
    #[error("stream {name} does not answer")]
    Stream {
        /// The stream that was asked for.
        name: String,
        /// What came instead of an answer.
        #[source]
        cause: GetStreamError,
    },
    /// No inbox for the answers.
    #[error("cannot listen to what servers report")]
    Listen(#[source] SubscribeError),
    /// The question was not sent.
    #[error("cannot ask servers for their reports")]
    Ask(#[source] PublishError),
}

/// Asks about each of `streams`, and every server through `report_subject` how it
/// syncs, until all have answered or `patience` is over.
///
/// Without streams, only the servers are asked.
#[expect(
    clippy::too_many_arguments,
    reason = "whom to ask, about what, by which way, what for and for how long: none goes with another"
)]
pub async fn examine(
    context: &Context,
    streams: &[String],
    report_subject: &str,
    wanted_replicas: usize,
    patience: Duration,
) -> Result<Report, ExamineError> {
    let streams = ask_streams(context, streams).await?;
    let holders = holders(&streams);
    let deadline = Instant::now() + patience;
    let answers = ask_servers(&context.client(), report_subject, &holders, deadline).await?;
    let cluster_size = answers.iter().filter_map(Answer::cluster_size).max();
    let servers = servers(answers, &holders, &streams);
    let demand = Demand {
        replicas: wanted_replicas,
        report_subject,
    };
    Ok(Report {
        findings: find(&streams, &servers, demand),
        streams,
        servers,
        cluster_size,
    })
}

async fn ask_streams(
    context: &Context,
    names: &[String],
) -> Result<Vec<StreamReport>, ExamineError> {
    let mut streams = Vec::new();
    for name in names {
        let stream = context.get_stream(name).await;
        let stream = stream.map_err(|cause| cannot_ask(name.clone(), cause))?;
        streams.push(StreamReport::of(stream.cached_info()));
    }
    Ok(streams)
}

fn cannot_ask(name: String, cause: GetStreamError) -> ExamineError {
    match cause.kind() {
        GetStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            ExamineError::NoStream { name }
        }
        _ => ExamineError::Stream { name, cause },
    }
}

impl StreamReport {
    fn of(info: &Info) -> StreamReport {
        let cluster = info.cluster.clone().unwrap_or_default();
        let leader = cluster.leader.iter().map(|name| Peer {
            name: name.clone(),
            is_away: false,
        });
        let others = cluster.replicas.iter().map(|peer| Peer {
            name: peer.name.clone(),
            is_away: is_away(peer),
        });
        StreamReport {
            name: info.config.name.clone(),
            storage: match info.config.storage {
                StorageType::File => Storage::File,
                StorageType::Memory => Storage::Memory,
            },
            replicas: info.config.num_replicas,
            persist_async: info.config.persist_mode == Some(PersistenceMode::Async),
            peers: leader.chain(others).collect(),
            cluster: cluster.name,
            leader: cluster.leader,
        }
    }
}

/// Whether a leader misses a peer. One that it has not heard of since it leads has
/// an age of zero and is not current: the server that led before, for example,
/// when it has died.
fn is_away(peer: &PeerInfo) -> bool {
    let never_heard = !peer.current && peer.active.is_zero();
    peer.offline || peer.active > AWAY_AFTER || never_heard
}

fn holders(streams: &[StreamReport]) -> BTreeSet<String> {
    let peers = streams.iter().flat_map(|stream| &stream.peers);
    peers.map(|peer| peer.name.clone()).collect()
}

/// One server's own report, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Answer {
    server: Sender,
    /// Missing where a server could not report.
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Sender {
    name: String,
    #[serde(rename = "ver")]
    version: String,
    cluster: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Data {
    /// Set where a server keeps no streams at all.
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    config: Settings,
    meta_cluster: Option<MetaCluster>,
}

#[derive(Debug, Default, Deserialize)]
struct Settings {
    sync_always: Option<bool>,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

#[derive(Debug, Deserialize)]
struct MetaCluster {
    cluster_size: usize,
}

impl Answer {
    fn cluster_size(&self) -> Option<usize> {
        let cluster = self.data.as_ref()?.meta_cluster.as_ref()?;
        Some(cluster.cluster_size)
    }
}

/// Gathers answers until every one of `holders`, and as many servers as the
/// cluster has, have answered.
async fn ask_servers(
    client: &Client,
    subject: &str,
    holders: &BTreeSet<String>,
    deadline: Instant,
) -> Result<Vec<Answer>, ExamineError> {
    let inbox = client.new_inbox();
    let listening = client.subscribe(inbox.clone()).await;
    let mut incoming = listening.map_err(ExamineError::Listen)?.take(MAX_ANSWERS);
    let asked = client.publish_with_reply(subject.to_owned(), inbox, Bytes::new());
    asked.await.map_err(ExamineError::Ask)?;
    let mut answers: Vec<Answer> = Vec::new();
    while !is_complete(&answers, holders) {
        // The end of patience, or of the connection.
        let Ok(Some(message)) = timeout_at(deadline, incoming.next()).await else {
            break;
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            break;
        }
        answers.extend(read(&message));
    }
    Ok(answers)
}

/// An answer that cannot be read, or is that of a server without streams, proves
/// nothing.
fn read(message: &Message) -> Option<Answer> {
    let answer: Answer = serde_json::from_slice(&message.payload).ok()?;
    let keeps_streams = answer.data.as_ref().is_some_and(|data| !data.disabled);
    keeps_streams.then_some(answer)
}

fn is_complete(answers: &[Answer], holders: &BTreeSet<String>) -> bool {
    let names: BTreeSet<&str> = answers
        .iter()
        .map(|each| each.server.name.as_str())
        .collect();
    let size = answers.iter().filter_map(Answer::cluster_size).max();
    !answers.is_empty()
        && answers.len() >= size.unwrap_or(1)
        && holders.iter().all(|name| names.contains(name.as_str()))
}

/// Those that answered and those that should have, by name.
fn servers(
    answers: Vec<Answer>,
    holders: &BTreeSet<String>,
    streams: &[StreamReport],
) -> Vec<ServerReport> {
    let mut servers: Vec<ServerReport> = answers.into_iter().filter_map(of_answer).collect();
    let missing = holders
        .iter()
        .filter(|name| servers.iter().all(|server| server.name != **name));
    let missing: Vec<ServerReport> = missing.map(|name| without_answer(name, streams)).collect();
    servers.extend(missing);
    servers.sort_by(|one, other| one.name.cmp(&other.name));
    servers
}

fn of_answer(answer: Answer) -> Option<ServerReport> {
    let settings = answer.data?.config;
    let Sender {
        name,
        version,
        cluster,
    } = answer.server;
    Some(ServerReport {
        name,
        cluster,
        standing: standing(&version, settings.sync_always),
        version: Some(version),
        sync_always: Some(settings.sync_always == Some(true)),
        sync_interval: Some(Duration::from_nanos(settings.sync_interval)),
    })
}

/// Away is who every leader misses; one leader that hears it, or leadership of
/// its own, proves that it is there.
fn without_answer(name: &str, streams: &[StreamReport]) -> ServerReport {
    let peers = streams.iter().flat_map(|stream| &stream.peers);
    let mut seen = peers.filter(|peer| peer.name == name);
    ServerReport {
        name: name.to_owned(),
        cluster: None,
        version: None,
        sync_always: None,
        sync_interval: None,
        standing: if seen.all(|peer| peer.is_away) {
            Standing::Away
        } else {
            Standing::Silent
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_away_when_its_leader_has_not_heard_of_it() {
        let second = Duration::from_secs(1);
        for (is_current, heard, expected) in [
            (true, Duration::ZERO, false),
            (true, second, false),
            (false, second, false), // it catches up
            (true, 4 * second, true),
            (false, 4 * second, true),
            (false, Duration::ZERO, true), // never, since the leader leads
        ] {
            let peer = PeerInfo {
                name: "n1".to_owned(),
                current: is_current,
                active: heard,
                offline: false,
                lag: None,
            };
            assert_eq!(is_away(&peer), expected, "{peer:?}");
        }
    }
}
