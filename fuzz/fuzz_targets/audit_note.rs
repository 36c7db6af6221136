//! Signed heads of a log, one or several behind one another, and verifier keys, as
//! anybody may hand them over: refused or read, and what is read is written the same way.
#![no_main]

use strongroom_core::audit::note::{SignedHead, VerifierKey, split};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let keys: Vec<VerifierKey> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for key in &keys {
        assert!(text.contains(&key.to_string()));
    }
    let mut rest = text;
    for note in split(text) {
        let (between, behind) = rest.split_once(note).expect("notes come in their order");
        assert!(between.bytes().all(|byte| byte == b'\n'), "and nothing is passed over");
        rest = behind;
        if let Ok(head) = SignedHead::parse(note) {
            assert!(note.starts_with(&head.unverified().to_string()));
            let _unsigned = head.verify(&keys);
        }
    }
    assert!(rest.bytes().all(|byte| byte == b'\n'));
});
