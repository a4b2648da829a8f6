//! What the crate promises, seen from outside.

#![cfg(test)]

mod cases;
mod documented;
mod events;
mod golden;
mod kinds;
mod limits;
mod options;
mod total;
