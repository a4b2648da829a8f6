//! The command line: what may be written, and the help that says so.

mod app_api;
mod emulator;
mod events;
mod forget;
mod import;
mod letters;
mod replay;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::app_api::AppApiArgs;
pub(crate) use self::emulator::{CustomerioArgs, EmulatorArgs, EmulatorCommand, SegmentArgs};
use self::events::{EVENTS_EXAMPLES, EXPLAIN_EXAMPLES};
pub(crate) use self::events::{EventsArgs, ExplainArgs};
use self::forget::FORGET_HELP;
pub(crate) use self::forget::ForgetArgs;
use self::import::IMPORT_HELP;
pub(crate) use self::import::{ImportArgs, Strictness};
use self::letters::DEAD_LETTERS_EXAMPLES;
pub(crate) use self::letters::{ActionArgs, DeadLettersArgs, DeadLettersCommand, ListArgs};
pub(crate) use self::replay::{NewReplay, ReplayArgs, ReplayCommand, SteeredReplay};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it ran, and something is wrong: the output says what
  2  it did not run: the command line, a config or a connections file has mistakes";

/// The durable, inspectable edge between Customer.io and Segment.
///
/// Postmeter receives Customer.io's reporting webhooks, keeps each on disk before
/// it answers, and delivers each to Segment as a track call.
#[derive(Debug, Parser)]
#[command(name = "postmeter", version, after_help = EXIT_CODES, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole at work: a simulated campaign, Postmeter, and a Segment stand-in
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Run the server
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Check a config and a connections file without starting anything
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Find out what is wrong, with this machine or a running server, and what to do
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Turn events into calls, as a connection would, without sending them
    #[command(after_help = SHAPE_EXAMPLES)]
    Shape(ShapeArgs),
    /// Send a test event through a connection of a running server
    #[command(after_help = SEND_TEST_EXAMPLES)]
    SendTest(SendTestArgs),
    /// Make a running server's workspaces and connections those of a file
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(ApplyArgs),
    /// Print a running server's workspaces and connections as a file
    #[command(after_help = "Examples:\n  postmeter export > connections.toml")]
    Export(ServerArgs),
    /// Show a running server's connections and how they are doing
    #[command(after_help = CONNECTIONS_EXAMPLES)]
    Connections(ConnectionsArgs),
    /// Show the nodes that share a journal, what each does, and what all have counted
    #[command(after_help = "Examples:\n  postmeter nodes\n  postmeter nodes --json")]
    Nodes(NodesArgs),
    /// Bring history from files into a running server's journal
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Carry a stopped server's journal over into that of a running node
    #[command(after_help = MIGRATE_HELP)]
    Migrate(MigrateArgs),
    /// Look after the NATS cluster that keeps a journal
    Cluster(ClusterArgs),
    /// List a running server's events, or print them as they come by
    #[command(after_help = EVENTS_EXAMPLES)]
    Events(EventsArgs),
    /// Tell everything that happened to one event, and why
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Show what could never be delivered and why; send it again, or discard it
    #[command(after_help = DEAD_LETTERS_EXAMPLES)]
    DeadLetters(DeadLettersArgs),
    /// Erase a person from a running server's journal, after showing what there is
    #[command(after_help = FORGET_HELP)]
    Forget(ForgetArgs),
    /// Send again what the journal has: by filter and time, with a preview
    #[command(after_help = replay::EXAMPLES)]
    Replay(ReplayArgs),
    /// Run a stand-in for Segment or for Customer.io
    Emulator(EmulatorArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  postmeter completions bash > /etc/bash_completion.d/postmeter"
    )]
    Completions {
        /// The shell to complete in
        shell: Shell,
    },
}

const DEMO_EXAMPLES: &str = "\
Examples:
  postmeter demo                 until Ctrl-C
  postmeter demo --once          one campaign; exit 1 if anything is missing
  postmeter demo --once --events 20000 --rate 5000";

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Stop when one campaign has arrived; exit 1 if anything is missing
    #[arg(long)]
    pub(crate) once: bool,
    /// People in the campaign
    #[arg(long, value_name = "N", default_value = "40")]
    pub(crate) people: NonZeroU32,
    /// Events in one campaign
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(crate) events: u64,
    /// Events per second
    #[arg(long, value_name = "N", default_value = "50")]
    pub(crate) rate: NonZeroU32,
    /// The same seed gives the same campaign
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  postmeter serve --config postmeter.toml --connections connections.toml
  postmeter serve                defaults: 127.0.0.1:8080 and :8081, ./postmeter-data
  postmeter serve --take-over    a new version in the place of the running one

The first start makes a token in the journal's folder, readable by its owner only.";

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The server's own settings; all have defaults
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Workspaces and connections to apply at the start; left out: those of the last run
    #[arg(long, value_name = "FILE")]
    pub(crate) connections: Option<PathBuf>,
    /// Throw away all that is derived from the log, and build it again
    #[arg(long)]
    pub(crate) rebuild_index: bool,
    /// Take the place of the server that runs on the folder, if one does: no connection breaks
    #[arg(long)]
    pub(crate) take_over: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  postmeter check --config postmeter.toml --connections connections.toml";

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The config file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The connections file
    #[arg(long, value_name = "FILE")]
    pub(crate) connections: Option<PathBuf>,
}

const DOCTOR_HELP: &str = "\
Examples:
  postmeter doctor --config postmeter.toml --connections connections.toml
  postmeter doctor --config postmeter.toml --json

One line per check, and below each that is not fine what to do. It asks a server that
runs, and looks at the folder and the files where none does. It sends no event and no
write key, and changes nothing: what it writes to time the disk it removes again.

Exit codes:
  0  nothing is wrong; a warning may be there
  1  something is wrong: the lines that begin with fail
  2  it could not look: the config file has mistakes";

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The connections file, where a file is the truth
    #[arg(long, value_name = "FILE")]
    pub(crate) connections: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const SHAPE_EXAMPLES: &str = "\
Examples:
  postmeter shape events.jsonl
  cat events.jsonl | postmeter shape --payload-version 1.0.0 --body-content

One event per line in, one call per line out, in the same order. Skipped and
buried events are lines on stderr that begin with the line's number. Exit code 1
says that at least one event was buried.";

#[derive(Debug, Args)]
pub(crate) struct ShapeArgs {
    /// Files with one event per line; none, or `-`: stdin
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// The shape of the payload: 2.0.0 or 1.0.0
    #[arg(long, value_name = "V", default_value = "2.0.0")]
    pub(crate) payload_version: shape::PayloadVersion,
    /// Put the message's body into Sent events
    #[arg(long)]
    pub(crate) body_content: bool,
    /// Let Segment send the events back to Customer.io
    #[arg(long)]
    pub(crate) send_back: bool,
    /// The connection that the message ids are for
    #[arg(long, value_name = "ID", default_value = "shape")]
    pub(crate) connection_id: String,
}

/// Which of many are meant.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only those that pass this
    #[arg(
        long,
        value_name = "FILTER",
        allow_hyphen_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) filter: String,
}

/// Which server to talk to.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server's config file: says where it listens and where its token is
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The address of the server's console, if not the config file's
    #[arg(long, value_name = "ADDR", global = true)]
    pub(crate) server: Option<SocketAddr>,
    /// The file with the server's token, if not the config file's
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
}

const SEND_TEST_EXAMPLES: &str = "\
Examples:
  postmeter send-test acme-segment

Segment answers 200 even to a wrong write key. So look for the event in the
source's debugger, and then say so: postmeter connections confirm acme-segment";

#[derive(Debug, Args)]
pub(crate) struct SendTestArgs {
    /// The connection's name
    pub(crate) connection: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const APPLY_EXAMPLES: &str = "\
Examples:
  postmeter apply connections.toml --dry-run
  postmeter apply connections.toml --enable-from now";

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The connections file
    pub(crate) file: PathBuf,
    /// Print the difference and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where a connection that becomes enabled begins
    #[arg(long, value_enum, default_value_t = EnableFrom::Backlog)]
    pub(crate) enable_from: EnableFrom,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnableFrom {
    /// With what was journaled while it was disabled
    Backlog,
    /// With the next event; what was journaled meanwhile is not sent
    Now,
}

const CONNECTIONS_EXAMPLES: &str = "\
Examples:
  postmeter connections
  postmeter connections --json
  postmeter connections confirm acme-segment";

#[derive(Debug, Args)]
pub(crate) struct ConnectionsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ConnectionsCommand>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionsCommand {
    /// Say that a test event was seen to arrive in Segment
    Confirm {
        /// The connection's name
        connection: String,
    },
}

const MIGRATE_HELP: &str = "\
Examples:
  postmeter migrate --from /var/lib/postmeter --config node.toml

The config is that of a node that runs; all nodes go on receiving meanwhile. The old
server must be stopped first. Its connections are taken over with their ids where the
nodes have none yet. What a connection had settled is not sent again; what it had
claimed as first, and its dead letters, are carried over. While it goes on, first-only
connections wait. After a break, run it again: it goes on where it was.";

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The folder of the stopped server's journal
    #[arg(long, value_name = "DIR", required_unless_present = "abandon")]
    pub(crate) from: Option<PathBuf>,
    /// Give up a migration that nobody goes on with: connections go on with what came
    #[arg(long, conflicts_with = "from")]
    pub(crate) abandon: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Say whether what the cluster acknowledges is durable, and what to change
    #[command(after_help = CLUSTER_CHECK_HELP)]
    Check {
        /// The config file of a node
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

const CLUSTER_CHECK_HELP: &str = "\
Examples:
  postmeter cluster check --config postmeter.toml

It asks every server and every stream, and changes nothing. Before the first start
there are no streams yet; then it asks the servers alone.

Exit codes:
  0  proven durable, or all that speaks against it is in accept_loss
  1  acknowledged events could be lost: the output says what to change
  2  it could not ask: the config has mistakes, or the servers do not answer";

#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
