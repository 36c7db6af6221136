//! Files that only their owner may read. A key in a file that others can read
//! is refused instead of used.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// More than any key file here has; a larger one isn't a key file.
const MOST: u64 = 64 * 1024;

/// Why a private file could not be used. Messages carry paths, never contents.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner can read or write it.
    #[error("{path} has mode {mode:04o}, so others can read it; run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a link, a directory, a pipe, or too large for a key.
    #[error("{path} is not a plain file of at most 64 KiB; give the file itself, not a link to it")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {owner}, but this process runs as user {user}; run it as that user (sudo -u '#{owner}' strongroom …), or, if it is to be this one's from now on: chown {user} {path}"
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
}

/// Writes a new file that only its owner may read, and makes it durable, its
/// name in the directory too.
pub(crate) fn create(path: &Path, contents: &[u8]) -> Result<(), PrivateFileError> {
    let failed = |source| PrivateFileError::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written =
        file.write_all(contents).and_then(|()| file.sync_all()).and_then(|()| File::open(parent)?.sync_all());
    written.map_err(|source| {
        // Half a key helps nobody, and would stand in the way of the next try.
        let _ = std::fs::remove_file(path);
        failed(source)
    })
}

/// Reads a file that only its owner may read, and no link to one. The checks are
/// made on what was opened, so that a swap in between changes nothing.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    open(path, OFlags::NOFOLLOW | OFlags::NONBLOCK)
}

/// Reads a file that only its owner may read, also through a link: those who
/// renew a key that others gave out put a link to the newest in its place.
///
/// # Errors
/// When others may read the file that the link leads to, or it can't be read.
pub fn read_through_links(path: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    open(path, OFlags::NONBLOCK)
}

fn open(path: &Path, flags: OFlags) -> Result<Zeroizing<String>, PrivateFileError> {
    let failed = |source| PrivateFileError::Io { path: path.to_owned(), source };
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::LOOP) => PrivateFileError::NotAFile { path: path.to_owned() },
        _ => failed(error),
    })?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MOST {
        return Err(PrivateFileError::NotAFile { path: path.to_owned() });
    }
    let (mode, owner, user) = (metadata.mode() & 0o7777, metadata.uid(), rustix::process::geteuid().as_raw());
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Mode { path: path.to_owned(), mode });
    }
    if owner != user && owner != 0 {
        return Err(PrivateFileError::Owner { path: path.to_owned(), owner, user });
    }
    let mut contents = Zeroizing::new(String::with_capacity(usize::try_from(MOST).unwrap_or(0)));
    file.take(MOST).read_to_string(&mut contents).map_err(failed)?;
    Ok(contents)
}
