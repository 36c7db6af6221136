//! The search in one stream, apart from what is done with what is found.

use std::sync::Arc;
use zeroize::Zeroizing;

use super::patterns::{HEAD, Patterns, append};
use super::prints::Trail;

/// A stretch of the stream, in order and without gaps.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    /// Belongs to no value.
    Clean(&'a [u8]),
    /// Belongs to values.
    Hidden {
        /// Whether it follows such a stretch without anything between.
        goes_on: bool,
        /// How many bytes it has.
        length: usize,
    },
}

pub(super) struct Search {
    patterns: Arc<Patterns>,
    /// The longest end of the stream that a pattern begins with.
    kept: Zeroizing<Vec<u8>>,
    /// How much of what is kept was handed over all the same: it belongs to a
    /// shorter pattern, or took too long.
    done: usize,
    /// Whether what was handed over last is hidden.
    hidden: bool,
    trail: Trail,
}

impl Search {
    pub(super) fn new(patterns: Arc<Patterns>) -> Self {
        Self { patterns, kept: Zeroizing::default(), done: 0, hidden: false, trail: Trail::default() }
    }

    pub(super) fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    pub(super) fn push(&mut self, input: &[u8], mut give: impl FnMut(Found<'_>)) {
        if self.patterns.is_empty() {
            give(Found::Clean(input));
        } else if self.kept.is_empty() {
            let start = self.scan(input, &mut give);
            append(&mut self.kept, input.get(start..).unwrap_or_default());
        } else {
            let mut text = std::mem::take(&mut self.kept);
            append(&mut text, input);
            let start = self.scan(&text, &mut give);
            text.drain(..start);
            self.kept = text;
        }
    }

    pub(super) fn holds(&self) -> bool {
        self.held() > 0
    }

    /// The bytes that were not handed over yet.
    pub(super) fn held(&self) -> usize {
        self.kept.len().saturating_sub(self.done)
    }

    /// The length of the longest end of the stream that a pattern begins with.
    pub(super) fn begun(&self) -> usize {
        self.kept.len()
    }

    /// How many of them are the scheme of a URL, up to its two slashes.
    pub(super) fn scheme(&self) -> usize {
        let Some(slashes) = self.kept.windows(3).position(|three| three == b"://") else { return 0 };
        let mut scheme = self.kept.iter().take(slashes);
        if scheme.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)) { slashes + 3 } else { 0 }
    }

    pub(super) fn flush(&mut self, mut give: impl FnMut(Found<'_>)) {
        if self.holds() {
            let text = std::mem::take(&mut self.kept);
            let patterns = Arc::clone(&self.patterns);
            let mut from = 1;
            while let Some(at) = patterns.next_head(&text, from) {
                let hit = patterns.look(&text, at, &mut self.trail).hit;
                self.hide(&text, at, hit, &mut give);
                from = at + 1;
            }
            self.release(&text, text.len(), &mut give);
            self.kept = text;
        }
    }

    /// Hands over what is held as if it belonged to a value, all of it.
    pub(super) fn conceal(&mut self, mut give: impl FnMut(Found<'_>)) {
        let text = std::mem::take(&mut self.kept);
        self.hide(&text, self.done, text.len().saturating_sub(self.done), &mut give);
        self.kept = text;
    }

    /// Hands over what can't be the beginning of a pattern, and says where the
    /// rest starts.
    fn scan(&mut self, text: &[u8], give: &mut impl FnMut(Found<'_>)) -> usize {
        let start = self.scan_heads(text, give);
        self.release(text, start, give);
        self.trail.forget(start);
        self.done = self.done.saturating_sub(start);
        start
    }

    fn scan_heads(&mut self, text: &[u8], give: &mut impl FnMut(Found<'_>)) -> usize {
        let patterns = Arc::clone(&self.patterns);
        let mut from = 0;
        while let Some(at) = patterns.next_head(text, from) {
            let look = patterns.look(text, at, &mut self.trail);
            self.hide(text, at, look.hit, give);
            if look.open {
                return at;
            }
            from = at + 1;
        }
        let mut open = from.max(text.len().saturating_sub(HEAD - 1))..text.len();
        let begins = |at: &usize| {
            patterns.may_begin(text.get(*at..).unwrap_or_default())
                && patterns.look(text, *at, &mut self.trail).open
        };
        open.find(begins).unwrap_or(text.len())
    }

    fn hide(&mut self, text: &[u8], at: usize, length: usize, give: &mut impl FnMut(Found<'_>)) {
        if length > 0 && at + length > self.done {
            self.release(text, at, give);
            let length = at + length - self.done.max(at);
            give(Found::Hidden { goes_on: self.hidden, length });
            self.done = self.done.max(at) + length;
            self.hidden = true;
        }
    }

    fn release(&mut self, text: &[u8], until: usize, give: &mut impl FnMut(Found<'_>)) {
        if let Some(clean) = text.get(self.done..until).filter(|clean| !clean.is_empty()) {
            give(Found::Clean(clean));
            self.done = until;
            self.hidden = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What should leave, found by trying every pattern at every place.
    struct Model {
        patterns: Vec<Vec<u8>>,
    }

    impl Model {
        /// Of a text that goes on: up to the longest end that a longer pattern
        /// begins with. Each hidden stretch is a star.
        fn output(&self, text: &[u8], goes_on: bool) -> Vec<u8> {
            let mut hidden = vec![false; text.len()];
            for at in 0..text.len() {
                let hits = self.patterns.iter().filter(|pattern| text[at..].starts_with(pattern));
                let longest = hits.map(Vec::len).max().unwrap_or(0);
                hidden[at..at + longest].fill(true);
            }
            let begins =
                |rest: &[u8], pattern: &[u8]| pattern.len() > rest.len() && pattern.starts_with(rest);
            let open = |at: &usize| self.patterns.iter().any(|pattern| begins(&text[*at..], pattern));
            let held = (0..text.len()).filter(|_| goes_on).find(open).unwrap_or(text.len());
            let mut output = Vec::new();
            for (at, byte) in text.iter().enumerate() {
                match hidden[at] {
                    false if at >= held => break,
                    false => output.push(*byte),
                    true if at > 0 && hidden[at - 1] => {}
                    true => output.push(b'*'),
                }
            }
            output
        }
    }

    fn star(found: Found<'_>, output: &mut Vec<u8>) {
        match found {
            Found::Clean(text) => output.extend(text),
            Found::Hidden { goes_on: false, .. } => output.push(b'*'),
            Found::Hidden { goes_on: true, .. } => {}
        }
    }

    /// Holds the search against the model after each piece.
    fn check(values: &[Vec<u8>], text: &[u8], cuts: &[usize]) {
        let patterns = Arc::new(Patterns::new(values.iter().map(Vec::as_slice)));
        let model = Model { patterns: patterns.all() };
        let mut search = Search::new(Arc::clone(&patterns));
        let (mut seen, mut output) = (0, Vec::new());
        for cut in cuts.iter().chain([&text.len()]) {
            let until = (seen + cut).min(text.len());
            search.push(&text[seen..until], |found| star(found, &mut output));
            seen = until;
            assert_eq!(output, model.output(&text[..seen], true));
            assert_eq!(
                flushed(Search::new(Arc::clone(&patterns)), &text[..seen]),
                model.output(&text[..seen], false)
            );
        }
        search.flush(|found| star(found, &mut output));
        assert_eq!(output, model.output(text, false));
        assert!(!search.holds());
    }

    fn flushed(mut search: Search, text: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        search.push(text, |found| star(found, &mut output));
        search.flush(|found| star(found, &mut output));
        output
    }

    /// Parts of patterns and a few other bytes.
    fn text(values: &[Vec<u8>], parts: &[(usize, usize, usize)]) -> Vec<u8> {
        let patterns = Patterns::new(values.iter().map(Vec::as_slice)).all();
        let mut text = Vec::new();
        for (which, from, length) in parts {
            let pattern = patterns.get(which % (patterns.len() + 1)).map_or(&b"ab\n\""[..], Vec::as_slice);
            let from = from % pattern.len();
            text.extend(&pattern[from..(from + length).min(pattern.len())]);
        }
        text
    }

    proptest! {
        #[test]
        fn alike_values(
            values in prop::collection::vec("[ab]{8,12}", 1..5),
            spliced in 0..3,
            parts in prop::collection::vec((any::<usize>(), 0..12_usize, 0..14_usize), 0..10),
            cuts in prop::collection::vec(0..9_usize, 0..20),
        ) {
            let mut values: Vec<Vec<u8>> = values.into_iter().map(String::into_bytes).collect();
            // Values around others, and of several lines.
            for _ in 0..spliced {
                values.push([&values[values.len() - 1][..], b"ab\n", &values[0][..]].concat());
            }
            check(&values, &text(&values, &parts), &cuts);
        }

        #[test]
        fn any_values(
            values in prop::collection::vec("\\PC{8,12}", 1..4),
            parts in prop::collection::vec((any::<usize>(), 0..2_usize, 0..50_usize), 0..6),
            cuts in prop::collection::vec(0..40_usize, 0..20),
        ) {
            let values: Vec<Vec<u8>> = values.into_iter().map(String::into_bytes).collect();
            check(&values, &text(&values, &parts), &cuts);
        }

        #[test]
        fn long_values(
            unit in "[ab]{1,9}",
            times in prop::collection::vec(60..120_usize, 1..3),
            end in "[ab]{0,3}",
            parts in prop::collection::vec((any::<usize>(), 0..9_usize, 0..1200_usize), 0..5),
            cuts in prop::collection::vec(0..700_usize, 0..6),
        ) {
            let value = |times: &usize| [unit.repeat(*times * 9 / unit.len()), end.clone()].concat().into_bytes();
            let values: Vec<Vec<u8>> = times.iter().map(value).collect();
            check(&values, &text(&values, &parts), &cuts);
        }
    }

    #[test]
    fn the_model_can_fail() {
        let model = Model { patterns: vec![b"abcdefgh".to_vec(), b"ghijklmn".to_vec()] };
        assert_eq!(model.output(b"-abcdefgh-abc", true), b"-*-");
        assert_eq!(model.output(b"-abcdefgh-abc", false), b"-*-abc");
        assert_eq!(model.output(b"abcdefghijklmn!", true), b"*!");
    }
}
