//! The receiver of Segment's API.

mod conformance;
mod discards;
mod enrichment;
mod faults;
mod harness;
mod inspection;
mod limits;
mod oauth;
