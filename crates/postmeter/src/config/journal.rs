//! `[journal]`: which engine keeps the durable state, where, and how much of it.
//!
//! The embedded engine needs a folder. The engine on NATS `JetStream` needs to know
//! where the servers are and who this node is to them; its secrets are named here
//! and read when it is joined.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use connections::{Environment, Fields, Secret, SecretError, SecretRef, Secrets};
use journal::durability::Loss;
use journal::{Access, ClusterConfig};

use crate::secrets::host_name;

/// Where the journal is unless the file says otherwise.
const DIR: &str = "postmeter-data";
/// What a node is called whose machine has no name.
const NODE_NAME: &str = "postmeter";
/// A day, in seconds.
const DAY_S: u64 = 24 * 60 * 60;
/// The smallest byte budget: a few segments must fit.
const MIN_BYTES: u64 = 1024 * 1024;
/// The most replicas that a NATS server makes.
const MAX_REPLICAS: u64 = 5;
/// The most records of one pack: the queue before the log holds no more.
const MAX_PACK_RECORDS: u64 = 16_384;

/// The keys that only a journal on a cluster has.
const CLUSTER_KEYS: [&str; 19] = [
    "servers",
    "user",
    "password",
    "token",
    "credentials",
    "tls_required",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "prefix",
    "partitions",
    "pack_records",
    "replicas",
    "placement_cluster",
    "placement_tags",
    "report_subject",
    "accept_loss",
    "node_name",
    "node_timeout_s",
];

/// Heads of the settings that nobody could make again: the connections with their
/// ids, on which message ids hang, and the secrets that people pasted.
const PRECIOUS: [&str; 2] = ["connections", "secret/"];

/// The keys that only a journal in a folder has.
const DISK_KEYS: [&str; 1] = ["min_free_bytes"];

/// What keeps the durable state.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// This process, in a folder.
    Embedded(journal::Config),
    /// A NATS `JetStream` cluster, for any number of nodes.
    Cluster(Box<Cluster>),
}

/// A journal on a cluster, before its secrets are read.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    config: ClusterConfig,
    access: AccessRef,
}

/// Who a node is to the NATS servers, with secrets that are only named.
#[derive(Clone, Debug)]
enum AccessRef {
    Anyone,
    Password { user: String, password: SecretRef },
    Token(SecretRef),
    Credentials(SecretRef),
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::Embedded(journal::Config::new(DIR))
    }
}

impl Engine {
    /// The limits of the journal as a whole.
    pub(crate) fn limits(&self) -> &journal::Config {
        match self {
            Engine::Embedded(config) => config,
            Engine::Cluster(cluster) => &cluster.config.local,
        }
    }

    /// The folder of this process.
    pub(crate) fn dir(&self) -> &Path {
        &self.limits().dir
    }
}

impl Cluster {
    /// Reads the secrets as they are now.
    pub(crate) fn unlock(&self, environment: Environment<'_>) -> anyhow::Result<ClusterConfig> {
        let access = self.access.read(environment);
        Ok(ClusterConfig {
            access: access.context("cannot read the secret for the NATS servers")?,
            ..self.config.clone()
        })
    }
}

impl AccessRef {
    fn read(&self, environment: Environment<'_>) -> Result<Access, SecretError> {
        let secrets = Secrets::without_kept(environment);
        let read = |secret: &SecretRef| secret.read(secrets);
        let text = |secret: Secret| secret.reveal().to_owned();
        Ok(match self {
            AccessRef::Anyone => Access::Anyone,
            AccessRef::Password { user, password } => Access::Password {
                user: user.clone(),
                password: read(password).map(text)?,
            },
            AccessRef::Token(token) => Access::Token(read(token).map(text)?),
            AccessRef::Credentials(file) => Access::Credentials(read(file).map(text)?),
        })
    }
}

/// Reads `[journal]`.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Engine {
    let limits = read_limits(fields);
    let engines = [("embedded", false), ("jetstream", true)];
    if fields.word("engine", &engines).unwrap_or(false) {
        for key in DISK_KEYS {
            let hint = "NATS servers have limits of their own";
            fields.misplaced(key, "has no effect on a cluster", hint);
        }
        return Engine::Cluster(Box::new(read_cluster(fields, limits)));
    }
    for key in CLUSTER_KEYS {
        let hint = "it belongs to engine = \"jetstream\"";
        fields.misplaced(key, "has no effect on the embedded engine", hint);
    }
    Engine::Embedded(limits)
}

fn read_limits(fields: &mut Fields<'_, '_>) -> journal::Config {
    let dir = fields.text("dir").unwrap_or_else(|| DIR.to_owned());
    let mut config = journal::Config::new(dir);
    config.precious_settings = PRECIOUS.map(str::to_owned).to_vec();
    if let Some(bytes) = fields.number("max_bytes", MIN_BYTES) {
        config.max_bytes = bytes;
        config.segment_bytes = config.segment_bytes.min(bytes / 8);
    }
    config.min_free_bytes = fields.number("min_free_bytes", 0);
    if let Some(days) = fields.number("retention_days", 1) {
        config.retention = Duration::from_secs(days.saturating_mul(DAY_S));
        config.first_claims = config.retention;
    }
    config
}

fn read_cluster(fields: &mut Fields<'_, '_>, local: journal::Config) -> Cluster {
    let servers = read_servers(fields);
    let mut config = ClusterConfig::new(local.dir.clone(), servers);
    config.local = local;
    env!("CARGO_PKG_VERSION").clone_into(&mut config.version);
    let name = fields.text("node_name").or_else(host_name);
    config.name = name.unwrap_or_else(|| NODE_NAME.to_owned());
    if let Some(seconds) = fields.number("node_timeout_s", 1) {
        config.node_timeout = Duration::from_secs(seconds);
    }
    let access = read_access(fields);
    read_tls(fields, &mut config);
    read_layout(fields, &mut config);
    Cluster { config, access }
}

fn read_servers(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let hint = "such as servers = [\"nats://n1.example.com:4222\"]".to_owned();
    let Some(servers) = fields.texts("servers") else {
        if !fields.has("servers") {
            fields.mistake("servers", "is missing", Some(hint));
        }
        return Vec::new();
    };
    if servers.is_empty() {
        fields.mistake("servers", "is empty", Some(hint));
    }
    for server in &servers {
        let rest = ["nats://", "tls://"]
            .iter()
            .find_map(|head| server.strip_prefix(head));
        match rest {
            None => {
                let what = format!("{server:?} must begin with nats:// or tls://");
                fields.mistake("servers", what, None);
            }
            Some(rest) if rest.contains('@') => {
                let what = "a server's address holds no user and no password";
                let hint = "write user = \"NAME\" and password = \"env:NAME\"";
                fields.mistake("servers", what, Some(hint.to_owned()));
            }
            Some(_) => {}
        }
    }
    servers
}

fn read_access(fields: &mut Fields<'_, '_>) -> AccessRef {
    let ways = ["user", "token", "credentials"];
    let written: Vec<&str> = ways.into_iter().filter(|way| fields.has(way)).collect();
    if let [first, second, ..] = written.as_slice() {
        let what = format!("is there beside {first}: keep one of the two");
        fields.mistake(second, what, None);
    }
    let user = fields.text("user");
    let mut secret = |key| fields.parsed(key, str::parse::<SecretRef>);
    let (password, token) = (secret("password"), secret("token"));
    let credentials = secret("credentials");
    both_or_none(fields, "user", "password");
    let password = user.zip(password);
    let password = password.map(|(user, password)| AccessRef::Password { user, password });
    let token = token.map(AccessRef::Token);
    let credentials = credentials.map(AccessRef::Credentials);
    password
        .or(token)
        .or(credentials)
        .unwrap_or(AccessRef::Anyone)
}

/// Two keys that make sense together only.
fn both_or_none(fields: &Fields<'_, '_>, one: &str, other: &str) {
    for (missing, written) in [(one, other), (other, one)] {
        if fields.has(written) && !fields.has(missing) {
            fields.mistake(missing, format!("is missing beside {written}"), None);
        }
    }
}

fn read_tls(fields: &mut Fields<'_, '_>, config: &mut ClusterConfig) {
    config.tls.required = fields.switch("tls_required").unwrap_or(false);
    config.tls.ca_file = fields.text("tls_ca_file").map(PathBuf::from);
    let certificate = fields.text("tls_cert_file").map(PathBuf::from);
    let key = fields.text("tls_key_file").map(PathBuf::from);
    both_or_none(fields, "tls_cert_file", "tls_key_file");
    config.tls.identity = certificate.zip(key);
}

fn read_layout(fields: &mut Fields<'_, '_>, config: &mut ClusterConfig) {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let prefix = fields.parsed("prefix", |text| {
        let fits = !text.is_empty() && text.bytes().all(fits);
        fits.then(|| text.to_owned())
            .ok_or_else(|| format!("{text:?} must be lowercase letters, digits and -"))
    });
    config.prefix = prefix.unwrap_or_else(|| config.prefix.clone());
    let partitions = number(fields, "partitions", ClusterConfig::MAX_PARTITIONS.into());
    config.partitions = partitions.unwrap_or(config.partitions);
    let pack_records = number(fields, "pack_records", MAX_PACK_RECORDS).map(usize::from);
    config.pack_records = pack_records.unwrap_or(config.pack_records);
    let replicas = number(fields, "replicas", MAX_REPLICAS).map(usize::from);
    config.replicas = replicas.unwrap_or(config.replicas);
    config.placement.cluster = fields.text("placement_cluster");
    config.placement.tags = fields.texts("placement_tags").unwrap_or_default();
    let subject = fields.text("report_subject");
    config.report_subject = subject.unwrap_or_else(|| config.report_subject.clone());
    for name in fields.texts("accept_loss").unwrap_or_default() {
        match name.parse() {
            Ok(loss) => config.accepted.push(loss),
            Err(error) => {
                let error: journal::durability::ParseLossError = error;
                let names: Vec<&str> = Loss::ALL.into_iter().map(Loss::name).collect();
                let hint = format!("the losses are {}", names.join(", "));
                fields.mistake("accept_loss", error.to_string(), Some(hint));
            }
        }
    }
}

/// A number from one to `most`.
fn number(fields: &mut Fields<'_, '_>, key: &'static str, most: u64) -> Option<u16> {
    let number = fields.number(key, 1)?;
    if number > most {
        fields.mistake(
            key,
            format!("{number} is more than {most}, the most there can be"),
            None,
        );
    }
    u16::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use connections::Mistakes;

    use super::*;
    use crate::config::Config;

    fn parse(journal: &str) -> Result<Engine, Mistakes> {
        Config::parse(&format!("[journal]\n{journal}")).map(|config| config.journal)
    }

    fn cluster(journal: &str) -> Cluster {
        let text = format!("engine = \"jetstream\"\nservers = [\"nats://n1:4222\"]\n{journal}");
        match parse(&text) {
            Ok(Engine::Cluster(cluster)) => *cluster,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cluster_needs_no_more_than_a_server() {
        let config = cluster("").unlock(&|_| None).unwrap();
        assert_eq!(config.servers, ["nats://n1:4222"]);
        assert_eq!((config.partitions, config.replicas), (3, 3));
        assert_eq!(config.pack_records, 256);
        assert!(matches!(config.access, Access::Anyone));
        assert!(!config.name.is_empty());
    }

    #[test]
    fn a_secret_for_the_servers_is_read_when_it_is_needed_and_never_shown() {
        let cluster = cluster("user = \"pm\"\npassword = \"env:NATS_PASSWORD\"");
        let missing = cluster.unlock(&|_| None).unwrap_err();
        assert!(format!("{missing:#}").contains("NATS_PASSWORD is not set"));
        let config = cluster.unlock(&|_| Some("hush".to_owned())).unwrap();
        assert!(matches!(&config.access, Access::Password { password, .. } if password == "hush"));
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn a_pack_holds_as_many_records_as_are_written_and_at_least_one() {
        let config = cluster("pack_records = 1").unlock(&|_| None).unwrap();
        assert_eq!(config.pack_records, 1);
        let head = "engine = \"jetstream\"\nservers = [\"nats://n1:4222\"]";
        for (number, words) in [("0", "at least 1"), ("16385", "16385 is more than 16384")] {
            let text = format!("{head}\npack_records = {number}");
            let said = parse(&text).unwrap_err().to_string();
            assert!(said.contains(words), "{words:?} is not in {said}");
        }
        let embedded = parse("pack_records = 1").unwrap_err().to_string();
        assert!(embedded.contains("pack_records: has no effect"));
    }

    /// Each text, and a word of each mistake that is found in it.
    #[test]
    fn every_mistake_of_a_cluster_is_found_at_once() {
        let cases: [(&str, &[&str]); 8] = [
            (
                "engine = \"raft\"",
                &["is not one of \"embedded\", \"jetstream\""],
            ),
            ("engine = \"jetstream\"", &["servers: is missing"]),
            (
                "servers = [\"nats://n1:4222\"]\nreplicas = 3",
                &["servers: has no effect", "replicas: has no effect"],
            ),
            (
                "engine = \"jetstream\"\nservers = [\"n1:4222\", \"nats://a:b@n1\"]",
                &["must begin with nats://", "holds no user"],
            ),
            (
                "engine = \"jetstream\"\nservers = [\"tls://n\"]\npartitions = 65\nreplicas = 6",
                &["65 is more than 64", "6 is more than 5"],
            ),
            (
                "engine = \"jetstream\"\nservers = [\"tls://n\"]\nuser = \"a\"\ntoken = \"secret\"",
                &[
                    "token: is there beside user",
                    "must name a secret",
                    "password: is missing",
                ],
            ),
            (
                "engine = \"jetstream\"\nservers = [\"tls://n\"]\ntls_cert_file = \"a\"\nprefix = \"A\"",
                &["tls_key_file: is missing", "must be lowercase"],
            ),
            (
                "engine = \"jetstream\"\nservers = [\"tls://n\"]\naccept_loss = [\"all\"]\nserver = 1",
                &["accept_loss: ", "did you mean `servers`?"],
            ),
        ];
        for (text, expected) in cases {
            let said = parse(text).unwrap_err().to_string();
            for words in expected {
                assert!(said.contains(words), "{words:?} is not in {said}");
            }
        }
    }
}
