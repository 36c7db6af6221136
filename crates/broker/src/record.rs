//! One record for each request: written at most a tenth of a second late, and nothing more goes
//! through while it can't be. A request that takes longer is told of when it has begun, and again
//! when it is over.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use strongroom_core::app::{BrokeredRequest, Error};
use strongroom_core::{App, StoreError, with_causes};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::exchange::Exchange;

/// How late a record may be.
const LATE: Duration = Duration::from_millis(100);
/// How long it may take to store records before nothing more goes through.
const SLOW: Duration = Duration::from_secs(1);
/// Records that are stored at once.
const AT_ONCE: usize = 4_096;

/// So many records of what went through, or was refused, could not be stored before the server ended.
#[derive(Debug, thiserror::Error)]
#[error(
    "records of what went through the broker that the database didn't take before the server ended: {0}; \
     look at the database and the log"
)]
pub struct Unrecorded(usize);

/// What is to be recorded.
#[derive(Default)]
pub(crate) struct Recorder {
    queue: Mutex<Queue>,
    /// Whether it can't be stored what happens.
    is_shut: AtomicBool,
    /// Since when something is being stored.
    storing: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Queue {
    over: Vec<BrokeredRequest>,
    /// Those of which nothing is told yet, by their ids, which rise. Most are over before they would be.
    under_way: BTreeMap<Uuid, Weak<Exchange>>,
}

impl Queue {
    /// What there is. As many as there were will come again.
    fn take(&mut self) -> Self {
        let next = Self { over: Vec::with_capacity(self.over.len()), under_way: BTreeMap::new() };
        std::mem::replace(self, next)
    }
}

impl Recorder {
    /// Whether requests may go through.
    pub(crate) fn is_open(&self) -> bool {
        let storing = *self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_shut.load(Ordering::Relaxed) && storing.is_none_or(|since| since.elapsed() < SLOW)
    }

    /// Notes that a request has begun.
    pub(crate) fn began(&self, exchange: &Arc<Exchange>) {
        self.queue().under_way.insert(exchange.id(), Arc::downgrade(exchange));
    }

    /// Takes what became of a request that is over.
    pub(crate) fn ended(&self, id: Uuid, requests: impl IntoIterator<Item = BrokeredRequest>) {
        let mut queue = self.queue();
        queue.under_way.remove(&id);
        queue.over.extend(requests);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores records until `ending` resolves, and then what there is by then, which is tried for `grace`. What
    /// is being stored is waited for: it isn't in the queue any more.
    ///
    /// # Errors
    /// When some could not be stored.
    pub(crate) async fn keep(
        &self,
        app: &App,
        ending: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<(), Unrecorded> {
        let mut ending = pin!(ending);
        while timeout(LATE, ending.as_mut()).await.is_err() {
            // What can't be written is kept, and nothing goes through.
            let _once_more = self.write(app).await;
        }
        let ended = Instant::now();
        loop {
            let written = self.write(app).await;
            // Also what ended while that was written.
            let left = self.queue().over.len();
            if left == 0 {
                return Ok(());
            }
            if let Err(error) = written
                && (ended.elapsed() >= grace || matches!(error, Error::Store(StoreError::Stopped)))
            {
                tracing::error!(
                    records = left,
                    "broker.lost: the server ends, and the database takes no record"
                );
                return Err(Unrecorded(left));
            }
            sleep(LATE).await;
        }
    }

    /// Stores what there is by now.
    async fn write(&self, app: &App) -> Result<(), Error> {
        *self.storing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let stored = self.store(app).await;
        *self.storing.lock().unwrap_or_else(PoisonError::into_inner) = None;
        stored
    }

    async fn store(&self, app: &App) -> Result<(), Error> {
        let Queue { mut over, under_way } = self.queue().take();
        // Not under the lock: an exchange that ends here puts its own end into the queue.
        over.extend(under_way.values().filter_map(Weak::upgrade).flat_map(|exchange| exchange.under_way()));
        let mut stored = 0;
        for batch in over.chunks(AT_ONCE) {
            if let Err(error) = app.record_requests(batch).await {
                if !self.is_shut.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        error = with_causes(&error),
                        "broker.unrecorded: nothing goes through until it can be recorded"
                    );
                }
                over.drain(..stored);
                let mut queue = self.queue();
                over.append(&mut queue.over);
                queue.over = over;
                return Err(error);
            }
            stored += batch.len();
        }
        if self.is_shut.swap(false, Ordering::Relaxed) {
            tracing::info!("broker.recorded: it can be recorded again what goes through");
        }
        Ok(())
    }
}
