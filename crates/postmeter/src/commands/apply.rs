//! `postmeter apply`: a running server's connections become those of a file.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::serve::read_connections;
use super::{block_on, print, print_json, talk};
use crate::cli::{ApplyArgs, EnableFrom};
use crate::client::Client;

pub(super) fn run(args: &ApplyArgs) -> anyhow::Result<ExitCode> {
    // Mistakes are found here, with the file's name, before a server is asked.
    read_connections(&args.file)?;
    let document = std::fs::read_to_string(&args.file).context("cannot read the file again")?;
    let enable_from = match args.enable_from {
        EnableFrom::Backlog => "backlog",
        EnableFrom::Now => "now",
    };
    let query = format!("dry_run={}&enable_from={enable_from}", args.dry_run);
    let path = format!("/api/connections/document?{query}");
    let client = Client::find(&args.server)?;
    let answer = block_on(client.put(&path, document))?;
    if args.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines = |key| {
        answer
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    for warning in lines("warnings").filter_map(Value::as_str) {
        talk(format_args!("warning: {warning}"));
    }
    for change in lines("changes").filter_map(Value::as_str) {
        print(change)?;
    }
    let n_changes = lines("changes").count();
    talk(match (n_changes, args.dry_run) {
        (0, _) => "nothing to change".to_owned(),
        (n, true) => format!("{n} change(s), not applied: this was a dry run"),
        (n, false) => format!("{n} change(s) applied"),
    });
    Ok(ExitCode::SUCCESS)
}
