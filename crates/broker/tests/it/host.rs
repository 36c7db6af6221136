//! Stand-ins for hosts: HTTP/1.1 and HTTP/2 over TLS, or without it, which record every byte that
//! they are sent and send back whatever a test asks for by the path.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

use crate::echo;
use crate::origin::encode;

/// The authority of the stand-ins.
pub(crate) struct HostAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate, those above it, and its key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl HostAuthority {
    fn new() -> Self {
        let issuer = CertifiedIssuer::self_signed(authority_params("hosts"), key()).unwrap();
        let certificate = AsRef::<Certificate>::as_ref(&issuer).der().clone();
        Self { issuer, certificate }
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What signs.
    pub(crate) fn issuer(&self) -> &rcgen::Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// What accepts TLS for a host of this name, by these protocols.
    pub(crate) fn acceptor(&self, name: &str, protocols: &[&[u8]]) -> TlsAcceptor {
        let (chain, key) = self.identity(&CertificateParams::new([name.to_owned()]).unwrap());
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn identity(&self, params: &CertificateParams) -> Identity {
        let own = key();
        let certificate = params.signed_by(&own, &self.issuer).unwrap();
        (vec![certificate.der().clone()], private(&own))
    }
}

pub(crate) fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

pub(crate) fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(key.serialize_der().into())
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// What makes stand-ins.
pub(crate) struct Hosts {
    pub(crate) authority: HostAuthority,
}

/// A request as a stand-in got it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A stand-in.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) at: Arc<Witness>,
}

/// What a stand-in notices.
#[derive(Default)]
pub(crate) struct Witness {
    /// Connections that were made to it.
    accepted: AtomicUsize,
    /// Handshakes that were finished.
    shaken: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    bytes: Mutex<Vec<u8>>,
    /// A thought has begun.
    pub(crate) asked: Notify,
    /// Lets a stream of events go on, or a thought end.
    pub(crate) go_on: Notify,
    /// Bodies that were broken off.
    pub(crate) broken: AtomicUsize,
}

impl Witness {
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Host {
    pub(crate) fn accepted(&self) -> usize {
        self.at.accepted()
    }

    /// How many connections finished their handshake.
    pub(crate) fn shaken(&self) -> usize {
        self.at.shaken.load(Ordering::SeqCst)
    }

    /// The requests since the last time that somebody asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.at.seen.lock().unwrap())
    }

    /// The only request since then.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Every byte that it was sent, over all connections, within TLS.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.at.bytes.lock().unwrap().clone()
    }

    /// Whether this was ever sent to it.
    pub(crate) fn was_sent(&self, text: &str) -> bool {
        contains(&self.bytes(), text)
    }
}

pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

impl Hosts {
    pub(crate) fn new() -> Self {
        Self { authority: HostAuthority::new() }
    }

    /// One with a good certificate for this name.
    pub(crate) async fn serve(&self, name: &str) -> Host {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        self.serve_as(self.authority.identity(&params)).await
    }

    pub(crate) async fn serve_as(&self, identity: Identity) -> Host {
        self.serve_speaking(identity, &[b"h2", b"http/1.1"]).await
    }

    pub(crate) async fn serve_speaking(&self, (chain, key): Identity, protocols: &[&[u8]]) -> Host {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let signer = default_provider().key_provider.load_private_key(key).unwrap();
        let shown = Shown(Arc::new(CertifiedKey::new(chain, signer)));
        let mut config = builder.with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// One without TLS.
    pub(crate) async fn serve_plain(&self) -> Host {
        listen(None).await
    }
}

/// Shows a certificate, however bad it is.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

async fn listen(tls: Option<TlsAcceptor>) -> Host {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, at) = (listener.local_addr().unwrap(), Arc::new(Witness::default()));
    let witness = Arc::clone(&at);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            witness.accepted.fetch_add(1, Ordering::SeqCst);
            stream.set_nodelay(true).unwrap();
            let (tls, witness) = (tls.clone(), Arc::clone(&witness));
            tokio::spawn(async move {
                let Some(tls) = tls else { return speak(stream, false, witness).await };
                let Ok(stream) = tls.accept(stream).await else { return };
                let by_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                speak(stream, by_http2, witness).await;
            });
        }
    });
    Host { address, at }
}

async fn speak<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: T,
    by_http2: bool,
    at: Arc<Witness>,
) {
    at.shaken.fetch_add(1, Ordering::SeqCst);
    let io = TokioIo::new(Recording { stream, at: Arc::clone(&at) });
    let service = service_fn(move |request| answer(Arc::clone(&at), request));
    if by_http2 {
        _ = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
    } else {
        _ = http1::Builder::new().serve_connection(io, service).with_upgrades().await;
    }
}

/// A stream of which all that is read is recorded, up to a megabyte.
struct Recording<T> {
    stream: T,
    at: Arc<Witness>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Recording<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let mut bytes = self.at.bytes.lock().unwrap();
        if bytes.len() < 1 << 20 {
            bytes.extend_from_slice(&buffer.filled()[before..]);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Recording<T> {
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
}

/// A body on its way.
pub(crate) type Pieces = UnsyncBoxBody<Bytes, io::Error>;

/// A body whose frames come from elsewhere.
pub(crate) struct Fed(pub(crate) mpsc::Receiver<Frame<Bytes>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

fn whole(text: impl Into<Bytes>) -> Response<Pieces> {
    let body = http_body_util::Full::new(text.into());
    Response::new(body.map_err(|never| match never {}).boxed_unsync())
}

fn fed() -> (mpsc::Sender<Frame<Bytes>>, Response<Pieces>) {
    let (feed, frames) = mpsc::channel(4);
    (feed, Response::new(Fed(frames).boxed_unsync()))
}

/// Answers as the last segment of the path says. A call by gRPC streams by: its messages are not kept.
async fn answer(at: Arc<Witness>, mut request: Request<Incoming>) -> Result<Response<Pieces>, io::Error> {
    let doing = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    if doing == "ws" {
        return Ok(socket(&at, &mut request));
    }
    if request.uri().path().starts_with(echo::SERVICE) {
        let seen = Seen {
            version: request.version(),
            method: request.method().clone(),
            uri: request.uri().to_string(),
            headers: request.headers().clone(),
            body: Vec::new(),
            trailers: None,
        };
        at.seen.lock().unwrap().push(seen);
        return Ok(echo::answer(&at, request).await);
    }
    let (parts, body) = request.into_parts();
    if doing == "sink" {
        return Ok(sink(&at, body).await);
    }
    if doing == "think" {
        return Ok(think(&at).await);
    }
    let Ok(body) = body.collect().await else {
        at.broken.fetch_add(1, Ordering::SeqCst);
        return Err(io::Error::other("broken off"));
    };
    let trailers = body.trailers().cloned();
    let seen = Seen {
        version: parts.version,
        method: parts.method,
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body: body.to_bytes().to_vec(),
        trailers,
    };
    let answer = told(&at, &doing, &seen);
    at.seen.lock().unwrap().push(seen);
    Ok(answer)
}

fn told(at: &Arc<Witness>, doing: &str, seen: &Seen) -> Response<Pieces> {
    let echo = echo(seen);
    match doing {
        "gzip" => {
            let mut answer = whole(encode(echo.as_bytes(), "gzip"));
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
        }
        "headers" => {
            let mut answer = whole("see the headers");
            for (name, value) in &seen.headers {
                let name = format!("x-got-{name}");
                answer
                    .headers_mut()
                    .append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.clone());
            }
            answer
        }
        "redirect" => {
            let mut answer = whole("elsewhere");
            *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            let query = seen.uri.split_once('?').map_or("", |(_, query)| query);
            let to = format!("https://elsewhere.example/bearer/echo?{query}");
            answer.headers_mut().insert("location", to.parse().unwrap());
            answer
        }
        "events" => events(at, &echo),
        "drip" => drip(&echo),
        "trailers" => with_trailers(seen),
        "recall" => whole(at.bytes.lock().unwrap().clone()),
        "much" => much(seen),
        _ => whole(echo),
    }
}

/// All that was sent, as text.
fn echo(seen: &Seen) -> String {
    let headers = seen
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    let headers: Vec<_> = headers.collect();
    format!("{} {}\n{}\n{}\n", seen.method, seen.uri, headers.concat(), String::from_utf8_lossy(&seen.body))
}

/// One event, and another when the test says so.
fn events(at: &Arc<Witness>, echo: &str) -> Response<Pieces> {
    let (feed, mut answer) = fed();
    answer.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
    let (at, echo) = (Arc::clone(at), echo.replace('\n', " "));
    tokio::spawn(async move {
        for number in 1..=2 {
            let event = format!("data: {number} {echo}\n\n");
            if feed.send(Frame::data(event.into())).await.is_err() {
                return;
            }
            if number == 1 {
                at.go_on.notified().await;
            }
        }
    });
    answer
}

/// A few bytes every now and then, without end.
fn drip(echo: &str) -> Response<Pieces> {
    let (feed, answer) = fed();
    let echo = echo.to_owned();
    tokio::spawn(async move {
        while feed.send(Frame::data(echo.clone().into())).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    answer
}

/// What was sent, with its credential in the trailers.
fn with_trailers(seen: &Seen) -> Response<Pieces> {
    let (feed, mut answer) = fed();
    answer.headers_mut().insert("trailer", HeaderValue::from_static("grpc-status, x-got"));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    if let Some(got) = seen.headers.get("authorization") {
        trailers.insert("x-got", got.clone());
    }
    let body = seen.body.clone();
    tokio::spawn(async move {
        _ = feed.send(Frame::data(body.into())).await;
        _ = feed.send(Frame::trailers(trailers)).await;
    });
    answer
}

/// As many bytes as the query says.
fn much(seen: &Seen) -> Response<Pieces> {
    let (feed, answer) = fed();
    let bytes: usize = seen.uri.split_once('?').unwrap().1.parse().unwrap();
    tokio::spawn(async move {
        let piece = Bytes::from(vec![b'.'; 64 << 10]);
        let mut left = bytes;
        while left > 0 {
            let next = piece.slice(..left.min(piece.len()));
            left -= next.len();
            if feed.send(Frame::data(next)).await.is_err() {
                return;
            }
        }
    });
    answer
}

/// Reads a body as it comes, and says how long it was.
async fn sink(at: &Witness, mut body: Incoming) -> Response<Pieces> {
    let mut count = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            at.broken.fetch_add(1, Ordering::SeqCst);
            break;
        };
        count += frame.data_ref().map_or(0, Bytes::len);
    }
    whole(count.to_string())
}

/// Answers when the test says so.
async fn think(at: &Witness) -> Response<Pieces> {
    /// What notices that nobody waits any more.
    struct Waited<'a>(&'a Witness);
    impl Drop for Waited<'_> {
        fn drop(&mut self) {
            self.0.broken.fetch_add(1, Ordering::SeqCst);
        }
    }
    let waited = Waited(at);
    at.asked.notify_one();
    at.go_on.notified().await;
    std::mem::forget(waited);
    whole("thought")
}

/// Becomes a WebSocket that says what credential it was given, and then sends everything back.
fn socket(at: &Arc<Witness>, request: &mut Request<Incoming>) -> Response<Pieces> {
    let got = request.headers().get("authorization").map_or(Vec::new(), |value| value.as_bytes().to_vec());
    let upgrade = hyper::upgrade::on(&mut *request);
    let at = Arc::clone(at);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut frame = vec![0x81, u8::try_from(got.len()).unwrap()];
        frame.extend(got);
        _ = stream.write_all(&frame).await;
        let mut piece = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            at.bytes.lock().unwrap().extend_from_slice(&piece[..count]);
        }
        at.broken.fetch_add(1, Ordering::SeqCst);
    });
    let mut answer = whole("");
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [("upgrade", "websocket"), ("connection", "upgrade")] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
