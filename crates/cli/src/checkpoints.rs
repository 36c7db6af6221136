//! Signed heads of the audit tree in the data directory: `checkpoints/latest`, and one for
//! each day before. Not in the database, so that whoever changes that is found by them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use strongroom_core::audit::Head;
use strongroom_core::audit::note::Checkpoint;
use strongroom_core::{App, with_causes};

use crate::failure::Failure;

/// The newest head.
const LATEST: &str = "latest";
/// Bytes in a file that could hold heads.
const MOST_BYTES: u64 = 1 << 20;

/// The heads that one server keeps.
pub(crate) struct Checkpoints {
    directory: PathBuf,
    /// The day of the newest head, and its size; `None`: none was noted since the start.
    last: Option<(String, u64)>,
    is_told: bool,
}

impl Checkpoints {
    /// Those in a data directory.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("checkpoints"), last: None, is_told: false }
    }

    /// Where they are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Compares the newest with the database. One that doesn't belong to what is there any
    /// more is put aside, so that it stays.
    pub(crate) async fn compare(&mut self, app: &App) {
        let Some(kept) = self.latest(app) else { return };
        match app.goes_on_from(&kept).await {
            Ok(true) => {}
            Ok(false) => {
                let aside = self.directory.join(format!("diverged-{}", kept.size));
                let moved = fs::rename(self.directory.join(LATEST), &aside);
                tracing::error!(
                    events = kept.size,
                    aside = %aside.display(),
                    moved = moved.is_ok(),
                    "audit.diverged: the record is not the one that this head was signed over; unless a backup was restored, the database was tampered with: run `strongroom audit verify`"
                );
            }
            Err(error) => tracing::error!(error = with_causes(&error), "audit.uncompared"),
        }
    }

    fn latest(&self, app: &App) -> Option<Checkpoint> {
        let text = fs::read_to_string(self.directory.join(LATEST)).ok()?;
        app.own_checkpoint(&text).ok()
    }

    /// Keeps a head, if it is newer.
    pub(crate) fn note(&mut self, head: &Head) {
        if self.last.as_ref().is_some_and(|(_, size)| *size == head.size) {
            return;
        }
        let day: String = head.at.rfc3339().unwrap_or_default().chars().take(10).collect();
        match self.write(&day, head) {
            Ok(()) => {
                self.last = Some((day, head.size));
                self.is_told = false;
            }
            Err(error) if !self.is_told => {
                self.is_told = true;
                let directory = self.directory.display();
                tracing::error!(%error, %directory, "audit.checkpoints: signed heads can't be kept outside the database");
            }
            Err(_) => {}
        }
    }

    fn write(&self, day: &str, head: &Head) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let latest = self.directory.join(LATEST);
        if let Some((before, _)) = self.last.as_ref().filter(|(before, _)| before != day) {
            fs::rename(&latest, self.directory.join(before))?;
        }
        // Servers may share the directory.
        let new = self.directory.join(format!(".new-{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(head.note.as_bytes())?;
        fs::rename(new, latest)
    }

    /// The files with heads of this instance that the record doesn't go on from, and how many
    /// of its heads there are.
    ///
    /// # Errors
    /// When one can't be read, or the tree can't.
    pub(crate) async fn left_behind(&self, app: &App) -> Result<(Vec<PathBuf>, usize), Failure> {
        let (mut left, mut own) = (Vec::new(), 0);
        let heads = self.read()?;
        // A server beside may have signed one of them since the record was looked at.
        app.store().look_again();
        for (path, note) in heads {
            let Ok(kept) = app.own_checkpoint(&note) else { continue };
            own += 1;
            let goes_on = app.goes_on_from(&kept).await;
            let unread = |error| Failure::because("the audit tree can't be followed", &error);
            if !goes_on.map_err(unread)? {
                left.push(path);
            }
        }
        Ok((left, own))
    }

    /// All of them, with the names of their files.
    ///
    /// # Errors
    /// When one can't be read.
    pub(crate) fn read(&self) -> Result<Vec<(PathBuf, String)>, Failure> {
        let unreadable = |path: &Path, error: &io::Error| {
            Failure::because(format!("{} can't be read", path.display()), error)
        };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| unreadable(&self.directory, &error))?,
        };
        let mut heads = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&self.directory, &error))?.path();
            let is_plain = path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
            let metadata = fs::symlink_metadata(&path).map_err(|error| unreadable(&path, &error))?;
            if is_plain && metadata.is_file() && metadata.len() <= MOST_BYTES {
                let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
                heads.push((path, text));
            }
        }
        heads.sort();
        Ok(heads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_core::Timestamp;

    fn head(size: u64, at: &str) -> Head {
        let at = Timestamp::parse(at).unwrap();
        Head { size, settled: 0, note: format!("log\n{size}\nroot\n\n— log signature\n"), at }
    }

    #[test]
    fn the_newest_is_kept_and_the_last_of_each_day() {
        let place = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::of(place.path());
        assert!(checkpoints.read().unwrap().is_empty());
        for (size, at) in [
            (1, "2026-11-07T10:00:00Z"),
            (2, "2026-11-07T23:59:59Z"),
            (3, "2026-11-08T00:00:00Z"),
            (3, "2026-11-09T00:00:00Z"),
        ] {
            checkpoints.note(&head(size, at));
        }
        let kept = checkpoints.read().unwrap();
        let kept: Vec<_> = kept
            .iter()
            .map(|(path, text)| (path.file_name().unwrap().to_str().unwrap(), text.lines().nth(1).unwrap()))
            .collect();
        assert_eq!(kept, [("2026-11-07", "2"), ("latest", "3")]);
    }
}
