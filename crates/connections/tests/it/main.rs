//! connections tests.
