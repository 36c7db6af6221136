//! A file that is written beside its place, and gets there when it is whole: under its
//! name is nothing, what was there before, or all of it. Only its owner can read it.

use rustix::fs::{AtFlags, CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with, statat};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file on its way to its place. Removed unless it gets there.
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    place: PathBuf,
    replaces: bool,
    is_kept: bool,
}

impl Partial {
    /// Begins one for this place.
    ///
    /// # Errors
    /// When something is there that it should not replace, or it can't be written.
    pub(crate) fn begin(place: &Path, replaces: bool) -> Result<Self, Failure> {
        if place.is_dir() {
            return Err(Failure::new(format!("{} is a directory", place.display())).hint("name a file in it"));
        }
        if !replaces && place.symlink_metadata().is_ok() {
            return Err(taken(place));
        }
        let mut name = place.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        let file = open(&path).map_err(|error| refused(&path, &error))?;
        Ok(Self { file, path, place: place.to_owned(), replaces, is_kept: false })
    }

    /// Puts it in its place, durably.
    ///
    /// # Errors
    /// When the system refuses, or something came there meanwhile.
    pub(crate) fn keep(mut self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| refused(&self.path, &error))?;
        self.rename().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(&self.place),
            _ => refused(&self.place, &error),
        })?;
        self.is_kept = true;
        let parent = self.place.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| refused(parent, &error))
    }

    fn rename(&self) -> io::Result<()> {
        if self.replaces {
            return fs::rename(&self.path, &self.place);
        }
        match renameat_with(CWD, &self.path, CWD, &self.place, RenameFlags::NOREPLACE) {
            // A file system without that; whoever is as quick as this finds theirs replaced.
            Err(Errno::INVAL | Errno::NOSYS) if self.place.symlink_metadata().is_err() => {
                fs::rename(&self.path, &self.place)
            }
            Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
            renamed => Ok(renamed?),
        }
    }
}

/// Opens it for this process alone; what a killed one left there is overwritten.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0)).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => io::Error::other("another process is writing it"),
        other => other.into(),
    })?;
    let metadata = file.metadata()?;
    // Whoever had it before may just have put it in its place.
    let named = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
    if !metadata.is_file() || (named.st_ino, named.st_dev) != (metadata.ino(), metadata.dev()) {
        return Err(io::Error::other("another process is writing it"));
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    Ok(file)
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("{} can't be written", path.display()), error)
}

fn taken(place: &Path) -> Failure {
    Failure::new(format!("{} exists already", place.display()))
        .hint("name another file, or add --force to replace it")
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            let _absent = fs::remove_file(&self.path);
        }
    }
}
