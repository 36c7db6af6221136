//! Runs whose values go by the broker: what they get in the place of values, what the broker is
//! told of them, since when it isn't any more, and what is recorded of what they asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use strongroom_core::access::{Denied, Means};
use strongroom_core::app::{
    Ask, BrokerAddress, Brokered, BrokeredRequest, Cause, Error, NewRun, SEALED_AT_ONCE, Sealer, StartedRun,
    Suspected, Wrong,
};
use strongroom_core::audit::{Broken, line};
use strongroom_core::events::{Actor, EventKind, Place as EventPlace, Recorded};
use strongroom_core::requests::{MOST_PATH, Requested, RequestedText};
use strongroom_core::runs::{Ended, RunMode};
use strongroom_core::tokens::Token;
use strongroom_core::{Role, SecretId};
use uuid::Uuid;

use crate::instance::{Instance, Place, new_run, replacing};
use crate::support::at_once;

const GENERIC: &str = "srp_";

fn address() -> BrokerAddress {
    BrokerAddress { url: "https://127.0.0.1:7481".to_owned(), ca: "a certificate".to_owned() }
}

/// A builder's run by the broker, with a secret of the team's and one of their own.
struct Scene {
    instance: Instance,
    place: Place,
    starter: Ask,
    shared: SecretId,
    own: SecretId,
    started: StartedRun,
}

fn new_brokered((agent, _): Place) -> NewRun {
    NewRun { mode: RunMode::Broker, ..new_run(agent) }
}

fn start(instance: &Instance, by: &Ask, place: Place) -> Result<StartedRun, Error> {
    instance.done(by, at_once(instance.app.start_run(by, &new_brokered(place))))
}

impl Scene {
    fn new() -> Self {
        let instance = Instance::with(|app| app.with_broker(Some(address())));
        let (place, starter) = (instance.agent(), instance.colleague(Role::Builder));
        let shared = instance.secret(&instance.owner, true, &[("A", "shared a"), ("STRIPE_KEY", "sk")]);
        let own = instance.secret(&starter, false, &[("A", "own a")]);
        instance.attach(&instance.owner, place, shared).unwrap();
        instance.attach(&starter, place, own).unwrap();
        let run = start(&instance, &starter, place).unwrap();
        Self { instance, place, starter, shared, own, started: run }
    }

    fn token(&self) -> &Token {
        self.started.broker_token.as_ref().unwrap()
    }

    fn brokered(&self) -> Result<Arc<Brokered>, Error> {
        brokered(&self.instance, self.token())
    }

    /// The values that the broker opens of a secret.
    #[expect(clippy::disallowed_methods, reason = "values of a test")]
    fn opened(&self, secret: SecretId) -> Vec<String> {
        let brokered = self.brokered().unwrap();
        let secret = brokered.secrets.iter().find(|one| one.id == secret).unwrap();
        let bundle = at_once(self.instance.app.open_brokered(&brokered, secret, &Cause::default())).unwrap();
        bundle.into_entries().iter().map(|(_, value)| value.reveal().to_owned()).collect()
    }
}

fn brokered(instance: &Instance, token: &Token) -> Result<Arc<Brokered>, Error> {
    let token = instance.app.broker_token(token.reveal())?;
    at_once(instance.app.brokered(&token, None, &Cause::default()))
}

#[test]
fn without_a_broker_no_run_goes_by_one() {
    let instance = Instance::new();
    let place = instance.agent();
    let refused = start(&instance, &instance.owner, place).err();
    assert!(matches!(refused, Some(Error::Conflict(says)) if says.contains("--broker-listen")));
    assert!(instance.store.tables().runs.is_empty());
}

#[test]
fn a_run_gets_the_same_names_and_what_stands_for_their_values() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let got = instance.environment(&scene.started.token).unwrap();
    let names: Vec<_> = got.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["A", "STRIPE_KEY"]);
    assert!(got[0].1.starts_with(GENERIC) && got[1].1.starts_with("sk_live_"), "{got:?}");
    assert_eq!(instance.environment(&scene.started.token).unwrap(), got, "derived, and so the same again");
    assert_eq!(instance.noted(), [], "nothing was delivered");
    assert!(instance.events(EventKind::SecretDelivered).is_empty());
    let brokered = scene.brokered().unwrap();
    let stands =
        |secret, text: &str| brokered.placeholders.iter().any(|p| p.secret_id == secret && p.text == text);
    assert!(stands(scene.own, &got[0].1), "the winner's");
    assert!(stands(scene.shared, &got[1].1));
    assert_eq!(brokered.placeholders.len(), 3, "of each value, also one that won no name");
    // The same values in an inject run: the control.
    let inject = instance.started(&scene.starter, scene.place).1;
    assert_eq!(instance.environment(&inject).unwrap()[0].1, "own a");
}

#[test]
fn no_two_values_of_runs_have_the_same_placeholder_and_none_is_a_piece_of_another() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let mut all = Vec::new();
    for _ in 0..40 {
        let token = start(instance, &scene.starter, scene.place).unwrap().broker_token.unwrap();
        let brokered = brokered(instance, &token).unwrap();
        all.extend(brokered.placeholders.iter().map(|one| one.text.clone()));
    }
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 40 * 3);
    for (at, one) in all.iter().enumerate() {
        assert!(all.iter().enumerate().all(|(other, text)| other == at || !text.contains(one)), "{one}");
    }
}

#[test]
fn each_token_is_good_for_its_own_and_nothing_else() {
    let scene = Scene::new();
    let (instance, app) = (&scene.instance, &scene.instance.app);
    let not_proven =
        |refused: Option<Error>| assert!(matches!(refused, Some(Error::NotProven)), "{refused:?}");
    not_proven(instance.by_run(scene.token()).err());
    not_proven(instance.by_key(scene.token()).err());
    not_proven(instance.by_link(scene.token()).err());
    not_proven(instance.by_session(scene.token()).err());
    not_proven(brokered(instance, &scene.started.token).err());
    // Of a run that has no broker, and one that somebody made up for its id.
    let inject = instance.started(&scene.starter, scene.place).0;
    for id in [inject.id, scene.started.run.id, strongroom_core::RunId::from_uuid(Uuid::from_u128(1))] {
        let kind = strongroom_core::tokens::TokenKind::Broker;
        let forged = Token::mint(kind, id.uuid(), &strongroom_core::OsRandom);
        not_proven(brokered(instance, &forged).err());
    }
    not_proven(app.broker_token("srb_").err());
    scene.brokered().expect("the control");
}

/// Ends a scene's run.
type End = fn(&Scene);

#[test]
fn what_ends_a_run_ends_it_for_the_broker_at_once() {
    let ends: [(&str, End); 4] = [
        ("stopped", |scene| {
            let id = scene.started.run.id;
            scene
                .instance
                .done(&scene.starter, at_once(scene.instance.app.stop_run(&scene.starter, id)))
                .unwrap();
        }),
        ("revoked", |scene| panic(scene, Suspected::Run(scene.started.run.id))),
        ("agent", |scene| panic(scene, Suspected::Agent(scene.place.0))),
        ("key", |scene| {
            let Means::Key(key) = scene.starter.caller.means else { panic!("a key") };
            panic(scene, Suspected::Key(key));
        }),
    ];
    for (name, end) in ends {
        let scene = Scene::new();
        scene.instance.clock.hold();
        scene.brokered().unwrap();
        end(&scene);
        let refused = scene.brokered().err();
        let expected = if name == "stopped" { Ended::Stopped } else { Ended::Revoked };
        assert!(matches!(refused, Some(Error::RunOver(ended)) if ended == expected), "{name}: {refused:?}");
        assert!(scene.instance.environment(&scene.started.token).is_err(), "{name}");
    }
}

fn panic(scene: &Scene, suspected: Suspected) {
    let owner = scene.instance.owner_now();
    scene.instance.done(&owner, at_once(scene.instance.app.panic(&owner, suspected))).unwrap();
}

#[test]
fn a_lease_ends_for_the_broker_when_it_ends_also_within_the_moment_that_is_kept() {
    let scene = Scene::new();
    scene.instance.clock.hold();
    scene.brokered().unwrap();
    scene.instance.clock.pass(3_600_000 - 1);
    scene.brokered().unwrap();
    scene.instance.clock.pass(1);
    assert!(matches!(scene.brokered().err(), Some(Error::RunOver(Ended::Expired))));
}

#[test]
fn what_somebody_else_wrote_counts_within_a_second_and_not_before_a_moment_is_over() {
    let scene = Scene::new();
    scene.instance.clock.hold();
    let (one, again) = (scene.brokered().unwrap(), scene.brokered().unwrap());
    assert!(Arc::ptr_eq(&one, &again), "it costs nothing when nothing changed");
    // Another server deletes the membership behind the run.
    scene
        .instance
        .alter_membership(scene.starter.caller.user_id, |row| row.removed_at = Some(scene.instance.now()));
    scene.brokered().expect("not asked again within the moment");
    scene.instance.clock.go_on(1);
    assert!(matches!(scene.brokered().err(), Some(Error::RunOver(Ended::Revoked))));
}

#[test]
fn a_secret_s_change_counts_from_the_next_request_on() {
    let scene = Scene::new();
    let instance = &scene.instance;
    instance.clock.hold();
    assert_eq!(scene.opened(scene.own), ["own a"]);
    let before = scene.brokered().unwrap();
    instance.update(&scene.starter, scene.own, &replacing(&[("A", "newer a"), ("B", "newer b")]));
    assert_eq!(scene.opened(scene.own), ["newer a", "newer b"]);
    let after = scene.brokered().unwrap();
    assert_eq!(after.placeholders.len(), 4);
    assert!(before.placeholders.iter().all(|one| after.placeholders.contains(one)), "those of before stand");
    instance.done(&scene.starter, at_once(instance.app.delete_secret(&scene.starter, scene.own))).unwrap();
    let ids: Vec<_> = scene.brokered().unwrap().secrets.iter().map(|secret| secret.id).collect();
    assert_eq!(ids, [scene.shared]);
}

#[test]
fn the_broker_opens_what_is_the_run_s_and_nothing_else() {
    let scene = Scene::new();
    let instance = &scene.instance;
    assert_eq!(scene.opened(scene.shared), ["shared a", "sk"]);
    let other = instance.secret(&instance.owner, true, &[("A", "another")]);
    let place = instance.agent();
    instance.attach(&instance.owner, place, other).unwrap();
    let theirs = start(instance, &instance.owner, place).unwrap().broker_token.unwrap();
    let theirs = brokered(instance, &theirs).unwrap();
    let (own, cause) = (scene.brokered().unwrap(), Cause::default());
    let refused = at_once(instance.app.open_brokered(&own, &theirs.secrets[0], &cause)).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))));
}

#[test]
fn a_strict_run_gets_no_two_of_a_name() {
    let scene = Scene::new();
    let new = NewRun { strict: true, ..new_brokered(scene.place) };
    let refused = at_once(scene.instance.app.start_run(&scene.starter, &new)).err();
    assert!(matches!(refused, Some(Error::Collision(names)) if names == "A"));
}

fn asked(path: &str, ended: bool) -> Requested<'_> {
    Requested {
        rule: Some(1),
        scheme: "https".into(),
        host: "api.example.com".into(),
        port: 443,
        method: "POST".into(),
        path: path.into(),
        status: ended.then_some(201),
        sent: 12,
        received: 340,
        millis: 99,
        refused: None,
        ended,
    }
}

fn request(
    instance: &Instance,
    brokered: &Arc<Brokered>,
    secret: Option<(SecretId, u32)>,
    requested: &Requested<'_>,
) -> BrokeredRequest {
    let (at, brokered) = (instance.now(), Arc::clone(brokered));
    BrokeredRequest { brokered, request_id: Uuid::from_u128(9), at, secret, requested: requested.text() }
}

#[test]
fn a_request_is_told_of_with_who_made_it_and_what_went_in() {
    let scene = Scene::new();
    let (instance, brokered) = (&scene.instance, scene.brokered().unwrap());
    let request = |secret, requested: Requested<'_>| request(instance, &brokered, secret, &requested);
    let long = "é".repeat(MOST_PATH + 1);
    let requests = vec![
        request(Some((scene.own, 1)), asked("/v1", true)),
        request(
            None,
            Requested { refused: Some("no_rule".into()), status: None, rule: None, ..asked(&long, true) },
        ),
    ];
    at_once(instance.app.record_requests(&requests)).unwrap();
    let events = instance.events(EventKind::RunRequested);
    let run = &scene.started.run;
    let actor = Actor {
        user_id: Some(scene.starter.caller.user_id),
        key_id: Some(run.key_id),
        run_id: Some(run.id),
        session_id: None,
    };
    let place = EventPlace { agent_id: Some(scene.place.0), revision_id: Some(scene.place.1) };
    for event in &events {
        assert_eq!((event.actor, event.place, event.team_id), (actor, place, Some(run.team_id)));
        assert_eq!(event.request_id, Some(Uuid::from_u128(9)));
    }
    let objects: Vec<_> =
        events.iter().map(|event| (event.object.table, event.object.id, event.object.version)).collect();
    assert_eq!(objects, [("secrets", Some(scene.own.uuid()), Some(1)), ("runs", Some(run.id.uuid()), None)]);
    assert_eq!(events[1].requested.as_ref().unwrap().read().path.chars().count(), MOST_PATH);
    seen(&scene);
}

/// Whoever sees what a run received sees what it asked for.
fn seen(scene: &Scene) {
    let (instance, id) = (&scene.instance, scene.started.run.id);
    let list = |by: &Ask, before, limit| at_once(instance.app.run_requests(by, id, before, limit));
    let first = list(&scene.starter, None, 1).unwrap();
    let second = list(&scene.starter, first.next, 1).unwrap();
    assert_eq!((first.events.len(), second.events.len(), second.next), (1, 1, None));
    assert_eq!(second.events[0].requested, Some(asked("/v1", true).text()));
    let told = line::of(&second.events[0]);
    let end = r#","requested":{"rule":1,"scheme":"https","host":"api.example.com","port":443,"method":"POST","path":"/v1","status":201,"sent":12,"received":340,"millis":99,"ended":true}}"#;
    assert!(told.ends_with(end), "{told}");
    // As it is stored: the same said in other words is another leaf.
    let other = RequestedText::from_stored(&asked("/v1", true).text().as_str().replace("/v1", "\\/v1"));
    let altered = Recorded { requested: other, ..second.events[0].clone() };
    assert_eq!(altered.requested.as_ref().unwrap().read(), asked("/v1", true));
    assert_ne!(line::of(&altered), told);
    assert_eq!(list(&instance.colleague(Role::Manager), None, 9).unwrap().events.len(), 2);
    let builder = list(&instance.colleague(Role::Builder), None, 9).err();
    assert!(matches!(builder, Some(Error::Denied(Denied::Role(Role::Manager)))), "{builder:?}");
}

#[test]
fn requests_become_leaves_as_they_were_recorded() {
    let scene = Scene::new();
    let (instance, brokered) = (&scene.instance, scene.brokered().unwrap());
    let told = |count: usize| {
        let request = |number| request(instance, &brokered, None, &asked(&format!("/{number}"), true));
        at_once(instance.app.record_requests(&(0..count).map(request).collect::<Vec<_>>())).unwrap();
    };
    let other = || instance.secret(&instance.owner, true, &[("B", "another")]);
    let mut sealer = Sealer::default();
    let mut seal = || {
        while at_once(instance.app.seal_events(&mut sealer)).unwrap().unwrap().events > 0 {}
        let seen = at_once(instance.app.verify_events(Vec::new(), |_| {})).unwrap();
        (seen.leaves == instance.store.tables().events.len() as u64, seen.wrong)
    };
    // Between others, by turns, and more of them than are kept for the sealer, or sealed at once.
    for counts in [vec![1], vec![3, 2], vec![1, 0, 4], vec![SEALED_AT_ONCE as usize + 1; 5], vec![7]] {
        for count in counts {
            told(count);
            other();
        }
        assert_eq!(seal(), (true, vec![]));
    }
    told(3);
    let (first, was) = {
        let mut tables = instance.store.tables();
        let at = tables.events.len() - 2;
        let requested = &mut tables.events[at].requested;
        (at, requested.replace(asked("/another", true).text()))
    };
    assert_eq!(seal(), (true, vec![Wrong::Altered(first as u64)]));
    instance.store.tables().events[first].requested = was;
    assert_eq!(seal(), (true, vec![]));
}

#[test]
fn requests_are_kept_until_they_are_sealed() {
    let scene = Scene::new();
    let (instance, brokered) = (&scene.instance, scene.brokered().unwrap());
    let mut sealer = Sealer::default();
    at_once(instance.app.seal_events(&mut sealer)).unwrap();
    at_once(instance.app.record_requests(&[request(instance, &brokered, None, &asked("/", true))])).unwrap();
    // A sealing that fails doesn't make way for others' words.
    instance.store.tables().head.as_mut().unwrap().note.insert(0, 'x');
    assert!(matches!(at_once(instance.app.seal_events(&mut sealer)), Err(Broken::Tree)));
    {
        let mut tables = instance.store.tables();
        tables.events.last_mut().unwrap().requested = Some(asked("/x", true).text());
        tables.head.as_mut().unwrap().note.remove(0);
    }
    let done = at_once(instance.app.seal_events(&mut sealer)).unwrap().unwrap();
    let wrong = at_once(instance.app.verify_events(Vec::new(), |_| {})).unwrap().wrong;
    assert_eq!((done.events, wrong), (1, vec![Wrong::Altered(done.head.size - 1)]));
}
