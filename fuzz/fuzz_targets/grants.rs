//! Networks, scopes and times of a grant: what is taken comes back the same.
#![no_main]

use strongroom_core::grants::Networks;
use strongroom_core::{Scopes, Timestamp};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(networks) = Networks::from_stored(text) {
        assert_eq!(Networks::from_stored(&networks.to_string()), Ok(networks));
    }
    if let Some(scopes) = Scopes::parse(text) {
        assert_eq!(Scopes::parse(&scopes.to_string()), Some(scopes));
    }
    if let Ok(at) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
    }
});
