//! The record that proves itself: every event becomes a leaf of a Merkle tree (RFC 6962),
//! whose signed heads anybody may keep. Who holds a head, or sees one published, can tell
//! whether what came before it was edited, deleted, put in or moved since.
//!
//! What is younger than the last head, about a second, is not covered yet; and a head
//! proves what is stored, not that everything was recorded.

pub mod file;
pub mod line;
pub mod note;
pub mod tiles;
pub mod tree;
pub mod webhook;

use crate::clock::Timestamp;
use crate::store::StoreError;
use tiles::{Place, Tile};

/// The newest head, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves the tree has.
    pub size: u64,
    /// Every event up to this place in the record has its leaf, or will never be there.
    pub settled: i64,
    /// The signed head.
    pub note: String,
    /// When it was signed.
    pub at: Timestamp,
}

/// Events that follow one another in the record and in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The leaf of the first.
    pub leaf: u64,
    /// The place of the first in the record.
    pub sequence: i64,
    /// How many they are; at least one.
    pub count: u64,
}

impl Span {
    /// The place in the record behind its last event.
    pub fn end(&self) -> i64 {
        self.sequence.saturating_add(i64::try_from(self.count).unwrap_or(i64::MAX))
    }

    /// The leaf behind its last one.
    pub fn end_leaf(&self) -> u64 {
        self.leaf.saturating_add(self.count)
    }

    /// The leaf of the event at this place in the record, if it is one of these.
    pub fn leaf_of(&self, sequence: i64) -> Option<u64> {
        let offset = u64::try_from(sequence.checked_sub(self.sequence)?).ok()?;
        (offset < self.count).then(|| self.leaf + offset)
    }
}

/// Places in the record, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

/// What makes leaves of events: stored whole, or not at all.
pub struct Sealing {
    /// How many leaves there were before; the store refuses when there are more by now.
    pub was: u64,
    /// The new head.
    pub head: Head,
    /// New spans, and the last one from before where it became longer.
    pub spans: Vec<Span>,
    /// New tiles, and those that became fuller.
    pub tiles: Vec<(Place, Tile)>,
}

/// Where something in the tree isn't what it must be.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signed head, or what it is over.
    #[error("the audit tree is not what its last head says: the database was altered or is damaged")]
    Tree,
}
