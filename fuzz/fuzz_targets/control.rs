//! Has a fault behind four comparisons, which only an engine that sees how far it gets finds in time: that it does is what a
//! quiet minute of the other targets rests on.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let [b's', b'e', b'a', b'l', ..] = bytes {
        panic!("found");
    }
});
