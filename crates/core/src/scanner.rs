//! Finds secret values in what a program writes, however it is cut into pieces,
//! and hides them. No I/O, no clock: the caller says when to let go of what may
//! still turn out to be a value.
//!
//! What it can't see: values of fewer than [`Scanner::MIN`] characters, and
//! values that are encoded twice, compressed, encrypted, or written in a form
//! that isn't listed at [`Scanner`] (base64 in lines, say). Base64 of a longer
//! text shares its outermost characters with the value's neighbours: they stay,
//! with up to four bits of the value at either end.

mod filter;
mod forms;
mod patterns;
mod prints;
mod redactor;
mod seams;
mod search;

use std::sync::Arc;
use std::time::Duration;

pub use redactor::Redactor;

use patterns::Patterns;
use search::{Found, Search};

/// What stands in the output where a value stood.
const MASK: &[u8] = b"***";

/// The values to look for. Each is found as it is; in base64 (standard and
/// URL-safe, with and without padding, also inside a longer text that is
/// encoded); in hexadecimal; percent-encoded, as for a URL's path or query, as
/// for a form, or every byte of it; and in JSON, with or without escapes for
/// what isn't ASCII, for `/`, and for what HTML minds; and in HTML. So is each line
/// of a value, without the white space around it, that has [`Self::MIN`] characters.
///
/// Memory grows with the length of the values: to 25 times it for one long line,
/// to 75 times it for letters in lines of eight, at worst to 260 times it, for
/// such lines of what every encoding escapes in its own way. To build takes a
/// few tenths of a second for 1 MiB, and time in proportion for less. To search
/// takes time in proportion to the output, whatever stands in it; only a value
/// that repeats itself, coming byte by byte, costs its length each time.
///
/// A clone shares the values. They are erased with the last one, the ends of
/// streams with their masker; lengths are not, nor what has left.
#[derive(Clone)]
pub struct Scanner(Arc<Patterns>);

impl Scanner {
    /// The shortest value that is looked for, in Unicode scalar values: shorter
    /// ones stand in ordinary output too often.
    pub const MIN: usize = 8;

    /// Takes the plain values; too short ones are left out.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(Arc::new(Patterns::new(values)))
    }

    /// Whether there is nothing to look for: no value, or too short ones.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of the values stands in this text.
    pub fn finds(&self, text: &[u8]) -> bool {
        self.0.stand(text)
    }

    /// Whether any of the values stands in this text, be it in capitals or not: for
    /// short texts such as names of headers, whose capitals don't count.
    pub fn finds_in_any_case(&self, text: &[u8]) -> bool {
        self.0.stand_in_any_case(text)
    }

    /// A finder with nothing seen yet: one for each stream.
    pub fn finder(&self) -> Finder {
        Finder { search: Search::new(Arc::clone(&self.0)), found: false }
    }

    /// A redactor with nothing seen yet: one for each stream.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(&self.0, false)
    }

    /// A redactor for a part of something, such as a range of a file: what it begins
    /// with may be the rest of a value.
    pub fn redactor_of_part(&self) -> Redactor {
        Redactor::new(&self.0, true)
    }

    /// A masker with nothing seen yet: one for each stream.
    pub fn masker(&self) -> Masker {
        Masker(Search::new(Arc::clone(&self.0)))
    }
}

/// The end of a stream that is the beginning of a value by chance isn't longer, in bytes.
pub const CHANCE: usize = 4;
/// How long a longer one is held in silence. Who fills a buffer before it writes cuts a value anywhere.
pub const HELD: Duration = Duration::from_secs(1);
/// From this length on what was held for too long leaves hidden: a value that comes slowly is not let
/// through in pieces.
pub const HIDDEN_LATE: usize = 8;

/// Hides the values in one stream. All bytes that belong to any value, also to
/// values that overlap or touch, become one `***`. What leaves is the same
/// however the stream is cut into pieces, and is late by no more than the
/// longest end of it that may be the beginning of a value.
pub struct Masker(Search);

impl Masker {
    /// Takes the next piece and appends what may leave now.
    pub fn push(&mut self, input: &[u8], output: &mut Vec<u8>) {
        self.0.push(input, |found| mask(found, output));
    }

    /// Whether something is held back as a possible beginning of a value.
    pub fn holds(&self) -> bool {
        self.0.holds()
    }

    /// How many bytes at the end of the stream a value begins with, be they held
    /// or gone; those of a URL's scheme aren't counted, which tell nothing.
    pub fn begun(&self) -> usize {
        self.0.begun() - self.0.scheme()
    }

    /// Lets go of what is held: at the end of the stream, or when it took too
    /// long. The beginning of a value that leaves this way is seen; what of it
    /// comes later is still hidden once all of it is there.
    pub fn flush(&mut self, output: &mut Vec<u8>) {
        self.0.flush(|found| mask(found, output));
    }

    /// Hides what is held, when it took too long and is too much of a value to be
    /// there by chance. What of it comes later is hidden with it.
    pub fn conceal(&mut self, output: &mut Vec<u8>) {
        self.0.conceal(|found| mask(found, output));
    }
}

/// Looks for values in one stream, however it is cut into pieces, and leaves it as it
/// is.
pub struct Finder {
    search: Search,
    found: bool,
}

impl Finder {
    /// Takes the next piece, and says whether a value was in the stream up to here.
    pub fn push(&mut self, input: &[u8]) -> bool {
        let found = &mut self.found;
        self.search.push(input, |piece| *found = *found || matches!(piece, Found::Hidden { .. }));
        self.found
    }
}

fn mask(found: Found<'_>, output: &mut Vec<u8>) {
    match found {
        Found::Clean(text) => output.extend_from_slice(text),
        Found::Hidden { goes_on: false, .. } => output.extend_from_slice(MASK),
        Found::Hidden { goes_on: true, .. } => {}
    }
}
