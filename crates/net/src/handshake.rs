//! From an accepted socket to a TLS connection: in time, or not at all. Who
//! speaks plain HTTP here is told so, in plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::accept::explain;
use crate::link::Server;
use crate::refuse::Refusal;
use crate::tls::Tls;

/// The handshake of a client, unless it fails, takes too long, or the server
/// is asked to end: nothing was asked for so far.
pub(crate) async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    server: &Server,
    tls: &Tls,
) -> Option<TlsStream<TcpStream>> {
    let mut leaving = pin!(server.leaving.notified());
    leaving.as_mut().enable();
    if server.closing.load(Relaxed) {
        return None;
    }
    // An error of TLS names kinds of messages and alerts, and quotes nothing.
    tokio::select! {
        biased;
        shaken = tokio::time::timeout(server.limits.handshake, shake(stream, server, tls)) => match shaken {
            Ok(Ok(stream)) => return stream,
            Ok(Err(error)) => tracing::debug!(net.peer = %peer, net.error = %error, "net.handshake.failed"),
            Err(_) => tracing::debug!(net.peer = %peer, "net.handshake.timed_out"),
        },
        () = leaving => {}
    }
    None
}

async fn shake(stream: TcpStream, server: &Server, tls: &Tls) -> io::Result<Option<TlsStream<TcpStream>>> {
    // Waiting for the first byte before anything is made for TLS: who connects
    // and says nothing costs a socket.
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first.iter().all(u8::is_ascii_uppercase) {
        let answer = Refusal::PlainHttp.raw((server.request_ids)(), b"");
        return explain(stream, answer).await.map(|()| None);
    }
    tls.accept(stream).await.map(Some)
}
