//! Making the streams, and checking those that are there.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Placement, RetentionPolicy, StorageType,
};

use super::config::ClusterConfig;
use super::names::Names;
use super::wire::chain;
use crate::place::Partition;

/// How long after all claims have expired the state is still kept.
const SLACK: Duration = Duration::from_hours(5 * 24);
/// How long a message's id is remembered: a pack is tried again for seconds.
const REPEATS: Duration = Duration::from_mins(2);

/// Why the streams are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The cluster does not answer: wait.
    #[error("the cluster does not answer for stream {name}: {cause}")]
    NoAnswer {
        /// The stream.
        name: String,
        /// What came instead, in words.
        cause: String,
    },
    /// The servers will not make it: something must change.
    #[error("the servers will not make stream {name}: {cause}")]
    NotMade {
        /// The stream.
        name: String,
        /// What they say.
        cause: String,
    },
    /// A stream of this name is there and is not what this journal needs.
    #[error(
        "stream {name} is there, and its {what}; delete it, or give this journal another prefix"
    )]
    Other {
        /// The stream.
        name: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Makes the streams that are missing and checks those that are there; says
/// whether any was missing.
pub(crate) async fn ensure(
    context: &Context,
    names: &Names,
    config: &ClusterConfig,
) -> Result<bool, StreamError> {
    let mut any_made = false;
    for wanted in wanted(names, config) {
        any_made |= ensure_one(context, wanted).await?;
    }
    Ok(any_made)
}

async fn ensure_one(context: &Context, wanted: Config) -> Result<bool, StreamError> {
    let name = wanted.name.clone();
    match context.get_stream(&name).await {
        Ok(there) => check(&wanted, &there.cached_info().config).map(|()| false),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                make(context, wanted).await
            }
            _ => Err(StreamError::NoAnswer {
                name,
                cause: chain(&error),
            }),
        },
    }
}

async fn make(context: &Context, wanted: Config) -> Result<bool, StreamError> {
    let name = wanted.name.clone();
    match context.create_stream(wanted).await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            // Another node was faster.
            CreateStreamErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                Ok(true)
            }
            // A server that is just being started counts as absent for a while.
            CreateStreamErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::CLUSTER_NO_PEERS
                    && cause.to_string().contains("offline") =>
            {
                Err(StreamError::NoAnswer {
                    name,
                    cause: chain(&cause),
                })
            }
            CreateStreamErrorKind::JetStream(cause) => Err(StreamError::NotMade {
                name,
                cause: chain(&cause),
            }),
            _ => Err(StreamError::NoAnswer {
                name,
                cause: chain(&error),
            }),
        },
    }
}

/// Replicas and storage are for the check of durability to judge.
fn check(wanted: &Config, there: &Config) -> Result<(), StreamError> {
    let what = if !wanted
        .subjects
        .iter()
        .all(|each| there.subjects.contains(each))
    {
        Some(format!("subjects are {:?}", there.subjects))
    } else if there.max_messages_per_subject != wanted.max_messages_per_subject {
        let kept = there.max_messages_per_subject;
        Some(format!("max_msgs_per_subject is {kept}"))
    } else if there.retention != wanted.retention {
        Some(format!("retention is {:?}", there.retention))
    } else if there.max_messages > 0 || there.max_bytes > 0 {
        Some("limits would delete what is not settled".to_owned())
    } else if there.max_age != wanted.max_age
        && (wanted.max_age.is_zero() || there.max_age < wanted.max_age && !there.max_age.is_zero())
    {
        Some(format!(
            "max_age of {:?} would delete what is needed",
            there.max_age
        ))
    } else if !there.allow_direct {
        Some("allow_direct is off".to_owned())
    } else {
        None
    };
    match what {
        None => Ok(()),
        Some(what) => Err(StreamError::Other {
            name: wanted.name.clone(),
            what,
        }),
    }
}

/// Every stream as it should be. Postmeter trims them itself, since only it knows
/// what is settled.
fn wanted(names: &Names, config: &ClusterConfig) -> Vec<Config> {
    let mut streams = vec![
        Config {
            name: names.kept_stream(),
            subjects: vec![format!("{}.kept.>", config.prefix)],
            max_messages_per_subject: 1,
            ..common(config)
        },
        Config {
            name: names.letters_stream(),
            subjects: vec![format!("{}.letters.>", config.prefix)],
            allow_message_ttl: true,
            ..common(config)
        },
    ];
    for partition in (0..config.partitions).map(Partition::new) {
        let log = names.log(partition);
        streams.push(Config {
            name: names.log_stream(partition),
            subjects: vec![log.clone(), format!("{log}.part")],
            duplicate_window: REPEATS,
            ..common(config)
        });
        streams.push(Config {
            name: names.state_stream(partition),
            subjects: vec![format!("{}.>", names.state(partition))],
            max_age: state_life(config),
            ..common(config)
        });
    }
    streams
}

/// How long entries of the state matter: claims live for up to twice their life.
fn state_life(config: &ClusterConfig) -> Duration {
    let local = &config.local;
    let claims = local.duplicate_claims.max(local.first_claims);
    local.retention.max(2 * claims) + SLACK
}

fn common(config: &ClusterConfig) -> Config {
    let placement = &config.placement;
    let is_placed = placement.cluster.is_some() || !placement.tags.is_empty();
    Config {
        num_replicas: config.replicas,
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: -1,
        allow_direct: true,
        description: Some("Postmeter's; it trims this itself".to_owned()),
        placement: is_placed.then(|| Placement {
            cluster: placement.cluster.clone(),
            tags: placement.tags.clone(),
        }),
        ..Config::default()
    }
}
