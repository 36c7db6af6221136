//! What one run may have of the broker: requests, hosts and bytes. Counted by each server for
//! itself, from when it first saw the run.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_core::{RunId, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refuse::Refusal;
use crate::target::Target;

/// Runs that are counted at a time; those whose lease is over, and that have no tunnel, make room.
const MOST_RUNS: usize = 16_384;

/// How much a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// Requests, refused ones among them.
    pub requests: u64,
    /// Different hosts.
    pub hosts: usize,
    /// Bytes of bodies, both ways together.
    pub bytes: u64,
}

impl Default for RunLimits {
    /// 100,000 requests to 100 hosts, 100 GB.
    fn default() -> Self {
        Self { requests: 100_000, hosts: 100, bytes: 100_000_000_000 }
    }
}

/// What a run has had.
#[derive(Default)]
pub(crate) struct Spent {
    /// When its lease ends, in milliseconds.
    ends: AtomicI64,
    requests: AtomicU64,
    bytes: AtomicU64,
    hosts: Mutex<HashSet<String>>,
    /// Whether it was told of that it has had too many requests.
    is_told: AtomicBool,
    tunnels: Seats<TUNNELS>,
    under_way: Seats<UNDER_WAY>,
}

/// Tunnels of one run that are open at a time, and requests that are under way.
const TUNNELS: usize = 256;
const UNDER_WAY: usize = 512;

/// So many seats.
struct Seats<const MOST: usize>(Arc<Semaphore>);

impl<const MOST: usize> Default for Seats<MOST> {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

/// A seat, until it is dropped.
pub(crate) type Seat = OwnedSemaphorePermit;

/// What runs have had.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<HashMap<RunId, Arc<Spent>>>);

impl Ledger {
    /// What a run has had, whose lease ends then.
    pub(crate) fn of(&self, run: RunId, ends: Timestamp, now: Timestamp) -> Arc<Spent> {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= MOST_RUNS && !runs.contains_key(&run) {
            runs.retain(|_, spent| spent.ends() > now || Arc::strong_count(spent) > 1);
        }
        let spent = Arc::clone(runs.entry(run).or_default());
        spent.lasts(ends);
        spent
    }
}

impl Spent {
    /// Notes until when the run's lease is now.
    pub(crate) fn lasts(&self, ends: Timestamp) {
        self.ends.store(ends.as_millis(), Ordering::Relaxed);
    }

    fn ends(&self) -> Timestamp {
        Timestamp::from_millis(self.ends.load(Ordering::Relaxed))
    }

    /// One more request.
    ///
    /// # Errors
    /// When it is one too many, or has had too many bytes already.
    pub(crate) fn request(&self, limits: &RunLimits) -> Result<(), Refusal> {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        if before >= limits.requests {
            return Err(Refusal::Limit("requests"));
        }
        self.more(0, limits)
    }

    /// Whether it was told of already that it has had too many requests; from now on it is.
    pub(crate) fn is_told_of_its_end(&self) -> bool {
        self.is_told.swap(true, Ordering::Relaxed)
    }

    /// A seat for a tunnel.
    ///
    /// # Errors
    /// When too many are open.
    pub(crate) fn tunnel(&self) -> Result<Seat, Refusal> {
        let seat = Arc::clone(&self.tunnels.0).try_acquire_owned();
        seat.map_err(|_| Refusal::Limit("tunnels at a time"))
    }

    /// A seat for a request under way.
    ///
    /// # Errors
    /// When too many are.
    pub(crate) fn under_way(&self) -> Result<Seat, Refusal> {
        let seat = Arc::clone(&self.under_way.0).try_acquire_owned();
        seat.map_err(|_| Refusal::Limit("requests at a time"))
    }

    /// A host that it asks for.
    ///
    /// # Errors
    /// When it is one too many.
    pub(crate) fn host(&self, target: &Target, limits: &RunLimits) -> Result<(), Refusal> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.contains(&target.host) {
            return Ok(());
        }
        if hosts.len() >= limits.hosts {
            return Err(Refusal::Limit("hosts"));
        }
        hosts.insert(target.host.clone());
        Ok(())
    }

    /// So many bytes more.
    ///
    /// # Errors
    /// When they are too many.
    pub(crate) fn more(&self, bytes: u64, limits: &RunLimits) -> Result<(), Refusal> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > limits.bytes { Err(Refusal::Limit("bytes")) } else { Ok(()) }
    }
}
