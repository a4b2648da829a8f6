//! Postmeter: from Customer.io's reporting webhooks to Segment, durably.
//!
//! The process, whose `main.rs` does nothing but call [`main()`]. It is a library so
//! that fuzz targets reach what reads bytes from outside; nobody builds on it.

mod api;
mod carry;
mod cli;
mod client;
mod commands;
mod config;
mod desk;
mod doors;
mod duties;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handover;
mod history;
mod http;
mod import;
#[cfg(test)]
mod kept_formats;
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

/// Does what the command line says, and tells how that went.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => commands::report(&error),
    }
}
