//! The engines that every promise is asked of, and how a test opens one.

use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

use journal::{Access, ClusterConfig, Config, Duty, JoinError, Journal, OpenError, Tenure};
use tempfile::TempDir;

use crate::nats::{self, Cluster, Options};
use crate::support::*;

/// Which engine a sentence is asked of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// One process with a folder.
    Embedded,
    /// The only node of a journal on a cluster of three servers.
    JetStream,
}

/// An engine to test: every promise is asked of what `open` returns.
pub(crate) struct Engine {
    kind: Kind,
    dir: TempDir,
    config: Config,
    duties: Vec<Duty>,
    /// Started by whoever needs them first.
    servers: OnceLock<Cluster>,
}

/// Why no journal was opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    Open(OpenError),
    Join(JoinError),
}

impl Refusal {
    /// Whether it was the configuration that was refused.
    pub(crate) fn is_of_config(&self) -> bool {
        match self {
            Refusal::Open(error) => matches!(error, OpenError::Config { .. }),
            Refusal::Join(error) => matches!(error, JoinError::Config { .. }),
        }
    }
}

impl Engine {
    /// The embedded engine.
    pub(crate) fn new() -> Engine {
        Engine::of(Kind::Embedded)
    }

    /// The embedded engine with other limits than the tests' own.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Engine {
        Engine::new().limits(change)
    }

    /// An engine whose journal indexes for whoever opens it.
    pub(crate) fn of(kind: Kind) -> Engine {
        let dir = TempDir::new().unwrap();
        let config = Config::for_tests(dir.path().join("journal"));
        Engine {
            kind,
            dir,
            config,
            duties: vec![Duty::Index(P)],
            servers: OnceLock::new(),
        }
    }

    /// With other limits than the tests' own.
    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Config)) -> Engine {
        change(&mut self.config);
        self
    }

    /// Whoever opens the journal moves the records of these connections on, too.
    pub(crate) fn feeding(mut self, connections: &[&str]) -> Engine {
        self.duties
            .extend(connections.iter().map(|name| feed(name)));
        self
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.config.dir
    }

    pub(crate) async fn try_open(&self) -> Result<Open, Refusal> {
        assert!(self.dir.path().exists());
        let journal = match self.kind {
            Kind::Embedded => Journal::open(self.config()).await.map_err(Refusal::Open)?,
            Kind::JetStream => Journal::join(self.cluster_config())
                .await
                .map_err(Refusal::Join)?,
        };
        Ok(Open::with_duties(journal, &self.duties).await)
    }

    fn cluster_config(&self) -> ClusterConfig {
        let start = || Cluster::start(3, Options::default());
        let servers = self.servers.get_or_init(start).servers();
        ClusterConfig {
            local: self.config(),
            ..node_config(self.path(), servers)
        }
    }

    pub(crate) async fn open(&self) -> Open {
        self.try_open().await.unwrap()
    }

    /// Closes `journal` and opens it anew.
    pub(crate) async fn reopen(&self, journal: Open) -> Open {
        soon(journal.close()).await.unwrap();
        drop(journal);
        self.open().await
    }
}

/// A journal that is open, with the duties that its node was given.
pub(crate) struct Open {
    // Given back before the journal goes.
    _tenures: Vec<Tenure>,
    journal: Journal,
}

impl Open {
    /// Takes `duties`, which nobody else may hold for long.
    pub(crate) async fn with_duties(journal: Journal, duties: &[Duty]) -> Open {
        let mut tenures = Vec::new();
        for duty in duties {
            tenures.push(soon(journal.take(duty)).await.unwrap());
        }
        Open {
            _tenures: tenures,
            journal,
        }
    }
}

impl Deref for Open {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        &self.journal
    }
}

/// A node with its folder at `path`, on servers that [`Cluster`] started.
pub(crate) fn node_config(path: &Path, servers: Vec<String>) -> ClusterConfig {
    ClusterConfig {
        access: Access::Password {
            user: nats::USER.to_owned(),
            password: nats::PASSWORD.to_owned(),
        },
        report_subject: nats::REPORT_SUBJECT.to_owned(),
        ..ClusterConfig::for_tests(path, servers)
    }
}

/// The duty of moving the records of `connection` on.
pub(crate) fn feed(connection: &str) -> Duty {
    Duty::Feed {
        connection: connection.to_owned(),
        partition: P,
    }
}
