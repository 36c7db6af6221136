//! The directory that holds an instance: what lies where in it, and cleaning
//! up after a creation that didn't come to its end.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use strongroom_store::sqlite;

use crate::failure::Failure;

/// A data directory, whether it exists or not.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// The directory of this name.
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its path, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Its path from the root, for messages that are read elsewhere.
    pub(crate) fn absolute(&self) -> PathBuf {
        resolved(&self.0)
    }

    /// Where the root key is unless it is kept elsewhere.
    pub(crate) fn root_key(&self) -> PathBuf {
        self.0.join("root.key")
    }

    /// The database itself.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join(sqlite::FILE)
    }

    /// Every file that a store may have here.
    pub(crate) fn store_files(&self) -> [PathBuf; sqlite::FILES.len()] {
        sqlite::FILES.map(|name| self.0.join(name))
    }

    /// Whether a file at this path would lie in the directory, however either
    /// is spelled.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        resolved(path).starts_with(resolved(&self.0))
    }

    /// Refuses a directory that others could look into or change.
    ///
    /// # Errors
    /// When it exists and is lax, or is no directory.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match fs::metadata(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::because(format!("{} can't be looked at", self.0.display()), &error)),
            Ok(metadata) => private(&self.0, &metadata, 0o700),
        }
    }
}

/// Refuses what others than its owner may use.
///
/// # Errors
/// When the mode or the owner is not as it should be; says which command helps.
pub(crate) fn private(path: &Path, metadata: &Metadata, mode: u32) -> Result<(), Failure> {
    let (present, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let user = rustix::process::geteuid().as_raw();
    let path = path.display();
    if metadata.is_symlink() {
        return Err(Failure::new(format!("{path} is a link")).hint("put the file itself in its place"));
    }
    if (mode == 0o700) != metadata.is_dir() {
        let kind = if metadata.is_dir() { "is a directory" } else { "is not a directory" };
        return Err(Failure::new(format!("{path} {kind}")));
    }
    if present & 0o077 != 0 {
        return Err(Failure::new(format!(
            "{path} has mode {present:04o}, so others than its owner can use it"
        ))
        .hint(format!("run: chmod {mode:o} {path}")));
    }
    if owner != user && user != 0 {
        return Err(Failure::new(format!("{path} belongs to user {owner}, but this is user {user}"))
            .hint(format!("run as that user, or: chown {user} {path}")));
    }
    Ok(())
}

/// What a creation has made so far; removed again unless it is kept.
#[derive(Default)]
pub(crate) struct Traces {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Traces {
    /// Makes the directory and those above it that are missing, mode 0700.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn make_directory(&mut self, path: &Path) -> Result<(), Failure> {
        let missing: Vec<_> = path
            .ancestors()
            .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
            .map(Path::to_owned)
            .collect();
        for directory in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => self.directories.push(directory.clone()),
                // Somebody was quicker: it is theirs.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let what = format!("the directory {} can't be made", directory.display());
                    return Err(Failure::because(what, &error));
                }
            }
            sync_parent(&directory)?;
        }
        Ok(())
    }

    /// Notes a file that this creation made. Never before it did: until then it
    /// may become somebody else's.
    pub(crate) fn made(&mut self, path: PathBuf) {
        self.files.push(path);
    }

    /// What was made stays.
    pub(crate) fn keep(mut self) {
        self.files.clear();
        self.directories.clear();
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        for file in &self.files {
            let _absent = fs::remove_file(file);
        }
        for directory in self.directories.iter().rev() {
            let _in_use = fs::remove_dir(directory);
        }
    }
}

/// Makes the name of a new entry durable.
fn sync_parent(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(|error| Failure::because(format!("{} can't be made durable", parent.display()), &error))
}

/// The path without links and dots, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match existing {
        Some((ancestor, real)) => match absolute.strip_prefix(ancestor) {
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => absolute,
        },
        None => absolute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_is_found_however_it_is_spelled() {
        let place = tempfile::tempdir().unwrap();
        let data = DataDir::new(&place.path().join("data"));
        assert!(data.contains(&place.path().join("data/recovery.key")));
        assert!(data.contains(&place.path().join("data/deep/recovery.key")));
        assert!(!data.contains(&place.path().join("data2/recovery.key")));
        assert!(!data.contains(&place.path().join("recovery.key")));
        fs::create_dir(place.path().join("data")).unwrap();
        std::os::unix::fs::symlink(place.path().join("data"), place.path().join("link")).unwrap();
        assert!(data.contains(&place.path().join("link/recovery.key")));
        assert!(data.contains(&place.path().join("link/../data/recovery.key")));
    }

    #[test]
    fn traces_go_unless_they_are_kept_and_strangers_stay() {
        let place = tempfile::tempdir().unwrap();
        let (deep, old) = (place.path().join("a/b"), place.path().join("old"));
        fs::write(&old, "").unwrap();
        let make = || {
            let mut traces = Traces::default();
            traces.make_directory(&deep).unwrap();
            fs::write(deep.join("new"), "").unwrap();
            traces.made(deep.join("new"));
            traces
        };
        drop(make());
        assert!(!place.path().join("a").exists() && old.exists());
        make().keep();
        assert!(deep.join("new").exists());
    }
}
