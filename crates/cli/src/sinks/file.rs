//! A file that grows by a line an event and is put aside when it is large: `FILE.1` is the
//! one before, `FILE.2` the one before that.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::cli::Sinks;
use crate::failure::Failure;

/// The file, and how much of the past is kept.
#[derive(Clone)]
pub(super) struct File {
    path: PathBuf,
    most_bytes: u64,
    kept: u32,
}

impl File {
    /// The file of this name, which is made if it isn't there.
    ///
    /// # Errors
    /// When it can't be written to.
    pub(super) fn open(path: &Path, args: &Sinks) -> Result<Self, Failure> {
        let most_bytes = u64::from(args.audit_file_size) << 20;
        let file = Self { path: path.to_owned(), most_bytes, kept: args.audit_file_keep };
        file.append().map_err(|error| {
            Failure::because(format!("{} can't be written to", path.display()), &error)
                .hint("name another file with --audit-file, or let this user write there")
        })?;
        Ok(file)
    }

    fn append(&self) -> io::Result<fs::File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    /// Adds lines, and returns when they are on the disk.
    pub(super) async fn take(&self, lines: String) -> Result<(), String> {
        let file = self.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&lines)).await;
        let path = self.path.display();
        written.map_err(|error| error.to_string())?.map_err(|error| format!("{path}: {error}"))
    }

    fn write(&self, lines: &str) -> io::Result<()> {
        let mut file = self.append()?;
        // A line that was cut off, by whatever ended the machine, isn't to take the next with it.
        if !self.ends_in_a_line() {
            file.write_all(b"\n")?;
        }
        if file.metadata()?.len() >= self.most_bytes {
            self.put_aside()?;
            file = self.append()?;
        }
        let length = file.metadata()?.len();
        let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
        written.inspect_err(|_| cut(&file, length, lines.len()))
    }

    /// Also when it can't be told: whoever may write need not be able to read.
    fn ends_in_a_line(&self) -> bool {
        let end = || {
            let about = fs::metadata(&self.path).ok().filter(fs::Metadata::is_file)?;
            let mut end = [0];
            let last = about.len().checked_sub(1)?;
            fs::File::open(&self.path).ok()?.read_exact_at(&mut end, last).ok()?;
            Some(end)
        };
        end().is_none_or(|end| end == *b"\n")
    }

    fn put_aside(&self) -> io::Result<()> {
        for number in (1..self.kept).rev() {
            match fs::rename(self.earlier(number), self.earlier(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.kept == 0 { fs::remove_file(&self.path) } else { fs::rename(&self.path, self.earlier(1)) }
    }

    fn earlier(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

/// Takes away what got there of so many bytes, unless there is more: they come again, all of them.
fn cut(file: &fs::File, length: u64, bytes: usize) {
    let most = length.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    if file.metadata().is_ok_and(|about| about.is_file() && about.len() <= most) {
        let _kept_as_it_is = file.set_len(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_takes_no_other_with_it() {
        let place = tempfile::tempdir().unwrap();
        let file = File { path: place.path().join("audit"), most_bytes: 1 << 20, kept: 0 };
        file.write("one\n").unwrap();
        OpenOptions::new().append(true).open(&file.path).unwrap().write_all(b"tw").unwrap();
        file.write("two\n").unwrap();
        file.write("three\n").unwrap();
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "one\ntw\ntwo\nthree\n");
    }

    #[test]
    fn what_got_there_of_lines_that_come_again_is_taken_away() {
        let place = tempfile::tempdir().unwrap();
        let file = File { path: place.path().join("audit"), most_bytes: 1 << 20, kept: 0 };
        file.write("one\n").unwrap();
        for (more, left) in [("tw", "one\n"), ("two and another's\n", "one\ntwo and another's\n")] {
            let mut appended = file.append().unwrap();
            appended.write_all(more.as_bytes()).unwrap();
            cut(&appended, 4, "two\n".len());
            assert_eq!(fs::read_to_string(&file.path).unwrap(), left);
        }
    }

    #[test]
    fn a_large_file_is_put_aside_and_the_oldest_goes() {
        let place = tempfile::tempdir().unwrap();
        for kept in [0, 1, 3] {
            let file = File { path: place.path().join(format!("audit{kept}")), most_bytes: 4, kept };
            for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
                file.write(line).unwrap();
            }
            let read = |path: PathBuf| fs::read_to_string(path).ok();
            assert_eq!(read(file.path.clone()).as_deref(), Some("five\n"));
            let earlier: Vec<_> = (1..=4).filter_map(|number| read(file.earlier(number))).collect();
            let expected = ["four\n", "three\n", "two\n"];
            assert_eq!(earlier, expected[..usize::try_from(kept).unwrap()]);
        }
    }
}
