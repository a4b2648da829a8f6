//! What may be written behind `dead-letters`.

use clap::{Args, Subcommand};

use super::{FilterArgs, ServerArgs};

pub(super) const DEAD_LETTERS_EXAMPLES: &str = "\
Examples:
  postmeter dead-letters list --filter 'reason:400 since:7d'
  postmeter dead-letters show 12
  postmeter dead-letters retry 12 15
  postmeter dead-letters retry --filter 'connection:acme-segment' --dry-run
  postmeter dead-letters discard --all --yes

retry and discard say how many they are about to touch, and ask; --yes does not. A
retry sends each event with the connection's options of now, and says first what
would differ from the call that was refused.";

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List them, the newest first
    List(ListArgs),
    /// Show one whole: the event, the call, and what Segment answered
    Show {
        /// Its id, as the list has it
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Send them again, with the connection's options of now
    Retry(ActionArgs),
    /// Remove them for good
    Discard(ActionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) only: FilterArgs,
    /// Only those of this connection
    #[arg(long)]
    pub(crate) connection: Option<String>,
    /// Go on behind this one
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<u64>,
    /// How many at the most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Which letters something is done to, and how carefully.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["ids", "filter", "all"]))]
pub(crate) struct ActionArgs {
    /// Their ids, as the list has them
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<u64>,
    /// All that pass this
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter: Option<String>,
    /// Every one
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// List those that are meant, and what a retry would change; do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
