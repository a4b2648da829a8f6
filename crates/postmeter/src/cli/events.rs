//! What may be written behind `events` and `explain`.

use clap::Args;

use super::{FilterArgs, ServerArgs};

pub(super) const EVENTS_EXAMPLES: &str = "\
Examples:
  postmeter events
  postmeter events --filter 'channel:email,sms state:buried since:24h'
  postmeter events --filter 'person:ada@example.org' --json
  postmeter events --follow --filter '-state:accepted'

A filter is conditions that must all hold: a key, a colon, and one value or several
with commas between. A minus before the key turns it round. The keys are workspace,
connection, channel, event, person, id, state, reason, since and until.
docs/operating.md has them all.";

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) only: FilterArgs,
    /// Go on, and print what comes by until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub(crate) follow: bool,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  postmeter explain 01E4C4CT6YDC7Y5M7FE1GWWPQJ    an event id
  postmeter explain RPILAgABcRhIBqSp7kiP          a delivery id
  postmeter explain pm-k5v2x7n4mq3d6tjc1wz8hb0ryf a message id
  postmeter explain ada@example.org               a person
  postmeter explain record:4711                   a record

Several events may bear what was asked for; then they are listed, and record:N
chooses one. A bare number is a record too where it is nobody's id. Exit code 1 says that nothing was found.";

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// An event id, message id, delivery id, person or record
    pub(crate) id: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
