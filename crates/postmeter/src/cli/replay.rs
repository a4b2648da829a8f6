//! The command line of `postmeter replay`.

use clap::{Args, Subcommand};

use super::ServerArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  postmeter replay start --connection acme-segment --since 24h --dry-run
  postmeter replay start --connection acme-segment --filter 'state:buried' --yes --wait
  postmeter replay start --connection new-source --filter 'channel:email since:7d' --rate 1000
  postmeter replay list
  postmeter replay pause 3

Events go through the connection with its options of now, under the message ids that they had
there the first time. Live events go first. See docs/operating.md for the filter language.";

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(subcommand)]
    pub(crate) command: ReplayCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReplayCommand {
    /// Show what would be sent, and send it
    Start(NewReplay),
    /// List replays, the newest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show how far one is, or its report
    Show(SteeredReplay),
    /// Hold one; it keeps its place
    Pause(SteeredReplay),
    /// Let a paused or cancelled one go on where it was
    Resume(SteeredReplay),
    /// End one; what it has sent stays sent
    Cancel(SteeredReplay),
}

/// What is to be sent again.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch that a person writes, and none excludes another but as clap says"
)]
pub(crate) struct NewReplay {
    /// The connection that sends it
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: String,
    /// Which events; left out: all
    #[arg(long, value_name = "FILTER", default_value = "")]
    pub(crate) filter: String,
    /// Only what was received then or later: `2026-11-01`, `2026-11-01T10:30Z`, `24h`
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only what was received before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Calls per second at most [default: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) rate: Option<u32>,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Begin without being asked
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    /// Wait until it is over; exit 1 unless it is done
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// One replay.
#[derive(Debug, Args)]
pub(crate) struct SteeredReplay {
    /// Its number, as the list has it
    pub(crate) number: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
