//! Where a text that begins in the middle of something meets a pattern: how much
//! of the pattern's end it begins with (Knuth, Morris and Pratt).

/// How a text meets a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// All of the text is in the pattern, which may go on behind it.
    Inside,
    /// The pattern ends with so many of the bytes that the text begins with.
    Ends(usize),
}

/// The beginning of a text.
pub(super) struct Seam<'a> {
    text: &'a [u8],
    /// For each length but 0: the longest shorter beginning that also ends there.
    borders: Vec<usize>,
}

impl<'a> Seam<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let mut seam = Self { text, borders: Vec::with_capacity(text.len()) };
        seam.borders.extend(text.first().map(|_| 0));
        let mut length = 0;
        for byte in text.iter().skip(1) {
            length = seam.next(length, *byte);
            seam.borders.push(length);
        }
        seam
    }

    pub(super) fn meet(&self, pattern: &[u8]) -> Meeting {
        let mut length = 0;
        for byte in pattern {
            length = self.next(length, *byte);
            if length == self.text.len() {
                return Meeting::Inside;
            }
        }
        Meeting::Ends(length)
    }

    /// How much of the text ends with this byte, when before it so much did.
    fn next(&self, mut length: usize, byte: u8) -> usize {
        loop {
            if self.text.get(length) == Some(&byte) {
                return length + 1;
            }
            match length.checked_sub(1).and_then(|before| self.borders.get(before)) {
                Some(border) => length = *border,
                None => return 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_meets_is_what_plain_comparisons_say(text in "[ab]{1,6}", pattern in "[ab]{0,12}") {
            let meeting = Seam::new(text.as_bytes()).meet(pattern.as_bytes());
            let ends = |length: &usize| pattern.ends_with(&text[..*length]);
            let expected = if pattern.contains(&text) {
                Meeting::Inside
            } else {
                Meeting::Ends((0..=text.len()).rev().find(ends).unwrap_or(0))
            };
            prop_assert_eq!(meeting, expected);
        }
    }
}
