//! A token from a header: whatever parses is written the same way again.
#![no_main]

use strongroom_core::tokens::{Token, TokenKind};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for kind in TokenKind::ALL {
        if let Ok(token) = Token::parse(kind, text) {
            assert_eq!(token.reveal(), text);
        }
    }
});
