//! Values leave when it is written down that they do, and only then; what is
//! written is what left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use strongroom_core::access::{Denied, Means};
use strongroom_core::app::{Ask, Error, Planned, Suspected};
use strongroom_core::events::{Actor, EventKind, Place as EventPlace};
use strongroom_core::rows::{Proven, Stored};
use strongroom_core::runs::{Ended, Run};
use strongroom_core::sealing::Sealed;
use strongroom_core::tokens::Token;
use strongroom_core::{App, Role, SecretId, Store as _, StoreError};
use uuid::Uuid;

use crate::instance::{Instance, Place, named, new_run, replacing};
use crate::support::at_once;

/// A run of a builder's, with one secret.
struct Started {
    instance: Instance,
    place: Place,
    starter: Ask,
    secret: SecretId,
    run: Proven<Run>,
    token: Token,
}

impl Started {
    fn new() -> Self {
        let instance = Instance::new();
        let (place, starter) = (instance.agent(), instance.colleague(Role::Builder));
        let secret = instance.secret(&instance.owner, true, &[("A", "1"), ("B", "1")]);
        instance.attach(&instance.owner, place, secret).unwrap();
        let (run, token) = instance.started(&starter, place);
        Self { instance, place, starter, secret, run, token }
    }

    fn environment(&self) -> Result<Vec<(String, String)>, Error> {
        self.instance.environment(&self.token)
    }

    /// Events of deliveries: secret and version.
    fn told(&self) -> Vec<(Option<Uuid>, Option<u32>)> {
        let events = self.instance.events(EventKind::SecretDelivered);
        events.iter().map(|event| (event.object.id, event.object.version)).collect()
    }
}

#[test]
fn each_version_is_noted_once_and_told_each_time() {
    let started = Started::new();
    let (instance, secret) = (&started.instance, started.secret);
    assert_eq!((instance.noted(), started.told()), (vec![], vec![]), "starting delivers nothing");
    for _ in 0..3 {
        started.environment().unwrap();
        instance.clock.pass(1_000);
    }
    let id = Some(secret.uuid());
    assert_eq!(instance.noted(), [(secret, 1, "A B".to_owned())]);
    assert_eq!(instance.store.tables().deliveries[0].at, started.run.created_at, "when it was first");
    assert_eq!(started.told(), [(id, Some(1)); 3]);
    instance.update(&instance.owner, secret, &replacing(&[("A", "2")]));
    started.environment().unwrap();
    assert_eq!(instance.noted(), [(secret, 1, "A B".to_owned()), (secret, 2, "A".to_owned())]);
    assert_eq!(started.told().last(), Some(&(id, Some(2))));
    // To another run it is another delivery.
    let other = instance.started(&instance.owner, started.place).1;
    instance.environment(&other).unwrap();
    assert_eq!(instance.noted().len(), 3);
}

#[test]
fn a_delivery_tells_by_whom_in_whose_name_and_where() {
    let started = Started::new();
    started.environment().unwrap();
    let event = started.instance.events(EventKind::SecretDelivered).remove(0);
    let (run, caller) = (&started.run, &started.starter.caller);
    let actor = Actor {
        user_id: Some(caller.user_id),
        key_id: Some(run.key_id),
        run_id: Some(run.id),
        session_id: None,
    };
    let place = EventPlace { agent_id: Some(started.place.0), revision_id: Some(started.place.1) };
    assert_eq!((event.actor, event.place), (actor, place));
    assert_eq!(Means::Key(run.key_id), caller.means);
    assert_eq!((event.team_id, event.object.table), (Some(caller.team_id), "secrets"));
    assert_eq!(event.request_id, Some(Uuid::from_u128(7)));
    // Starting is done by the key; nobody runs yet.
    let event = started.instance.events(EventKind::RunStarted).remove(0);
    assert_eq!((event.actor, event.place), (Actor { run_id: None, ..actor }, place));
    assert_eq!((event.object.table, event.object.id), ("runs", Some(run.id.uuid())));
    assert_eq!(event.object.mac, Some(run.mac()));
}

#[test]
fn what_loses_every_name_is_neither_opened_nor_delivered() {
    let started = Started::new();
    let (instance, place) = (&started.instance, started.place);
    let over = instance.secret(&instance.owner, true, &[("A", "over"), ("B", "over")]);
    instance.attach(&instance.owner, place, over).unwrap();
    let token = instance.started(&started.starter, place).1;
    let blob = Sealed::from_bytes(b"opens never".to_vec());
    let blob = swapped(instance, started.secret, blob);
    assert_eq!(instance.environment(&token).unwrap(), named(&[("A", "over"), ("B", "over")]));
    assert_eq!(instance.noted(), [(over, 1, "A B".to_owned())]);
    // With one name left to it, it must open, or nothing leaves.
    instance.update(&instance.owner, over, &replacing(&[("A", "over")]));
    let noted = instance.noted();
    assert!(matches!(instance.environment(&token), Err(Error::Integrity(_))));
    assert_eq!(instance.noted(), noted);
    assert_eq!(instance.events(EventKind::IntegrityViolation).len(), 1);
    swapped(instance, started.secret, blob);
    assert_eq!(instance.environment(&token).unwrap(), named(&[("A", "over"), ("B", "1")]));
    assert_eq!(instance.noted()[1..], [(over, 2, "A".to_owned()), (started.secret, 1, "B".to_owned())]);
}

/// Puts other bytes in the place of a secret's first version.
fn swapped(instance: &Instance, secret: SecretId, blob: Sealed) -> Sealed {
    let mut tables = instance.store.tables();
    let version = tables.versions.iter_mut().find(|version| version.secret_id == secret).unwrap();
    std::mem::replace(&mut version.sealed, blob)
}

#[test]
fn when_it_can_not_be_written_down_nothing_leaves() {
    let started = Started::new();
    let instance = &started.instance;
    let events = instance.store.tables().events.len();
    instance.store.set_meanwhile(Box::new(|| Err(StoreError::Unavailable("disk full".into()))));
    assert!(matches!(started.environment(), Err(Error::Store(StoreError::Unavailable(_)))));
    instance.store.set_meanwhile(Box::new(|| Err(StoreError::Stopped)));
    assert!(matches!(started.environment(), Err(Error::Store(StoreError::Stopped))));
    assert_eq!((instance.noted(), instance.store.tables().events.len()), (vec![], events));
    instance.store.clear_meanwhile();
    assert_eq!(started.environment().unwrap(), named(&[("A", "1"), ("B", "1")]), "the control");
}

#[test]
fn an_empty_environment_is_given_to_nobody_who_lost_their_rights_meanwhile() {
    let started = Started::new();
    let instance = &started.instance;
    instance.detach(&instance.owner, started.place, started.secret).unwrap();
    let (run, token) = instance.started(&started.starter, started.place);
    assert_eq!(instance.environment(&token).unwrap(), []);
    meanwhile(instance, 1, move |app, owner| {
        carry_out(&app, &owner, at_once(app.panic(&owner, Suspected::Run(run.id))));
    });
    assert!(matches!(instance.environment(&token), Err(Error::RunOver(Ended::Revoked))));
}

fn carry_out<T>(app: &App, ask: &Ask, planned: Result<Planned<T>, Error>) {
    at_once(app.carry_out(ask, planned.unwrap(), None)).unwrap();
}

/// Lets the owner do this between the reads of the next verbs and their writes,
/// so many times. How often a verb came to writing is counted.
fn meanwhile(
    instance: &Instance,
    times: u32,
    act: impl Fn(Arc<App>, Ask) + Send + 'static,
) -> Arc<AtomicU32> {
    let (app, owner, writes) = (Arc::clone(&instance.app), instance.owner.clone(), Arc::default());
    let counted: Arc<AtomicU32> = Arc::clone(&writes);
    instance.store.set_meanwhile(Box::new(move || {
        if counted.fetch_add(1, Ordering::SeqCst) < times {
            act(Arc::clone(&app), owner.clone());
        }
        Ok(())
    }));
    writes
}

#[test]
fn a_secret_that_changes_meanwhile_is_delivered_as_it_became() {
    let started = Started::new();
    let (instance, secret) = (&started.instance, started.secret);
    let writes = meanwhile(instance, 2, move |app, owner| {
        let present = at_once(app.secret(&owner, secret)).unwrap().version;
        let patch = replacing(&[("A", if present == 1 { "second" } else { "third" })]);
        carry_out(&app, &owner, at_once(app.update_secret(&owner, secret, &patch)));
    });
    assert_eq!(started.environment().unwrap(), named(&[("A", "third")]));
    assert_eq!(writes.load(Ordering::SeqCst), 3);
    assert_eq!(instance.noted(), [(secret, 3, "A".to_owned())], "what didn't leave isn't noted");
    assert_eq!(started.told(), [(Some(secret.uuid()), Some(3))]);
}

#[test]
fn a_secret_that_goes_meanwhile_is_not_delivered() {
    let started = Started::new();
    let (instance, secret) = (&started.instance, started.secret);
    meanwhile(instance, 1, move |app, owner| {
        carry_out(&app, &owner, at_once(app.delete_secret(&owner, secret)));
    });
    assert_eq!(started.environment().unwrap(), []);
    assert_eq!(instance.noted(), []);
}

#[test]
fn a_run_that_is_extended_meanwhile_receives_all_the_same() {
    let started = Started::new();
    let by_run = started.instance.by_run(&started.token).unwrap();
    let writes = meanwhile(&started.instance, 1, move |app, _| {
        carry_out(&app, &by_run, at_once(app.extend_run(&by_run, Some(604_800))));
    });
    assert_eq!(started.environment().unwrap().len(), 2);
    assert_eq!((writes.load(Ordering::SeqCst), started.told().len()), (2, 1));
}

/// Ends a run in the owner's name.
type End = fn(&App, &Ask, &Run);

#[test]
fn a_run_that_ends_meanwhile_receives_nothing() {
    let ends: [(End, Ended); 4] = [
        (|app, owner, run| carry_out(app, owner, at_once(app.stop_run(owner, run.id))), Ended::Stopped),
        (
            |app, owner, run| carry_out(app, owner, at_once(app.revoke_api_key(owner, run.key_id))),
            Ended::Revoked,
        ),
        (
            |app, owner, run| {
                carry_out(app, owner, at_once(app.panic(owner, Suspected::Agent(run.agent_id))));
            },
            Ended::Revoked,
        ),
        (
            |app, owner, run| {
                let lower = app.update_member(owner, run.user_id, Role::Member);
                carry_out(app, owner, at_once(lower));
            },
            Ended::Revoked,
        ),
    ];
    for (end, kind) in ends {
        let started = Started::new();
        let run = Run::clone(&started.run);
        let writes = meanwhile(&started.instance, 1, move |app, owner| end(&app, &owner, &run));
        let refused = started.environment();
        assert!(matches!(refused, Err(Error::RunOver(ended)) if ended == kind), "{kind:?}: {refused:?}");
        assert_eq!(writes.load(Ordering::SeqCst), 1);
        assert_eq!((started.instance.noted(), started.told()), (vec![], vec![]));
    }
}

#[test]
fn who_never_sees_the_same_twice_gives_up() {
    let started = Started::new();
    let tries = Arc::new(AtomicU32::default());
    let counted = Arc::clone(&tries);
    started.instance.store.set_meanwhile(Box::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(StoreError::Changed)
    }));
    assert!(matches!(started.environment(), Err(Error::Store(StoreError::Changed))));
    assert!((8..1_000).contains(&tries.load(Ordering::SeqCst)));
}

#[test]
fn what_is_not_as_it_was_stored_is_delivered_to_nobody() {
    let started = Started::new();
    let instance = &started.instance;
    let untouched = instance.store.tables().clone();
    let other = instance.secret(&instance.owner, true, &[("A", "other"), ("B", "other")]);
    // The blob of another secret with the same names.
    let blob = swapped(instance, other, Sealed::from_bytes(Vec::new()));
    swapped(instance, started.secret, blob);
    assert!(matches!(started.environment(), Err(Error::Integrity(_))));
    *instance.store.tables() = untouched.clone();
    {
        // A row that says that it is shared with somebody else's.
        let mut tables = instance.store.tables();
        let (mut row, mac) = (tables.secrets[0].row().clone(), tables.secrets[0].mac());
        row.owner = Some(started.starter.caller.user_id);
        tables.secrets[0] = Stored::unproven(row, mac);
    }
    assert!(matches!(started.environment(), Err(Error::Integrity(_))));
    assert_eq!(instance.noted(), []);
    *instance.store.tables() = untouched;
    started.environment().expect("the control");
}

#[test]
fn deliveries_are_seen_from_both_sides_by_whom_they_concern() {
    let started = Started::new();
    let (instance, run) = (&started.instance, started.run.id);
    started.environment().unwrap();
    let of_run = |by: &Ask| at_once(instance.app.deliveries(by, run));
    let of_secret = |by: &Ask, secret| at_once(instance.app.secret_runs(by, secret));
    let delivery = instance.store.tables().deliveries[0].clone();
    assert_eq!(of_run(&started.starter).unwrap(), std::slice::from_ref(&delivery));
    assert_eq!(of_run(&instance.colleague(Role::Manager)).unwrap(), std::slice::from_ref(&delivery));
    let builder = instance.colleague(Role::Builder);
    assert!(matches!(of_run(&builder), Err(Error::Denied(Denied::Role(Role::Manager)))));
    assert_eq!(of_secret(&builder, started.secret).unwrap(), [delivery]);
    let personal = instance.secret(&started.starter, false, &[("P", "1")]);
    assert_eq!(of_secret(&started.starter, personal).unwrap(), []);
    assert!(matches!(of_secret(&builder, personal), Err(Error::Denied(Denied::Invisible))));
}

/// Two strangers' databases could name a run alike; a run is of one team.
#[test]
fn a_run_of_another_team_is_not_there() {
    let started = Started::new();
    let (here, there) = (&started.instance, Instance::new());
    let moved = {
        let mut tables = there.store.tables();
        let mut from = here.store.tables().clone();
        tables.teams.append(&mut from.teams);
        tables.users.append(&mut from.users);
        tables.memberships.append(&mut from.memberships);
        tables.api_keys.append(&mut from.api_keys);
        tables.agents.append(&mut from.agents);
        tables.runs.append(&mut from.runs);
        // As if both had one keyring.
        tables.teams.iter_mut().for_each(|row| *row = there.sign(row.row().clone()));
        tables.users.iter_mut().for_each(|row| *row = there.sign(row.row().clone()));
        tables.memberships.iter_mut().for_each(|row| *row = there.sign(row.row().clone()));
        tables.api_keys.iter_mut().for_each(|row| *row = there.sign(row.row().clone()));
        tables.agents.iter_mut().for_each(|row| *row = there.sign(row.row().clone()));
        tables.runs.iter_mut().for_each(|row| *row = there.sign(row.row().clone()));
        started.run.id
    };
    let (app, theirs) = (&there.app, &there.owner);
    let rows = at_once(there.store.run(moved)).unwrap().expect("it is there, and all that it hangs on");
    assert!(there.keyring.verify(rows.run).is_ok());
    for refused in [
        at_once(app.run(theirs, moved)).err(),
        at_once(app.stop_run(theirs, moved)).err(),
        at_once(app.deliveries(theirs, moved)).err(),
        at_once(app.panic(theirs, Suspected::Run(moved))).err(),
        at_once(app.start_run(theirs, &new_run(started.place.0))).err(),
        at_once(app.agent(theirs, started.place.0)).err(),
    ] {
        assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))), "{refused:?}");
    }
    assert_eq!(at_once(app.runs(theirs, None, (0, 9))).unwrap().total, 0);
}
