//! Connections for reads, which many share at once, and for transactions, which
//! have one for themselves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::connection::{Connector, Link, Live, PATIENCE};
use super::error::Fault;
use super::rows::columns;
use crate::query::Query;
use crate::tables::Read;
use strongroom_core::StoreError;

/// Connections on which short reads follow one another without waiting.
const READERS: usize = 4;
/// Connections for reads that may take longer, so that no short one waits
/// behind them.
const ASIDE: usize = 2;
/// Connections for transactions.
const WRITERS: usize = 4;
/// How often something is tried that fails for a passing reason: a server that
/// went away takes a few seconds to come back, or another to take its place.
const TRIES: u32 = 3;

/// Connections for reads.
pub(super) struct Readers {
    links: Vec<Link>,
    aside: Vec<Link>,
    turn: AtomicUsize,
}

impl Readers {
    pub(super) fn new(connector: &Arc<Connector>) -> Self {
        let links = |count| (0..count).map(|_| Link::to_read(Arc::clone(connector))).collect();
        Self { links: links(READERS), aside: links(ASIDE), turn: AtomicUsize::new(0) }
    }

    fn next<'a>(&self, links: &'a [Link]) -> &'a Link {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % links.len().max(1);
        #[expect(clippy::indexing_slicing, reason = "neither list is empty")]
        &links[turn]
    }

    /// The row that a query finds.
    pub(super) async fn one<T: Read>(&self, query: Query<'_, T>) -> Result<Option<T>, StoreError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// The rows that a query finds.
    pub(super) async fn all<T: Read>(&self, query: Query<'_, T>) -> Result<Vec<T>, StoreError> {
        let table = query.table;
        whole(self.read(&self.links, query).await?, table)
    }

    /// The same, of what may be whole teams.
    pub(super) async fn all_aside<T: Read>(&self, query: Query<'_, T>) -> Result<Vec<T>, StoreError> {
        let table = query.table;
        whole(self.read(&self.aside, query).await?, table)
    }

    /// The same; a row that can't be read doesn't hide the others.
    pub(super) async fn all_readable<T: Read>(
        &self,
        query: Query<'_, T>,
    ) -> Result<Vec<Option<T>>, StoreError> {
        self.read(&self.aside, query).await
    }

    async fn read<T: Read>(&self, links: &[Link], query: Query<'_, T>) -> Result<Vec<Option<T>>, StoreError> {
        let mut tries = 1;
        loop {
            let ask = |live: Arc<Live>| {
                let (text, values) = (&query.text.postgres, &query.values);
                async move { live.ask(text, values).await }
            };
            let begun = Instant::now();
            match self.next(links).with(ask).await {
                Ok((rows, _)) => return Ok(rows.iter().map(|row| T::read(&mut columns(row)).ok()).collect()),
                // What took all the time there is would take it again, beside what is still done of it.
                Err(fault) if fault.is_passing() && tries < TRIES && begun.elapsed() < PATIENCE => tries += 1,
                Err(fault) => return Err(fault.into_store_error(query.table)),
            }
        }
    }
}

/// All of these rows, unless one can't be read.
fn whole<T>(rows: Vec<Option<T>>, table: &'static str) -> Result<Vec<T>, StoreError> {
    rows.into_iter().collect::<Option<_>>().ok_or(StoreError::Malformed(table))
}

/// Connections for transactions, each for one at a time.
pub(super) struct Writers {
    connector: Arc<Connector>,
    free: Mutex<Vec<Arc<Link>>>,
    places: Semaphore,
}

impl Writers {
    pub(super) fn new(connector: &Arc<Connector>) -> Self {
        let free = (0..WRITERS).map(|_| Arc::new(Link::new(Arc::clone(connector)))).collect();
        let (free, places) = (Mutex::new(free), Semaphore::new(WRITERS));
        Self { connector: Arc::clone(connector), free, places }
    }

    /// A connection beside the others.
    pub(super) fn own_link(&self) -> Link {
        Link::new(Arc::clone(&self.connector))
    }

    /// Does something on a connection that nobody else has meanwhile.
    pub(super) async fn with<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        act: impl FnOnce(Arc<Live>) -> F,
    ) -> Result<T, Fault> {
        let _place = self.places.acquire().await.map_err(|_| Fault::Lost("is closed".into()))?;
        let link = Taken { free: &self.free, link: self.free().pop() };
        let link = link.link.as_ref().ok_or_else(|| Fault::Lost("is taken".into()))?;
        link.with(act).await
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Link>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is given back however its use ends.
struct Taken<'a> {
    free: &'a Mutex<Vec<Arc<Link>>>,
    link: Option<Arc<Link>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).extend(self.link.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use strongroom_testbed::Cluster;

    /// How many questions the server works at that sleep.
    const ASLEEP: &str = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' \
                          AND datname = current_database()";

    fn readers() -> Readers {
        Readers::new(&Connector::new(&Cluster::shared().database().parse().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_question_that_takes_too_long_is_asked_once_and_given_up_by_the_server() {
        let readers = readers();
        let begun = Instant::now();
        let asked = readers.one(Query::<i64>::new("nothing", "SELECT pg_sleep(60), 1", [])).await;
        assert!(matches!(asked, Err(StoreError::Unavailable(_))), "{asked:?}");
        assert!(begun.elapsed() < Duration::from_secs(9), "it was asked again");
        assert_eq!(readers.one(Query::<i64>::new("nothing", ASLEEP, [])).await.unwrap(), Some(0));
    }

    #[tokio::test]
    async fn questions_that_wait_for_one_another_are_asked_once() {
        let readers = readers();
        let begun = Instant::now();
        // Three for each connection.
        let asked = (0..3 * ASIDE)
            .map(|_| readers.all_aside(Query::<i64>::new("nothing", "SELECT pg_sleep(60), 1", [])));
        let asked = futures_util::future::join_all(asked).await;
        assert!(asked.iter().all(|asked| matches!(asked, Err(StoreError::Unavailable(_)))), "{asked:?}");
        assert!(begun.elapsed() < Duration::from_secs(9), "one was asked again");
    }
}
