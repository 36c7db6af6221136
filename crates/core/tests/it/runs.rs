//! Runs from their start to their end: what they receive, how long they are
//! good, and everything that ends them.

use std::net::IpAddr;
use strongroom_core::access::{Denied, Means};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::app::{Ask, Cause, Error, NewRun, Planned, Suspected};
use strongroom_core::environment::{Composition, Part};
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::rows::{Proven, Stored};
use strongroom_core::runs::{Ended, Run};
use strongroom_core::secrets::{Edit, Filter, Patch};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{Grant, OsRandom, Role, Scope, Scopes, Timestamp};
use uuid::Uuid;

use crate::independent;
use crate::instance::{Instance, Place, bundle, env_key, everything, named, new_run, replacing};
use crate::support::at_once;

fn sharing(shared: bool) -> Patch {
    Patch { shared: Some(shared), ..Patch::default() }
}

/// What became of a run, by what its token is told.
fn over(instance: &Instance, token: &Token) -> Option<Ended> {
    match instance.by_run(token) {
        Ok(_) => None,
        Err(Error::RunOver(ended)) => Some(ended),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_run_receives_the_values_of_what_is_attached() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let first = instance.secret(owner, true, &[("A", "1"), ("B", "2")]);
    let second = instance.secret(owner, false, &[("C", "3")]);
    instance.secret(owner, true, &[("D", "not attached")]);
    let empty = instance.started(owner, place).1;
    for secret in [first, second] {
        instance.attach(owner, place, secret).unwrap();
    }
    let (run, token) = instance.started(owner, place);
    assert_eq!(instance.environment(&token).unwrap(), named(&[("A", "1"), ("B", "2"), ("C", "3")]));
    assert_eq!(instance.environment(&empty).unwrap(), []);
    assert_eq!((run.agent_id, run.revision_id, run.generation), (place.0, place.1, 0));
    assert_eq!((run.user_id, run.lease), (owner.caller.user_id, 3_600));
}

#[test]
fn personal_beats_shared_and_later_beats_earlier_in_what_is_received() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let personal = instance.secret(owner, false, &[("A", "personal")]);
    let later = instance.secret(owner, true, &[("B", "later"), ("C", "later")]);
    let earlier = instance.secret(owner, true, &[("A", "earlier"), ("B", "earlier")]);
    // Created later, attached earlier: only that counts.
    for secret in [personal, earlier, later] {
        instance.attach(owner, place, secret).unwrap();
    }
    let (run, token) = instance.started(owner, place);
    let owners = named(&[("A", "personal"), ("B", "later"), ("C", "later")]);
    assert_eq!(instance.environment(&token).unwrap(), owners);
    let part =
        |secret_id, won: &[&str]| Part { secret_id, won: won.iter().map(|key| env_key(key)).collect() };
    let parts = [part(personal, &["A"]), part(later, &["B", "C"]), part(earlier, &[])];
    assert_eq!(run.composition.parts(), parts, "each winner is written down");
    let (run, token) = instance.started(&instance.colleague(Role::Builder), place);
    let colleagues = named(&[("A", "earlier"), ("B", "later"), ("C", "later")]);
    assert_eq!(instance.environment(&token).unwrap(), colleagues, "nobody else's personal secret");
    assert_eq!(run.composition.parts(), [part(later, &["B", "C"]), part(earlier, &["A"])]);
    // Attached anew, it is the later one.
    instance.detach(owner, place, earlier).unwrap();
    instance.attach(owner, place, earlier).unwrap();
    let token = instance.started(owner, place).1;
    let owners = named(&[("A", "personal"), ("B", "earlier"), ("C", "later")]);
    assert_eq!(instance.environment(&token).unwrap(), owners);
}

#[test]
fn a_strict_run_takes_no_two_of_a_name_neither_at_its_start_nor_later() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let [one, other] = [[("A", "1"), ("B", "1")], [("B", "2"), ("C", "2")]]
        .map(|values| instance.secret(owner, true, &values));
    for secret in [one, other] {
        instance.attach(owner, place, secret).unwrap();
    }
    let strict = NewRun { strict: true, ..new_run(place.0) };
    let refused = instance.start(owner, &strict);
    assert!(matches!(&refused, Err(Error::Collision(names)) if names == "B"), "{:?}", refused.err());
    instance.start(owner, &new_run(place.0)).expect("the control: not strict");
    let renaming = |from: &str, to: &str| {
        let (rename, remove) = (vec![(env_key(from), env_key(to))], vec![]);
        Patch { values: Edit::Change { rename, remove, add: bundle(&[]) }, ..Patch::default() }
    };
    instance.update(owner, other, &renaming("B", "X"));
    let token = instance.start(owner, &strict).unwrap().1;
    let apart = named(&[("A", "1"), ("B", "1"), ("C", "2"), ("X", "2")]);
    assert_eq!(instance.environment(&token).unwrap(), apart);
    let noted = instance.noted();
    instance.update(owner, other, &renaming("X", "B"));
    let refused = instance.environment(&token);
    assert!(matches!(&refused, Err(Error::Collision(names)) if names == "B"), "{refused:?}");
    assert_eq!(instance.noted(), noted, "nothing left");
    instance.update(owner, other, &renaming("B", "X"));
    assert_eq!(instance.environment(&token).unwrap(), apart);
}

#[test]
fn the_secrets_are_those_of_the_start_and_the_values_the_present_ones() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let [changed, detached, added] =
        ["CHANGED", "DETACHED", "ADDED"].map(|name| instance.secret(owner, true, &[(name, "1")]));
    instance.attach(owner, place, changed).unwrap();
    instance.attach(owner, place, detached).unwrap();
    let token = instance.started(owner, place).1;
    instance.detach(owner, place, detached).unwrap();
    instance.attach(owner, place, added).unwrap();
    instance.update(owner, changed, &replacing(&[("CHANGED", "2"), ("NEW", "2")]));
    let present = named(&[("CHANGED", "2"), ("DETACHED", "1"), ("NEW", "2")]);
    assert_eq!(instance.environment(&token).unwrap(), present);
    let next = instance.started(owner, place).1;
    let those_of_now = named(&[("ADDED", "1"), ("CHANGED", "2"), ("NEW", "2")]);
    assert_eq!(instance.environment(&next).unwrap(), those_of_now);
    instance.done(owner, at_once(instance.app.delete_secret(owner, changed))).unwrap();
    assert_eq!(instance.environment(&token).unwrap(), named(&[("DETACHED", "1")]));
    instance.done(owner, at_once(instance.app.undelete_secret(owner, changed))).unwrap();
    assert_eq!(instance.environment(&token).unwrap(), present);
}

#[test]
fn a_secret_that_is_somebody_elses_by_now_is_not_received() {
    let instance = Instance::new();
    let (owner, place, builder) = (&instance.owner, instance.agent(), instance.colleague(Role::Builder));
    let secret = instance.secret(owner, true, &[("A", "1")]);
    instance.attach(owner, place, secret).unwrap();
    let [theirs, ours] = [&builder, owner].map(|by| instance.started(by, place).1);
    instance.update(owner, secret, &sharing(false));
    assert_eq!(instance.environment(&theirs).unwrap(), []);
    assert_eq!(instance.environment(&ours).unwrap(), named(&[("A", "1")]), "the control");
    instance.update(owner, secret, &sharing(true));
    assert_eq!(instance.environment(&theirs).unwrap(), named(&[("A", "1")]));
}

#[test]
fn a_lease_ends_by_the_clock_and_can_be_extended_before() {
    let instance = Instance::new();
    let (owner, (agent, _)) = (&instance.owner, instance.agent());
    let (run, token) = instance.start(owner, &NewRun { lease: 10, ..new_run(agent) }).unwrap();
    let lease = |lease| {
        let by_run = instance.by_run(&token)?;
        let extended = instance.done(&by_run, at_once(instance.app.extend_run(&by_run, lease)))?;
        Ok::<_, Error>(extended.run.expires_at.as_millis() - run.created_at.as_millis())
    };
    assert_eq!(run.expires_at.as_millis() - run.created_at.as_millis(), 10_000);
    instance.clock.pass(9_999);
    assert_eq!(over(&instance, &token), None);
    assert_eq!(lease(None).unwrap(), 19_999, "what it was started with, from now on");
    assert_eq!(lease(Some(60)).unwrap(), 69_999);
    assert_eq!(lease(Some(10)).unwrap(), 69_999, "what was promised stays so");
    instance.clock.pass(59_999);
    let by_run = instance.by_run(&token).unwrap();
    instance.clock.pass(1);
    assert_eq!(over(&instance, &token), Some(Ended::Expired));
    assert!(matches!(lease(None), Err(Error::RunOver(Ended::Expired))));
    // Proven a moment ago, and over by now.
    let late = at_once(instance.app.extend_run(&by_run, None));
    assert!(matches!(late.err(), Some(Error::RunOver(Ended::Expired))));
    let rows = at_once(instance.app.run(owner, run.id)).unwrap();
    assert_eq!(rows.ended_at(instance.now()), Some(rows.run.expires_at));
}

#[test]
fn a_lease_does_not_outlive_its_key() {
    let instance = Instance::new();
    let (place, end) = (instance.agent(), instance.now().as_millis() + 5_000);
    let grant = Grant { expires_at: Some(Timestamp::from_millis(end)), ..everything() };
    let by_key = instance.by_key(&instance.key_for(instance.member(Role::Builder), grant)).unwrap();
    let (run, token) = instance.started(&by_key, place);
    assert_eq!(run.expires_at.as_millis(), end);
    let short = instance.start(&by_key, &NewRun { lease: 4, ..new_run(place.0) }).unwrap().0;
    assert_eq!(short.expires_at.as_millis(), end - 1_000, "the control");
    let by_run = instance.by_run(&token).unwrap();
    let extended = at_once(instance.app.extend_run(&by_run, Some(60))).unwrap();
    assert_eq!(instance.done(&by_run, Ok(extended)).unwrap().run.expires_at.as_millis(), end);
    instance.clock.pass(5_000);
    assert_eq!(over(&instance, &token), Some(Ended::Expired));
}

#[test]
fn a_run_is_stopped_by_itself_by_its_starter_or_by_a_manager() {
    let instance = Instance::new();
    let (place, starter) = (instance.agent(), instance.colleague(Role::Builder));
    let start = || instance.started(&starter, place);
    let stop = |by: &Ask, run: &Run| instance.done(by, at_once(instance.app.stop_run(by, run.id)));
    let (run, token) = start();
    let builder = instance.colleague(Role::Builder);
    assert!(matches!(stop(&builder, &run), Err(Error::Denied(Denied::Role(Role::Manager)))));
    assert_eq!(over(&instance, &token), None);
    stop(&instance.colleague(Role::Manager), &run).unwrap();
    assert_eq!(over(&instance, &token), Some(Ended::Stopped));
    let written = instance.store.tables().events.len();
    stop(&starter, &run).expect("it is so already");
    assert_eq!(instance.store.tables().events.len(), written, "nothing is done twice");
    let (run, token) = start();
    stop(&starter, &run).unwrap();
    assert_eq!(over(&instance, &token), Some(Ended::Stopped));
    let (run, token) = start();
    let by_run = instance.by_run(&token).unwrap();
    instance.done(&by_run, at_once(instance.app.end_run(&by_run))).unwrap();
    assert_eq!(over(&instance, &token), Some(Ended::Stopped));
    let again = at_once(instance.app.end_run(&by_run));
    assert!(matches!(again.err(), Some(Error::RunOver(Ended::Stopped))));
    let rows = at_once(instance.app.run(&starter, run.id)).unwrap();
    assert_eq!(rows.ended_at(instance.now()), rows.run.stopped_at);
}

/// A builder with two keys, and runs of two agents.
struct Started {
    instance: Instance,
    place: Place,
    elsewhere: Place,
    starter: Ask,
    run: Proven<Run>,
    token: Token,
}

impl Started {
    fn new() -> Self {
        let instance = Instance::new();
        let (place, elsewhere) = (instance.agent(), instance.agent());
        let secret = instance.secret(&instance.owner, true, &[("A", "1")]);
        instance.attach(&instance.owner, place, secret).unwrap();
        let starter = instance.colleague(Role::Builder);
        let (run, token) = instance.started(&starter, place);
        Self { instance, place, elsewhere, starter, run, token }
    }

    fn do_as_owner<T>(&self, planned: Result<Planned<T>, Error>) {
        self.instance.done(&self.instance.owner, planned).unwrap();
    }

    fn panics(&self, suspected: Suspected) {
        self.do_as_owner(at_once(self.instance.app.panic(&self.instance.owner, suspected)));
    }

    fn update_member(&self, role: Role) {
        let (owner, starter) = (&self.instance.owner, self.starter.caller.user_id);
        self.do_as_owner(at_once(self.instance.app.update_member(owner, starter, role)));
    }
}

/// Something happens to what a run hangs on.
type Happening = (&'static str, fn(&Started));

const ENDS: [Happening; 10] = [
    ("its key is revoked", |started| {
        let (instance, key) = (&started.instance, started.run.key_id);
        started.do_as_owner(at_once(instance.app.revoke_api_key(&instance.owner, key)));
    }),
    ("its starter is removed", |started| {
        let (instance, user) = (&started.instance, started.run.user_id);
        started.do_as_owner(at_once(instance.app.remove_member(&instance.owner, user)));
    }),
    ("its starter is no member, whatever became of the keys", |started| {
        let now = started.instance.now();
        started.instance.alter_membership(started.run.user_id, |row| row.removed_at = Some(now));
    }),
    ("its starter is a member only", |started| started.update_member(Role::Member)),
    ("its starter is disabled", |started| {
        let now = started.instance.now();
        started.instance.alter_user(started.run.user_id, |row| row.disabled_at = Some(now));
    }),
    ("its agent is deleted", |started| {
        let instance = &started.instance;
        started.do_as_owner(at_once(instance.app.delete_agent(&instance.owner, started.place.0)));
    }),
    ("its agent's runs are revoked", |started| started.panics(Suspected::Agent(started.place.0))),
    ("its team is deleted", |started| {
        let instance = &started.instance;
        started.do_as_owner(at_once(instance.app.delete_team(&instance.owner)));
    }),
    ("it is revoked itself", |started| started.panics(Suspected::Run(started.run.id))),
    ("its key is suspected", |started| started.panics(Suspected::Key(started.run.key_id))),
];

const CONTROLS: [Happening; 5] = [
    ("nothing", |_| {}),
    ("another agent is deleted", |started| {
        let instance = &started.instance;
        started.do_as_owner(at_once(instance.app.delete_agent(&instance.owner, started.elsewhere.0)));
    }),
    ("another agent's runs are revoked", |started| started.panics(Suspected::Agent(started.elsewhere.0))),
    ("its starter is a manager", |started| started.update_member(Role::Manager)),
    ("another of its starter's keys is revoked", |started| {
        let instance = &started.instance;
        let other = instance.by_key(&instance.key_for(started.run.user_id, everything())).unwrap();
        let Means::Key(key) = other.caller.means else { panic!("no key") };
        started.do_as_owner(at_once(instance.app.revoke_api_key(&instance.owner, key)));
    }),
];

#[test]
fn whatever_a_run_hangs_on_revokes_it() {
    for (what, happen) in ENDS {
        let started = Started::new();
        let (instance, token) = (&started.instance, &started.token);
        let proven_before = instance.by_run(token).unwrap();
        assert_eq!(instance.received(&proven_before).unwrap(), named(&[("A", "1")]), "{what}");
        let noted = (instance.noted(), instance.store.tables().events.len());
        happen(&started);
        let events = instance.store.tables().events.len();
        assert!(matches!(instance.by_run(token), Err(Error::RunOver(Ended::Revoked))), "{what}");
        // Who was proven a moment before receives nothing, and nothing is told.
        let late = instance.received(&proven_before);
        assert!(matches!(late, Err(Error::RunOver(Ended::Revoked))), "{what}: {late:?}");
        for late in [
            at_once(instance.app.extend_run(&proven_before, None)).map(|_| ()),
            at_once(instance.app.end_run(&proven_before)).map(|_| ()),
        ] {
            assert!(matches!(late, Err(Error::RunOver(Ended::Revoked))), "{what}: {late:?}");
        }
        assert_eq!(instance.noted(), noted.0, "{what}");
        assert_eq!(instance.store.tables().events.len(), events, "{what}");
    }
}

#[test]
fn what_a_run_does_not_hang_on_leaves_it_good() {
    for (what, happen) in CONTROLS {
        let started = Started::new();
        let proven_before = started.instance.by_run(&started.token).unwrap();
        happen(&started);
        for by_run in [proven_before, started.instance.by_run(&started.token).expect(what)] {
            assert_eq!(started.instance.received(&by_run).expect(what), named(&[("A", "1")]), "{what}");
        }
    }
}

#[test]
fn when_a_run_was_revoked_is_told_as_far_as_it_is_known() {
    for (what, happen) in ENDS {
        let started = Started::new();
        let instance = &started.instance;
        instance.clock.pass(1_000);
        let then = instance.now();
        happen(&started);
        instance.clock.pass(1_000);
        let rows = instance.store.tables().clone();
        let run = at_once(instance.app.run(&instance.owner, started.run.id));
        let Ok(run) = run else {
            // The team is deleted: nobody asks any more.
            assert!(rows.teams[0].row().deleted_at.is_some(), "{what}");
            continue;
        };
        assert_eq!(run.ended(instance.now()), Some(Ended::Revoked), "{what}");
        let told = run.ended_at(instance.now());
        let unknown = ["its starter is a member only", "its agent's runs are revoked"].contains(&what);
        assert_eq!(told, (!unknown).then_some(then), "{what}");
    }
}

#[test]
fn no_other_token_proves_a_run() {
    let started = Started::new();
    let (instance, run) = (&started.instance, &started.run);
    let other = instance.started(&started.starter, started.place).0;
    let forged = |kind, id: Uuid| Token::mint(kind, id, &OsRandom);
    let key = instance.key_for(started.run.user_id, everything());
    let wrong = [
        ("another secret", forged(TokenKind::Run, run.id.uuid())),
        ("an unknown run", forged(TokenKind::Run, instance.id())),
        ("another kind", forged(TokenKind::Broker, run.id.uuid())),
        ("an API key", Token::parse(TokenKind::ApiKey, key.reveal()).unwrap()),
    ];
    for (what, token) in &wrong {
        assert!(matches!(instance.by_run(token), Err(Error::NotProven)), "{what}");
    }
    assert!(matches!(instance.by_key(&started.token), Err(Error::NotProven)), "a run's is no API key");
    // The secret of one run under the name of another, its checksum made right.
    let text = started.token.reveal();
    let body = forged(TokenKind::Run, other.id.uuid()).reveal()[..26].to_owned() + &text[26..70];
    let check = independent::crc32(body.as_bytes());
    let mixed = Token::parse(TokenKind::Run, &(body + &independent::base62(check.into(), 6))).unwrap();
    assert!(matches!(instance.by_run(&mixed), Err(Error::NotProven)), "the other's secret");
    instance.by_run(&started.token).expect("the control");
    // Only who has its token hears what became of a run.
    started.panics(Suspected::Run(run.id));
    assert!(matches!(instance.by_run(&wrong[0].1), Err(Error::NotProven)));
    assert!(matches!(instance.by_run(&started.token), Err(Error::RunOver(Ended::Revoked))));
}

#[test]
fn the_networks_of_a_key_hold_for_its_runs() {
    let instance = Instance::new();
    let place = instance.agent();
    let grant = Grant { networks: Some(Networks::parse(["10.0.0.0/8"]).unwrap()), ..everything() };
    let key = instance.key_for(instance.member(Role::Builder), grant);
    let inside: IpAddr = "10.1.2.3".parse().unwrap();
    let by_key = at_once(instance.app.authenticate(key.reveal(), Some(inside), &Cause::default()));
    let by_key = Ask::new(by_key.unwrap(), Cause::default());
    let token = instance.started(&by_key, place).1;
    instance.by_run_from(&token, Some(inside)).expect("the control");
    for from in [None, Some("192.0.2.1".parse().unwrap()), Some("::1".parse().unwrap())] {
        let refused = instance.by_run_from(&token, from);
        assert!(matches!(refused, Err(Error::Denied(Denied::Address))), "{from:?}");
    }
}

#[test]
fn runs_are_started_by_whom_the_table_and_the_key_allow() {
    let instance = Instance::new();
    let (place, elsewhere) = (instance.agent(), instance.agent());
    let refusal = |by: &Ask, (agent, _): Place| instance.start(by, &new_run(agent)).err();
    let member = instance.colleague(Role::Member);
    assert!(matches!(refusal(&member, place), Some(Error::Denied(Denied::Role(Role::Builder)))));
    let with =
        |grant: Grant| instance.by_key(&instance.key_for(instance.member(Role::Builder), grant)).unwrap();
    let scopes: Scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::RunsStart).collect();
    let unscoped = with(Grant { scopes, ..everything() });
    assert!(matches!(refusal(&unscoped, place), Some(Error::Denied(Denied::Scope(Scope::RunsStart)))));
    let listed = with(Grant { agents: Some(Agents::new(vec![place.0]).unwrap()), ..everything() });
    assert!(matches!(refusal(&listed, elsewhere), Some(Error::Denied(Denied::Agent))));
    assert!(refusal(&listed, place).is_none());
    assert!(refusal(&instance.colleague(Role::Builder), elsewhere).is_none());
    // Of a revision that is there, and of this agent.
    let of = |agent, revision| {
        let new = NewRun { revision: Some(revision), ..new_run(agent) };
        instance.start(&instance.owner, &new).map(|(run, _)| run.revision_id)
    };
    let second = instance.revision(place.0);
    assert_eq!(of(place.0, second).unwrap(), second);
    for (agent, revision) in [(place.0, elsewhere.1), (elsewhere.0, place.1)] {
        assert!(matches!(of(agent, revision), Err(Error::Denied(Denied::Invisible))));
    }
}

#[test]
fn a_run_may_do_nothing_but_what_is_its_own() {
    let started = Started::new();
    let (app, by_run) = (&started.instance.app, started.instance.by_run(&started.token).unwrap());
    let refused = [
        at_once(app.secrets_after(&by_run, None, &Filter::default(), 1)).err(),
        at_once(app.start_run(&by_run, &new_run(started.place.0))).err(),
        at_once(app.run(&by_run, started.run.id)).err(),
        at_once(app.stop_run(&by_run, started.run.id)).err(),
        at_once(app.deliveries(&by_run, started.run.id)).err(),
        at_once(app.panic(&by_run, Suspected::Run(started.run.id))).err(),
        at_once(app.preview(&by_run, started.place.0, started.place.1)).err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))), "{refused:?}");
    }
    // And what is its own is nobody's who comes with a key.
    for refused in [
        started.instance.received(&started.starter).err(),
        at_once(app.extend_run(&started.starter, None)).err(),
        at_once(app.end_run(&started.starter)).err(),
    ] {
        assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))), "{refused:?}");
    }
}

#[test]
fn runs_are_listed_the_newest_first() {
    let started = Started::new();
    let (instance, agent) = (&started.instance, started.place.0);
    let mut ids = vec![started.run.id];
    ids.extend((0..3).map(|_| instance.started(&instance.owner, started.place).0.id));
    instance.started(&instance.owner, started.elsewhere);
    ids.reverse();
    let listed = |of, page| {
        let list = at_once(instance.app.runs(&started.starter, of, page)).unwrap();
        (list.runs.iter().map(|rows| rows.run.id).collect::<Vec<_>>(), list.total)
    };
    assert_eq!(listed(Some(agent), (0, 9)), (ids.clone(), 4));
    assert_eq!(listed(Some(agent), (1, 2)), (ids[1..3].to_vec(), 4));
    assert_eq!((listed(None, (0, 9)).0.len(), listed(None, (0, 0)).1), (5, 5));
}

/// The row of a run that somebody without the key wrote into.
#[test]
fn an_altered_run_is_no_run() {
    let alterations: [fn(&mut Run); 4] = [
        |run| run.expires_at = Timestamp::from_millis(i64::MAX),
        |run| run.generation += 1,
        |run| run.composition = Composition::default(),
        |run| run.strict = true,
    ];
    for alter in alterations {
        let started = Started::new();
        {
            let mut tables = started.instance.store.tables();
            let (mut run, mac) = (tables.runs[0].row().clone(), tables.runs[0].mac());
            alter(&mut run);
            tables.runs[0] = Stored::unproven(run, mac);
        }
        assert!(matches!(started.instance.by_run(&started.token), Err(Error::Integrity(_))));
        assert_eq!(started.instance.app.integrity_violations(), 1);
    }
    // Nor is one whose key was given rights by somebody without the key.
    let started = Started::new();
    {
        let mut tables = started.instance.store.tables();
        let at = tables.api_keys.iter().position(|key| key.row().id == started.run.key_id).unwrap();
        let (key, mac) = (tables.api_keys[at].row().clone(), tables.api_keys[at].mac());
        let key = ApiKey { grant: Grant { role: Role::Manager, ..key.grant }, ..key };
        tables.api_keys[at] = Stored::unproven(key, mac);
    }
    assert!(matches!(started.instance.by_run(&started.token), Err(Error::Integrity(_))));
}
