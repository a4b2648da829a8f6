//! shape.
