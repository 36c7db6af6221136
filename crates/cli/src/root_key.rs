//! The root key: made for a new instance, found again for an old one. A
//! passphrase comes from a file or a hidden prompt, never from the command
//! line or a variable.

use secrecy::{ExposeSecret, SecretString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use strongroom_core::OsRandom;
use strongroom_core::instance::Instance;
use strongroom_core::root_key::LocalRootKey;
use strongroom_keys::{file, passphrase};

use crate::cli::{Keeper, RootKeyKind};
use crate::data_dir::{DataDir, Traces};
use crate::failure::Failure;

/// A root key to be made; nothing was created for it so far.
pub(crate) enum Plan {
    /// In a new file.
    File(PathBuf),
    /// From this passphrase.
    Passphrase(SecretString),
}

impl Plan {
    /// Finds out all that must be known before anything is created.
    ///
    /// # Errors
    /// When the file exists, or there is no passphrase.
    pub(crate) fn new(kind: RootKeyKind, keeper: &Keeper, data_dir: &DataDir) -> Result<Self, Failure> {
        match kind {
            RootKeyKind::Passphrase => Ok(Self::Passphrase(new_passphrase(keeper)?)),
            RootKeyKind::File => {
                let path = key_file(keeper, data_dir);
                match path.symlink_metadata() {
                    Err(_) => Ok(Self::File(path)),
                    Ok(_) => Err(orphaned(&path, data_dir)),
                }
            }
        }
    }

    /// Makes the key, and what the instance must remember of how.
    ///
    /// # Errors
    /// When the file can't be written or the passphrase is too short.
    pub(crate) fn create(&self, files: &mut Traces) -> Result<(LocalRootKey, String), Failure> {
        match self {
            Self::File(path) => {
                let key = file::create(path, &OsRandom)?;
                files.made(path.clone());
                Ok((key, String::new()))
            }
            Self::Passphrase(passphrase) => Ok(passphrase::create(passphrase, &OsRandom)?),
        }
    }
}

/// The root key that the instance names.
///
/// # Errors
/// When it isn't at hand; says where it was looked for.
pub(crate) fn open(
    instance: &Instance,
    keeper: &Keeper,
    data_dir: &DataDir,
) -> Result<LocalRootKey, Failure> {
    match instance.root_provider.as_str() {
        file::PROVIDER => open_file(&key_file(keeper, data_dir)),
        passphrase::PROVIDER => {
            let passphrase = match &keeper.passphrase_file {
                Some(path) => passphrase::read(path)?,
                None => ask("Passphrase of the root key: ")?,
            };
            Ok(passphrase::open(&passphrase, &instance.root_parameters)?)
        }
        other => Err(Failure::new(format!("this program knows no root key of the kind `{other}`"))
            .hint("use the version of strongroom that serves this instance")),
    }
}

/// What to do when the key at hand is another than the instance's.
pub(crate) fn remedy_for_wrong(provider: &str, keeper: &Keeper, data_dir: &DataDir) -> String {
    if provider == passphrase::PROVIDER {
        return "the passphrase is wrong; try again with the one that was given to `strongroom init`"
            .to_owned();
    }
    format!(
        "restore {} from its backup, or name the right file with --root-key-file",
        key_file(keeper, data_dir).display()
    )
}

/// Where the root key's file is.
pub(crate) fn key_file(keeper: &Keeper, data_dir: &DataDir) -> PathBuf {
    keeper.root_key_file.clone().unwrap_or_else(|| data_dir.root_key())
}

fn open_file(path: &Path) -> Result<LocalRootKey, Failure> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(Failure::new(format!("the root key {} is missing", path.display())).hint(
            "restore it from its backup, or name it with --root-key-file; without it only the recovery key opens the instance",
        ));
    }
    Ok(file::open(path)?)
}

fn orphaned(path: &Path, data_dir: &DataDir) -> Failure {
    Failure::new(format!(
        "{} exists, but there is no database in {}",
        path.display(),
        data_dir.path().display()
    ))
    .hint("restore the database from a backup; if there never was one, move the key file away and try again")
}

fn new_passphrase(keeper: &Keeper) -> Result<SecretString, Failure> {
    if let Some(path) = &keeper.passphrase_file {
        return Ok(passphrase::read(path)?);
    }
    let once = ask("New passphrase for the root key (at least 12 characters): ")?;
    let twice = ask("The same again: ")?;
    #[expect(clippy::disallowed_methods, reason = "the two entries are compared")]
    let same = once.expose_secret() == twice.expose_secret();
    if same {
        Ok(once)
    } else {
        Err(Failure::new("the two passphrases differ").hint("try again; nothing was created"))
    }
}

fn ask(prompt: &str) -> Result<SecretString, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new("the root key needs a passphrase, and there is no terminal to ask on")
            .hint("put it in a file of mode 0600 and name that with --passphrase-file"));
    }
    let entered = rpassword::prompt_password(prompt)
        .map_err(|error| Failure::because("the passphrase could not be read", &error))?;
    Ok(entered.into())
}
