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
use crate::link::Server;

/// Serves a connection until it ends, for whatever reason.
pub(crate) async fn serve<T, S, B>(stream: T, peer: SocketAddr, server: Arc<Server>, service: S)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Callee<B>,
    B: AnswerBody,
{
    let requests = Requests::new(&server.limits);
    let callee = Arc::clone(&server);
    let handler =
        service_fn(move |request| exchange_in_stream(Arc::clone(&callee), peer, service.clone(), request));
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
/// is reset.
#[derive(Clone)]
struct Requests {
    count: Arc<Count>,
    most: Duration,
}

struct Count {
    begun: Instant,
    under_way: AtomicUsize,
    /// How many there were.
    all: AtomicUsize,
    /// When the last one ended, in milliseconds after `begun`.
    ended: AtomicU64,
}

impl Requests {
    fn new(limits: &Limits) -> Self {
        let count = Count {
            begun: Instant::now(),
            under_way: AtomicUsize::new(0),
            all: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
        };
        // The service may have a last word after its time is up.
        Self { count: Arc::new(count), most: limits.request.saturating_add(2 * limits.drain_time) }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Requests {
    fn execute(&self, request: F) {
        let under_way = UnderWay::new(&self.count);
        let timed = tokio::time::timeout(self.most, request);
        tokio::spawn(async move {
            let _in_time = timed.await;
            drop(under_way);
        });
    }
}

/// One of the requests under way.
struct UnderWay(Arc<Count>);

impl UnderWay {
    fn new(count: &Arc<Count>) -> Self {
        count.all.fetch_add(1, Relaxed);
        count.under_way.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("net.connection.panicked");
        }
        let now = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.ended.store(now, Relaxed);
        self.0.under_way.fetch_sub(1, Release);
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

/// Watches how long a connection is quiet: has no request under way.
struct Watch {
    count: Arc<Count>,
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
        let due = count.begun + limits.head.min(limits.idle);
        let (head, idle, last) = (limits.head, limits.idle, limits.drain_time);
        Self { closing_since: count.begun, count, head, idle, last, closing: false, due }
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
        if self.count.under_way.load(Acquire) > 0 {
            self.due = now + patience;
            return Verdict::GoOn;
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
}
