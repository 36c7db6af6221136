//! The files of root keys: a new one is made beside its place, and goes there when the instance
//! is under it; the old one stays beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use strongroom_core::{KeyId, RootKey as _};

use crate::cli::RootKeyKind;
use crate::failure::Failure;
use crate::root_key;

/// Keeps others out who would put a root key there.
pub(super) fn alone(place: &Path) -> Result<Option<fs::File>, Failure> {
    let Ok(directory) = fs::File::open(parent(place)) else { return Ok(None) };
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(fs::TryLockError::WouldBlock) => Err(Failure::new("the root key is being replaced already")
            .hint("wait until that is done, then look at `strongroom keys status`")),
        Err(fs::TryLockError::Error(error)) => {
            Err(Failure::because(format!("{} can't be locked", parent(place).display()), &error))
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses to put a root key where something else is than the instance's own, or what is left
/// of a rotation that was interrupted.
pub(super) fn vacant(place: &Path, staged: &Path, own: Option<KeyId>) -> Result<(), Failure> {
    let id = |path: &Path| strongroom_keys::file::open(path).ok().map(|key| key.id());
    let (here, next) = (id(place), id(staged));
    let is_own = own.is_some() && here.is_some() && [here, next].contains(&own);
    if place.symlink_metadata().is_ok() && !is_own {
        let there = "is there already, and is not the root key that is to be replaced";
        return Err(Failure::new(format!("{} {there}", place.display()))
            .hint("move it away, or name another place with --new-root-key-file"));
    }
    if next.is_none() && staged.symlink_metadata().is_ok_and(|metadata| metadata.len() > 0) {
        let there = "is there already, and is no root key of mode 0600";
        return Err(Failure::new(format!("{} {there}", staged.display()))
            .hint("move it away, or name another place with --new-root-key-file"));
    }
    Ok(())
}

/// A new root key that an interrupted rotation left, out of the way. Its transaction may still
/// come to its end: unless another one does, it comes back.
pub(super) struct Left {
    aside: PathBuf,
    staged: PathBuf,
}

impl Left {
    /// Another rotation came to its end.
    pub(super) fn forget(self) -> Result<(), Failure> {
        remove(&self.aside)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if self.staged.symlink_metadata().is_err() {
            let _gone = fs::rename(&self.aside, &self.staged);
        }
    }
}

/// Brings a rotation to its end that was interrupted when the instance was under the new key,
/// and puts aside what is left of one that was interrupted before.
pub(super) fn finish_interrupted(
    place: &Path,
    staged: &Path,
    own: Option<KeyId>,
) -> Result<Option<Left>, Failure> {
    let Ok(left) = strongroom_keys::file::open(staged) else {
        // Cut off when it was written, or somebody's.
        let is_empty =
            staged.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
        return if is_empty { remove(staged).map(|()| None) } else { Ok(None) };
    };
    if Some(left.id()) == own {
        put_aside(place)?;
        moved(staged, place)?;
        return Ok(None);
    }
    let aside = root_key::beside(place, &format!("was-{}", left.id()));
    moved(staged, &aside)?;
    Ok(Some(Left { aside, staged: staged.to_owned() }))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::because(format!("{} can't be removed", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Puts the files of root keys where they belong: the new one in its place, the old one beside it.
pub(super) fn settled(
    kind: RootKeyKind,
    (place, staged): (&Path, &Path),
    (old, own): (&Path, Option<KeyId>),
) -> Result<Option<PathBuf>, Failure> {
    // It may be the file of a root key that was added, or of another instance.
    let is_old = strongroom_keys::file::open(old).is_ok_and(|key| Some(key.id()) == own);
    let aside = if is_old { put_aside(old)? } else { None };
    if kind == RootKeyKind::File {
        put_aside(place)?;
        moved(staged, place)?;
    }
    Ok(aside)
}

/// Puts the file of a root key aside, under a name that says which key it is.
fn put_aside(place: &Path) -> Result<Option<PathBuf>, Failure> {
    let Ok(old) = strongroom_keys::file::open(place) else { return Ok(None) };
    let aside = root_key::beside(place, &format!("was-{}", old.id()));
    moved(place, &aside)?;
    Ok(Some(aside))
}

fn moved(from: &Path, to: &Path) -> Result<(), Failure> {
    let done = fs::rename(from, to).and_then(|()| fs::File::open(parent(to))?.sync_all());
    done.map_err(|error| {
        Failure::because(format!("{} can't be put at {}", from.display(), to.display()), &error)
            .hint("the instance is under the new root key already: move the file there yourself")
    })
}
