//! See `connections::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| connections::fuzzing::connections(data));
