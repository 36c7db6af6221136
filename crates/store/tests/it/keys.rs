//! The instance's own keys, replaced all or nothing: nobody's key is lost that comes
//! meanwhile, and none comes that the master key of before sealed.

use std::collections::BTreeSet;
use std::sync::Arc;
use strongroom_core::events::{Event, EventKind, Object};
use strongroom_core::instance::{Instance as Own, RootCopy};
use strongroom_core::keyring::{KeyOwner, Purpose, WrappedKey};
use strongroom_core::rows::{RowMac, Stored};
use strongroom_core::sealing::Sealed;
use strongroom_core::store::{AnyRow, Change, KeyTurn, Put};
use strongroom_core::{KeyId, StoreError, TeamId};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Instance, NOTHING, NOW, at, system_event};

/// Where a blob names the key that sealed it.
const KEY_ID: std::ops::Range<usize> = 2..18;

/// Something that this master key sealed, or so it says.
fn sealed_by(master: KeyId, length: usize) -> Sealed {
    let mut bytes = vec![1; 18 + length];
    bytes[KEY_ID].copy_from_slice(master.as_bytes());
    Sealed::from_bytes(bytes)
}

fn master_of(key: &WrappedKey) -> KeyId {
    KeyId::from_slice(&key.sealed.as_bytes()[KEY_ID]).unwrap()
}

/// The master key that an instance begins with.
fn first() -> KeyId {
    KeyId::from_uuid(Uuid::nil())
}

fn next() -> KeyId {
    KeyId::from_uuid(Uuid::max())
}

/// What lies there of all that a turn may change.
type Lying = (BTreeSet<(Uuid, Vec<u8>)>, RowMac, Vec<RowMac>, i64);

/// Makes a mistake in a turn, with a MAC that no row has.
type Mistake = fn(&Instance, &mut KeyTurn, RowMac);

impl Instance {
    async fn lying(&self) -> Lying {
        let keys = self.database.keys().await.unwrap();
        let keys = keys.into_iter().map(|key| (key.id.uuid(), key.sealed.as_bytes().to_vec())).collect();
        let copies = self.database.root_copies().await.unwrap();
        let events = self.count("SELECT count(*) FROM events");
        (keys, self.own_row().await.mac(), copies.iter().map(Stored::mac).collect(), events)
    }

    async fn own_row(&self) -> Stored<Own> {
        self.database.instance().await.unwrap().unwrap()
    }

    fn new_copy(&self, provider: &str) -> RootCopy {
        RootCopy {
            provider: provider.to_owned(),
            parameters: "where it is".to_owned(),
            key_id: KeyId::from_uuid(self.id()),
            master: sealed_by(KeyId::from_uuid(self.id()), 9),
            created_at: at(NOW + 1),
        }
    }

    fn wrapped(&self, owner: KeyOwner, version: u16, master: KeyId) -> WrappedKey {
        let id = KeyId::from_uuid(self.id());
        WrappedKey { id, owner, version, sealed: sealed_by(master, 30), created_at: at(NOW) }
    }

    /// A key of a team that nobody knows.
    fn team_key(&self, master: KeyId) -> WrappedKey {
        self.wrapped(KeyOwner::Team(TeamId::from_uuid(self.id())), 1, master)
    }

    fn nothing() -> KeyTurn {
        KeyTurn {
            instance: None,
            copies: Vec::new(),
            removed: None,
            rewrapped: Vec::new(),
            added: Vec::new(),
            master: first(),
            events: vec![told_of(EventKind::MasterKeyRotated, "instance")],
        }
    }

    async fn store_copy(&self, provider: &str) -> Stored<RootCopy> {
        let copy = self.sign(self.new_copy(provider));
        let copies = vec![Put::new(copy.clone())];
        self.database.turn_keys(KeyTurn { copies, ..Self::nothing() }).await.unwrap();
        copy
    }

    /// All keys as they are, sealed by another master key.
    async fn rewrapped(&self, master: KeyId) -> Vec<(WrappedKey, Sealed)> {
        let keys = self.database.keys().await.unwrap().into_iter();
        let lasting = keys.filter(|key| key.owner != KeyOwner::Master);
        lasting.map(|key| (key, sealed_by(master, 40))).collect()
    }

    /// Everything that a turn has, over the copies `passphrase` and `transit`, which goes.
    async fn whole(&self, copies: &[Stored<RootCopy>; 2]) -> KeyTurn {
        let own = self.altered(&self.own_row().await, |row| "elsewhere".clone_into(&mut row.root_parameters));
        let copy = self.altered(&copies[0], |row| row.master = sealed_by(next(), 3));
        KeyTurn {
            instance: Some(own),
            copies: vec![copy, Put::new(self.sign(self.new_copy("keyring")))],
            removed: Some((copies[1].row().provider.clone(), copies[1].mac())),
            rewrapped: self.rewrapped(next()).await,
            added: vec![
                self.wrapped(KeyOwner::Master, 40_000, first()),
                self.wrapped(KeyOwner::Purpose(Purpose::Cookies), 2, next()),
            ],
            ..Self::nothing()
        }
    }
}

fn told_of(kind: EventKind, table: &'static str) -> Event {
    Event { object: Object { table, ..Object::default() }, ..system_event(kind) }
}

fn unavailable<T>(refused: &Result<T, StoreError>) -> bool {
    matches!(refused, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn all_that_a_turn_has_is_there_afterwards() {
    let instance = Instance::new().await;
    let copies = [instance.store_copy("passphrase").await, instance.store_copy("transit").await];
    let events = instance.count("SELECT count(*) FROM events");
    let turn = instance.whole(&copies).await;
    let added: Vec<_> = turn.added.iter().map(|key| (key.owner, key.version, key.id)).collect();
    let database = &instance.database;
    database.turn_keys(turn).await.unwrap();
    let own = instance.own_row().await;
    assert_eq!(own.row().root_parameters, "elsewhere");
    assert!(instance.holds(Some(own)));
    let there = database.root_copies().await.unwrap();
    assert_eq!(there.iter().map(|copy| &*copy.row().provider).collect::<Vec<_>>(), ["keyring", "passphrase"]);
    assert!(there[1].row().master == sealed_by(next(), 3));
    assert!(there.into_iter().all(|copy| instance.holds(Some(copy))), "every field of them");
    let keys = database.keys().await.unwrap();
    assert_eq!(keys.len(), 10, "one a purpose, the team's, and two more");
    let (ways, lasting): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.owner == KeyOwner::Master);
    assert_eq!(ways.iter().map(|key| master_of(key)).collect::<Vec<_>>(), [first()]);
    assert!(lasting.iter().all(|key| master_of(key) == next()));
    let is_there = |(owner, version, id): &(KeyOwner, u16, KeyId)| {
        keys.iter().any(|key| (key.owner, key.version, key.id) == (*owner, *version, *id))
    };
    assert!(added.iter().all(is_there));
    let of_instance = database.purpose_keys().await.unwrap();
    assert_eq!(of_instance.len(), 9, "the way is read with them");
    assert!(of_instance.iter().all(|key| key.owner.team().is_none()));
    assert_eq!(instance.count("SELECT count(*) FROM events"), events + 1);
    assert_eq!(instance.problems().await, [""; 0]);
}

#[tokio::test]
async fn a_turn_that_rests_on_what_was_changes_nothing() {
    let instance = Instance::new().await;
    let copies = [instance.store_copy("passphrase").await, instance.store_copy("transit").await];
    let wrong = instance.altered(&copies[0], |row| row.parameters.push('!')).now.mac();
    let mistakes: [(&str, Mistake); 9] = [
        ("another row of the instance", |_, turn, wrong| turn.instance.as_mut().unwrap().was = Some(wrong)),
        ("another copy", |_, turn, wrong| turn.copies[0].was = Some(wrong)),
        ("a copy that isn't there", |_, turn, wrong| turn.copies[1].was = Some(wrong)),
        ("another copy to be removed", |_, turn, wrong| turn.removed.as_mut().unwrap().1 = wrong),
        ("a removed copy that isn't there", |_, turn, _| turn.removed.as_mut().unwrap().0.push('!')),
        ("a key that is sealed otherwise", |_, turn, _| turn.rewrapped[3].0.sealed = sealed_by(first(), 8)),
        ("one key too few", |_, turn, _| drop(turn.rewrapped.pop())),
        ("a key that isn't there", |instance, turn, _| {
            turn.rewrapped.push((instance.team_key(first()), sealed_by(next(), 1)));
        }),
        ("one key twice in the place of another", |_, turn, _| turn.rewrapped[0] = turn.rewrapped[1].clone()),
    ];
    let before = instance.lying().await;
    for (what, make) in mistakes {
        let mut turn = instance.whole(&copies).await;
        make(&instance, &mut turn, wrong);
        let refused = instance.database.turn_keys(turn).await;
        assert!(matches!(refused, Err(StoreError::Changed)), "{what}: {refused:?}");
        assert_eq!(instance.lying().await, before, "{what}");
    }
    let mut taken = instance.whole(&copies).await;
    taken.copies[0].was = None;
    assert!(matches!(instance.database.turn_keys(taken).await, Err(StoreError::Exists)));
    let mut taken = instance.whole(&copies).await;
    taken.added[1].version = 1;
    assert!(matches!(instance.database.turn_keys(taken).await, Err(StoreError::Exists)));
    let mut before_it = instance.whole(&copies).await;
    before_it.added[1].sealed = sealed_by(first(), 8);
    assert!(unavailable(&instance.database.turn_keys(before_it).await), "by the one that goes");
    assert_eq!(instance.lying().await, before);
    instance.database.turn_keys(instance.whole(&copies).await).await.expect("the control");
    assert_ne!(instance.lying().await, before);
}

#[tokio::test]
async fn each_piece_of_a_turn_goes_alone() {
    let instance = Instance::new().await;
    let before = instance.lying().await;
    let copy = instance.store_copy("passphrase").await;
    let read = instance.database.root_copies().await.unwrap();
    assert_eq!(read.iter().map(Stored::mac).collect::<Vec<_>>(), [copy.mac()]);
    let mut walked = 0;
    let walk = &mut |row| walked += u32::from(matches!(row, AnyRow::RootCopy(_)));
    instance.database.walk(walk).await.unwrap();
    assert_eq!(walked, 1);
    assert_eq!(instance.app.verify(|| ()).await.unwrap().findings, []);
    let altered = "UPDATE root_copies SET parameters = 'here'";
    assert_eq!(instance.behind(|database| database.execute(altered, NOTHING)), Ok(1));
    let found = instance.app.verify(|| ()).await.unwrap().findings;
    assert_eq!(found.iter().map(|found| found.table).collect::<Vec<_>>(), ["root_copies"]);
    let removed = Some(("passphrase".to_owned(), copy.mac()));
    instance.database.turn_keys(KeyTurn { removed, ..Instance::nothing() }).await.unwrap();
    let (keys, own, copies, events) = instance.lying().await;
    assert_eq!((keys, own, copies), (before.0, before.1, before.2));
    assert_eq!(events, before.3 + 2);
    let added = vec![instance.wrapped(KeyOwner::Purpose(Purpose::RowMac), 2, first())];
    instance.database.turn_keys(KeyTurn { added, ..Instance::nothing() }).await.unwrap();
    assert_eq!(instance.database.purpose_keys().await.unwrap().len(), 8);
}

#[tokio::test]
async fn no_key_comes_that_another_master_key_sealed() {
    let instance = Instance::new().await;
    let add = async |key: WrappedKey| instance.write(vec![Change::Key(key)]).await;
    let sign_in = || instance.wrapped(KeyOwner::Purpose(Purpose::SignIn), 1, first());
    let there = "DELETE FROM keys WHERE owner = 'sign_in'";
    assert_eq!(instance.behind(|database| database.execute(there, NOTHING)), Ok(1));
    let before = instance.lying().await;
    assert!(unavailable(&add(instance.team_key(next())).await));
    let mut short = instance.team_key(first());
    short.sealed = Sealed::from_bytes(vec![1; 17]);
    assert!(unavailable(&add(short).await), "nor one that says of none");
    assert_eq!(instance.lying().await, before);
    add(instance.team_key(first())).await.expect("the control");
    let rewrapped = instance.rewrapped(next()).await;
    let added = vec![instance.wrapped(KeyOwner::Master, 1, first())];
    instance.database.turn_keys(KeyTurn { rewrapped, added, ..Instance::nothing() }).await.unwrap();
    let before = instance.lying().await;
    assert!(unavailable(&add(instance.team_key(first())).await), "for all that the way is sealed by it");
    assert!(unavailable(&instance.database.add_purpose_key(sign_in()).await));
    assert_eq!(instance.lying().await, before);
    add(instance.team_key(next())).await.unwrap();
    let sealed = sealed_by(next(), 5);
    instance.database.add_purpose_key(WrappedKey { sealed, ..sign_in() }).await.unwrap();
}

/// Keys come while the master key is replaced: each is refused, or is why that is begun anew,
/// but none is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_key_is_left_behind() {
    let instance = Arc::new(Instance::new().await);
    let permit = instance.permit().await;
    let (mut master, mut there) = (first(), 8);
    for round in 0..40 {
        let anew = KeyId::from_uuid(instance.id());
        let rewrapped = instance.rewrapped(anew).await;
        let mut adding = JoinSet::new();
        let add = |adding: &mut JoinSet<_>| {
            let (instance, permit) = (Arc::clone(&instance), permit.clone());
            let changes = vec![Change::Key(instance.team_key(master))];
            adding.spawn(async move { instance.write_by(permit, changes).await });
        };
        (0..round % 3).for_each(|_| add(&mut adding));
        let turning = Arc::clone(&instance);
        let turn = KeyTurn { master, rewrapped, ..Instance::nothing() };
        let turn = tokio::spawn(async move { turning.database.turn_keys(turn).await });
        (0..3).for_each(|_| add(&mut adding));
        let added: Vec<_> = adding.join_all().await;
        match turn.await.unwrap() {
            Ok(()) => master = anew,
            refused => assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}"),
        }
        assert!(added.iter().all(|added| added.is_ok() || unavailable(added)), "{added:?}");
        there += added.iter().filter(|added| added.is_ok()).count();
        let keys = instance.database.keys().await.unwrap();
        assert_eq!(keys.len(), there);
        assert!(keys.iter().all(|key| master_of(key) == master), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_turn_at_once_one_does() {
    let instance = Arc::new(Instance::new().await);
    let mut turns = Vec::new();
    for _ in 0..8 {
        let master = KeyId::from_uuid(instance.id());
        let own = instance.altered(&instance.own_row().await, |row| row.root_key_id = master);
        let rewrapped = instance.rewrapped(master).await;
        turns.push(KeyTurn { instance: Some(own), rewrapped, ..Instance::nothing() });
    }
    let mut turning = JoinSet::new();
    for turn in turns {
        let instance = Arc::clone(&instance);
        turning.spawn(async move { instance.database.turn_keys(turn).await });
    }
    let mut done = 0;
    while let Some(turned) = turning.join_next().await {
        match turned.unwrap() {
            Ok(()) => done += 1,
            refused => assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}"),
        }
    }
    assert_eq!(done, 1);
    let master = instance.own_row().await.row().root_key_id;
    assert!(instance.database.keys().await.unwrap().iter().all(|key| master_of(key) == master));
}

#[tokio::test]
async fn ways_from_before_a_moment_are_taken_away() {
    let instance = Instance::new().await;
    let way = |version, created_at| WrappedKey {
        created_at: at(created_at),
        ..instance.wrapped(KeyOwner::Master, version, first())
    };
    let added = vec![way(0, NOW - 1), way(u16::MAX, NOW - 2), way(7, NOW)];
    instance.database.turn_keys(KeyTurn { added, ..Instance::nothing() }).await.unwrap();
    let left = async || {
        let keys = instance.database.keys().await.unwrap();
        let ways = keys.iter().filter(|key| key.owner == KeyOwner::Master).count();
        (ways, keys.len() - ways)
    };
    assert_eq!(left().await, (3, 8));
    assert_eq!(instance.database.close_ways(at(NOW)).await.unwrap(), 2);
    assert_eq!(left().await, (1, 8));
    assert_eq!(instance.database.close_ways(at(NOW)).await.unwrap(), 0);
    assert_eq!(instance.database.close_ways(at(NOW + 1)).await.unwrap(), 1);
    assert_eq!(left().await, (0, 8), "other keys are as old");
}

#[tokio::test]
async fn what_became_of_the_keys_is_told_the_newest_first() {
    let instance = Instance::new().await;
    instance.store_secret(instance.new_secret(None)).await;
    let tell = async |kind, table| instance.database.record(told_of(kind, table)).await.unwrap();
    tell(EventKind::PurposeKeyRotated, "keys").await;
    tell(EventKind::TeamKeyRotated, "teams").await;
    tell(EventKind::IntegrityViolation, "instance").await;
    instance.store_copy("passphrase").await;
    tell(EventKind::SecretCreated, "secrets").await;
    let told = async |limit| {
        let found = instance.database.events_of_keys(limit).await.unwrap();
        found.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    let all = [
        "master_key.rotated",
        "integrity.violation",
        "purpose_key.rotated",
        EventKind::InstanceCreated.name(),
    ];
    assert_eq!(told(9).await, all);
    assert_eq!(told(2).await, all[..2]);
    assert!(told(0).await.is_empty());
    let sequences = instance.database.events_of_keys(9).await.unwrap();
    assert!(sequences.windows(2).all(|pair| pair[0].sequence > pair[1].sequence));
}
