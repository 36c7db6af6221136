//! The hierarchy of keys: root wraps master, master wraps random, versioned
//! keys: one for each [`Purpose`] and one for each team. Nothing that lasts is
//! derived from master, so that changing it rewraps rows and breaks no hash,
//! MAC or signature.
//!
//! A server follows what others change: it looks at the stored keys every few
//! seconds, and takes in what is new by [`Keyring::follow`].

mod master;
mod purposes;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use zeroize::Zeroizing;

use crate::answers::KEPT_FOR;
use crate::app::LINK_LASTS;
use crate::audit::note::Signer;
use crate::authority::Authority;
use crate::clock::Timestamp;
use crate::ids::{InstanceId, KeyId, TeamId};
use crate::keyed_hash::KeyedHash;
use crate::random::Random;
use crate::rows::{Proven, Row, Stored};
use crate::sealing::{Context, IntegrityViolation, Sealed, SealingKey};
use crate::tokens::{Token, TokenHash};

pub use self::master::MasterKey;
pub(crate) use self::purposes::by_purpose;

use self::master::sealed_by;
use self::purposes::{Purposes, seen};

/// What a key of the whole instance is for. One key never serves two purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Hashes of tokens.
    ApiKeyPepper,
    /// MACs of rows.
    RowMac,
    /// Digests of requests that carry an idempotency key.
    Idempotency,
    /// Session cookies.
    Cookies,
    /// The seed of the key that signs the audit tree's heads.
    AuditSigning,
    /// What people sign in with.
    SignIn,
    /// The seed of the key that signs certificates for the processes of brokered runs.
    Authority,
}

impl Purpose {
    /// Every purpose; an instance has a key for each from its first moment, or
    /// from when it was first served by a program that knows the purpose.
    pub const ALL: [Self; 7] = [
        Self::ApiKeyPepper,
        Self::RowMac,
        Self::Idempotency,
        Self::Cookies,
        Self::AuditSigning,
        Self::SignIn,
        Self::Authority,
    ];

    /// The name in the store and in the key's context.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiKeyPepper => "api_key_pepper",
            Self::RowMac => "row_mac",
            Self::Idempotency => "idempotency",
            Self::Cookies => "cookies",
            Self::AuditSigning => "audit_signing",
            Self::SignIn => "sign_in",
            Self::Authority => "authority",
        }
    }
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// The instance's, for one purpose.
    Purpose(Purpose),
    /// A team's: seals that team's values. Destroying it destroys them.
    Team(TeamId),
    /// The instance's next master key, sealed by the one before: servers that have
    /// that come to the new one by it, and then it is taken away.
    Master,
}

impl KeyOwner {
    /// The name in the store: the purpose's, `team`, or `master`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Purpose(purpose) => purpose.name(),
            Self::Team(_) => "team",
            Self::Master => "master",
        }
    }

    /// The team, if it is a team's key.
    pub const fn team(self) -> Option<TeamId> {
        match self {
            Self::Purpose(_) | Self::Master => None,
            Self::Team(team) => Some(team),
        }
    }

    /// The purpose, if it is the instance's key for one.
    pub const fn purpose(self) -> Option<Purpose> {
        match self {
            Self::Purpose(purpose) => Some(purpose),
            Self::Team(_) | Self::Master => None,
        }
    }

    /// From what a store holds; `None` when it is nothing known.
    pub fn from_name(name: &str, team: Option<TeamId>) -> Option<Self> {
        match team {
            Some(team) => (name == "team").then_some(Self::Team(team)),
            None if name == "master" => Some(Self::Master),
            None => Purpose::ALL.into_iter().find(|purpose| purpose.name() == name).map(Self::Purpose),
        }
    }
}

/// A key of the hierarchy as it is stored: sealed by the master key.
#[derive(Clone)]
pub struct WrappedKey {
    /// Names the key in the blobs that it seals.
    pub id: KeyId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// Counts from 1; the highest of an owner is the one in use.
    pub version: u16,
    /// The 32 bytes, sealed by the master key.
    pub sealed: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
}

impl WrappedKey {
    fn context(instance: InstanceId, id: KeyId, owner: KeyOwner, version: u16) -> Context {
        let team = owner.team().map(|team| *team.as_bytes());
        Context::new("strongroom.key.v1")
            .field(instance.as_bytes())
            .field(owner.name().as_bytes())
            .field(team.as_ref().map_or(&[][..], |team| &team[..]))
            .field(id.as_bytes())
            .field(&version.to_be_bytes())
    }
}

/// The unwrapped keys of a running instance.
pub struct Keyring {
    instance: InstanceId,
    /// The newest first; the one before stays until the next look, for keys that were read
    /// just before.
    masters: RwLock<Vec<Arc<MasterKey>>>,
    purposes: RwLock<Arc<Purposes>>,
    /// Each team's keys, unwrapped when first needed and then kept.
    teams: RwLock<HashMap<TeamId, TeamKeys>>,
}

/// The master key was replaced, and there is no way from the one at hand to the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master key was replaced while this server could not follow")]
pub struct Superseded;

/// Why the keys that are stored weren't taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFollowed {
    /// Those at hand are of no use any more.
    Superseded,
    /// A stored one isn't what was stored; those at hand are as good as before.
    Broken,
}

/// A team's keys at hand.
struct TeamKeys {
    newest: Arc<SealingKey>,
    all: HashMap<KeyId, Arc<SealingKey>>,
    /// When they were read, by the clock that never jumps.
    read_at: Duration,
}

/// How long it is taken for vouched what a key of before vouched for, in milliseconds: as long
/// as a link for setting up a sign-in is good.
const VOUCHED_FOR: i64 = LINK_LASTS;

/// How long a team's newest key is taken for the newest without asking the store: another
/// server may have made one.
const NEWEST_FOR: Duration = Duration::from_secs(10);

impl Keyring {
    /// Unwraps the purpose keys.
    ///
    /// # Errors
    /// When one doesn't open, or a purpose has none.
    pub fn new(
        master: MasterKey,
        wrapped: &[WrappedKey],
        now: Timestamp,
    ) -> Result<Self, IntegrityViolation> {
        let instance = master.instance;
        let purposes = Purposes::unwrap(instance, wrapped, now, |key| master.unwrap(key))?;
        Ok(Self {
            instance,
            masters: RwLock::new(vec![Arc::new(master)]),
            purposes: RwLock::new(Arc::new(purposes)),
            teams: RwLock::default(),
        })
    }

    /// Takes in what became of the instance's own keys: a new master key, new keys for a purpose,
    /// and which of them are in use by now.
    ///
    /// # Errors
    /// When the master key at hand is of no use any more, or a stored key isn't what was stored.
    pub fn follow(&self, wrapped: &[WrappedKey], now: Timestamp) -> Result<(), NotFollowed> {
        self.follow_master(wrapped)?;
        let there = seen(wrapped, now);
        if self.purposes().seen == there {
            return Ok(());
        }
        let open = |key: &WrappedKey| self.open(key);
        let purposes =
            Purposes::unwrap(self.instance, wrapped, now, open).map_err(|_| NotFollowed::Broken)?;
        let is_there = |(purpose, version, _): &(Purpose, u16, bool)| {
            there.iter().any(|(other, number, _)| (other, number) == (purpose, version))
        };
        let mut at_hand = self.purposes.write().unwrap_or_else(PoisonError::into_inner);
        // None ever goes: of two looks at once, one that misses some was the earlier.
        if at_hand.seen.iter().all(is_there) {
            *at_hand = Arc::new(purposes);
        }
        Ok(())
    }

    fn follow_master(&self, wrapped: &[WrappedKey]) -> Result<(), NotFollowed> {
        let wanted = sealed_by(wrapped).map_err(|_| NotFollowed::Broken)?;
        let mut own = wrapped.iter().filter(|key| key.owner.purpose().is_some());
        // A master key is replaced for all at once.
        if !own.all(|key| key.sealed.key_id() == Ok(wanted)) {
            return Err(NotFollowed::Broken);
        }
        if self.master_id() == wanted && self.masters.read().is_ok_and(|masters| masters.len() == 1) {
            return Ok(());
        }
        let mut masters = self.masters.write().unwrap_or_else(PoisonError::into_inner);
        // Of two looks at once, this one was the earlier.
        if masters.iter().skip(1).any(|master| master.id() == wanted) {
            return Ok(());
        }
        masters.truncate(1);
        while let Some(newest) = masters.first()
            && newest.id() != wanted
        {
            let mut ways = wrapped.iter().filter(|key| key.owner == KeyOwner::Master);
            let way = ways.find_map(|way| Some((way.id, newest.unwrap(way).ok()?)));
            // A way that leads back would lead on for ever.
            let (id, bytes) =
                way.filter(|(id, _)| masters.iter().all(|m| m.id() != *id)).ok_or(NotFollowed::Superseded)?;
            let next = MasterKey::take(self.instance, id, &*bytes).map_err(|_| NotFollowed::Superseded)?;
            masters.insert(0, Arc::new(next));
        }
        Ok(())
    }

    /// Takes the master key that this program itself put in the place of the one at hand.
    ///
    /// # Errors
    /// When there aren't 32 bytes.
    pub(crate) fn take_master(&self, id: KeyId, bytes: &[u8]) -> Result<(), IntegrityViolation> {
        let next = MasterKey::take(self.instance, id, bytes)?;
        self.masters.write().unwrap_or_else(PoisonError::into_inner).insert(0, Arc::new(next));
        Ok(())
    }

    fn purposes(&self) -> Arc<Purposes> {
        Arc::clone(&self.purposes.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[expect(clippy::expect_used, reason = "there is always one")]
    fn master(&self) -> Arc<MasterKey> {
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        masters.first().map(Arc::clone).expect("a master key")
    }

    /// Which master key seals what is new.
    pub fn master_id(&self) -> KeyId {
        self.master().id()
    }

    /// Whether the master key that sealed this is at hand.
    pub(crate) fn knows_master_of(&self, key: &WrappedKey) -> bool {
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        key.sealed.key_id().is_ok_and(|id| masters.iter().any(|master| master.id() == id))
    }

    fn open(&self, key: &WrappedKey) -> Result<Zeroizing<[u8; 32]>, IntegrityViolation> {
        let id = key.sealed.key_id()?;
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        masters.iter().find(|master| master.id() == id).ok_or(IntegrityViolation)?.unwrap(key)
    }

    /// Seals what people sign in with.
    pub(crate) fn sign_in_key(&self) -> Result<Arc<SealingKey>, IntegrityViolation> {
        self.purposes().sign_in.first().cloned().ok_or(IntegrityViolation)
    }

    /// What opens something that people sign in with.
    pub(crate) fn opening_sign_in_key(&self, sealed: &Sealed) -> Result<Arc<SealingKey>, IntegrityViolation> {
        let id = sealed.key_id()?;
        self.purposes().sign_in.iter().find(|key| key.id() == id).cloned().ok_or(IntegrityViolation)
    }

    /// What signs certificates for the processes of brokered runs. None until the instance has
    /// such a key.
    pub fn authority(&self) -> Option<Arc<Authority>> {
        self.purposes().authority.clone()
    }

    /// Purposes that an instance of before has no key for.
    pub(crate) fn missing(&self) -> Vec<Purpose> {
        let purposes = self.purposes();
        let missing = [
            (Purpose::SignIn, purposes.sign_in.is_empty()),
            (Purpose::Authority, purposes.authority.is_none()),
        ];
        missing.into_iter().filter(|(_, is_missing)| *is_missing).map(|(purpose, _)| purpose).collect()
    }

    /// A key for a purpose that an instance of before hasn't got one for, or the next one.
    pub(crate) fn new_purpose_key(
        &self,
        (id, version): (KeyId, u16),
        purpose: Purpose,
        now: Timestamp,
        random: &dyn Random,
    ) -> WrappedKey {
        self.master().new_version((id, version), KeyOwner::Purpose(purpose), now, random)
    }

    /// What signs the audit tree's heads, the newest first: a verifier that knows an older
    /// key goes on knowing the heads.
    pub fn signers(&self) -> Arc<[Signer]> {
        Arc::clone(&self.purposes().audit)
    }

    /// What a browser or a link is to bring back, which only this instance can have made.
    #[expect(clippy::expect_used, reason = "a purpose has a key in use")]
    pub(crate) fn vouched(&self, label: &str, pieces: &[&[u8]]) -> KeyedHash {
        let purposes = self.purposes();
        let (version, key) = purposes.cookies.in_use().expect("a key for cookies");
        KeyedHash::of_pieces(version, key, label, pieces)
    }

    /// Whether [`Self::vouched`] said something like it of these pieces, with the key in use or
    /// one that was a day ago.
    pub(crate) fn has_vouched(
        &self,
        (label, pieces): (&str, &[&[u8]]),
        now: Timestamp,
        is_it: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let cookies = &self.purposes().cookies;
        let keys = cookies.lasting(VOUCHED_FOR, now).into_iter();
        let mut keys = keys.filter_map(|version| Some((version, cookies.get(version)?)));
        keys.any(|(version, key)| is_it(KeyedHash::of_pieces(version, key, label, pieces).digest()))
    }

    /// The instance that these keys belong to.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Whether the system locked every key's page in memory.
    pub fn locked(&self) -> bool {
        self.master().locked() && self.purposes().locked()
    }

    /// A row with its MAC, ready to be stored.
    #[expect(clippy::missing_panics_doc, reason = "unreachable: a purpose has a key in use")]
    #[expect(clippy::expect_used, reason = "a purpose has a key in use")]
    pub fn authenticate<T: Row>(&self, row: T) -> Stored<T> {
        let purposes = self.purposes();
        let (version, key) = purposes.row_mac.in_use().expect("a row MAC key");
        Stored::authenticate(row, self.instance, version, key)
    }

    /// The row, when its MAC holds.
    ///
    /// # Errors
    /// When the stored row isn't what was stored.
    pub fn verify<T: Row>(&self, stored: Stored<T>) -> Result<Proven<T>, IntegrityViolation> {
        let purposes = self.purposes();
        let key = purposes.row_mac.get(stored.key_version()).ok_or(IntegrityViolation)?;
        stored.verify(self.instance, key)
    }

    /// Under which keys a request may have been answered, the newest first.
    pub(crate) fn idempotency_versions(&self, now: Timestamp) -> Vec<u16> {
        self.purposes().idempotency.lasting(KEPT_FOR, now)
    }

    /// Stands for a request, or a piece of one, without giving it away.
    #[expect(clippy::expect_used, reason = "the version is one of those that are there, and none ever goes")]
    pub(crate) fn digest(&self, version: u16, label: &str, pieces: &[&[u8]]) -> KeyedHash {
        let purposes = self.purposes();
        let key = purposes.idempotency.get(version).expect("an idempotency key");
        KeyedHash::of_pieces(version, key, label, pieces)
    }

    /// Takes a team's key out of memory.
    pub(crate) fn forget_team(&self, team: TeamId) {
        self.teams.write().unwrap_or_else(PoisonError::into_inner).remove(&team);
    }

    /// What is kept of a new token.
    #[expect(clippy::missing_panics_doc, reason = "unreachable: a purpose has a key in use")]
    #[expect(clippy::expect_used, reason = "a purpose has a key in use")]
    pub fn hash(&self, token: &Token) -> TokenHash {
        let purposes = self.purposes();
        let (version, pepper) = purposes.pepper.in_use().expect("a pepper");
        token.hash(version, pepper)
    }

    /// Whether `kept` is this token's hash; `hash` is the one under the pepper in use, which
    /// most were kept under.
    pub fn proves(&self, token: &Token, hash: &TokenHash, kept: &TokenHash) -> bool {
        match self.purposes().pepper.get(kept.pepper_version()) {
            Some(_) if kept.pepper_version() == hash.pepper_version() => kept.matches(hash),
            Some(pepper) => kept.matches(&token.hash(kept.pepper_version(), pepper)),
            None => false,
        }
    }

    /// A key for a new team.
    pub(crate) fn new_team_key(
        &self,
        id: KeyId,
        team: TeamId,
        now: Timestamp,
        random: &dyn Random,
    ) -> WrappedKey {
        self.master().new_key(id, KeyOwner::Team(team), now, random)
    }

    /// One more key for a team.
    pub(crate) fn next_team_key(
        &self,
        (id, version): (KeyId, u16),
        team: TeamId,
        now: Timestamp,
        random: &dyn Random,
    ) -> WrappedKey {
        self.master().new_version((id, version), KeyOwner::Team(team), now, random)
    }

    /// Opens one key of the hierarchy, for verifying it.
    pub(crate) fn unwrap(&self, key: &WrappedKey) -> Result<SealingKey, IntegrityViolation> {
        Ok(SealingKey::take(key.id, &mut *self.open(key)?))
    }

    /// The key that seals this team's new values, if its keys are at hand and were read
    /// not long before this moment.
    pub fn team_key(&self, team: TeamId, now: Duration) -> Option<Arc<SealingKey>> {
        let teams = self.teams.read().unwrap_or_else(PoisonError::into_inner);
        let keys = teams.get(&team).filter(|keys| now.saturating_sub(keys.read_at) < NEWEST_FOR)?;
        Some(Arc::clone(&keys.newest))
    }

    /// The key of this team with this id, if it is at hand.
    pub(crate) fn opening_key(&self, team: TeamId, id: KeyId) -> Option<Arc<SealingKey>> {
        let teams = self.teams.read().unwrap_or_else(PoisonError::into_inner);
        teams.get(&team)?.all.get(&id).cloned()
    }

    /// Unwraps a team's keys, which were read at this moment, to be sure of each, and keeps
    /// them at hand; the newest.
    ///
    /// # Errors
    /// When one doesn't open, isn't the team's, or there is none.
    pub fn admit_team(
        &self,
        team: TeamId,
        wrapped: &[WrappedKey],
        read_at: Duration,
    ) -> Result<Arc<SealingKey>, IntegrityViolation> {
        let mut all = HashMap::with_capacity(wrapped.len());
        for key in wrapped {
            if key.owner != KeyOwner::Team(team) {
                return Err(IntegrityViolation);
            }
            all.insert(key.id, Arc::new(self.unwrap(key)?));
        }
        let newest = wrapped.iter().max_by_key(|key| key.version).ok_or(IntegrityViolation)?;
        let newest = all.get(&newest.id).cloned().ok_or(IntegrityViolation)?;
        let keys = TeamKeys { newest: Arc::clone(&newest), all, read_at };
        self.teams.write().unwrap_or_else(PoisonError::into_inner).insert(team, keys);
        Ok(newest)
    }
}
