//! The verbs: what can be done with a running instance. Each takes a proven
//! [`Caller`](crate::Caller), asks the access table, and lets the store do the
//! rest in one transaction.

mod activity;
mod agents;
mod api_keys;
mod ask;
mod attachments;
mod auth;
mod callers;
mod compare;
mod create;
mod delivery;
mod environment;
mod events;
mod factors;
mod fill_requests;
mod guesses;
mod invitations;
mod key_links;
mod members;
mod once;
mod panic;
mod purge;
mod refusals;
mod runs;
mod secrets;
mod sessions;
mod set_up;
mod sign_in;
mod teams;
mod uses;
mod verify;
mod versions;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

use self::callers::Callers;
use self::guesses::Guesses;
use self::once::InFlight;
use self::refusals::Refusals;
use self::uses::Uses;
use crate::access::{Caller, Denied};
use crate::api_keys::{ApiKey, ProofRows};
use crate::clock::Clock;
use crate::events::{Actor, Event, EventKind, Object, Place};
use crate::ids::{KeyId, TeamId};
use crate::keyring::{Keyring, MasterKey};
use crate::mint::Mint;
use crate::random::Random;
use crate::root_key::{RootKey, RootKeyError};
use crate::runs::Ended;
use crate::sealing::{IntegrityViolation, SealingKey};
use crate::store::{Store, StoreError};
use crate::values::{BundleError, EditError};

pub use activity::Activity;
pub use agents::{AgentList, RevisionList};
pub use api_keys::{GrantWish, NewKey};
pub use ask::{Ask, Cause, Planned};
pub use create::{CreateError, Created, Founding, Recovery, RecoveryError, create_instance};
pub use environment::{Preview, PreviewedName, PreviewedSecret};
pub use events::EventNames;
pub use factors::{FRESH, NewFactors, SignInState};
pub use fill_requests::{FillLink, NewFillRequest};
pub use key_links::NewKeyLink;
pub use members::{MemberList, NewMember, Newcomer};
pub use once::{Begun, Once};
pub use panic::{Exposed, Revoked, Suspected};
pub use purge::Purged;
pub use runs::{NewRun, RunList};
pub use secrets::Page;
pub use set_up::{Chosen, LINK_LASTS, LinkKind, OpenLink, SetUp};
pub use sign_in::{Attempt, SignInError, SignedIn, Whereabouts};
pub use teams::NewTeam;
pub use verify::{Finding, Verified};

/// Why a verb was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token proves nothing: unknown, wrong, expired, revoked.
    #[error("the token is not valid; check it, or make a new one")]
    NotProven,
    /// The token is a run's, which is over.
    #[error("this run {}; start another one", over(*.0))]
    RunOver(Ended),
    /// The access table says no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A stored row or blob is not what was stored. An event was recorded.
    #[error(transparent)]
    Integrity(#[from] IntegrityViolation),
    /// The condition that the caller put on it doesn't hold.
    #[error("the object is not as you know it any more; look at it again")]
    Precondition,
    /// What was asked makes no sense, or not to this object.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// Secrets of a strict run have values of the same names.
    #[error(
        "several secrets have values of the names {0}, and a strict run takes no two of a name; detach one"
    )]
    Collision(String),
    /// The values would not fit into a secret.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The store's present state is in the way.
    #[error("{0}")]
    Conflict(&'static str),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a run.
fn over(ended: Ended) -> &'static str {
    match ended {
        Ended::Stopped => "was stopped",
        Ended::Expired => "has expired: its lease was not extended in time",
        Ended::Revoked => "was revoked",
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Bundle(error) => Self::Bundle(error),
            named => Self::Invalid(named.to_string().into()),
        }
    }
}

/// Why an instance could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database holds no instance.
    #[error("the database holds no instance")]
    NoInstance,
    /// The root key at hand is another one than the instance was sealed with.
    #[error(
        "this instance is sealed under the root key {expected_provider}:{expected}, but the one given is {provider}:{given}"
    )]
    WrongRootKey {
        /// The provider that the instance names.
        expected_provider: String,
        /// The key that the instance names.
        expected: KeyId,
        /// The provider at hand.
        provider: &'static str,
        /// The key at hand.
        given: KeyId,
    },
    /// The root key could not unwrap.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// A key of the hierarchy doesn't open.
    #[error("a key of the hierarchy does not open: the database was altered or is damaged; restore a backup")]
    Integrity(#[from] IntegrityViolation),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the outside world provides.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

/// A running instance.
pub struct App {
    store: Arc<dyn Store>,
    keys: Keyring,
    world: World,
    mint: Mint,
    callers: Callers,
    in_flight: InFlight,
    uses: Uses,
    guesses: Guesses,
    refusals: Refusals,
    /// Whether attaching to an agent or revision that isn't there makes it.
    auto_register: bool,
    /// Verified in place of the rows of an unknown key.
    decoy: ProofRows<ApiKey>,
    integrity_violations: AtomicU64,
}

impl App {
    /// Opens the instance in `store` with its root key. Writes nothing.
    ///
    /// # Errors
    /// When there is none, the root key is another, or a key doesn't open.
    pub async fn open(store: Arc<dyn Store>, root: &dyn RootKey, world: World) -> Result<Self, OpenError> {
        let stored = store.instance().await?.ok_or(OpenError::NoInstance)?;
        let instance = stored.row();
        if (instance.root_provider.as_str(), instance.root_key_id) != (root.provider(), root.id()) {
            return Err(OpenError::WrongRootKey {
                expected_provider: instance.root_provider.clone(),
                expected: instance.root_key_id,
                provider: root.provider(),
                given: root.id(),
            });
        }
        let master = MasterKey::from_bytes(instance.id, &root.unwrap(instance.id, &instance.master).await?)?;
        let keys = Keyring::new(master, &store.purpose_keys().await?)?;
        // Only now can it be told whether the row itself is what was stored.
        keys.verify(stored)?;
        let decoy = auth::decoy(&keys, &*world.random).map_err(|_| IntegrityViolation)?;
        Ok(Self {
            store,
            keys,
            world,
            mint: Mint::default(),
            callers: Callers::default(),
            in_flight: InFlight::default(),
            uses: Uses::default(),
            guesses: Guesses::default(),
            refusals: Refusals::default(),
            auto_register: false,
            decoy,
            integrity_violations: AtomicU64::new(0),
        })
    }

    /// Gives an instance of before the keys for what came later. To be called once
    /// the schema is up to date, before anything is served.
    ///
    /// # Errors
    /// When the store refuses, or a key doesn't open.
    pub async fn complete(&self) -> Result<(), OpenError> {
        if self.keys.sign_in_key().is_ok() {
            return Ok(());
        }
        let id = KeyId::from_uuid(self.uuid());
        let key = self.keys.new_sign_in_key(id, self.world.clock.now(), &*self.world.random);
        self.store.add_purpose_key(key).await?;
        // Of several servers that start at once, one's key is there.
        self.keys.admit_sign_in(&self.store.purpose_keys().await?)?;
        Ok(())
    }

    /// The same, where a builder who attaches a secret to an agent or revision
    /// that isn't there makes it, under the id that they name.
    #[must_use]
    pub fn registering_agents(self, auto_register: bool) -> Self {
        Self { auto_register, ..self }
    }

    /// Whether the system locked the keys' pages in memory.
    pub fn keys_locked(&self) -> bool {
        self.keys.locked()
    }

    /// How often a stored row or blob was found not to be what was stored,
    /// since this process started.
    pub fn integrity_violations(&self) -> u64 {
        self.integrity_violations.load(Ordering::Relaxed)
    }

    /// The store, for what is no verb: readiness, and to know when it stops.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The time that everything here goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.world.clock
    }

    fn uuid(&self) -> Uuid {
        self.mint.uuid(self.world.clock.now(), &*self.world.random)
    }

    /// Whether the store answers; what it holds is not looked at.
    ///
    /// # Errors
    /// When it doesn't.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.store.instance().await.map(|_| ())
    }

    /// The key that seals a team's values, from the store when not at hand.
    async fn team_key(&self, team: TeamId) -> Result<Arc<SealingKey>, Error> {
        if let Some(key) = self.keys.team_key(team) {
            return Ok(key);
        }
        Ok(self.keys.admit_team(team, &self.store.team_keys(team).await?)?)
    }

    /// Passes on what the store read; a row that it can't even read is as bad
    /// as one whose MAC doesn't hold.
    async fn readable<T>(&self, read: Result<T, StoreError>, what: Suspect<'_>) -> Result<T, Error> {
        match read {
            Err(StoreError::Malformed(_)) => self.noting(Err(IntegrityViolation), what).await,
            read => Ok(read?),
        }
    }

    /// Passes a result on; a violation is counted and recorded first, so that
    /// whoever tampers with the database is seen.
    async fn noting<T>(&self, found: Result<T, IntegrityViolation>, what: Suspect<'_>) -> Result<T, Error> {
        if found.is_err() {
            self.integrity_violations.fetch_add(1, Ordering::Relaxed);
            tracing::error!(table = what.object.table, id = ?what.object.id, "integrity.violation");
            let actor = what.caller.map(Actor::from);
            let event = Event {
                at: self.world.clock.now(),
                kind: EventKind::IntegrityViolation,
                team_id: what.caller.map(|caller| caller.team_id),
                actor: actor.unwrap_or_default(),
                place: Place::default(),
                object: what.object,
                request_id: what.cause.request_id,
                refusal: None,
            };
            self.store.record(event).await?;
        }
        Ok(found?)
    }
}

/// A stored thing about to be verified, and who asked for it.
#[derive(Clone, Copy)]
struct Suspect<'a> {
    caller: Option<&'a Caller>,
    object: Object,
    cause: &'a Cause,
}
