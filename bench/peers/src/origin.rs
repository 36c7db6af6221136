//! The host: HTTP/1.1 over TLS, and HTTP/2 where it is told to offer that. `/small` is 200 bytes of JSON, `/large/N` so many bytes, in
//! pieces of 64 KiB.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const PIECE: usize = 64 << 10;

pub async fn serve(certificate: &str, key: &str, offers: &[&str]) {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate).expect("a file").map(|c| c.expect("PEM")).collect();
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    config.alpn_protocols = offers.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    crate::listening(&listener);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("a socket");
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let served = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
            drop(served);
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let path = request.uri().path().to_owned();
    // What is sent is read to its end.
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let large = path.strip_prefix("/large/").and_then(|bytes| bytes.parse::<usize>().ok());
    let Some(bytes) = large else {
        let text = format!("{{\"text\":\"{}\"}}", "x".repeat(189));
        let mut small = Response::new(Full::new(Bytes::from(text)).boxed());
        small.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
        return Ok(small);
    };
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = (0..bytes.div_ceil(PIECE))
        .map(move |at| Ok(Frame::data(piece.slice(..PIECE.min(bytes - at * PIECE)))));
    let mut large = Response::new(StreamBody::new(futures_stream(pieces)).boxed());
    large.headers_mut().insert("content-length", bytes.into());
    Ok(large)
}

fn futures_stream<T>(pieces: impl Iterator<Item = T>) -> impl hudsucker::futures::Stream<Item = T> {
    hudsucker::futures::stream::iter(pieces)
}
