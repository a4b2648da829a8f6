//! Postmeter: from Customer.io's reporting webhooks to Segment, durably.

mod api;
mod carry;
mod cli;
mod client;
mod commands;
mod config;
mod desk;
mod doors;
mod duties;
mod handover;
mod history;
mod http;
mod import;
mod names;
mod nodes;
mod notify;
mod observe;
mod operator;
mod pipeline;
mod replay;
mod retry;
mod secrets;
mod serve;
#[cfg(test)]
mod simulation;
mod sockets;
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
