//! Which root keys open the instance.

use strongroom_core::app::{CustodyError, OpenError, RootState};
use strongroom_core::events::EventKind;
use strongroom_core::{RootKey as _, Store as _, StoreError};

use super::{Another, assert_unchanged, conflict, keys, own, own_row, rest, root};
use crate::instance::Instance;
use crate::support::at_once;

fn is_another<T>(refused: &Result<T, OpenError>) -> bool {
    matches!(refused, Err(OpenError::WrongRootKey { .. }))
}

#[test]
fn the_root_key_that_was_replaced_opens_nothing() {
    let instance = Instance::new();
    let (_, run) = instance.in_use();
    let (before, next) = (instance.tables(), root("file", 8));
    assert!(is_another(&instance.opened(&next)));
    at_once(instance.custody().rotate_root(&next, "elsewhere".to_owned())).unwrap();
    assert!(is_another(&instance.opened(&own())));
    assert!(instance.is_whole(&next));
    let now = instance.tables();
    assert_eq!((rest(&now), keys(&now)), (rest(&before), keys(&before)), "nothing else");
    assert_ne!(own_row(&now), own_row(&before));
    let row = now.instance.as_ref().unwrap().row();
    assert_eq!((&*row.root_parameters, row.root_key_id), ("elsewhere", next.id()));
    assert_eq!(now.events.len(), before.events.len() + 1);
    let told = now.events.last().unwrap();
    assert_eq!((told.kind, told.object.id), (EventKind::RootKeyRotated, Some(row.id.uuid())));
    // A server that was there before goes on.
    instance.follow();
    assert_eq!(instance.environment(&run).unwrap().len(), 1);
}

#[test]
fn a_root_key_of_another_kind_takes_the_place_of_the_own_one() {
    let instance = Instance::new();
    let next = root("passphrase", 7);
    at_once(instance.custody().rotate_root(&next, String::new())).unwrap();
    assert!(is_another(&instance.opened(&own())), "the same bytes, of another kind");
    assert!(instance.opened(&next).is_ok());
}

#[test]
fn any_root_key_that_was_added_opens_until_it_is_removed() {
    let instance = Instance::new();
    instance.in_use();
    let (before, [paper, stranger]) = (instance.tables(), [root("passphrase", 9), root("passphrase", 10)]);
    let custody = instance.custody();
    at_once(custody.add_root(&paper, "by heart".to_owned())).unwrap();
    assert!(instance.is_whole(&own()) && instance.is_whole(&paper));
    assert!(is_another(&instance.opened(&stranger)));
    let state = |root: &strongroom_core::root_key::LocalRootKey| RootState {
        provider: root.provider().to_owned(),
        id: root.id(),
    };
    assert_eq!(instance.instance_keys().roots, [state(&own()), state(&paper)]);
    assert_eq!(instance.tables().copies[0].row().parameters, "by heart");
    // Another of its kind takes its place.
    at_once(custody.add_root(&stranger, String::new())).unwrap();
    assert!(is_another(&instance.opened(&paper)));
    assert!(instance.is_whole(&stranger));
    at_once(custody.remove_root("passphrase")).unwrap();
    assert!(is_another(&instance.opened(&stranger)));
    assert!(instance.is_whole(&own()));
    let now = instance.tables();
    assert_eq!((rest(&now), keys(&now), own_row(&now)), (rest(&before), keys(&before), own_row(&before)));
    assert!(now.copies.is_empty());
    let kinds = [EventKind::RootKeyAdded, EventKind::RootKeyRemoved, EventKind::RootKeyRotated];
    assert_eq!(instance.told(&kinds), [2, 2, 0]);
}

#[test]
fn there_is_one_root_key_of_a_kind() {
    let instance = Instance::new();
    let custody = instance.custody();
    at_once(custody.add_root(&root("passphrase", 9), String::new())).unwrap();
    let before = instance.tables();
    assert!(conflict(&at_once(custody.add_root(&root("file", 8), String::new()))), "the own one's kind");
    assert!(
        conflict(&at_once(custody.rotate_root(&root("passphrase", 8), String::new()))),
        "the added one's"
    );
    assert!(conflict(&at_once(custody.remove_root("file"))), "the own one");
    assert!(conflict(&at_once(custody.remove_root("transit"))), "none");
    assert_unchanged(&instance.tables(), &before);
    at_once(custody.rotate_root(&root("file", 8), String::new())).expect("the control");
    at_once(custody.remove_root("passphrase")).expect("the control");
}

#[test]
fn an_added_root_key_opens_no_altered_copy() {
    let instance = Instance::new();
    let [paper, other] = [root("passphrase", 9), root("transit", 10)];
    let custody = instance.custody();
    at_once(custody.add_root(&paper, String::new())).unwrap();
    at_once(custody.add_root(&other, String::new())).unwrap();
    let stored = instance.tables().copies;
    // Somebody gives the second's copy out as the first's, beside the first's MAC.
    let mut forged = stored[0].row().clone();
    forged.master = stored[1].row().master.clone();
    let forged = strongroom_core::rows::Stored::unproven(forged, stored[0].mac());
    instance.store.tables().copies[0] = forged;
    assert!(matches!(instance.opened(&paper), Err(OpenError::RootKey(_))));
    assert!(instance.opened(&other).is_ok());
    let found = at_once(instance.server().verify(|| ())).unwrap().findings;
    assert_eq!(found.iter().map(|found| found.table).collect::<Vec<_>>(), ["root_copies"]);
    assert!(matches!(at_once(custody.remove_root("transit")), Err(CustodyError::Integrity(_))));
}

#[test]
fn of_two_who_replace_it_at_once_one_does() {
    let instance = Instance::new();
    let store = instance.store.clone();
    let (quicker, mut done) = (instance.custody(), false);
    store.set_meanwhile(Box::new(move || {
        if !std::mem::replace(&mut done, true) {
            at_once(quicker.rotate_root(&root("file", 8), String::new())).unwrap();
        }
        Ok(())
    }));
    let slower = at_once(instance.custody().rotate_root(&root("file", 9), String::new()));
    assert!(matches!(slower, Err(CustodyError::Store(StoreError::Changed))));
    assert!(instance.opened(&root("file", 8)).is_ok());
    assert!(is_another(&instance.opened(&root("file", 9))));
    assert_eq!(instance.told(&[EventKind::RootKeyRotated]), [1]);
}

#[test]
fn backups_from_now_on_are_for_another_recovery_key() {
    let instance = Instance::new();
    instance.in_use();
    let before = instance.tables();
    at_once(instance.custody().replace_recovery(&Another)).unwrap();
    let now = instance.tables();
    assert_eq!((rest(&now), keys(&now)), (rest(&before), keys(&before)));
    let row = at_once(instance.store.instance()).unwrap().unwrap();
    assert_eq!(row.row().recovery, instance.master_by(&own()));
    assert_eq!(instance.instance_keys().recipient, "somebody");
    assert_eq!(instance.told(&[EventKind::RecoveryKeyReplaced]), [1]);
    assert!(instance.is_whole(&own()));
}
