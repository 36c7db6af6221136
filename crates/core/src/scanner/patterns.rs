//! Every form of every value, sorted, and what is needed to find where in a
//! text one begins. Never printed; erased when dropped, but for the lengths.

use std::collections::BTreeMap;
use zeroize::Zeroizing;

use super::Scanner;
use super::filter::{Filter, head_key, window_key};
use super::forms;
use super::prints::{self, BLOCK, Trail};
use super::seams::{Meeting, Seam};

/// No pattern is shorter: a value has eight characters, and no form of it has
/// fewer bytes.
pub(super) const HEAD: usize = 8;
/// A window of four bytes in so many is looked at: each head has one of them,
/// wherever it stands.
const STRIDE: usize = HEAD - 3;
/// What is compared byte by byte before fingerprints are.
const NEAR: usize = 8 * BLOCK;

/// A stretch of the bytes.
#[derive(Clone, Copy)]
struct Pattern {
    start: usize,
    length: usize,
    /// The longest other pattern that this one begins with.
    shorter: Option<u32>,
}

/// What begins at a place of a text.
#[derive(Default)]
pub(super) struct Look {
    /// The length of the longest pattern that is there, or 0.
    pub(super) hit: usize,
    /// Whether the text ends before some pattern does.
    pub(super) open: bool,
}

pub(super) struct Patterns {
    bytes: Zeroizing<Vec<u8>>,
    sorted: Vec<Pattern>,
    windows: Filter,
    /// Also of parts of heads, for where the text ends.
    heads: Filter,
    /// Of the patterns longer than [`NEAR`], by where they start.
    marks: BTreeMap<usize, Zeroizing<Vec<u64>>>,
    powers: Vec<u64>,
}

impl Patterns {
    pub(super) fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut patterns = Self {
            bytes: Zeroizing::default(),
            sorted: Vec::new(),
            windows: Filter::new(0),
            heads: Filter::new(0),
            marks: BTreeMap::new(),
            powers: Vec::new(),
        };
        for piece in pieces(values) {
            let first = patterns.sorted.len();
            forms::each(piece, |form, ends| patterns.take(first, form, ends));
        }
        patterns.sort();
        patterns.link();
        patterns.fill_filters();
        patterns.mark();
        patterns
    }

    /// Takes a form, unless it is one of those from `first` on.
    fn take(&mut self, first: usize, form: &[u8], ends: &[usize]) {
        let same = |pattern: &Pattern| within(&self.bytes, pattern) == form;
        if self.sorted.iter().skip(first).any(same) {
            return;
        }
        let start = self.bytes.len();
        append(&mut self.bytes, form);
        let mut last = 0;
        for length in ends.iter().copied().filter(|end| *end > std::mem::replace(&mut last, *end)) {
            self.sorted.push(Pattern { start, length, shorter: None });
        }
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.sorted.sort_unstable_by(|a, b| within(bytes, a).cmp(within(bytes, b)));
        self.sorted.dedup_by(|a, b| within(bytes, a) == within(bytes, b));
    }

    /// Links what begins with one another: all between two of them do, too.
    fn link(&mut self) {
        let mut around: Vec<(u32, Pattern)> = Vec::new();
        for (at, pattern) in (0..).zip(&mut self.sorted) {
            let own = within(&self.bytes, pattern);
            while around.pop_if(|(_, shorter)| !own.starts_with(within(&self.bytes, shorter))).is_some() {}
            pattern.shorter = around.last().map(|(at, _)| *at);
            around.push((at, *pattern));
        }
    }

    fn fill_filters(&mut self) {
        self.windows = Filter::new(self.sorted.len() * STRIDE);
        self.heads = Filter::new(self.sorted.len() * HEAD);
        for pattern in &self.sorted {
            let own = within(&self.bytes, pattern);
            for key in own.windows(4).take(STRIDE).filter_map(window_key) {
                self.windows.insert(key);
            }
            for part in (1..=HEAD).filter_map(|length| own.get(..length)) {
                self.heads.insert(head_key(part));
            }
        }
    }

    /// Notes fingerprints. Of patterns with one start the longest stands last.
    fn mark(&mut self) {
        for pattern in self.sorted.iter().rev().filter(|pattern| pattern.length > NEAR) {
            let marks = || prints::marks(within(&self.bytes, pattern));
            self.marks.entry(pattern.start).or_insert_with(marks);
        }
        self.powers = prints::powers(self.marks.values().map(|marks| marks.len()).max().unwrap_or(0));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The first place from `from` on where a pattern may begin whose head is
    /// all there.
    pub(super) fn next_head(&self, text: &[u8], mut from: usize) -> Option<usize> {
        loop {
            let windows = text.get(from + STRIDE - 1..)?;
            from += STRIDE * self.windows.first(windows, STRIDE)?;
            let mut heads = text.get(from..)?.windows(HEAD).take(STRIDE);
            if let Some(before) = heads.position(|head| self.may_begin(head)) {
                return Some(from + before);
            }
            from += STRIDE;
        }
    }

    /// Whether a pattern may begin with the head of this text, or with all of it
    /// when it is shorter.
    pub(super) fn may_begin(&self, text: &[u8]) -> bool {
        self.heads.bit(head_key(text)) == 1
    }

    /// What begins at this place of the text.
    pub(super) fn look(&self, text: &[u8], at: usize, trail: &mut Trail) -> Look {
        let rest = text.get(at..).unwrap_or_default();
        let mut common = |pattern: &Pattern| self.common(pattern, text, at, trail);
        let above = self.sorted.partition_point(|pattern| {
            let next = common(pattern);
            self.own(pattern).get(next) <= rest.get(next)
        });
        let open = self.sorted.get(above).is_some_and(|pattern| common(pattern) == rest.len());
        let below = above.checked_sub(1).and_then(|below| self.sorted.get(below));
        let seen = below.map_or(0, &mut common);
        let mut begun = std::iter::successors(below, |pattern| self.shorter(pattern));
        Look { hit: begun.find(|hit| hit.length <= seen).map_or(0, |hit| hit.length), open }
    }

    /// How many bytes at the beginning of this text are what a pattern ends with
    /// or, if the text is over, are in the middle of one. `None` while the text is
    /// too short to tell.
    pub(super) fn tail(&self, text: &[u8], is_over: bool) -> Option<usize> {
        let longest = self.sorted.iter().map(|pattern| pattern.length).max().unwrap_or(0);
        let is_all = text.len() <= longest;
        let seam = Seam::new(at_most(text, longest));
        let mut tail = 0;
        for meeting in self.sorted.iter().map(|pattern| seam.meet(self.own(pattern))) {
            match meeting {
                Meeting::Inside if is_all && !is_over => return None,
                Meeting::Inside if is_all => tail = text.len(),
                Meeting::Inside => {}
                Meeting::Ends(length) => tail = tail.max(length),
            }
        }
        Some(tail)
    }

    /// Whether a pattern is in this text.
    pub(super) fn stand(&self, text: &[u8]) -> bool {
        let (mut from, mut trail) = (0, Trail::default());
        while let Some(at) = self.next_head(text, from) {
            if self.look(text, at, &mut trail).hit > 0 {
                return true;
            }
            from = at + 1;
        }
        false
    }

    /// Whether a pattern is in this text, be it in capitals or not. Takes time for
    /// each pattern that isn't longer than the text.
    pub(super) fn stand_in_any_case(&self, text: &[u8]) -> bool {
        let within = |own: &[u8]| text.windows(own.len()).any(|part| part.eq_ignore_ascii_case(own));
        self.sorted.iter().any(|pattern| pattern.length <= text.len() && within(self.own(pattern)))
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<Vec<u8>> {
        self.sorted.iter().map(|pattern| self.own(pattern).to_vec()).collect()
    }

    fn own(&self, pattern: &Pattern) -> &[u8] {
        within(&self.bytes, pattern)
    }

    fn shorter(&self, pattern: &Pattern) -> Option<&Pattern> {
        self.sorted.get(usize::try_from(pattern.shorter?).ok()?)
    }

    /// How many bytes of the text from `at` on are those of the pattern.
    fn common(&self, pattern: &Pattern, text: &[u8], at: usize, trail: &mut Trail) -> usize {
        let (own, rest) = (self.own(pattern), text.get(at..).unwrap_or_default());
        let near = common(at_most(own, NEAR), at_most(rest, NEAR));
        if near < NEAR {
            return near;
        }
        let blocks = own.len().min(rest.len()) / BLOCK;
        let print = |blocks: usize, power| trail.print(text, (at, at + blocks * BLOCK), power);
        let same = BLOCK * self.common_blocks(pattern, blocks, print);
        let [own, rest] = [own, rest].map(|text| at_most(text.get(same..).unwrap_or_default(), BLOCK));
        same + common(own, rest)
    }

    /// How many blocks at the beginning have the pattern's fingerprints: in the
    /// text, it is asked for by their number and the power that goes with it.
    fn common_blocks(
        &self,
        pattern: &Pattern,
        blocks: usize,
        mut print: impl FnMut(usize, u64) -> Option<u64>,
    ) -> usize {
        let Some(marks) = self.marks.get(&pattern.start) else { return 0 };
        let mut same = |blocks: usize| {
            let mark = marks.get(blocks - 1).copied();
            mark.is_some() && self.powers.get(blocks).and_then(|power| print(blocks, *power)) == mark
        };
        if same(blocks) {
            return blocks;
        }
        let (mut below, mut above) = (NEAR / BLOCK, blocks);
        while above - below > 1 {
            let middle = below.midpoint(above);
            *if same(middle) { &mut below } else { &mut above } = middle;
        }
        below
    }
}

fn within<'a>(bytes: &'a [u8], pattern: &Pattern) -> &'a [u8] {
    bytes.get(pattern.start..pattern.start + pattern.length).unwrap_or_default()
}

/// How many bytes at the beginning are the same.
fn common(a: &[u8], b: &[u8]) -> usize {
    let length = a.len().min(b.len());
    if a.get(..length) == b.get(..length) {
        return length;
    }
    let blocks = a.chunks_exact(8).zip(b.chunks_exact(8));
    let same = 8 * blocks.take_while(|(a, b)| a == b).count();
    let [a, b] = [a, b].map(|text| text.get(same..).unwrap_or_default());
    same + a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// No more than so many bytes of it.
fn at_most(text: &[u8], bytes: usize) -> &[u8] {
    text.get(..bytes).unwrap_or(text)
}

/// The values and their lines, each once, but for the short ones.
fn pieces<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let lines = |value: &'a [u8]| value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let all = values.into_iter().flat_map(|value| std::iter::once(value).chain(lines(value)));
    let mut pieces: Vec<&[u8]> = all.filter(|piece| is_long(piece)).collect();
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

/// Counts the bytes that begin a character.
fn is_long(piece: &[u8]) -> bool {
    piece.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).nth(Scanner::MIN - 1).is_some()
}

/// Appends, and erases what was outgrown.
pub(super) fn append(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let length = bytes.len() + more.len();
    if length > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * bytes.capacity())));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(more);
}
