//! The file in which a witness keeps heads: notes, an empty line behind each. Only ever
//! added to.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use strongroom_core::audit::note::{Checkpoint, VerifierKey};

use crate::commands::audit::held;
use crate::failure::Failure;

/// Heads that are kept.
pub(super) struct Kept {
    path: PathBuf,
    file: File,
    /// The last one, once it was read.
    last: Option<Checkpoint>,
}

impl Kept {
    /// Those in a file, which is made if it isn't there. One witness writes to it at a time.
    ///
    /// # Errors
    /// When it can't be written to.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(|error| unwritten(path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), file, last: None }),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(format!("another witness keeps heads in {}", path.display()))
                    .hint("name another file with --to"))
            }
            Err(TryLockError::Error(error)) => Err(unwritten(path, &error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a head already.
    pub(super) fn is_begun(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() > 0)
    }

    /// Where the keys are that are trusted.
    pub(super) fn keys_file(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".keys");
        PathBuf::from(name)
    }

    /// The last head, when one of these keys signed it.
    ///
    /// # Errors
    /// When it can't be read, or none of them did.
    pub(super) fn last(&mut self, keys: &[VerifierKey]) -> Result<Option<Checkpoint>, Failure> {
        if self.last.is_none()
            && let Some(last) = held::last_in(&self.path)?
        {
            self.last = Some(last.checkpoint(keys)?);
        }
        Ok(self.last.clone())
    }

    /// What there is to say when nothing came.
    pub(super) fn unchanged(&self) -> String {
        let size = self.last.as_ref().map_or(0, |last| last.size);
        format!("head over {}: kept in {} already", crate::commands::audit::events(size), self.path.display())
    }

    /// Adds a head, onto the disk.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn append(&mut self, note: &str, checkpoint: Checkpoint) -> Result<(), Failure> {
        let written =
            self.file.write_all(format!("{note}\n").as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| unwritten(&self.path, &error))?;
        self.last = Some(checkpoint);
        Ok(())
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("{} can't be written", path.display()), error)
        .hint("name a file that you can write to, on a disk with room")
}

/// Remembers which keys are trusted.
///
/// # Errors
/// When that can't be written.
pub(super) fn pin(file: &Path, keys: &[String]) -> Result<(), Failure> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || {
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(format!("{}\n", keys.join("\n")).as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, file)
    };
    write().map_err(|error| unwritten(file, &error))
}
