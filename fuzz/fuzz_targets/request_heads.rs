//! The screen of request heads: whatever comes, in whatever pieces, it says the
//! same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom_net::fuzzing::request_heads(bytes));
