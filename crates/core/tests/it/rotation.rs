//! A team's key gives way to a new one: what was sealed goes on opening, is sealed anew, and
//! in the end nothing needs the old key.

use std::collections::BTreeSet;
use strongroom_core::app::{Error, Resealed, TeamKeys};
use strongroom_core::events::EventKind;
use strongroom_core::sealing::Sealed;
use strongroom_core::{KeyId, Role};

use crate::instance::{Instance, replacing};
use crate::support::at_once;

const HOUR: i64 = 60 * 60 * 1_000;

impl Instance {
    fn rotated(&self) -> KeyId {
        self.done(&self.owner, at_once(self.app.rotate_team_key(&self.owner))).unwrap().id
    }

    fn resealed(&self) -> Resealed {
        at_once(self.app.reseal_team(self.owner.caller.team_id, || std::future::ready(()))).unwrap()
    }

    fn team_keys(&self) -> TeamKeys {
        at_once(self.app.team_keys(&self.owner)).unwrap()
    }

    /// Under which keys values are sealed.
    fn sealed_under(&self) -> BTreeSet<KeyId> {
        self.store.tables().versions.iter().map(|version| version.sealed.key_id().unwrap()).collect()
    }
}

#[test]
fn values_go_over_to_the_new_key_and_the_old_one_goes() {
    let instance = Instance::new();
    let secret = instance.secret(&instance.owner, true, &[("TOKEN", "a value")]);
    instance.update(&instance.owner, secret, &replacing(&[("TOKEN", "another")]));
    let place = instance.agent();
    instance.attach(&instance.owner, place, secret).unwrap();
    let (_, run) = instance.started(&instance.owner, place);
    let received = || instance.environment(&run).unwrap();
    let old = instance.sealed_under();
    let new = instance.rotated();
    assert_eq!(received(), [("TOKEN".to_owned(), "another".to_owned())], "under the old key");
    instance.clock.go_on(11);
    instance.secret(&instance.owner, true, &[("TOKEN", "a third")]);
    assert!(instance.sealed_under().contains(&new), "what comes is sealed under the new one");
    assert_eq!((instance.team_keys().versions, instance.team_keys().left), (3, 2));
    let again = at_once(instance.app.rotate_team_key(&instance.owner));
    assert!(matches!(again, Err(Error::Conflict(_))), "one after the other");
    assert_eq!(instance.resealed(), Resealed { versions: 2, broken: 0, retired: false });
    assert_eq!(instance.sealed_under(), BTreeSet::from([new]));
    assert_eq!(received(), [("TOKEN".to_owned(), "another".to_owned())]);
    assert_eq!(instance.resealed(), Resealed::default(), "and the old key stays for a while");
    assert_eq!(instance.team_keys().keys.len(), 2);
    instance.clock.pass(49 * HOUR);
    assert!(instance.resealed().retired);
    let keys = instance.team_keys();
    assert_eq!((keys.keys.len(), keys.keys[0].id, keys.keys[0].version), (1, new, 2));
    assert!(!old.contains(&new));
    let (_, later) = instance.started(&instance.owner_now(), place);
    assert_eq!(instance.environment(&later).unwrap(), [("TOKEN".to_owned(), "another".to_owned())]);
    assert_eq!(at_once(instance.app.teams_to_reseal()).unwrap(), []);
    let told =
        [EventKind::TeamKeyRotated, EventKind::TeamKeysRetired].map(|kind| instance.events(kind).len());
    assert_eq!(told, [1, 1]);
}

#[test]
fn what_does_not_open_keeps_the_old_key() {
    let instance = Instance::new();
    for _ in 0..3 {
        instance.secret(&instance.owner, true, &[("TOKEN", "a value")]);
    }
    let mut blob = instance.store.tables().versions[1].sealed.as_bytes().to_vec();
    *blob.last_mut().unwrap() ^= 1;
    instance.store.tables().versions[1].sealed = Sealed::from_bytes(blob);
    instance.rotated();
    assert_eq!(instance.resealed(), Resealed { versions: 2, broken: 1, retired: false });
    instance.clock.pass(49 * HOUR);
    assert_eq!(instance.resealed(), Resealed { versions: 0, broken: 1, retired: false });
    assert_eq!((instance.team_keys().keys.len(), instance.team_keys().left), (2, 1));
}

#[test]
fn only_an_owner_gives_a_team_a_new_key() {
    let instance = Instance::new();
    for role in [Role::Member, Role::Manager, Role::Administrator] {
        let by = instance.colleague(role);
        assert!(matches!(at_once(instance.app.rotate_team_key(&by)), Err(Error::Denied(_))), "{role:?}");
        assert_eq!(at_once(instance.app.team_keys(&by)).is_ok(), role == Role::Administrator);
    }
}
