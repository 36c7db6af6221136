//! Makes a host's connections: all of it in one time, from its name to the first words of HTTP/2.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use strongroom_net::{DialError, Dialler, Reach};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::Service;

use crate::body::BoxError;
use crate::tcp::Tcp;

/// Until a connection is there: the name's addresses, TCP, TLS, and the settings with which a host
/// begins HTTP/2. With room for two addresses at which nobody is.
pub(crate) const CONNECTED_IN: Duration = Duration::from_secs(10);

/// There was no connection in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection could be made in time")]
pub(crate) struct Late;

/// Connects for the client.
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<Dialling>);

impl Connector {
    pub(super) fn new(tls: &ClientConfig, (dialler, reach): (Dialler, Reach), with_http2: bool) -> Self {
        let builder =
            HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let dialling = Dialling { dialler, reach };
        Self(if with_http2 {
            builder.enable_http2().wrap_connector(dialling)
        } else {
            builder.wrap_connector(dialling)
        })
    }
}

/// Something to come.
type Coming<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Coming<Stream, BoxError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let deadline = Instant::now() + CONNECTED_IN;
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let stream = timeout_at(deadline, connecting).await.map_err(|_| Late)??;
            let silence = stream.connected().is_negotiated_h2().then(|| Box::pin(sleep_until(deadline)));
            Ok(Stream { stream, silence })
        })
    }
}

/// A connection to a host.
pub(super) struct Stream {
    stream: MaybeHttpsStream<TokioIo<Tcp>>,
    /// Until a host that agreed upon HTTP/2 has to say something: with that it begins (RFC 9113,
    /// section 3.4). By HTTP/1.1 it is silent until it answers.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.silence = None;
        }
        if let Some(silence) = &mut self.silence {
            ready!(silence.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, Late)));
        }
        read
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }
}

/// Dials what was found good.
#[derive(Clone)]
struct Dialling {
    dialler: Dialler,
    reach: Reach,
}

impl Service<Uri> for Dialling {
    type Response = TokioIo<Tcp>;
    type Error = DialError;
    type Future = Coming<TokioIo<Tcp>, DialError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { dialler, reach } = self.clone();
        Box::pin(async move {
            let host = uri.host().ok_or(DialError::Unresolved)?;
            let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            let stream = dialler.dial(host, uri.port_u16().unwrap_or(usual), reach).await?;
            Ok(TokioIo::new(Tcp(stream)))
        })
    }
}
