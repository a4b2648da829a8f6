//! The whole, as its users run it: real processes, real sockets, real files.

#![cfg(test)]

mod answers;
mod api;
mod asking;
mod bad_input;
mod browser;
mod choosing;
mod cluster;
mod cluster_faults;
mod commands;
mod conservation;
mod demo;
mod deploy;
mod doctor;
mod explain;
mod faults;
mod first_only;
mod forget;
mod full_disk;
mod harness;
mod held;
mod history;

mod import;
mod migrate;
mod names;
#[path = "../../../journal/tests/it/nats.rs"]
mod nats;
mod nodes;
mod private;
mod readme;
mod real_senders;
mod replay;
mod schemathesis;
mod shapes;
mod tidy;
