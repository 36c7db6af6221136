//! Texts in which there may be placeholders: found where they are, however a text is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom_broker::fuzzing::placeholders(bytes));
