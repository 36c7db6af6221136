//! Compares long texts by fingerprints, so that a value that repeats itself
//! doesn't make every byte of the output as dear as the value is long. Two
//! texts with one fingerprint are the same but for a chance below 2^-40, which
//! nobody can raise who doesn't know the value.

use zeroize::Zeroizing;

/// The bytes from one mark of a pattern to the next.
pub(super) const BLOCK: usize = 64;
const PRIME: u64 = (1 << 61) - 1;
/// Any number below the prime that isn't small.
const BASE: u64 = 0x0F1E_2D3C_4B5A_6978;

/// Of a number below 2^122: 2^61 is 1 modulo the prime.
fn modulo(number: u128) -> u64 {
    let below = |part: u128| u64::try_from(part & u128::from(PRIME)).unwrap_or_default();
    plus(below(number), below(number >> 61))
}

fn times(a: u64, b: u64) -> u64 {
    modulo(u128::from(a) * u128::from(b))
}

fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

fn next(sum: u64, byte: u8) -> u64 {
    plus(times(sum, BASE), u64::from(byte) + 1)
}

/// The fingerprints of the first block, of the first two, of the first three ….
/// Each is what [`next`] makes of its bytes, but the products of a block don't
/// wait for one another.
pub(super) fn marks(text: &[u8]) -> Zeroizing<Vec<u64>> {
    let (powers, block) = (powers_of(BASE, BLOCK), power_of_block());
    let term = |(byte, power): (&u8, &u64)| (u128::from(*byte) + 1) * u128::from(*power);
    let mut sum = 0;
    let mark = |bytes: &[u8]| {
        sum = plus(times(sum, block), modulo(bytes.iter().rev().zip(&powers).map(term).sum()));
        sum
    };
    Zeroizing::new(text.chunks_exact(BLOCK).map(mark).collect())
}

/// What a fingerprint is multiplied by when so many blocks follow.
pub(super) fn powers(blocks: usize) -> Vec<u64> {
    powers_of(power_of_block(), blocks + 1)
}

fn power_of_block() -> u64 {
    (0..BLOCK).fold(1, |power, _| times(power, BASE))
}

/// The first of them, from 1 on.
fn powers_of(base: u64, count: usize) -> Vec<u64> {
    std::iter::successors(Some(1), |power| Some(times(*power, base))).take(count).collect()
}

/// The fingerprints of a text's beginnings, counted from some place in it, as
/// far as anybody asked.
#[derive(Default)]
pub(super) struct Trail {
    from: usize,
    sums: Zeroizing<Vec<u64>>,
}

impl Trail {
    /// The fingerprint of `text[at..end]`, whose number of blocks has this
    /// power. `None` when there is no such text.
    pub(super) fn print(&mut self, text: &[u8], (at, end): (usize, usize), power: u64) -> Option<u64> {
        self.reach(text, at, end)?;
        let before = *self.sums.get(at - self.from)?;
        let all = *self.sums.get(end - self.from)?;
        Some(plus(all, PRIME - times(before, power)))
    }

    fn reach(&mut self, text: &[u8], at: usize, end: usize) -> Option<()> {
        if at < self.from || at - self.from >= self.sums.len() {
            self.from = at;
            self.sums.clear();
            self.sums.push(0);
        }
        let mut sum = *self.sums.last()?;
        let reached = self.from + self.sums.len() - 1;
        self.sums.extend(text.get(reached..end.max(reached))?.iter().map(|byte| {
            sum = next(sum, *byte);
            sum
        }));
        Some(())
    }

    /// Tells that the first bytes of the text are gone.
    pub(super) fn forget(&mut self, bytes: usize) {
        let gone = bytes.saturating_sub(self.from).min(self.sums.len());
        self.sums.drain(..gone);
        self.from = self.from.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_the_fingerprints_of_beginnings() {
        let text: Vec<u8> = (0..=255).cycle().take(10 * BLOCK + 7).collect();
        let (marks, powers) = (marks(&text), powers(10));
        assert_eq!(marks.len(), 10);
        let shifted = [b"before", &text[..]].concat();
        let mut trail = Trail::default();
        for (blocks, mark) in (1..).zip(&*marks) {
            let end = 6 + blocks * BLOCK;
            assert_eq!(trail.print(&shifted, (6, end), powers[blocks]), Some(*mark));
            assert_ne!(trail.print(&shifted, (7, end + 1), powers[blocks]), Some(*mark));
        }
        trail.forget(6);
        assert_eq!(trail.print(&text, (0, BLOCK), powers[1]), marks.first().copied());
        assert_eq!(trail.print(&text, (0, text.len() + 1), 1), None);
    }

    #[test]
    fn numbers_stay_below_the_prime() {
        let last = PRIME - 1;
        assert_eq!(times(last, last), 1);
        assert_eq!(times(last, 1), last);
        assert_eq!(plus(last, 1), 0);
        assert_eq!(modulo(u128::from(PRIME)), 0);
    }
}
