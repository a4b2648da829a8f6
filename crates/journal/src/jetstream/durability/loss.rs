//! The ways in which acknowledged records could be lost, and how each is undone.

use std::fmt;
use std::str::FromStr;

/// A way in which acknowledged records could be lost.
///
/// Its text is the sentence that an operator who accepts it sees from then on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Loss {
    /// A server acknowledges before it has synced.
    UnsyncedWrites,
    /// Fewer servers than demanded hold a stream.
    FewReplicas,
    /// A stream is in memory.
    MemoryStorage,
    /// A stream is acknowledged before it is written.
    AsyncPersist,
    /// A server's version is known to lose or not known to keep.
    OldServer,
    /// Nobody has said that it cannot happen.
    Unproven,
}

impl Loss {
    /// Every way, in the order of the documentation.
    pub const ALL: [Loss; 6] = [
        Loss::UnsyncedWrites,
        Loss::FewReplicas,
        Loss::MemoryStorage,
        Loss::AsyncPersist,
        Loss::OldServer,
        Loss::Unproven,
    ];

    /// Its name in `accept_loss`.
    pub fn name(self) -> &'static str {
        match self {
            Loss::UnsyncedWrites => "unsynced-writes",
            Loss::FewReplicas => "few-replicas",
            Loss::MemoryStorage => "memory-storage",
            Loss::AsyncPersist => "async-persist",
            Loss::OldServer => "old-server",
            Loss::Unproven => "unproven",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::UnsyncedWrites => {
                "acknowledged events can be lost in a power cut: NATS servers do not sync before they acknowledge"
            }
            Loss::FewReplicas => {
                "acknowledged events can be lost with a single disk: streams have too few replicas"
            }
            Loss::MemoryStorage => {
                "acknowledged events are lost when NATS servers stop: streams are kept in memory"
            }
            Loss::AsyncPersist => {
                "acknowledged events can be lost in a crash: streams are acknowledged before they are written"
            }
            Loss::OldServer => {
                "acknowledged events can be lost: NATS servers run a version that is not known to keep them"
            }
            Loss::Unproven => {
                "acknowledged events can perhaps be lost: NATS servers have not proven that they sync"
            }
        })
    }
}

/// The name of no [`Loss`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} names no loss")]
pub struct ParseLossError(String);

impl FromStr for Loss {
    type Err = ParseLossError;

    fn from_str(name: &str) -> Result<Loss, ParseLossError> {
        let found = Loss::ALL.into_iter().find(|loss| loss.name() == name);
        found.ok_or_else(|| ParseLossError(name.to_owned()))
    }
}

/// Something that speaks against durability.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What could happen.
    pub loss: Loss,
    /// Whose fault it is.
    pub about: About,
    /// What was found, in one sentence.
    pub what: String,
    /// What undoes it: the lines of configuration or the command, as they are.
    pub fix: String,
}

/// Whose fault a finding is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum About {
    /// The server of this name.
    Server(String),
    /// The stream of this name.
    Stream(String),
    /// The servers as a whole.
    Cluster,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            About::Server(name) => write!(f, "server {name}"),
            About::Stream(name) => write!(f, "stream {name}"),
            About::Cluster => f.write_str("the cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_read_back_from_its_name() {
        for loss in Loss::ALL {
            assert_eq!(loss.name().parse(), Ok(loss));
        }
        assert_eq!(
            "few_replicas".parse::<Loss>().unwrap_err().to_string(),
            "\"few_replicas\" names no loss"
        );
    }
}
