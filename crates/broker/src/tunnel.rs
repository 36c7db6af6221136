//! A tunnel: to the run's process we are the host that it asked for, by a certificate of the
//! instance's own authority. What is refused within it is said within it, where the program, and
//! whoever reads its output, sees it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::{Service, service_fn};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::accept::{Closing, MOST_HEAD, PATIENCE, asked_to_end, http1};
use crate::body::{BackBody, own};
use crate::broker::{Broker, Client, Unmatched};
use crate::exchange::Exchange;
use crate::known::Known;
use crate::pass::{pass, refused_by_itself};
use crate::refuse::Refusal;
use crate::target::Target;
use crate::upstream;

/// Requests of one connection by HTTP/2 at a time.
const STREAMS: u32 = 100;
/// What a process may send over HTTP/2 before it is taken, in bytes: of one request, and of all.
const WINDOW: u32 = 256 << 10;
const WINDOW_OF_ALL: u32 = 1 << 20;
/// What is read at once where nothing is looked at.
const PIECE: usize = 16 << 10;
/// Until a process that asks for nothing is asked by HTTP/2 whether it is there.
const QUIET: Duration = Duration::from_mins(1);

/// Opens a tunnel for a run, which goes on by itself.
///
/// # Errors
/// When the host can't be shown to the run's process, or none may be dialled.
pub(crate) async fn open(
    broker: &Arc<Broker>,
    (client, known): (Client, Known),
    target: Arc<Target>,
    (upgrade, closing): (OnUpgrade, Closing),
) -> Result<Response<BackBody>, Refusal> {
    if broker.unmatched == Unmatched::Tunnel && !is_brokered(&known, &target) {
        return untouched(broker, (client, known), target, (upgrade, closing)).await;
    }
    // Before a certificate is made for it: those cost more than the asking.
    let seated = client.spent.host(&target, &broker.limits).and_then(|()| client.spent.tunnel());
    let about = (&target, &Method::CONNECT, "");
    let seat = seated.inspect_err(|refusal| refused_by_itself(broker, (&known, &client), about, refusal))?;
    let greeting = broker.authority.greeting(&target.host).map_err(|error| {
        tracing::warn!(%error, "broker.certificate");
        Refusal::Unavailable
    })?;
    let tunnel = Tunnel { broker: Arc::clone(broker), client: Arc::new(client), target, closing };
    tokio::spawn(async move {
        let shaken = timeout(PATIENCE, async {
            let stream = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
            TlsAcceptor::from(greeting).accept(stream).await
        });
        match shaken.await {
            Ok(Ok(stream)) => tunnel.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(net.error = %error, "broker.tunnel.failed"),
            Err(_) => tracing::debug!("broker.tunnel.timed_out"),
        }
        drop(seat);
    });
    Ok(Response::new(own(Bytes::new())))
}

/// Whether any secret of the run has a rule about the host, at whichever port.
fn is_brokered(known: &Known, target: &Target) -> bool {
    let about = |secret: &strongroom_core::secrets::Secret| {
        let policy = secret.policy_in_force().0;
        policy.is_some_and(|policy| policy.rules().iter().any(|rule| rule.host().covers(&target.host)))
    };
    known.brokered.secrets.iter().any(|secret| about(secret))
}

/// A tunnel in which requests are looked at.
struct Tunnel {
    broker: Arc<Broker>,
    client: Arc<Client>,
    target: Arc<Target>,
    closing: Closing,
}

impl Tunnel {
    async fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: tokio_rustls::server::TlsStream<T>,
    ) {
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let lease = Arc::clone(&self.client.lease);
        tokio::select! {
            () = async {
                if speaks_http2 { Box::pin(self.http2(stream)).await } else { Box::pin(self.http1(stream)).await }
            } => {}
            () = lease.over() => {}
        }
    }

    async fn http1<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: T) {
        let mut closing = self.closing.clone();
        let http = http1(QUIET).serve_connection(TokioIo::new(stream), self.service()).with_upgrades();
        let mut http = pin!(http);
        tokio::select! {
            _ = http.as_mut() => {}
            () = asked_to_end(&mut closing) => {
                http.as_mut().graceful_shutdown();
                let _ended = http.await;
            }
        }
    }

    async fn http2<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: T) {
        let mut closing = self.closing.clone();
        let http = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW_OF_ALL)
            .max_header_list_size(MOST_HEAD)
            .keep_alive_interval(QUIET)
            .keep_alive_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), self.service());
        let mut http = pin!(http);
        tokio::select! {
            _ = http.as_mut() => {}
            () = asked_to_end(&mut closing) => {
                http.as_mut().graceful_shutdown();
                let _ended = http.await;
            }
        }
    }

    /// What answers: each time where the connection has a place for it, and not in one that is made.
    fn service(
        self,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<BackBody>,
        Error = io::Error,
        Future: Send + 'static,
    > + use<> {
        service_fn(move |request| {
            let (broker, client) = (Arc::clone(&self.broker), Arc::clone(&self.client));
            let target = Arc::clone(&self.target);
            async move { Ok(pass(broker, &client, target, request).await) }
        })
    }
}

/// A tunnel to a host that is none of the broker's: recorded, and otherwise left alone.
async fn untouched(
    broker: &Arc<Broker>,
    (client, known): (Client, Known),
    target: Arc<Target>,
    (upgrade, closing): (OnUpgrade, Closing),
) -> Result<Response<BackBody>, Refusal> {
    if !broker.recorder.is_open() {
        return Err(Refusal::Unavailable);
    }
    let exchange = Exchange::begin(broker, (known, &client), (&target, &Method::CONNECT, ""));
    let dialled = async {
        exchange.admit(true)?;
        upstream::dial(&broker.dialler, &target).await
    };
    let theirs = dialled.await.inspect_err(|refusal| exchange.stop(refusal.clone()))?;
    tokio::spawn(async move {
        if let Ok(ours) = upgrade.await {
            tokio::select! {
                () = both_ways(ours, theirs, &exchange) => {}
                () = exchange.lease().over() => exchange.stop(Refusal::RunOver),
            }
        }
        drop(closing);
    });
    Ok(Response::new(own(Bytes::new())))
}

/// Copies until both sides ended, either broke off, or the run has had too many bytes.
async fn both_ways(ours: Upgraded, theirs: TcpStream, exchange: &Exchange) {
    let (mut from_run, mut to_run) = split(TokioIo::new(ours));
    let (mut from_host, mut to_host) = split(theirs);
    let copied = tokio::try_join!(
        copy((&mut from_run, &mut to_host), |count| exchange.sent(count)),
        copy((&mut from_host, &mut to_run), |count| exchange.received(count)),
    );
    if let Err(Some(refusal)) = copied {
        exchange.stop(refusal);
    }
}

/// Copies one way. `count` is asked before anything leaves.
async fn copy(
    (from, to): (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    count: impl Fn(usize) -> Result<(), Refusal>,
) -> Result<(), Option<Refusal>> {
    let broke = |_: io::Error| None;
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await.map_err(broke)?;
        if read == 0 {
            return to.shutdown().await.map_err(broke);
        }
        count(read)?;
        to.write_all(piece.get(..read).unwrap_or_default()).await.map_err(broke)?;
        to.flush().await.map_err(broke)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::duplex;

    /// What arrives of a text when only so many bytes may leave, and how it ends.
    async fn copied(text: &[u8], most: usize) -> (Vec<u8>, Result<(), Option<Refusal>>) {
        let ((mut run, mut ours), (mut theirs, mut host)) = (duplex(64), duplex(64));
        let count = AtomicUsize::new(0);
        let counted = |more| {
            let all = count.fetch_add(more, Ordering::Relaxed) + more;
            if all > most { Err(Refusal::Limit("bytes")) } else { Ok(()) }
        };
        let send = async {
            run.write_all(text).await.unwrap();
            run.shutdown().await.unwrap();
        };
        let copy = async {
            let ended = copy((&mut ours, &mut theirs), counted).await;
            drop((ours, theirs));
            ended
        };
        let mut arrived = Vec::new();
        let ((), ended, read) = tokio::join!(send, copy, host.read_to_end(&mut arrived));
        read.unwrap();
        (arrived, ended)
    }

    #[tokio::test]
    async fn what_is_left_alone_passes_as_it_is() {
        let text: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        assert_eq!(copied(&text, 1_000).await, (text, Ok(())));
    }

    #[tokio::test]
    async fn no_byte_more_than_may_leaves() {
        let (arrived, ended) = copied(&[b'.'; 60], 59).await;
        assert_eq!((arrived.len(), ended), (0, Err(Some(Refusal::Limit("bytes")))));
    }
}
