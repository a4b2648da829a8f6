//! The two stand-ins, seen from outside.

// Always on here; it tells clippy that the helpers are test code, too.
#[cfg(test)]
mod customerio;
#[cfg(test)]
mod segment;
