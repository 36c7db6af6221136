//! Policies of secrets: who sets them, that loosening one takes the values, and that a
//! secret which is for the broker only gets out by no other way.

use serde_json::{Value, json};
use strongroom_core::access::Denied;
use strongroom_core::app::{Ask, Error, NewRun};
use strongroom_core::events::EventKind;
use strongroom_core::health::SecretHint;
use strongroom_core::policies::{Policy, PolicySource, Rule};
use strongroom_core::rows::Proven;
use strongroom_core::secrets::{NewCopy, NewPolicy, Patch, Secret};
use strongroom_core::{Role, SecretId, SecretName, ServiceSlug};

use crate::instance::{Instance, bundle, named, new_run, replacing};
use crate::support::at_once;

/// A rule for what begins so at the shop's API.
fn under(path_prefix: &str) -> Value {
    json!({"host": "api.shop.example", "path_prefix": path_prefix, "placement": {"header": "x-key"}})
}

fn rules(rules: &[Value]) -> Vec<Rule> {
    rules.iter().map(|rule| serde_json::from_value(rule.clone()).unwrap()).collect()
}

fn new(given: &[Value], broker_only: bool) -> NewPolicy {
    NewPolicy { rules: rules(given), broker_only, values: None }
}

fn with_values(given: &[Value], broker_only: bool, values: &[(&str, &str)]) -> NewPolicy {
    NewPolicy { values: Some(bundle(values)), ..new(given, broker_only) }
}

fn set(instance: &Instance, by: &Ask, id: SecretId, policy: &NewPolicy) -> Result<Proven<Secret>, Error> {
    instance.done(by, at_once(instance.app.set_policy(by, id, policy)))
}

fn of(instance: &Instance, id: SecretId) -> Proven<Secret> {
    at_once(instance.app.policy(&instance.owner, id)).unwrap()
}

fn conflict<T>(refused: &Result<T, Error>) -> bool {
    matches!(refused, Err(Error::Conflict(_)))
}

/// A shared secret for the broker only, with what begins with `/v1/`.
fn kept(instance: &Instance) -> SecretId {
    let id = instance.secret(&instance.owner, true, &[("A", "1")]);
    set(instance, &instance.owner, id, &new(&[under("/v1/")], true)).unwrap();
    id
}

#[test]
fn a_policy_is_set_told_of_and_kept() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, instance.secret(&instance.owner, true, &[("A", "1")]));
    assert_eq!(of(&instance, id).policy_in_force(), (None, PolicySource::None));
    let policy = new(&[under("/v1/")], false);
    let after = set(&instance, owner, id, &policy).unwrap();
    let expected = Policy::new(policy.rules.clone(), false).unwrap();
    assert_eq!((after.policy.as_ref(), after.version), (Some(&expected), 1));
    assert_eq!(of(&instance, id).policy_in_force(), (Some(&expected), PolicySource::Own));
    let told = instance.events(EventKind::SecretPolicySet);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].object.id, told[0].object.mac), (Some(id.uuid()), Some(after.mac())));
    set(&instance, owner, id, &policy).unwrap();
    assert_eq!(instance.events(EventKind::SecretPolicySet).len(), 1, "it is so already");
    instance.update(owner, id, &Patch { name: SecretName::parse("Shop").ok(), ..Patch::default() });
    instance.update(owner, id, &replacing(&[("B", "2")]));
    instance.done(owner, at_once(instance.app.delete_secret(owner, id))).unwrap();
    instance.done(owner, at_once(instance.app.undelete_secret(owner, id))).unwrap();
    instance.update(owner, id, &Patch { shared: Some(false), ..Patch::default() });
    instance.update(owner, id, &Patch { shared: Some(true), ..Patch::default() });
    assert_eq!(of(&instance, id).policy, Some(expected));
}

#[test]
fn without_one_of_its_own_a_secret_has_its_services() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, instance.secret(&instance.owner, true, &[("A", "1")]));
    let slug = |slug| Patch { service_slug: Some(ServiceSlug::parse(slug).ok()), ..Patch::default() };
    instance.update(owner, id, &slug("stripe"));
    let secret = of(&instance, id);
    let (known, source) = secret.policy_in_force();
    assert_eq!(source, PolicySource::Service);
    assert_eq!(known.unwrap().rules()[0].host().as_str(), "api.stripe.com");
    assert!(secret.policy.is_none() && !secret.is_broker_only());
    set(&instance, owner, id, &new(&[], true)).unwrap();
    instance.update(owner, id, &slug("openai"));
    let secret = of(&instance, id);
    assert_eq!(secret.policy_in_force().1, PolicySource::Own, "another service changes nothing of it");
    assert!(secret.is_broker_only() && secret.policy_in_force().0.unwrap().rules().is_empty());
}

#[test]
fn who_may_change_a_secret_sets_its_policy_and_who_sees_it_reads_that() {
    let instance = Instance::new();
    let (owner, builder, manager) =
        (&instance.owner, instance.colleague(Role::Builder), instance.colleague(Role::Manager));
    let (shared, personal) =
        (instance.secret(owner, true, &[("A", "1")]), instance.secret(&builder, false, &[("A", "1")]));
    let policy = new(&[under("/")], false);
    let refused = set(&instance, &builder, shared, &policy);
    assert!(matches!(refused, Err(Error::Denied(Denied::Role(Role::Manager)))));
    assert!(at_once(instance.app.policy(&builder, shared)).is_ok());
    for other in [&manager, owner] {
        assert!(matches!(set(&instance, other, personal, &policy), Err(Error::Denied(Denied::Invisible))));
        let read = at_once(instance.app.policy(other, personal));
        assert!(matches!(read, Err(Error::Denied(Denied::Invisible))));
    }
    set(&instance, &manager, shared, &policy).unwrap();
    set(&instance, &builder, personal, &policy).unwrap();
}

#[test]
fn loosening_what_is_for_the_broker_only_takes_the_values() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, kept(&instance));
    for looser in [
        new(&[under("/v1/")], false),
        new(&[], false),
        new(&[under("/")], true),
        new(&[under("/v1/"), json!({"host": "shop.example", "placement": {"query": "key"}})], true),
    ] {
        let before = of(&instance, id).mac();
        assert!(conflict(&set(&instance, owner, id, &looser)));
        assert_eq!(of(&instance, id).mac(), before, "nothing changed");
    }
    // What isn't looser takes none.
    set(&instance, owner, id, &new(&[under("/v1/charges")], true)).unwrap();
    assert!(conflict(&set(&instance, owner, id, &new(&[under("/v1/")], true))), "nor back by a detour");
    set(&instance, owner, id, &new(&[], true)).unwrap();
    let loosened = set(&instance, owner, id, &with_values(&[under("/")], true, &[("B", "2")])).unwrap();
    assert_eq!((loosened.version, loosened.policy.as_ref().unwrap().oldest_version()), (2, 2));
    assert_eq!(loosened.env_keys.len(), 1);
    let told = instance.events(EventKind::SecretPolicySet);
    assert_eq!(told.last().unwrap().object.version, Some(2));
}

#[test]
fn values_are_taken_for_nothing_else() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, instance.secret(&instance.owner, true, &[("A", "1")]));
    let needless = |policy: &NewPolicy| matches!(set(&instance, owner, id, policy), Err(Error::Invalid(_)));
    assert!(needless(&with_values(&[under("/")], false, &[("A", "2")])), "it is for any run");
    assert!(needless(&with_values(&[], true, &[("A", "2")])), "it becomes narrower");
    set(&instance, owner, id, &new(&[under("/")], true)).unwrap();
    assert!(needless(&with_values(&[under("/v1/")], true, &[("A", "2")])));
    assert_eq!(of(&instance, id).version, 1);
}

#[test]
fn no_version_from_before_a_policy_was_loosened_comes_back() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, kept(&instance));
    let back = |number| instance.done(owner, at_once(instance.app.roll_back_secret(owner, id, number)));
    instance.update(owner, id, &replacing(&[("A", "2")]));
    assert_eq!(back(1).unwrap().version, 3, "under the policy that it was stored for");
    set(&instance, owner, id, &with_values(&[under("/")], false, &[("A", "mine")])).unwrap();
    for number in 1..=3 {
        assert!(conflict(&back(number)), "version {number}");
    }
    instance.update(owner, id, &replacing(&[("A", "5")]));
    assert_eq!(back(4).unwrap().version, 6);
    // Neither by a policy that is set later, nor by a copy.
    set(&instance, owner, id, &new(&[], true)).unwrap();
    set(&instance, owner, id, &with_values(&[], false, &[("A", "7")])).unwrap();
    set(&instance, owner, id, &new(&[under("/")], false)).unwrap();
    assert_eq!(of(&instance, id).policy.as_ref().unwrap().oldest_version(), 7);
    assert!(conflict(&back(1)) && conflict(&back(6)));
}

#[test]
fn a_copy_is_bound_as_its_source_is() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, kept(&instance));
    set(&instance, owner, id, &with_values(&[under("/")], true, &[("A", "2")])).unwrap();
    let new_copy = NewCopy { name: SecretName::parse("copy").unwrap(), shared: false };
    let copy = instance.done(owner, at_once(instance.app.copy_secret(owner, id, &new_copy))).unwrap();
    let expected = Policy::new(rules(&[under("/")]), true).unwrap();
    assert_eq!((copy.policy.as_ref(), copy.version), (Some(&expected), 1), "it has one version");
    assert!(conflict(&set(&instance, owner, copy.id, &new(&[under("/")], false))));
    let place = instance.agent();
    instance.attach(owner, place, copy.id).unwrap();
    let token = instance.started(owner, place).1;
    assert_eq!(instance.environment(&token).unwrap(), []);
}

#[test]
fn what_is_for_the_broker_only_is_in_no_environment() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let stays = instance.secret(owner, true, &[("A", "stays")]);
    let goes = instance.secret(owner, true, &[("A", "goes"), ("B", "goes")]);
    for id in [stays, goes] {
        instance.attach(owner, place, id).unwrap();
    }
    let (_, before) = instance.started(owner, place);
    assert_eq!(instance.environment(&before).unwrap(), named(&[("A", "goes"), ("B", "goes")]), "the control");
    let strict = NewRun { strict: true, ..new_run(place.0) };
    assert!(matches!(instance.start(owner, &strict), Err(Error::Collision(_))), "the control");
    set(&instance, owner, goes, &new(&[], true)).unwrap();
    let (noted, left) = (instance.noted(), named(&[("A", "stays")]));
    assert_eq!(instance.environment(&before).unwrap(), left, "also of a run that was started before");
    let (run, token) = instance.start(owner, &strict).expect("it collides with nothing");
    assert_eq!(instance.environment(&token).unwrap(), left);
    let parts: Vec<_> = run.composition.parts().iter().map(|part| part.secret_id).collect();
    assert_eq!(parts, [stays]);
    let delivered: Vec<_> = instance.noted().into_iter().skip(noted.len()).map(|(id, ..)| id).collect();
    assert_eq!(delivered, [stays, stays], "and none of it was noted");
}

#[test]
fn the_preview_tells_that_it_is_not_received_and_opens_nothing_of_it() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let plain = instance.secret(owner, true, &[("A", "1")]);
    let kept = instance.secret(owner, true, &[("A", "changeme"), ("B", "changeme")]);
    for id in [plain, kept] {
        instance.attach(owner, place, id).unwrap();
    }
    let preview = || at_once(instance.app.preview(owner, place.0, place.1)).unwrap();
    assert_eq!(preview().names.len(), 2, "the control");
    set(&instance, owner, kept, &new(&[], true)).unwrap();
    // A version that doesn't open shows that nobody tries.
    instance.store.tables().versions.retain(|version| version.secret_id != kept);
    let preview = preview();
    let names: Vec<_> = preview.names.iter().map(|name| (name.key.as_str(), name.secret_id)).collect();
    assert_eq!(names, [("A", plain)]);
    assert!(preview.names[0].over.is_empty() && preview.names[0].hints.is_empty());
    let hints = |id| preview.secrets.iter().find(|shown| shown.secret.id == id).unwrap().hints.clone();
    assert_eq!(hints(kept), [SecretHint::BrokerOnly]);
    assert_eq!(hints(plain), [SecretHint::NeverUsed]);
}

#[test]
fn a_guess_at_it_cant_be_compared() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, kept(&instance));
    let guess = instance.secret(owner, false, &[("A", "1")]);
    let other = instance.secret(owner, true, &[("A", "1")]);
    let compare = |a, b| instance.done(owner, at_once(instance.app.compare_secrets(owner, a, b)));
    assert!(compare(guess, other).is_ok(), "the control");
    let compared = instance.events(EventKind::SecretCompared).len();
    assert!(conflict(&compare(id, guess)) && conflict(&compare(guess, id)) && conflict(&compare(id, id)));
    assert_eq!(instance.events(EventKind::SecretCompared).len(), compared);
}

#[test]
fn sharing_it_or_editing_its_values_gives_none_away() {
    let instance = Instance::new();
    let owner = &instance.owner;
    let id = instance.secret(owner, false, &[("A", "1")]);
    set(&instance, owner, id, &new(&[under("/v1/")], true)).unwrap();
    instance.update(owner, id, &Patch { shared: Some(true), ..Patch::default() });
    let manager = instance.colleague(Role::Manager);
    assert!(conflict(&set(&instance, &manager, id, &new(&[under("/")], false))));
    // One value of its own doesn't open the way to the others.
    instance.update(&manager, id, &replacing(&[("A", "mine"), ("B", "mine")]));
    assert!(conflict(&set(&instance, &manager, id, &new(&[under("/")], false))));
    instance.update(&manager, id, &Patch { shared: Some(false), ..Patch::default() });
    assert!(conflict(&set(&instance, &manager, id, &new(&[under("/")], false))), "as their own neither");
    assert!(of_manager(&instance, &manager, id).is_broker_only());
}

fn of_manager(instance: &Instance, by: &Ask, id: SecretId) -> Proven<Secret> {
    at_once(instance.app.policy(by, id)).unwrap()
}

#[test]
fn a_policy_is_set_on_the_condition_that_the_secret_is_as_it_was() {
    let instance = Instance::new();
    let (owner, id) = (&instance.owner, instance.secret(&instance.owner, true, &[("A", "1")]));
    let seen = of(&instance, id);
    // Of two that were planned at a time, one is stored.
    let [first, second] =
        ["/a", "/b"].map(|path| at_once(instance.app.set_policy(owner, id, &new(&[under(path)], true))));
    instance.done(owner, first).unwrap();
    assert!(instance.done(owner, second).is_err());
    assert_ne!(of(&instance, id).mac(), seen.mac());
}

#[test]
fn a_policy_that_was_swapped_or_taken_away_is_found() {
    let instance = Instance::new();
    let id = kept(&instance);
    let forge = |policy: Option<Policy>| {
        let mut tables = instance.store.tables();
        let row = tables.secrets.iter_mut().find(|row| row.row().id == id).unwrap();
        let (secret, mac) = (Secret { policy, ..row.row().clone() }, row.mac());
        *row = strongroom_core::rows::Stored::unproven(secret, mac);
    };
    for forged in [None, Policy::new(vec![], false).ok(), Policy::new(rules(&[under("/v1/")]), false).ok()] {
        forge(forged);
        let read = at_once(instance.app.policy(&instance.owner, id));
        assert!(matches!(read, Err(Error::Integrity(_))));
    }
    assert!(at_once(instance.app.policy(&instance.owner, id)).is_err());
    forge(Policy::new(rules(&[under("/v1/")]), true).ok());
    assert!(at_once(instance.app.policy(&instance.owner, id)).is_ok(), "the control: as it was");
}
