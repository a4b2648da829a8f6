//! postmeter.
fn main() {}
