//! The command line of `postmeter emulator app-api`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  postmeter emulator app-api --key env:CIO_APP_API_KEY
  curl -s -X PUT -H 'Content-Type: application/json' -d '{\"status\": 500}' \\
      127.0.0.1:9200/emulator/fault
  curl -s 127.0.0.1:9200/emulator/requests";

#[derive(Debug, Args)]
pub(crate) struct AppApiArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9200")]
    pub(crate) listen: SocketAddr,
    /// The key to ask for, as `env:NAME` or `file:PATH`
    #[arg(long, value_name = "SECRET")]
    pub(crate) key: connections::SecretRef,
    /// List what this JSON file says; left out: names for the simulated campaign's ids
    #[arg(long, value_name = "FILE")]
    pub(crate) names: Option<PathBuf>,
}
