//! The root key: made for a new instance, found again for an old one. A
//! passphrase comes from a file or a hidden prompt, never from the command
//! line or a variable; so does whatever opens a key elsewhere.

use secrecy::{ExposeSecret, SecretString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use strongroom_core::instance::{Instance, RootCopy};
use strongroom_core::root_key::{LocalRootKey, RootKey};
use strongroom_core::{KeyId, OsRandom};
use strongroom_keys::remote::{Made, Remote};
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
    /// With somebody else who keeps it.
    Remote(Remote),
}

impl Plan {
    /// Finds out all that must be known before anything is created.
    ///
    /// # Errors
    /// When the file exists, there is no passphrase, or this program can't speak
    /// to who would keep it.
    pub(crate) fn new(kind: RootKeyKind, keeper: &Keeper, data_dir: &DataDir) -> Result<Self, Failure> {
        match kind {
            RootKeyKind::AwsKms => Self::elsewhere(Remote::AwsKms(keeper.kms.named())),
            RootKeyKind::Pkcs11 => Self::elsewhere(Remote::Pkcs11(keeper.pkcs11.named())),
            RootKeyKind::Transit => Self::elsewhere(Remote::Transit(keeper.transit.named())),
            RootKeyKind::Passphrase => Ok(Self::Passphrase(new_passphrase(keeper.passphrase_file.as_ref())?)),
            RootKeyKind::File => {
                let path = key_file(keeper, data_dir);
                match path.symlink_metadata() {
                    Err(_) => Ok(Self::File(path)),
                    Ok(_) => Err(orphaned(&path, data_dir)),
                }
            }
        }
    }

    pub(crate) fn elsewhere(remote: Remote) -> Result<Self, Failure> {
        remote.built()?;
        Ok(Self::Remote(remote))
    }

    /// Makes the key, and what the instance must remember of how.
    ///
    /// # Errors
    /// When the file can't be written, the passphrase is too short, or who keeps
    /// the key has none.
    pub(crate) async fn create(&self, files: &mut Traces) -> Result<Made, Failure> {
        match self {
            Self::File(path) => {
                let key = file::create(path, &OsRandom)?;
                files.made(path.clone());
                Ok(local(key, String::new()))
            }
            Self::Passphrase(passphrase) => {
                let (key, parameters) = passphrase::create(passphrase, &OsRandom)?;
                Ok(local(key, parameters))
            }
            Self::Remote(remote) => Ok(remote.create().await?),
        }
    }
}

fn local(key: LocalRootKey, parameters: String) -> Made {
    Made { key: Box::new(key), parameters, note: None }
}

/// A root key as a database names it, unproven.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) provider: String,
    pub(crate) parameters: String,
    pub(crate) id: KeyId,
}

impl From<&Instance> for Named {
    fn from(instance: &Instance) -> Self {
        let (provider, parameters) = (instance.root_provider.clone(), instance.root_parameters.clone());
        Self { provider, parameters, id: instance.root_key_id }
    }
}

impl From<&RootCopy> for Named {
    fn from(copy: &RootCopy) -> Self {
        Self { provider: copy.provider.clone(), parameters: copy.parameters.clone(), id: copy.key_id }
    }
}

/// The root key of this name.
///
/// # Errors
/// When it isn't at hand; says where it was looked for.
pub(crate) async fn open(
    named: &Named,
    keeper: &Keeper,
    data_dir: &DataDir,
) -> Result<Box<dyn RootKey>, Failure> {
    if let Some(remote) = keeper.remote(&named.provider) {
        return Ok(remote.open(&named.parameters).await?);
    }
    match named.provider.as_str() {
        file::PROVIDER => Ok(Box::new(open_file(&key_file(keeper, data_dir), named.id)?)),
        passphrase::PROVIDER => {
            let passphrase = match &keeper.passphrase_file {
                Some(path) => passphrase::read(path)?,
                None => ask("Passphrase of the root key: ")?,
            };
            Ok(Box::new(passphrase::open(&passphrase, &named.parameters)?))
        }
        other => Err(Failure::new(format!("this program knows no root key of the kind `{other}`"))
            .hint("use the version of strongroom that serves this instance")),
    }
}

/// What to do when the key at hand is another than the instance's.
pub(crate) fn remedy_for_wrong(provider: &str, keeper: &Keeper, data_dir: &DataDir) -> String {
    match provider {
        passphrase::PROVIDER => {
            "the passphrase is wrong; try again with the one that was given to `strongroom init`, or to the last `strongroom keys rotate root`".to_owned()
        }
        file::PROVIDER => format!(
            "restore {} from its backup, or name the right file with --root-key-file",
            key_file(keeper, data_dir).display()
        ),
        // Its id comes from the same row as its name.
        _ => "the database was altered or is damaged: restore a backup".to_owned(),
    }
}

/// Where the root key's file is.
pub(crate) fn key_file(keeper: &Keeper, data_dir: &DataDir) -> PathBuf {
    keeper.root_key_file.clone().unwrap_or_else(|| data_dir.root_key())
}

fn open_file(path: &Path, id: KeyId) -> Result<LocalRootKey, Failure> {
    // A rotation that was interrupted may have left it beside its place.
    let places = [path.to_owned(), beside(path, "new"), beside(path, &format!("was-{id}"))];
    let found = places.iter().filter_map(|place| file::open(place).ok()).find(|key| key.id() == id);
    if let Some(key) = found {
        return Ok(key);
    }
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(Failure::new(format!("the root key {} is missing", path.display())).hint(
            "restore it from its backup, or name it with --root-key-file; without it only the recovery key opens the instance",
        ));
    }
    Ok(file::open(path)?)
}

/// A file beside this one: its name, a dot, and this.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn orphaned(path: &Path, data_dir: &DataDir) -> Failure {
    Failure::new(format!(
        "{} exists, but there is no database in {}",
        path.display(),
        data_dir.path().display()
    ))
    .hint("restore the database from a backup; if there never was one, move the key file away and try again")
}

/// A passphrase that is set now.
///
/// # Errors
/// When it can't be read, or the two entries differ.
pub(crate) fn new_passphrase(file: Option<&PathBuf>) -> Result<SecretString, Failure> {
    if let Some(path) = file {
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
