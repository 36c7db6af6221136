//! Clients of the broker: bytes as a test writes them, within a tunnel or without, and HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{OTHER, SHOP, Scene, VALUE};
use crate::host::Pieces;

/// Nothing here takes longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the headers, as they came.
    pub(crate) head: String,
    /// Without the framing.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The stable name of a refusal, after it was made sure that nothing else is in the answer.
    pub(crate) fn refusal(&self) -> String {
        let told: serde_json::Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no refusal: {} {}", self.head, self.text()));
        let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["error", "message"], "{}", self.text());
        for secret in [VALUE, OTHER, "srp_", "srb_", "srr_", "srk_"] {
            assert!(!self.text().contains(secret) && !self.head.contains(secret), "{}", self.text());
        }
        told["error"].as_str().unwrap().to_owned()
    }

    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = &bytes[end + 4..];
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Self { status, body: if is_chunked { dechunked(body) } else { body.to_vec() }, head }
    }
}

fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            // What follows are trailers.
            whole.extend_from_slice(body[end..].trim_ascii());
            break;
        }
        let from = (end + 2).min(body.len());
        whole.extend_from_slice(&body[from..(from + size).min(body.len())]);
        body = &body[(from + size + 2).min(body.len())..];
    }
    whole
}

/// `Basic` with this token, as programs make it of a proxy's URL.
pub(crate) fn basic(token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("run:{token}")))
}

/// A client of TLS that trusts this authority alone.
pub(crate) fn trusting(authority: &CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// What TLS to the stand-ins of the broker trusts.
fn connector(scene: &Scene, protocols: &[&[u8]]) -> TlsConnector {
    let mut config = trusting(&scene.ca);
    config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

#[expect(clippy::disallowed_methods, reason = "a client of the broker on this machine")]
pub(crate) async fn connected(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What comes until the other side ends it.
pub(crate) async fn to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    // An end without the goodbye of TLS is one, too.
    _ = timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("an end");
    all
}

/// What comes up to and with this text.
pub(crate) async fn until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let read = async {
        while !crate::host::contains(&all, text) {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await.unwrap_or(0);
            assert!(count > 0, "ended before {text:?}: {:?}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&piece[..count]);
        }
    };
    let is_there = timeout(PATIENCE, read).await.is_ok();
    assert!(is_there, "no {text:?}: {:?}", String::from_utf8_lossy(&all));
    all
}

/// Whether the other side ends it within a time.
pub(crate) async fn ends_within(stream: &mut (impl AsyncRead + Unpin), time: Duration) -> bool {
    let mut piece = [0; 4096];
    let ends = async { while matches!(stream.read(&mut piece).await, Ok(1..)) {} };
    timeout(time, ends).await.is_ok()
}

/// Sends bytes to the broker as they are, and reads what it says until it ends the connection.
pub(crate) async fn raw(scene: &Scene, bytes: &[u8]) -> Answer {
    let mut stream = connected(scene.address).await;
    stream.write_all(bytes).await.unwrap();
    Answer::read(&to_end(&mut stream).await)
}

/// Asks for a tunnel to this authority with this token.
pub(crate) async fn connect(scene: &Scene, token: &str, authority: &str) -> Result<TcpStream, Answer> {
    let mut stream = connected(scene.address).await;
    let head = format!(
        "CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\nproxy-authorization: {}\r\n\r\n",
        basic(token)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = until(&mut stream, "\r\n\r\n").await;
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(stream);
    }
    stream.shutdown().await.unwrap();
    answer.extend(to_end(&mut stream).await);
    Err(Answer::read(&answer))
}

/// TLS within a tunnel, to this name.
pub(crate) async fn greet(
    scene: &Scene,
    stream: TcpStream,
    (name, protocols): (&str, &[&[u8]]),
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector(scene, protocols).connect(name, stream).await
}

/// A tunnel to a host, by HTTP/1.1.
pub(crate) async fn tunnel_to(scene: &Scene, host: &str) -> TlsStream<TcpStream> {
    tunnel_as(scene, scene.token(), host).await
}

pub(crate) async fn tunnel_as(scene: &Scene, token: &str, host: &str) -> TlsStream<TcpStream> {
    let stream = connect(scene, token, &format!("{host}:443")).await.unwrap();
    greet(scene, stream, (host, &[b"http/1.1"])).await.unwrap()
}

/// A tunnel to the shop in which the first of its events has come, and which ends with the second.
pub(crate) async fn under_way(scene: &Scene) -> TlsStream<TcpStream> {
    let placeholder = scene.placeholder("KEY").await;
    let mut tunnel = tunnel_to(scene, SHOP).await;
    tunnel.write_all(&request("GET /header/events", &[("X-Key", &placeholder)], "")).await.unwrap();
    until(&mut tunnel, "data: 1").await;
    tunnel
}

/// Sends bytes within a tunnel to the shop, and reads all that comes back.
pub(crate) async fn within(scene: &Scene, bytes: &[u8]) -> Answer {
    let mut stream = tunnel_to(scene, SHOP).await;
    stream.write_all(bytes).await.unwrap();
    Answer::read(&to_end(&mut stream).await)
}

/// A request to the shop, the last one of its connection: method and target, headers, body.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let is_host = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("host");
    let host = if headers.iter().any(is_host) { String::new() } else { format!("Host: {SHOP}\r\n") };
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let headers = headers.concat();
    format!("{line} HTTP/1.1\r\n{host}{headers}{length}Connection: close\r\n\r\n{body}").into_bytes()
}

/// Sends one such request.
pub(crate) async fn ask(scene: &Scene, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    within(scene, &request(line, headers, body)).await
}

/// Sends one on an open tunnel, and reads its answer, which has a length.
pub(crate) async fn ask_on<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T, bytes: &[u8]) -> Answer {
    stream.write_all(bytes).await.unwrap();
    let mut all = until(stream, "\r\n\r\n").await;
    let answer = Answer::read(&all);
    let length = answer.head.to_ascii_lowercase();
    let length: usize =
        length.split("content-length: ").nth(1).unwrap_or("0").lines().next().unwrap().parse().unwrap();
    let mut rest = vec![0; length - answer.body.len()];
    timeout(PATIENCE, stream.read_exact(&mut rest)).await.unwrap().unwrap();
    all.extend(rest);
    Answer::read(&all)
}

/// A client by HTTP/2, within a tunnel to the shop.
pub(crate) struct Http2(http2::SendRequest<Pieces>);

pub(crate) async fn http2(scene: &Scene, token: &str) -> Http2 {
    let stream = connect(scene, token, &format!("{SHOP}:443")).await.unwrap();
    let stream = greet(scene, stream, (SHOP, &[b"h2"])).await.unwrap();
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Http2(client)
}

impl Http2 {
    /// Sends a request, and reads all of its answer; the trailers go behind the head.
    pub(crate) async fn send(&mut self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
        let answer = self.open(request, body).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
        let head = format!("{:?}\n{:?}", parts.headers, body.trailers());
        Answer { status: parts.status.as_u16(), head, body: body.to_bytes().to_vec() }
    }

    /// Sends a request, and gives its answer as it comes.
    pub(crate) async fn open(
        &mut self,
        request: http::request::Builder,
        body: Pieces,
    ) -> hyper::Result<http::Response<Incoming>> {
        self.0.ready().await?;
        // A long body may have to go before it.
        timeout(6 * PATIENCE, self.0.send_request(request.body(body).unwrap())).await.unwrap()
    }
}
