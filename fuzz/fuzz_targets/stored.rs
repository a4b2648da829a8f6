//! See `postmeter::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postmeter::fuzzing::stored(data));
