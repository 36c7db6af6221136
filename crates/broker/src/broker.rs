//! What all requests have in common: the instance, the authority, the way to the hosts, and what
//! is counted and recorded.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use strongroom_core::App;
use strongroom_core::app::{Brokered, Cause, Error};
use strongroom_net::Dialler;
use uuid::Uuid;

use crate::authority::Authority;
use crate::known::{Known, KnownRuns};
use crate::leases::Leases;
use crate::limits::{Ledger, RunLimits};
use crate::record::Recorder;
use crate::refuse::Refusal;
use crate::upstream::Upstream;
use crate::values::OpenValues;

/// What becomes of a request to a host for which no secret of the run has a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// It is refused.
    #[default]
    Deny,
    /// It goes through a tunnel as it is, to public addresses; nothing of it is looked at.
    Tunnel,
}

/// The broker of one server.
pub(crate) struct Broker {
    pub(crate) app: Arc<App>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) upstream: Upstream,
    pub(crate) dialler: Dialler,
    pub(crate) unmatched: Unmatched,
    pub(crate) limits: RunLimits,
    pub(crate) ledger: Ledger,
    pub(crate) recorder: Recorder,
    pub(crate) values: OpenValues,
    pub(crate) leases: Leases,
    pub(crate) request_ids: Box<dyn Fn() -> Uuid + Send + Sync>,
    pub(crate) known: KnownRuns,
}

/// Who asks: a token, and from where it came.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bearer {
    pub(crate) token: Arc<str>,
    pub(crate) from: IpAddr,
}

impl Broker {
    /// The run that a token proves, as it is now, with what finds its placeholders. For every request
    /// anew.
    ///
    /// # Errors
    /// When it proves none, or the run is over.
    pub(crate) async fn identify(&self, bearer: &Bearer) -> Result<Known, Refusal> {
        self.known.now(self.proven(bearer).await?).await
    }

    async fn proven(&self, bearer: &Bearer) -> Result<Arc<Brokered>, Refusal> {
        let brokered = self.app.brokered(&bearer.token, Some(bearer.from), &Cause::default()).await;
        brokered.map_err(|error| match error {
            Error::RunOver(_) => Refusal::RunOver,
            Error::NotProven | Error::Denied(_) => Refusal::NotProven,
            error => {
                tracing::warn!(%error, "broker.unproven");
                Refusal::Unavailable
            }
        })
    }

    /// Does what is done all the time, until it is dropped.
    pub(crate) async fn keep(&self) {
        let sweep = async {
            loop {
                tokio::time::sleep(SWEEPS).await;
                self.values.sweep(self.app.clock().monotonic());
            }
        };
        let look = |bearer: Bearer| async move { self.proven(&bearer).await.map(drop) };
        tokio::join!(self.leases.keep(look), sweep);
    }
}

/// How often values are closed whose time is over.
const SWEEPS: Duration = Duration::from_millis(250);
