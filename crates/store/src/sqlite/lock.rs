//! Keeps a second server out of a data directory, for as long as this one
//! lives: the system lets go of the lock when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{LOCK, OpenError};

/// A held lock.
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not left to the closing of the file: a program that is just being started
        // has a copy of it, until it runs. Closing it is all that is left otherwise.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock and leaves this process's id in it, for whoever is refused.
    pub(super) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(LOCK);
        let io = |source| OpenError::Io { path: path.clone(), source };
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let mut file = options.open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let pid =
                    (&file).take(16).read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
                return Err(OpenError::Locked { directory: directory.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { file })
    }
}
