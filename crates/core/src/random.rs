//! Chance as a parameter, so that ids, salts and tokens are deterministic in
//! tests and nothing else in the crate asks the system for randomness.

use std::sync::{Mutex, PoisonError};

/// A source of unpredictable bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes` whole.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` fresh bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// Takes bytes from another source some hundred ahead: for ids of which there are thousands a second. Never for
/// what has to stay unknown, since what was taken ahead is in memory, and in a copy of this machine as well.
pub struct Ahead<R> {
    from: R,
    taken: Mutex<Vec<u8>>,
}

/// How many bytes are taken at once.
const AT_ONCE: usize = 512;

impl<R: Random> Ahead<R> {
    /// Takes from this one.
    pub fn of(from: R) -> Self {
        Self { from, taken: Mutex::default() }
    }
}

impl<R: Random> Random for Ahead<R> {
    fn fill(&self, bytes: &mut [u8]) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() < bytes.len() {
            let mut fresh = vec![0; bytes.len().max(AT_ONCE)];
            self.from.fill(&mut fresh);
            *taken = fresh;
        }
        let rest = taken.len() - bytes.len();
        for (own, taken) in bytes.iter_mut().zip(taken.drain(rest..)) {
            *own = taken;
        }
    }
}

/// The operating system's generator, asked each time: no state of ours to seed,
/// to repeat after a fork, or to survive in a copy of this machine. (AWS-LC's own
/// generator takes some 25 ms to seed itself at its first use.)
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    #[expect(clippy::expect_used, reason = "a machine without randomness can't keep a secret: it must stop")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system's random generator");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts how often it is asked.
    struct Counted<'a>(&'a AtomicUsize);

    impl Random for Counted<'_> {
        fn fill(&self, bytes: &mut [u8]) {
            self.0.fetch_add(1, Ordering::Relaxed);
            OsRandom.fill(bytes);
        }
    }

    #[test]
    fn what_is_taken_ahead_is_given_once() {
        let asked = AtomicUsize::new(0);
        let ahead = Ahead::of(Counted(&asked));
        let given: HashSet<[u8; 10]> = (0..1_000).map(|_| bytes(&ahead)).collect();
        assert_eq!((given.len(), asked.load(Ordering::Relaxed)), (1_000, 1_000_usize.div_ceil(AT_ONCE / 10)));
        let large: [u8; AT_ONCE + 1] = bytes(&ahead);
        assert!(large.iter().any(|byte| *byte != 0));
    }
}
