//! The accept loop: runs until it is told to stop, whatever the operating
//! system says, and then sees every connection out.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinError, JoinSet};

use crate::admission::{Admission, Seat};
use crate::callee::{AnswerBody, Callee};
use crate::handshake::handshake;
use crate::limits::Limits;
use crate::link::{Link, Server};
use crate::proxies::TrustedProxies;
use crate::refuse::Refusal;
use crate::request_id::RequestId;
use crate::tls::{self, Tls};
use crate::{connection, http2};

/// Between two tries to accept when the system lacks what it takes.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients beyond the connection limits that are told so at the same time;
/// more are closed without a word.
const TURNED_AWAY_AT_ONCE: usize = 256;

/// How long, and how many bytes, a client gets to read why it was turned away.
const TURNING_AWAY: (Duration, u64) = (Duration::from_secs(1), 64 * 1024);

/// The front of one service.
pub struct Front {
    server: Server,
    tls: Option<Arc<Tls>>,
}

impl Front {
    /// A front that holds its clients to `limits`. `request_ids` is asked for
    /// an id for every answer, on any thread, and should not block.
    pub fn new(limits: Limits, request_ids: impl Fn() -> RequestId + Send + Sync + 'static) -> Self {
        let server = Server {
            limits,
            proxies: TrustedProxies::default(),
            request_ids: Box::new(request_ids),
            closing: AtomicBool::new(false),
            leaving: Arc::new(Notify::new()),
        };
        Self { server, tls: None }
    }

    /// Speaks TLS only, and over it HTTP/2 with whoever can.
    #[must_use]
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Believes these proxies whom a request is from, see
    /// [`CallerAddr`](crate::CallerAddr), and lets each have as many connections
    /// as there may be in all.
    #[must_use]
    pub fn with_trusted_proxies(self, proxies: TrustedProxies) -> Self {
        Self { server: Server { proxies, ..self.server }, ..self }
    }

    /// Serves the clients of `listener` until `shutdown` resolves. Then it
    /// accepts nobody more, closes idle connections, and returns when the
    /// requests in flight are answered or [`Limits::grace`] is over.
    pub async fn serve<S, B>(self, listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
    where
        S: Callee<B>,
        B: AnswerBody,
    {
        Door::new(self).serve(listener, service, shutdown).await;
    }
}

/// A front while it serves.
struct Door {
    server: Arc<Server>,
    tls: Option<Arc<Tls>>,
    admission: Arc<Admission>,
    turning_away: Arc<Semaphore>,
}

impl Door {
    fn new(Front { server, tls }: Front) -> Self {
        let admission = Admission::new(&server.limits, server.proxies.clone());
        let turning_away = Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE));
        Self { server: Arc::new(server), tls, admission, turning_away }
    }

    async fn serve<S, B>(self, listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
    where
        S: Callee<B>,
        B: AnswerBody,
    {
        let mut connections = JoinSet::new();
        let mut listener = Listener::new(listener);
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => note(ended),
                (stream, peer) = listener.accept() => match self.admission.seat(peer.ip()) {
                    Some(seat) => self.connect(&mut connections, (stream, peer), seat, service.clone()),
                    None => self.turn_away(&mut connections, stream, peer),
                },
            }
        }
        drop(listener);
        self.see_out(connections).await;
    }

    fn connect<S, B>(
        &self,
        connections: &mut JoinSet<()>,
        (stream, peer): (TcpStream, SocketAddr),
        seat: Seat,
        service: S,
    ) where
        S: Callee<B>,
        B: AnswerBody,
    {
        // It can only fail for a client that is gone, which reading tells, too.
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&self.server);
        match &self.tls {
            Some(tls) => connections.spawn(secure((stream, peer), server, Arc::clone(tls), seat, service)),
            None => connections.spawn(connection::serve(stream, Link::new(server, peer), seat, service)),
        };
    }

    /// Tells a client beyond the limits why it is closed, if few are being told.
    /// One that waits for a handshake isn't: to tell it would cost one, just when
    /// there is too much to do.
    fn turn_away(&self, connections: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
        tracing::debug!(net.peer = %peer, "net.connection.turned_away");
        if self.tls.is_some() {
            return;
        }
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

/// Serves a client over TLS, by the protocol that it chose.
async fn secure<S, B>(
    (stream, peer): (TcpStream, SocketAddr),
    server: Arc<Server>,
    tls: Arc<Tls>,
    seat: Seat,
    service: S,
) where
    S: Callee<B>,
    B: AnswerBody,
{
    let Some(stream) = handshake(stream, peer, &server, &tls).await else { return };
    drop(tls);
    // Each in a place of its own: a task is as large as the largest thing that it ever waits for.
    if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) {
        Box::pin(http2::serve(stream, peer, server, service)).await;
        drop(seat);
    } else {
        Box::pin(connection::serve(stream, Link::new(server, peer), seat, service)).await;
    }
}

/// A listening socket that never fails, but may take its time.
pub struct Listener {
    listener: TcpListener,
    /// Whether the last try failed, so that a burst is logged once.
    failing: bool,
}

impl Listener {
    /// Of this socket.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, failing: false }
    }

    /// The next client. What is wrong with the system is logged once, and waited for.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
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
pub(crate) async fn explain(mut stream: TcpStream, answer: Bytes) -> io::Result<()> {
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
