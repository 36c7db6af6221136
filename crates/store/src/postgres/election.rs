//! Which of several servers does what only one of them should. It is the one
//! that holds a lock for as long as its connection lives; when the server dies,
//! or is cut off, the database sees the connection break, or hears nothing of it,
//! and lets another have the lock.

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
        Self { link: Link::of_candidate(Arc::clone(connector)), elected: Mutex::default() }
    }

    /// Whether this server is the one. To be asked every second or two: whoever doesn't for eight makes room.
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
            let mut elected = self.elected.lock().unwrap_or_else(PoisonError::into_inner);
            // Two of us may have asked at once.
            if !std::ptr::eq(elected.as_ptr(), Arc::as_ptr(&live)) {
                tracing::info!("store.elected");
                *elected = Arc::downgrade(&live);
            }
        }
        Ok(won)
    }

    fn elected(&self) -> Weak<Live> {
        self.elected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use strongroom_testbed::Cluster;
    use tokio::time::{Instant, sleep};

    /// It is neither gone nor cut off, and says nothing, as where its process is stopped.
    #[tokio::test]
    async fn one_that_is_silent_makes_room_for_another() {
        let address = Cluster::shared().database().parse().unwrap();
        let [one, other] = [(); 2].map(|()| Election::new(&Connector::new(&address).unwrap()));
        assert!(one.won().await.unwrap());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            assert!(!other.won().await.unwrap(), "the control: there is one");
            assert!(one.won().await.unwrap());
            sleep(Duration::from_secs(1)).await;
        }
        let silent = Instant::now();
        while !other.won().await.unwrap() {
            assert!(silent.elapsed() < Duration::from_secs(10), "it keeps the place");
            sleep(Duration::from_secs(1)).await;
        }
        // It finds its connection ended once, and then that there is another.
        let again = match one.won().await {
            Ok(won) => won,
            Err(_) => one.won().await.unwrap(),
        };
        assert!(!again);
    }

    #[tokio::test]
    async fn the_server_is_told_to_look_after_connections() {
        let link = Link::new(Connector::new(&Cluster::shared().database().parse().unwrap()).unwrap());
        let live = link.live().await.unwrap();
        for (setting, value) in [
            ("tcp_keepalives_idle", 5),
            ("tcp_keepalives_interval", 1),
            ("tcp_keepalives_count", 3),
            ("tcp_user_timeout", 5_000),
        ] {
            // Where there is no TCP there is none to be set.
            let is_tcp = "inet_client_addr() IS NOT NULL";
            let asked = format!(
                "SELECT CASE WHEN {is_tcp} THEN setting::bigint ELSE {value} END FROM pg_settings WHERE name = '{setting}'"
            );
            assert_eq!(live.count(&asked).await.unwrap(), value, "{setting}");
        }
    }
}
