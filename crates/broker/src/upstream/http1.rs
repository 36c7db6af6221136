//! Connections by HTTP/1.1. One is driven by whoever waits for its answer: to wake another task for a
//! request, and again for its answer, costs more than all that is done with either.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::rt::{Read, Write};
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};
use tower::Service as _;

use super::connector::Connector;
use super::{Failed, IDLE, MOST_IDLE};
use crate::accept::HELD;
use crate::body::OutBody;
use crate::target::Target;

/// How often work with a connection goes on that rang by itself, before others have their turn.
const TURNS: u8 = 8;

/// The way to hosts by HTTP/1.1.
pub(super) struct Http1 {
    connector: Connector,
    idle: Arc<Idle>,
}

impl Http1 {
    /// Keeps at most so many connections that nobody uses.
    pub(super) fn new(connector: Connector, most_idle: usize) -> Self {
        Self { connector, idle: Arc::new(Idle::new(most_idle)) }
    }

    /// Sends a request whose URI has no host.
    ///
    /// # Errors
    /// When there is no connection, or it breaks before it brings an answer.
    pub(super) async fn send(
        &self,
        target: &Target,
        mut request: Box<Request<OutBody>>,
    ) -> Result<Response<Arriving>, Failed> {
        if !request.headers().contains_key(HOST) {
            let host =
                HeaderValue::try_from(target.authority()).map_err(|error| Failed::Broken(error.into()))?;
            request.headers_mut().insert(HOST, host);
        }
        let end = request.body().end();
        loop {
            let kept = self.idle.take(target);
            let (is_kept, mut link) = match kept {
                Some(link) => (true, link),
                None => (false, Box::pin(self.connect(target)).await?),
            };
            match link.ask(*request).await {
                Ok(answer) => return Ok(self.idle.arriving(target, link, answer, &end)),
                Err(mut error) => match error.take_message() {
                    // The host had closed it, and has seen nothing of the request.
                    Some(unsent) if is_kept => *request = unsent,
                    _ => return Err(Failed::Broken(error.into_error().into())),
                },
            }
        }
    }

    /// Closes connections that nobody used for long.
    pub(super) fn sweep(&self) {
        self.idle.sweep(Instant::now());
    }

    async fn connect(&self, target: &Target) -> Result<Link, Failed> {
        let uri = target.url(&Uri::default()).map_err(Failed::Refused)?;
        let stream = self.connector.clone().call(uri).await.map_err(Failed::Unconnected)?;
        Link::over(stream).await.map_err(|error| Failed::Unconnected(error.into()))
    }
}

/// A connection, which does nothing unless it is driven.
struct Link {
    sender: SendRequest<OutBody>,
    /// None when it is over: only then comes back what was not sent.
    driving: Option<Driving>,
    bell: Arc<Bell>,
}

type Driving = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

fn drive(driving: &mut Option<Driving>, context: &mut Context<'_>) {
    if driving.as_mut().is_some_and(|driving| driving.as_mut().poll(context).is_ready()) {
        *driving = None;
    }
}

impl Link {
    async fn over(stream: impl Read + Write + Unpin + Send + 'static) -> hyper::Result<Self> {
        let mut http = Builder::new();
        http.max_buf_size(HELD);
        let (sender, connection) = http.handshake(stream).await?;
        let driving: Driving = Box::pin(connection.with_upgrades());
        Ok(Self { sender, driving: Some(driving), bell: Arc::default() })
    }

    /// Asks, and drives it until the head of the answer is there.
    async fn ask(
        &mut self,
        request: Request<OutBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<OutBody>>> {
        // The connection alone says how much is done before others have their turn.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let driving = &mut self.driving;
        poll_fn(|context| {
            self.bell.at_work(context, |context| {
                drive(driving, context);
                answer.as_mut().poll(context)
            })
        })
        .await
    }

    /// Drives it until this piece of the answer is there.
    fn frame(&mut self, body: &mut Incoming, context: &mut Context<'_>) -> Poll<Piece> {
        let driving = &mut self.driving;
        self.bell.at_work(context, |context| {
            let piece = Pin::new(&mut *body).poll_frame(context);
            if piece.is_ready() {
                return piece;
            }
            drive(driving, context);
            Pin::new(&mut *body).poll_frame(context)
        })
    }

    /// Whether another request may be sent; notices when the host has closed it.
    fn is_open(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.bell));
        drive(&mut self.driving, &mut Context::from_waker(&waker));
        self.driving.is_some() && self.sender.is_ready()
    }

    /// Has it go on by itself until what is under way is done and its host knows that it is over.
    fn end(self) {
        // Without a runtime the process ends.
        if let (Some(driving), Ok(runtime)) = (self.driving, Handle::try_current()) {
            runtime.spawn(to_its_end(driving));
        }
    }
}

/// Drives it, and has it look now and then whether anybody needs it: when what was sent behind an answer is
/// through, it doesn't by itself.
async fn to_its_end(mut driving: Driving) {
    while timeout(IDLE, driving.as_mut()).await.is_err() {}
}

/// A piece of a body, or its end.
type Piece = Option<Result<Frame<Bytes>, hyper::Error>>;

/// Wakes whoever waits for something of a connection; not while they are at work with it. What is
/// done with one end of it rings for the other, and who is rung for while at work is sent to the end
/// of a queue.
#[derive(Default)]
struct Bell {
    waiting: AtomicWaker,
    is_at_work: AtomicBool,
    has_rung: AtomicBool,
}

impl Bell {
    /// Works until something is ready, or the connection has to be waited for.
    fn at_work<T>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.waiting.register(context.waker());
        let waker = Waker::from(Arc::clone(self));
        for _ in 0..TURNS {
            self.is_at_work.store(true, Ordering::SeqCst);
            self.has_rung.swap(false, Ordering::SeqCst);
            let done = work(&mut Context::from_waker(&waker));
            self.is_at_work.store(false, Ordering::SeqCst);
            if done.is_ready() || !self.has_rung.load(Ordering::SeqCst) {
                return done;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Has nobody waiting any more.
    fn leave(&self) {
        self.waiting.take();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::SeqCst);
        if !self.is_at_work.load(Ordering::SeqCst) {
            self.waiting.wake();
        }
    }
}

/// Connections that nobody uses.
struct Idle {
    links: Mutex<Links>,
    most: usize,
}

/// By their host, and since when nobody uses them.
#[derive(Default)]
struct Links {
    of: HashMap<Target, Vec<(Link, Instant)>>,
    count: usize,
}

impl Idle {
    fn new(most: usize) -> Self {
        Self { links: Mutex::default(), most }
    }

    /// The answer, of which there is the head.
    fn arriving(
        self: &Arc<Self>,
        target: &Target,
        link: Link,
        answer: Response<Incoming>,
        end: &Weak<()>,
    ) -> Response<Arriving> {
        let is_upgrade = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let link = if link.sender.is_ready() {
            // All of the answer is there already.
            self.keep(target, link);
            None
        } else if is_upgrade || end.strong_count() > 0 {
            // Whoever sends more may read the answer only when all is sent.
            link.end();
            None
        } else {
            Some((link, Arc::clone(self), target.clone()))
        };
        answer.map(|body| Arriving { body, link })
    }

    /// The one that was used last, of those that are open.
    fn take(&self, target: &Target) -> Option<Link> {
        loop {
            let mut link = self.links().pop(target)?;
            if link.is_open() {
                return Some(link);
            }
        }
    }

    fn keep(&self, target: &Target, link: Link) {
        let mut links = self.links();
        link.bell.leave();
        let mut some = Vec::new();
        // No more than need be: to end all at once would keep everybody waiting.
        while links.count >= self.most && !links.of.is_empty() {
            some.extend(links.pop_host());
        }
        let one = links.push(target, (link, Instant::now()));
        drop(links);
        for (link, _) in some.into_iter().chain(one) {
            link.end();
        }
    }

    fn sweep(&self, now: Instant) {
        let old = self.links().older(now);
        for (link, _) in old {
            link.end();
        }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    fn pop(&mut self, target: &Target) -> Option<Link> {
        let (link, _) = self.of.get_mut(target)?.pop()?;
        self.count -= 1;
        Some(link)
    }

    /// Those of one host, whichever.
    fn pop_host(&mut self) -> Vec<(Link, Instant)> {
        let host = self.of.keys().next().cloned();
        let some = host.and_then(|host| self.of.remove(&host)).unwrap_or_default();
        self.count -= some.len();
        some
    }

    /// Says which one is too many.
    fn push(&mut self, target: &Target, link: (Link, Instant)) -> Option<(Link, Instant)> {
        match self.of.get_mut(target) {
            Some(own) if own.len() >= MOST_IDLE => return Some(link),
            Some(own) => own.push(link),
            None => drop(self.of.insert(target.clone(), vec![link])),
        }
        self.count += 1;
        None
    }

    /// Takes out those that nobody used for long.
    fn older(&mut self, now: Instant) -> Vec<(Link, Instant)> {
        let is_old = |(_, since): &mut (Link, Instant)| now.saturating_duration_since(*since) >= IDLE;
        let old: Vec<_> = self.of.values_mut().flat_map(|own| own.extract_if(.., is_old)).collect();
        self.of.retain(|_, own| !own.is_empty());
        self.count -= old.len();
        old
    }
}

/// The body of an answer, with the connection that brings it.
pub(crate) struct Arriving {
    body: Incoming,
    link: Option<(Link, Arc<Idle>, Target)>,
}

impl Arriving {
    /// A body that arrives by itself.
    pub(super) fn by_itself(body: Incoming) -> Self {
        Self { body, link: None }
    }

    /// Keeps the connection, now that the body is there.
    fn keep(&mut self) {
        let Some((mut link, idle, target)) = self.link.take() else { return };
        if link.is_open() { idle.keep(&target, link) } else { link.end() }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.keep();
        } else if let Some((link, ..)) = self.link.take() {
            link.end();
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Piece> {
        let Self { body, link } = &mut *self;
        let piece = ready!(match link {
            Some((link, ..)) => link.frame(body, context),
            None => Pin::new(body).poll_frame(context),
        });
        if piece.is_none() || self.body.is_end_stream() {
            self.keep();
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use hyper_util::rt::TokioIo;
    use std::time::Duration;
    use strongroom_core::policies::Scheme;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    /// Nothing here takes longer than this.
    const SOON: Duration = Duration::from_mins(1);
    /// Connections that are kept.
    const MOST: usize = 1_024;
    /// More than is held on the way.
    const MUCH: usize = 100_000;

    fn request() -> Request<OutBody> {
        let body = OutBody::Whole(Full::new(vec![b'x'; MUCH].into()));
        Request::post("/").header(HOST, "a.example").body(body).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_host_that_has_left_did_not_see_comes_back() {
        let (ours, mut theirs) = duplex(2 * MUCH);
        let mut link = Link::over(TokioIo::new(ours)).await.unwrap();
        let host = async {
            theirs.read_u8().await.unwrap();
            theirs.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let (answer, ()) = tokio::join!(link.ask(request()), host);
        let answer = answer.map_err(TrySendError::into_error).unwrap();
        assert!(answer.body().is_end_stream() && link.is_open(), "the control");
        theirs.shutdown().await.unwrap();
        let error = timeout(SOON, link.ask(request())).await.expect("it is told of").unwrap_err();
        assert!(error.message().is_some());
        assert!(!link.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_sent_though_the_answer_was_first() {
        let (ours, mut theirs) = duplex(1_000);
        let (idle, target) = (
            Arc::new(Idle::new(MOST)),
            Target { scheme: Scheme::Https, host: "a.example".to_owned(), port: 443 },
        );
        let asked = async {
            let mut link = Link::over(TokioIo::new(ours)).await.unwrap();
            let answer = link.ask(request()).await.map_err(TrySendError::into_error).unwrap();
            assert!(answer.body().is_end_stream());
            drop(idle.arriving(&target, link, answer, &Weak::new()));
        };
        let host = async {
            let mut seen = vec![0; 500];
            theirs.read_exact(&mut seen).await.unwrap();
            theirs.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            theirs.read_to_end(&mut seen).await.unwrap();
            assert!(seen.ends_with(&vec![b'x'; MUCH]), "{}", seen.len());
        };
        timeout(SOON, async { tokio::join!(asked, host) }).await.expect("an end");
    }

    #[tokio::test]
    async fn no_more_are_kept_than_may_be() {
        let (idle, mut theirs) = (Idle::new(MOST), Vec::new());
        for number in 0..2 * MOST {
            let (ours, other) = duplex(64);
            theirs.push(other);
            let link = Link::over(TokioIo::new(ours)).await.unwrap();
            let host = format!("h{}.example", number / (MOST_IDLE + 1));
            idle.keep(&Target { scheme: Scheme::Https, host, port: 443 }, link);
            assert!(idle.links().count <= MOST);
        }
        let links = idle.links();
        assert_eq!(links.count, links.of.values().map(Vec::len).sum::<usize>());
        assert!(links.count > MOST - MOST_IDLE, "one host's made room");
        assert!(links.of.values().all(|own| own.len() <= MOST_IDLE));
    }
}
