//! The root key in a file: one line, `strongroom-root-key-v1:` and 64 hex
//! digits. Whoever can read it and the database can open everything.

use std::path::{Path, PathBuf};
use strongroom_core::random::{self, Random};
use strongroom_core::root_key::LocalRootKey;
use zeroize::Zeroizing;

pub use crate::private_file::PrivateFileError;

/// The provider's name in the instance.
pub const PROVIDER: &str = "file";
const PREFIX: &str = "strongroom-root-key-v1:";

/// Why a root key could not be taken from a file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file doesn't hold a root key.
    #[error(
        "{0} does not hold a whole root key (one line: strongroom-root-key-v1:, then 64 hex digits); restore it from its backup"
    )]
    Malformed(PathBuf),
}

/// Makes a root key and writes it to a new file of mode 0600.
///
/// # Errors
/// When the file exists or can't be written.
pub fn create(path: &Path, random: &dyn Random) -> Result<LocalRootKey, KeyFileError> {
    let mut secret = Zeroizing::new(random::bytes::<32>(random));
    let mut line = Zeroizing::new(String::with_capacity(PREFIX.len() + 65));
    line.push_str(PREFIX);
    for byte in secret.iter() {
        for nibble in [byte >> 4, byte & 15] {
            line.extend(char::from_digit(nibble.into(), 16));
        }
    }
    line.push('\n');
    crate::private_file::create(path, line.as_bytes())?;
    Ok(LocalRootKey::take(PROVIDER, &mut secret))
}

/// Reads a root key.
///
/// # Errors
/// When others may read the file, or it holds no root key.
pub fn open(path: &Path) -> Result<LocalRootKey, KeyFileError> {
    let contents = crate::private_file::read(path)?;
    let mut secret = parse(&contents).ok_or_else(|| KeyFileError::Malformed(path.to_owned()))?;
    Ok(LocalRootKey::take(PROVIDER, &mut secret))
}

fn parse(contents: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = contents.trim_end().strip_prefix(PREFIX)?.as_bytes();
    let mut secret = Zeroizing::new([0; 32]);
    if digits.len() != 2 * secret.len() {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(digits.chunks(2)) {
        for digit in pair {
            *byte = (*byte << 4) | u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
        }
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use strongroom_core::{OsRandom, RootKey};

    fn refused(path: &Path) -> String {
        open(path).err().expect("refused").to_string()
    }

    #[test]
    fn what_is_created_opens_as_the_same_key_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let made = create(&path, &OsRandom).unwrap();
        assert_eq!(open(&path).unwrap().id(), made.id());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(create(&path, &OsRandom).is_err(), "an existing key is never overwritten");
    }

    #[test]
    fn lax_modes_links_and_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        create(&path, &OsRandom).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o666, 0o777] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(refused(&path).contains("chmod 600"), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(refused(&link).contains("not a link"));
        assert!(refused(dir.path()).contains("not a plain file"));
    }

    #[test]
    fn every_cut_and_every_foreign_digit_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        create(&path, &OsRandom).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        for length in 0..whole.len() - 1 {
            std::fs::write(&path, &whole[..length]).unwrap();
            let message = refused(&path);
            assert!(message.contains("does not hold a whole root key"), "{length}: {message}");
            assert!(
                length < PREFIX.len() + 8 || !message.contains(&whole[PREFIX.len()..length]),
                "{message}"
            );
        }
        std::fs::write(&path, whole.replace(':', ":g").as_bytes()).unwrap();
        refused(&path);
        std::fs::write(&path, vec![b'a'; 70_000]).unwrap();
        assert!(refused(&path).contains("64 KiB"));
    }
}
