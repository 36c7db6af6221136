//! A new master key, and how servers come to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use strongroom_core::app::{Custody, CustodyError, Error, FollowError};
use strongroom_core::events::EventKind;
use strongroom_core::keyring::{KeyOwner, NotFollowed, Purpose, Superseded, WrappedKey};
use strongroom_core::secrets::NewSecret;
use strongroom_core::text::TeamName;
use strongroom_core::{App, KeyId, RootKey as _, SecretName, Store as _, StoreError};

use super::{Another, MINUTE, Open, assert_unchanged, boxed, conflict, keys, own, own_row, rest, root};
use crate::instance::{Instance, bundle, named};
use crate::support::at_once;

impl Instance {
    /// A new master key; with a way to it, or without.
    fn rotated_master(&self, way: bool) -> KeyId {
        rotated_by(&mut self.custody(), way)
    }

    /// The ways to a master key.
    fn ways(&self) -> usize {
        self.store.tables().keys.iter().filter(|key| key.owner == KeyOwner::Master).count()
    }

    /// Whether this master key sealed every key but the ways to one.
    fn all_under(&self, master: KeyId) -> bool {
        let keys = self.tables().keys;
        let mut lasting = keys.iter().filter(|key| key.owner != KeyOwner::Master);
        lasting.all(|key| key.sealed.key_id() == Ok(master))
    }

    /// A team that this server founds.
    fn founded(&self, app: &App, name: &str) -> Result<(), Error> {
        let by = self.owner_now();
        let planned = app.create_team(&by, TeamName::parse(name).unwrap())?;
        at_once(app.carry_out(&by, planned, None)).map(|_| ())
    }
}

fn rotated_by(custody: &mut Custody, way: bool) -> KeyId {
    at_once(custody.rotate_master(&boxed([own()]), &Open, way, |_| {})).unwrap()
}

fn superseded<T>(refused: &Result<T, FollowError>) -> bool {
    matches!(refused, Err(FollowError::Superseded(Superseded)))
}

#[test]
fn the_master_key_that_was_replaced_opens_nothing() {
    let instance = Instance::new();
    instance.in_use();
    instance.other_team();
    let (before, old) = (instance.tables(), instance.master_by(&own()));
    assert!(instance.keyring_by(&old).is_ok(), "the control");
    let (mut custody, told) = (instance.custody(), AtomicU64::new(0));
    let progress = |keys| {
        told.fetch_add(keys, Ordering::SeqCst);
    };
    let id = at_once(custody.rotate_master(&boxed([own()]), &Open, true, progress)).unwrap();
    assert_eq!(told.into_inner(), 9, "one a purpose, and two teams'");
    let now = instance.tables();
    assert_eq!(rest(&now), rest(&before));
    assert!(keys(&now).iter().all(|key| !keys(&before).contains(key)), "each is sealed anew");
    assert_ne!(own_row(&now), own_row(&before));
    assert!(instance.all_under(id) && instance.is_whole(&own()));
    let new = instance.master_by(&own());
    assert_ne!(new, old);
    assert!(instance.keyring_by(&old).is_err());
    assert!(instance.keyring_by(&new).is_ok());
    let row = at_once(instance.store.instance()).unwrap().unwrap().row().clone();
    assert_eq!((row.recovery, &*row.recovery_recipient), (new, "nobody"), "for backups, too");
    assert_eq!(instance.instance_keys().master, id);
    assert_eq!(now.events.len(), before.events.len() + 1);
    assert_eq!(instance.told(&[EventKind::MasterKeyRotated]), [1]);
}

#[test]
fn a_server_goes_on_with_the_new_master_key() {
    let instance = Instance::new();
    let (_, run) = instance.in_use();
    let id = instance.rotated_master(true);
    assert!(!at_once(instance.app.follow_keys()).unwrap().has_old_ways, "the way is still of use");
    assert_eq!(instance.environment(&run).unwrap(), named(&[("TOKEN", "a value")]));
    instance.secret(&instance.owner_now(), true, &[("TOKEN", "another")]);
    instance.other_team();
    assert!(instance.all_under(id) && instance.is_whole(&own()));
    assert_eq!(instance.app.integrity_violations(), 0);
}

#[test]
fn a_server_that_meets_the_new_master_key_follows_by_itself() {
    let instance = Instance::new();
    instance.in_use();
    let id = instance.rotated_master(true);
    instance.secret(&instance.owner_now(), true, &[("TOKEN", "another")]);
    assert!(instance.founded(&instance.app, "Gliders").is_ok(), "it was told by its team's key alone");
    assert!(instance.all_under(id) && instance.is_whole(&own()));
    // So does what seals a team's values anew.
    instance.rotated_master(true);
    let resealed = instance.app.reseal_team(instance.team(), || std::future::ready(()));
    assert_eq!(at_once(resealed).unwrap().broken, 0);
}

#[test]
fn without_a_way_no_server_follows() {
    let instance = Instance::new();
    let (_, run) = instance.in_use();
    instance.rotated_master(false);
    assert_eq!(instance.ways(), 0);
    assert!(superseded(&at_once(instance.app.follow_keys())));
    let (by, name) = (instance.owner_now(), SecretName::parse("Stripe").unwrap());
    let new = NewSecret { name, service_slug: None, shared: true, values: bundle(&[("A", "1")]) };
    assert!(matches!(at_once(instance.app.create_secret(&by, new)), Err(Error::Integrity(_))));
    assert_eq!(instance.environment(&run).unwrap().len(), 1, "by a team's key that is at hand");
    let again = instance.server();
    at_once(again.follow_keys()).expect("one that is started anew");
    assert!(instance.is_whole(&own()));
}

#[test]
fn no_key_is_added_under_the_master_key_of_before() {
    let instance = Instance::new();
    instance.in_use();
    let id = instance.rotated_master(true);
    let before = instance.tables();
    let by = instance.owner_now();
    let planned = at_once(instance.app.rotate_team_key(&by));
    let refused = instance.founded(&instance.app, "Gliders");
    assert!(matches!(refused, Err(Error::Store(StoreError::Changed))), "to be planned anew: {refused:?}");
    let refused = instance.done(&by, planned);
    assert!(matches!(refused, Err(Error::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert_unchanged(&instance.tables(), &before);
    instance.founded(&instance.app, "Gliders").expect("under the new one, as it has looked");
    instance.done(&by, at_once(instance.app.rotate_team_key(&by))).unwrap();
    assert!(instance.all_under(id) && instance.is_whole(&own()));
}

#[test]
fn the_way_is_closed_when_all_have_gone_it() {
    let instance = Instance::new();
    let id = instance.rotated_master(true);
    instance.clock.pass(MINUTE);
    assert!(!at_once(instance.server().follow_keys()).unwrap().has_old_ways);
    assert_eq!(at_once(instance.server().close_ways()).unwrap(), 0, "not yet");
    assert_eq!(instance.ways(), 1);
    instance.clock.pass(1);
    assert!(at_once(instance.server().follow_keys()).unwrap().has_old_ways);
    assert_eq!(at_once(instance.server().close_ways()).unwrap(), 1);
    assert_eq!(instance.ways(), 0);
    assert!(instance.all_under(id), "no other key went");
    assert!(!at_once(instance.server().follow_keys()).unwrap().has_old_ways);
    assert!(superseded(&at_once(instance.app.follow_keys())), "one that didn't go it in time");
}

#[test]
fn one_way_after_the_other_is_gone() {
    let instance = Instance::new();
    let (_, run) = instance.in_use();
    let [late, prompt] = [instance.server(), instance.server()];
    let mut custody = instance.custody();
    rotated_by(&mut custody, true);
    at_once(prompt.follow_keys()).unwrap();
    let id = rotated_by(&mut custody, true);
    assert_eq!(instance.ways(), 2);
    for app in [&late, &prompt, &*instance.app] {
        at_once(app.follow_keys()).unwrap();
        at_once(app.follow_keys()).expect("and that changes nothing");
        instance.founded(app, "Gliders").unwrap();
    }
    assert!(instance.all_under(id) && instance.is_whole(&own()));
    assert_eq!(instance.environment(&run).unwrap().len(), 1);
}

#[test]
fn who_replaced_the_master_key_goes_on_with_the_new_one() {
    let instance = Instance::new();
    let mut custody = instance.custody();
    for way in [false, true] {
        let id = rotated_by(&mut custody, way);
        at_once(custody.rotate_purpose(Purpose::Cookies)).unwrap();
        instance.clock.pass(MINUTE);
        at_once(custody.add_root(&root("passphrase", 9), String::new())).unwrap();
        assert!(instance.opened(&root("passphrase", 9)).is_ok());
        at_once(custody.remove_root("passphrase")).unwrap();
        assert_eq!(at_once(custody.app().instance_keys()).unwrap().master, id);
        assert_eq!(at_once(custody.app().verify(|| ())).unwrap().findings, []);
    }
}

#[test]
fn a_look_that_was_overtaken_takes_nothing_back() {
    let instance = Instance::new();
    let stored = || at_once(instance.store.purpose_keys()).unwrap();
    let (ring, first) = (&instance.keyring, stored());
    let id = instance.rotated_master(true);
    let second = stored();
    instance.rotated_purpose(Purpose::AuditSigning);
    ring.follow(&second, instance.now()).unwrap();
    ring.follow(&first, instance.now()).expect("it began before the other");
    assert_eq!(ring.master_id(), id);
    ring.follow(&stored(), instance.now()).unwrap();
    ring.follow(&second, instance.now()).unwrap();
    assert_eq!((ring.master_id(), ring.signers().len()), (id, 2));
    // One that is of a time when nobody knew the one at hand is nothing to follow.
    assert_eq!(ring.follow(&first, instance.now()), Err(NotFollowed::Superseded));
}

#[test]
fn a_key_that_comes_meanwhile_is_sealed_anew_as_well() {
    let instance = Instance::new();
    instance.in_use();
    let (server, by, came) = (Arc::new(instance.server()), instance.owner_now(), Arc::new(Mutex::new(0)));
    let (seen, planned) = (Arc::clone(&came), TeamName::parse("Gliders").unwrap());
    instance.store.set_meanwhile(Box::new(move || {
        let mut came = seen.lock().unwrap();
        *came += 1;
        if *came == 1 {
            let planned = server.create_team(&by, planned.clone()).unwrap();
            at_once(server.carry_out(&by, planned, None)).unwrap();
        }
        Ok(())
    }));
    let (mut custody, told) = (instance.custody(), AtomicU64::new(0));
    let progress = |keys| {
        told.fetch_add(keys, Ordering::SeqCst);
    };
    let id = at_once(custody.rotate_master(&boxed([own()]), &Open, true, progress)).unwrap();
    assert_eq!((*came.lock().unwrap(), told.into_inner()), (2, 8 + 9), "begun again once");
    instance.store.clear_meanwhile();
    assert!(instance.all_under(id) && instance.is_whole(&own()));
    assert_eq!((instance.ways(), instance.told(&[EventKind::MasterKeyRotated])), (1, vec![1]));
    instance.follow();
}

#[test]
fn it_is_not_tried_for_ever() {
    let instance = Instance::new();
    let (before, tried) = (instance.tables(), Arc::new(AtomicU64::new(0)));
    let seen = Arc::clone(&tried);
    instance.store.set_meanwhile(Box::new(move || {
        seen.fetch_add(1, Ordering::SeqCst);
        Err(StoreError::Changed)
    }));
    let mut custody = instance.custody();
    let refused = at_once(custody.rotate_master(&boxed([own()]), &Open, true, |_| {}));
    assert!(matches!(refused, Err(CustodyError::Store(StoreError::Changed))));
    assert_eq!(tried.load(Ordering::SeqCst), 6);
    assert_unchanged(&instance.tables(), &before);
    instance.store.clear_meanwhile();
    rotated_by(&mut custody, true);
}

#[test]
fn each_root_key_is_needed_and_opens_afterwards() {
    let instance = Instance::new();
    instance.in_use();
    let mut custody = instance.custody();
    let paper = || root("passphrase", 9);
    at_once(custody.add_root(&paper(), "by heart".to_owned())).unwrap();
    let before = instance.tables();
    for roots in [
        boxed([]),
        boxed([own()]),
        boxed([paper()]),
        boxed([own(), root("passphrase", 10)]),
        boxed([root("file", 8), paper()]),
    ] {
        assert!(conflict(&at_once(custody.rotate_master(&roots, &Open, true, |_| {}))));
        assert_unchanged(&instance.tables(), &before);
    }
    at_once(custody.rotate_master(&boxed([paper(), own()]), &Open, true, |_| {})).unwrap();
    assert!(instance.is_whole(&own()) && instance.is_whole(&paper()));
    let (now, was) = (instance.tables().copies, &before.copies);
    assert_eq!((&*now[0].row().parameters, now[0].row().key_id), ("by heart", paper().id()));
    assert!(now[0].row().master != was[0].row().master);
    assert_eq!(now[0].row().created_at, was[0].row().created_at);
}

#[test]
fn a_key_that_does_not_open_is_in_the_way() {
    let instance = Instance::new();
    let mut custody = instance.custody();
    let sealed = instance.store.tables().keys[0].sealed.clone();
    instance.store.tables().keys[1].sealed = sealed;
    let before = instance.tables();
    let refused = at_once(custody.rotate_master(&boxed([own()]), &Open, true, |_| {}));
    assert!(matches!(refused, Err(CustodyError::Integrity(_))));
    assert_unchanged(&instance.tables(), &before);
}

#[test]
fn nothing_goes_back_to_a_master_key_that_was_replaced_meanwhile() {
    let instance = Instance::new();
    instance.in_use();
    let early = instance.custody();
    instance.rotated_master(false);
    let before = instance.tables();
    let (file, paper) = (root("file", 8), root("passphrase", 9));
    for (what, refused) in [
        ("its own root key", at_once(early.rotate_root(&file, String::new()))),
        ("one more", at_once(early.add_root(&paper, String::new()))),
        ("the recovery key", at_once(early.replace_recovery(&Open))),
        ("a purpose's", at_once(early.rotate_purpose(Purpose::RowMac)).map(drop)),
    ] {
        let is_told =
            matches!(&refused, Err(CustodyError::Store(StoreError::Changed | StoreError::Unavailable(_))));
        assert!(is_told, "{what}: {refused:?}");
    }
    assert_unchanged(&instance.tables(), &before);
    let late = instance.custody();
    at_once(late.add_root(&paper, String::new())).expect("the control");
    at_once(late.rotate_root(&file, String::new())).expect("the control");
    assert!(instance.is_whole(&file) && instance.is_whole(&paper));
}

#[test]
fn a_recovery_key_that_was_replaced_meanwhile_stays() {
    let instance = Instance::new();
    let mut early = instance.custody();
    at_once(instance.custody().replace_recovery(&Another)).unwrap();
    let before = instance.tables();
    let refused = at_once(early.rotate_master(&boxed([own()]), &Open, false, |_| ()));
    assert!(matches!(refused, Err(CustodyError::Conflict(_))), "{refused:?}");
    assert_unchanged(&instance.tables(), &before);
    at_once(early.rotate_master(&boxed([own()]), &Another, false, |_| ())).expect("the control");
}

#[test]
fn a_key_that_is_not_what_was_stored_is_noted_once_and_ends_nobody() {
    let instance = Instance::new();
    let (_, run) = instance.in_use();
    let forged = || {
        let mut tables = instance.store.tables();
        let there = tables.keys.iter().find(|key| key.owner == KeyOwner::Purpose(Purpose::Cookies)).unwrap();
        let forged = WrappedKey { version: 9, ..there.clone() };
        tables.keys.push(forged);
    };
    forged();
    for _ in 0..3 {
        at_once(instance.app.follow_keys()).expect("it goes on");
    }
    assert_eq!(instance.app.integrity_violations(), 1);
    assert_eq!(instance.told(&[EventKind::IntegrityViolation]), [1]);
    assert_eq!(instance.environment(&run).unwrap().len(), 1);
    instance.store.tables().keys.retain(|key| key.version != 9);
    instance.follow();
    // A seal of a master key that nobody has, on one of them alone.
    let other = instance.store.tables().versions[0].sealed.clone();
    instance.store.tables().keys.iter_mut().find(|key| key.owner.purpose().is_some()).unwrap().sealed = other;
    at_once(instance.app.follow_keys()).expect("it goes on");
    assert_eq!(instance.app.integrity_violations(), 2);
}

#[test]
fn root_keys_that_were_put_back_are_found_by_the_record() {
    let instance = Instance::new();
    let custody = instance.custody();
    at_once(custody.add_root(&root("passphrase", 9), String::new())).unwrap();
    at_once(instance.custody().rotate_root(&root("file", 8), String::new())).unwrap();
    let opened = || instance.opened(&root("file", 8)).unwrap();
    let wrong = |app: &App| at_once(app.verify_states(|| ())).unwrap().wrong;
    let before = instance.tables();
    let custody = at_once(Custody::open(instance.store.clone(), &root("file", 8), instance.world())).unwrap();
    at_once(custody.remove_root("passphrase")).unwrap();
    at_once(custody.rotate_root(&root("file", 9), String::new())).unwrap();
    let now = instance.opened(&root("file", 9)).unwrap();
    assert_eq!(wrong(&now), [], "the control");
    instance.store.tables().copies.clone_from(&before.copies);
    assert_eq!(wrong(&now).iter().map(|wrong| &*wrong.table).collect::<Vec<_>>(), ["root_copies"]);
    instance.store.tables().copies.clear();
    instance.store.tables().instance.clone_from(&before.instance);
    assert_eq!(wrong(&opened()).iter().map(|wrong| &*wrong.table).collect::<Vec<_>>(), ["instance"]);
}
