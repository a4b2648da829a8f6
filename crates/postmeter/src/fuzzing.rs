//! What must hold of a config file, and of what the process keeps, whatever the bytes
//! are: for the fuzz targets `config` and `stored`, and for a test that runs their
//! seeds. No part of the product.

#![expect(clippy::missing_panics_doc, reason = "a panic is what is looked for")]

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::carry::chunk::Chunk;
use crate::config::Config;
use crate::history::format::{self, Slot};
use crate::names::known::Known;
use crate::pipeline::trace::BatchTrace;

/// Reads `data` as a config file.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text) {
        Ok(config) => {
            let journal = config.journal.limits();
            assert!(journal.max_bytes / 2 >= journal.segment_bytes, "{text}");
            assert!(config.limits.body_bytes <= journal::Draft::MAX_BODY_BYTES);
            assert!(config.window > 0 && !config.history_flush.is_zero());
        }
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}

/// Decodes `data` as each of the things that the process keeps in its journal or
/// takes from another node, and what decodes is written and decoded once more.
pub fn stored(data: &[u8]) {
    if let Some(trace) = BatchTrace::decode(Bytes::copy_from_slice(data)) {
        assert!(u8::try_from(trace.attempts.len()).is_ok());
    }
    if let Ok(chunk) = Chunk::decode(Bytes::copy_from_slice(data)) {
        let again = Chunk::decode(chunk.encode().into());
        assert_eq!(again.ok(), Some(chunk));
    }
    for value in [data, &zipped(&[1], data), &zipped(&[], data)] {
        slot(value);
        known(value);
    }
}

fn slot(value: &[u8]) {
    let Some(slot) = Slot::decode(value) else {
        return;
    };
    let written = slot.encode();
    assert!(written.len() <= format::MAX_BYTES);
    let again = Slot::decode(&written).expect("it was just written");
    assert_eq!((again.hour, &again.marks), (slot.hour, &slot.marks));
    assert_eq!(again.encode(), written, "another value for the hour");
}

fn known(value: &[u8]) {
    let Some(known) = Known::decode(value) else {
        return;
    };
    let written = known.encode();
    let again = Known::decode(&written).expect("it was just written");
    assert_eq!(again.encode(), written, "another value for the names");
}

/// What is kept packed cannot be guessed through its checksum.
fn zipped(head: &[u8], data: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(head.to_vec(), Compression::fast());
    gzip.write_all(data).expect("memory takes all");
    gzip.finish().expect("memory takes all")
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_of_the_config_files_is_refused_or_makes_sense() {
        assert!(super::seeds::each("config", super::config) > 2);
    }

    #[test]
    fn every_seed_of_what_is_kept_is_something_or_nothing() {
        assert!(super::seeds::each("stored", super::stored) > 3);
    }
}
