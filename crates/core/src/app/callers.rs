//! Callers proven a moment ago. What is kept is a decision, never a value: the
//! rows behind it were verified, and a write proves them again. A right that is
//! taken away in the database is gone from here after [`KEPT`] at the latest.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::access::Caller;
use crate::clock::Timestamp;
use crate::ids::ApiKeyId;
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
    pub(super) expires_at: Option<Timestamp>,
    /// By the monotonic clock, from before the rows were read.
    pub(super) proven_at: Duration,
}

/// The callers at hand.
#[derive(Default)]
pub(super) struct Callers(RwLock<HashMap<ApiKeyId, Arc<Known>>>);

impl Callers {
    /// The caller that this key proved, if that was a moment ago.
    pub(super) fn find(&self, key: ApiKeyId, monotonic: Duration) -> Option<Arc<Known>> {
        let fresh = |known: &&Arc<Known>| monotonic.saturating_sub(known.proven_at) < KEPT;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).filter(fresh).cloned()
    }

    /// Keeps a decision, unless a later one is there.
    pub(super) fn keep(&self, known: Known) {
        let mut callers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MOST {
            callers.clear();
        }
        let later = callers.get(&known.caller.key_id).is_some_and(|kept| kept.proven_at > known.proven_at);
        if !later {
            callers.insert(known.caller.key_id, Arc::new(known));
        }
    }

    /// Drops what was decided about a key.
    pub(super) fn forget(&self, key: ApiKeyId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}
