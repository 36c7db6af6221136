//! Sessions, from their beginning to their end.

use std::collections::BTreeSet;
use strongroom_core::access::{Denied, Means};
use strongroom_core::app::{Ask, Error, NewFactors, NewMember, Newcomer, Suspected};
use strongroom_core::sessions::{LASTS, Session};
use strongroom_core::text::TeamName;
use strongroom_core::{Role, SessionId, SignInId, StoreError};
use uuid::Uuid;

use super::{ADA, BEN, PASSWORD, attempt, not_proven, typed, wrong};
use crate::instance::{Instance, everything, new_run};
use crate::support::at_once;

fn invisible<T>(refused: &Result<T, Error>) -> bool {
    matches!(refused, Err(Error::Denied(Denied::Invisible)))
}

fn id_of(ask: &Ask) -> SessionId {
    let Means::Session(id) = ask.caller.means else { panic!("no session") };
    id
}

#[test]
fn a_session_is_its_member_with_the_role_of_now() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Administrator, BEN);
    let token = instance.set_up(BEN, PASSWORD).token;
    let role = || instance.by_session(&token).map(|ask| ask.caller.grant.role);
    let by_ben = instance.by_session(&token).unwrap();
    assert_eq!((by_ben.caller.user_id, by_ben.caller.team_id), (ben, instance.team()));
    assert_eq!(role().unwrap(), Role::Administrator);
    instance.clock.hold();
    role().unwrap();
    instance.change_role(&instance.owner_now(), ben, Role::Member);
    assert_eq!(role().unwrap(), Role::Member, "at once");
    let name = TeamName::parse("x").unwrap();
    let late = instance.done(&by_ben, at_once(instance.app.update_team(&by_ben, &name)));
    assert!(matches!(late, Err(Error::Store(StoreError::StalePermit))), "{:?}", late.err());
    let by_ben = instance.by_session(&token).unwrap();
    let refused = at_once(instance.app.update_team(&by_ben, &name)).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Role(Role::Administrator)))), "{refused:?}");
}

#[test]
fn the_session_of_who_is_no_member_any_more_is_over() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    let token = instance.set_up(BEN, PASSWORD).token;
    instance.clock.hold();
    let by_ben = instance.by_session(&token).unwrap();
    instance.remove(&instance.owner_now(), ben);
    assert!(not_proven(&instance.by_session(&token)));
    let late = instance.done(&by_ben, at_once(instance.app.end_session(&by_ben, id_of(&by_ben))));
    assert!(not_proven(&late), "{:?}", late.err());
    let who = Newcomer::Former(ben);
    let back =
        at_once(instance.app.add_member(&instance.owner_now(), &NewMember { who, role: Role::Member }));
    instance.done(&instance.owner_now(), back).unwrap();
    assert!(not_proven(&instance.by_session(&token)), "also when they are back");
}

#[test]
fn a_session_of_a_disabled_user_or_of_another_sign_in_is_none() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    let token = instance.set_up(BEN, PASSWORD).token;
    assert!(instance.by_session(&token).is_ok());
    let was = instance.store.tables().sign_ins[0].row().id;
    for sign_in in [None, Some(SignInId::from_uuid(instance.id()))] {
        instance.alter_membership(ben, |row| row.sign_in = sign_in);
        assert!(not_proven(&instance.by_session(&token)), "{sign_in:?}");
        assert!(instance.sign_in(attempt(BEN, PASSWORD, "")).is_err());
    }
    instance.alter_membership(ben, |row| row.sign_in = Some(was));
    assert!(instance.by_session(&token).is_ok());
    instance.disable(ben);
    assert!(not_proven(&instance.by_session(&token)));
}

#[test]
fn an_ended_session_is_over_and_others_go_on() {
    let instance = Instance::new();
    instance.person(&instance.owner_now(), Role::Administrator, BEN);
    instance.set_up(ADA, PASSWORD);
    let bens = instance.by_session(&instance.set_up(BEN, PASSWORD).token).unwrap();
    let tokens = [(); 3].map(|()| instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().token);
    instance.clock.hold();
    let [first, second, third] = tokens.each_ref().map(|token| instance.by_session(token).unwrap());
    let good = || tokens.each_ref().map(|token| instance.by_session(token).is_ok());
    let end = |by: &Ask, id| instance.done(by, at_once(instance.app.end_session(by, id)));
    assert!(invisible(&end(&bens, id_of(&first))), "another's");
    assert!(invisible(&end(&first, id_of(&bens))));
    assert!(invisible(&end(&first, SessionId::from_uuid(instance.id()))), "nobody's");
    let planned = at_once(instance.app.end_other_sessions(&second));
    end(&first, id_of(&second)).unwrap();
    assert_eq!(good(), [true, false, true]);
    assert!(invisible(&end(&first, id_of(&second))), "it is gone");
    assert!(not_proven(&instance.done(&second, planned)), "planned before, done after");
    assert_eq!(good(), [true, false, true]);
    let listed: BTreeSet<_> =
        at_once(instance.app.sessions(&first)).unwrap().iter().map(|session| session.id).collect();
    assert!(listed.contains(&id_of(&first)) && listed.contains(&id_of(&third)));
    assert!(!listed.contains(&id_of(&second)) && !listed.contains(&id_of(&bens)));
    instance.done(&third, at_once(instance.app.end_other_sessions(&third))).unwrap();
    assert_eq!(good(), [false, false, true]);
    assert_eq!(at_once(instance.app.sessions(&third)).unwrap().len(), 1);
    let before = instance.rows();
    instance.done(&third, at_once(instance.app.end_other_sessions(&third))).unwrap();
    assert_eq!(instance.rows(), before, "there is none");
    assert!(at_once(instance.app.sessions(&bens)).unwrap().iter().any(|session| session.id == id_of(&bens)));
    end(&third, id_of(&third)).unwrap();
    assert_eq!(good(), [false; 3]);
}

#[test]
fn a_session_lasts_a_working_day() {
    let instance = Instance::new();
    let token = instance.set_up(ADA, PASSWORD).token;
    instance.clock.pass(LASTS - 1);
    let by_ada = instance.by_session(&token).unwrap();
    assert_eq!(at_once(instance.app.sessions(&by_ada)).unwrap().len(), 1);
    instance.clock.pass(1);
    assert!(not_proven(&instance.by_session(&token)));
    assert_eq!(LASTS, 12 * 60 * 60 * 1_000);
}

#[test]
fn a_session_is_no_key_and_a_key_no_session() {
    let instance = Instance::new();
    let session = instance.set_up(ADA, PASSWORD).token;
    let key = instance.key_for(instance.ada(), everything());
    assert!(instance.by_session(&session).is_ok() && instance.by_key(&key).is_ok());
    assert!(not_proven(&instance.by_session(&key)) && not_proven(&instance.by_key(&session)));
    assert!(not_proven(&instance.by_run(&session)));
    for prefix in ["srk_", "srs_"] {
        let other = |text: &str| format!("{prefix}{}", &text[4..]);
        let [key, session] = [other(key.reveal()), other(session.reveal())];
        let cause = strongroom_core::app::Cause::default();
        assert!(not_proven(&at_once(instance.app.authenticate(&session, None, &cause))));
        assert!(not_proven(&at_once(instance.app.authenticate_session(&key, &cause))));
    }
}

#[test]
fn what_a_session_does_that_no_key_does_and_the_other_way_round() {
    let instance = Instance::new();
    let place = instance.agent();
    let by_session = instance.by_session(&instance.set_up(ADA, PASSWORD).token).unwrap();
    let (app, owner, id) = (&instance.app, &instance.owner_now(), id_of(&by_session));
    assert!(invisible(&at_once(app.sessions(owner))));
    assert!(invisible(&at_once(app.end_session(owner, id))));
    assert!(invisible(&at_once(app.end_other_sessions(owner))));
    assert!(invisible(&at_once(app.move_session(owner, instance.team()))));
    assert!(invisible(&at_once(app.teams_of_session(owner))));
    assert!(invisible(&at_once(app.sign_in_state(owner))));
    assert!(app.form_token(owner).is_err());
    let change = NewFactors::Password("another good password".to_owned());
    assert!(at_once(app.change_sign_in(owner, (typed(PASSWORD), ""), change)).is_err());
    assert!(instance.sign_in(attempt(ADA, PASSWORD, "")).is_ok());
    // Runs hang on a key, which can be revoked.
    assert!(invisible(&instance.start(&by_session, &new_run(place.0))));
    assert!(instance.start(owner, &new_run(place.0)).is_ok());
}

#[test]
fn forms_of_one_session_are_none_of_another() {
    let instance = Instance::new();
    instance.set_up(ADA, PASSWORD);
    let tokens = [(); 2].map(|()| instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().token);
    let form = |at: usize| instance.app.form_token(&instance.by_session(&tokens[at]).unwrap()).unwrap();
    assert_eq!(form(0), form(0));
    assert_ne!(form(0), form(1));
    assert_eq!(form(0).len(), 64);
}

#[test]
fn a_session_goes_only_where_its_sign_in_is_let_in() {
    let instance = Instance::new();
    let token = instance.set_up(ADA, PASSWORD).token;
    let gliders = instance.other_team();
    let (rockets, gliders_id) = (instance.team(), gliders.caller.team_id);
    let by_ada = instance.by_session(&token).unwrap();
    let go = |by: &Ask, team| instance.done(by, at_once(instance.app.move_session(by, team)));
    let teams = |by: &Ask| {
        let teams = at_once(instance.app.teams_of_session(by)).unwrap();
        teams.iter().map(|team| team.id).collect::<Vec<_>>()
    };
    assert_eq!(teams(&by_ada), [rockets]);
    assert!(invisible(&go(&by_ada, gliders_id)), "a team that doesn't know it yet");
    let invitation = instance.invited(&gliders, instance.ada()).unwrap();
    instance.joined(&invitation, attempt(ADA, PASSWORD, "")).ok().unwrap();
    assert_eq!(teams(&by_ada), [rockets, gliders_id]);
    let before = instance.rows();
    go(&by_ada, rockets).unwrap();
    assert_eq!(instance.rows(), before, "it is there already");
    go(&by_ada, gliders_id).unwrap();
    let late = go(&by_ada, rockets);
    assert!(matches!(late, Err(Error::Store(StoreError::StalePermit))), "as whoever was elsewhere: {late:?}");
    let there = instance.by_session(&token).unwrap();
    assert_eq!(there.caller.team_id, gliders_id);
    assert_eq!(at_once(instance.app.team(&there)).unwrap().id, gliders_id);
    // Where they are members no more, or that is deleted, they can't go.
    go(&there, rockets).unwrap();
    let here = instance.by_session(&token).unwrap();
    let now = instance.now();
    instance.alter_team(gliders_id, |team| team.deleted_at = Some(now));
    assert!(invisible(&go(&here, gliders_id)));
    assert_eq!(teams(&here), [rockets]);
    assert!(invisible(&go(&here, strongroom_core::TeamId::from_uuid(instance.id()))));
}

#[test]
fn a_session_founds_a_team_and_goes_there() {
    let instance = Instance::new();
    let (name, founder) = (TeamName::parse("Gliders").unwrap(), instance.set_up(ADA, PASSWORD).token);
    let by_owner = instance.by_session(&founder).unwrap();
    let found = |by: &Ask| instance.done(by, at_once(instance.app.found_team(by, name.clone())));
    let team = found(&by_owner).unwrap();
    instance.done(&by_owner, at_once(instance.app.move_session(&by_owner, team.id))).unwrap();
    let there = instance.by_session(&founder).unwrap();
    assert_eq!((there.caller.team_id, there.caller.grant.role), (team.id, Role::Owner));
    let secret = instance.secret(&there, true, &[("A", "1")]);
    assert!(
        at_once(instance.app.secret(&by_owner, secret)).is_err(),
        "the other team's is not seen from here"
    );
    // A key does it in its own way.
    assert!(invisible(&found(&instance.owner_now())));
}

#[test]
fn no_session_is_too_many_to_be_ended() {
    let instance = Instance::new();
    instance.set_up(ADA, PASSWORD);
    let first = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().token;
    let mine = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().token;
    let any = instance.store.tables().sessions[0].row().clone();
    let newer =
        |number| Session { id: SessionId::from_uuid(Uuid::from_u128(u128::MAX - number)), ..any.clone() };
    let newer: Vec<_> = (0..300).map(|number| instance.sign(newer(number))).collect();
    instance.store.tables().sessions.extend(newer);
    let by_ada = instance.by_session(&mine).unwrap();
    assert!(at_once(instance.app.teams_of_session(&by_ada)).is_ok(), "nobody's are in the way of one's own");
    instance.done(&by_ada, at_once(instance.app.end_other_sessions(&by_ada))).unwrap();
    assert!(not_proven(&instance.by_session(&first)));
    assert!(instance.by_session(&mine).is_ok());
    let open = || instance.store.tables().sessions.iter().filter(|row| row.row().ended_at.is_none()).count();
    assert_eq!(open(), 1);
}

/// One that began by the old password while that was being changed.
#[test]
fn no_session_slips_past_the_change_of_a_password() {
    let instance = std::sync::Arc::new(Instance::new());
    let by_ada = instance.by_session(&instance.set_up(ADA, PASSWORD).token).unwrap();
    let slipped = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (meanwhile, kept) = (std::sync::Arc::downgrade(&instance), slipped.clone());
    instance.store.set_meanwhile(Box::new(move || {
        let mut kept = kept.lock().unwrap();
        if kept.is_none() {
            let signed_in = meanwhile.upgrade().unwrap().sign_in(attempt(ADA, PASSWORD, ""));
            *kept = signed_in.ok().map(|signed_in| signed_in.token);
        }
        Ok(())
    }));
    let new = NewFactors::Password("another good password".to_owned());
    at_once(instance.app.change_sign_in(&by_ada, (typed(PASSWORD), ""), new)).ok().unwrap();
    instance.store.clear_meanwhile();
    let slipped = slipped.lock().unwrap().take().expect("it began");
    assert!(not_proven(&instance.by_session(&slipped)));
    assert!(wrong(&instance.sign_in(attempt(ADA, PASSWORD, ""))));
}

#[test]
fn whoever_is_suspected_has_no_session_and_no_invitation() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Administrator, BEN);
    let eve = instance.person(&instance.owner_now(), Role::Member, "eve@example.com");
    let token = instance.set_up(BEN, PASSWORD).token;
    let by_ben = instance.by_session(&token).unwrap();
    let for_eve = instance.invited(&by_ben, eve).unwrap();
    let for_ben = instance.invited(&instance.owner_now(), ben).unwrap();
    let for_ada = instance.invited(&instance.owner_now(), instance.ada()).unwrap();
    instance.clock.hold();
    instance.by_session(&token).unwrap();
    let planned = at_once(instance.app.panic(&instance.owner_now(), Suspected::User(ben)));
    instance.done(&instance.owner_now(), planned).unwrap();
    assert!(not_proven(&instance.by_session(&token)));
    assert!(instance.sign_in(attempt(BEN, PASSWORD, "")).is_err(), "nor by the password");
    let open = |token: &strongroom_core::tokens::Token| {
        instance.open(strongroom_core::app::LinkKind::Invitation, token.reveal()).is_ok()
    };
    assert_eq!([open(&for_eve), open(&for_ben), open(&for_ada)], [false, false, true]);
    // Twice is once.
    let before = instance.rows();
    let planned = at_once(instance.app.panic(&instance.owner_now(), Suspected::User(ben)));
    instance.done(&instance.owner_now(), planned).unwrap();
    assert_eq!(instance.rows(), before);
}

#[test]
fn sessions_and_invitations_that_are_over_are_forgotten() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    instance.set_up(ADA, PASSWORD);
    instance.invited(&instance.owner_now(), ben).unwrap();
    instance.clock.pass(LASTS / 2);
    let later = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().token;
    let kept = || {
        let tables = instance.store.tables();
        (tables.sessions.len(), tables.invitations.len())
    };
    let purge = || at_once(instance.app.purge(strongroom_core::Timestamp::from_millis(0))).unwrap();
    purge();
    assert_eq!(kept(), (2, 1));
    instance.clock.pass(LASTS / 2 + 1);
    purge();
    assert_eq!(kept(), (1, 1));
    assert!(instance.by_session(&later).is_ok());
    instance.clock.pass(strongroom_core::invitations::LASTS);
    purge();
    assert_eq!(kept(), (0, 0));
}
