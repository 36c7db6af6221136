//! The way to the hosts: connections that are dialled at addresses that were checked, over TLS with
//! certificates that were verified, and used again while they last.

mod connector;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use strongroom_net::{DialError, Dialler, Reach};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::{HELD, MOST_HEAD};
use crate::body::OutBody;
use crate::refuse::Refusal;
use crate::target::Target;
use crate::tls;

use connector::{CONNECTED_IN, Connector, Late};

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
    http1: Client<Connector, OutBody>,
    http2: Client<Connector, OutBody>,
}

impl Upstream {
    /// Trusting the system's authorities, and these.
    ///
    /// # Errors
    /// When they can't be loaded.
    pub(crate) fn new(dialler: &Dialler, extra: Vec<CertificateDer<'static>>) -> Result<Self, RootsError> {
        let provider = Arc::new(tls::to_hosts());
        let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let spoken = |reach| {
            let connector = |with_http2| Connector::new(&tls, (dialler.clone(), reach), with_http2);
            Spoken { http1: client(connector(false)), http2: client(connector(true)) }
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

fn client(connector: Connector) -> Client<Connector, OutBody> {
    let mut client = Client::builder(TokioExecutor::new());
    client
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .http1_preserve_header_case(true)
        .http1_max_buf_size(HELD)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(WINDOW_OF_ALL)
        .http2_max_header_list_size(MOST_HEAD)
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING);
    client.build(connector)
}

/// Dials a host's public addresses, for what passes as it is.
///
/// # Errors
/// When it can't be reached.
pub(crate) async fn dial(dialler: &Dialler, target: &Target) -> Result<TcpStream, Refusal> {
    match timeout(CONNECTED_IN, dialler.dial(&target.host, target.port, Reach::Public)).await {
        Ok(made) => made.map_err(|error| not_dialled(target, &error)),
        Err(_) => Err(Refusal::LATE),
    }
}

fn not_dialled(target: &Target, error: &DialError) -> Refusal {
    match error {
        DialError::OutOfReach => Refusal::OutOfReach(target.clone()),
        DialError::Unresolved => Refusal::Upstream("its name can't be resolved"),
        DialError::Unreachable(_) => Refusal::Upstream("nobody accepts connections there"),
    }
}

/// What is said of it: never what a library says, which may quote what came.
fn refusal(target: &Target, error: &legacy::Error) -> Refusal {
    let causes = std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source());
    for cause in causes {
        // Of an error within an I/O error, `source` skips the outermost.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let cause = inner.map_or(cause, |inner| inner);
        if let Some(error) = cause.downcast_ref::<DialError>() {
            return not_dialled(target, error);
        }
        if cause.is::<Late>() {
            return Refusal::LATE;
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
