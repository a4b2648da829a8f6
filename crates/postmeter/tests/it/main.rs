//! The whole, as its users run it: real processes, real sockets, real files.

#![cfg(test)]

mod answers;
mod bad_input;
mod commands;
mod demo;
mod faults;
mod first_only;
mod harness;
mod kills;
mod nodes;
mod private;
mod readme;
mod real_senders;
mod shapes;
mod tidy;
