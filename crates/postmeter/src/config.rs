//! The server's own settings: one TOML file, every mistake at once.
//!
//! What the file leaves out has its default here and nowhere else. The file says
//! where to listen and where to keep things; workspaces and connections are
//! documents of their own.

mod journal;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use connections::{Document, Fields, Mistakes};

pub(crate) use self::journal::{Cluster, Engine};
use crate::sockets::SharePort;

/// Everything that `serve` needs to start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where Customer.io sends to.
    pub(crate) receive_listen: SocketAddr,
    /// Whether other processes may receive on the same port.
    pub(crate) share_port: SharePort,
    /// What a request may cost.
    pub(crate) limits: receive::Limits,
    /// Where operators and their tools connect to.
    pub(crate) console_listen: SocketAddr,
    /// The file that holds the console's token.
    pub(crate) token_file: PathBuf,
    /// How often what happened is written to the journal.
    pub(crate) history_flush: Duration,
    /// The durable state.
    pub(crate) journal: Engine,
    /// How calls get to Segment.
    pub(crate) dispatch: dispatch::Policy,
    /// Batches in flight per connection.
    pub(crate) window: usize,
}

/// Where the public listener is unless the file says otherwise.
const RECEIVE_LISTEN: &str = "127.0.0.1:8080";
/// Where the private listener is unless the file says otherwise.
const CONSOLE_LISTEN: &str = "127.0.0.1:8081";
/// The token's name in the journal's folder.
const TOKEN_FILE: &str = "token";
/// How often what happened is written unless the file says otherwise: a kill loses
/// the charts' last minute. Tests make it shorter with `history_flush_s`.
const HISTORY_FLUSH: Duration = Duration::from_mins(1);
/// Batches in flight per connection unless the file says otherwise.
const WINDOW: u64 = 4;

impl Config {
    /// Reads the file, or takes all defaults where there is none.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the config file {}", path.display()))?,
            None => String::new(),
        };
        let shown = || file.map_or_else(String::new, |path| format!(" {}", path.display()));
        Config::parse(&text).with_context(|| format!("the config file{} has mistakes", shown()))
    }

    /// Reads the text of a config file.
    pub(crate) fn parse(text: &str) -> Result<Config, Mistakes> {
        Document::read(text, |mut top| {
            let journal = section(&mut top, "journal", journal::read);
            let journal = journal.unwrap_or_default();
            let most_bytes = most_body_bytes(journal.limits());
            let receive = section(&mut top, "receive", |it| read_receive(it, most_bytes));
            let console = section(&mut top, "console", read_console);
            let dispatch = section(&mut top, "dispatch", read_dispatch);
            top.end();
            let receive = receive.unwrap_or_else(|| Receive {
                listen: address(RECEIVE_LISTEN),
                share_port: SharePort::No,
                limits: limits(most_bytes),
            });
            let console = console.unwrap_or_default();
            let (dispatch, window) =
                dispatch.unwrap_or_else(|| (dispatch::Policy::default(), WINDOW));
            Config {
                receive_listen: receive.listen,
                share_port: receive.share_port,
                limits: receive.limits,
                console_listen: console.listen,
                token_file: console
                    .token_file
                    .unwrap_or_else(|| journal.dir().join(TOKEN_FILE)),
                history_flush: console.history_flush,
                journal,
                dispatch,
                window: usize::try_from(window).unwrap_or(usize::MAX),
            }
        })
    }
}

fn section<T>(
    top: &mut Fields<'_, '_>,
    key: &'static str,
    read: impl FnOnce(&mut Fields<'_, '_>) -> T,
) -> Option<T> {
    let mut fields = top.table(key)?;
    let value = read(&mut fields);
    fields.end();
    Some(value)
}

/// The largest body that a journal of this size takes without being filled by a
/// few of them: one that it never takes would hold up the feed for ever.
fn most_body_bytes(journal: &::journal::Config) -> usize {
    let share = usize::try_from(journal.max_bytes / 8).unwrap_or(usize::MAX);
    share.min(::journal::Draft::MAX_BODY_BYTES)
}

fn limits(most_bytes: usize) -> receive::Limits {
    let default = receive::Limits::default();
    receive::Limits {
        body_bytes: default.body_bytes.min(most_bytes),
        ..default
    }
}

/// What the file says of the public listener.
struct Receive {
    listen: SocketAddr,
    share_port: SharePort,
    limits: receive::Limits,
}

fn read_receive(fields: &mut Fields<'_, '_>, most_bytes: usize) -> Receive {
    let mut limits = limits(most_bytes);
    if let Some(bytes) = fields.number("body_limit_bytes", 1024) {
        limits.body_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if limits.body_bytes > most_bytes {
            let what =
                format!("{bytes} is more than {most_bytes}, the most that the journal takes");
            let hint = "it takes bodies of an eighth of max_bytes, and none above 64 MiB";
            fields.mistake("body_limit_bytes", what, Some(hint.to_owned()));
        }
    }
    if let Some(seconds) = fields.number("body_timeout_s", 1) {
        limits.body_time = Duration::from_secs(seconds);
    }
    Receive {
        listen: listen(fields, RECEIVE_LISTEN),
        share_port: match fields.switch("share_port") {
            Some(true) => SharePort::Yes,
            Some(false) | None => SharePort::No,
        },
        limits,
    }
}

/// What the file says of the console.
struct Console {
    listen: SocketAddr,
    token_file: Option<PathBuf>,
    history_flush: Duration,
}

impl Default for Console {
    fn default() -> Console {
        Console {
            listen: address(CONSOLE_LISTEN),
            token_file: None,
            history_flush: HISTORY_FLUSH,
        }
    }
}

fn read_console(fields: &mut Fields<'_, '_>) -> Console {
    let flush = fields.number("history_flush_s", 1);
    Console {
        listen: listen(fields, CONSOLE_LISTEN),
        token_file: fields.text("token_file").map(PathBuf::from),
        history_flush: flush.map_or(HISTORY_FLUSH, Duration::from_secs),
    }
}

fn read_dispatch(fields: &mut Fields<'_, '_>) -> (dispatch::Policy, u64) {
    let mut policy = dispatch::Policy::default();
    if let Some(seconds) = fields.number("request_timeout_s", 1) {
        policy.request_timeout = Duration::from_secs(seconds);
    }
    if let Some(seconds) = fields.number("connection_lifetime_s", 1) {
        policy.connection_lifetime = Duration::from_secs(seconds);
    }
    if let Some(seconds) = fields.number("backoff_max_s", 1) {
        policy.backoff_max = Duration::from_secs(seconds);
    }
    (policy, fields.number("window", 1).unwrap_or(WINDOW))
}

fn listen(fields: &mut Fields<'_, '_>, default: &str) -> SocketAddr {
    let parse = |text: &str| {
        let parsed: Result<SocketAddr, _> = text.parse();
        parsed.map_err(|_| format!("{text:?} is no address and port, such as {default:?}"))
    };
    fields
        .parsed("listen", parse)
        .unwrap_or_else(|| address(default))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("the defaults are addresses")
}
