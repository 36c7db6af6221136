//! Agents, their revisions, and what is attached to them: who may, what is
//! refused, what is made unasked, and that the preview says what a run receives.

use strongroom_core::access::Denied;
use strongroom_core::agents::Attachment;
use strongroom_core::app::{Ask, Error, Preview};
use strongroom_core::environment::Reason;
use strongroom_core::events::EventKind;
use strongroom_core::health::{STALE_DAYS, SecretHint, ValueHint};
use strongroom_core::rows::Stored;
use strongroom_core::secrets::Patch;
use strongroom_core::text::{AgentName, RevisionName};
use strongroom_core::{AgentId, RevisionId, Role, SecretId, StoreError};

use crate::instance::{Instance, Place, named, new_run, replacing};
use crate::support::at_once;

fn agent_name(name: &str) -> AgentName {
    AgentName::parse(name).unwrap()
}

fn invisible<T>(refused: &Result<T, Error>) -> bool {
    matches!(refused, Err(Error::Denied(Denied::Invisible)))
}

fn attached(instance: &Instance, by: &Ask, place: Place) -> Vec<SecretId> {
    let secrets = at_once(instance.app.attached_secrets(by, place)).unwrap();
    secrets.iter().map(|secret| secret.id).collect()
}

#[test]
fn the_first_revision_is_live_until_another_is_promoted() {
    let instance = Instance::new();
    let (owner, app) = (&instance.owner, &instance.app);
    let agent = instance.done(owner, app.create_agent(owner, agent_name("courier"))).unwrap();
    assert_eq!((agent.live, agent.generation), (None, 0));
    let refused = instance.start(owner, &new_run(agent.id));
    assert!(matches!(refused, Err(Error::Conflict(_))), "there is no revision to run");
    let live = || at_once(app.agent(owner, agent.id)).unwrap().live;
    let [first, second] = [(); 2].map(|()| instance.revision(agent.id));
    assert_eq!(live(), Some(first));
    let name = RevisionName::parse("second").unwrap();
    let promote = |name| instance.done(owner, at_once(app.promote_revision(owner, second, name)));
    promote(Some(&name)).unwrap();
    assert_eq!(live(), Some(second));
    let (revision, _) = at_once(app.revision(owner, agent.id, second)).unwrap();
    assert_eq!(revision.name, name);
    let events = instance.store.tables().events.len();
    promote(Some(&name)).unwrap();
    promote(None).unwrap();
    assert_eq!(instance.store.tables().events.len(), events, "it is so already");
    assert_eq!(instance.start(owner, &new_run(agent.id)).unwrap().0.revision_id, second);
    let list = at_once(app.revisions(owner, agent.id, (1, 5))).unwrap();
    assert_eq!((list.total, list.revisions[0].id, list.agent.live), (2, second, Some(second)));
}

#[test]
fn agents_are_found_by_name_renamed_and_gone_when_deleted() {
    let instance = Instance::new();
    let (owner, app) = (&instance.owner, &instance.app);
    let ids = ["Courier", "baker", "courier 2"]
        .map(|name| instance.done(owner, app.create_agent(owner, agent_name(name))).unwrap().id);
    let found = |search, page| {
        let list = at_once(app.agents(owner, search, page)).unwrap();
        (list.agents.iter().map(|agent| agent.id).collect::<Vec<_>>(), list.total)
    };
    assert_eq!(found(None, (0, 9)), (ids.to_vec(), 3));
    assert_eq!(found(Some("COUR"), (0, 9)), (vec![ids[0], ids[2]], 2));
    assert_eq!(found(Some("cour"), (1, 1)), (vec![ids[2]], 2));
    instance.done(owner, at_once(app.update_agent(owner, ids[1], &agent_name("courier 3")))).unwrap();
    assert_eq!(found(Some("cour"), (0, 9)).1, 3);
    let manager = instance.colleague(Role::Manager);
    let builder = instance.colleague(Role::Builder);
    let refused = at_once(app.delete_agent(&builder, ids[0])).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Role(Role::Manager)))));
    let revision = instance.revision(ids[0]);
    instance.done(&manager, at_once(app.delete_agent(&manager, ids[0]))).unwrap();
    assert_eq!(found(None, (0, 9)), (ids[1..].to_vec(), 2));
    assert!(invisible(&at_once(app.agent(owner, ids[0]))));
    assert!(invisible(&at_once(app.revision(owner, ids[0], revision))));
    assert!(invisible(&at_once(app.promote_revision(owner, revision, None))));
    assert!(invisible(&instance.start(owner, &new_run(ids[0]))));
    assert!(invisible(&at_once(app.runs(owner, Some(ids[0]), (0, 9)))));
}

#[test]
fn every_event_carries_the_mac_of_the_row_as_it_was_stored() {
    let instance = Instance::with(|app| app.registering_agents(true));
    let (owner, secret) = (&instance.owner, instance.secret(&instance.owner, true, &[("A", "1")]));
    let place = (AgentId::from_uuid(instance.id()), RevisionId::from_uuid(instance.id()));
    instance.attach(owner, place, secret).unwrap();
    let token = instance.started(owner, place).1;
    instance.done(owner, at_once(instance.app.update_agent(owner, place.0, &agent_name("x")))).unwrap();
    let by_run = instance.by_run(&token).unwrap();
    instance.done(&by_run, at_once(instance.app.end_run(&by_run))).unwrap();
    let tables = instance.store.tables();
    let latest = |table: &str| {
        let mut of_table = tables.events.iter().filter(|event| event.object.table == table);
        of_table.next_back().and_then(|event| event.object.mac)
    };
    assert_eq!(latest("agents"), tables.agents.last().map(Stored::mac));
    assert_eq!(latest("revisions"), tables.revisions.last().map(Stored::mac));
    assert_eq!(latest("attachments"), tables.attachments.last().map(Stored::mac));
    assert_eq!(latest("runs"), tables.runs.last().map(Stored::mac));
    let created = tables.events.iter().find(|event| event.kind == EventKind::AgentCreated).unwrap();
    assert_eq!((created.place.agent_id, created.place.revision_id), (Some(place.0), Some(place.1)));
    drop(tables);
    // The event of its creation, before anything else happened to it.
    let other = (AgentId::from_uuid(instance.id()), RevisionId::from_uuid(instance.id()));
    instance.attach(owner, other, secret).unwrap();
    let created = instance.events(EventKind::AgentCreated).pop().unwrap();
    assert_eq!(created.object.mac, instance.store.tables().agents.last().map(Stored::mac));
}

#[test]
fn a_secret_is_attached_to_a_revision_once() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let secret = instance.secret(owner, true, &[("A", "1")]);
    let not_attached = instance.detach(owner, place, secret);
    assert!(invisible(&not_attached));
    instance.attach(owner, place, secret).unwrap();
    assert!(matches!(instance.attach(owner, place, secret), Err(Error::Conflict(_))));
    assert_eq!(instance.store.tables().attachments.len(), 1);
    instance.attach(owner, (place.0, instance.revision(place.0)), secret).expect("to another revision");
    instance.detach(owner, place, secret).unwrap();
    assert!(invisible(&instance.detach(owner, place, secret)));
    instance.attach(owner, place, secret).expect("again, when it isn't");
    // Of two that saw it not attached, one attaches it.
    let other = instance.secret(owner, true, &[("B", "1")]);
    let [first, second] = [(); 2].map(|()| at_once(instance.app.attach_secret(owner, place, other)));
    instance.done(owner, first).unwrap();
    let late = instance.done(owner, second);
    assert!(matches!(late, Err(Error::Store(StoreError::Exists))), "{late:?}");
}

#[test]
fn a_revision_has_at_most_so_many_secrets() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let secrets: Vec<_> =
        (0..=Attachment::MAX).map(|_| instance.secret(owner, true, &[("A", "1")])).collect();
    for secret in &secrets[..Attachment::MAX] {
        instance.attach(owner, place, *secret).unwrap();
    }
    let last = secrets[Attachment::MAX];
    assert!(matches!(instance.attach(owner, place, last), Err(Error::Conflict(_))));
    instance.detach(owner, place, secrets[0]).unwrap();
    instance.attach(owner, place, last).unwrap();
    assert_eq!(attached(&instance, owner, place), secrets[1..]);
    assert_eq!(Attachment::MAX, 64, "as the refusal says");
}

#[test]
fn what_others_cannot_see_takes_no_place_from_them() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let member = instance.colleague(Role::Member);
    let own = |_| instance.secret(&member, false, &[("A", "1")]);
    let secrets: Vec<_> = (0..=Attachment::MAX).map(own).collect();
    for secret in &secrets[..Attachment::MAX] {
        instance.attach(&member, place, *secret).unwrap();
    }
    let shared = instance.secret(owner, true, &[("B", "1")]);
    instance.attach(owner, place, shared).expect("nobody else's personal ones count");
    let last = secrets[Attachment::MAX];
    assert!(matches!(instance.attach(&member, place, last), Err(Error::Conflict(_))));
    // Else whoever deletes what they attached could attach for ever.
    let deleted = at_once(instance.app.delete_secret(&member, secrets[0]));
    instance.done(&member, deleted).unwrap();
    assert!(matches!(instance.attach(&member, place, last), Err(Error::Conflict(_))));
}

#[test]
fn members_attach_their_own_and_builders_what_is_shared() {
    let instance = Instance::new();
    let (place, owner) = (instance.agent(), &instance.owner);
    let [member, builder] = [Role::Member, Role::Builder].map(|role| instance.colleague(role));
    let shared = instance.secret(owner, true, &[("A", "1")]);
    let own = instance.secret(&member, false, &[("B", "1")]);
    let refused = instance.attach(&member, place, shared);
    assert!(matches!(refused, Err(Error::Denied(Denied::Role(Role::Builder)))));
    instance.attach(&member, place, own).unwrap();
    instance.attach(&builder, place, shared).unwrap();
    // Another's personal secret isn't there, whoever asks.
    for by in [&builder, owner] {
        assert!(invisible(&instance.attach(by, place, own)));
        assert!(invisible(&instance.detach(by, place, own)));
        assert_eq!(attached(&instance, by, place), [shared]);
    }
    assert_eq!(attached(&instance, &member, place), [own, shared]);
    let refused = instance.detach(&member, place, shared);
    assert!(matches!(refused, Err(Error::Denied(Denied::Role(Role::Builder)))));
    instance.detach(&member, place, own).unwrap();
    // What is shared no more, between the look and the act, is not attached.
    instance.detach(&builder, place, shared).unwrap();
    let planned = at_once(instance.app.attach_secret(&builder, place, shared));
    let unshare = Patch { shared: Some(false), ..Patch::default() };
    instance.update(owner, shared, &unshare);
    let late = instance.done(&builder, planned);
    assert!(matches!(late, Err(Error::Store(StoreError::Changed))), "{late:?}");
}

#[test]
fn an_unknown_agent_is_made_only_where_that_is_wished_and_by_a_builder() {
    let unknown =
        |instance: &Instance| (AgentId::from_uuid(instance.id()), RevisionId::from_uuid(instance.id()));
    let instance = Instance::new();
    let secret = instance.secret(&instance.owner, true, &[("A", "1")]);
    assert!(invisible(&instance.attach(&instance.owner, unknown(&instance), secret)), "not wished");
    assert!(instance.store.tables().agents.is_empty());

    let instance = Instance::with(|app| app.registering_agents(true));
    let (owner, place) = (&instance.owner, unknown(&instance));
    let [member, builder] = [Role::Member, Role::Builder].map(|role| instance.colleague(role));
    let shared = instance.secret(owner, true, &[("A", "1")]);
    let own = instance.secret(&member, false, &[("B", "1")]);
    let refused = instance.attach(&member, place, own);
    assert!(matches!(refused, Err(Error::Denied(Denied::Role(Role::Builder)))), "{refused:?}");
    assert!(instance.store.tables().agents.is_empty());
    instance.attach(&builder, place, shared).unwrap();
    let agent = at_once(instance.app.agent(owner, place.0)).unwrap();
    assert_eq!((agent.live, agent.name.as_str()), (Some(place.1), place.0.to_string().as_str()));
    let token = instance.started(&builder, place).1;
    assert_eq!(instance.environment(&token).unwrap(), named(&[("A", "1")]));
    instance.attach(&member, place, own).expect("it is known by now");
    // Another revision of it is made, too, and isn't live.
    let second = (place.0, RevisionId::from_uuid(instance.id()));
    instance.attach(&builder, second, shared).unwrap();
    assert_eq!(at_once(instance.app.agent(owner, place.0)).unwrap().live, Some(place.1));
    assert_eq!(instance.events(EventKind::AgentCreated).len(), 1);
    assert_eq!(instance.events(EventKind::RevisionCreated).len(), 2);
    // The first of an agent that has none is live, as if it had been created.
    let bare = instance.done(owner, instance.app.create_agent(owner, agent_name("bare"))).unwrap().id;
    let first = RevisionId::from_uuid(instance.id());
    instance.attach(&builder, (bare, first), shared).unwrap();
    assert_eq!(at_once(instance.app.agent(owner, bare)).unwrap().live, Some(first));
}

#[test]
fn nothing_is_made_in_the_place_of_what_is_gone_or_anothers() {
    let instance = Instance::with(|app| app.registering_agents(true));
    let owner = &instance.owner;
    let secret = instance.secret(owner, true, &[("A", "1")]);
    let [deleted, agent, other] = [(); 3].map(|()| instance.agent());
    instance.done(owner, at_once(instance.app.delete_agent(owner, deleted.0))).unwrap();
    let rows = |instance: &Instance| {
        let tables = instance.store.tables();
        (tables.agents.len(), tables.revisions.len(), tables.attachments.len())
    };
    let before = rows(&instance);
    let new = RevisionId::from_uuid(instance.id());
    for place in [deleted, (deleted.0, new), (agent.0, other.1), (AgentId::from_uuid(instance.id()), other.1)]
    {
        assert!(invisible(&instance.attach(owner, place, secret)));
    }
    // Nor for a secret that can't be attached.
    let personal = instance.secret(&instance.colleague(Role::Member), false, &[("B", "1")]);
    let unknown = (AgentId::from_uuid(instance.id()), new);
    assert!(invisible(&instance.attach(owner, unknown, personal)));
    assert!(invisible(&instance.detach(owner, unknown, secret)), "detaching makes nothing");
    assert_eq!(rows(&instance), before);
    instance.attach(owner, (agent.0, new), secret).expect("the control");
    assert_eq!(rows(&instance), (before.0, before.1 + 1, before.2 + 1));
}

fn previewed(instance: &Instance, by: &Ask, place: Place) -> Preview {
    at_once(instance.app.preview(by, place.0, place.1)).unwrap()
}

#[test]
fn the_preview_says_what_a_run_receives() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let builder = instance.colleague(Role::Builder);
    assert!(previewed(&instance, owner, place).names.is_empty());
    let personal = instance.secret(owner, false, &[("A", "1"), ("P", "1")]);
    let second = instance.secret(owner, false, &[("P", "2")]);
    let earlier = instance.secret(owner, true, &[("A", "3"), ("B", "3"), ("O", "3")]);
    let later = instance.secret(owner, true, &[("B", "4")]);
    let theirs = instance.secret(&builder, false, &[("A", "5")]);
    for (by, secret) in
        [(owner, personal), (owner, second), (owner, earlier), (owner, later), (&builder, theirs)]
    {
        instance.attach(by, place, secret).unwrap();
    }
    for by in [owner, &builder] {
        let preview = previewed(&instance, by, place);
        let (run, token) = instance.started(by, place);
        let order: Vec<_> = preview.secrets.iter().map(|previewed| previewed.secret.id).collect();
        let parts: Vec<_> = run.composition.parts().iter().map(|part| part.secret_id).collect();
        assert_eq!(order, parts);
        let mut names: Vec<_> = preview.names.iter().map(|name| name.key.as_str().to_owned()).collect();
        names.sort();
        let received: Vec<_> =
            instance.environment(&token).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, received);
        for name in &preview.names {
            let part = run.composition.parts().iter().find(|part| part.won.contains(&name.key)).unwrap();
            assert_eq!(part.secret_id, name.secret_id);
        }
    }
    let preview = previewed(&instance, owner, place);
    let told = |name: &str| {
        let name = preview.names.iter().find(|previewed| previewed.key.as_str() == name).unwrap();
        (name.secret_id, name.reason, name.over.clone())
    };
    assert_eq!(told("A"), (personal, Reason::Personal, vec![earlier]));
    assert_eq!(told("P"), (second, Reason::Later, vec![personal]));
    assert_eq!(told("B"), (later, Reason::Later, vec![earlier]));
    assert_eq!(told("O"), (earlier, Reason::Only, vec![]));
}

#[test]
fn the_preview_hints_at_traps_and_delivers_nothing() {
    let instance = Instance::new();
    let (owner, place) = (&instance.owner, instance.agent());
    let trap = instance.secret(owner, true, &[("GOOD", "4eC39HqLyjWD"), ("TRAP", "\"changeme\"\n")]);
    let empty = instance.secret(owner, true, &[]);
    instance.attach(owner, place, trap).unwrap();
    instance.attach(owner, place, empty).unwrap();
    let hints = || {
        let preview = previewed(&instance, owner, place);
        preview.secrets.into_iter().map(|previewed| previewed.hints).collect::<Vec<_>>()
    };
    let preview = previewed(&instance, owner, place);
    let of_name = |name: &str| {
        preview.names.iter().find(|previewed| previewed.key.as_str() == name).unwrap().hints.clone()
    };
    assert_eq!(of_name("GOOD"), []);
    assert_eq!(of_name("TRAP"), [ValueHint::Placeholder, ValueHint::Quoted, ValueHint::Whitespace]);
    assert_eq!(hints(), [vec![SecretHint::NeverUsed, SecretHint::Empty], vec![SecretHint::NeverUsed]]);
    assert_eq!((instance.noted(), instance.events(EventKind::SecretDelivered).len()), (vec![], 0));
    instance.environment(&instance.started(owner, place).1).unwrap();
    assert_eq!(hints()[1], [], "it was used");
    instance.clock.pass(STALE_DAYS * 24 * 3_600 * 1_000);
    assert_eq!(hints()[1], []);
    instance.clock.pass(1);
    assert_eq!(hints()[1], [SecretHint::Stale]);
    instance.update(owner, trap, &replacing(&[("GOOD", "4eC39HqLyjWD")]));
    assert_eq!(hints()[1], []);
    let member = instance.colleague(Role::Member);
    let refused = at_once(instance.app.preview(&member, place.0, place.1)).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Role(Role::Builder)))));
}
