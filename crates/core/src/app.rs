//! The verbs: what can be done with a running instance. Each takes a proven
//! [`Caller`](crate::Caller), asks the access table, and lets the store do the
//! rest in one transaction.

mod activity;
mod agents;
mod api_keys;
mod ask;
mod attachments;
mod audit;
mod audit_export;
mod audit_states;
mod audit_verify;
mod auth;
mod broker;
mod callers;
mod compare;
mod create;
mod custody;
mod delivery;
mod environment;
mod events;
mod factors;
mod fill_requests;
mod fresh;
mod guesses;
mod invitations;
mod key_links;
mod key_uses;
mod members;
mod once;
mod panic;
mod policies;
mod purge;
mod refusals;
mod rotation;
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
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::broker::BrokeredRuns;
use self::callers::Callers;
use self::fresh::Fresh;
use self::guesses::Guesses;
use self::once::InFlight;
use self::refusals::Refusals;
use self::uses::Uses;
use crate::access::{Caller, Denied};
use crate::api_keys::{ApiKey, ProofRows};
use crate::clock::{Clock, Timestamp};
use crate::events::{Actor, Event, EventKind, Object, Place};
use crate::ids::{KeyId, TeamId};
use crate::instance::{Instance, RootCopy};
use crate::keyring::{KeyOwner, Keyring, MasterKey, NotFollowed, Superseded, WrappedKey};
use crate::mint::Mint;
use crate::random::Random;
use crate::root_key::{RootKey, RootKeyError};
use crate::rows::Stored;
use crate::runs::Ended;
use crate::sealing::{IntegrityViolation, SealingKey};
use crate::store::{Store, StoreError};
use crate::values::{BundleError, EditError};

pub use activity::Activity;
pub use agents::{AgentList, RevisionList};
pub use api_keys::{GrantWish, NewKey};
pub use ask::{Ask, Cause, Planned};
pub use audit::{ConsistencyProof, InclusionProof, SEALED_AT_ONCE, SealedEvents, Sealer};
pub use audit_export::Export;
pub use audit_states::{Misstated, VerifiedStates};
pub use audit_verify::{VerifiedEvents, Wrong};
pub use broker::{BrokerAddress, BrokerToken, Brokered, BrokeredRequest};
pub use create::{CreateError, Created, Founding, Recovery, RecoveryError, create_instance};
pub use custody::{Custody, CustodyError, InstanceKeys, PurposeState, RootState};
pub use environment::{Preview, PreviewedName, PreviewedSecret};
pub use events::EventNames;
pub use factors::{FRESH, NewFactors, SignInState};
pub use fill_requests::{FillLink, NewFillRequest};
pub use key_links::NewKeyLink;
pub use key_uses::KeyUses;
pub use members::{MemberList, NewMember, Newcomer};
pub use once::{Begun, Once};
pub use panic::{Exposed, Revoked, Runs, Suspected};
pub use purge::Purged;
pub use rotation::{Resealed, SealedUnder, TeamKeyState, TeamKeys};
pub use runs::{NewRun, RunList, StartedRun};
pub use secrets::Page;
pub use set_up::{Chosen, LINK_LASTS, LinkKind, OpenLink, SetUp};
pub use sign_in::{Attempt, SignInError, SignedIn, Whereabouts};
pub use teams::NewTeam;
pub use verify::{Examination, Finding, Verified};

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

/// How long there is a way from an old master key to the new one, in milliseconds: many times
/// as long as servers take to look.
const WAY_LASTS: i64 = 60_000;

/// The instance, and its master key.
async fn opened(
    store: Arc<dyn Store>,
    root: &dyn RootKey,
    world: World,
) -> Result<(App, Zeroizing<Vec<u8>>), OpenError> {
    let mut stored = store.instance().await?.ok_or(OpenError::NoInstance)?;
    loop {
        let (mac, master) = (stored.mac(), unwrapped(&*store, stored.row(), root).await?);
        match App::with_master(Arc::clone(&store), stored, &master, world.clone()).await {
            Err(OpenError::Integrity(violation)) => {
                // Its keys may have been replaced between the two reads.
                store.look_again();
                stored = store.instance().await?.ok_or(OpenError::NoInstance)?;
                if stored.mac() == mac {
                    return Err(violation.into());
                }
            }
            opened => return Ok((opened?, master)),
        }
    }
}

/// The master key, by whichever root key opens the instance.
async fn unwrapped(
    store: &dyn Store,
    instance: &Instance,
    root: &dyn RootKey,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    if (instance.root_provider.as_str(), instance.root_key_id) == (root.provider(), root.id()) {
        return Ok(root.unwrap(instance.id, &instance.master).await?);
    }
    let copies = store.root_copies().await?;
    let is_it = |copy: &&Stored<RootCopy>| {
        (copy.row().provider.as_str(), copy.row().key_id) == (root.provider(), root.id())
    };
    match copies.iter().find(is_it) {
        Some(copy) => Ok(root.unwrap(instance.id, &copy.row().master).await?),
        None => Err(OpenError::WrongRootKey {
            expected_provider: instance.root_provider.clone(),
            expected: instance.root_key_id,
            provider: root.provider(),
            given: root.id(),
        }),
    }
}

/// What a look at the instance's own keys found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Whether there are ways to a master key that are of no use any more.
    pub has_old_ways: bool,
    /// Another one than at the look before when a key was replaced or taken away since.
    pub state: (Option<i64>, usize),
}

/// Why it isn't known what became of the instance's own keys.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store can't tell.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key at hand is of no use any more.
    #[error(transparent)]
    Superseded(#[from] Superseded),
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
    brokered_runs: BrokeredRuns,
    in_flight: InFlight,
    uses: Uses,
    guesses: Guesses,
    refusals: Refusals,
    fresh: Fresh,
    /// Whether attaching to an agent or revision that isn't there makes it.
    auto_register: bool,
    /// Where runs find the broker, if there is one.
    broker: Option<BrokerAddress>,
    /// Verified in place of the rows of an unknown key.
    decoy: ProofRows<ApiKey>,
    integrity_violations: AtomicU64,
    /// How many leaves the newest head that was seen here is over, and from when it is, in milliseconds.
    sealed: (AtomicU64, AtomicI64),
    /// Whether it was noted that a stored key isn't what was stored.
    has_broken_keys: AtomicBool,
}

impl App {
    /// Opens the instance in `store` with its root key. Writes nothing.
    ///
    /// # Errors
    /// When there is none, the root key is another, or a key doesn't open.
    pub async fn open(store: Arc<dyn Store>, root: &dyn RootKey, world: World) -> Result<Self, OpenError> {
        opened(store, root, world).await.map(|(app, _)| app)
    }

    /// Opens the instance in a store with its master key, as the recovery key gives it back.
    ///
    /// # Errors
    /// When there is none, or a key doesn't open.
    pub async fn open_recovered(
        store: Arc<dyn Store>,
        master: &[u8],
        world: World,
    ) -> Result<Self, OpenError> {
        let stored = store.instance().await?.ok_or(OpenError::NoInstance)?;
        Self::with_master(store, stored, master, world).await
    }

    async fn with_master(
        store: Arc<dyn Store>,
        stored: Stored<Instance>,
        master: &[u8],
        world: World,
    ) -> Result<Self, OpenError> {
        let wrapped = store.purpose_keys().await?;
        let master = MasterKey::of(stored.row().id, master, &wrapped)?;
        let keys = Keyring::new(master, &wrapped, world.clock.now())?;
        // Only now can it be told whether the row itself is what was stored.
        keys.verify(stored)?;
        let decoy = auth::decoy(&keys, &*world.random).map_err(|_| IntegrityViolation)?;
        Ok(Self {
            store,
            keys,
            world,
            mint: Mint::default(),
            callers: Callers::default(),
            brokered_runs: BrokeredRuns::default(),
            in_flight: InFlight::default(),
            uses: Uses::default(),
            guesses: Guesses::default(),
            refusals: Refusals::default(),
            fresh: Fresh::default(),
            auto_register: false,
            broker: None,
            decoy,
            integrity_violations: AtomicU64::new(0),
            sealed: (AtomicU64::new(0), AtomicI64::new(0)),
            has_broken_keys: AtomicBool::new(false),
        })
    }

    /// Gives an instance of before the keys for what came later. To be called once
    /// the schema is up to date, before anything is served.
    ///
    /// # Errors
    /// When the store refuses, or a key doesn't open.
    pub async fn complete(&self) -> Result<(), OpenError> {
        let missing = self.keys.missing();
        if missing.is_empty() {
            return Ok(());
        }
        for purpose in missing {
            let (id, now) = (KeyId::from_uuid(self.uuid()), self.world.clock.now());
            let key = self.keys.new_purpose_key((id, 1), purpose, now, &*self.world.random);
            self.store.add_purpose_key(key).await?;
        }
        // Of several servers that start at once, one's key is there.
        self.follow_keys().await.map_err(|error| match error {
            FollowError::Store(error) => OpenError::Store(error),
            FollowError::Superseded(_) => OpenError::Integrity(IntegrityViolation),
        })?;
        Ok(())
    }

    /// Takes in what became of the instance's own keys: to be called every few seconds.
    ///
    /// # Errors
    /// When the store can't tell, or the master key at hand is of no use any more.
    pub async fn follow_keys(&self) -> Result<Followed, FollowError> {
        // Whoever holds the root key may have written beside this server.
        self.store.look_again();
        let (wrapped, now) = (self.store.purpose_keys().await?, self.world.clock.now());
        match self.keys.follow(&wrapped, now) {
            Ok(()) => self.has_broken_keys.store(false, Ordering::Relaxed),
            Err(NotFollowed::Superseded) => return Err(Superseded.into()),
            Err(NotFollowed::Broken) => self.note_broken_keys().await?,
        }
        let age = |key: &WrappedKey| now.as_millis().saturating_sub(key.created_at.as_millis());
        let ways: Vec<_> = wrapped.iter().filter(|key| key.owner == KeyOwner::Master).collect();
        let newest = self.store.events_of_keys(1).await?.first().map(|event| event.sequence);
        let has_old_ways = ways.iter().any(|way| age(way) > WAY_LASTS);
        Ok(Followed { has_old_ways, state: (newest, ways.len()) })
    }

    /// Records once that a stored key isn't what was stored; those at hand go on.
    async fn note_broken_keys(&self) -> Result<(), FollowError> {
        if self.has_broken_keys.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let object = Object { table: "keys", ..Object::default() };
        let suspect = Suspect { caller: None, object, cause: &Cause::default() };
        match self.noting::<()>(Err(IntegrityViolation), suspect).await {
            Err(Error::Store(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Takes away the ways to a master key that every server has gone by now.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn close_ways(&self) -> Result<u64, StoreError> {
        let before = self.world.clock.now().as_millis().saturating_sub(WAY_LASTS);
        self.store.close_ways(Timestamp::from_millis(before)).await
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

    /// How many events the newest signed head is over that this server saw, and from when it is;
    /// `None` when it saw none yet.
    pub fn sealed_events(&self) -> Option<(u64, Timestamp)> {
        let (size, at) = (self.sealed.0.load(Ordering::Relaxed), self.sealed.1.load(Ordering::Relaxed));
        (size > 0).then(|| (size, Timestamp::from_millis(at)))
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
        match self.keys.team_key(team, self.world.clock.monotonic()) {
            Some(key) => Ok(key),
            None => self.read_team_keys(team).await,
        }
    }

    /// The key of a team that sealed this, from the store when not at hand.
    async fn opening_key(&self, team: TeamId, id: KeyId) -> Result<Arc<SealingKey>, Error> {
        if let Some(key) = self.keys.opening_key(team, id) {
            return Ok(key);
        }
        self.read_team_keys(team).await?;
        Ok(self.keys.opening_key(team, id).ok_or(IntegrityViolation)?)
    }

    async fn read_team_keys(&self, team: TeamId) -> Result<Arc<SealingKey>, Error> {
        let now = self.world.clock.monotonic();
        let wrapped = self.store.team_keys(team).await?;
        self.admit_team(team, &wrapped, now).await
    }

    /// Takes in a team's keys, which were read at this moment; the newest.
    async fn admit_team(
        &self,
        team: TeamId,
        wrapped: &[WrappedKey],
        read_at: Duration,
    ) -> Result<Arc<SealingKey>, Error> {
        if !wrapped.iter().all(|key| self.keys.knows_master_of(key)) {
            // There is a new master key since the last look. Whether it can be had shows below.
            let _ = self.follow_keys().await;
        }
        Ok(self.keys.admit_team(team, wrapped, read_at)?)
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
            // Apart, as it is rare: what is kept for it is otherwise in the way of each request.
            Box::pin(self.note_violation(what)).await?;
        }
        Ok(found?)
    }

    async fn note_violation(&self, what: Suspect<'_>) -> Result<(), StoreError> {
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
            requested: None,
        };
        self.store.record(event).await
    }
}

/// A stored thing about to be verified, and who asked for it.
#[derive(Clone, Copy)]
struct Suspect<'a> {
    caller: Option<&'a Caller>,
    object: Object,
    cause: &'a Cause,
}
