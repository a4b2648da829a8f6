//! `postmeter export`: a running server's connections as a file.

use std::process::ExitCode;

use super::{block_on, print};
use crate::cli::ServerArgs;
use crate::client::Client;

pub(super) fn run(args: &ServerArgs) -> anyhow::Result<ExitCode> {
    let client = Client::find(args)?;
    let document = block_on(client.text("/api/connections/document"))?;
    print(document.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
