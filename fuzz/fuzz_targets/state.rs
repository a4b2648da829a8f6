//! See `journal::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal::fuzzing::state(data));
