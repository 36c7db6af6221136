//! Callers proven a moment ago. What is kept is a decision, never a value: the
//! rows behind it were verified, and a write proves them again. A right that is
//! taken away here is gone at once, one that is taken away in the database by
//! somebody else after [`KEPT`] at the latest.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use crate::access::{Caller, Means};
use crate::tokens::TokenHash;

/// How long a decision is kept; a revocation must be effective within a second
/// wherever it was made.
const KEPT: Duration = Duration::from_millis(800);
/// How many are kept, a few hundred bytes each.
const MOST: usize = 4_096;

/// A caller, and what must hold for it to be them again.
pub(super) struct Known {
    pub(super) caller: Caller,
    pub(super) hash: TokenHash,
    /// By the monotonic clock, from before the rows were read.
    pub(super) proven_at: Duration,
    /// How often something was forgotten before the rows were read.
    pub(super) era: u64,
}

/// The callers at hand.
#[derive(Default)]
pub(super) struct Callers(RwLock<Cache>);

#[derive(Default)]
struct Cache {
    known: HashMap<Means, Arc<Known>>,
    /// Counts how often something was forgotten.
    era: u64,
}

impl Callers {
    /// The caller that a token of this hash proved, if that was a moment ago.
    pub(super) fn find(&self, means: Means, hash: &TokenHash, monotonic: Duration) -> Option<Arc<Known>> {
        let fresh = |known: &&Arc<Known>| monotonic.saturating_sub(known.proven_at) < KEPT;
        let kept =
            self.0.read().unwrap_or_else(PoisonError::into_inner).known.get(&means).filter(fresh).cloned();
        kept.filter(|known| hash.matches(&known.hash))
    }

    /// To be asked before rows are read that a decision is made from.
    pub(super) fn era(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).era
    }

    /// Keeps a decision, unless a later one is there, or its rows were read
    /// before something was forgotten.
    pub(super) fn keep(&self, known: Known) {
        let mut cache = self.cache();
        if cache.known.len() >= MOST {
            cache.known.clear();
        }
        let later = cache.known.get(&known.caller.means).is_some_and(|kept| kept.proven_at > known.proven_at);
        if !later && cache.era == known.era {
            cache.known.insert(known.caller.means, Arc::new(known));
        }
    }

    /// Drops what was decided about a key or a run.
    pub(super) fn forget(&self, means: Means) {
        let mut cache = self.cache();
        cache.era += 1;
        cache.known.remove(&means);
    }

    /// Drops everything: rights were changed.
    pub(super) fn forget_all(&self) {
        let mut cache = self.cache();
        cache.era += 1;
        cache.known.clear();
    }

    fn cache(&self) -> RwLockWriteGuard<'_, Cache> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
