//! Drives one HTTP/1.1 connection: lets the HTTP library work, and watches the one
//! deadline of the phase that the connection is in. The timer is only ever set
//! forward when it fires or back when a phase ends sooner, so that a request
//! costs no timer operation.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep};

use crate::admission::Seat;
use crate::callee::{AnswerBody, BoxError, Callee};
use crate::exchange::exchange;
use crate::link::{Link, Phase};
use crate::wire::Wire;

/// What the library buffers at most, each way; a head and its successor fit.
const MIN_BUFFER: usize = 64 * 1024;

/// Header lines that the library finds room for without allocating.
const INLINE_HEADERS: usize = 100;

/// Serves a connection until it ends, for whatever reason.
pub(crate) fn serve<T, S, B>(stream: T, link: Link, seat: Seat, service: S) -> impl Future<Output = ()> + Send
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Callee<B>,
    B: AnswerBody,
{
    let link = Arc::new(link);
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&link)));
    let callee = Arc::clone(&link);
    let handler = service_fn(move |request| exchange(Arc::clone(&callee), service.clone(), request));
    let http = library(&link).serve_connection(wire, handler);
    let leaving = Box::pin(Arc::clone(&link.server.leaving).notified_owned());
    let deadline = link.deadline();
    let timer = Box::pin(tokio::time::sleep_until(deadline));
    Connection {
        http: Some(http),
        wire: None,
        link,
        timer,
        armed: deadline,
        leaving: Some(leaving),
        listening: false,
        _seat: seat,
    }
}

/// The library's own limits lie above ours, which are met first.
fn library(link: &Link) -> http1::Builder {
    let limits = link.limits();
    let mut builder = http1::Builder::new();
    // A client that has said all it will may close its side and wait.
    builder.half_close(true).max_buf_size(MIN_BUFFER.max(2 * limits.max_head)).header_read_timeout(None);
    if limits.max_headers > INLINE_HEADERS {
        builder.max_headers(limits.max_headers);
    }
    builder
}

/// The library's side of a connection.
type Http<T, H> = http1::Connection<TokioIo<Wire<T>>, H>;

struct Connection<T, H: HttpService<Incoming>> {
    /// Gone once all requests are answered.
    http: Option<Http<T, H>>,
    /// What is left then.
    wire: Option<Wire<T>>,
    link: Arc<Link>,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires: never after the phase must end.
    armed: Instant,
    /// Resolves when the server is asked to end; gone once it did.
    leaving: Option<Pin<Box<OwnedNotified>>>,
    /// Whether `leaving` knows whom to wake: always this one task.
    listening: bool,
    _seat: Seat,
}

impl<T, H> Future for Connection<T, H>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    H: HttpService<Incoming>,
    H::Error: Into<BoxError>,
    H::ResBody: 'static,
    <H::ResBody as HttpBody>::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.watch(cx).is_ready() {
            return Poll::Ready(());
        }
        self.heed_shutdown(cx);
        let done = self.advance(cx);
        self.rearm();
        done
    }
}

impl<T, H> Connection<T, H>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    H: HttpService<Incoming>,
    H::Error: Into<BoxError>,
    H::ResBody: 'static,
    <H::ResBody as HttpBody>::Error: Into<BoxError>,
{
    /// Ready when the connection is to be cut.
    fn watch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let deadline = self.link.deadline();
            if Instant::now() < deadline {
                self.arm(deadline);
            } else if self.link.phase() == Phase::Request && self.link.service_works() {
                self.link.time_is_up();
            } else {
                tracing::debug!(net.peer = %self.link.peer, net.phase = ?self.link.phase(), "net.connection.timed_out");
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    fn heed_shutdown(&mut self, cx: &mut Context<'_>) {
        let Some(leaving) = &mut self.leaving else { return };
        // Asking takes a lock that all connections share: ask once, then look
        // at the flag, as whatever wakes this task polls all of it.
        let told = !self.listening && leaving.as_mut().poll(cx).is_ready();
        self.listening = true;
        if told || self.link.server.closing.load(Relaxed) {
            self.leaving = None;
            if let Some(http) = &mut self.http {
                Pin::new(http).graceful_shutdown();
            }
        }
    }

    /// Serves requests; then closes, whatever way the library parted.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(http) = &mut self.http {
            let result = ready!(Pin::new(http).poll(cx));
            if let Err(error) = result {
                tracing::debug!(net.peer = %self.link.peer, net.error = kind(&error), "net.connection.failed");
            }
            self.wire = self.http.take().map(|http| http.into_parts().io.into_inner());
        }
        match &mut self.wire {
            Some(wire) => Pin::new(wire).poll_shutdown(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }

    /// Sets the timer back if the phase ends sooner than it fires.
    fn rearm(&mut self) {
        let deadline = self.link.deadline();
        if deadline < self.armed {
            self.arm(deadline);
        }
    }

    fn arm(&mut self, deadline: Instant) {
        self.armed = deadline;
        self.timer.as_mut().reset(deadline);
    }
}

/// What an error is about. Its own words may quote what a client sent.
pub(crate) fn kind(error: &hyper::Error) -> &'static str {
    match error {
        _ if error.is_parse() => "malformed",
        _ if error.is_incomplete_message() => "incomplete",
        _ if error.is_user() => "answer",
        _ => "io",
    }
}
