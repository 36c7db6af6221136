//! A request that comes again across a new key for idempotency is done once, whichever
//! servers it comes to.

use strongroom_core::answers::{KEPT_FOR, Repeatable};
use strongroom_core::app::{Begun, Error};
use strongroom_core::keyring::Purpose;
use strongroom_core::secrets::NewSecret;
use strongroom_core::{App, SecretName, StoreError};

use super::MINUTE;
use crate::instance::{Instance, bundle};
use crate::support::at_once;

impl Instance {
    fn begun(&self, app: &App, key: &str, body: &str) -> Begun {
        let by = self.owner_now();
        let rest: &[&[u8]] = &[body.as_bytes()];
        let request = Repeatable { method: "POST", path: "/v1/credentials", key, rest };
        at_once(app.begin(&by.caller, &request, &by.cause)).unwrap()
    }

    /// A request comes for the first time to this server, and is answered.
    fn answered(&self, app: &App, key: &str) {
        let Begun::First(once) = self.begun(app, key, "body") else { panic!("{key} came before") };
        at_once(app.keep(&once, key.as_bytes())).unwrap();
    }

    /// That each of these requests is answered again by each of these servers, as it was.
    fn assert_again(&self, apps: &[&App], keys: &[&str]) {
        for (at, app) in apps.iter().enumerate() {
            for key in keys {
                let Begun::Again(answer) = self.begun(app, key, "body") else { panic!("{key} at {at}") };
                assert_eq!(answer, key.as_bytes());
                assert!(matches!(self.begun(app, key, "another"), Begun::Other), "{key} at {at}");
            }
            assert!(matches!(self.begun(app, "never", "body"), Begun::First(_)), "the control");
        }
    }

    /// How many answers one more request leaves.
    fn kept(&self, app: &App, key: &str) -> usize {
        let before = self.store.tables().answers.len();
        self.answered(app, key);
        self.store.tables().answers.len() - before
    }
}

#[test]
fn what_was_answered_is_answered_again_across_a_new_key() {
    let instance = Instance::new();
    let (looks, late) = (&*instance.app, instance.server());
    assert_eq!(instance.kept(looks, "before"), 1);
    instance.rotated_purpose(Purpose::Idempotency);
    instance.assert_again(&[looks, &late, &instance.server()], &["before"]);
    instance.follow();
    assert_eq!(instance.kept(looks, "by one that knows"), 2, "for those that don't, too");
    assert_eq!(instance.kept(&late, "by one that doesn't"), 1);
    let keys = ["before", "by one that knows", "by one that doesn't"];
    instance.assert_again(&[looks, &late, &instance.server()], &keys);
    instance.clock.pass(MINUTE);
    instance.follow();
    assert_eq!(instance.kept(looks, "after a minute"), 2);
    let keys = [&keys[..], &["after a minute"]].concat();
    instance.assert_again(&[looks, &late, &instance.server()], &keys);
    at_once(late.follow_keys()).unwrap();
    assert_eq!(instance.kept(&late, "when all know"), 2);
    let keys = [&keys[..], &["when all know"]].concat();
    instance.assert_again(&[looks, &late, &instance.server()], &keys);
}

#[test]
fn two_answers_are_kept_for_a_day_and_one_after_it() {
    let instance = Instance::new();
    let app = &*instance.app;
    instance.rotated_purpose(Purpose::Idempotency);
    instance.follow();
    instance.clock.pass(2 * MINUTE - 1);
    // By whoever looked last, a moment before all make what is new with the new key.
    instance.answered(&instance.server(), "the last");
    instance.clock.pass(KEPT_FOR);
    instance.follow();
    assert_eq!(instance.kept(app, "within"), 2);
    instance.clock.pass(1);
    assert_eq!(instance.kept(app, "after"), 1);
    instance.assert_again(&[app, &instance.server()], &["within", "after"]);
    assert!(matches!(instance.begun(app, "the last", "body"), Begun::First(_)), "nothing is kept longer");
}

#[test]
fn an_answer_of_before_counts_for_as_long_as_it_is_kept() {
    let instance = Instance::new();
    let late = instance.server();
    instance.rotated_purpose(Purpose::Idempotency);
    instance.clock.pass(MINUTE);
    instance.follow();
    // One that is a minute late in looking, and has no word of the new key.
    instance.answered(&late, "late");
    instance.clock.pass(KEPT_FOR - 1);
    instance.assert_again(&[&instance.app, &instance.server()], &["late"]);
    instance.clock.pass(1);
    assert!(matches!(instance.begun(&instance.app, "late", "body"), Begun::First(_)));
}

#[test]
fn several_new_keys_in_a_day_all_count() {
    let instance = Instance::new();
    let app = &*instance.app;
    instance.answered(app, "first");
    instance.replaced(Purpose::Idempotency);
    instance.answered(app, "second");
    instance.replaced(Purpose::Idempotency);
    assert_eq!(instance.kept(app, "third"), 3);
    instance.assert_again(&[app, &instance.server()], &["first", "second", "third"]);
    let uses = at_once(app.key_uses(|| ())).unwrap().purposes;
    let by_version = [1, 2, 3].map(|version| uses[&(Purpose::Idempotency, version)]);
    assert_eq!(by_version, [3, 2, 1]);
}

#[test]
fn what_is_under_way_is_so_under_each_key() {
    let instance = Instance::new();
    let under_way = instance.begun(&instance.app, "k", "body");
    instance.rotated_purpose(Purpose::Idempotency);
    instance.follow();
    assert!(matches!(instance.begun(&instance.app, "k", "body"), Begun::UnderWay));
    drop(under_way);
    let under_way = instance.begun(&instance.app, "k", "body");
    assert!(matches!(under_way, Begun::First(_)));
    instance.clock.pass(MINUTE + 1);
    instance.follow();
    assert!(matches!(instance.begun(&instance.app, "k", "body"), Begun::UnderWay));
    drop(under_way);
    assert!(matches!(instance.begun(&instance.app, "k", "body"), Begun::First(_)));
}

#[test]
fn of_two_servers_that_do_it_at_once_one_does() {
    let instance = Instance::new();
    let late = instance.server();
    instance.rotated_purpose(Purpose::Idempotency);
    instance.follow();
    let by = instance.owner_now();
    let does = |app: &App, once| {
        let new = NewSecret {
            name: SecretName::parse("Stripe").unwrap(),
            service_slug: None,
            shared: true,
            values: bundle(&[("A", "1")]),
        };
        let planned = at_once(app.create_secret(&by, new)).unwrap();
        at_once(app.carry_out(&by, planned, app.keepable(&once, b"k"))).map(|_| ())
    };
    let [Begun::First(here), Begun::First(there)] =
        [&*instance.app, &late].map(|app| instance.begun(app, "k", "body"))
    else {
        panic!("neither knows of the other's")
    };
    does(&instance.app, here).unwrap();
    assert!(matches!(does(&late, there), Err(Error::Store(StoreError::Answered))));
    assert_eq!(instance.store.tables().secrets.len(), 1);
    instance.assert_again(&[&instance.app, &late], &["k"]);
}
