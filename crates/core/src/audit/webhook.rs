//! What a webhook's receiver checks: that events come from who knows the secret, and not
//! from long ago.

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::clock::Timestamp;

/// The header that carries the signature.
pub const HEADER: &str = "strongroom-signature";

/// The signature of a body that is sent now: `t=SECONDS,v1=HEX`, where `HEX` is HMAC-SHA-256
/// under the secret over `SECONDS`, a full stop and the body.
pub fn signature(secret: &SecretString, now: Timestamp, body: &[u8]) -> String {
    let seconds = now.as_millis().div_euclid(1_000).to_string();
    #[expect(clippy::disallowed_methods, reason = "the body is signed with it")]
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let mut mac = hmac::Context::with_key(&key);
    for piece in [seconds.as_bytes(), b".", body] {
        mac.update(piece);
    }
    format!("t={seconds},v1={}", hex(mac.sign().as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By another implementation of HMAC.
    #[test]
    fn a_receiver_can_check_it() {
        use ::hmac::{Hmac, Mac as _};
        let signed =
            signature(&"a secret of some length".into(), Timestamp::from_millis(1_800_000_000_999), b"{}\n");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"a secret of some length").unwrap();
        mac.update(b"1800000000.{}\n");
        assert_eq!(signed, format!("t=1800000000,v1={}", hex(&mac.finalize().into_bytes())));
    }
}
