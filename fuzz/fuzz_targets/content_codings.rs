//! Bodies in content codings from a hostile origin: refused or read, and what leaves is
//! whole and without a value.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom_broker::fuzzing::content_codings(bytes));
