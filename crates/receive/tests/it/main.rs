//! receive tests.
