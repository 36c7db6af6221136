//! Runs with something open: a tunnel, a WebSocket. All of it ends when the run does, which is
//! looked at once for a run, however much it has open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::broker::{Bearer, Broker};
use crate::refuse::Refusal;

/// How often it is looked. What is known of a run may be 800 ms old then, and its end is to be
/// noticed within a second.
const LOOKS: Duration = Duration::from_millis(150);
/// How often in a row it may not be told whether a run is over: then, after five seconds, it counts
/// as over, since values are in use.
const MOST_UNTOLD: u32 = 33;

/// That a run goes on, as long as it does.
pub(crate) struct Lease {
    bearer: Bearer,
    over: watch::Sender<bool>,
}

impl Lease {
    /// Whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Resolves when the run is over.
    pub(crate) async fn over(&self) {
        let _either_way = self.over.subscribe().wait_for(|over| *over).await.is_ok();
    }
}

/// The leases that somebody holds.
#[derive(Default)]
pub(crate) struct Leases(Mutex<HashMap<Bearer, Weak<Lease>>>);

impl Leases {
    /// The lease of a run that proved itself just now.
    pub(crate) fn of(&self, bearer: &Bearer) -> Arc<Lease> {
        let mut leases = self.leases();
        if let Some(lease) = leases.get(bearer).and_then(Weak::upgrade) {
            return lease;
        }
        let lease = Arc::new(Lease { bearer: bearer.clone(), over: watch::Sender::new(false) });
        leases.insert(bearer.clone(), Arc::downgrade(&lease));
        lease
    }

    /// Ends those of runs that are over, until it is dropped.
    pub(crate) async fn keep(&self, broker: &Broker) {
        let mut untold: HashMap<Bearer, u32> = HashMap::new();
        loop {
            sleep(LOOKS).await;
            for lease in self.held() {
                match broker.identify(&lease.bearer).await {
                    Ok(_) => {
                        untold.remove(&lease.bearer);
                        continue;
                    }
                    Err(Refusal::Unavailable) => {
                        let times = untold.entry(lease.bearer.clone()).or_default();
                        *times += 1;
                        if *times < MOST_UNTOLD {
                            continue;
                        }
                    }
                    Err(_) => {}
                }
                untold.remove(&lease.bearer);
                self.leases().remove(&lease.bearer);
                lease.over.send_replace(true);
            }
            untold.retain(|bearer, _| self.leases().contains_key(bearer));
        }
    }

    /// Those that are held; the others are forgotten.
    fn held(&self) -> Vec<Arc<Lease>> {
        let mut leases = self.leases();
        leases.retain(|_, lease| lease.strong_count() > 0);
        leases.values().filter_map(Weak::upgrade).collect()
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Bearer, Weak<Lease>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
