//! journal tests.
