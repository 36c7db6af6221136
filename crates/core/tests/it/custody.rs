//! The instance's own keys give way to new ones beside servers that go on: what was made
//! with those of before stays good, and what was taken away opens nothing.

mod answers;
mod master;
mod purposes;
mod root;

use std::sync::Arc;
use strongroom_core::app::{
    Custody, CustodyError, InstanceKeys, OpenError, PurposeState, Recovery, RecoveryError, World,
};
use strongroom_core::events::EventKind;
use strongroom_core::keyring::{Keyring, MasterKey, Purpose};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::runs::Run;
use strongroom_core::sealing::IntegrityViolation;
use strongroom_core::tokens::Token;
use strongroom_core::{App, OsRandom, RootKey, Store as _};

use crate::instance::Instance;
use crate::memory_store::Tables;
use crate::support::at_once;

const MINUTE: i64 = 60_000;

/// The root key that the instance was founded under.
fn own() -> LocalRootKey {
    root("file", 7)
}

fn root(provider: &'static str, byte: u8) -> LocalRootKey {
    LocalRootKey::take(provider, &mut [byte; 32])
}

fn boxed<const N: usize>(roots: [LocalRootKey; N]) -> Vec<Box<dyn RootKey>> {
    roots.into_iter().map(|root| Box::new(root) as _).collect()
}

/// A recovery key that hides nothing.
struct Open;

impl Recovery for Open {
    fn recipient(&self) -> String {
        "nobody".to_owned()
    }

    fn encrypt(&self, master: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        Ok(master.to_vec())
    }
}

/// Another one.
struct Another;

impl Recovery for Another {
    fn recipient(&self) -> String {
        "somebody".to_owned()
    }

    fn encrypt(&self, master: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        Ok(master.to_vec())
    }
}

impl Instance {
    fn world(&self) -> World {
        World { clock: Arc::clone(&self.clock) as _, random: Arc::new(OsRandom) }
    }

    fn opened(&self, root: &LocalRootKey) -> Result<App, OpenError> {
        at_once(App::open(self.store.clone(), root, self.world()))
    }

    /// One more server.
    fn server(&self) -> App {
        self.opened(&own()).unwrap()
    }

    fn custody(&self) -> Custody {
        at_once(Custody::open(self.store.clone(), &own(), self.world())).unwrap()
    }

    fn instance_keys(&self) -> InstanceKeys {
        at_once(self.server().instance_keys()).unwrap()
    }

    /// Has a secret, an agent whose run receives it, and somebody who signs in: that run.
    fn in_use(&self) -> (Run, Token) {
        let secret = self.secret(&self.owner, true, &[("TOKEN", "a value")]);
        let place = self.agent();
        self.attach(&self.owner, place, secret).unwrap();
        self.set_up("ada@example.com", "correct horse battery");
        let (run, token) = self.started(&self.owner_now(), place);
        (run.into_row(), token)
    }

    /// Whether everything opens for who opens the instance now.
    fn is_whole(&self, root: &LocalRootKey) -> bool {
        let verified = at_once(self.opened(root).unwrap().verify(|| ())).unwrap();
        assert!(verified.rows > 10 && verified.values > 0, "the control");
        verified.findings.is_empty()
    }

    fn follow(&self) {
        at_once(self.app.follow_keys()).unwrap();
    }

    fn rotated_purpose(&self, purpose: Purpose) -> PurposeState {
        at_once(self.custody().rotate_purpose(purpose)).unwrap()
    }

    /// A new key for a purpose, which this server makes what is new with.
    fn replaced(&self, purpose: Purpose) {
        self.rotated_purpose(purpose);
        self.clock.pass(MINUTE);
        self.follow();
    }

    /// The bytes of the master key, by a root key that is the instance's own.
    fn master_by(&self, root: &LocalRootKey) -> Vec<u8> {
        let instance = at_once(self.store.instance()).unwrap().unwrap();
        let unwrapped = at_once(root.unwrap(instance.row().id, &instance.row().master));
        unwrapped.unwrap().to_vec()
    }

    /// What whoever has these bytes for the master key opens.
    fn keyring_by(&self, master: &[u8]) -> Result<Keyring, IntegrityViolation> {
        let wrapped = at_once(self.store.purpose_keys()).unwrap();
        Keyring::new(MasterKey::of(self.keyring.instance(), master, &wrapped)?, &wrapped, self.now())
    }

    /// How often each of this came about.
    fn told(&self, kinds: &[EventKind]) -> Vec<usize> {
        kinds.iter().map(|kind| self.events(*kind).len()).collect()
    }

    fn tables(&self) -> Tables {
        self.store.tables().clone()
    }
}

fn conflict<T>(refused: &Result<T, CustodyError>) -> bool {
    matches!(refused, Err(CustodyError::Conflict(_)))
}

fn macs<T: Row>(rows: &[Stored<T>]) -> Vec<RowMac> {
    rows.iter().map(Stored::mac).collect()
}

/// What lies there beside the instance's row, copies, keys and events: all that nothing here changes.
fn rest(tables: &Tables) -> (Vec<RowMac>, Vec<Vec<u8>>) {
    let rows = [
        macs(&tables.teams),
        macs(&tables.users),
        macs(&tables.memberships),
        macs(&tables.api_keys),
        macs(&tables.key_links),
        macs(&tables.sign_ins),
        macs(&tables.sessions),
        macs(&tables.secrets),
        macs(&tables.agents),
        macs(&tables.revisions),
        macs(&tables.attachments),
        macs(&tables.runs),
        macs(&tables.answers),
    ];
    (rows.concat(), tables.versions.iter().map(|version| version.sealed.as_bytes().to_vec()).collect())
}

/// The keys, as they are stored.
fn keys(tables: &Tables) -> Vec<Vec<u8>> {
    tables.keys.iter().map(|key| key.sealed.as_bytes().to_vec()).collect()
}

fn own_row(tables: &Tables) -> RowMac {
    tables.instance.as_ref().unwrap().mac()
}

/// That nothing came of it.
fn assert_unchanged(now: &Tables, before: &Tables) {
    assert_eq!(rest(now), rest(before));
    assert_eq!(keys(now), keys(before));
    assert_eq!(own_row(now), own_row(before));
    assert_eq!(macs(&now.copies), macs(&before.copies));
    assert_eq!(now.events.len(), before.events.len());
}
