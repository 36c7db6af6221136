//! The egress proxy: a run's process has placeholders for its values, and here the values
//! take their places, where a secret's policy allows it, and are taken out again of
//! whatever comes back.
//!
//! One pass, stage by stage: `accept` → identify (`broker`) → `tunnel` → head (`asked`) →
//! `decide`, which is pure → open (`values`) → `inject`, pure as well → dial (`upstream`) →
//! `relay`, with `redact` → `record`. No stage does another's work.

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
mod tls;
mod tunnel;
mod upstream;
mod values;
pub mod websocket;
mod work;

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
}

/// The broker of one server.
pub struct Broker {
    inner: Arc<broker::Broker>,
    grace: Duration,
}

impl Broker {
    /// For the runs of an instance. `request_ids` is asked for an id for each request.
    ///
    /// # Errors
    /// When the certificates of the system's authorities can't be loaded.
    pub fn new(
        app: Arc<App>,
        authority: Arc<Authority>,
        settings: Settings,
        request_ids: impl Fn() -> Uuid + Send + Sync + 'static,
    ) -> Result<Self, RootsError> {
        let Settings { unmatched, limits, authorities, dialler, grace } = settings;
        let upstream = upstream::Upstream::new(&dialler, authorities)?;
        let inner = Arc::new(broker::Broker {
            app,
            authority,
            upstream,
            dialler,
            unmatched,
            limits,
            ledger: limits::Ledger::default(),
            recorder: record::Recorder::default(),
            values: values::OpenValues::default(),
            leases: leases::Leases::default(),
            request_ids: Box::new(request_ids),
            known: known::KnownRuns::default(),
        });
        Ok(Self { inner, grace })
    }

    /// Serves runs until `shutdown` resolves; what is under way then has its time, and is recorded.
    pub async fn serve(
        &self,
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (ended, ending) = oneshot::channel::<()>();
        let served = async {
            accept::serve(&self.inner, (listener, tls), shutdown, self.grace).await;
            drop(ended);
        };
        let recorded = self.inner.recorder.keep(&self.inner.app, async { drop(ending.await) });
        tokio::select! {
            ((), ()) = async { tokio::join!(served, recorded) } => {}
            () = self.inner.keep() => {}
        }
    }
}
