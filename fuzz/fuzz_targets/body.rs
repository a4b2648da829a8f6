//! See `shape::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shape::fuzzing::body(data));
