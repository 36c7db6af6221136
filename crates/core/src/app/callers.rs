//! What was proven a moment ago. What is kept is a decision, never a value: the
//! rows behind it were verified, and a write proves them again. A right that is
//! taken away here is gone at once, one that is taken away in the database by
//! somebody else after [`KEPT`] at the latest.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::access::{Caller, Means};
use crate::tokens::TokenHash;

/// How long a decision is kept; a revocation must be effective within a second
/// wherever it was made.
const KEPT: Duration = Duration::from_millis(800);
/// How many callers are kept, a few hundred bytes each.
const MOST_CALLERS: usize = 4_096;

/// What a token proved, and what must hold for it to prove that again.
pub(super) struct Known<T> {
    pub(super) proven: T,
    pub(super) hash: TokenHash,
    /// By the monotonic clock, from before the rows were read.
    pub(super) proven_at: Duration,
    /// How often something was forgotten before the rows were read.
    pub(super) era: u64,
}

/// The callers at hand.
pub(super) type Callers = Recent<Means, Caller>;

impl Default for Callers {
    fn default() -> Self {
        Self::of_most(MOST_CALLERS)
    }
}

/// What tokens proved a moment ago, by the rows that they name.
pub(super) struct Recent<K, T> {
    cache: RwLock<Cache<K, T>>,
    /// How much is kept.
    most: usize,
}

struct Cache<K, T> {
    known: HashMap<K, Arc<Known<T>>>,
    /// Counts how often something was forgotten.
    era: u64,
}

impl<K: Eq + Hash, T> Recent<K, T> {
    /// Nothing yet, and never more than so much.
    pub(super) fn of_most(most: usize) -> Self {
        Self { cache: RwLock::new(Cache { known: HashMap::new(), era: 0 }), most }
    }

    /// What was proved a moment ago by the token of which this is the hash that is kept.
    pub(super) fn find(
        &self,
        named: &K,
        monotonic: Duration,
        is_of_it: impl FnOnce(&TokenHash) -> bool,
    ) -> Option<Arc<Known<T>>> {
        let fresh = |known: &&Arc<Known<T>>| known.is_fresh(monotonic);
        let kept = self.seen().known.get(named).filter(fresh).cloned();
        kept.filter(|known| is_of_it(&known.hash))
    }

    /// To be asked before rows are read that a decision is made from.
    pub(super) fn era(&self) -> u64 {
        self.seen().era
    }

    /// Keeps a decision, unless a later one is there, or its rows were read
    /// before something was forgotten.
    pub(super) fn keep(&self, named: K, known: Known<T>) {
        let mut cache = self.cache();
        if cache.known.len() >= self.most {
            cache.known.retain(|_, kept| kept.is_fresh(known.proven_at));
        }
        if cache.known.len() >= self.most {
            cache.known.clear();
        }
        let later = cache.known.get(&named).is_some_and(|kept| kept.proven_at > known.proven_at);
        if !later && cache.era == known.era {
            cache.known.insert(named, Arc::new(known));
        }
    }

    /// Drops what was decided about a key or a run.
    pub(super) fn forget(&self, named: &K) {
        let mut cache = self.cache();
        cache.era += 1;
        cache.known.remove(named);
    }

    /// Drops everything: rights were changed.
    pub(super) fn forget_all(&self) {
        let mut cache = self.cache();
        cache.era += 1;
        cache.known.clear();
    }

    fn seen(&self) -> RwLockReadGuard<'_, Cache<K, T>> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> RwLockWriteGuard<'_, Cache<K, T>> {
        self.cache.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Known<T> {
    fn is_fresh(&self, monotonic: Duration) -> bool {
        monotonic.saturating_sub(self.proven_at) < KEPT
    }
}
