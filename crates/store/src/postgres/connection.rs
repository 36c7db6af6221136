//! Connections: made when they are needed, and made again when they broke.

use futures_util::TryStreamExt;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls, Row, RowStream, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::address::Address;
use super::error::{Fault, OpenError};
use super::rows::columns;
use crate::tables::{Read, Value};

/// How long one exchange may take, connecting included.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What every session is told first; each setting says why.
const SETTINGS: &str = "
    -- An acknowledged commit survives a power cut, whatever the server's default is;
    -- one that waits for standbys keeps waiting for them.
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local');
    -- A server that was cut off from us doesn't hold others' locks for longer.
    SET idle_in_transaction_session_timeout = '5s';
    SET lock_timeout = '4s';
    -- Nor its session, and with it an election, when nothing comes from us any more and
    -- nobody says that we are gone. It would be hours otherwise.
    SET tcp_keepalives_idle = 5;
    SET tcp_keepalives_interval = 1;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '5s';
    -- Plans don't depend on values, and are made once.
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;
    -- Nor on what the server thinks it knows of the tables: each question is of a few
    -- rows, or of a page of many, for which there is an index in their order. Without
    -- this a page was found by reading and sorting the whole team, until the tables
    -- were analyzed.
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_sort = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    -- What is asked is found at once, and has no use for a second process.
    SET max_parallel_workers_per_gather = 0;
    SET client_min_messages = warning;
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;";

/// For whoever reads whole tables: there the server knows best, and has what time it needs. So has whoever takes
/// the rows: one who doesn't for a while, with all buffers full, looks to the system as if nobody were there.
pub(super) const WHOLE: &str = "RESET enable_seqscan; RESET enable_bitmapscan; RESET enable_sort; \
                                RESET enable_hashjoin; RESET enable_mergejoin; RESET plan_cache_mode; \
                                RESET max_parallel_workers_per_gather; SET statement_timeout = 0; \
                                SET tcp_user_timeout = 0";

/// For whoever only reads: the server gives up before nobody waits any more. It would go on otherwise, beside
/// those who ask the same again, until it had no room for anybody. Nor may it be said where something is
/// written: a commit that waits for a standby would be taken for done. For a lock it is waited less long: that
/// may be tried again.
const READS: &str = "SET statement_timeout = '4s'; SET lock_timeout = '3s'";

/// For whoever asks every second or two whether it is elected: one that asks no more makes room, though its
/// machine answers for it.
const CANDIDATES: &str = "SET idle_session_timeout = '8s'";

/// Makes connections.
pub(super) struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    shown: String,
}

impl Connector {
    pub(super) fn new(address: &Address) -> Result<Arc<Self>, OpenError> {
        let (config, tls) = (address.config.clone(), address.tls()?);
        Ok(Arc::new(Self { config, tls, shown: address.to_string() }))
    }

    async fn connect(&self, settings: &str) -> Result<Live, tokio_postgres::Error> {
        let client = if let Some(tls) = &self.tls {
            let (client, driver) = self.config.connect(tls.clone()).await?;
            drive(driver);
            client
        } else {
            let (client, driver) = self.config.connect(NoTls).await?;
            drive(driver);
            client
        };
        client.batch_execute(&format!("{SETTINGS} {settings}")).await?;
        let origin: Uuid = client.query_one("SELECT gen_random_uuid()", &[]).await?.try_get(0)?;
        Ok(Live { client, statements: Mutex::default(), origin, marked: AtomicU64::new(0) })
    }
}

/// Carries bytes until the connection ends; whoever waits for an answer is
/// told of an error then.
fn drive(driver: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(error = %Fault::from(error), "store.connection");
        }
    });
}

/// A connection, and what was prepared on it.
pub(super) struct Live {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    /// No other connection has it.
    origin: Uuid,
    marked: AtomicU64,
}

impl Live {
    /// A mark that no other transaction has.
    pub(super) fn mark(&self) -> Uuid {
        let (high, low) = self.origin.as_u64_pair();
        Uuid::from_u64_pair(high, low.wrapping_add(self.marked.fetch_add(1, Ordering::Relaxed)))
    }

    /// Says something that has no values and whose answer nobody reads.
    pub(super) async fn say(&self, text: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(text).await?)
    }

    /// The statement of this text, prepared once.
    pub(super) async fn prepare(&self, text: &str) -> Result<Statement, Fault> {
        let found = self.statements().get(text).cloned();
        if let Some(statement) = found {
            return Ok(statement);
        }
        let statement = self.client.prepare(&numbered(text)).await?;
        self.statements().insert(text.to_owned(), statement.clone());
        Ok(statement)
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, HashMap<String, Statement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a prepared statement: its rows, and how many it touched.
    pub(super) async fn run(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<(Vec<Row>, u64), Fault> {
        let mut stream = pin!(self.client.query_raw(statement, values).await?);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            rows.push(row);
        }
        Ok((rows, stream.rows_affected().unwrap_or(0)))
    }

    /// Runs one; its rows as they come.
    pub(super) async fn stream(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<RowStream, Fault> {
        Ok(self.client.query_raw(statement, values).await?)
    }

    /// Runs one whose values are whole columns.
    pub(super) async fn run_columns(
        &self,
        statement: &Statement,
        columns: &[Vec<Value<'_>>],
    ) -> Result<Vec<Row>, Fault> {
        let stream = self.client.query_raw(statement, columns).await?;
        Ok(stream.try_collect().await?)
    }

    /// The one number that is asked for.
    pub(super) async fn count(&self, text: &str) -> Result<u64, Fault> {
        let (rows, _) = self.ask(text, &[]).await?;
        Ok(rows.first().map(|row| u64::read(&mut columns(row))).transpose()?.unwrap_or(0))
    }

    /// Prepares and runs.
    pub(super) async fn ask(&self, text: &str, values: &[Value<'_>]) -> Result<(Vec<Row>, u64), Fault> {
        let statement = self.prepare(text).await?;
        self.run(&statement, values).await
    }
}

/// The text with PostgreSQL's places for values.
pub(super) fn numbered(text: &str) -> String {
    let mut numbered = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        let place = letter == '?' && rest.peek().is_some_and(char::is_ascii_digit);
        numbered.push(if place { '$' } else { letter });
    }
    numbered
}

/// A place for one connection.
pub(super) struct Link {
    connector: Arc<Connector>,
    /// What its sessions are told beside [`SETTINGS`].
    settings: &'static str,
    /// Where it is driven: whoever needs it first may be on a runtime that ends before.
    home: Handle,
    live: RwLock<Option<Arc<Live>>>,
    /// Held while connecting, so that one does for all.
    connecting: tokio::sync::Mutex<()>,
}

impl Link {
    /// Of the runtime that this is called on.
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        let (live, connecting) = (RwLock::new(None), tokio::sync::Mutex::new(()));
        Self { connector, settings: "", home: Handle::current(), live, connecting }
    }

    /// The same, for an election.
    pub(super) fn of_candidate(connector: Arc<Connector>) -> Self {
        Self { settings: CANDIDATES, ..Self::new(connector) }
    }

    /// The same, to read and nothing else.
    pub(super) fn to_read(connector: Arc<Connector>) -> Self {
        Self { settings: READS, ..Self::new(connector) }
    }

    /// The connection, made anew where it broke.
    pub(super) async fn live(&self) -> Result<Arc<Live>, OpenError> {
        if let Some(live) = self.present() {
            return Ok(live);
        }
        let _only_one = self.connecting.lock().await;
        if let Some(live) = self.present() {
            return Ok(live);
        }
        let unreachable = |cause| OpenError::Unreachable { address: self.connector.shown.clone(), cause };
        let (connector, settings) = (Arc::clone(&self.connector), self.settings);
        let connecting = async move { timeout(PATIENCE, connector.connect(settings)).await };
        // Nobody goes on with it when whoever needs it goes away.
        let mut one = JoinSet::new();
        one.spawn_on(connecting, &self.home);
        let live = (one.join_next().await)
            .and_then(Result::ok)
            .ok_or_else(|| unreachable("the server ends".into()))?
            .map_err(|_| unreachable("it does not answer in time".into()))?
            .map_err(|error| unreachable(why(&error)))?;
        let live = Arc::new(live);
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&live));
        Ok(live)
    }

    fn present(&self) -> Option<Arc<Live>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        live.filter(|live| !live.client.is_closed())
    }

    /// Gives a connection up that doesn't do what it should.
    pub(super) fn give_up(&self, live: &Arc<Live>) {
        let mut slot = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|present| Arc::ptr_eq(present, live)) {
            *slot = None;
        }
    }

    /// Does something on the connection, within [`PATIENCE`]; one on which that
    /// failed is given up.
    pub(super) async fn with<'a, T, F>(&self, act: impl FnOnce(Arc<Live>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + 'a,
    {
        let live = self.live().await.map_err(|error| Fault::Lost(format!("can't be made: {error}")))?;
        let done = timeout(PATIENCE, act(Arc::clone(&live))).await;
        let done = done.unwrap_or_else(|_| Err(Fault::Lost("did not answer in time".into())));
        if done.as_ref().is_err_and(Fault::is_passing) {
            self.give_up(&live);
        }
        done
    }
}

/// Why there is no connection, with what is beneath it.
fn why(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => said.message().to_owned(),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_testbed::Cluster;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    /// As a backup that is written where there is no room for it yet.
    #[tokio::test]
    async fn who_reads_whole_tables_may_stop_for_longer_than_silence_may_last() {
        let link = Link::new(Connector::new(&Cluster::shared().database().parse().unwrap()).unwrap());
        let live = link.live().await.unwrap();
        live.say(WHOLE).await.unwrap();
        // More than fits in between.
        let many = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
        let mut rows = Box::pin(live.client.query_raw(many, Vec::<i64>::new()).await.unwrap());
        rows.try_next().await.unwrap();
        sleep(Duration::from_secs(15)).await;
        assert_eq!(rows.try_fold(1, |count, _| async move { Ok(count + 1) }).await.unwrap(), 100_000);
    }

    #[tokio::test]
    async fn nobody_goes_on_connecting_for_who_went_away() {
        // A server that says nothing.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("postgres://somebody@{}/x", listener.local_addr().unwrap());
        let link = Link::new(Connector::new(&address.parse().unwrap()).unwrap());
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(50), link.live()).await.is_err());
            let (mut attempt, _) = listener.accept().await.unwrap();
            let left = timeout(PATIENCE / 5, attempt.read_to_end(&mut Vec::new())).await;
            assert!(left.is_ok(), "it goes on");
        }
    }
}
