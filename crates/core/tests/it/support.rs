//! What the tests share: bytes from a seed, chance and time that do as they are
//! told, places for records, and keyrings whose keys are known.

use std::pin::pin;
use std::sync::Mutex;
use std::task::{Poll, Waker};
use strongroom_core::keyring::{KeyOwner, Keyring, MasterKey, Purpose, WrappedKey};
use strongroom_core::sealing::{Context, Sealed, SealingKey};
use strongroom_core::{Clock, InstanceId, KeyId, OsRandom, Random, Timestamp};
use uuid::Uuid;

use crate::independent::{self, Id, Key32};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_123);

/// Bytes that depend on the label only.
pub(crate) fn seeded(label: &str, length: usize) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let block = |at: u32| Sha256::new().chain_update(at.to_be_bytes()).chain_update(label).finalize();
    (0..).flat_map(block).take(length).collect()
}

pub(crate) fn seeded_key(label: &str) -> Key32 {
    seeded(label, 32).try_into().unwrap()
}

pub(crate) fn seeded_id(label: &str) -> Id {
    seeded(label, 16).try_into().unwrap()
}

pub(crate) fn seeded_uuid(label: &str) -> Uuid {
    Uuid::from_bytes(seeded_id(label))
}

/// The result of a future that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}

/// Time that stands still.
pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Chance that was written down before, once.
pub(crate) struct Scripted(Mutex<Vec<u8>>);

impl Scripted {
    pub(crate) fn new(script: &[u8]) -> Self {
        Self(Mutex::new(script.to_vec()))
    }

    pub(crate) fn used_up(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Random for Scripted {
    fn fill(&self, bytes: &mut [u8]) {
        let mut script = self.0.lock().unwrap();
        assert!(script.len() >= bytes.len(), "more chance is asked for than was written down");
        let rest = script.split_off(bytes.len());
        bytes.copy_from_slice(&script);
        *script = rest;
    }
}

/// Chance that follows from a seed; a clone goes on as the original does.
pub(crate) struct Seeded(Mutex<(String, u64)>);

impl Seeded {
    pub(crate) fn new(seed: &str) -> Self {
        Self(Mutex::new((seed.to_owned(), 0)))
    }
}

impl Clone for Seeded {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.0.lock().unwrap().clone()))
    }
}

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        let (seed, step) = &mut *state;
        bytes.copy_from_slice(&seeded(&format!("{seed}/{step}"), bytes.len()));
        *step += 1;
    }
}

/// Chance that gives the same bytes each time.
pub(crate) struct Stuck(pub(crate) u8);

impl Random for Stuck {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// Where a record belongs, in a form that both implementations can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) label: String,
    pub(crate) fields: Vec<Vec<u8>>,
}

impl Place {
    pub(crate) fn new(label: &str, fields: &[&[u8]]) -> Self {
        Self { label: label.to_owned(), fields: fields.iter().map(|field| field.to_vec()).collect() }
    }

    pub(crate) fn master(instance: &Id) -> Self {
        Self::new("strongroom.master.v1", &[instance])
    }

    pub(crate) fn key(instance: &Id, owner: KeyOwner, key_id: &Id, version: u16) -> Self {
        let team = owner.team().map(|team| *team.as_bytes());
        let team = team.as_ref().map_or(&[][..], |team| team);
        let owner = owner.name().as_bytes();
        Self::new("strongroom.key.v1", &[instance, owner, team, key_id, &version.to_be_bytes()])
    }

    pub(crate) fn version(instance: &Id, team: &Id, secret: &Id, number: u32) -> Self {
        Self::new("strongroom.version.v1", &[instance, team, secret, &number.to_be_bytes()])
    }

    /// As the crate under test is told.
    pub(crate) fn context(&self) -> Context {
        self.fields.iter().fold(Context::new(&self.label), |context, field| context.field(field))
    }

    /// As the independent reader is told.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let fields: Vec<_> = self.fields.iter().map(Vec::as_slice).collect();
        independent::context(&self.label, &fields)
    }
}

pub(crate) fn sealing_key(id: &Id, key: &Key32) -> SealingKey {
    SealingKey::take(KeyId::from_uuid(Uuid::from_bytes(*id)), &mut key.clone())
}

/// What the crate under test makes of stored bytes; `None` when it refuses
/// them.
pub(crate) fn opened(key: &SealingKey, place: &Place, blob: &[u8]) -> Option<Vec<u8>> {
    key.open(&place.context(), &Sealed::from_bytes(blob.to_vec())).ok().map(|plain| plain.to_vec())
}

/// A master key whose bytes are known, and with it every key that it is to
/// seal.
pub(crate) struct KnownMaster {
    pub(crate) instance: Id,
    pub(crate) key: Key32,
}

impl KnownMaster {
    pub(crate) fn new(label: &str) -> Self {
        Self {
            instance: seeded_id(&format!("{label}/instance")),
            key: seeded_key(&format!("{label}/master")),
        }
    }

    /// Seals a key as the independent writer does.
    pub(crate) fn wrap(&self, owner: KeyOwner, version: u16, secret: &Key32) -> WrappedKey {
        let name = format!("{owner:?}/{version}");
        let id = seeded_id(&name);
        let place = Place::key(&self.instance, owner, &id, version);
        let blob = independent::seal(&self.key, &[0; 16], &place.bytes(), &seeded_key(&name), secret);
        WrappedKey {
            id: KeyId::from_uuid(Uuid::from_bytes(id)),
            owner,
            version,
            sealed: Sealed::from_bytes(blob),
            created_at: NOW,
        }
    }

    /// One key for each purpose: these where they are named, others of no
    /// interest.
    pub(crate) fn purposes(&self, named: &[(Purpose, u16, Key32)]) -> Vec<WrappedKey> {
        let is_named = |purpose: &Purpose| named.iter().any(|(name, ..)| name == purpose);
        let others = Purpose::ALL.into_iter().filter(|purpose| !is_named(purpose));
        let others = others.map(|purpose| (purpose, 1, seeded_key(purpose.name())));
        let all = named.iter().copied().chain(others);
        all.map(|(purpose, version, key)| self.wrap(KeyOwner::Purpose(purpose), version, &key)).collect()
    }

    pub(crate) fn keyring(&self, named: &[(Purpose, u16, Key32)]) -> Keyring {
        // So late that the newest of a purpose's keys is in use.
        let now = Timestamp::from_millis(NOW.as_millis() + 60_000);
        Keyring::new(self.master(), &self.purposes(named), now).unwrap()
    }

    pub(crate) fn master(&self) -> MasterKey {
        MasterKey::first(self.instance_id(), &self.key).unwrap()
    }

    pub(crate) fn instance_id(&self) -> InstanceId {
        InstanceId::from_uuid(Uuid::from_bytes(self.instance))
    }
}

/// What the crate under test makes of a plaintext, by the system's chance.
pub(crate) fn sealed_by_us(key: &SealingKey, place: &Place, plaintext: &[u8]) -> Vec<u8> {
    sealed_with(key, place, plaintext, &OsRandom)
}

pub(crate) fn sealed_with(key: &SealingKey, place: &Place, plaintext: &[u8], random: &dyn Random) -> Vec<u8> {
    key.seal(&place.context(), plaintext.to_vec().into(), random).as_bytes().to_vec()
}
