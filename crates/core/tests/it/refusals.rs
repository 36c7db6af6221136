//! Refusals in the record: the first at once, the same again as a count, and
//! never more of them than are bounded.

use strongroom_core::access::{Action, Denied};
use strongroom_core::app::{Ask, Cause};
use strongroom_core::events::{Event, EventKind, Object};
use strongroom_core::grants::Networks;
use strongroom_core::rows::Row as _;
use strongroom_core::secrets::Secret;
use strongroom_core::{Grant, Role};
use uuid::Uuid;

use crate::instance::{Instance, everything};
use crate::support::at_once;

/// An instance whose monotonic clock moves only when it is told to.
fn still() -> Instance {
    let instance = Instance::new();
    instance.clock.hold();
    instance
}

fn pass(instance: &Instance, seconds: u64) {
    instance.clock.go_on(seconds);
}

fn refuse(instance: &Instance, by: &Ask, action: Option<Action>, id: u128, denied: Denied) {
    let cause = Cause { request_id: Some(Uuid::from_u128(id)), action };
    let object = Object::of::<Secret>(Some(Uuid::from_u128(id)));
    at_once(instance.app.note_refusal(&by.caller, &cause, object, denied));
}

fn told(instance: &Instance) -> Vec<Event> {
    instance.events(EventKind::AccessDenied)
}

/// What was recorded: the refusal as it is stored, and how often.
fn counts(instance: &Instance) -> Vec<(String, u32)> {
    let refusals = told(instance).into_iter().map(|event| event.refusal.unwrap());
    refusals.map(|refusal| (refusal.text(), refusal.times)).collect()
}

fn write(instance: &Instance, all: bool) {
    at_once(instance.app.write_refusals(all)).unwrap();
}

const ROLE: Denied = Denied::Role(Role::Manager);

#[test]
fn the_first_is_recorded_at_once_with_who_what_and_why() {
    let (instance, action) = (still(), Some(Action::DeleteSecret));
    let member = instance.colleague(Role::Member);
    refuse(&instance, &member, action, 5, ROLE);
    let event = told(&instance).remove(0);
    assert_eq!(
        (event.team_id, event.actor.user_id),
        (Some(member.caller.team_id), Some(member.caller.user_id))
    );
    assert!(event.actor.key_id.is_some());
    assert_eq!((event.object.table, event.object.id), (Secret::TABLE, Some(Uuid::from_u128(5))));
    assert_eq!((event.request_id, event.at), (Some(Uuid::from_u128(5)), instance.now()));
    assert_eq!(counts(&instance), [("deleteSecret role".to_owned(), 1)]);
}

#[test]
fn the_same_again_within_a_minute_is_counted_and_the_count_recorded_once() {
    let (instance, action) = (still(), Some(Action::DeleteSecret));
    let member = instance.colleague(Role::Member);
    for _ in 0..5 {
        refuse(&instance, &member, action, 5, ROLE);
        pass(&instance, 10);
    }
    write(&instance, false);
    assert_eq!(counts(&instance).len(), 1, "its minute isn't over");
    pass(&instance, 10);
    write(&instance, false);
    write(&instance, true);
    let of_one = |times| ("deleteSecret role".to_owned(), times);
    assert_eq!(counts(&instance), [of_one(1), of_one(4)]);
    assert_eq!(told(&instance)[1].object.id, Some(Uuid::from_u128(5)), "the same object each time");
    assert_eq!(told(&instance)[1].request_id, None, "of several requests");
    refuse(&instance, &member, action, 5, ROLE);
    assert_eq!(counts(&instance)[2], of_one(1), "a new minute begins with the first of it");
}

#[test]
fn a_minute_that_is_over_is_recorded_by_the_next_refusal_too() {
    let instance = still();
    let by = instance.colleague(Role::Member);
    for id in [5, 6, 7] {
        refuse(&instance, &by, None, id, ROLE);
    }
    pass(&instance, 60);
    refuse(&instance, &by, None, 5, ROLE);
    assert_eq!(counts(&instance).iter().map(|(_, times)| *times).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(told(&instance)[1].object.id, None, "not the same object each time");
}

#[test]
fn what_still_counts_is_recorded_at_the_end() {
    let instance = still();
    let member = instance.colleague(Role::Member);
    (0..3).for_each(|_| refuse(&instance, &member, None, 5, ROLE));
    write(&instance, true);
    assert_eq!(counts(&instance), [("- role".to_owned(), 1), ("- role".to_owned(), 2)]);
}

#[test]
fn other_actors_actions_and_reasons_are_told_apart() {
    let instance = still();
    let [one, other] = [(); 2].map(|()| instance.colleague(Role::Member));
    let (delete, share) = (Some(Action::DeleteSecret), Some(Action::ShareSecret));
    let different =
        [(&one, delete, ROLE), (&other, delete, ROLE), (&one, share, ROLE), (&one, delete, Denied::Agent)];
    for _ in 0..2 {
        for (by, action, denied) in different {
            refuse(&instance, by, action, 5, denied);
        }
    }
    assert_eq!(counts(&instance).len(), different.len());
}

#[test]
fn what_looks_absent_is_not_recorded() {
    let instance = still();
    refuse(&instance, &instance.colleague(Role::Member), None, 5, Denied::Invisible);
    write(&instance, true);
    assert_eq!(counts(&instance), []);
}

#[test]
fn nobody_fills_the_record_by_being_refused() {
    let instance = still();
    let member = instance.colleague(Role::Member);
    for round in 0..3 {
        for action in Action::ALL {
            for denied in [ROLE, Denied::Agent, Denied::OtherTeam] {
                refuse(&instance, &member, Some(action), round, denied);
            }
        }
    }
    assert_eq!(counts(&instance).len(), 17, "sixteen told apart, and one for all others");
    assert_eq!(counts(&instance)[16], ("- -".to_owned(), 1));
    write(&instance, true);
    let counts = counts(&instance);
    assert_eq!(counts.len(), 34);
    let all = u32::try_from(3 * 3 * Action::ALL.len()).unwrap();
    assert_eq!(counts.iter().map(|(_, times)| times).sum::<u32>(), all, "each is in one of the counts");
}

#[test]
fn only_so_many_people_are_remembered() {
    let instance = still();
    let member = instance.colleague(Role::Member);
    let somebody = |number: u128| {
        let mut ask = member.clone();
        ask.caller.user_id = strongroom_core::UserId::from_uuid(Uuid::from_u128(number));
        ask
    };
    (0..1_100).for_each(|number| refuse(&instance, &somebody(number), None, 5, ROLE));
    assert_eq!(counts(&instance).len(), 1_024);
    pass(&instance, 60);
    refuse(&instance, &somebody(2_000), None, 5, ROLE);
    assert_eq!(counts(&instance).len(), 1_025, "those of before give way");
}

#[test]
fn a_key_in_the_wrong_place_is_recorded() {
    let instance = still();
    let networks = Some(Networks::parse(["10.0.0.0/8"]).unwrap());
    let token = instance.key_for(instance.member(Role::Builder), Grant { networks, ..everything() });
    let cause = Cause { request_id: None, action: Some(Action::StartRun) };
    for from in [Some("192.0.2.7".parse().unwrap()), None] {
        at_once(instance.app.authenticate(token.reveal(), from, &cause)).unwrap_err();
    }
    let from_there = Some("10.0.0.7".parse().unwrap());
    at_once(instance.app.authenticate(token.reveal(), from_there, &cause)).unwrap();
    write(&instance, true);
    let refused = "startRun address".to_owned();
    assert_eq!(counts(&instance), [(refused.clone(), 1), (refused, 1)], "twice, and not the third time");
}
