//! Events in a file, with what it takes to prove them: JSON Lines. A line is the leaf of
//! an event, or one of these:
//!
//! ```text
//! {"audit":"strongroom.audit/v1","log":ORIGIN}       first: which log it is of
//! {"skipped":{"leaves":4,"hash":BASE64}}             in the place of leaves that aren't here
//! {"checkpoint":NOTE}                                last: the signed head of it all
//! ```
//!
//! Leaves follow one another from the first. What belongs to somebody else, or wasn't asked
//! for, stands there as the hash of a complete subtree, so that the root can be computed
//! without it. Whoever has the verifier key needs nothing else.

use serde::{Deserialize, Serialize};

use super::note::{Checkpoint, NotSigned, SignedHead, VerifierKey};
use super::tree::{Frontier, Hash};

/// What a file of this form begins with.
const FORM: &str = "strongroom.audit/v1";

/// A line that is no event.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Begin { audit: String, log: String },
    Skipped { skipped: Skipped },
    End { checkpoint: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skipped {
    leaves: u64,
    hash: String,
}

#[expect(clippy::expect_used, reason = "strings and numbers can be written")]
fn json(line: &Line) -> String {
    serde_json::to_string(line).expect("a line of JSON")
}

/// The first line of a file of this log.
pub fn begin(origin: &str) -> String {
    json(&Line::Begin { audit: FORM.to_owned(), log: origin.to_owned() })
}

/// The line in the place of 2^`level` leaves.
pub fn skipped(level: u32, hash: Hash) -> String {
    json(&Line::Skipped { skipped: Skipped { leaves: 1 << level, hash: hash.to_string() } })
}

/// The last line.
pub fn end(note: &str) -> String {
    json(&Line::End { checkpoint: note.to_owned() })
}

/// Why a file proves nothing, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    /// It doesn't begin as it must.
    #[error("this is not the beginning of an exported audit")]
    Begin,
    /// A line can't be read.
    #[error("it can't be read")]
    Line,
    /// Skipped leaves where they can't be.
    #[error("leaves are skipped that can't be skipped here")]
    Skipped,
    /// Something behind the checkpoint.
    #[error("something follows the checkpoint")]
    Behind,
    /// The checkpoint is missing: the file was cut off.
    #[error("the checkpoint is missing: the end of the file was cut off")]
    CutOff,
    /// The checkpoint's signature.
    #[error("the checkpoint can't be believed: {0}")]
    Signature(#[from] NotSigned),
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log, {0}")]
    OtherLog(String),
    /// A head that is held is of another log.
    #[error("the checkpoint held is of another log, {0}")]
    HeldOfOther(String),
    /// Another number of leaves.
    #[error("there are {found} events, and the checkpoint is over {expected}")]
    Size {
        /// What the file has.
        found: u64,
        /// What the checkpoint says.
        expected: u64,
    },
    /// The hash over everything is another.
    #[error("the events are not those that the checkpoint was signed over")]
    Root,
    /// It doesn't go on from a checkpoint that is held.
    #[error("the first {0} events are not those that the checkpoint held was signed over")]
    Held(u64),
    /// It ends before a checkpoint that is held.
    #[error("it ends with {found} events, and the checkpoint held is over {held}")]
    Truncated {
        /// What the file has.
        found: u64,
        /// What the held checkpoint says.
        held: u64,
    },
    /// A held checkpoint lies within skipped leaves.
    #[error(
        "it can't be compared with the checkpoint over {0} events that is held; export it with that checkpoint"
    )]
    Astride(u64),
}

/// What a file that holds was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The head that it is proven by.
    pub head: Checkpoint,
    /// Whether a key that is trusted signed it; otherwise it agrees with itself, and
    /// anybody can have made it.
    pub is_signed: bool,
    /// Events in the file.
    pub events: u64,
    /// Leaves of which it has only hashes.
    pub skipped: u64,
}

/// Checks a file line by line; needs no memory for more than a line.
pub struct Checker {
    keys: Vec<VerifierKey>,
    held: Vec<Checkpoint>,
    log: Option<String>,
    tree: Frontier,
    events: u64,
    end: Option<SignedHead>,
}

impl Checker {
    /// A checker that trusts these keys, and demands that what is there goes on from
    /// these heads.
    pub fn new(keys: Vec<VerifierKey>, mut held: Vec<Checkpoint>) -> Self {
        held.sort_by_key(|held| held.size);
        held.reverse();
        Self { keys, held, log: None, tree: Frontier::default(), events: 0, end: None }
    }

    /// Takes the next line, without its end.
    ///
    /// # Errors
    /// When it can't be there.
    pub fn line(&mut self, line: &str) -> Result<(), Tampered> {
        if self.end.is_some() {
            return Err(Tampered::Behind);
        }
        if self.log.is_none() {
            let Ok(Line::Begin { audit, log }) = serde_json::from_str(line) else {
                return Err(Tampered::Begin);
            };
            if audit != FORM {
                return Err(Tampered::Begin);
            }
            if let Some(other) = self.held.iter().find(|held| held.origin != log) {
                return Err(Tampered::HeldOfOther(other.origin.clone()));
            }
            self.log = Some(log);
            return self.compare();
        }
        if line.starts_with("{\"sequence\":") {
            self.events += 1;
            self.tree.push_leaf(line.as_bytes()).map_err(|_| Tampered::Skipped)?;
            return self.compare();
        }
        self.other(serde_json::from_str(line).map_err(|_| Tampered::Line)?)
    }

    fn other(&mut self, line: Line) -> Result<(), Tampered> {
        match line {
            Line::Begin { .. } => Err(Tampered::Line),
            Line::Skipped { skipped: Skipped { leaves, hash } } => {
                let hash = Hash::parse(&hash).ok_or(Tampered::Line)?;
                if !leaves.is_power_of_two() {
                    return Err(Tampered::Skipped);
                }
                self.tree.push(leaves.trailing_zeros(), hash).map_err(|_| Tampered::Skipped)?;
                self.compare()
            }
            Line::End { checkpoint } => {
                self.end = Some(SignedHead::parse(&checkpoint)?);
                Ok(())
            }
        }
    }

    /// Holds what there is by now against the heads of that size.
    fn compare(&mut self) -> Result<(), Tampered> {
        while let Some(held) = self.held.last().filter(|held| held.size <= self.tree.size()) {
            if held.size < self.tree.size() {
                return Err(Tampered::Astride(held.size));
            }
            if held.root != self.tree.root() {
                return Err(Tampered::Held(held.size));
            }
            self.held.pop();
        }
        Ok(())
    }

    /// What the whole file is proven to be.
    ///
    /// # Errors
    /// When it isn't what was exported.
    pub fn finish(self) -> Result<Proven, Tampered> {
        let log = self.log.ok_or(Tampered::Begin)?;
        let end = self.end.ok_or(Tampered::CutOff)?;
        let is_signed = !self.keys.is_empty();
        let head = if is_signed { end.verify(&self.keys)? } else { end.unverified() };
        if head.origin != log {
            return Err(Tampered::OtherLog(head.origin.clone()));
        }
        let found = self.tree.size();
        if head.size != found {
            return Err(Tampered::Size { found, expected: head.size });
        }
        if head.root != self.tree.root() {
            return Err(Tampered::Root);
        }
        if let Some(held) = self.held.last() {
            return Err(Tampered::Truncated { found, held: held.size });
        }
        Ok(Proven { head: head.clone(), is_signed, events: self.events, skipped: found - self.events })
    }
}
