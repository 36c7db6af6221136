//! The root key from a passphrase: Argon2id with 64 MiB, 3 passes, 4 lanes.
//! The salt and these numbers are kept with the instance, so that the
//! passphrase is all that must be remembered.

use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use strongroom_core::random::{self, Random};
use strongroom_core::root_key::LocalRootKey;
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError};

/// The provider's name in the instance.
pub const PROVIDER: &str = "passphrase";
/// The shortest passphrase that is taken for a new instance, in characters.
pub const SHORTEST: usize = 12;

const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// Why no root key came of a passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Too easily guessed.
    #[error("a passphrase needs at least 12 characters")]
    TooShort,
    /// The instance's record of how to stretch it makes no sense.
    #[error("the instance's passphrase parameters are malformed; the database was altered or is damaged")]
    Parameters,
    /// Memory could not be had.
    #[error("deriving a key from the passphrase failed; it needs 64 MiB of memory")]
    Derivation,
}

/// A root key for a new instance, and the parameters to keep with it.
///
/// # Errors
/// When the passphrase is shorter than [`SHORTEST`].
pub fn create(
    passphrase: &SecretString,
    random: &dyn Random,
) -> Result<(LocalRootKey, String), PassphraseError> {
    #[expect(clippy::disallowed_methods, reason = "its length is checked")]
    if passphrase.expose_secret().chars().count() < SHORTEST {
        return Err(PassphraseError::TooShort);
    }
    let salt = u128::from_be_bytes(random::bytes(random));
    let parameters = format!("argon2id,m={MEMORY_KIB},t={PASSES},p={LANES},salt={salt:032x}");
    Ok((open(passphrase, &parameters)?, parameters))
}

/// The root key of an instance that was made with this passphrase; another
/// passphrase gives another key, whose id tells.
///
/// # Errors
/// When the parameters aren't what [`create`] returned.
pub fn open(passphrase: &SecretString, parameters: &str) -> Result<LocalRootKey, PassphraseError> {
    let numbers = format!("argon2id,m={MEMORY_KIB},t={PASSES},p={LANES},salt=");
    let salt = parameters
        .strip_prefix(&numbers)
        .filter(|salt| salt.len() == 32 && salt.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .ok_or(PassphraseError::Parameters)?;
    let salt = u128::from_str_radix(salt, 16).map_err(|_| PassphraseError::Parameters)?.to_be_bytes();
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(|_| PassphraseError::Derivation)?;
    let mut secret = Zeroizing::new([0; 32]);
    #[expect(clippy::disallowed_methods, reason = "the key is derived from it")]
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose_secret().as_bytes(), &salt, &mut *secret)
        .map_err(|_| PassphraseError::Derivation)?;
    Ok(LocalRootKey::take(PROVIDER, &mut secret))
}

/// Reads a passphrase from a file that only its owner may read: its first
/// line, without the line's end.
///
/// # Errors
/// When others may read the file, or it can't be read.
pub fn read(path: &Path) -> Result<SecretString, PrivateFileError> {
    let contents = private_file::read(path)?;
    Ok(contents.lines().next().unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_core::{OsRandom, RootKey};

    #[test]
    fn the_same_passphrase_gives_the_same_key_and_another_doesnt() {
        let passphrase = SecretString::from("correct horse battery");
        let (made, parameters) = create(&passphrase, &OsRandom).unwrap();
        assert_eq!(open(&passphrase, &parameters).unwrap().id(), made.id());
        assert_ne!(open(&"correct horse batterz".into(), &parameters).unwrap().id(), made.id());
        let (other, _) = create(&passphrase, &OsRandom).unwrap();
        assert_ne!(other.id(), made.id(), "the salt is fresh");
    }

    #[test]
    fn short_ones_and_altered_parameters_are_refused() {
        assert!(matches!(create(&"short".into(), &OsRandom), Err(PassphraseError::TooShort)));
        let weakened = "argon2id,m=8,t=1,p=1,salt=00000000000000000000000000000000";
        for parameters in [
            "",
            "argon2id",
            weakened,
            "argon2id,m=65536,t=3,p=4,salt=00",
            "argon2id,m=65536,t=3,p=4,salt=+0000000000000000000000000000000",
        ] {
            let opened = open(&"correct horse battery".into(), parameters);
            assert!(matches!(opened, Err(PassphraseError::Parameters)), "{parameters}");
        }
    }
}
