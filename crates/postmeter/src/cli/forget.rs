//! What may be written behind `forget`.

use clap::Args;

use super::ServerArgs;

pub(super) const FORGET_HELP: &str = "\
Examples:
  postmeter forget --person ann@example.com --dry-run
  postmeter forget --person 4711 --yes --json

A person is an id, an email address or a cio_id. What is found of them may show other
identifiers, which are followed; --exact stays with the one. Records, dead letters, the
index and kept answers go from the files; a record that was not sent yet is not sent.
What Segment has already is counted: delete it there too. What comes later is new.";

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct ForgetArgs {
    /// An id, an email address or a `cio_id`, written as the events have it
    #[arg(long, value_name = "ID")]
    pub(crate) person: String,
    /// Only what bears this very identifier
    #[arg(long)]
    pub(crate) exact: bool,
    /// Show what there is, and erase nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Erase without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
