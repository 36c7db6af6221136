//! The accept loop: runs until it is told to stop, whatever the operating
//! system says, and then sees every connection out.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tower::Service;

use crate::admission::{Admission, Seat};
use crate::body::Body;
use crate::connection;
use crate::limits::Limits;
use crate::link::{Link, Server};
use crate::refuse::Refusal;
use crate::request_id::RequestId;

/// Between two tries to accept when the system lacks what it takes.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients beyond the connection limits that are told so at the same time;
/// more are closed without a word.
const TURNED_AWAY_AT_ONCE: usize = 256;

/// How long, and how many bytes, a client gets to read why it was turned away.
const TURNING_AWAY: (Duration, u64) = (Duration::from_secs(1), 64 * 1024);

/// The HTTP/1.1 front of one service.
pub struct Front {
    server: Arc<Server>,
    admission: Arc<Admission>,
    turning_away: Arc<Semaphore>,
}

impl Front {
    /// A front that holds its clients to `limits`. `request_ids` is asked for
    /// an id for every answer, on any thread, and should not block.
    pub fn new(limits: Limits, request_ids: impl Fn() -> RequestId + Send + Sync + 'static) -> Self {
        let admission = Admission::new(&limits);
        let server = Server {
            limits,
            request_ids: Box::new(request_ids),
            closing: AtomicBool::new(false),
            leaving: Arc::new(Notify::new()),
        };
        Self {
            server: Arc::new(server),
            admission,
            turning_away: Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE)),
        }
    }

    /// Serves the clients of `listener` until `shutdown` resolves. Then it
    /// accepts nobody more, closes idle connections, and returns when the
    /// requests in flight are answered or [`Limits::grace`] is over.
    pub async fn serve<S, B>(self, listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut connections = JoinSet::new();
        let mut listener = Listener { listener, failing: false };
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => note(ended),
                (stream, peer) = listener.accept() => match self.admission.seat(peer.ip()) {
                    Some(seat) => {
                        connections.spawn(self.connect(stream, peer, seat, service.clone()));
                    }
                    None => self.turn_away(&mut connections, stream, peer),
                },
            }
        }
        drop(listener);
        self.see_out(connections).await;
    }

    fn connect<S, B>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        seat: Seat,
        service: S,
    ) -> impl Future<Output = ()> + Send + use<S, B>
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        // It can only fail for a client that is gone, which reading tells, too.
        let _ = stream.set_nodelay(true);
        connection::serve(stream, Link::new(Arc::clone(&self.server), peer), seat, service)
    }

    /// Tells a client beyond the limits why it is closed, if few are being told.
    fn turn_away(&self, connections: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
        tracing::debug!(net.peer = %peer, "net.connection.turned_away");
        let Ok(permit) = Arc::clone(&self.turning_away).try_acquire_owned() else { return };
        let answer = Refusal::TooManyConnections.raw((self.server.request_ids)(), b"");
        connections.spawn(async move {
            let _ = tokio::time::timeout(TURNING_AWAY.0, explain(stream, answer)).await;
            drop(permit);
        });
    }

    async fn see_out(self, mut connections: JoinSet<()>) {
        self.server.close();
        let all = async {
            while let Some(ended) = connections.join_next().await {
                note(ended);
            }
        };
        if tokio::time::timeout(self.server.limits.grace, all).await.is_err() {
            tracing::warn!(net.connections = connections.len(), "net.shutdown.cut");
            connections.shutdown().await;
        }
    }
}

/// A listening socket that never fails, but may take its time.
struct Listener {
    listener: TcpListener,
    /// Whether the last try failed, so that a burst is logged once.
    failing: bool,
}

impl Listener {
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.failing = false;
                    return accepted;
                }
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn pause(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            tracing::warn!(net.error = %error, "net.accept.failed");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the next client may well be accepted at once.
fn is_about_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Writes a last answer and waits until the client, too, has closed.
async fn explain(mut stream: TcpStream, answer: Bytes) -> io::Result<()> {
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(TURNING_AWAY.1), &mut tokio::io::sink()).await?;
    Ok(())
}

/// A service's panic is answered for; one of a body, or of this crate, ends up
/// here.
fn note(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("net.connection.panicked");
    }
}
