//! The master key, and how another one takes its place.

use zeroize::Zeroizing;

use super::{KeyOwner, WrappedKey};
use crate::clock::Timestamp;
use crate::ids::{InstanceId, KeyId};
use crate::random::{self, Random};
use crate::sealing::{IntegrityViolation, Sealed, SealingKey};

/// The key that wraps all others but the root key.
pub struct MasterKey {
    pub(super) instance: InstanceId,
    key: SealingKey,
}

impl MasterKey {
    /// The id of an instance's first one, in the header of what it seals.
    pub const FIRST: KeyId = KeyId::from_uuid(uuid::Uuid::nil());

    /// An instance's first, from its 32 bytes.
    ///
    /// # Errors
    /// When there aren't 32.
    pub fn first(instance: InstanceId, bytes: &[u8]) -> Result<Self, IntegrityViolation> {
        Self::take(instance, Self::FIRST, bytes)
    }

    /// The one that sealed an instance's keys, by what they say of that; whether it did
    /// shows on opening them.
    ///
    /// # Errors
    /// When there aren't 32 bytes, or no such key.
    pub fn of(
        instance: InstanceId,
        bytes: &[u8],
        wrapped: &[WrappedKey],
    ) -> Result<Self, IntegrityViolation> {
        Self::take(instance, sealed_by(wrapped)?, bytes)
    }

    pub(super) fn take(instance: InstanceId, id: KeyId, bytes: &[u8]) -> Result<Self, IntegrityViolation> {
        let mut copy: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.try_into().map_err(|_| IntegrityViolation)?);
        Ok(Self { instance, key: SealingKey::take(id, &mut copy) })
    }

    /// Whether the system locked the key's page in memory.
    pub(super) fn locked(&self) -> bool {
        self.key.locked()
    }

    /// Which one it is.
    pub fn id(&self) -> KeyId {
        self.key.id()
    }

    /// Wraps a fresh random key, its owner's first.
    pub fn new_key(&self, id: KeyId, owner: KeyOwner, now: Timestamp, random: &dyn Random) -> WrappedKey {
        self.new_version((id, 1), owner, now, random)
    }

    /// Wraps a fresh random key of an owner who has others.
    pub(crate) fn new_version(
        &self,
        (id, version): (KeyId, u16),
        owner: KeyOwner,
        now: Timestamp,
        random: &dyn Random,
    ) -> WrappedKey {
        self.wrap((id, version, owner), random::bytes::<32>(random).as_slice(), now, random)
    }

    pub(super) fn wrap(
        &self,
        (id, version, owner): (KeyId, u16, KeyOwner),
        secret: &[u8],
        created_at: Timestamp,
        random: &dyn Random,
    ) -> WrappedKey {
        let context = WrappedKey::context(self.instance, id, owner, version);
        let sealed = self.key.seal(&context, Zeroizing::new(secret.to_vec()), random);
        WrappedKey { id, owner, version, sealed, created_at }
    }

    pub(super) fn unwrap(&self, key: &WrappedKey) -> Result<Zeroizing<[u8; 32]>, IntegrityViolation> {
        let context = WrappedKey::context(self.instance, key.id, key.owner, key.version);
        let opened = self.key.open(&context, &key.sealed)?;
        opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| IntegrityViolation)
    }

    /// A key that this one sealed, sealed by the one that takes its place.
    ///
    /// # Errors
    /// When this one didn't seal it.
    pub(crate) fn hand_over(
        &self,
        next: &Self,
        key: &WrappedKey,
        random: &dyn Random,
    ) -> Result<Sealed, IntegrityViolation> {
        let secret = self.unwrap(key)?;
        Ok(next.wrap((key.id, key.version, key.owner), &*secret, key.created_at, random).sealed)
    }

    /// The one that takes this one's place, from its bytes, and the way to it for who has this one.
    ///
    /// # Errors
    /// When there aren't 32 bytes.
    pub(crate) fn followed_by(
        &self,
        id: KeyId,
        bytes: &[u8],
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(Self, WrappedKey), IntegrityViolation> {
        // There may be a way from the one before still: each has a version of its own.
        let version = u16::from_be_bytes(random::bytes::<2>(random));
        let way = self.wrap((id, version, KeyOwner::Master), bytes, now, random);
        Ok((Self::take(self.instance, id, bytes)?, way))
    }
}

/// Which master key sealed these.
pub(super) fn sealed_by(wrapped: &[WrappedKey]) -> Result<KeyId, IntegrityViolation> {
    let key = wrapped.iter().find(|key| key.owner.purpose().is_some()).ok_or(IntegrityViolation)?;
    key.sealed.key_id()
}
