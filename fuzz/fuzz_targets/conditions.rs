//! `If-Match`, `Idempotency-Key` and the parameters of a query.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| strongroom_api::fuzzing::conditions(text));
