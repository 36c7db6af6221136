//! What all requests have in common: the instance, the authority, the way to the hosts, and what
//! is counted and recorded.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom_core::app::{BrokerToken, Brokered, Cause, Error};
use strongroom_core::{App, with_causes};
use strongroom_net::Dialler;
use uuid::Uuid;

use crate::authority::Authority;
use crate::known::{Known, KnownRuns};
use crate::leases::{Lease, Leases, Place};
use crate::limits::{Ledger, RunLimits, Spent};
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

/// The broker of one server, as each of its threads has it: all is the same but for the connections to
/// hosts.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) app: Arc<App>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) dialler: Dialler,
    pub(crate) unmatched: Unmatched,
    pub(crate) limits: RunLimits,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) values: Arc<OpenValues>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) request_ids: Arc<dyn Fn() -> Uuid + Send + Sync>,
    pub(crate) known: Arc<KnownRuns>,
    /// Whether the store told nothing of runs when it was asked last; the log says so once.
    pub(crate) is_away: Arc<AtomicBool>,
}

/// Who asks: a token, and from where it came.
#[derive(Clone)]
pub(crate) struct Bearer {
    pub(crate) token: Arc<BrokerToken>,
    pub(crate) from: IpAddr,
}

impl Bearer {
    /// Of which run it is said to be, and from where.
    pub(crate) fn place(&self) -> Place {
        (self.token.run_id(), self.from)
    }
}

/// A run's process that proved itself, and what is found once for all of its requests.
pub(crate) struct Client {
    pub(crate) bearer: Bearer,
    pub(crate) lease: Arc<Lease>,
    pub(crate) spent: Arc<Spent>,
}

impl Broker {
    /// The one of one of so many threads.
    pub(crate) fn of_a_thread(&self, threads: NonZeroUsize) -> Self {
        Self { upstream: Arc::new(self.upstream.of_a_thread(threads)), ..self.clone() }
    }

    /// Who asks by this token.
    ///
    /// # Errors
    /// When it proves no run, or one that is over.
    pub(crate) async fn client(&self, token: &str, from: IpAddr) -> Result<(Client, Known), Refusal> {
        let token = self.app.broker_token(token).map_err(|_| Refusal::NotProven)?;
        let bearer = Bearer { token: Arc::new(token), from };
        let known = self.identify(&bearer).await?;
        let run = &known.brokered.run;
        let spent = self.ledger.of(run.id, run.expires_at, self.app.clock().now());
        Ok((Client { lease: self.leases.of(&bearer), bearer, spent }, known))
    }

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
        let is_away = matches!(brokered, Err(Error::Store(_)));
        // Runs ask as often as they like: once says it. It seldom changes, so it is seldom written to.
        let is_news = self.is_away.load(Ordering::Relaxed) != is_away
            && self.is_away.swap(is_away, Ordering::Relaxed) != is_away;
        if is_news && let Err(error @ Error::Store(_)) = &brokered {
            tracing::warn!(error = with_causes(error), "broker.unproven: no run can be proven at the moment");
        }
        brokered.map_err(|error| match error {
            Error::RunOver(_) => Refusal::RunOver,
            Error::NotProven | Error::Denied(_) => Refusal::NotProven,
            _ => Refusal::Unavailable,
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
