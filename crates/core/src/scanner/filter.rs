//! Says of a few bytes that none of the patterns has them, without a look at
//! the patterns: one bit for each remainder of a product. It may say that one
//! has them when none does, never the other way round.

use zeroize::Zeroizing;

/// How many strides are looked at before a decision: enough to keep the
/// processor busy.
const BATCH: usize = 8;
/// The golden ratio, which spreads keys that are alike.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bits of what is in, erased when dropped.
pub(super) struct Filter {
    bits: Zeroizing<Vec<u64>>,
    shift: u32,
}

impl Filter {
    /// With room for so many keys: about one of 128 others passes, more when
    /// the keys are so many that a larger table would leave the cache.
    pub(super) fn new(keys: usize) -> Self {
        let words = (keys * 2).next_power_of_two().clamp(1 << 4, 1 << 17);
        Self { bits: Zeroizing::new(vec![0; words]), shift: 58 - words.trailing_zeros() }
    }

    pub(super) fn insert(&mut self, key: u64) {
        let (word, bit) = self.place(key);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    /// 0 when the key isn't in.
    pub(super) fn bit(&self, key: u64) -> u64 {
        let (word, bit) = self.place(key);
        self.bits.get(word).map_or(0, |word| (word >> bit) & 1)
    }

    fn place(&self, key: u64) -> (usize, u64) {
        let at = key.wrapping_mul(SPREAD) >> self.shift;
        (usize::try_from(at >> 6).unwrap_or_default(), at & 63)
    }

    /// The number of strides before the first one whose beginning is in.
    pub(super) fn first(&self, text: &[u8], stride: usize) -> Option<usize> {
        let bit = |window: &[u8]| window_key(window).map_or(0, |key| self.bit(key));
        let quiet = |batch: &&[u8]| batch.chunks_exact(stride).fold(0, |any, window| any | bit(window)) == 0;
        let passed = BATCH * text.chunks_exact(BATCH * stride).take_while(quiet).count();
        let rest = text.get(passed * stride..)?;
        Some(passed + rest.chunks(stride).position(|window| bit(window) == 1)?)
    }
}

/// The key of the four bytes at the beginning.
pub(super) fn window_key(text: &[u8]) -> Option<u64> {
    text.first_chunk().map(|window| u64::from(u32::from_le_bytes(*window)))
}

/// The key of the eight bytes at the beginning, or of fewer if there are no
/// more.
pub(super) fn head_key(text: &[u8]) -> u64 {
    text.first_chunk().map_or_else(|| short_key(text), |head| u64::from_le_bytes(*head))
}

/// Tells by the last byte how many there are.
fn short_key(text: &[u8]) -> u64 {
    let length = u64::try_from(text.len()).unwrap_or_default();
    (0..).step_by(8).zip(text).fold(length << 56, |key, (shift, byte)| key | u64::from(*byte) << shift)
}
