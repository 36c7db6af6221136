//! When values may be in wrong hands: what is revoked, what is listed, and that
//! nothing slips through that was under way.

use std::collections::BTreeSet;
use std::sync::Arc;
use strongroom_core::access::{Denied, Means};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::app::{Ask, Error, GrantWish, NewKeyLink, NewRun, Revoked, Runs, Suspected};
use strongroom_core::events::EventKind;
use strongroom_core::rows::Proven;
use strongroom_core::runs::{Ended, Run};
use strongroom_core::text::KeyName;
use strongroom_core::tokens::Token;
use strongroom_core::{AgentId, ApiKeyId, KeyLinkId, Role, RunId, SecretId, StoreError, UserId};

use crate::instance::{Instance, Place, everything, named, new_run, replacing};
use crate::support::at_once;

/// A builder with two keys; two agents, each with a run by each of the keys.
struct Scene {
    instance: Instance,
    place: Place,
    secret: SecretId,
    starter: Ask,
    second_key: Ask,
    /// By the first key and the second, of the agent; then of the other agent.
    runs: [(Proven<Run>, Token); 4],
}

/// Few enough that each is named.
fn all(runs: Runs) -> BTreeSet<RunId> {
    assert_eq!(runs.newest.len(), usize::try_from(runs.count).unwrap());
    runs.newest
}

fn key_of(ask: &Ask) -> ApiKeyId {
    let Means::Key(key) = ask.caller.means else { panic!("no key") };
    key
}

impl Scene {
    fn new() -> Self {
        let instance = Instance::new();
        let (place, elsewhere) = (instance.agent(), instance.agent());
        let secret = instance.secret(&instance.owner, true, &[("A", "1"), ("B", "1")]);
        for place in [place, elsewhere] {
            instance.attach(&instance.owner, place, secret).unwrap();
        }
        let starter = instance.colleague(Role::Builder);
        let second_key = instance.by_key(&instance.key_for(starter.caller.user_id, everything())).unwrap();
        let runs = [(&starter, place), (&second_key, place), (&starter, elsewhere), (&second_key, elsewhere)]
            .map(|(by, place)| instance.started(by, place));
        Self { instance, place, secret, starter, second_key, runs }
    }

    fn panic(&self, by: &Ask, suspected: Suspected) -> Result<Revoked, Error> {
        self.instance.done(by, at_once(self.instance.app.panic(by, suspected)))
    }

    /// Which of the runs are good.
    fn good(&self) -> [bool; 4] {
        std::array::from_fn(|at| match self.instance.by_run(&self.runs[at].1) {
            Ok(_) => true,
            Err(Error::RunOver(Ended::Revoked)) => false,
            Err(error) => panic!("{error:?}"),
        })
    }

    fn id(&self, at: usize) -> RunId {
        self.runs[at].0.id
    }

    /// What is listed: revoked runs; and secrets, versions, names and runs of what was exposed.
    fn exposed(&self, by: &Ask, suspected: Suspected) -> (BTreeSet<RunId>, Vec<Exposure>) {
        let (runs, exposed) = at_once(self.instance.app.exposed(by, suspected, false)).unwrap();
        let exposure = exposed.into_iter().map(|exposed| Exposure {
            secret: (exposed.secret_id, exposed.version, exposed.owner),
            names: exposed.env_keys.iter().map(|key| key.as_str().to_owned()).collect(),
            runs: all(exposed.runs),
        });
        (all(runs), exposure.collect())
    }

    fn environment(&self, at: usize) -> Result<Vec<(String, String)>, Error> {
        self.instance.environment(&self.runs[at].1)
    }

    /// The same version to these runs.
    fn exposure(&self, version: u32, names: &[&str], runs: &[usize]) -> Exposure {
        Exposure {
            secret: (self.secret, version, None),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            runs: runs.iter().map(|at| self.id(*at)).collect(),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Exposure {
    secret: (SecretId, u32, Option<UserId>),
    names: Vec<String>,
    runs: BTreeSet<RunId>,
}

/// All four runs received version 1, the first version 2, too.
fn delivered() -> Scene {
    let scene = Scene::new();
    (0..4).for_each(|at| assert_eq!(scene.environment(at).unwrap().len(), 2));
    scene.instance.update(&scene.instance.owner, scene.secret, &replacing(&[("A", "2")]));
    assert_eq!(scene.environment(0).unwrap(), named(&[("A", "2")]));
    scene
}

#[test]
fn runs_are_listed_that_are_more_than_are_read_at_a_time() {
    let scene = Scene::new();
    // Every second one receives something.
    let runs: BTreeSet<_> = (0..600)
        .map(|_| scene.instance.started(&scene.starter, scene.place))
        .enumerate()
        .map(|(at, (run, token))| {
            assert!(at % 2 == 0 || scene.instance.environment(&token).is_ok());
            run.id
        })
        .collect();
    let suspected = Suspected::Agent(scene.place.0);
    scene.panic(&scene.instance.owner, suspected).unwrap();
    let (revoked, exposed) = scene.exposed(&scene.instance.owner, suspected);
    assert_eq!(revoked.len(), runs.len() + 2, "those of the scene, too");
    assert!(runs.is_subset(&revoked));
    let received: Vec<_> = runs.iter().copied().skip(1).step_by(2).collect();
    assert_eq!(exposed.len(), 1);
    assert_eq!(exposed[0].runs.iter().copied().collect::<Vec<_>>(), received);
}

#[test]
fn one_run_is_revoked_and_what_it_received_is_listed() {
    let scene = delivered();
    let suspected = Suspected::Run(scene.id(0));
    let revoked = scene.panic(&scene.starter, suspected).unwrap();
    assert_eq!((revoked.keys, revoked.links), (vec![], vec![]));
    assert_eq!(scene.good(), [false, true, true, true]);
    let listed = scene.exposed(&scene.starter, suspected);
    let both = vec![scene.exposure(1, &["A", "B"], &[0]), scene.exposure(2, &["A"], &[0])];
    assert_eq!(listed, (BTreeSet::from([scene.id(0)]), both));
    // Again, and by somebody else: the same.
    let events = scene.instance.store.tables().events.len();
    scene.panic(&scene.instance.owner, suspected).unwrap();
    assert_eq!(scene.exposed(&scene.instance.owner, suspected), listed);
    assert_eq!(scene.instance.store.tables().events.len(), events);
    assert_eq!(scene.instance.events(EventKind::RunRevoked).len(), 1);
}

#[test]
fn all_runs_of_an_agent_are_revoked_and_it_can_go_on() {
    let scene = delivered();
    let (owner, suspected) = (&scene.instance.owner, Suspected::Agent(scene.place.0));
    scene.panic(owner, suspected).unwrap();
    assert_eq!(scene.good(), [false, false, true, true]);
    let both = vec![scene.exposure(1, &["A", "B"], &[0, 1]), scene.exposure(2, &["A"], &[0])];
    let revoked = BTreeSet::from([scene.id(0), scene.id(1)]);
    assert_eq!(scene.exposed(owner, suspected), (revoked, both));
    let next = scene.instance.started(&scene.starter, scene.place);
    assert_eq!((next.0.generation, scene.instance.environment(&next.1).unwrap().len()), (1, 1));
    scene.panic(owner, suspected).unwrap();
    assert!(matches!(scene.instance.by_run(&next.1), Err(Error::RunOver(Ended::Revoked))));
}

#[test]
fn a_key_is_revoked_with_its_runs_and_with_what_it_promised() {
    let scene = delivered();
    let (instance, suspected) = (&scene.instance, Suspected::Key(key_of(&scene.starter)));
    let revoked = scene.panic(&scene.starter, suspected).unwrap();
    assert_eq!((revoked.keys, revoked.links), (vec![key_of(&scene.starter)], vec![]));
    assert_eq!(scene.good(), [false, true, false, true]);
    // The key that asked is gone; what it asked before is answered all the same.
    let (runs, exposed) = scene.exposed(&scene.starter, suspected);
    assert_eq!(runs, BTreeSet::from([scene.id(0), scene.id(2)]));
    assert_eq!(exposed, [scene.exposure(1, &["A", "B"], &[0, 2]), scene.exposure(2, &["A"], &[0])]);
    let again = scene.panic(&instance.owner, suspected).unwrap();
    assert_eq!((again.keys, again.links), (vec![], vec![]), "it is revoked");
    assert_eq!(scene.exposed(&instance.owner, suspected), (runs, exposed));
    // A link that was made with a key goes with it.
    let administrator = instance.colleague(Role::Administrator);
    let link = link_for(instance, &administrator, scene.starter.caller.user_id);
    let revoked = scene.panic(&instance.owner, Suspected::Key(key_of(&administrator))).unwrap();
    assert_eq!((revoked.keys, revoked.links), (vec![key_of(&administrator)], vec![link]));
}

fn link_for(instance: &Instance, by: &Ask, user: UserId) -> KeyLinkId {
    let grant = GrantWish { role: None, scopes: None, agents: None, networks: None, expires_at: None };
    let new = NewKeyLink { user, name: KeyName::parse("laptop").unwrap(), grant, valid_for: 60_000 };
    instance.done(by, at_once(instance.app.create_key_link(by, new))).unwrap().0.id
}

#[test]
fn a_user_loses_every_key_and_link_and_all_their_runs() {
    let scene = delivered();
    let (instance, user) = (&scene.instance, scene.starter.caller.user_id);
    let link = link_for(instance, &instance.owner, user);
    let others = instance.started(&instance.owner, scene.place).1;
    let suspected = Suspected::User(user);
    let revoked = scene.panic(&instance.owner, suspected).unwrap();
    assert_eq!(revoked.keys, [key_of(&scene.starter), key_of(&scene.second_key)]);
    assert_eq!(revoked.links, [link]);
    assert_eq!(scene.good(), [false; 4]);
    assert_eq!(instance.environment(&others).unwrap(), named(&[("A", "2")]), "another's run");
    let (runs, exposed) = scene.exposed(&instance.owner, suspected);
    assert_eq!(runs, (0..4).map(|at| scene.id(at)).collect());
    let both = [scene.exposure(1, &["A", "B"], &[0, 1, 2, 3]), scene.exposure(2, &["A"], &[0])];
    assert_eq!(exposed, both);
    let again = scene.panic(&instance.owner, suspected).unwrap();
    assert_eq!((again.keys, again.links), (vec![], vec![]));
    // They are a member still, and with a new key they begin anew.
    let anew = instance.by_key(&instance.key_for(user, everything())).unwrap();
    instance.environment(&instance.started(&anew, scene.place).1).unwrap();
}

#[test]
fn runs_that_were_over_are_not_revoked_but_what_they_received_is_listed() {
    let scene = delivered();
    let (instance, owner) = (&scene.instance, &scene.instance.owner);
    instance.done(owner, at_once(instance.app.stop_run(owner, scene.id(0)))).unwrap();
    let short = NewRun { lease: 10, ..new_run(scene.place.0) };
    let short = instance.start(&scene.starter, &short).unwrap();
    instance.environment(&short.1).unwrap();
    instance.clock.pass(10_000);
    let suspected = Suspected::Agent(scene.place.0);
    scene.panic(owner, suspected).unwrap();
    let (runs, exposed) = scene.exposed(owner, suspected);
    assert_eq!(runs, BTreeSet::from([scene.id(1)]), "neither the stopped nor the expired one");
    assert_eq!(exposed[0].runs, BTreeSet::from([scene.id(0), scene.id(1)]));
    assert_eq!(exposed[1].runs, BTreeSet::from([scene.id(0), short.0.id]));
    let refused = instance.by_run(&scene.runs[0].1);
    assert!(matches!(refused, Err(Error::RunOver(Ended::Stopped))), "it stays what it was");
}

#[test]
fn what_the_gone_received_is_listed_still() {
    let scene = delivered();
    let (instance, owner) = (&scene.instance, &scene.instance.owner);
    let user = scene.starter.caller.user_id;
    instance.done(owner, at_once(instance.app.delete_agent(owner, scene.place.0))).unwrap();
    let of_agent = [scene.exposure(1, &["A", "B"], &[0, 1]), scene.exposure(2, &["A"], &[0])];
    let events = instance.store.tables().events.len();
    scene.panic(owner, Suspected::Agent(scene.place.0)).unwrap();
    assert_eq!(instance.store.tables().events.len(), events, "there is nothing left to revoke");
    let (runs, exposed) = scene.exposed(owner, Suspected::Agent(scene.place.0));
    assert_eq!((runs.len(), exposed.as_slice()), (2, of_agent.as_slice()));
    instance.done(owner, at_once(instance.app.remove_member(owner, user))).unwrap();
    let revoked = scene.panic(owner, Suspected::User(user)).unwrap();
    assert_eq!(revoked.keys, [], "they went with the member");
    assert_eq!(scene.exposed(owner, Suspected::User(user)).1.len(), 2);
    // A secret that is gone for good is listed, and nobody's.
    instance.done(owner, at_once(instance.app.delete_secret(owner, scene.secret))).unwrap();
    let now = instance.now();
    assert_eq!(at_once(instance.app.purge(now)).unwrap().secrets, 1);
    assert_eq!(scene.exposed(owner, Suspected::Agent(scene.place.0)).1, of_agent);
}

#[test]
fn a_start_that_was_planned_before_fails() {
    let plan = |scene: &Scene| at_once(scene.instance.app.start_run(&scene.starter, &new_run(scene.place.0)));
    let scene = Scene::new();
    let (instance, starter) = (&scene.instance, &scene.starter);
    instance.done(starter, plan(&scene)).expect("the control");
    let runs = || instance.store.tables().runs.len();
    let before = runs();
    let planned = plan(&scene);
    scene.panic(&instance.owner, Suspected::Agent(scene.place.0)).unwrap();
    let late = instance.done(starter, planned).err();
    assert!(matches!(late, Some(Error::Store(StoreError::Changed))), "{late:?}");
    let planned = plan(&scene);
    scene.panic(&instance.owner, Suspected::Key(key_of(starter))).unwrap();
    let late = instance.done(starter, planned).err();
    assert!(matches!(late, Some(Error::NotProven)), "{late:?}");
    assert_eq!(runs(), before);
    let scene = Scene::new();
    let planned = plan(&scene);
    scene.panic(&scene.instance.owner, Suspected::User(scene.starter.caller.user_id)).unwrap();
    let late = scene.instance.done(&scene.starter, planned).err();
    assert!(matches!(late, Some(Error::NotProven)), "{late:?}");
    assert_eq!(scene.instance.store.tables().runs.len(), 4);
}

#[test]
fn what_was_being_delivered_is_not_delivered_and_not_listed() {
    for at in 0..4 {
        let scene = Scene::new();
        let suspected = [
            Suspected::Run(scene.id(0)),
            Suspected::Agent(scene.place.0),
            Suspected::Key(key_of(&scene.starter)),
            Suspected::User(scene.starter.caller.user_id),
        ][at];
        let (app, owner) = (Arc::clone(&scene.instance.app), scene.instance.owner.clone());
        let mut done = false;
        scene.instance.store.set_meanwhile(Box::new(move || {
            if !std::mem::replace(&mut done, true) {
                let planned = at_once(app.panic(&owner, suspected)).unwrap();
                at_once(app.carry_out(&owner, planned, None)).unwrap();
            }
            Ok(())
        }));
        let late = scene.environment(0);
        assert!(matches!(late, Err(Error::RunOver(Ended::Revoked))), "{suspected:?}: {late:?}");
        assert_eq!(scene.exposed(&scene.instance.owner, suspected).1, []);
    }
}

#[test]
fn nobody_panics_above_themselves() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let [administrator, manager, member] =
        [Role::Administrator, Role::Manager, Role::Member].map(|role| instance.colleague(role));
    let owners = instance.owner.caller.user_id;
    let owners_key = key_of(&instance.owner);
    for suspected in [Suspected::User(owners), Suspected::Key(owners_key)] {
        let refused = scene.panic(&administrator, suspected).err();
        assert!(matches!(refused, Some(Error::Denied(Denied::Above(_)))), "{suspected:?}: {refused:?}");
    }
    // Below an administrator, what isn't one's own is out of reach.
    let (starters, starters_key) = (scene.starter.caller.user_id, key_of(&scene.starter));
    for by in [&manager, &member] {
        for suspected in [
            Suspected::User(starters),
            Suspected::Key(starters_key),
            Suspected::Agent(scene.place.0),
            Suspected::Run(scene.id(0)),
        ] {
            let refused = scene.panic(by, suspected).err();
            let role = matches!(refused, Some(Error::Denied(Denied::Role(Role::Administrator))));
            let hidden = matches!(suspected, Suspected::Key(_))
                && matches!(refused, Some(Error::Denied(Denied::Invisible)));
            assert!(role || hidden, "{suspected:?}: {refused:?}");
        }
    }
    assert_eq!(scene.good(), [true; 4]);
    instance.by_key_id(owners_key).expect("the owner's key");
    // One's own is one's own, whatever the role.
    let (own_run, own_user) = (Suspected::Run(scene.id(1)), Suspected::User(starters));
    scene.panic(&scene.starter, own_run).unwrap();
    assert_eq!(scene.good(), [true, false, true, true]);
    assert_eq!(scene.panic(&scene.starter, own_user).unwrap().keys.len(), 2);
    // An administrator reaches all that is below, and any run.
    let owners_run = instance.started(&instance.owner, scene.place);
    scene.panic(&administrator, Suspected::User(member.caller.user_id)).unwrap();
    scene.panic(&administrator, Suspected::Run(owners_run.0.id)).unwrap();
    assert!(matches!(instance.by_run(&owners_run.1), Err(Error::RunOver(Ended::Revoked))));
}

impl Instance {
    /// A key that isn't revoked.
    fn by_key_id(&self, id: ApiKeyId) -> Option<ApiKey> {
        let tables = self.store.tables();
        tables
            .api_keys
            .iter()
            .map(|key| key.row().clone())
            .find(|key| key.id == id && key.revoked_at.is_none())
    }
}

#[test]
fn who_was_never_there_is_not_suspected() {
    let scene = Scene::new();
    let (owner, id) = (&scene.instance.owner, scene.instance.id());
    for suspected in [
        Suspected::Run(RunId::from_uuid(id)),
        Suspected::Agent(AgentId::from_uuid(id)),
        Suspected::Key(ApiKeyId::from_uuid(id)),
        Suspected::User(UserId::from_uuid(id)),
    ] {
        let refused = scene.panic(owner, suspected).err();
        assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))), "{suspected:?}: {refused:?}");
    }
}
