//! Writes that only add rows: created secrets, started runs, deliveries. They are
//! no concern of one another, so whatever waits goes into one statement of one
//! transaction, and many callers share one commit.

use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_postgres::Row;

use super::batch::Batch;
use super::connection::{Connector, Link, Live};
use super::error::{Fault, OpenError};
use super::locks::Locks;
use super::pool::Writers;
use super::transaction::{Mark, Settled, in_order, settle};
use super::writes;
use crate::tables::Value;
use strongroom_core::StoreError;
use strongroom_core::access::Means;
use strongroom_core::store::{Change, Write};

/// The most writes in one transaction: bounds how long the first one waits.
const GROUP: usize = 256;
/// How often a group is begun that fails for a passing reason.
const TRIES: u32 = 3;

/// Whether a write adds rows and does nothing else.
pub(super) fn only_adds(write: &Write) -> bool {
    let adds = |change: &Change| match change {
        Change::Secret(put) => put.was.is_none(),
        Change::Run(put) => put.was.is_none(),
        Change::Version(_)
        | Change::Delivery(_)
        | Change::SecretIs(..)
        | Change::AgentIs(..)
        | Change::AttachmentIs(..)
        | Change::MembershipIs(..) => true,
        _ => false,
    };
    let by_program = matches!(write.permit.means(), Means::Key(_) | Means::Run(_));
    // For a day after the key of answers was replaced, there are two.
    !write.rehearsal && write.answers.len() < 2 && by_program && write.changes.iter().all(adds)
}

/// A write, and the way back to its caller.
struct Job {
    write: Write,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

/// The way into the next group.
pub(super) struct Appends {
    queue: UnboundedSender<Job>,
}

impl Appends {
    /// Starts the lane; it ends when this goes away. There is one: a second,
    /// which would gather a group while the first commits, makes groups smaller
    /// and was a tenth slower at 64 connections, a fifth at one.
    ///
    /// It has a thread of its own: as one task of many it heard of a commit only once
    /// all requests that had come meanwhile were dealt with, and PostgreSQL waited. By
    /// turns at 64 connections that was an eighth slower.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub(super) fn start(connector: &Arc<Connector>, writers: &Arc<Writers>) -> Result<Self, OpenError> {
        let (queue, waiting) = unbounded_channel();
        let (connector, writers) = (Arc::clone(connector), Arc::clone(writers));
        let others = Handle::current();
        let (tell, begun) = std::sync::mpsc::channel();
        // A runtime may not be dropped where another one runs, so it is made in its thread.
        let work = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = tell.send(Ok(()));
                runtime.block_on(async {
                    let lane = Lane { link: Link::new(connector), waiting, writers, others };
                    lane.run().await;
                });
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("store-appends".into());
        thread.spawn(work).map_err(OpenError::Thread)?;
        begun.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into())).map_err(OpenError::Thread)?;
        Ok(Self { queue })
    }

    /// Returns when the lane is no more.
    pub(super) async fn stopped(&self) {
        self.queue.closed().await;
    }

    /// Does a write that [`only_adds`], together with others.
    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Job { write, reply }).map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }
}

struct Lane {
    link: Link,
    waiting: UnboundedReceiver<Job>,
    writers: Arc<Writers>,
    /// Where everything else is done.
    others: Handle,
}

impl Lane {
    async fn run(mut self) {
        loop {
            let mut jobs = Vec::with_capacity(64);
            let taken = self.waiting.recv_many(&mut jobs, GROUP).await;
            if taken == 0 {
                return;
            }
            let (writes, replies): (Vec<_>, Vec<_>) =
                jobs.into_iter().map(|job| (job.write, job.reply)).unzip();
            match self.together(&writes).await {
                Some(results) => replies.into_iter().zip(results).for_each(|(reply, result)| {
                    // A caller who went away needs no answer.
                    let _ = reply.send(result);
                }),
                None => drop(self.others.spawn(apart(Arc::clone(&self.writers), writes, replies))),
            }
        }
    }

    /// Does all of these writes, unless one of them is in the way of the others.
    async fn together(&self, writes: &[Write]) -> Option<Vec<Result<(), StoreError>>> {
        let mut tries = 1;
        loop {
            let ambiguous = Mark::default();
            let fault = match self.link.with(|live| group(live, writes, &ambiguous)).await {
                Ok(stages) => return Some(stages.into_iter().map(Stage::outcome).collect()),
                Err(fault) => fault,
            };
            if let Some(mark) = ambiguous.take() {
                match settle(&self.link, mark).await {
                    Ok(Settled::Committed(done)) => {
                        return Some(outcomes(writes.len(), &done.unwrap_or_default()));
                    }
                    Ok(Settled::Undone) => {}
                    Err(_) => return Some(writes.iter().map(|_| Err(StoreError::Unsettled)).collect()),
                }
            }
            if !fault.is_passing() {
                return None;
            }
            if tries == TRIES {
                let fault = fault.to_string();
                let unavailable = |_| Err(StoreError::Unavailable(fault.clone().into()));
                return Some(writes.iter().map(unavailable).collect());
            }
            tries += 1;
        }
    }
}

/// Does each write in a transaction of its own: one of them is refused for
/// what the others have nothing to do with.
async fn apart(
    writers: Arc<Writers>,
    group: Vec<Write>,
    replies: Vec<oneshot::Sender<Result<(), StoreError>>>,
) {
    for (write, reply) in group.iter().zip(replies) {
        let _ = reply.send(writers.transact(|| writes::of(write)).await.map(|_| ()));
    }
}

/// What became of writes of which only is known which were done: the others are
/// planned anew, and that shows why they weren't.
fn outcomes(count: usize, done: &[i64]) -> Vec<Result<(), StoreError>> {
    let done = |at: usize| i64::try_from(at).is_ok_and(|at| done.contains(&at));
    (0..count).map(|at| if done(at) { Ok(()) } else { Err(StoreError::Changed) }).collect()
}

/// How far a write got.
#[derive(Clone, Copy)]
enum Stage {
    Unproven,
    Proven,
    Held,
    Done,
}

impl Stage {
    fn outcome(self) -> Result<(), StoreError> {
        match self {
            Self::Unproven => Err(StoreError::StalePermit),
            Self::Proven => Err(StoreError::Changed),
            Self::Held => Err(StoreError::Answered),
            Self::Done => Ok(()),
        }
    }
}

/// Sends a whole group at once: nothing has to be looked at before its commit,
/// because its one statement does what can be done and nothing else.
async fn group(live: Arc<Live>, writes: &[Write], ambiguous: &Mark) -> Result<Vec<Stage>, Fault> {
    let (mark, mut locks) = (live.mark(), Locks::default());
    for write in writes {
        locks.resting(&write.permit);
    }
    let locks: Vec<_> = locks.in_order().map(|(lock, _)| Value::Number(lock)).collect();
    let locks = [locks];
    let (text, columns) = Batch::of(writes, mark);
    let lock = live.prepare(LOCK).await?;
    let statement = live.prepare(&text).await?;
    ambiguous.leave(mark);
    let live = &*live;
    let nothing = |said: Result<(), Fault>| said.map(|()| Vec::new());
    let answers = in_order(vec![
        Box::pin(async { nothing(live.say("BEGIN").await) }) as _,
        Box::pin(async { live.run_columns(&lock, &locks).await }) as _,
        Box::pin(async { live.run_columns(&statement, &columns).await }) as _,
        Box::pin(async { nothing(live.say("COMMIT").await) }) as _,
    ])
    .await;
    let answers: Result<Vec<_>, Fault> = answers.into_iter().collect();
    // A server that refused is a server that has undone it.
    if !answers.as_ref().is_err_and(Fault::is_passing) {
        ambiguous.take();
    }
    let answers = answers?;
    let rows: &[Row] = answers.get(2).map_or(&[], Vec::as_slice);
    let mut stages = vec![Stage::Unproven; writes.len()];
    for row in rows {
        let (at, stage): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(place) = usize::try_from(at).ok().and_then(|at| stages.get_mut(at)) {
            *place = match stage {
                3 => Stage::Done,
                2 => Stage::Held,
                1 => Stage::Proven,
                _ => Stage::Unproven,
            };
        }
    }
    Ok(stages)
}

/// In their order, which is everybody's.
const LOCK: &str = "SELECT pg_advisory_xact_lock_shared(lock) FROM unnest(?1::bigint[]) lock";
