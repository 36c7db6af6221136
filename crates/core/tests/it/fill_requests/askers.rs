//! Who sees a request and withdraws it, and that it ends with whoever asked.

use strongroom_core::access::Means;
use strongroom_core::app::{Ask, NewMember, Newcomer, Suspected};
use strongroom_core::fill_requests::Fate;
use strongroom_core::tokens::Token;
use strongroom_core::{ApiKeyId, Grant, Role, Scopes};

use super::{VALUES, invisible, not_proven};
use crate::instance::{Instance, Place, everything};
use crate::support::at_once;

/// A builder who asked by key, and by a run.
struct Scene {
    instance: Instance,
    place: Place,
    asker: Ask,
    session: Ask,
    run: Token,
}

impl Scene {
    fn new() -> Self {
        Self::in_team(false)
    }

    fn in_team(lets_links_fill: bool) -> Self {
        let instance = Instance::new();
        let place = instance.agent();
        instance.let_links_fill(lets_links_fill);
        let (asker, session) = instance.both(Role::Builder);
        let run = instance.started(&asker, place).1;
        Self { instance, place, asker, session, run }
    }

    fn by_run(&self) -> Ask {
        self.instance.by_run(&self.run).unwrap()
    }

    fn key(&self) -> ApiKeyId {
        let Means::Key(key) = self.asker.caller.means else { panic!("no key") };
        key
    }

    fn panic(&self, suspected: Suspected) {
        let owner = self.instance.owner_now();
        self.instance.done(&owner, at_once(self.instance.app.panic(&owner, suspected))).unwrap();
    }
}

#[test]
fn the_asker_and_who_may_fill_it_in_see_and_withdraw_it() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let same = instance.by_key(&instance.key_for(scene.asker.caller.user_id, everything())).unwrap();
    let [member, manager] = [Role::Member, Role::Manager].map(|role| instance.both(role));
    let [builder, administrator] = [Role::Builder, Role::Administrator].map(|role| instance.colleague(role));
    let owner = instance.owner_now();
    let low = Grant { role: Role::Member, ..everything() };
    let low = instance.by_key(&instance.key_for(manager.0.caller.user_id, low)).unwrap();
    let elsewhere = instance.other_team();
    let watchers = [
        (&scene.asker, true),
        (&same, true),
        (&scene.session, true),
        (&manager.0, true),
        (&manager.1, true),
        (&administrator, true),
        (&owner, true),
        (&member.0, false),
        (&builder, false),
        (&member.1, false),
        (&low, false),
        (&elsewhere, false),
    ];
    for asks in [scene.asker.clone(), scene.by_run(), scene.session.clone()] {
        for (by, may) in watchers {
            let id = instance.asked(&asks).0.id;
            let who = (by.caller.means, by.caller.grant.role);
            let seen = instance.seen(by, id);
            assert_eq!(seen.as_ref().ok(), may.then_some(&Fate::Open), "{who:?}");
            assert_eq!(instance.listed(by).contains(&id), may, "{who:?}");
            let cancelled = instance.cancel(by, id);
            assert_eq!(cancelled.is_ok(), may, "{who:?}");
            assert!(may || (invisible(&seen) && invisible(&cancelled)), "nothing is told: {who:?}");
            if !may {
                instance.cancel(&owner, id).unwrap();
            }
        }
    }
}

#[test]
fn a_run_sees_what_it_asked_for_itself() {
    let scene = Scene::new();
    let (instance, run) = (&scene.instance, scene.by_run());
    let another = instance.by_run(&instance.started(&scene.asker, scene.place).1).unwrap();
    let (own, by_key) = (instance.asked(&run).0, instance.asked(&scene.asker).0.id);
    assert_eq!(own.user_id, scene.asker.caller.user_id);
    let asking = own.run.unwrap();
    assert_eq!((asking.agent_id, asking.revision_id), scene.place);
    assert_eq!(own.key_id, Some(scene.key()));
    assert_eq!(instance.seen(&run, own.id).ok(), Some(Fate::Open));
    assert!(invisible(&instance.seen(&another, own.id)), "another run of the same");
    assert!(invisible(&instance.seen(&run, by_key)), "what its starter asked for");
    assert!(invisible(&instance.cancel(&run, own.id)), "it withdraws nothing");
    assert!(invisible(&at_once(instance.app.fill_requests(&run))), "and lists nothing");
    assert!(invisible(&instance.fill(&run, own.id, (&VALUES, false))), "nor fills anything in");
    let token = instance.asked(&run).1;
    let (agent, revision) = instance.link(token.reveal()).unwrap().asking.unwrap();
    assert_eq!((agent.name.as_str(), revision.unwrap().name.as_str()), ("courier", "first"));
}

#[test]
fn a_run_asks_also_right_after_its_lease_changed() {
    let scene = Scene::new();
    let instance = &scene.instance;
    instance.clock.hold();
    let before = scene.by_run();
    instance.clock.pass(1_000);
    instance.done(&before, at_once(instance.app.extend_run(&before, None))).unwrap();
    instance.asked(&before);
}

#[test]
fn a_key_asks_for_what_it_may_write_and_a_run_whatever_its_key_was_for() {
    let instance = Instance::new();
    let (place, user) = (instance.agent(), instance.member(Role::Builder));
    let starts = Grant {
        scopes: ["runs:start"].into_iter().filter_map(strongroom_core::Scope::from_name).collect(),
        ..everything()
    };
    let starter = instance.by_key(&instance.key_for(user, starts)).unwrap();
    assert!(instance.request(&starter, &super::new()).is_err());
    let run = instance.by_run(&instance.started(&starter, place).1).unwrap();
    let id = instance.asked(&run).0.id;
    assert_eq!(instance.seen(&run, id).ok(), Some(Fate::Open));
    let reads = Grant { scopes: Scopes::default(), ..everything() };
    let none = instance.by_key(&instance.key_for(user, reads)).unwrap();
    assert!(instance.seen(&none, id).is_err() && at_once(instance.app.fill_requests(&none)).is_err());
}

/// What ends the asker or what they asked with, and whether a request by their key, by
/// a run of it, and in a session can be filled in then.
type End = (&'static str, fn(&Scene), [bool; 3]);

const ENDS: [End; 12] = [
    ("nothing", |_| (), [true; 3]),
    (
        "the run is stopped",
        |scene| {
            let run = scene.by_run();
            scene.instance.done(&run, at_once(scene.instance.app.end_run(&run))).unwrap();
        },
        [true; 3],
    ),
    ("the run's time is over", |scene| scene.instance.clock.pass(3_600_000), [true; 3]),
    (
        "the key is revoked",
        |scene| {
            let owner = scene.instance.owner_now();
            let revoked = at_once(scene.instance.app.revoke_api_key(&owner, scene.key()));
            scene.instance.done(&owner, revoked).unwrap();
        },
        [false, false, true],
    ),
    (
        "panic on the run",
        |scene| {
            let Means::Run(run) = scene.by_run().caller.means else { panic!("no run") };
            scene.panic(Suspected::Run(run));
        },
        [true, false, true],
    ),
    ("panic on the agent", |scene| scene.panic(Suspected::Agent(scene.place.0)), [true, false, true]),
    ("panic on the key", |scene| scene.panic(Suspected::Key(scene.key())), [false, false, true]),
    ("panic on the user", |scene| scene.panic(Suspected::User(scene.asker.caller.user_id)), [false; 3]),
    (
        "the agent is deleted",
        |scene| {
            let owner = scene.instance.owner_now();
            scene
                .instance
                .done(&owner, at_once(scene.instance.app.delete_agent(&owner, scene.place.0)))
                .unwrap();
        },
        [true, false, true],
    ),
    ("the asker is disabled", |scene| scene.instance.disable(scene.asker.caller.user_id), [false; 3]),
    (
        "the asker is removed",
        |scene| {
            scene.instance.remove(&scene.instance.owner_now(), scene.asker.caller.user_id);
        },
        [false; 3],
    ),
    ("the team is deleted", |scene| scene.instance.delete_team(&scene.instance.owner_now()), [false; 3]),
];

#[test]
fn a_request_ends_with_whoever_asked() {
    for (what, end, stays) in ENDS {
        for by_link in [false, true] {
            let scene = Scene::in_team(by_link);
            let instance = &scene.instance;
            let askers = [scene.asker.clone(), scene.by_run(), scene.session.clone()];
            let asked = askers.each_ref().map(|by| instance.asked(by));
            let manager = instance.signed_in(&instance.colleague(Role::Manager));
            let opened = asked.each_ref().map(|(_, token)| instance.link(token.reveal()).unwrap());
            end(&scene);
            for (at, (request, token)) in asked.iter().enumerate() {
                let told = format!("{what}, asked in way {at}, by the link alone: {by_link}");
                assert_eq!(instance.opens_for_filling(token), stays[at], "{told}");
                let (by, shared) = match opened[at].alone() {
                    Some(alone) => (alone, false),
                    None => (&manager, true),
                };
                let filled = instance.fill(by, request.id, (&VALUES, shared));
                assert_eq!(filled.is_ok(), stays[at], "{told}: {:?}", filled.err());
            }
            assert_eq!(instance.secrets(), stays.iter().filter(|stays| **stays).count(), "{what}");
        }
    }
}

#[test]
fn a_request_does_not_live_again_with_its_asker() {
    let scene = Scene::new();
    let (instance, asker) = (&scene.instance, scene.asker.caller.user_id);
    let (request, token) = instance.asked(&scene.session);
    let owner = instance.owner_now();
    instance.remove(&owner, asker);
    let back = NewMember { who: Newcomer::Former(asker), role: Role::Builder };
    instance.done(&owner, at_once(instance.app.add_member(&owner, &back))).unwrap();
    assert!(!instance.opens_for_filling(&token));
    assert_eq!(instance.seen(&owner, request.id).ok(), Some(Fate::Cancelled));
    let key = instance.by_key(&instance.key_for(asker, everything())).unwrap();
    let (request, token) = instance.asked(&key);
    instance.change_role(&owner, asker, Role::Member);
    assert!(!instance.opens_for_filling(&token), "asked for with other rights");
    assert_eq!(instance.seen(&owner, request.id).ok(), Some(Fate::Cancelled));
}

#[test]
fn all_requests_of_somebody_are_withdrawn_however_many_others_there_are() {
    let scene = Scene::new();
    let (instance, asker) = (&scene.instance, scene.asker.caller.user_id);
    let (request, _) = instance.asked(&scene.session);
    // More than a page of others', all of which can be filled in longer.
    let other = instance.member(Role::Builder);
    for _ in 0..1_100 {
        let mut row = strongroom_core::fill_requests::FillRequest::clone(&request);
        (row.id, row.user_id) = (strongroom_core::FillRequestId::from_uuid(instance.id()), other);
        row.expires_at = strongroom_core::Timestamp::from_millis(row.expires_at.as_millis() + 1);
        let row = instance.sign(row);
        instance.store.tables().fill_requests.push(row);
    }
    scene.panic(Suspected::User(asker));
    assert_eq!(instance.seen(&instance.owner_now(), request.id).ok(), Some(Fate::Cancelled));
}

#[test]
fn whose_run_was_taken_away_behind_our_back_asks_for_nothing() {
    let scene = Scene::new();
    let (instance, run) = (&scene.instance, scene.by_run());
    let (request, token) = instance.asked(&run);
    let manager = instance.signed_in(&instance.colleague(Role::Manager));
    scene.panic(Suspected::Agent(scene.place.0));
    assert!(!instance.opens_for_filling(&token));
    instance.store.tables().runs.clear();
    assert!(!instance.opens_for_filling(&token));
    assert!(not_proven(&instance.fill(&manager, request.id, (&VALUES, true))));
}
