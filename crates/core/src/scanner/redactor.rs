//! Hides values without a change of any length, so that what counts bytes (frames,
//! lengths in headers, offsets) stays true.

use std::sync::Arc;
use zeroize::Zeroizing;

use super::patterns::{Patterns, append};
use super::search::{Found, Search};

/// What stands for each byte of a value.
const STAR: u8 = b'*';
/// A shorter rest of a value at the beginning of a part is left: it stands there by
/// chance, too.
const REST: usize = 4;

/// Hides the values in one stream: each byte that belongs to any of them becomes a
/// `*`. What leaves is the same however the stream is cut into pieces, and is late by
/// no more than the longest end of it that may be the beginning of a value.
pub struct Redactor {
    search: Search,
    /// Of a part: its beginning, while that may be the rest of a value.
    opening: Option<Zeroizing<Vec<u8>>>,
    /// How many of the next bytes are the rest of a value.
    owed: usize,
}

impl Redactor {
    pub(super) fn new(patterns: &Arc<Patterns>, is_part: bool) -> Self {
        let opening = (is_part && !patterns.is_empty()).then(Zeroizing::default);
        Self { search: Search::new(Arc::clone(patterns)), opening, owed: 0 }
    }

    /// Takes the next piece and appends what may leave now.
    pub fn push(&mut self, input: &[u8], output: &mut Vec<u8>) {
        if let Some(mut opening) = self.opening.take() {
            append(&mut opening, input);
            self.open(opening, false, output);
        } else {
            self.search(input, output);
        }
    }

    /// Like [`Self::push`], but what the piece begins with isn't copied if it may leave
    /// as it is: says how many bytes that are. They come before what is appended.
    pub fn pass(&mut self, input: &[u8], output: &mut Vec<u8>) -> usize {
        if self.opening.is_some() || self.owed > 0 {
            self.push(input, output);
            return 0;
        }
        let (mut passed, before) = (0, output.len());
        self.search.push(input, |found| match found {
            // What was held is in other memory.
            Found::Clean(text) if output.len() == before && text.as_ptr() == input.as_ptr() => {
                passed = text.len();
            }
            found => redact(found, &mut 0, output),
        });
        passed
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.search.held() + self.opening.as_ref().map_or(0, |opening| opening.len())
    }

    /// How many bytes at the end of the stream a value begins with, be they held or
    /// gone.
    pub fn begun(&self) -> usize {
        self.search.begun()
    }

    /// Lets go of what is held: at the end of the stream, or when it took too long. If
    /// a value begins with `hidden_from` bytes or more at the end of the stream, what
    /// is held of them leaves as stars, otherwise as it is. What comes later is still
    /// hidden once all of a value is there.
    pub fn release(&mut self, hidden_from: usize, output: &mut Vec<u8>) {
        if let Some(opening) = self.opening.take().filter(|opening| !opening.is_empty()) {
            self.open(opening, true, output);
        }
        let hides = self.search.begun() >= hidden_from;
        let owed = &mut self.owed;
        self.search.flush(|found| {
            *owed = if hides { usize::MAX } else { *owed };
            redact(found, owed, output);
        });
        self.owed = if hides { 0 } else { self.owed };
    }

    /// Hides the rest of a value that a part begins with, if enough is there to tell.
    fn open(&mut self, opening: Zeroizing<Vec<u8>>, is_over: bool, output: &mut Vec<u8>) {
        let tail = self.search.patterns().tail(&opening, is_over);
        match tail.filter(|_| is_over || !opening.is_empty()) {
            None => self.opening = Some(opening),
            Some(tail) => {
                self.owed = if tail < REST { 0 } else { tail };
                self.search(&opening, output);
            }
        }
    }

    fn search(&mut self, input: &[u8], output: &mut Vec<u8>) {
        let owed = &mut self.owed;
        self.search.push(input, |found| redact(found, owed, output));
    }
}

fn redact(found: Found<'_>, owed: &mut usize, output: &mut Vec<u8>) {
    let (hidden, clean) = match found {
        Found::Clean(text) => text.split_at(text.len().min(*owed)),
        Found::Hidden { length, .. } => {
            output.resize(output.len() + length, STAR);
            *owed = owed.saturating_sub(length);
            return;
        }
    };
    *owed -= hidden.len();
    output.resize(output.len() + hidden.len(), STAR);
    output.extend_from_slice(clean);
}
