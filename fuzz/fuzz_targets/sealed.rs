//! A blob from a hostile database: refused, never a panic.
#![no_main]

use strongroom_core::KeyId;
use strongroom_core::sealing::{Context, Sealed, SealingKey};

libfuzzer_sys::fuzz_target!(|blob: &[u8]| {
    let sealed = Sealed::from_bytes(blob.to_vec());
    // With the id that the blob names, so that the search gets past it.
    if let Ok(id) = sealed.key_id() {
        let key = SealingKey::take(KeyId::from_uuid(id.uuid()), &mut [7; 32]);
        assert!(key.open(&Context::new("fuzz"), &sealed).is_err());
    }
});
