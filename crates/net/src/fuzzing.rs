//! What the fuzzer gets to call; compiled for it only.

use crate::head::Screen;
use crate::limits::Limits;

/// Screens a stream whole and in pieces, whose size its first byte gives.
///
/// # Panics
/// When the two disagree.
pub fn request_heads(bytes: &[u8]) {
    let whole = Screen::new(&Limits::default()).read(bytes).map_err(|v| (v.heads, v.good, v.refusal));
    let piece = usize::from(bytes.first().copied().unwrap_or(0) % 16) + 1;
    let mut screen = Screen::new(&Limits::default());
    let (mut heads, mut good, mut violation) = (0, 0, None);
    for bytes in bytes.chunks(piece) {
        match screen.read(bytes) {
            Ok(more) => heads += more,
            Err(found) => {
                violation = Some((heads + found.heads, good + found.good, found.refusal));
                break;
            }
        }
        good += bytes.len();
    }
    assert_eq!(whole, violation.map_or(Ok(heads), Err));
}
