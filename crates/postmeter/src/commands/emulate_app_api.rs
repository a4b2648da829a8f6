//! `postmeter emulator app-api`: a stand-in for the lists of Customer.io's App API.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use connections::Secrets;
use emulator::customerio::{AppApi, Listing};

use super::{block_on, print, start_logging, until_signal};
use crate::cli::AppApiArgs;
use crate::http;
use crate::secrets::environment;

pub(super) fn run(args: &AppApiArgs) -> anyhow::Result<ExitCode> {
    start_logging("warn");
    let key = args.key.read(Secrets::without_kept(&environment));
    let key = key.context("cannot read the key")?;
    let app_api = AppApi::new(key.reveal());
    app_api.list(match &args.names {
        Some(file) => read_names(file)?,
        None => Listing::of_simulated_campaign(),
    });
    block_on(until_signal(|stop| async move {
        let listener = http::bind(args.listen).await?;
        let address = listener.local_addr();
        let address = address.context("the listener has no address")?;
        print(format_args!("listening on http://{address}"))?;
        let served = app_api.run(listener, stop).await;
        served.context("the emulator stopped")?;
        Ok(ExitCode::SUCCESS)
    }))
}

fn read_names(file: &Path) -> anyhow::Result<Listing> {
    let shown = file.display();
    let json = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_slice(&json).with_context(|| format!("{shown} does not list names"))
}
