//! See `receive::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| receive::fuzzing::signature(data));
