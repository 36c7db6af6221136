//! What somebody holds against a record: verifier keys, and signed heads in files.

use std::fs;
use std::path::{Path, PathBuf};
use strongroom_core::audit::note::{self, Checkpoint, SignedHead, VerifierKey};

use crate::cli::audit::KeySource;
use crate::failure::{Exit, Failure};

/// Bytes in a file that could hold heads or keys.
const MOST_BYTES: u64 = 1 << 30;

/// A signed head, and the file that it is from.
pub(super) struct HeldHead {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) head: SignedHead,
}

impl HeldHead {
    /// What it says; with keys, only when one of them signed it.
    ///
    /// # Errors
    /// When none did.
    pub(super) fn checkpoint(&self, keys: &[VerifierKey]) -> Result<Checkpoint, Failure> {
        if keys.is_empty() {
            return Ok(self.head.unverified().clone());
        }
        self.head.verify(keys).cloned().map_err(|error| {
            Failure::new(format!("the head in {} can't be believed: {error}", self.path.display()))
                .hint("name a file of heads of this log, and the keys that it had then")
        })
    }
}

/// The newest heads in these files, one of each. In a file of a witness each was proven to
/// go on from those before it.
///
/// # Errors
/// When a file can't be read, or holds something else.
pub(super) fn newest(paths: &[PathBuf]) -> Result<Vec<HeldHead>, Failure> {
    let mut held = Vec::new();
    for path in paths {
        let newest = newest_in(path)?;
        if newest.is_empty() {
            return Err(Failure::new(format!("{} holds no signed head", path.display()))
                .hint("name a file that `strongroom audit witness` made, or leave it out"));
        }
        held.extend(newest);
    }
    Ok(held)
}

/// The heads of the largest size in a file: one, unless somebody signed different ones.
fn newest_in(path: &Path) -> Result<Vec<HeldHead>, Failure> {
    let mut newest: Vec<HeldHead> = Vec::new();
    for head in heads(path, &text(path)?) {
        let head = head?;
        let new = head.head.unverified();
        let largest = newest.first().map_or(0, |known| known.head.unverified().size);
        if new.size > largest {
            newest.clear();
        }
        if new.size >= largest && newest.iter().all(|known| known.head.unverified() != new) {
            newest.push(head);
        }
    }
    Ok(newest)
}

/// The last head in a file, if it has one.
///
/// # Errors
/// As [`newest`].
pub(super) fn last_in(path: &Path) -> Result<Option<HeldHead>, Failure> {
    heads(path, &text(path)?).last().transpose()
}

/// Every head in the text of a file, in its order.
fn heads<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Result<HeldHead, Failure>> + 'a {
    note::split(text).enumerate().map(|(at, note)| match SignedHead::parse(note) {
        Ok(head) => Ok(HeldHead { path: path.to_owned(), text: note.to_owned(), head }),
        Err(_) => Err(Failure::new(format!(
            "{} holds something else than signed heads, behind {at} of them",
            path.display()
        ))
        .hint("name a file that `strongroom audit witness` made, or a head as the server gave it; if a crash cut off the end, remove what is behind the last whole head")),
    })
}

/// The keys that these name.
///
/// # Errors
/// When one is neither a key nor a file of keys.
pub(super) fn keys(sources: &[KeySource]) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for KeySource(source) in sources {
        match source.parse() {
            Ok(key) => keys.push(key),
            Err(_) => keys.extend(keys_in(Path::new(source))?),
        }
    }
    Ok(keys)
}

/// The keys in a file, one a line; lines that begin with # are none.
///
/// # Errors
/// When there are none, or something else.
pub(super) fn keys_in(path: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let shown = path.display();
    if !path.exists() {
        return Err(Failure::new(format!("{shown} is neither a verifier key nor a file"))
            .hint("a key is NAME+ID+KEY, as `strongroom audit key` prints it; copy it whole")
            .exit(Exit::Usage));
    }
    let text = text(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<VerifierKey>, _> = lines.map(str::parse).collect();
    keys.ok().filter(|keys| !keys.is_empty()).ok_or_else(|| {
        Failure::new(format!("{shown} is no file of verifier keys"))
            .hint("it has one a line, NAME+ID+KEY, as `strongroom audit key` prints them")
    })
}

fn text(path: &Path) -> Result<String, Failure> {
    let unread =
        |error: &std::io::Error| Failure::because(format!("{} can't be read", path.display()), error);
    if fs::metadata(path).map_err(|error| unread(&error))?.len() > MOST_BYTES {
        return Err(Failure::new(format!("{} is too large", path.display()))
            .hint("a file of heads or keys has a few hundred bytes for each"));
    }
    fs::read_to_string(path).map_err(|error| unread(&error))
}
