//! The two stand-ins, seen from outside.

// Always on here; it tells clippy that all of it is test code, not only the tests.
#[cfg(test)]
mod customerio;
#[cfg(test)]
mod segment;
