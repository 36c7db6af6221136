//! Drives one HTTP/2 connection: lets the HTTP library work, and ends the
//! connection when it has been quiet for too long, asks for nothing over and
//! over, or is to end with the server. Each request has its own time.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::callee::{AnswerBody, Callee};
use crate::connection::kind;
use crate::exchange::exchange_in_stream;
use crate::frames::Frames;
use crate::limits::Limits;
use crate::link::{Link, Server};

/// Serves a connection until it ends, for whatever reason.
pub(crate) async fn serve<T, S, B>(stream: T, peer: SocketAddr, server: Arc<Server>, service: S)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Callee<B>,
    B: AnswerBody,
{
    let requests = Requests::new(&server.limits);
    let (callee, count) = (Arc::clone(&server), Arc::clone(&requests.count));
    let handler = service_fn(move |request| {
        let link = Link::of_stream(Arc::clone(&callee), peer, UnderWay::new(&count));
        exchange_in_stream(link, service.clone(), request)
    });
    let io = TokioIo::new(Frames::new(stream, peer));
    let mut http = pin!(library(&server.limits, requests.clone()).serve_connection(io, handler));
    let mut watch = Watch::new(&server.limits, &requests);
    let mut leaving = pin!(server.leaving.notified());
    leaving.as_mut().enable();
    // Whoever asks the server to end sets the flag, then notifies.
    let mut asked = server.closing.load(Relaxed);
    loop {
        if asked {
            watch.close();
            http.as_mut().graceful_shutdown();
        }
        tokio::select! {
            biased;
            ended = http.as_mut() => return note(peer, ended),
            () = leaving.as_mut(), if !watch.closing => asked = true,
            () = tokio::time::sleep_until(watch.due) => match watch.judge(Instant::now()) {
                Verdict::GoOn => asked = false,
                Verdict::Close => asked = true,
                Verdict::Cut => {
                    tracing::debug!(net.peer = %peer, "net.connection.timed_out");
                    return;
                }
            },
        }
    }
}

fn note(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(net.peer = %peer, net.error = kind(&error), "net.connection.failed");
    }
}

/// Requests of one connection that are under way at the same time. What RFC
/// 9113 §6.5.2 calls the least that lets clients work in parallel.
const STREAMS: u32 = 100;

/// What the library keeps of a body that nobody reads, in bytes: for one
/// request about what HTTP/1.1 keeps, and so that a few who don't read leave
/// room for the others. A client has this many megabytes in our memory, not
/// [`STREAMS`] bodies.
const WINDOW: u32 = 64 * 1024;
const WINDOW_OF_ALL: u32 = 256 * 1024;

/// What the library keeps of an answer that the client doesn't take, in bytes.
const UNSENT: usize = 64 * 1024;

/// Requests that a client may take back before we even saw them. Honest ones
/// do so by accident; "rapid reset" (CVE-2023-44487) does nothing else.
const TAKEN_BACK: usize = 20;

/// Requests so wrong that the library resets them, on one connection. Each
/// costs us a frame that the client needn't read ("made you reset",
/// CVE-2025-8671); the usual 1,024 are for proxies with many clients behind.
const RESET_BY_US: usize = 64;

/// What the library holds a client to, each with its reason.
fn library(limits: &Limits, requests: Requests) -> http2::Builder<Requests> {
    let mut builder = http2::Builder::new(requests);
    builder
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW_OF_ALL)
        .max_send_buf_size(UNSENT)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .max_local_error_reset_streams(RESET_BY_US)
        // Above our own limit, so that most of what is too long gets our answer;
        // from here also comes how many CONTINUATION frames a head may have.
        .max_header_list_size(u32::try_from(2 * limits.max_head).unwrap_or(u32::MAX))
        // Within a head nothing else may come, so who stops in the midst of one
        // answers no ping; nor does who is gone, or has stopped to read.
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.head)
        .keep_alive_timeout(limits.head);
    builder
}

/// The requests of one connection. Each runs as a task of its own, for as long
/// as a request may take, the reading of its answer included; then its stream
/// is reset. An answer that was handed to the library whole is past that: until
/// it is written, its request still counts.
#[derive(Clone)]
struct Requests {
    count: Arc<Count>,
    most: Duration,
}

struct Count {
    begun: Instant,
    /// Those that began in an even epoch, and in an odd one.
    under_way: [AtomicUsize; 2],
    epoch: AtomicUsize,
    /// How many there were.
    all: AtomicUsize,
    /// When the last one ended, in milliseconds after `begun`.
    ended: AtomicU64,
}

impl Count {
    /// Those under way that began in this epoch, or in one that long before.
    fn of(&self, epoch: usize) -> &AtomicUsize {
        let [even, odd] = &self.under_way;
        if epoch.is_multiple_of(2) { even } else { odd }
    }

    fn under_way(&self) -> usize {
        self.under_way.iter().map(|count| count.load(Acquire)).sum()
    }

    /// Begins the next epoch, unless something is under way that began in the
    /// one before this.
    fn next_epoch(&self) -> bool {
        let next = self.epoch.load(Relaxed).wrapping_add(1);
        let over = self.of(next).load(Acquire) == 0;
        if over {
            self.epoch.store(next, Relaxed);
        }
        over
    }
}

impl Requests {
    fn new(limits: &Limits) -> Self {
        let count = Count {
            begun: Instant::now(),
            under_way: Default::default(),
            epoch: AtomicUsize::new(0),
            all: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
        };
        // The service may have a last word after its time is up.
        Self { count: Arc::new(count), most: limits.request.saturating_add(2 * limits.drain_time) }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Requests {
    fn execute(&self, request: F) {
        let timed = tokio::time::timeout(self.most, request);
        tokio::spawn(async move { drop(timed.await) });
    }
}

/// One of the requests under way.
pub(crate) struct UnderWay {
    count: Arc<Count>,
    epoch: usize,
}

impl UnderWay {
    fn new(count: &Arc<Count>) -> Self {
        let epoch = count.epoch.load(Relaxed);
        count.all.fetch_add(1, Relaxed);
        count.of(epoch).fetch_add(1, Relaxed);
        Self { count: Arc::clone(count), epoch }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("net.connection.panicked");
        }
        let now = u64::try_from(self.count.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.count.ended.store(now, Relaxed);
        self.count.of(self.epoch).fetch_sub(1, Release);
    }
}

/// What is to be done with a connection when time has passed.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    /// Let the client know, and see its requests out.
    Close,
    /// It had time enough for that.
    Cut,
}

/// Watches how long a connection is quiet, that is, has no request under way,
/// and that none is for too long.
struct Watch {
    count: Arc<Count>,
    /// How long an epoch is.
    most: Duration,
    epoch_ends: Instant,
    head: Duration,
    idle: Duration,
    last: Duration,
    closing: bool,
    closing_since: Instant,
    /// When to look next.
    due: Instant,
}

impl Watch {
    fn new(limits: &Limits, requests: &Requests) -> Self {
        let count = Arc::clone(&requests.count);
        let begun = count.begun;
        Self {
            count,
            most: requests.most,
            epoch_ends: begun + requests.most,
            head: limits.head,
            idle: limits.idle,
            last: limits.drain_time,
            closing: false,
            closing_since: begun,
            due: begun + limits.head.min(limits.idle),
        }
    }

    /// The connection is to end once no request is under way.
    fn close(&mut self) {
        if !self.closing {
            self.closing = true;
            self.closing_since = Instant::now();
            self.due = self.closing_since + self.last;
        }
    }

    /// How long it may be quiet: at first for as long as a head takes.
    fn patience(&self) -> Duration {
        match self.count.all.load(Relaxed) {
            _ if self.closing => self.last,
            0 => self.head,
            _ => self.idle,
        }
    }

    fn judge(&mut self, now: Instant) -> Verdict {
        let patience = self.patience();
        if self.count.under_way() > 0 {
            return self.judge_busy(now, patience);
        }
        let ended = self.count.begun + Duration::from_millis(self.count.ended.load(Relaxed));
        let quiet_since = if self.closing { ended.max(self.closing_since) } else { ended };
        self.due = quiet_since + patience;
        // Where nothing was ever asked for there is nothing to see out.
        let asked = self.count.all.load(Relaxed) > 0;
        if now < self.due {
            Verdict::GoOn
        } else if asked && !self.closing {
            Verdict::Close
        } else {
            Verdict::Cut
        }
    }
    /// A request that began two epochs ago had more time than any may take.
    fn judge_busy(&mut self, now: Instant, patience: Duration) -> Verdict {
        if now >= self.epoch_ends {
            if !self.count.next_epoch() {
                return Verdict::Cut;
            }
            self.epoch_ends = now + self.most;
        }
        self.due = self.epoch_ends.min(now + patience);
        Verdict::GoOn
    }
}
