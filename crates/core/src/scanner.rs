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
mod search;

use std::sync::Arc;

use patterns::Patterns;
use search::{Found, Search};

/// What stands in the output where a value stood.
const MASK: &[u8] = b"***";

/// The values to look for. Each is found as it is; in base64 (standard and
/// URL-safe, with and without padding, also inside a longer text that is
/// encoded); in hexadecimal; percent-encoded, as for a URL's path or query, as
/// for a form, or every byte of it; and in JSON, with or without escapes for
/// what isn't ASCII, for `/`, and for what HTML minds. So is each line of a
/// value, without the white space around it, that has [`Self::MIN`] characters.
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

    /// A masker with nothing seen yet: one for each stream.
    pub fn masker(&self) -> Masker {
        Masker(Search::new(Arc::clone(&self.0)))
    }
}

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

    /// Lets go of what is held: at the end of the stream, or when it took too
    /// long. The beginning of a value that leaves this way is seen; what of it
    /// comes later is still hidden once all of it is there.
    pub fn flush(&mut self, output: &mut Vec<u8>) {
        self.0.flush(|found| mask(found, output));
    }
}

fn mask(found: Found<'_>, output: &mut Vec<u8>) {
    match found {
        Found::Clean(text) => output.extend_from_slice(text),
        Found::Hidden { goes_on: false } => output.extend_from_slice(MASK),
        Found::Hidden { goes_on: true } => {}
    }
}
