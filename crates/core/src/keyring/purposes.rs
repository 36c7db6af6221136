//! The instance's own keys, each for one purpose, and which of their versions are in use.

use std::collections::HashMap;
use std::sync::Arc;
use zeroize::Zeroizing;

use super::{Purpose, WrappedKey};
use crate::audit::note::{self, Signer};
use crate::authority::Authority;
use crate::clock::Timestamp;
use crate::ids::InstanceId;
use crate::memory::KeyBytes;
use crate::sealing::{IntegrityViolation, SealingKey};

/// How long every server knows a new key for a purpose before any makes something with it,
/// in milliseconds: longer than it takes them to look, and than their clocks differ.
const UNUSED_FOR: i64 = 60_000;

/// The versions of one purpose's key.
pub(super) struct Versions {
    keys: HashMap<u16, (KeyBytes, Timestamp)>,
    /// Makes what is new.
    in_use: u16,
}

impl Versions {
    pub(super) fn get(&self, version: u16) -> Option<&KeyBytes> {
        self.keys.get(&version).map(|(key, _)| key)
    }

    pub(super) fn in_use(&self) -> Option<(u16, &KeyBytes)> {
        Some((self.in_use, self.get(self.in_use)?))
    }

    /// Those that may have made something that isn't over, when it lasts so many milliseconds;
    /// the newest first. One that was replaced goes on counting for as long, from when all
    /// servers know the new one.
    pub(super) fn lasting(&self, lasts: i64, now: Timestamp) -> Vec<u16> {
        let mut keys: Vec<_> =
            self.keys.iter().map(|(version, (_, created_at))| (*version, *created_at)).collect();
        keys.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        let age = |created_at: Timestamp| now.as_millis().saturating_sub(created_at.as_millis());
        let still = keys.iter().take_while(|(_, created_at)| age(*created_at) < lasts + 2 * UNUSED_FOR);
        let enough = still.count() + 1;
        keys.into_iter().map(|(version, _)| version).take(enough).collect()
    }
}

/// Which of a purpose's keys makes what is new: the newest that every server knows, and the
/// first as long as there is no other.
fn in_use<'a>(
    wrapped: impl Iterator<Item = &'a WrappedKey> + Clone,
    now: Timestamp,
) -> Option<&'a WrappedKey> {
    // One from far ahead is in use at once: whoever set its time wrong must not keep an older one in use.
    let is_young = |key: &&WrappedKey| {
        let age = now.as_millis().saturating_sub(key.created_at.as_millis());
        (-UNUSED_FOR..UNUSED_FOR).contains(&age)
    };
    let known = wrapped.clone().filter(|key| !is_young(key)).max_by_key(|key| key.version);
    known.or_else(|| wrapped.min_by_key(|key| key.version))
}

/// The keys of each purpose by their versions, and whether each is in use.
pub(crate) fn by_purpose(
    wrapped: &[WrappedKey],
    now: Timestamp,
) -> impl Iterator<Item = (Purpose, &WrappedKey, bool)> {
    Purpose::ALL.into_iter().flat_map(move |purpose| {
        let keys = wrapped.iter().filter(move |key| key.owner.purpose() == Some(purpose));
        let used = in_use(keys.clone(), now).map(|key| key.version);
        let mut keys: Vec<_> = keys.map(|key| (purpose, key, used == Some(key.version))).collect();
        keys.sort_by_key(|(_, key, _)| key.version);
        keys
    })
}

/// What a look at the keys is compared with.
pub(super) type Seen = Vec<(Purpose, u16, bool)>;

pub(super) fn seen(wrapped: &[WrappedKey], now: Timestamp) -> Seen {
    by_purpose(wrapped, now).map(|(purpose, key, in_use)| (purpose, key.version, in_use)).collect()
}

/// The keys of the instance itself, unwrapped.
pub(super) struct Purposes {
    pub(super) seen: Seen,
    pub(super) pepper: Versions,
    pub(super) row_mac: Versions,
    pub(super) idempotency: Versions,
    pub(super) cookies: Versions,
    /// Sign the audit tree's heads, the newest first.
    pub(super) audit: Arc<[Signer]>,
    /// Seal what people sign in with; the first makes what is new. None until the instance has one.
    pub(super) sign_in: Vec<Arc<SealingKey>>,
    /// Signs certificates. None until the instance has one.
    pub(super) authority: Option<Arc<Authority>>,
}

impl Purposes {
    pub(super) fn unwrap(
        instance: InstanceId,
        wrapped: &[WrappedKey],
        now: Timestamp,
        open: impl Fn(&WrappedKey) -> Result<Zeroizing<[u8; 32]>, IntegrityViolation>,
    ) -> Result<Self, IntegrityViolation> {
        let of = |purpose| wrapped.iter().filter(move |key| key.owner.purpose() == Some(purpose));
        let take = |purpose| {
            let in_use = in_use(of(purpose), now).ok_or(IntegrityViolation)?.version;
            let keys = of(purpose)
                .map(|key| Ok((key.version, (KeyBytes::take(&mut *open(key)?), key.created_at))))
                .collect::<Result<_, _>>()?;
            Ok(Versions { keys, in_use })
        };
        let used = in_use(of(Purpose::SignIn), now).map(|key| key.id);
        let mut sign_in = of(Purpose::SignIn)
            .map(|key| Ok(Arc::new(SealingKey::take(key.id, &mut *open(key)?))))
            .collect::<Result<Vec<_>, _>>()?;
        sign_in.sort_by_key(|key| Some(key.id()) != used);
        let authority = in_use(of(Purpose::Authority), now)
            .map(|key| {
                let seed = KeyBytes::take(&mut *open(key)?);
                Authority::new(instance, (key.version, key.created_at), &seed)
            })
            .transpose()?;
        Ok(Self {
            seen: seen(wrapped, now),
            pepper: take(Purpose::ApiKeyPepper)?,
            row_mac: take(Purpose::RowMac)?,
            idempotency: take(Purpose::Idempotency)?,
            cookies: take(Purpose::Cookies)?,
            audit: signers(instance, &take(Purpose::AuditSigning)?)?.into(),
            sign_in,
            authority,
        })
    }

    pub(super) fn locked(&self) -> bool {
        let versions = [&self.pepper, &self.row_mac, &self.idempotency, &self.cookies];
        let mut keys = versions.into_iter().flat_map(|of| of.keys.values());
        keys.all(|(key, _)| key.locked()) && self.sign_in.iter().all(|key| key.locked())
    }
}

fn signers(instance: InstanceId, versions: &Versions) -> Result<Vec<Signer>, IntegrityViolation> {
    let name = note::origin(instance);
    let mut versions: Vec<_> = versions.keys.iter().collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(**version));
    versions.into_iter().map(|(_, (seed, _))| Signer::new(&name, seed)).collect()
}
