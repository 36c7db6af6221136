//! Who fills in, with what, and what comes of it.

use strongroom_core::app::{Ask, Error};
use strongroom_core::events::{Event, EventKind};
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::rows::Stored;
use strongroom_core::secrets::NewPolicy;
use strongroom_core::text::ServiceSlug;
use strongroom_core::{Role, SecretId, StoreError, Timestamp, UserId};

use super::{VALUES, invisible, needs_manager};
use crate::instance::{Instance, bundle, named};
use crate::support::at_once;

#[test]
fn a_secret_of_the_teams_takes_a_manager_and_ones_own_the_asker() {
    let instance = Instance::new();
    let [asker, member, builder] = [Role::Builder, Role::Member, Role::Builder]
        .map(|role| instance.signed_in(&instance.colleague(role)));
    let [manager, administrator] =
        [Role::Manager, Role::Administrator].map(|role| instance.signed_in(&instance.colleague(role)));
    let by_key = instance.colleague(Role::Owner);
    let elsewhere = instance.other_team();
    let elsewhere = instance.signed_in(&elsewhere);
    let id = instance.asked(&asker).0.id;
    let tried = |by: &Ask, shared| instance.fill(by, id, (&VALUES, shared));
    for by in [&asker, &member, &builder] {
        assert!(needs_manager(&tried(by, true)), "{:?}", by.caller.means);
    }
    for by in [&member, &builder, &manager, &administrator, &by_key, &elsewhere] {
        assert!(invisible(&tried(by, false)), "another's own is nobody's: {:?}", by.caller.means);
    }
    for by in [&by_key, &elsewhere] {
        assert!(invisible(&tried(by, true)), "{:?}", by.caller.means);
    }
    assert_eq!((instance.secrets(), instance.listed(&asker)), (0, vec![id]), "nothing was done");
    let own = tried(&asker, false).unwrap();
    assert_eq!((own.owner, own.created_by), (Some(asker.caller.user_id), asker.caller.user_id));
    for by in [&manager, &administrator] {
        let id = instance.asked(&asker).0.id;
        let secret = instance.fill(by, id, (&VALUES, true)).unwrap();
        assert_eq!((secret.owner, secret.created_by), (None, by.caller.user_id));
    }
    // A manager who asked has the choice.
    for shared in [false, true] {
        let id = instance.asked(&manager).0.id;
        let secret = instance.fill(&manager, id, (&VALUES, shared)).unwrap();
        assert_eq!(secret.owner, (!shared).then_some(manager.caller.user_id));
    }
}

#[test]
fn what_is_filled_in_is_a_new_secret_and_a_run_receives_it_once_attached() {
    let instance = Instance::new();
    let (place, builder) = (instance.agent(), instance.colleague(Role::Builder));
    let manager = instance.signed_in(&instance.colleague(Role::Manager));
    let there = instance.secret(&instance.owner, true, &[("STRIPE_KEY", "there before")]);
    let run = instance.by_run(&instance.started(&builder, place).1).unwrap();
    let id = instance.asked(&run).0.id;
    let secret = instance.fill(&manager, id, (&VALUES, true)).unwrap();
    assert_ne!(secret.id, there);
    assert_eq!((secret.name.as_str(), secret.version), ("Stripe", 1));
    assert_eq!(secret.service_slug.as_ref().map(ServiceSlug::as_str), Some("stripe"));
    let received = |place| instance.environment(&instance.started(&builder, place).1).unwrap();
    assert_eq!(received(place), [], "until it is attached");
    instance.attach(&builder, place, secret.id).unwrap();
    let mut expected = named(&VALUES);
    expected.sort();
    assert_eq!(received(place), expected);
    let versions = instance.store.tables().versions.len();
    assert_eq!((instance.secrets(), versions), (2, 2), "what was there before is as it was");
    let filled = instance.store.tables().fill_requests[0].row().secret_id;
    assert_eq!(filled, Some(secret.id));
}

#[test]
fn all_that_was_asked_for_is_filled_in_and_nothing_else() {
    let instance = Instance::new();
    let asker = instance.signed_in(&instance.colleague(Role::Builder));
    let id = instance.asked(&asker).0.id;
    let (key, account) = (VALUES[0], VALUES[1]);
    let wrong: [&[(&str, &str)]; 6] = [
        &[],
        &[key],
        &[account],
        &[key, ("STRIPE_OTHER", "x")],
        &[key, account, ("LD_PRELOAD", "x")],
        &[("stripe_key", "x"), account].map(|(_, value)| ("X", value))[..1],
    ];
    for values in wrong {
        let refused = instance.fill(&asker, id, (values, false));
        let Err(Error::Invalid(message)) = refused else { panic!("{values:?}") };
        assert!(values.iter().all(|(_, value)| !message.contains(value)), "{message}");
    }
    assert_eq!(instance.secrets(), 0);
    let turned = [account, key];
    instance.fill(&asker, id, (&turned, false)).unwrap();
    assert!(invisible(&instance.fill(&asker, id, (&turned, false))), "twice");
    assert_eq!(instance.secrets(), 1);
}

#[test]
fn of_64_who_fill_in_the_same_one_does() {
    let instance = Instance::new();
    let asker = instance.signed_in(&instance.colleague(Role::Builder));
    let id = instance.asked(&asker).0.id;
    let filled: Vec<_> = std::thread::scope(|scope| {
        let filled: Vec<_> =
            (0..64).map(|_| scope.spawn(|| instance.fill(&asker, id, (&VALUES, false)))).collect();
        filled.into_iter().map(|filled| filled.join().unwrap()).collect()
    });
    assert_eq!(filled.iter().filter(|filled| filled.is_ok()).count(), 1);
    for refused in filled.iter().filter(|filled| filled.is_err()) {
        assert!(
            invisible(refused) || matches!(refused, Err(Error::Store(StoreError::Changed))),
            "{:?}",
            refused.as_ref().err()
        );
    }
    assert_eq!(instance.secrets(), 1);
}

#[test]
fn withdrawn_while_it_was_being_filled_in_it_is_not() {
    let instance = Instance::new();
    let asker = instance.signed_in(&instance.colleague(Role::Builder));
    let id = instance.asked(&asker).0.id;
    let planned = at_once(instance.app.fill(&asker, id, (bundle(&VALUES), false)));
    instance.cancel(&asker, id).unwrap();
    let late = instance.done(&asker, planned);
    assert!(matches!(late, Err(Error::Store(StoreError::Changed))), "{:?}", late.err());
    assert_eq!(instance.secrets(), 0);
    // And the other way round.
    let id = instance.asked(&asker).0.id;
    let planned = at_once(instance.app.cancel_fill_request(&asker, id));
    instance.fill(&asker, id, (&VALUES, false)).unwrap();
    assert!(matches!(instance.done(&asker, planned), Err(Error::Store(StoreError::Changed))));
}

/// Who is named in the newest event of this kind.
fn named_in(instance: &Instance, kind: EventKind) -> (Event, Option<UserId>) {
    let event = instance.events(kind).pop().unwrap();
    let actor = event.actor.user_id;
    (event, actor)
}

#[test]
fn every_step_is_told_and_by_whom() {
    let instance = Instance::new();
    let place = instance.agent();
    instance.let_links_fill(true);
    let asker = instance.colleague(Role::Builder);
    let (started, token) = instance.started(&asker, place);
    let run = instance.by_run(&token).unwrap();
    let manager = instance.signed_in(&instance.colleague(Role::Manager));
    let user = Some(asker.caller.user_id);

    let by_key = instance.asked(&asker);
    let (event, actor) = named_in(&instance, EventKind::FillRequestCreated);
    assert_eq!((actor, event.actor.key_id, event.actor.run_id), (user, by_key.0.key_id, None));
    assert_eq!((event.object.table, event.object.id), ("fill_requests", Some(by_key.0.id.uuid())));
    assert_eq!((event.place.agent_id, event.team_id), (None, Some(asker.caller.team_id)));

    let by_run = instance.asked(&run);
    let (event, actor) = named_in(&instance, EventKind::FillRequestCreated);
    assert_eq!((actor, event.actor.run_id), (user, Some(started.id)));
    assert_eq!(event.place.agent_id, Some(place.0), "in which agent");

    instance.fill(&manager, by_run.0.id, (&VALUES, true)).unwrap();
    let (event, actor) = named_in(&instance, EventKind::FillRequestFilled);
    assert_eq!(actor, Some(manager.caller.user_id));
    assert!(event.actor.session_id.is_some() && event.actor.key_id.is_none());
    assert_eq!(named_in(&instance, EventKind::SecretCreated).1, Some(manager.caller.user_id));

    let link = instance.link(by_key.1.reveal()).unwrap();
    let secret = instance.fill(link.alone().unwrap(), by_key.0.id, (&VALUES, false)).unwrap();
    for kind in [EventKind::FillRequestFilled, EventKind::SecretCreated] {
        let (event, actor) = named_in(&instance, kind);
        let nobody = (event.actor.key_id, event.actor.run_id, event.actor.session_id);
        assert_eq!((actor, nobody), (None, (None, None, None)), "nobody knows who has the link");
        assert_eq!(event.team_id, Some(asker.caller.team_id));
    }
    assert_eq!(secret.owner, user);

    instance.cancel(&asker, instance.asked(&asker).0.id).unwrap();
    let (_, actor) = named_in(&instance, EventKind::FillRequestCancelled);
    assert_eq!(actor, user);
    let counts = [
        EventKind::FillRequestCreated,
        EventKind::FillRequestFilled,
        EventKind::FillRequestCancelled,
        EventKind::SecretCreated,
    ];
    assert_eq!(counts.map(|kind| instance.events(kind).len()), [3, 2, 1, 2]);
    let told = format!("{:?}", instance.store.tables().events);
    for hidden in [VALUES[0].1, VALUES[1].1, by_key.1.reveal(), by_run.1.reveal(), "srl_"] {
        assert!(!told.contains(hidden));
    }
    assert!(at_once(instance.app.verify(|| ())).unwrap().findings.is_empty());
}

#[test]
fn each_event_carries_the_mac_of_the_row_as_it_was_stored() {
    let instance = Instance::new();
    let asker = instance.signed_in(&instance.colleague(Role::Builder));
    let [open, filled, cancelled] = [(); 3].map(|()| instance.asked(&asker).0.id);
    instance.fill(&asker, filled, (&VALUES, false)).unwrap();
    instance.cancel(&asker, cancelled).unwrap();
    let tables = instance.store.tables();
    for id in [open, filled, cancelled] {
        let row = tables.fill_requests.iter().find(|row| row.row().id == id).unwrap();
        let told = tables.events.iter().rfind(|event| event.object.id == Some(id.uuid())).unwrap();
        assert_eq!(told.object.mac.map(|mac| *mac.as_bytes()), Some(*row.mac().as_bytes()));
    }
}

#[test]
fn an_error_tells_no_value() {
    let instance = Instance::new();
    let asker = instance.signed_in(&instance.colleague(Role::Builder));
    let (request, token) = instance.asked(&asker);
    let wrong = [("STRIPE_KEY", "sk_typed_by_a_person"), ("OTHER", "acct_typed")];
    let refused = instance.fill(&asker, request.id, (&wrong, false)).err().unwrap();
    instance.cancel(&asker, request.id).unwrap();
    let gone = instance.fill(&asker, request.id, (&VALUES, false)).err().unwrap();
    let unopened = instance.link(token.reveal()).err().unwrap();
    for error in [refused, gone, unopened] {
        let told = format!("{error} {error:?}");
        assert!(!told.contains("typed") && !told.contains("srl_"), "{told}");
    }
}

#[test]
fn rows_that_were_altered_or_exchanged_fill_in_nothing() {
    let instance = Instance::new();
    let [asker, other] = [(); 2].map(|()| instance.signed_in(&instance.colleague(Role::Manager)));
    let [first, second] = [&asker, &other].map(|by| instance.asked(by));
    let alter = |change: fn(&mut FillRequest, UserId)| {
        let mut tables = instance.store.tables();
        let whole = tables.fill_requests[0].clone();
        let mut row = whole.row().clone();
        change(&mut row, other.caller.user_id);
        tables.fill_requests[0] = Stored::unproven(row, whole.mac());
        whole
    };
    let changes: [fn(&mut FillRequest, UserId); 5] = [
        |row, other| row.user_id = other,
        |row, _| row.env_keys.truncate(1),
        |row, _| row.expires_at = Timestamp::from_millis(i64::MAX),
        |row, _| row.note = None,
        |row, _| row.secret_id = Some(SecretId::from_uuid(uuid::Uuid::nil())),
    ];
    for change in changes {
        let whole = alter(change);
        assert!(matches!(instance.link(first.1.reveal()), Err(Error::Integrity(_))));
        let refused = instance.fill(&asker, first.0.id, (&VALUES, true));
        assert!(matches!(refused, Err(Error::Integrity(_))), "{:?}", refused.err());
        instance.store.tables().fill_requests[0] = whole;
    }
    // One's token with the other's row.
    let mut tables = instance.store.tables();
    let ids = [first.0.id, second.0.id];
    let mut rows = [tables.fill_requests[0].row().clone(), tables.fill_requests[1].row().clone()];
    (rows[0].id, rows[1].id) = (ids[1], ids[0]);
    for (at, row) in rows.into_iter().enumerate() {
        let mac = tables.fill_requests[at].mac();
        tables.fill_requests[at] = Stored::unproven(row, mac);
    }
    drop(tables);
    for (_, token) in [first, second] {
        assert!(matches!(instance.link(token.reveal()), Err(Error::Integrity(_))));
    }
    assert_eq!(instance.secrets(), 0);
}

#[test]
fn filling_in_takes_the_place_of_nothing_that_is_for_the_broker_only() {
    let instance = Instance::new();
    let kept = instance.secret(&instance.owner, true, &VALUES);
    let new = NewPolicy { rules: Vec::new(), broker_only: true, values: None };
    let set = at_once(instance.app.set_policy(&instance.owner, kept, &new));
    let before = instance.done(&instance.owner, set).unwrap();
    let manager = instance.signed_in(&instance.colleague(Role::Manager));
    let id = instance.asked(&manager).0.id;
    let filled = instance.fill(&manager, id, (&VALUES, true)).unwrap();
    assert!(filled.id != kept && filled.policy.is_none());
    let after = at_once(instance.app.policy(&instance.owner, kept)).unwrap();
    assert_eq!((after.mac(), after.is_broker_only()), (before.mac(), true));
}
