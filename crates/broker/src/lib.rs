//! The egress proxy: a run's process has placeholders for its values, and here the values
//! take their places, where a secret's policy allows it, and are taken out again of
//! whatever comes back.
//!
//! One pass, stage by stage: `accept` → identify (`broker`) → `tunnel` → head (`asked`) →
//! `decide`, which is pure → open (`values`) → `inject`, pure as well → dial (`upstream`) →
//! `relay`, with `redact` → `record`. No stage does another's work. Each connection is served by one of the
//! broker's own `threads`.

mod accept;
mod asked;
mod authority;
mod body;
mod broker;
mod decide;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grpc;
mod inject;
mod known;
mod leases;
mod limits;
mod pass;
mod record;
pub mod redact;
mod refuse;
mod relay;
mod socket;
mod target;
mod tcp;
mod threads;
mod tls;
mod tunnel;
mod upstream;
mod values;
pub mod websocket;
mod work;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use strongroom_core::App;
use strongroom_net::{Dialler, Tls};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use uuid::Uuid;

pub use authority::{Authority, CertificateError};
pub use broker::Unmatched;
pub use limits::RunLimits;
pub use record::Unrecorded;
pub use upstream::RootsError;

/// What the broker of a server is told.
pub struct Settings {
    /// What becomes of requests to hosts for which there is no rule.
    pub unmatched: Unmatched,
    /// How much each run may have.
    pub limits: RunLimits,
    /// Authorities to be trusted beside the system's own.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The way to the hosts.
    pub dialler: Dialler,
    /// How long what is under way may take when the server is to end.
    pub grace: Duration,
    /// How many threads serve connections; with none, whichever runtime it is started on.
    pub threads: Option<NonZeroUsize>,
}

/// Why a broker can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No host can be reached.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The system has no room for its threads.
    #[error("its threads can't be started: {0}")]
    Threads(#[from] io::Error),
}

/// The broker of one server.
pub struct Broker {
    inner: broker::Broker,
    threads: threads::Threads,
    grace: Duration,
}

impl Broker {
    /// For the runs of an instance. `request_ids` is asked for an id for each request.
    ///
    /// # Panics
    /// Without threads of its own, when there is no runtime.
    ///
    /// # Errors
    /// When the certificates of the system's authorities can't be loaded, or the threads can't be started.
    pub fn new(
        app: Arc<App>,
        authority: Arc<Authority>,
        settings: Settings,
        request_ids: impl Fn() -> Uuid + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let Settings { unmatched, limits, authorities, dialler, grace, threads } = settings;
        let upstream = upstream::Upstream::new(&dialler, authorities)?;
        let inner = broker::Broker {
            app,
            authority,
            upstream: Arc::new(upstream),
            dialler,
            unmatched,
            limits,
            ledger: Arc::default(),
            recorder: Arc::default(),
            values: Arc::default(),
            leases: Arc::default(),
            request_ids: Arc::new(request_ids),
            known: Arc::default(),
            is_away: Arc::default(),
        };
        let threads = threads::Threads::start(&inner, threads)?;
        Ok(Self { inner, threads, grace })
    }

    /// Serves runs until `shutdown` resolves; what is under way then has its time, and as much again to be
    /// recorded where the store doesn't take it at once.
    ///
    /// # Errors
    /// When the store took it in neither.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Unrecorded> {
        let Self { inner, threads, grace } = self;
        let (ended, ending) = oneshot::channel::<()>();
        let served = async {
            accept::serve(threads, (listener, tls), shutdown, grace).await;
            drop(ended);
        };
        let recorded = inner.recorder.keep(&inner.app, async { drop(ending.await) }, grace);
        tokio::select! {
            ((), recorded) = async { tokio::join!(served, recorded) } => recorded,
            () = inner.keep() => Ok(()),
        }
    }
}
