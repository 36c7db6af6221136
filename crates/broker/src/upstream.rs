//! The way to the hosts: connections that are dialled at addresses that were checked, over TLS with
//! certificates that were verified, and used again while they last.

mod connector;
mod http1;

use std::error::Error as StdError;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use strongroom_net::{DialError, Dialler, Reach};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::{HELD, MOST_HEAD};
use crate::body::{BoxError, OutBody};
use crate::refuse::Refusal;
use crate::target::Target;
use crate::tls;

use connector::{CONNECTED_IN, Connector, Late};
use http1::Http1;

pub(crate) use http1::Arriving;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Connections of one thread to one host that are kept while nobody uses them.
const MOST_IDLE: usize = 32;
/// Connections by HTTP/1.1 that are kept while nobody uses them, to all public hosts and again to all others, at
/// some 34 KiB each. Up to eight threads share them out.
const MOST_IDLE_OF_ALL: usize = 1_024;
/// What each of more threads may have: it alone may serve whoever asks one host after the other, and a run has a
/// hundred.
const LEAST_IDLE_OF_ALL: usize = 128;
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

/// A way for each pair of what may be dialled and what may be spoken: a connection that was let
/// through for one rule is never used by another that forbids it.
pub(crate) struct Upstream {
    tls: ClientConfig,
    dialler: Dialler,
    public: Spoken,
    private: Spoken,
}

/// By what the run's process speaks itself: an answer by HTTP/2 has trailers, one by HTTP/1.1 may
/// become a WebSocket.
struct Spoken {
    http1: Http1,
    /// Falls back to HTTP/1.1 at a host that speaks nothing else.
    http2: Client<Connector, OutBody>,
}

/// Why there is no answer.
enum Failed {
    /// It can't be asked for.
    Refused(Refusal),
    /// There was no connection.
    Unconnected(BoxError),
    /// The connection ended before an answer came.
    Broken(BoxError),
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
        Ok(Self::over(tls, dialler.clone(), NonZeroUsize::MIN))
    }

    /// The same way with connections of its own, for one of so many threads.
    pub(crate) fn of_a_thread(&self, threads: NonZeroUsize) -> Self {
        Self::over(self.tls.clone(), self.dialler.clone(), threads)
    }

    fn over(tls: ClientConfig, dialler: Dialler, threads: NonZeroUsize) -> Self {
        let most_idle = MOST_IDLE_OF_ALL.div_ceil(threads.get()).max(LEAST_IDLE_OF_ALL);
        let fallback = MOST_IDLE.div_ceil(threads.get());
        let spoken = |reach| {
            let connector = |with_http2| Connector::new(&tls, (dialler.clone(), reach), with_http2);
            Spoken {
                http1: Http1::new(connector(false), most_idle),
                http2: client(connector(true), fallback),
            }
        };
        let (public, private) = (spoken(Reach::Public), spoken(Reach::Private));
        Self { tls, dialler, public, private }
    }

    /// Sends a request to its host. Its URI says neither scheme nor host. It stays in one place until it is
    /// sent: whoever hands it on by value has room for it, too.
    ///
    /// # Errors
    /// When the host can't be reached, or isn't who it should be.
    pub(crate) async fn send(
        &self,
        (target, reach): (&Target, Reach),
        request: Box<Request<OutBody>>,
    ) -> Result<Response<Arriving>, Refusal> {
        let spoken = if reach == Reach::Public { &self.public } else { &self.private };
        let answered = if request.version() == Version::HTTP_2 {
            // Of its own, or it would make room for itself in every request by HTTP/1.1.
            timeout(PATIENCE, Box::pin(spoken.send_by_http2(target, *request))).await
        } else {
            // Pinned here: to hand it over by value is to copy all that it has room for.
            timeout(PATIENCE, pin!(spoken.http1.send(target, request))).await
        };
        match answered {
            Ok(answered) => answered.map_err(|failed| failed.refusal(target)),
            Err(_) => Err(Refusal::Upstream("it took too long")),
        }
    }

    /// Closes connections that nobody used for long.
    pub(crate) fn sweep(&self) {
        for spoken in [&self.public, &self.private] {
            spoken.http1.sweep();
        }
    }
}

impl Spoken {
    async fn send_by_http2(
        &self,
        target: &Target,
        mut request: Request<OutBody>,
    ) -> Result<Response<Arriving>, Failed> {
        *request.uri_mut() = target.url(request.uri()).map_err(Failed::Refused)?;
        // The connection says which one it becomes: a host that has no HTTP/2 is asked without it.
        *request.version_mut() = Version::HTTP_11;
        let answer = self.http2.request(request).await.map_err(|error| {
            let is_connect = error.is_connect();
            if is_connect { Failed::Unconnected(error.into()) } else { Failed::Broken(error.into()) }
        })?;
        Ok(answer.map(Arriving::by_itself))
    }
}

/// A client that keeps so many connections to a host that has no HTTP/2: their number has no other bound.
fn client(connector: Connector, most_idle: usize) -> Client<Connector, OutBody> {
    let mut client = Client::builder(TokioExecutor::new());
    client
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(most_idle)
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

impl Failed {
    /// What is said of it: never what a library says, which may quote what came.
    fn refusal(self, target: &Target) -> Refusal {
        let (error, otherwise) = match self {
            Self::Refused(refusal) => return refusal,
            Self::Unconnected(error) => (error, "no connection could be made"),
            Self::Broken(error) => (error, "the connection broke"),
        };
        let first: &(dyn StdError + 'static) = &*error;
        let mut causes =
            std::iter::successors(Some(first), |cause: &&(dyn StdError + 'static)| (*cause).source());
        causes.find_map(|cause| said_of(target, cause)).unwrap_or(Refusal::Upstream(otherwise))
    }
}

fn said_of(target: &Target, cause: &(dyn StdError + 'static)) -> Option<Refusal> {
    // Of an error within an I/O error, `source` skips the outermost.
    let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let cause = inner.map_or(cause, |inner| inner);
    if let Some(error) = cause.downcast_ref::<DialError>() {
        return Some(not_dialled(target, error));
    }
    if cause.is::<Late>() {
        return Some(Refusal::LATE);
    }
    if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
        return Some(Refusal::Upstream(
            "what it sent isn't HTTP that can be read, or its head has more than 100 headers or 64 KiB",
        ));
    }
    Some(Refusal::Upstream(match cause.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(_) => "its certificate isn't one that is trusted for this host",
        _ => "no TLS connection could be made",
    }))
}
