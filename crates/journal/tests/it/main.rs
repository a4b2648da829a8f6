//! What the journal promises, each promise a sentence.

#![cfg(test)]

mod contract;
mod support;
