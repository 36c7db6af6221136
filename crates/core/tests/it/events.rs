//! The record read by whom it concerns: administrators see the team's, everybody
//! what they did themselves, and names only of what they may know.

use strongroom_core::access::Denied;
use strongroom_core::app::{Ask, Error, EventNames};
use strongroom_core::events::{EventFilter, EventKind, EventPage, Recorded};
use strongroom_core::rows::Row as _;
use strongroom_core::secrets::Secret;
use strongroom_core::{Grant, Role, Scopes, SecretId, Timestamp};

use crate::instance::{Instance, everything};
use crate::support::{NOW, at_once};

fn page(instance: &Instance, by: &Ask, filter: &EventFilter) -> EventPage {
    at_once(instance.app.events(by, filter, None, 100)).unwrap()
}

fn kinds(found: &EventPage) -> Vec<&str> {
    found.events.iter().map(|event| &*event.kind).collect()
}

fn about(secret: SecretId) -> EventFilter {
    EventFilter { objects: vec![secret.uuid()], ..EventFilter::default() }
}

fn named(instance: &Instance, by: &Ask, events: &[Recorded]) -> EventNames {
    let mut names = EventNames::default();
    at_once(instance.app.name_events(by, events, &mut names)).unwrap();
    names
}

#[test]
fn administrators_see_what_happened_in_the_team_and_others_what_they_did() {
    let instance = Instance::new();
    let [member, manager] = [Role::Member, Role::Manager].map(|role| instance.colleague(role));
    let administrator = instance.colleague(Role::Administrator);
    let own = instance.secret(&member, false, &[("A", "1")]);
    let shared = instance.secret(&manager, true, &[("A", "1")]);
    for by in [&instance.owner, &administrator] {
        let whole = page(&instance, by, &EventFilter::default());
        assert_eq!(kinds(&whole), ["secret.created", "secret.created", "instance.created"]);
        assert_eq!(whole.events[0].object_id, Some(shared.uuid()), "the newest first");
    }
    for (by, secret) in [(&member, own), (&manager, shared)] {
        let theirs = page(&instance, by, &EventFilter::default());
        let objects: Vec<_> = theirs.events.iter().map(|event| event.object_id).collect();
        assert_eq!(objects, [Some(secret.uuid())]);
        let of_another = EventFilter { user: Some(instance.owner.caller.user_id), ..EventFilter::default() };
        assert_eq!(page(&instance, by, &of_another), EventPage::default());
    }
    assert_eq!(
        page(&instance, &member, &about(shared)),
        EventPage::default(),
        "nobody's events of a shared one"
    );
    let actor = page(&instance, &member, &about(own)).events.remove(0).actor;
    assert_eq!(actor.user_id, Some(member.caller.user_id));
}

#[test]
fn a_key_for_something_else_reads_nothing() {
    let instance = Instance::new();
    let by = |scopes| {
        let grant = Grant { scopes: Scopes::parse(scopes).unwrap(), ..everything() };
        instance.by_key(&instance.key_for(instance.owner.caller.user_id, grant)).unwrap()
    };
    let read = |by: &Ask| at_once(instance.app.events(by, &EventFilter::default(), None, 9));
    assert!(matches!(read(&by("secrets:read secrets:write")), Err(Error::Denied(Denied::Scope(_)))));
    assert_eq!(read(&by("team:read")).unwrap().events.len(), 1, "all that there is");
}

#[test]
fn times_bound_a_search_wherever_it_begins() {
    let instance = Instance::new();
    for _ in 0..40 {
        instance.secret(&instance.owner, true, &[("A", "1")]);
    }
    let day = |days: i64| Timestamp::from_millis(NOW.as_millis() + days * 24 * 3_600_000);
    for (days, event) in (0..).zip(&mut instance.store.tables().events) {
        event.at = day(days);
    }
    for (since, until) in
        [(None, Some(3)), (Some(38), None), (Some(10), Some(20)), (Some(50), None), (None, Some(0))]
    {
        let filter = EventFilter { since: since.map(day), until: until.map(day), ..EventFilter::default() };
        let mut days: Vec<_> =
            (since.unwrap_or(0)..until.unwrap_or(41).max(since.unwrap_or(0)).min(41)).map(day).collect();
        days.reverse();
        let found = page(&instance, &instance.owner, &filter);
        assert_eq!(
            found.events.iter().map(|event| event.at).collect::<Vec<_>>(),
            days,
            "{since:?} {until:?}"
        );
        let few = at_once(instance.app.events(&instance.owner, &filter, None, 3)).unwrap();
        assert_eq!(few.events, found.events[..found.events.len().min(3)]);
    }
    let since = EventFilter { since: Some(day(38)), ..EventFilter::default() };
    let three = at_once(instance.app.events(&instance.owner, &since, None, 3)).unwrap();
    assert_eq!((three.events.len(), three.next), (3, None), "what is older isn't searched");
}

#[test]
fn things_are_called_what_the_reader_may_know() {
    let instance = Instance::new();
    let member = instance.colleague(Role::Member);
    let [personal, gone] = [(); 2].map(|()| instance.secret(&member, false, &[("A", "1")]));
    let shared = instance.secret(&instance.owner, true, &[("A", "1")]);
    instance.done(&member, at_once(instance.app.delete_secret(&member, gone))).unwrap();
    let (agent, _) = instance.agent();
    let all = page(&instance, &instance.owner, &EventFilter::default()).events;
    let names = named(&instance, &instance.owner, &all);
    assert_eq!(names.of(shared.uuid()), Some("Stripe"));
    assert_eq!(names.of(personal.uuid()), None, "an administrator doesn't learn what others call their own");
    assert_eq!((names.of(agent.uuid()), names.is_there(agent.uuid())), (Some("courier"), true));
    assert_eq!(names.of(member.caller.user_id.uuid()), Some("Ben"));
    let theirs = named(&instance, &member, &page(&instance, &member, &EventFilter::default()).events);
    assert_eq!((theirs.of(personal.uuid()), theirs.is_there(personal.uuid())), (Some("Stripe"), true));
    assert_eq!((theirs.of(gone.uuid()), theirs.is_there(gone.uuid())), (Some("Stripe"), false));
    let key = all.iter().find_map(|event| event.actor.key_id).unwrap();
    assert_eq!(names.of(key.uuid()), Some("first key"));
    assert_eq!(theirs.of(instance.owner.caller.user_id.uuid()), None, "nothing of theirs names the owner");
}

#[test]
fn what_was_tampered_with_has_no_name_and_hides_nothing() {
    let instance = Instance::new();
    let secret = instance.secret(&instance.owner, true, &[("A", "1")]);
    let forged = |row: &Secret| Secret { version: 7, ..row.clone() };
    for row in &mut instance.store.tables().secrets {
        *row = strongroom_core::rows::Stored::unproven(forged(row.row()), row.mac());
    }
    let found = page(&instance, &instance.owner, &about(secret)).events;
    assert_eq!((found.len(), &*found[0].table), (1, Secret::TABLE));
    assert_eq!(named(&instance, &instance.owner, &found).of(secret.uuid()), None);
    assert_eq!(instance.events(EventKind::IntegrityViolation).len(), 0, "looking for a name accuses nobody");
}
