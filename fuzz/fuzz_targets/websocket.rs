//! Frames of a WebSocket from either side: refused or passed on with every length kept,
//! the same however they are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom_broker::fuzzing::websocket(bytes));
