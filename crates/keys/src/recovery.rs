//! The recovery key: an `age` identity that its owner keeps elsewhere. The
//! instance keeps only the recipient, and the master key encrypted to it, so
//! that `age --decrypt` with the identity gives the master key back.

use age::stream::{StreamReader, StreamWriter};
use age::x25519;
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use strongroom_core::app::{Recovery, RecoveryError};
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError};

/// Why a recovery key can't be used. Messages carry paths and public names only.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Its file can't be read, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file holds something else.
    #[error("{0} holds no recovery key; it is the file with a line that begins with AGE-SECRET-KEY-1")]
    NotAnIdentity(PathBuf),
    /// It isn't the one that it was encrypted to.
    #[error("this recovery key does not open it: {0}")]
    Closed(#[from] age::DecryptError),
}

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

    /// The identity in a file as `age` keeps it: one line, and comments.
    ///
    /// # Errors
    /// When there is none, or others can read it.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let text = private_file::read(path)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parsed = lines.next().and_then(|line| line.parse::<x25519::Identity>().ok());
        match (parsed, lines.next()) {
            (Some(identity), None) => {
                Ok(Self { text: identity.to_string(), recipient: Recipient(identity.to_public()) })
            }
            _ => Err(IdentityError::NotAnIdentity(path.to_owned())),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it decrypts")]
    fn key(&self) -> Result<x25519::Identity, io::Error> {
        let key = self.text.expose_secret().parse();
        key.map_err(|_: &str| io::Error::other("the recovery key is not an identity"))
    }

    /// Decrypts a few bytes, such as a master key.
    ///
    /// # Errors
    /// When they were encrypted to another, or were altered.
    pub fn decrypt(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(64));
        self.decrypting(encrypted)?.read_to_end(&mut plain).map_err(age::DecryptError::Io)?;
        Ok(plain)
    }

    /// Decrypts as it is read.
    ///
    /// # Errors
    /// When it was encrypted to another.
    pub fn decrypting<R: Read>(&self, encrypted: R) -> Result<StreamReader<R>, IdentityError> {
        let key = self.key().map_err(age::DecryptError::Io)?;
        let decryptor = age::Decryptor::new(encrypted)?;
        Ok(decryptor.decrypt(std::iter::once(&key as &dyn age::Identity))?)
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

/// It isn't a recovery recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the instance's recovery recipient is not one of age's; the database was altered")]
pub struct NotARecipient;

impl Recipient {
    /// From its public name, `age1…`.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn parse(name: &str) -> Result<Self, NotARecipient> {
        name.parse().map(Self).map_err(|_: &str| NotARecipient)
    }

    /// Encrypts what is written. It is to be finished, or nobody can open it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn encrypting<W: Write>(&self, out: W) -> io::Result<StreamWriter<W>> {
        let to = std::iter::once(&self.0 as &dyn age::Recipient);
        age::Encryptor::with_recipients(to).map_err(io::Error::other)?.wrap_output(out)
    }
}

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
        let again = Identity::read(&path).unwrap();
        assert_eq!(again.decrypt(&encrypted).unwrap()[..], [7; 32]);
        assert!(Identity::generate().decrypt(&encrypted).is_err());
        assert!(again.decrypt(&encrypted[..encrypted.len() - 1]).is_err());
    }

    #[test]
    fn a_file_without_one_identity_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recovery.key");
        let (one, other) = (Identity::generate(), Identity::generate());
        for contents in ["", "# nothing\n", "age1abc\n", &format!("{}\n{}\n", one.reveal(), other.reveal())] {
            private_file::create(&path, contents.as_bytes()).unwrap();
            assert!(matches!(Identity::read(&path), Err(IdentityError::NotAnIdentity(_))));
            std::fs::remove_file(&path).unwrap();
        }
    }
}
