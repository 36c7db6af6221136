//! The link: what it opens, and what it does alone where the team lets it.

use strongroom_core::access::{Action, Denied, Ownership};
use strongroom_core::app::{Ask, Cause, Error, LinkKind, NewMember, Newcomer};
use strongroom_core::fill_requests::Fate;
use strongroom_core::text::UserName;
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{OsRandom, Role};
use uuid::Uuid;

use super::{VALUES, invisible, needs_manager, not_proven};
use crate::instance::{Instance, bundle, everything, named};
use crate::support::at_once;

#[test]
fn by_the_link_alone_it_becomes_the_askers_own_where_the_team_lets_it() {
    let instance = Instance::new();
    let (place, key) = (instance.agent(), instance.key_for(instance.member(Role::Builder), everything()));
    let (request, token) = instance.asked(&instance.by_key(&key).unwrap());
    assert!(instance.link(token.reveal()).unwrap().alone().is_none(), "usually it doesn't");
    instance.let_links_fill(true);
    let asker = instance.by_key(&key).unwrap();
    let link = instance.link(token.reveal()).unwrap();
    let alone = link.alone().unwrap();
    assert!(needs_manager(&instance.fill(alone, request.id, (&VALUES, true))), "never the team's");
    let secret = instance.fill(alone, request.id, (&VALUES, false)).unwrap();
    assert_eq!((secret.owner, secret.version), (Some(asker.caller.user_id), 1));
    assert_eq!(instance.seen(&asker, request.id).ok(), Some(Fate::Filled));
    // Nobody else's runs receive it, not even an owner's.
    instance.attach(&asker, place, secret.id).unwrap();
    let received = |by: &Ask| instance.environment(&instance.started(by, place).1).unwrap();
    assert_eq!(received(&instance.owner_now()), []);
    let mut expected = named(&VALUES);
    expected.sort();
    assert_eq!(received(&asker), expected);
}

#[test]
fn a_managers_request_is_filled_in_by_the_link_as_their_own_too() {
    let instance = Instance::new();
    instance.let_links_fill(true);
    let owner = instance.owner_now();
    let (request, token) = instance.asked(&owner);
    let link = instance.link(token.reveal()).unwrap();
    let alone = link.alone().unwrap();
    assert!(needs_manager(&instance.fill(alone, request.id, (&VALUES, true))));
    assert_eq!(instance.fill(alone, request.id, (&VALUES, false)).unwrap().owner, Some(owner.caller.user_id));
}

#[test]
fn a_service_users_request_becomes_its_own_by_the_link_alone() {
    let instance = Instance::new();
    instance.let_links_fill(true);
    let owner = instance.owner_now();
    let who = Newcomer::Service(UserName::parse("deployer").unwrap());
    let new = NewMember { who, role: Role::Builder };
    let service = instance.done(&owner, at_once(instance.app.add_member(&owner, &new))).unwrap().user.id;
    let by_service = instance.by_key(&instance.key_for(service, everything())).unwrap();
    let (request, token) = instance.asked(&by_service);
    let link = instance.link(token.reveal()).unwrap();
    assert_eq!(
        instance.fill(link.alone().unwrap(), request.id, (&VALUES, false)).unwrap().owner,
        Some(service)
    );
    let (request, _) = instance.asked(&by_service);
    let manager = instance.signed_in(&instance.colleague(Role::Manager));
    assert_eq!(instance.fill(&manager, request.id, (&VALUES, true)).unwrap().owner, None);
}

#[test]
fn switched_off_after_the_link_was_opened_it_does_nothing() {
    let instance = Instance::new();
    instance.let_links_fill(true);
    let asker = instance.colleague(Role::Builder);
    let (request, token) = instance.asked(&asker);
    let link = instance.link(token.reveal()).unwrap();
    let alone = link.alone().unwrap();
    let planned = at_once(instance.app.fill(alone, request.id, (bundle(&VALUES), false)));
    instance.let_links_fill(false);
    assert!(not_proven(&instance.done(alone, planned)), "planned before, carried out after");
    assert!(not_proven(&instance.fill(alone, request.id, (&VALUES, false))));
    assert!(instance.link(token.reveal()).unwrap().alone().is_none());
    // On again a moment later, what was proven before the change is not proven any more.
    instance.clock.pass(1);
    instance.let_links_fill(true);
    assert!(not_proven(&instance.fill(alone, request.id, (&VALUES, false))));
    assert_eq!(instance.secrets(), 0);
    let link = instance.link(token.reveal()).unwrap();
    instance.fill(link.alone().unwrap(), request.id, (&VALUES, false)).unwrap();
}

#[test]
fn a_link_fills_in_nothing_but_what_it_is_for() {
    let instance = Instance::new();
    instance.let_links_fill(true);
    let asker = instance.colleague(Role::Builder);
    let [(_, token), (another, _)] = [(); 2].map(|()| instance.asked(&asker));
    let link = instance.link(token.reveal()).unwrap();
    let alone = link.alone().unwrap();
    assert!(not_proven(&instance.fill(alone, another.id, (&VALUES, false))));
    for action in Action::ALL.into_iter().filter(|action| *action != Action::Fill) {
        let permit = alone.caller.permit(action, Ownership::Own).map(|_| ());
        assert_eq!(permit, Err(Denied::Invisible), "{action:?}");
    }
    assert!(invisible(&instance.seen(alone, link.request.id)));
    assert!(invisible(&instance.cancel(alone, link.request.id)));
    assert!(invisible(&instance.request(alone, &super::new())));
    assert_eq!(instance.secrets(), 0);
}

#[test]
fn a_link_of_one_kind_is_none_of_another() {
    let instance = Instance::new();
    let place = instance.agent();
    instance.let_links_fill(true);
    let asker = instance.colleague(Role::Builder);
    let ben = instance.person(&instance.owner_now(), Role::Builder, "ben@example.com");
    let (fill, run) = (instance.asked(&asker).1, instance.started(&asker, place).1);
    let invitation = instance.invited(&instance.owner_now(), ben).unwrap();
    let set_up = instance.set_up_link("ada@example.com");
    let key = instance.key_for(ben, everything());
    for other in [&invitation, &set_up, &key, &run] {
        assert!(not_proven(&instance.link(other.reveal())));
    }
    assert!(not_proven(&instance.by_link(&fill)), "a key link");
    for kind in [LinkKind::Invitation, LinkKind::SetUp] {
        assert!(at_once(instance.app.open_link(kind, fill.reveal(), Cause::default())).is_err());
    }
    assert!(not_proven(&instance.by_session(&fill)) && not_proven(&instance.by_key(&fill)));
    assert!(not_proven(&instance.by_run(&fill)));
    assert!(instance.opens_for_filling(&fill), "the control");
}

#[test]
fn whatever_is_no_link_is_refused_alike() {
    let instance = Instance::new();
    let asker = instance.colleague(Role::Builder);
    let (request, token) = instance.asked(&asker);
    let text = token.reveal();
    let minted = |kind, id| Token::mint(kind, id, &OsRandom).reveal().to_owned();
    let bad = [
        String::new(),
        "hunter2".to_owned(),
        text[..text.len() - 1].to_owned(),
        format!("{text}0"),
        format!("{text}/"),
        text.to_uppercase(),
        text.replacen("srl_", "srk_", 1),
        text.replacen("srl_", "", 1),
        minted(TokenKind::Link, request.id.uuid()),
        minted(TokenKind::Link, Uuid::from_u128(99)),
        minted(TokenKind::Session, request.id.uuid()),
        "srl_".to_owned() + &"é".repeat(200),
    ];
    for bad in bad {
        assert!(not_proven(&instance.link(&bad)), "{bad}");
    }
    for at in "srl_".len()..text.len() {
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        let altered = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        assert!(not_proven(&instance.link(&altered)), "altered at {at}");
    }
    assert!(instance.opens_for_filling(&token), "the control");
}

#[test]
fn opening_a_link_changes_nothing() {
    let instance = Instance::new();
    let (_, token) = instance.asked(&instance.colleague(Role::Builder));
    let events = instance.store.tables().events.len();
    for _ in 0..3 {
        assert!(instance.opens_for_filling(&token));
    }
    assert_eq!(instance.store.tables().events.len(), events);
}

#[test]
fn only_who_may_change_the_team_lets_links_fill() {
    let instance = Instance::new();
    for (role, may) in [(Role::Manager, false), (Role::Administrator, true), (Role::Owner, true)] {
        let by = instance.colleague(role);
        let tried = instance.done(&by, at_once(instance.app.let_links_fill(&by, true)));
        assert_eq!(tried.is_ok(), may, "{role}");
        if !may {
            assert!(matches!(tried, Err(Error::Denied(Denied::Role(Role::Administrator)))));
        }
    }
    let team = || instance.store.tables().teams[0].row().fills_by_link_since;
    let since = team();
    assert!(since.is_some());
    instance.clock.pass(1_000);
    instance.let_links_fill(true);
    assert_eq!(team(), since, "said again, nothing changes");
    instance.let_links_fill(false);
    assert_eq!(team(), None);
}
