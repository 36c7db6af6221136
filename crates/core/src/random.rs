//! Chance as a parameter, so that ids, salts and tokens are deterministic in
//! tests and nothing else in the crate asks the system for randomness.

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
