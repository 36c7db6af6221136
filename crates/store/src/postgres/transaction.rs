//! One transaction: its steps are sent together, what they came to is looked at
//! in their order, and then it is committed, or nothing of it is done.
//!
//! Where the connection breaks while a commit is under way, nobody knows
//! whether it was done. So every transaction leaves a mark that it alone has:
//! whoever can still make that mark afterwards knows that it was not, and that
//! it never will be.

use futures_util::future::{MaybeDone, maybe_done};
use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::{Link, Live};
use super::error::Fault;
use super::locks::Locks;
use super::pool::Writers;
use super::rows::columns;
use crate::query::Query;
use crate::tables::{Malformed, Read, Value};
use strongroom_core::StoreError;
use strongroom_core::access::Proof;

/// How long it is tried to learn what became of a commit. A server that
/// crashed takes a few seconds to come back, or another to take its place.
const SETTLING: Duration = Duration::from_secs(15);
/// Between two tries of it.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a transaction is begun that fails for a passing reason.
const TRIES: u32 = 3;

/// What a step must come to for the transaction to go on.
pub(super) enum Expected {
    /// Whatever.
    Anything,
    /// At least one row touched or found, else somebody was quicker.
    Found,
    /// No row that is there already, else this.
    New(fn() -> StoreError),
    /// The row that proves a permit.
    Proof(Proof),
    /// A count of so many, else somebody was quicker.
    Exactly(usize),
    /// A count that this is true of, else that.
    Count(fn(u64) -> bool, fn() -> StoreError),
}

/// One statement of a transaction.
pub(super) struct Step<'a> {
    table: &'static str,
    text: Cow<'static, str>,
    values: Vec<Value<'a>>,
    expected: Expected,
}

impl<'a> Step<'a> {
    fn plain(text: &'static str, values: impl Into<Vec<Value<'a>>>) -> Self {
        let text = Cow::Borrowed(text);
        Self { table: "transaction", text, values: values.into(), expected: Expected::Anything }
    }

    fn lock((lock, alone): (i64, bool)) -> Self {
        let text = if alone {
            "SELECT pg_advisory_xact_lock(?1)"
        } else {
            "SELECT pg_advisory_xact_lock_shared(?1)"
        };
        Self::plain(text, [Value::Number(lock)])
    }

    /// Holds what it came to against what was expected.
    fn judge(&self, (rows, touched): (Vec<Row>, u64)) -> Result<(), StoreError> {
        let met = match &self.expected {
            Expected::Anything | Expected::New(_) => Ok(true),
            Expected::Found => Ok(touched > 0),
            Expected::Proof(proof) => rows
                .first()
                .map(|row| Proof::read(&mut columns(row)))
                .transpose()
                .map(|now| now.as_ref() == Some(proof)),
            Expected::Exactly(wanted) => counted(&rows).map(|count| usize::try_from(count) == Ok(*wanted)),
            Expected::Count(holds, _) => counted(&rows).map(holds),
        };
        match met {
            Ok(true) => Ok(()),
            Ok(false) => Err(match &self.expected {
                Expected::Proof(_) => StoreError::StalePermit,
                Expected::Count(_, otherwise) => otherwise(),
                _ => StoreError::Changed,
            }),
            Err(_) => Err(StoreError::Malformed(self.table)),
        }
    }
}

fn counted(rows: &[Row]) -> Result<u64, Malformed> {
    rows.first().map_or(Ok(0), |row| u64::read(&mut columns(row)))
}

/// What is to be done, all or nothing.
#[derive(Default)]
pub(super) struct Transaction<'a> {
    pub(super) locks: Locks,
    pub(super) steps: Vec<Step<'a>>,
    /// Undo it, and say so.
    pub(super) rehearsal: bool,
}

impl<'a> Transaction<'a> {
    /// Adds a statement.
    pub(super) fn add<T>(&mut self, query: Query<'a, T>, expected: Expected) {
        let (table, text, values) = (query.table, query.text.postgres, query.values);
        self.steps.push(Step { table, text, values, expected });
    }

    /// Runs it: how many rows its last step touched, or why it was undone.
    ///
    /// # Errors
    /// When the connection failed; if that was while it was committed, its mark
    /// is left in `ambiguous`.
    async fn run(self, live: &Live, ambiguous: &Mark) -> Result<Result<u64, StoreError>, Fault> {
        let Self { locks, steps, rehearsal } = self;
        let mark = live.mark();
        let mut all = vec![Step::plain("BEGIN", []), Step::marking(&mark)];
        all.extend(locks.in_order().map(Step::lock));
        all.extend(steps);
        let judged = exchange(live, &all).await?;
        if judged.is_err() || rehearsal {
            live.say("ROLLBACK").await?;
            return Ok(judged.and(Err(StoreError::Rehearsed)));
        }
        ambiguous.leave(mark);
        let committed = live.say("COMMIT").await;
        if !committed.as_ref().is_err_and(Fault::is_passing) {
            ambiguous.take();
        }
        committed?;
        Ok(judged)
    }
}

impl Step<'_> {
    fn marking(mark: &Uuid) -> Self {
        Self::plain(MARK, [Value::Id(*mark.as_bytes())])
    }
}

const MARK: &str = "INSERT INTO commits (id) VALUES (?1)";

/// Sends all steps at once; what they came to, up to the first that came to
/// something else than it should.
async fn exchange(live: &Live, steps: &[Step<'_>]) -> Result<Result<u64, StoreError>, Fault> {
    let mut answers: Vec<Answer<'_>> = Vec::with_capacity(steps.len());
    for step in steps {
        let statement = live.prepare(&step.text).await?;
        answers.push(Box::pin(async move { live.run(&statement, &step.values).await }));
    }
    let mut last = 0;
    for (step, answer) in steps.iter().zip(in_order(answers).await) {
        match answer {
            Ok(came_to) => {
                last = came_to.1;
                if let Err(refused) = step.judge(came_to) {
                    return Ok(Err(refused));
                }
            }
            Err(fault) if fault.is_passing() => return Err(fault),
            Err(fault) => {
                return Ok(Err(match (&step.expected, fault.is_duplicate()) {
                    (Expected::New(otherwise), true) => otherwise(),
                    _ => fault.into_store_error(step.table),
                }));
            }
        }
    }
    Ok(Ok(last))
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(Vec<Row>, u64), Fault>> + Send + 'a>>;

/// Begins each future in its turn, so that statements are sent in their order,
/// and waits for all.
pub(super) async fn in_order<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut all: Vec<_> = futures.into_iter().map(|future| Box::pin(maybe_done(future))).collect();
    poll_fn(|context| {
        let pending = all.iter_mut().filter_map(|future| match future.as_mut().poll(context) {
            Poll::Ready(()) => None,
            Poll::Pending => Some(()),
        });
        if pending.count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.iter_mut().filter_map(|future: &mut Pin<Box<MaybeDone<_>>>| future.as_mut().take_output()).collect()
}

/// The mark of a transaction of which it isn't known whether it was committed.
#[derive(Default)]
pub(super) struct Mark(Mutex<Option<Uuid>>);

impl Mark {
    pub(super) fn leave(&self, mark: Uuid) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
    }

    pub(super) fn take(&self) -> Option<Uuid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What became of a transaction.
pub(super) enum Settled {
    /// It was committed; which of its writes were done, if it noted that.
    Committed(Option<Vec<i64>>),
    /// It was not, and never will be.
    Undone,
}

/// Finds out what became of a transaction, on a connection that works.
///
/// # Errors
/// When no server answers for too long.
pub(super) async fn settle(link: &Link, mark: Uuid) -> Result<Settled, StoreError> {
    let until = Instant::now() + SETTLING;
    loop {
        match link.with(|live| async move { look(&live, mark).await }).await {
            Ok(settled) => return Ok(settled),
            Err(fault) if fault.is_passing() && Instant::now() < until => sleep(PAUSE).await,
            Err(fault) => {
                tracing::error!(error = %fault, "store.unsettled");
                return Err(StoreError::Unsettled);
            }
        }
    }
}

/// Makes the mark, which waits for whoever is just making it.
async fn look(live: &Live, mark: Uuid) -> Result<Settled, Fault> {
    let id = [Value::Id(*mark.as_bytes())];
    let insert = "INSERT INTO commits (id) VALUES (?1) ON CONFLICT DO NOTHING";
    if live.ask(insert, &id).await?.1 > 0 {
        return Ok(Settled::Undone);
    }
    let (rows, _) = live.ask("SELECT done FROM commits WHERE id = ?1", &id).await?;
    let done = rows.first().map(|row| row.try_get(0)).transpose()?;
    Ok(Settled::Committed(done.flatten()))
}

impl Writers {
    /// Runs a transaction to a known end, as often as it takes.
    ///
    /// # Errors
    /// Why it was not done.
    pub(super) async fn transact<'a>(&self, plan: impl Fn() -> Transaction<'a>) -> Result<u64, StoreError> {
        let mut tries = 1;
        loop {
            let ambiguous = Arc::new(Mark::default());
            let run = |live: Arc<Live>| {
                let (transaction, mark) = (plan(), Arc::clone(&ambiguous));
                async move { transaction.run(&live, &mark).await }
            };
            let fault = match self.with(run).await {
                Ok(done) => return done,
                Err(fault) => fault,
            };
            if let Some(mark) = ambiguous.take()
                && let Settled::Committed(_) = settle(&self.own_link(), mark).await?
            {
                return Ok(1);
            }
            if !fault.is_passing() || tries == TRIES {
                return Err(fault.into_store_error("transaction"));
            }
            tries += 1;
        }
    }
}
