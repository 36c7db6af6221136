//! The body that starts a run: from bytes to domain types, or to a message that
//! doesn't quote them.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| strongroom_api::fuzzing::start_run(body));
