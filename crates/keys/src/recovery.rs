//! The recovery key: an `age` identity that its owner keeps elsewhere. The
//! instance keeps only the recipient, and the master key encrypted to it, so
//! that `age --decrypt` with the identity gives the master key back.

use age::x25519;
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use strongroom_core::app::{Recovery, RecoveryError};
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError};

/// The private half. Never stored by an instance.
pub struct Identity {
    text: SecretString,
    recipient: Recipient,
}

impl Identity {
    /// A fresh identity.
    pub fn generate() -> Self {
        let identity = x25519::Identity::generate();
        Self { text: identity.to_string(), recipient: Recipient(identity.to_public()) }
    }

    /// The text `AGE-SECRET-KEY-1…`, to show to its owner, once.
    #[expect(clippy::disallowed_methods, reason = "shown to its owner when it is made")]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    /// The public half.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// Writes an identity file as `age` reads it, new and of mode 0600.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn write(&self, path: &Path) -> Result<(), PrivateFileError> {
        let recipient = self.recipient.recipient();
        let contents = format!("# Strongroom recovery key\n# public key: {recipient}\n{}\n", self.reveal());
        private_file::create(path, Zeroizing::new(contents).as_bytes())
    }
}

/// The public half: what the master key is encrypted to.
pub struct Recipient(x25519::Recipient);

impl Recovery for Recipient {
    fn recipient(&self) -> String {
        self.0.to_string()
    }

    fn encrypt(&self, master: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        age::encrypt(&self.0, master).map_err(|error| RecoveryError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_file_opens_what_was_encrypted_to_the_recipient() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recovery.key");
        let identity = Identity::generate();
        identity.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read: x25519::Identity = text.lines().last().unwrap().parse().unwrap();
        let encrypted = identity.recipient().encrypt(&[7; 32]).unwrap();
        assert_eq!(age::decrypt(&read, &encrypted).unwrap(), [7; 32]);
        assert!(age::decrypt(&x25519::Identity::generate(), &encrypted).is_err());
        assert!(identity.write(&path).is_err(), "an existing file is never overwritten");
    }
}
