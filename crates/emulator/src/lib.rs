//! Stand-ins for Segment and for Customer.io.
//!
#![doc = include_str!("../README.md")]

pub mod customerio;
pub mod segment;
