//! The way to the hosts: connections that are dialled at addresses that were checked, over TLS with
//! certificates that were verified, and used again while they last.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use strongroom_net::{DialError, Dialler, Reach};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use crate::body::OutBody;
use crate::refuse::Refusal;
use crate::target::Target;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Connections to one host that are kept while nobody uses them.
const MOST_IDLE: usize = 32;
/// What a host may send over HTTP/2 before it is taken, in bytes: of one answer, and of all. Runs share
/// a connection, so who doesn't read an answer must leave room for those of a hundred others.
const WINDOW: u32 = 1 << 20;
const WINDOW_OF_ALL: u32 = 128 << 20;
/// How often a host that is waited for is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// Bytes of a head, as a list of headers is counted: what the run's own side takes.
const MOST_HEAD: u32 = 64 << 10;
/// Until the head of an answer is there: a model may think for minutes.
const PATIENCE: Duration = Duration::from_mins(15);

/// Why no host can be reached at all.
#[derive(Debug, thiserror::Error)]
#[error("the certificates of authorities can't be loaded: {0}")]
pub struct RootsError(#[from] rustls::Error);

/// A client for each pair of what may be dialled and what may be spoken: a connection that was
/// let through for one rule is never used by another that forbids it.
pub(crate) struct Upstream {
    public: Spoken,
    private: Spoken,
}

/// By what the run's process speaks itself: an answer by HTTP/2 has trailers, one by HTTP/1.1 may
/// become a WebSocket.
struct Spoken {
    http1: Client<HttpsConnector<Connector>, OutBody>,
    http2: Client<HttpsConnector<Connector>, OutBody>,
}

impl Upstream {
    /// Trusting the system's authorities, and these.
    ///
    /// # Errors
    /// When they can't be loaded.
    pub(crate) fn new(dialler: &Dialler, extra: Vec<CertificateDer<'static>>) -> Result<Self, RootsError> {
        let provider = Arc::new(default_provider());
        let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let spoken = |reach| {
            let connector = Connector { dialler: dialler.clone(), reach };
            Spoken { http1: client(&tls, connector.clone(), false), http2: client(&tls, connector, true) }
        };
        Ok(Self { public: spoken(Reach::Public), private: spoken(Reach::Private) })
    }

    /// Sends a request to its host.
    ///
    /// # Errors
    /// When the host can't be reached, or isn't who it should be.
    pub(crate) async fn send(
        &self,
        (target, reach, version): (&Target, Reach, Version),
        request: Request<OutBody>,
    ) -> Result<Response<Incoming>, Refusal> {
        let spoken = if reach == Reach::Public { &self.public } else { &self.private };
        let client = if version == Version::HTTP_2 { &spoken.http2 } else { &spoken.http1 };
        match timeout(PATIENCE, client.request(request)).await {
            Ok(answered) => answered.map_err(|error| refusal(target, &error)),
            Err(_) => Err(Refusal::Upstream("it took too long")),
        }
    }
}

fn client(
    tls: &ClientConfig,
    connector: Connector,
    with_http2: bool,
) -> Client<HttpsConnector<Connector>, OutBody> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
    let connector = if with_http2 {
        builder.enable_http2().wrap_connector(connector)
    } else {
        builder.wrap_connector(connector)
    };
    let mut client = Client::builder(TokioExecutor::new());
    client
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .http1_preserve_header_case(true)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(WINDOW_OF_ALL)
        .http2_max_header_list_size(MOST_HEAD)
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING);
    client.build(connector)
}

/// What is said of it: never what a library says, which may quote what came.
fn refusal(target: &Target, error: &legacy::Error) -> Refusal {
    let causes = std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source());
    for cause in causes {
        // Of an error within an I/O error, `source` skips the outermost.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let cause = inner.map_or(cause, |inner| inner);
        match cause.downcast_ref::<DialError>() {
            Some(DialError::OutOfReach) => return Refusal::OutOfReach(target.clone()),
            Some(DialError::Unresolved) => return Refusal::Upstream("its name can't be resolved"),
            Some(DialError::Unreachable(_)) => return Refusal::Upstream("nobody accepts connections there"),
            None => {}
        }
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(_)) => {
                return Refusal::Upstream("its certificate isn't one that is trusted for this host");
            }
            Some(_) => return Refusal::Upstream("no TLS connection could be made"),
            None => {}
        }
    }
    Refusal::Upstream(if error.is_connect() { "no connection could be made" } else { "the connection broke" })
}

/// Dials for the client.
#[derive(Clone)]
pub(crate) struct Connector {
    dialler: Dialler,
    reach: Reach,
}

/// A connection to come.
type Dialling = Pin<Box<dyn Future<Output = Result<TokioIo<TcpStream>, DialError>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = Dialling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Dialling {
        let Self { dialler, reach } = self.clone();
        Box::pin(async move {
            let host = uri.host().ok_or(DialError::Unresolved)?;
            let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            dialler.dial(host, uri.port_u16().unwrap_or(usual), reach).await.map(TokioIo::new)
        })
    }
}
