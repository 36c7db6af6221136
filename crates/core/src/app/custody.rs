//! What whoever holds the root key can do with the keys below it, beside servers that go on:
//! give each of them a new one, and let further root keys open the instance. Each is one
//! transaction: it was done, or it was not, whenever it is interrupted.

use std::sync::Arc;
use zeroize::Zeroizing;

use super::create::{Recovery, RecoveryError};
use super::{App, OpenError, World};
use crate::clock::Timestamp;
use crate::events::{Actor, Event, EventKind, Object, Place, Recorded};
use crate::ids::KeyId;
use crate::instance::{Instance, RootCopy};
use crate::keyring::{KeyOwner, MasterKey, Purpose, WrappedKey, by_purpose};
use crate::random;
use crate::root_key::{RootKey, RootKeyError};
use crate::rows::{Proven, Row as _, RowMac};
use crate::sealing::{IntegrityViolation, Sealed};
use crate::store::{KeyTurn, Put, Store, StoreError};

/// How often it is begun again because the keys changed meanwhile.
const TRIES: usize = 5;

/// An open instance, and its master key.
pub struct Custody {
    app: App,
    master: Zeroizing<Vec<u8>>,
}

/// Why a key was not replaced. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// A root key could not wrap.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The recovery key could not encrypt.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored row or key isn't what was stored.
    #[error(transparent)]
    Integrity(#[from] IntegrityViolation),
    /// What there is is in the way.
    #[error("{0}")]
    Conflict(&'static str),
}

/// A root key that opens the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootState {
    /// The kind of its keeper: `file`, `passphrase`, ….
    pub provider: String,
    /// Which it is.
    pub id: KeyId,
}

impl RootState {
    pub(super) fn of(instance: &Instance) -> Self {
        Self { provider: instance.root_provider.clone(), id: instance.root_key_id }
    }

    pub(super) fn added(copy: &RootCopy) -> Self {
        Self { provider: copy.provider.clone(), id: copy.key_id }
    }
}

/// A key for a purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurposeState {
    /// What for.
    pub purpose: Purpose,
    /// The key.
    pub id: KeyId,
    /// Counts from 1.
    pub version: u16,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether what is new is made with it.
    pub in_use: bool,
}

/// The keys of an instance, but for those of its teams.
#[derive(Clone, Debug)]
pub struct InstanceKeys {
    /// Those that open it, the instance's own first.
    pub roots: Vec<RootState>,
    /// Which master key wraps the others.
    pub master: KeyId,
    /// The recipient whose identity opens backups.
    pub recipient: String,
    /// By purpose and version.
    pub purposes: Vec<PurposeState>,
    /// What became of them, the newest first; the newest 20.
    pub history: Vec<Recorded>,
}

/// How much of what became of them is told.
const HISTORY: u32 = 20;

impl App {
    /// The instance's own row.
    async fn instance(&self) -> Result<Proven<Instance>, CustodyError> {
        self.store.look_again();
        let stored = self.store.instance().await?.ok_or(IntegrityViolation)?;
        Ok(self.keys.verify(stored)?)
    }

    /// The root keys that were added.
    async fn copies(&self) -> Result<Vec<Proven<RootCopy>>, CustodyError> {
        let stored = self.store.root_copies().await?;
        Ok(stored.into_iter().map(|copy| self.keys.verify(copy)).collect::<Result<_, _>>()?)
    }

    /// The keys of the instance itself, for who has it.
    ///
    /// # Errors
    /// When one isn't what was stored.
    pub async fn instance_keys(&self) -> Result<InstanceKeys, CustodyError> {
        let instance = self.instance().await?;
        let copies = self.copies().await?;
        let added = copies.iter().map(|copy| RootState::added(copy));
        let wrapped = self.store.purpose_keys().await?;
        Ok(InstanceKeys {
            roots: std::iter::once(RootState::of(&instance)).chain(added).collect(),
            master: self.keys.master_id(),
            recipient: instance.recovery_recipient.clone(),
            purposes: states(&wrapped, self.world.clock.now()),
            history: self.history().await?,
        })
    }

    async fn history(&self) -> Result<Vec<Recorded>, StoreError> {
        let mut events = self.store.events_of_keys(HISTORY).await?;
        // Of the copies under further root keys it is told beside the instance's own.
        let is_beside = |event: &Recorded| {
            event.table == RootCopy::TABLE && event.known_kind() == Some(EventKind::MasterKeyRotated)
        };
        events.retain(|event| !is_beside(event));
        Ok(events)
    }
}

impl Custody {
    /// Opens the instance with its root key, or with one that was added.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open(store: Arc<dyn Store>, root: &dyn RootKey, world: World) -> Result<Self, OpenError> {
        let (app, master) = super::opened(store, root, world).await?;
        Ok(Self { app, master })
    }

    /// The instance.
    pub fn app(&self) -> &App {
        &self.app
    }

    fn now(&self) -> Timestamp {
        self.app.world.clock.now()
    }

    /// Puts the instance under another root key; the one before opens it no more.
    ///
    /// # Errors
    /// When a root key of the same kind was added, or the store refuses.
    pub async fn rotate_root(&self, root: &dyn RootKey, parameters: String) -> Result<(), CustodyError> {
        let before = self.app.instance().await?;
        if self.app.copies().await?.iter().any(|copy| copy.provider == root.provider()) {
            return Err(CustodyError::Conflict(
                "a root key of that kind was added already; remove it first, or choose another kind",
            ));
        }
        let (mac, random) = (before.mac(), &*self.app.world.random);
        let now = before.into_row().rewrapped(self.master.clone(), root, parameters, random).await?;
        Ok(self.app.store.turn_keys(self.over(mac, now, EventKind::RootKeyRotated)).await?)
    }

    /// Lets one more root key open the instance, or another in the place of an added one of
    /// the same kind.
    ///
    /// # Errors
    /// When the instance's own is of that kind, or the store refuses.
    pub async fn add_root(&self, root: &dyn RootKey, parameters: String) -> Result<(), CustodyError> {
        let instance = self.app.instance().await?;
        if instance.root_provider == root.provider() {
            return Err(CustodyError::Conflict(
                "the instance's own root key is of that kind, and there is one of each; choose another kind",
            ));
        }
        let was = self.app.copies().await?.into_iter().find(|copy| copy.provider == root.provider());
        let copy = RootCopy {
            provider: root.provider().to_owned(),
            parameters,
            key_id: root.id(),
            master: root.wrap(instance.id, self.master.clone(), &*self.app.world.random).await?,
            created_at: self.now(),
        };
        let mut turn = self.nothing_yet();
        turn.events
            .extend(was.iter().map(|was| self.told_of_copy(EventKind::RootKeyRemoved, was, was.mac())));
        let now = self.app.keys.authenticate(copy);
        turn.events.push(self.told_of_copy(EventKind::RootKeyAdded, now.row(), now.mac()));
        let copies = vec![Put { was: was.map(|was| was.mac()), now }];
        Ok(self.app.store.turn_keys(KeyTurn { copies, ..turn }).await?)
    }

    /// Takes away what an added root key opens the instance by.
    ///
    /// # Errors
    /// When none of that kind was added, or the store refuses.
    pub async fn remove_root(&self, provider: &str) -> Result<(), CustodyError> {
        let copies = self.app.copies().await?;
        let copy = copies.into_iter().find(|copy| copy.provider == provider);
        let copy = copy.ok_or(CustodyError::Conflict("no root key of that kind was added"))?;
        let removed = Some((copy.provider.clone(), copy.mac()));
        let events = vec![self.told_of_copy(EventKind::RootKeyRemoved, &copy, copy.mac())];
        Ok(self.app.store.turn_keys(KeyTurn { removed, events, ..self.nothing_yet() }).await?)
    }

    /// Encrypts the master key to another recovery recipient. Backups of before are still
    /// opened by the identity of the one before.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn replace_recovery(&self, recovery: &dyn Recovery) -> Result<(), CustodyError> {
        let before = self.app.instance().await?;
        let (mac, mut now) = (before.mac(), before.into_row());
        now.recovery_recipient = recovery.recipient();
        now.recovery = recovery.encrypt(&self.master)?;
        Ok(self.app.store.turn_keys(self.over(mac, now, EventKind::RecoveryKeyReplaced)).await?)
    }

    /// Gives the instance one more key for a purpose. Servers make what is new with it when
    /// all of them must have seen it: a minute later. What the one before made stays good.
    ///
    /// # Errors
    /// When the one before isn't in use yet, or the store refuses.
    pub async fn rotate_purpose(&self, purpose: Purpose) -> Result<PurposeState, CustodyError> {
        let now = self.now();
        let states = states(&self.app.store.purpose_keys().await?, now);
        let newest = states.iter().rfind(|key| key.purpose == purpose).ok_or(IntegrityViolation)?;
        if !newest.in_use {
            return Err(CustodyError::Conflict(
                "its newest key is not in use yet: that takes a minute; try again then",
            ));
        }
        let version = newest.version.checked_add(1).ok_or(IntegrityViolation)?;
        let id = KeyId::from_uuid(self.app.uuid());
        let random = &*self.app.world.random;
        let key = self.app.keys.new_purpose_key((id, version), purpose, now, random);
        let object = Object { table: "keys", id: Some(id.uuid()), version: Some(version.into()), mac: None };
        let events = vec![self.told(EventKind::PurposeKeyRotated, object)];
        self.app.store.turn_keys(KeyTurn { added: vec![key], events, ..self.nothing_yet() }).await?;
        Ok(PurposeState { purpose, id, version, created_at: now, in_use: false })
    }

    /// Gives the instance a new master key: everything that the old one wrapped is wrapped
    /// anew, and the old one opens nothing any more. `roots` are all those that open the
    /// instance, its own first; with `way` servers that have the old one come to the new one
    /// by what [`App::close_ways`] takes away. `progress` is told of each key.
    ///
    /// # Errors
    /// When a root key is missing, a key doesn't open, or the store refuses.
    pub async fn rotate_master(
        &mut self,
        roots: &[Box<dyn RootKey>],
        recovery: &dyn Recovery,
        way: bool,
        progress: impl Fn(u64),
    ) -> Result<KeyId, CustodyError> {
        let bytes = Zeroizing::new(random::bytes::<32>(&*self.app.world.random).to_vec());
        let mut tries = 0;
        loop {
            match self.try_master(&bytes, roots, recovery, (way, &progress)).await {
                Err(CustodyError::Store(StoreError::Changed)) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok(id) => {
                    self.app.keys.take_master(id, &bytes)?;
                    self.master = bytes;
                    return Ok(id);
                }
            }
        }
    }

    async fn try_master(
        &self,
        bytes: &Zeroizing<Vec<u8>>,
        roots: &[Box<dyn RootKey>],
        recovery: &dyn Recovery,
        (way, progress): (bool, &impl Fn(u64)),
    ) -> Result<KeyId, CustodyError> {
        let (before, world) = (self.app.instance().await?, &self.app.world);
        if before.recovery_recipient != recovery.recipient() {
            return Err(CustodyError::Conflict("the recovery key was replaced meanwhile"));
        }
        let wrapped = self.app.store.keys().await?;
        let old = MasterKey::of(before.id, &self.master, &wrapped)?;
        let id = KeyId::from_uuid(self.app.uuid());
        let (next, link) = old.followed_by(id, bytes, self.now(), &*world.random)?;
        let mut rewrapped = Vec::with_capacity(wrapped.len());
        for key in wrapped.into_iter().filter(|key| key.owner != KeyOwner::Master) {
            let sealed: Sealed = old.hand_over(&next, &key, &*world.random)?;
            rewrapped.push((key, sealed));
            progress(1);
        }
        let copies = self.copies_of(bytes, &before, roots).await?;
        let mac = before.mac();
        let root = found(roots, &before.root_provider, before.root_key_id)?;
        let parameters = before.root_parameters.clone();
        let mut now = before.into_row().rewrapped(bytes.clone(), root, parameters, &*world.random).await?;
        now.recovery = recovery.encrypt(bytes)?;
        let mut turn = self.over(mac, now, EventKind::MasterKeyRotated);
        let told = |copy: &Put<RootCopy>| {
            self.told_of_copy(EventKind::MasterKeyRotated, copy.now.row(), copy.now.mac())
        };
        turn.events.extend(copies.iter().map(told));
        let added = if way { vec![link] } else { Vec::new() };
        self.app.store.turn_keys(KeyTurn { copies, rewrapped, added, ..turn }).await?;
        self.app.store.look_again();
        Ok(id)
    }

    /// The added root keys' copies of another master key.
    async fn copies_of(
        &self,
        bytes: &Zeroizing<Vec<u8>>,
        instance: &Instance,
        roots: &[Box<dyn RootKey>],
    ) -> Result<Vec<Put<RootCopy>>, CustodyError> {
        let mut copies = Vec::new();
        for copy in self.app.copies().await? {
            let root = found(roots, &copy.provider, copy.key_id)?;
            let was = copy.mac();
            let master = root.wrap(instance.id, bytes.clone(), &*self.app.world.random).await?;
            let now = RootCopy { master, ..copy.into_row() };
            copies.push(Put::over(was, self.app.keys.authenticate(now)));
        }
        Ok(copies)
    }

    /// A turn that goes out from the master key at hand, of which nothing is said yet.
    fn nothing_yet(&self) -> KeyTurn {
        KeyTurn {
            master: self.app.keys.master_id(),
            instance: None,
            copies: Vec::new(),
            removed: None,
            rewrapped: Vec::new(),
            added: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The turn that puts the instance's row over the one with this MAC.
    fn over(&self, was: RowMac, now: Instance, kind: EventKind) -> KeyTurn {
        let id = now.id.uuid();
        let now = self.app.keys.authenticate(now);
        let object = Object { mac: Some(now.mac()), ..Object::of::<Instance>(Some(id)) };
        let events = vec![self.told(kind, object)];
        KeyTurn { instance: Some(Put::over(was, now)), events, ..self.nothing_yet() }
    }

    /// What is told of an added root key, by the key's id.
    fn told_of_copy(&self, kind: EventKind, copy: &RootCopy, mac: RowMac) -> Event {
        self.told(kind, Object { mac: Some(mac), ..Object::of::<RootCopy>(Some(copy.key_id.uuid())) })
    }

    fn told(&self, kind: EventKind, object: Object) -> Event {
        Event {
            at: self.now(),
            kind,
            team_id: None,
            actor: Actor::default(),
            place: Place::default(),
            object,
            request_id: None,
            refusal: None,
            requested: None,
        }
    }
}

fn found<'a>(
    roots: &'a [Box<dyn RootKey>],
    provider: &str,
    id: KeyId,
) -> Result<&'a dyn RootKey, CustodyError> {
    let root = roots.iter().find(|root| root.provider() == provider && root.id() == id);
    root.map(|root| &**root).ok_or(CustodyError::Conflict(
        "each root key that opens the instance is needed to put the new master key under it",
    ))
}

fn states(wrapped: &[WrappedKey], now: Timestamp) -> Vec<PurposeState> {
    let state = |(purpose, key, in_use): (Purpose, &WrappedKey, bool)| PurposeState {
        purpose,
        id: key.id,
        version: key.version,
        created_at: key.created_at,
        in_use,
    };
    by_purpose(wrapped, now).map(state).collect()
}
