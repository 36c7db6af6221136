//! Which of several servers does what only one of them should. It is the one
//! that holds a lock for as long as its connection lives; when the server dies,
//! the database sees the connection break and lets another have the lock.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::connection::{Connector, Link, Live};
use super::error::Fault;
use super::locks::LEADER;
use crate::tables::Value;

/// This server's candidacy.
pub(super) struct Election {
    link: Link,
    /// The connection that holds the lock.
    elected: Mutex<Weak<Live>>,
}

impl Election {
    pub(super) fn new(connector: &Arc<Connector>) -> Self {
        Self { link: Link::new(Arc::clone(connector)), elected: Mutex::default() }
    }

    /// Whether this server is the one. To be asked every few seconds.
    ///
    /// # Errors
    /// When the database can't be asked: then it isn't.
    pub(super) async fn won(&self) -> Result<bool, Fault> {
        self.link.with(|live| self.ask(live)).await
    }

    async fn ask(&self, live: Arc<Live>) -> Result<bool, Fault> {
        if std::ptr::eq(self.elected().as_ptr(), Arc::as_ptr(&live)) {
            live.say("SELECT 1").await?;
            return Ok(true);
        }
        let ask = "SELECT pg_try_advisory_lock(?1)";
        let (rows, _) = live.ask(ask, &[Value::Number(LEADER)]).await?;
        let won = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false);
        if won {
            tracing::info!("store.elected");
            *self.elected.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&live);
        }
        Ok(won)
    }

    fn elected(&self) -> Weak<Live> {
        self.elected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
