//! The broker's own door: whoever comes says by a token which run they are, then opens a tunnel or
//! asks for something by plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use strongroom_net::{Listener, Tls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::body::{BackBody, Until, own};
use crate::broker::Broker;
use crate::pass::{pass, refused_before};
use crate::refuse::Refusal;
use crate::target::Target;
use crate::tcp::Tcp;
use crate::threads::Threads;
use crate::tunnel;

/// Until a handshake of TLS is over, and until a head is there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// What is held of one connection by HTTP/1.1 while the other side doesn't take it, in bytes: a head has to
/// fit in, and what a thousand tunnels hold has to fit into memory.
pub(crate) const HELD: usize = 64 << 10;
/// Bytes of a head by HTTP/2, from either side, as a list of headers is counted.
pub(crate) const MOST_HEAD: u32 = 64 << 10;
/// Connections at a time: more wait to be accepted.
const MOST_CONNECTIONS: usize = 4_096;

/// Tells when the server is asked to end.
pub(crate) type Closing = watch::Receiver<bool>;

/// Resolves when the server is asked to end, or is gone.
pub(crate) async fn asked_to_end(closing: &mut Closing) {
    let _either_way = closing.wait_for(|closing| *closing).await.is_ok();
}

/// How HTTP/1.1 is spoken with a run's process, whose next head may take so long.
///
/// A process that closes its side has left, and whoever it asked is left at once. One that only says that
/// it has nothing more to send looks the same until there is something to write to it; clients of HTTP
/// don't do that.
///
/// A host gets the names of headers as the process wrote them: some tell programs apart by that. In answers
/// they are written as is usual, which is quicker than to keep how the host wrote them.
pub(crate) fn http1(head_in: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_in)
        .max_buf_size(HELD)
        .half_close(false)
        .preserve_header_case(true)
        .title_case_headers(true);
    http
}

/// Serves clients until `shutdown` resolves, then lets those that are there finish for so long.
pub(crate) async fn serve(
    threads: Threads,
    (listener, tls): (TcpListener, Option<Arc<Tls>>),
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) {
    let (close, closing) = watch::channel(false);
    let (mut listener, mut connections) = (Listener::new(listener), JoinSet::new());
    let seats = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (listener.accept().await, seat)
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            ((stream, peer), seat) = next => {
                let Some(thread) = threads.idlest() else {
                    tracing::error!("broker.threads.lost: no run is served any more; start the server again");
                    continue;
                };
                let Ok(stream) = stream.into_std() else { continue };
                let visit = Visit { broker: Arc::clone(&thread.broker), peer, closing: closing.clone() };
                let tls = tls.clone();
                let served = async move {
                    match TcpStream::from_std(stream) {
                        Ok(stream) => visit.serve(stream, tls).await,
                        Err(error) => tracing::debug!(net.peer = %peer, %error, "broker.connection.refused"),
                    }
                    drop(seat);
                };
                connections.spawn_on(served, &thread.runtime);
            }
        }
    }
    drop((listener, closing));
    let _nobody_left = close.send(true);
    let all = async {
        while connections.join_next().await.is_some() {}
        // Tunnels go on by themselves, and listen as long as they are there.
        close.closed().await;
    };
    if timeout(grace, all).await.is_err() {
        connections.shutdown().await;
    }
    threads.end().await;
}

/// One connection.
#[derive(Clone)]
struct Visit {
    broker: Arc<Broker>,
    peer: SocketAddr,
    closing: Closing,
}

impl Visit {
    async fn serve(self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        let _ = stream.set_nodelay(true);
        let stream = Tcp(stream);
        let Some(tls) = tls else { return self.http(stream).await };
        match timeout(PATIENCE, tls.accept(stream)).await {
            Ok(Ok(stream)) => Box::pin(self.http(stream)).await,
            Ok(Err(error)) => {
                tracing::debug!(net.peer = %self.peer, net.error = %error, "broker.handshake.failed");
            }
            Err(_) => tracing::debug!(net.peer = %self.peer, "broker.handshake.timed_out"),
        }
    }

    async fn http<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: T) {
        let mut closing = self.closing.clone();
        let service = service_fn(move |request| {
            let visit = self.clone();
            async move { Ok::<_, io::Error>(visit.ask(request).await) }
        });
        let http = http1(PATIENCE).serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut http = pin!(http);
        tokio::select! {
            _ = http.as_mut() => {}
            () = asked_to_end(&mut closing) => {
                http.as_mut().graceful_shutdown();
                let _ended = http.await;
            }
        }
    }

    async fn ask(self, request: Request<Incoming>) -> Response<BackBody> {
        self.asked(request).await.unwrap_or_else(|refusal| refusal.answer().map(own))
    }

    async fn asked(self, mut request: Request<Incoming>) -> Result<Response<BackBody>, Refusal> {
        let (client, known) = self.broker.client(&token(request.headers())?, self.peer.ip()).await?;
        let is_connect = request.method() == Method::CONNECT;
        let target =
            if is_connect { Target::of_connect(request.uri()) } else { Target::of_absolute(request.uri()) };
        let target = target
            .inspect_err(|refusal| refused_before(&self.broker, (&known, &client), &request, refusal))?;
        if is_connect {
            let upgrade = hyper::upgrade::on(&mut request);
            return tunnel::open(&self.broker, (client, known), target.into(), (upgrade, self.closing)).await;
        }
        let lease = Arc::clone(&client.lease);
        let mut over = Box::pin(async move { lease.over().await });
        let answer = tokio::select! {
            answer = pass(self.broker, &client, Arc::new(target), request) => answer,
            () = &mut over => return Err(Refusal::RunOver),
        };
        Ok(answer.map(|body| Until::new(body, over).boxed_unsync()))
    }
}

/// The token by which a client says which run it is: the password of `Basic`, as every client
/// sends that it finds in the proxy's URL, or `Bearer`.
fn token(headers: &HeaderMap) -> Result<String, Refusal> {
    let mut given = headers.get_all(PROXY_AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return Err(Refusal::NotProven) };
    let value = value.to_str().map_err(|_| Refusal::NotProven)?;
    let (scheme, rest) = value.split_once(' ').ok_or(Refusal::NotProven)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(rest.trim().to_owned());
    }
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest.trim()).ok()).flatten();
    let pair = pair.and_then(|pair| String::from_utf8(pair).ok()).ok_or(Refusal::NotProven)?;
    let (_, token) = pair.split_once(':').ok_or(Refusal::NotProven)?;
    Ok(token.to_owned())
}
