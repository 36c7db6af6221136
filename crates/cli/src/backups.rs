//! Backups as files: checked without a key, and opened with the recovery key. Nothing is
//! written before every byte was found to be as it was signed.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use strongroom_core::Clock as _;
use strongroom_core::audit::note::VerifierKey;
use strongroom_core::backup::{BackupError, Container, Manifest};
use strongroom_core::instance::Instance;
use strongroom_core::keyring::{Keyring, MasterKey};
use strongroom_core::rows::Stored;
use strongroom_core::sealing::IntegrityViolation;
use strongroom_keys::recovery::{Identity, IdentityError};
use strongroom_store::backup::{Open, Payload};
use zeroize::Zeroizing;

use crate::clock::SystemClock;
use crate::commands::progress;
use crate::failure::Failure;

/// Checks every byte of a backup.
///
/// # Errors
/// When one isn't as it was written.
pub(crate) fn verified(path: &Path, pinned: Option<&VerifierKey>) -> Result<Container, Failure> {
    let mut file = open(path).map_err(|error| damaged(path, &error.into()))?;
    let container = Container::open(&mut file, pinned).map_err(|error| damaged(path, &error))?;
    let bar = progress("checking bytes", container.manifest.payload.length);
    let checked = container.check_payload(&file, |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    checked.map_err(|error| damaged(path, &error))?;
    Ok(container)
}

fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file; save the backup in one first"));
    }
    Ok(file)
}

fn damaged(path: &Path, error: &BackupError) -> Failure {
    let failure = Failure::new(format!("{}: {error}", path.display()));
    match error {
        BackupError::Io(_) => failure,
        BackupError::AnotherKey(_) => failure.hint("it was not made by the instance that you trust"),
        _ => failure.hint("use another backup, or another copy of this one"),
    }
}

/// A backup that the recovery key opened.
pub(crate) struct Opened {
    pub(crate) manifest: Manifest,
    pub(crate) payload: Payload,
    /// The instance's row, proven.
    pub(crate) instance: Stored<Instance>,
    pub(crate) master: Zeroizing<Vec<u8>>,
    pub(crate) keys: Keyring,
}

impl Opened {
    /// Checks a backup, opens it, and takes the keys out of it.
    ///
    /// # Errors
    /// When it is damaged, the key is another, or what is inside isn't what signed it.
    pub(crate) fn open(path: &Path, identity: &Path, pinned: Option<&VerifierKey>) -> Result<Self, Failure> {
        let key = Identity::read(identity)?;
        let container = verified(path, pinned)?;
        let manifest = container.manifest.clone();
        fits(&key, identity, &manifest)?;
        let recovery = Identity::read(identity)?;
        let payload = Payload::new(opening(path, key, container), manifest.clone())?;
        let start = payload.start()?;
        let instance = start.instance;
        let foreign = || {
            Failure::new(format!("{}: what is in it is not what signed it", path.display()))
                .hint("somebody else made this backup; use another")
        };
        let closed = |error: IdentityError| Failure::because("the master key in the backup", &error);
        let master = recovery.decrypt(&instance.row().recovery).map_err(closed)?;
        let purposes = purposes(&start.keys);
        let keys = MasterKey::of(instance.row().id, &master, &purposes)
            .and_then(|master| Keyring::new(master, &purposes, SystemClock.now()));
        let keys = keys.map_err(|_: IntegrityViolation| foreign())?;
        keys.verify(instance.clone()).map_err(|_| foreign())?;
        let is_own = |key: &VerifierKey| key.to_string() == manifest.verifier_key;
        if !keys.signers().iter().any(|signer| is_own(signer.verifier())) {
            return Err(foreign());
        }
        Ok(Self { manifest, payload, instance, master, keys })
    }
}

fn purposes(keys: &[strongroom_core::keyring::WrappedKey]) -> Vec<strongroom_core::keyring::WrappedKey> {
    keys.iter().filter(|key| key.owner.purpose().is_some()).cloned().collect()
}

/// Refuses a recovery key that the backup wasn't encrypted to.
fn fits(key: &Identity, path: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let (given, wanted) = (crate::instance::recipient(key), &manifest.recovery_recipient);
    if given == *wanted {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the recovery key in {} is another: it opens what is for {given}, and this backup is for {wanted}",
        path.display()
    ))
    .hint("name the file of this instance's recovery key with --identity"))
}

/// What opens the payload at its beginning, again and again.
fn opening(path: &Path, key: Identity, container: Container) -> Open {
    let path = path.to_owned();
    Box::new(move || {
        let checked = container.payload(open(&path)?)?;
        let plain = key.decrypting(BufReader::with_capacity(1 << 16, checked)).map_err(io::Error::other)?;
        Ok(Box::new(plain))
    })
}
