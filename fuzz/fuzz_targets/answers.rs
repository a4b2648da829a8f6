//! See `dispatch::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dispatch::fuzzing::answers(data));
