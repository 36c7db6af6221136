//! What the broker asks of an instance: whom a token proves and what they may use, a secret's
//! values, and that what it let through is recorded. It decides nothing here; what a run may use
//! is found out anew for every request.

use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

use super::callers::{Known, Recent};
use super::{App, Ask, Cause, Error, Suspect};
use crate::access::{Caller, Denied};
use crate::authority::Authority;
use crate::clock::Timestamp;
use crate::events::{Actor, Event, EventKind, Object, Place};
use crate::ids::{RunId, SecretId};
use crate::placeholders::{Placeholder, placeholders};
use crate::requests::RequestedText;
use crate::rows::Proven;
use crate::runs::Run;
use crate::secrets::Secret;
use crate::tokens::{Token, TokenHash, TokenKind};
use crate::values::Bundle;

/// Of how many runs it is kept for a moment what they may use: some kilobytes each. Runs with an open tunnel are
/// looked at all the time; those beyond it are read anew each time.
const MOST_RUNS: usize = 1_024;

/// Of a secret that is changed while a run goes on: how many of its versions the run's answers are looked through
/// for, beside the present one.
const EARLIER: u32 = 8;

/// Where runs find the broker of a server.
#[derive(Clone, Debug)]
pub struct BrokerAddress {
    /// Its URL, without a path.
    pub url: String,
    /// The certificate of the authority that its certificates come from, as PEM.
    pub ca: String,
}

/// A run that proved itself to the broker, and what it may use: as it was less than a second ago.
/// To be asked for anew with every request; never kept.
pub struct Brokered {
    /// The run.
    pub run: Arc<Proven<Run>>,
    /// Its secrets that are still there for its starter, the strongest first.
    pub secrets: Vec<Proven<Secret>>,
    /// What stands for their values.
    pub placeholders: Vec<Placeholder>,
    caller: Caller,
}

/// A token for the broker, with what it is compared by: whoever has a tunnel shows it again with every request.
pub struct BrokerToken {
    token: Token,
    hash: TokenHash,
}

impl BrokerToken {
    /// A token that is compared by this hash of it.
    pub fn new(token: Token, hash: TokenHash) -> Self {
        Self { token, hash }
    }

    /// The run that it is said to be of.
    pub fn run_id(&self) -> RunId {
        RunId::from_uuid(self.token.id())
    }
}

/// Runs that proved themselves a moment ago. Not their values.
pub(super) type BrokeredRuns = Recent<RunId, Arc<Brokered>>;

impl Default for BrokeredRuns {
    fn default() -> Self {
        Self::of_most(MOST_RUNS)
    }
}

/// A request that went through the broker, or was refused there.
#[derive(Clone)]
pub struct BrokeredRequest {
    /// Whose it is.
    pub brokered: Arc<Brokered>,
    /// Its id.
    pub request_id: Uuid,
    /// When that happened which is told of it.
    pub at: Timestamp,
    /// The secret of which a value went in, and its version.
    pub secret: Option<(SecretId, u32)>,
    /// What was asked for, and what came of it.
    pub requested: RequestedText,
}

impl App {
    /// The same, beside a broker that runs find there; `None`: there is none.
    #[must_use]
    pub fn with_broker(self, broker: Option<BrokerAddress>) -> Self {
        Self { broker, ..self }
    }

    /// Where runs find the broker of this server, if it has one.
    pub fn broker(&self) -> Option<&BrokerAddress> {
        self.broker.as_ref()
    }

    /// What signs the certificates that the broker shows. None until the instance has a key for it.
    pub fn authority(&self) -> Option<Arc<Authority>> {
        self.keys.authority()
    }

    /// A token for the broker, which may still prove nothing.
    ///
    /// # Errors
    /// [`Error::NotProven`] when it is none.
    pub fn broker_token(&self, text: &str) -> Result<BrokerToken, Error> {
        let token = Token::parse(TokenKind::Broker, text).map_err(|_| Error::NotProven)?;
        let hash = self.keys.hash(&token);
        Ok(BrokerToken::new(token, hash))
    }

    /// The run that this token for the broker proves, when it may be used from this address, and
    /// what it may use. For every request: a change that is made here counts from the next one on, one
    /// that is made elsewhere within a second.
    ///
    /// # Errors
    /// [`Error::RunOver`] to whoever has the token of a run that is over;
    /// [`Error::NotProven`] for whatever else isn't valid.
    pub async fn brokered(
        &self,
        token: &BrokerToken,
        from: Option<IpAddr>,
        cause: &Cause,
    ) -> Result<Arc<Brokered>, Error> {
        let (monotonic, now) = (self.world.clock.monotonic(), self.world.clock.now());
        let is_of_it = |kept: &_| self.keys.proves(&token.token, &token.hash, kept);
        let kept = self.brokered_runs.find(&token.run_id(), monotonic, is_of_it);
        let kept = kept.filter(|known| known.proven.run.expires_at > now);
        let brokered = match kept {
            Some(known) => Arc::clone(&known.proven),
            None => Box::pin(self.read_brokered(token, cause)).await?,
        };
        self.admit(&brokered.caller, from, cause).await?;
        Ok(brokered)
    }

    async fn read_brokered(&self, token: &BrokerToken, cause: &Cause) -> Result<Arc<Brokered>, Error> {
        let (era, proven_at) = (self.brokered_runs.era(), self.world.clock.monotonic());
        let id = token.run_id();
        let suspect = Suspect { caller: None, object: Object::of::<Run>(Some(id.uuid())), cause };
        let rows = self.run_rows(id, suspect).await?.ok_or(Error::NotProven)?;
        let kept = rows.run.broker_hash.ok_or(Error::NotProven)?;
        if !self.keys.proves(&token.token, &token.hash, &kept) {
            return Err(Error::NotProven);
        }
        let caller = self.running(rows)?;
        let run = caller.run.clone().ok_or(Error::NotProven)?;
        let secrets = self.received(&Ask::new(caller.clone(), *cause), &run).await?;
        let placeholders = placeholders(&run, secrets.iter().map(|secret| &**secret));
        let brokered = Arc::new(Brokered { run, secrets, placeholders, caller });
        self.brokered_runs.keep(id, Known { proven: Arc::clone(&brokered), hash: kept, proven_at, era });
        Ok(brokered)
    }

    /// The present values of a secret that a run may use, for the broker alone.
    ///
    /// # Errors
    /// [`Denied::Invisible`] for one that it may not; when its version doesn't open.
    pub async fn open_brokered(
        &self,
        brokered: &Brokered,
        secret: &Proven<Secret>,
        cause: &Cause,
    ) -> Result<Bundle, Error> {
        let ask = of_its_own(brokered, secret, cause)?;
        self.open_content(&ask, secret, secret.version).await
    }

    /// Values of a secret that a run may have been given before, for the broker alone: of versions that were
    /// current since it was started, the [`EARLIER`] newest but the present one.
    ///
    /// # Errors
    /// [`Denied::Invisible`] for a secret that it may not use; when a version doesn't open.
    pub async fn open_earlier(
        &self,
        brokered: &Brokered,
        secret: &Proven<Secret>,
        cause: &Cause,
    ) -> Result<Vec<Bundle>, Error> {
        let (ask, since) = (of_its_own(brokered, secret, cause)?, brokered.run.created_at);
        if secret.updated_at < since {
            return Ok(Vec::new());
        }
        let before = secret.version.saturating_sub(EARLIER + 1);
        let read = self.store.versions(secret.id, before, EARLIER + 1).await;
        let versions = self.readable(read, ask.suspect(Object::of::<Secret>(Some(secret.id.uuid())))).await?;
        let mut earlier = Vec::new();
        // Each was current until the next one was made.
        for pair in versions.windows(2) {
            if let [version, next] = pair
                && next.created_at >= since
            {
                earlier.push(self.open_proven(&ask, secret, version).await?);
            }
        }
        Ok(earlier)
    }

    /// Records what became of requests, all or nothing; each run's in their order.
    ///
    /// # Errors
    /// When the store can't.
    pub async fn record_requests(&self, requests: &[BrokeredRequest]) -> Result<(), Error> {
        let mut requests: Vec<_> = requests.iter().collect();
        // What is alike is stored for less where it stands together.
        requests.sort_by_key(|request| request.brokered.run.id);
        let events: Arc<[Event]> = requests.into_iter().map(requested).collect();
        if let Some(first) = self.store.record_all(Arc::clone(&events)).await? {
            self.fresh.keep(first, events);
        }
        Ok(())
    }
}

/// In whose name a secret is opened that a run may use.
fn of_its_own(brokered: &Brokered, secret: &Proven<Secret>, cause: &Cause) -> Result<Ask, Denied> {
    let its_own = |own: &Proven<Secret>| own.id == secret.id && own.mac() == secret.mac();
    if brokered.secrets.iter().any(its_own) {
        Ok(Ask::new(brokered.caller.clone(), *cause))
    } else {
        Err(Denied::Invisible)
    }
}

fn requested(request: &BrokeredRequest) -> Event {
    let BrokeredRequest { brokered, request_id, at, secret, requested } = request;
    let Brokered { run, caller, .. } = &**brokered;
    let object = match secret {
        Some((id, version)) => Object { version: Some(*version), ..Object::of::<Secret>(Some(id.uuid())) },
        None => Object::of::<Run>(Some(run.id.uuid())),
    };
    Event {
        at: *at,
        kind: EventKind::RunRequested,
        team_id: Some(run.team_id),
        actor: Actor::from(caller),
        place: Place { agent_id: Some(run.agent_id), revision_id: Some(run.revision_id) },
        object,
        request_id: Some(*request_id),
        refusal: None,
        requested: Some(requested.clone()),
    }
}
