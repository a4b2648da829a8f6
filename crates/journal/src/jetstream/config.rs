//! How a node takes part in a journal on a cluster. Every default of that is in
//! this file; where the values come from is the caller's business.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::durability::Loss;
use super::names::Names;
use crate::config::Config;

/// How a node takes part in a journal on a NATS `JetStream` cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The folder with what this node can build again, and the limits of the
    /// journal as a whole. Segments are the embedded engine's.
    pub local: Config,
    /// What people call this node.
    pub name: String,
    /// The build that it runs.
    pub version: String,
    /// Where the NATS servers are: `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// Who this node is to them.
    pub access: Access,
    /// How the connections to them are protected.
    pub tls: Tls,
    /// What the names of all streams and subjects begin with: lowercase letters,
    /// digits and `-`. Two journals in one account have two prefixes.
    pub prefix: String,
    /// Into how many partitions the journal is divided when it is made; fixed for
    /// its life.
    pub partitions: u16,
    /// How many servers hold each stream.
    pub replicas: usize,
    /// Which servers may hold them.
    pub placement: Placement,
    /// The subject by which every server reports how it syncs.
    pub report_subject: String,
    /// The losses that the operator has stated to accept.
    pub accepted: Vec<Loss>,
    /// How long a node may be silent before its duties move.
    pub node_timeout: Duration,
    /// How long an append waits for the cluster before it is given up.
    pub append_timeout: Duration,
    /// The most records that go in one message. One is as slow as it is simple.
    pub pack_records: usize,
    /// How long joining waits for a cluster that is not there or has no majority;
    /// for ever where there is none.
    pub join_patience: Option<Duration>,
}

/// Who a node is to the NATS servers.
#[derive(Clone)]
pub enum Access {
    /// Whoever may connect.
    Anyone,
    /// A user with a password.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// The contents of a credentials file: a user's JWT and its seed.
    Credentials(String),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Anyone => "Anyone",
            Access::Password { .. } => "Password(..)",
            Access::Token(_) => "Token(..)",
            Access::Credentials(_) => "Credentials(..)",
        })
    }
}

/// How connections to NATS servers are protected.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tls {
    /// Whether a server without TLS is refused.
    pub required: bool,
    /// Certificates of authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// This node's certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Which NATS servers may hold the streams.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Placement {
    /// Only those of this cluster.
    pub cluster: Option<String>,
    /// Only those that bear all of these tags.
    pub tags: Vec<String>,
}

impl ClusterConfig {
    /// The product's defaults for a node with its folder in `dir`.
    pub fn new(dir: impl Into<PathBuf>, servers: Vec<String>) -> ClusterConfig {
        ClusterConfig {
            local: Config::new(dir),
            name: "postmeter".to_owned(),
            version: String::new(),
            servers,
            access: Access::Anyone,
            tls: Tls::default(),
            prefix: "pm".to_owned(),
            partitions: 3,
            replicas: 3,
            placement: Placement::default(),
            report_subject: "pm.jsz".to_owned(),
            accepted: Vec::new(),
            node_timeout: Duration::from_secs(5),
            append_timeout: Duration::from_secs(3),
            pack_records: 256,
            join_patience: None,
        }
    }

    /// Limits so small that tests reach them.
    pub fn for_tests(dir: impl Into<PathBuf>, servers: Vec<String>) -> ClusterConfig {
        let dir = dir.into();
        ClusterConfig {
            local: Config::for_tests(&dir),
            partitions: 1,
            node_timeout: Duration::from_secs(2),
            join_patience: Some(Duration::from_secs(20)),
            ..ClusterConfig::new(dir, servers)
        }
    }

    /// The names of the streams that hold the journal.
    pub fn streams(&self) -> Vec<String> {
        Names::new(&self.prefix).streams(self.partitions)
    }

    /// Names the first setting that makes no sense.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.local.check()?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.prefix.is_empty() || !self.prefix.bytes().all(fits) {
            return Err("prefix must be lowercase letters, digits and -");
        }
        if self.servers.is_empty() {
            return Err("servers must name at least one server");
        }
        if self.partitions == 0 || self.partitions > Self::MAX_PARTITIONS {
            return Err("partitions must be from 1 to 64");
        }
        if !matches!(self.replicas, 1..=5) {
            return Err("replicas must be from 1 to 5");
        }
        if self.pack_records == 0 {
            return Err("pack_records must be at least one");
        }
        if self.node_timeout < Duration::from_secs(1) {
            return Err("node_timeout must be at least one second");
        }
        Ok(())
    }

    /// The most partitions: each is two replicated logs of the servers.
    pub const MAX_PARTITIONS: u16 = 64;
}
