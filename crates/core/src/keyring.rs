//! The hierarchy of keys: root wraps master, master wraps random, versioned
//! keys: one for each [`Purpose`] and one for each team. Nothing that lasts is
//! derived from master, so that changing it rewraps rows and breaks no hash,
//! MAC or signature.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::ids::{InstanceId, KeyId, TeamId};
use crate::keyed_hash::KeyedHash;
use crate::memory::KeyBytes;
use crate::random::{self, Random};
use crate::rows::{Proven, Row, Stored};
use crate::sealing::{Context, IntegrityViolation, Sealed, SealingKey};
use crate::tokens::{Token, TokenHash};

/// What a key of the whole instance is for. One key never serves two purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

impl Purpose {
    /// Every purpose; an instance has a key for each from its first moment, or
    /// from when it was first served by a program that knows the purpose.
    pub const ALL: [Self; 6] = [
        Self::ApiKeyPepper,
        Self::RowMac,
        Self::Idempotency,
        Self::Cookies,
        Self::AuditSigning,
        Self::SignIn,
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
}

impl KeyOwner {
    /// The name in the store: the purpose's, or `team`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Purpose(purpose) => purpose.name(),
            Self::Team(_) => "team",
        }
    }

    /// The team, if it is a team's key.
    pub const fn team(self) -> Option<TeamId> {
        match self {
            Self::Purpose(_) => None,
            Self::Team(team) => Some(team),
        }
    }

    /// From what a store holds; `None` when it is nothing known.
    pub fn from_name(name: &str, team: Option<TeamId>) -> Option<Self> {
        match team {
            Some(team) => (name == "team").then_some(Self::Team(team)),
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

/// The key that wraps all others but the root key.
pub struct MasterKey {
    instance: InstanceId,
    key: SealingKey,
}

impl MasterKey {
    /// The id in the header of what it seals. There is one master key at a
    /// time, so it needs no name of its own.
    const ID: KeyId = KeyId::from_uuid(uuid::Uuid::nil());

    /// From its 32 bytes.
    ///
    /// # Errors
    /// When there aren't 32.
    pub fn from_bytes(instance: InstanceId, bytes: &[u8]) -> Result<Self, IntegrityViolation> {
        let mut copy: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.try_into().map_err(|_| IntegrityViolation)?);
        Ok(Self { instance, key: SealingKey::take(Self::ID, &mut copy) })
    }

    /// Wraps a fresh random key.
    pub fn new_key(&self, id: KeyId, owner: KeyOwner, now: Timestamp, random: &dyn Random) -> WrappedKey {
        let version = 1;
        let secret = Zeroizing::new(random::bytes::<32>(random).to_vec());
        let context = WrappedKey::context(self.instance, id, owner, version);
        let sealed = self.key.seal(&context, secret, random);
        WrappedKey { id, owner, version, sealed, created_at: now }
    }

    fn unwrap(&self, key: &WrappedKey) -> Result<Zeroizing<[u8; 32]>, IntegrityViolation> {
        let context = WrappedKey::context(self.instance, key.id, key.owner, key.version);
        let opened = self.key.open(&context, &key.sealed)?;
        opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| IntegrityViolation)
    }
}

/// The versions of one purpose's key; the highest is the one in use.
struct Versions(HashMap<u16, KeyBytes>);

impl Versions {
    fn newest(&self) -> Option<(u16, &KeyBytes)> {
        self.0.iter().max_by_key(|(version, _)| **version).map(|(version, key)| (*version, key))
    }
}

/// The unwrapped keys of a running instance.
pub struct Keyring {
    instance: InstanceId,
    master: MasterKey,
    pepper: Versions,
    row_mac: Versions,
    idempotency: Versions,
    cookies: Versions,
    /// Seals what people sign in with; not there until the instance has one.
    sign_in: OnceLock<SealingKey>,
    /// Each team's newest key, unwrapped when first needed and then kept.
    teams: RwLock<HashMap<TeamId, Arc<SealingKey>>>,
}

impl Keyring {
    /// Unwraps the purpose keys.
    ///
    /// # Errors
    /// When one doesn't open, or a purpose has none.
    pub fn new(master: MasterKey, wrapped: &[WrappedKey]) -> Result<Self, IntegrityViolation> {
        let take = |purpose| {
            let versions = versions(&master, wrapped, purpose)?;
            if versions.newest().is_some() { Ok(versions) } else { Err(IntegrityViolation) }
        };
        take(Purpose::AuditSigning)?;
        let keyring = Self {
            instance: master.instance,
            pepper: take(Purpose::ApiKeyPepper)?,
            row_mac: take(Purpose::RowMac)?,
            idempotency: take(Purpose::Idempotency)?,
            cookies: take(Purpose::Cookies)?,
            sign_in: OnceLock::new(),
            teams: RwLock::default(),
            master,
        };
        keyring.admit_sign_in(wrapped)?;
        Ok(keyring)
    }

    /// Takes in the key that seals what people sign in with, if it is among these.
    ///
    /// # Errors
    /// When it doesn't open.
    pub(crate) fn admit_sign_in(&self, wrapped: &[WrappedKey]) -> Result<(), IntegrityViolation> {
        let of_purpose = wrapped.iter().filter(|key| key.owner == KeyOwner::Purpose(Purpose::SignIn));
        if let Some(newest) = of_purpose.max_by_key(|key| key.version) {
            let key = self.unwrap(newest)?;
            // Another request may have been quicker to take in the same one.
            let _ = self.sign_in.set(key);
        }
        Ok(())
    }

    /// Seals what people sign in with.
    pub(crate) fn sign_in_key(&self) -> Result<&SealingKey, IntegrityViolation> {
        self.sign_in.get().ok_or(IntegrityViolation)
    }

    /// A key for the purpose that an instance of before hasn't got one for.
    pub(crate) fn new_sign_in_key(&self, id: KeyId, now: Timestamp, random: &dyn Random) -> WrappedKey {
        self.master.new_key(id, KeyOwner::Purpose(Purpose::SignIn), now, random)
    }

    /// What a browser or a link is to bring back, which only this instance can have made.
    #[expect(clippy::expect_used, reason = "new() found a key of each purpose")]
    pub(crate) fn vouched(&self, label: &str, pieces: &[&[u8]]) -> KeyedHash {
        let (version, key) = self.cookies.newest().expect("a key for cookies");
        KeyedHash::of_pieces(version, key, label, pieces)
    }

    /// The instance that these keys belong to.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Whether the system locked every key's page in memory.
    pub fn locked(&self) -> bool {
        let purposes = [&self.pepper, &self.row_mac, &self.idempotency, &self.cookies]
            .into_iter()
            .flat_map(|of| of.0.values());
        self.master.key.locked()
            && { purposes }.all(KeyBytes::locked)
            && self.sign_in.get().is_none_or(SealingKey::locked)
    }

    /// A row with its MAC, ready to be stored.
    #[expect(clippy::missing_panics_doc, reason = "unreachable: new() found a key of each purpose")]
    #[expect(clippy::expect_used, reason = "new() found a key of each purpose")]
    pub fn authenticate<T: Row>(&self, row: T) -> Stored<T> {
        let (version, key) = self.row_mac.newest().expect("a row MAC key");
        Stored::authenticate(row, self.instance, version, key)
    }

    /// The row, when its MAC holds.
    ///
    /// # Errors
    /// When the stored row isn't what was stored.
    pub fn verify<T: Row>(&self, stored: Stored<T>) -> Result<Proven<T>, IntegrityViolation> {
        let key = self.row_mac.0.get(&stored.key_version()).ok_or(IntegrityViolation)?;
        stored.verify(self.instance, key)
    }

    /// Stands for a request, or a piece of one, without giving it away.
    #[expect(clippy::expect_used, reason = "new() found a key of each purpose")]
    pub(crate) fn digest(&self, label: &str, pieces: &[&[u8]]) -> KeyedHash {
        let (version, key) = self.idempotency.newest().expect("an idempotency key");
        KeyedHash::of_pieces(version, key, label, pieces)
    }

    /// Takes a team's key out of memory.
    pub(crate) fn forget_team(&self, team: TeamId) {
        self.teams.write().unwrap_or_else(PoisonError::into_inner).remove(&team);
    }

    /// What is kept of a new token.
    #[expect(clippy::missing_panics_doc, reason = "unreachable: new() found a key of each purpose")]
    #[expect(clippy::expect_used, reason = "new() found a key of each purpose")]
    pub fn hash(&self, token: &Token) -> TokenHash {
        let (version, pepper) = self.pepper.newest().expect("a pepper");
        token.hash(version, pepper)
    }

    /// Whether `kept` is this token's hash; `hash` is the one under the newest
    /// pepper, which most were kept under.
    pub fn proves(&self, token: &Token, hash: &TokenHash, kept: &TokenHash) -> bool {
        match self.pepper.0.get(&kept.pepper_version()) {
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
        self.master.new_key(id, KeyOwner::Team(team), now, random)
    }

    /// Opens one key of the hierarchy, for verifying it.
    pub(crate) fn unwrap(&self, key: &WrappedKey) -> Result<SealingKey, IntegrityViolation> {
        Ok(SealingKey::take(key.id, &mut *self.master.unwrap(key)?))
    }

    /// The key that seals this team's new values, if its keys are at hand.
    pub fn team_key(&self, team: TeamId) -> Option<Arc<SealingKey>> {
        self.teams.read().unwrap_or_else(PoisonError::into_inner).get(&team).cloned()
    }

    /// Unwraps a team's keys, to be sure of each, and keeps the newest at hand.
    ///
    /// # Errors
    /// When one doesn't open, isn't the team's, or there is none.
    pub fn admit_team(
        &self,
        team: TeamId,
        wrapped: &[WrappedKey],
    ) -> Result<Arc<SealingKey>, IntegrityViolation> {
        let mut newest = None;
        for key in wrapped {
            if key.owner != KeyOwner::Team(team) {
                return Err(IntegrityViolation);
            }
            let opened = self.unwrap(key)?;
            if newest.as_ref().is_none_or(|(version, _)| key.version > *version) {
                newest = Some((key.version, Arc::new(opened)));
            }
        }
        let (_, newest) = newest.ok_or(IntegrityViolation)?;
        self.teams.write().unwrap_or_else(PoisonError::into_inner).insert(team, Arc::clone(&newest));
        Ok(newest)
    }
}

fn versions(
    master: &MasterKey,
    wrapped: &[WrappedKey],
    purpose: Purpose,
) -> Result<Versions, IntegrityViolation> {
    let of_purpose = wrapped.iter().filter(|key| key.owner == KeyOwner::Purpose(purpose));
    let unwrapped = of_purpose.map(|key| Ok((key.version, KeyBytes::take(&mut *master.unwrap(key)?))));
    unwrapped.collect::<Result<_, _>>().map(Versions)
}
