//! Postmeter: from Customer.io's reporting webhooks to Segment, durably.

mod api;
mod carry;
mod cli;
mod client;
mod commands;
mod config;
mod desk;
mod duties;
mod history;
mod http;
mod import;
mod names;
mod nodes;
mod observe;
mod operator;
mod pipeline;
mod replay;
mod retry;
mod secrets;
mod serve;
mod supervisor;
mod token;
mod trial;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => commands::report(&error),
    }
}
