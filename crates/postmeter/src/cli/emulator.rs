//! What may be written behind `emulator`.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use emulator::segment::KeyState;

use super::app_api::{self, AppApiArgs};

#[derive(Debug, Args)]
pub(crate) struct EmulatorArgs {
    #[command(subcommand)]
    pub(crate) command: EmulatorCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EmulatorCommand {
    /// Stand in for Segment's HTTP API, with faults on demand
    #[command(after_help = SEGMENT_EXAMPLES)]
    Segment(SegmentArgs),
    /// Stand in for Customer.io's sender: signs, retries, holds the line
    #[command(after_help = CUSTOMERIO_EXAMPLES)]
    Customerio(CustomerioArgs),
    /// Stand in for the lists of Customer.io's App API that say what ids are called
    #[command(after_help = app_api::EXAMPLES)]
    AppApi(AppApiArgs),
}

const SEGMENT_EXAMPLES: &str = "\
Examples:
  postmeter emulator segment --listen 127.0.0.1:9100
  curl -s 127.0.0.1:9100/emulator/calls
  curl -s '127.0.0.1:9100/emulator/wait?calls=10&timeout_s=5'
  curl -s -d '[{\"status\": 503, \"times\": 3}]' 127.0.0.1:9100/emulator/faults
  curl -s -X POST 127.0.0.1:9100/emulator/reset";

#[derive(Debug, Args)]
pub(crate) struct SegmentArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    pub(crate) listen: SocketAddr,
    /// Answer 401 to write keys other than these. Segment itself never does
    #[arg(long, value_name = "KEY")]
    pub(crate) strict_key: Vec<String>,
    /// Treat a write key as a source that is `live`, `disabled`, `locked` or of the
    /// `wrong-region`: 200, and the calls are never seen
    #[arg(long, value_name = "KEY=STATE", value_parser = key_state)]
    pub(crate) key_state: Vec<(String, KeyState)>,
    /// Answer 429 beyond this many requests per second
    #[arg(long, value_name = "N")]
    pub(crate) rate_limit: Option<u32>,
    /// Calls kept for inspection; the oldest go first
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) keep_calls: usize,
}

fn key_state(text: &str) -> Result<(String, KeyState), String> {
    let (key, state) = text.split_once('=').ok_or("write KEY=STATE")?;
    let state = match state {
        "live" => KeyState::Live,
        "disabled" => KeyState::SourceDisabled,
        "locked" => KeyState::WorkspaceLocked,
        "wrong-region" => KeyState::WrongRegion,
        _ => return Err("the state is live, disabled, locked or wrong-region".to_owned()),
    };
    Ok((key.to_owned(), state))
}

const CUSTOMERIO_EXAMPLES: &str = "\
Examples:
  postmeter emulator customerio --to http://127.0.0.1:8080/webhooks/acme \\
      --signing-key env:CIO_SIGNING_KEY --events events.jsonl
  postmeter emulator customerio --to http://127.0.0.1:8080/webhooks/acme \\
      --signing-key file:key.txt --count 5000 --rate 100 --time-scale 3600";

#[derive(Debug, Args)]
pub(crate) struct CustomerioArgs {
    /// The webhook URL to send to
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// The webhook's signing key, as `env:NAME` or `file:PATH`
    #[arg(long, value_name = "SECRET")]
    pub(crate) signing_key: connections::SecretRef,
    /// Send these events; left out: a simulated campaign
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// People in the simulated campaign
    #[arg(
        long,
        value_name = "N",
        default_value = "100",
        conflicts_with = "events"
    )]
    pub(crate) people: NonZeroU32,
    /// Events in the simulated campaign; left out: until Ctrl-C
    #[arg(long, value_name = "N", conflicts_with = "events")]
    pub(crate) count: Option<u64>,
    /// Channels of the simulated campaign; left out: all
    #[arg(
        long,
        value_name = "CHANNEL",
        value_delimiter = ',',
        conflicts_with = "events"
    )]
    pub(crate) channels: Vec<emulator::customerio::Channel>,
    /// Let sent events carry the message's body
    #[arg(long, conflicts_with = "events")]
    pub(crate) body_content: bool,
    /// The same seed gives the same campaign
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "events")]
    pub(crate) seed: u64,
    /// Events per second; left out: as fast as they are taken
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
    /// Events sent at a time
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) in_flight: NonZeroUsize,
    /// How much faster the sender's clock runs: 3600 makes an hour's hold a second
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub(crate) time_scale: NonZeroU32,
    /// Of 100 accepted events, how many are sent once more
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) repeat_percent: u8,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
