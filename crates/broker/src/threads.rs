//! The threads that serve connections. Each has a runtime and connections to hosts of its own, so that
//! what a connection brings is done where it came in: nobody has to be woken elsewhere, and one look at
//! what came in tells of more at once.

use std::convert::Infallible;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::broker::Broker;

/// How often connections are closed whose time is over. A runtime with a timer as near as this isn't woken
/// by those of each request, which are further off.
const SWEEPS: Duration = Duration::from_millis(250);

/// Threads for what would keep connections waiting, such as to look up a name: of all, and of each at least.
const BESIDE: usize = 512;
const LEAST_BESIDE: usize = 32;

/// All of them. They end when this is dropped, and what they do with them.
pub(crate) struct Threads(Vec<Thread>);

/// One of them.
pub(crate) struct Thread {
    pub(crate) broker: Arc<Broker>,
    pub(crate) runtime: Handle,
    /// Until it is dropped the thread goes on.
    goes_on: oneshot::Sender<Infallible>,
    /// Dropped when nothing is done there any more.
    is_over: oneshot::Receiver<Infallible>,
}

impl Threads {
    /// Starts so many; with none, all is done on the runtime that this is called on.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub(crate) fn start(broker: &Broker, count: Option<NonZeroUsize>) -> io::Result<Self> {
        let one = |threads| Arc::new(broker.of_a_thread(threads));
        let Some(count) = count else { return Ok(Self(vec![Thread::here(one(NonZeroUsize::MIN))])) };
        let most_beside = BESIDE.div_ceil(count.get()).max(LEAST_BESIDE);
        let start = |number| Thread::start(number, one(count), most_beside);
        (0..count.get()).map(start).collect::<Result<_, _>>().map(Self)
    }

    /// The one that does least: each tunnel and each request holds its broker. Of equal ones the first, so
    /// that tunnels which follow one another find the connections to hosts that those before have left.
    ///
    /// One that is no more, which only a defect ends, would be the idlest for ever.
    pub(crate) fn idlest(&self) -> Option<&Thread> {
        let there = self.0.iter().filter(|thread| !thread.goes_on.is_closed());
        there.min_by_key(|thread| Arc::strong_count(&thread.broker))
    }

    /// Ends what is still done on them.
    pub(crate) async fn end(self) {
        let (going_on, over): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|thread| (thread.goes_on, thread.is_over)).unzip();
        drop(going_on);
        for over in over {
            let _dropped_at_its_end = over.await;
        }
    }
}

impl Thread {
    fn here(broker: Arc<Broker>) -> Self {
        let ((goes_on, ended), (over, is_over)) = (oneshot::channel(), oneshot::channel());
        let (runtime, sweeping) = (Handle::current(), Arc::clone(&broker));
        runtime.spawn(async move {
            sweep(&sweeping, ended).await;
            drop(over);
        });
        Self { broker, runtime, goes_on, is_over }
    }

    fn start(number: usize, broker: Arc<Broker>, most_beside: usize) -> io::Result<Self> {
        let ((goes_on, ended), (over, is_over)) = (oneshot::channel(), oneshot::channel());
        let (tell, told) = mpsc::channel();
        let sweeping = Arc::clone(&broker);
        // A runtime may not be dropped where another one runs, so it is made in its thread.
        let mut builder = Builder::new_current_thread();
        builder.enable_all().max_blocking_threads(most_beside);
        let work = move || match builder.build() {
            Ok(runtime) => {
                let _ = tell.send(Ok(runtime.handle().clone()));
                runtime.block_on(sweep(&sweeping, ended));
                // What looks up a name may take its time.
                runtime.shutdown_background();
                drop((sweeping, over));
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        };
        thread::Builder::new().name(format!("broker-{number}")).spawn(work)?;
        let runtime = told.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Self { broker, runtime, goes_on, is_over })
    }
}

/// Closes connections to hosts whose time is over, until there is nobody who would use them.
async fn sweep(broker: &Broker, ended: oneshot::Receiver<Infallible>) {
    let sweeping = async {
        loop {
            sleep(SWEEPS).await;
            broker.upstream.sweep();
        }
    };
    tokio::select! {
        _ = ended => {}
        () = sweeping => {}
    }
}
