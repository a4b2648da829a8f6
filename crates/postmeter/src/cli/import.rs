//! What may be written behind `import`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ServerArgs;
use crate::import::From;

pub(super) const IMPORT_HELP: &str = "\
Examples:
  postmeter import --workspace acme events.jsonl.gz --dry-run
  postmeter import --workspace acme 2025-*.jsonl.zst --yes
  zcat old.gz | postmeter import --workspace acme --yes -

One event per line: the bodies of reporting webhooks, of today's form or the older
one; gzip and zstd are recognised. The connections of the workspace send them as
history: with their own times, and behind live events. A line that is no JSON object
is told with its number and left out (exit code 1). After a break, run the same
command again: it goes on where it was.";

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The workspace that the events are of
    #[arg(long, value_name = "NAME")]
    pub(crate) workspace: String,
    /// The files; `-`: stdin, which cannot be gone on with
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Events per second at the most
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) rate: NonZeroU32,
    /// Read the files and say what is in them; nothing is sent
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Where to begin in a file that was imported before, in part or whole
    #[arg(long, value_enum, default_value_t = From::Behind)]
    pub(crate) from: From,
    /// What to do about a line that is no JSON object
    #[arg(long, value_enum, default_value_t = Strictness::LeaveOut)]
    pub(crate) bad_lines: Strictness,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strictness {
    /// Tell it and go on
    LeaveOut,
    /// Stop before it; what was before is stored
    Stop,
}
