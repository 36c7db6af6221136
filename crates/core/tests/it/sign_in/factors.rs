//! What somebody signs in with, seen and changed.

use strongroom_core::app::{Ask, Error, NewFactors, SignInError};

use super::{ADA, PASSWORD, SHORT, WithApp, attempt, not_proven, shown, typed, wrong};
use crate::instance::Instance;
use crate::support::at_once;

const ANOTHER: &str = "another good password";

impl Instance {
    fn change(
        &self,
        by: &Ask,
        (password, code): (&str, &str),
        new: NewFactors,
    ) -> Result<Vec<String>, SignInError> {
        at_once(self.app.change_sign_in(by, (typed(password), code), new))
    }
}

fn password(text: &str) -> NewFactors {
    NewFactors::Password(text.to_owned())
}

fn invalid<T>(refused: &Result<T, SignInError>) -> bool {
    matches!(refused, Err(SignInError::Other(Error::Invalid(_))))
}

fn conflict<T>(refused: &Result<T, SignInError>) -> bool {
    matches!(refused, Err(SignInError::Other(Error::Conflict(_))))
}

#[test]
fn a_password_is_changed_by_who_knows_the_one_of_before() {
    let instance = Instance::new();
    let first = instance.set_up(ADA, PASSWORD).token;
    let other = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().token;
    let by_ada = instance.by_session(&first).unwrap();
    let before = instance.rows();
    for typed in ["another password", "", &PASSWORD.to_uppercase()] {
        assert!(wrong(&instance.change(&by_ada, (typed, ""), password(ANOTHER))), "{typed}");
    }
    for easy in [SHORT, "", "aaaaaaaaaaaaaaaaaaaa", &*"many words ".repeat(24)] {
        let refused = instance.change(&by_ada, (PASSWORD, ""), password(easy));
        assert!(invalid(&refused), "{easy}");
        let message = format!("{:?}", refused.err());
        assert!(easy.is_empty() || !message.contains(easy), "{message}");
    }
    assert_eq!(instance.rows(), before);
    assert!(instance.by_session(&other).is_ok());
    assert!(instance.change(&by_ada, (PASSWORD, ""), password(ANOTHER)).is_ok_and(|codes| codes.is_empty()));
    assert!(instance.by_session(&first).is_ok(), "the session in which it was done goes on");
    assert!(not_proven(&instance.by_session(&other)), "the others end");
    assert!(wrong(&instance.sign_in(attempt(ADA, PASSWORD, ""))));
    let new = instance.sign_in(attempt(ADA, ANOTHER, "")).ok().unwrap().token;
    let by_ada = instance.by_session(&first).unwrap();
    assert!(at_once(instance.app.sessions(&by_ada)).unwrap().len() == 2);
    assert!(instance.by_session(&new).is_ok());
}

#[test]
fn all_teams_that_knew_a_sign_in_know_it_after_a_change() {
    let instance = Instance::new();
    let gliders = instance.other_team().caller.team_id;
    let first = instance.set_up(ADA, PASSWORD).token;
    let late = instance.other_team().caller.team_id;
    let by_ada = instance.by_session(&first).unwrap();
    let now = instance.now();
    instance.alter_team(gliders, |team| team.deleted_at = Some(now));
    instance.change(&by_ada, (PASSWORD, ""), password(ANOTHER)).ok().unwrap();
    instance.alter_team(gliders, |team| team.deleted_at = None);
    let by_ada = instance.by_session(&first).unwrap();
    let teams = at_once(instance.app.teams_of_session(&by_ada)).unwrap();
    let teams: Vec<_> = teams.iter().map(|team| team.id).collect();
    assert_eq!(teams, [instance.team(), gliders], "deleted ones, too, should they come back");
    assert!(!teams.contains(&late), "and none that didn't");
}

#[test]
fn an_app_is_added_by_what_it_shows() {
    let instance = Instance::new();
    let first = instance.set_up(ADA, PASSWORD).token;
    let other = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().token;
    let by_ada = instance.by_session(&first).unwrap();
    let state = || at_once(instance.app.sign_in_state(&by_ada)).unwrap();
    let app = state().app;
    assert_eq!((state().codes_left, state().app.text()), (None, app.text()), "until it is added");
    let by_other = instance.by_session(&other).unwrap();
    let others = at_once(instance.app.sign_in_state(&by_other)).unwrap().app;
    assert_ne!(others.text(), app.text(), "each session is offered its own");
    for typed in ["123456", "", &shown(&others, instance.now())] {
        assert!(invalid(&instance.change(&by_ada, (PASSWORD, ""), NewFactors::App(typed.to_owned()))));
    }
    assert!(
        conflict(&instance.change(&by_ada, (PASSWORD, ""), NewFactors::Codes)),
        "for an app that is lost"
    );
    let code = shown(&app, instance.now());
    assert!(wrong(&instance.change(&by_ada, ("another password", ""), NewFactors::App(code.clone()))));
    let codes = instance.change(&by_ada, (PASSWORD, ""), NewFactors::App(code.clone())).ok().unwrap();
    assert_eq!(codes.len(), 10);
    assert!(not_proven(&instance.by_session(&other)), "others end");
    let by_ada = instance.by_session(&first).unwrap();
    assert_eq!(at_once(instance.app.sign_in_state(&by_ada)).unwrap().codes_left, Some(10));
    assert!(wrong(&instance.sign_in(attempt(ADA, PASSWORD, ""))));
    assert!(wrong(&instance.sign_in(attempt(ADA, PASSWORD, &code))), "it was used");
    instance.clock.pass(30_000);
    assert!(instance.sign_in(attempt(ADA, PASSWORD, &shown(&app, instance.now()))).is_ok());
    instance.clock.pass(30_000);
    let second = NewFactors::App(shown(&app, instance.now()));
    assert!(conflict(&instance.change(&by_ada, (PASSWORD, &codes[0]), second)), "there is one");
}

#[test]
fn an_app_is_taken_off_only_beside_a_long_password() {
    let ada = WithApp::choosing(SHORT);
    let by_ada = ada.instance.by_session(&ada.first.token).unwrap();
    let change = |present: (&str, &str), new| ada.instance.change(&by_ada, present, new);
    assert!(conflict(&change((SHORT, &ada.next()), NewFactors::NoApp)));
    assert!(wrong(&change((SHORT, ""), password(PASSWORD))), "what the app shows is needed");
    assert!(change((SHORT, &ada.next()), password(PASSWORD)).is_ok());
    let by_ada = ada.instance.by_session(&ada.first.token).unwrap();
    let change = |present: (&str, &str), new| ada.instance.change(&by_ada, present, new);
    assert!(wrong(&change((PASSWORD, ""), NewFactors::NoApp)));
    assert!(change((PASSWORD, &ada.next()), NewFactors::NoApp).is_ok());
    assert!(ada.sign_in("").is_ok());
}

#[test]
fn fresh_codes_take_the_place_of_all_that_are_left() {
    let ada = WithApp::new();
    let by_ada = ada.instance.by_session(&ada.first.token).unwrap();
    let fresh = ada.instance.change(&by_ada, (PASSWORD, &ada.codes[0]), NewFactors::Codes).ok().unwrap();
    assert_eq!(fresh.len(), 10);
    for before in &ada.codes[..3] {
        assert!(wrong(&ada.sign_in(before)));
    }
    assert!(ada.sign_in(&fresh[0]).is_ok());
    let by_ada = ada.instance.by_session(&ada.first.token).unwrap();
    assert_eq!(at_once(ada.instance.app.sign_in_state(&by_ada)).unwrap().codes_left, Some(9));
}

#[test]
fn what_an_app_shows_is_good_for_one_change_or_one_signing_in() {
    let ada = WithApp::new();
    let by_ada = ada.instance.by_session(&ada.first.token).unwrap();
    let code = ada.next();
    assert!(ada.instance.change(&by_ada, (PASSWORD, &code), password(ANOTHER)).is_ok());
    assert!(wrong(&ada.instance.sign_in(attempt(ADA, ANOTHER, &code))));
    let by_ada = ada.instance.by_session(&ada.first.token).unwrap();
    assert!(wrong(&ada.instance.change(&by_ada, (ANOTHER, &code), password(PASSWORD))));
    let code = ada.next();
    assert!(ada.instance.sign_in(attempt(ADA, ANOTHER, &code)).is_ok());
    assert!(wrong(&ada.instance.change(&by_ada, (ANOTHER, &code), password(PASSWORD))));
}

#[test]
fn who_sits_at_another_s_session_has_few_guesses() {
    let instance = Instance::new();
    let by_ada = instance.by_session(&instance.set_up(ADA, PASSWORD).token).unwrap();
    instance.clock.hold();
    let change = |typed| instance.change(&by_ada, (typed, ""), password(ANOTHER));
    (0..5).for_each(|_| assert!(wrong(&change("a guess"))));
    assert!(matches!(change(PASSWORD), Err(SignInError::Wait(1..))));
    assert!(instance.sign_in(attempt(ADA, PASSWORD, "")).is_ok(), "signing in is another matter");
}

#[test]
fn nobody_keeps_anybody_from_changing_what_they_know() {
    let ada = WithApp::new();
    let [own, other] = [&ada.first.token, &ada.sign_in(&ada.next()).ok().unwrap().token]
        .map(|token| ada.instance.by_session(token).unwrap());
    ada.instance.clock.hold();
    // Somebody who has the password guesses at the app, from many networks.
    let guess = |network: u8| {
        let mut attempt = attempt(ADA, PASSWORD, "no code");
        attempt.at.from = Some([10, 0, network, 1].into());
        ada.instance.sign_in(attempt)
    };
    (0..10).for_each(|network| assert!(wrong(&guess(network))));
    assert!(matches!(guess(11), Err(SignInError::Wait(1..))));
    // Somebody else sits at a session that she left open.
    let change = |by, present| ada.instance.change(by, present, password(ANOTHER));
    (0..5).for_each(|_| assert!(wrong(&change(&other, (PASSWORD, "no code")))));
    assert!(matches!(change(&other, (PASSWORD, &ada.codes[0])), Err(SignInError::Wait(1..))));
    assert!(change(&own, (PASSWORD, &ada.codes[0])).is_ok());
    assert!(ada.instance.by_session(&ada.first.token).is_ok());
}

#[test]
fn of_two_changes_at_once_one_is_done() {
    let instance = std::sync::Arc::new(Instance::new());
    let by_ada = instance.by_session(&instance.set_up(ADA, PASSWORD).token).unwrap();
    let (meanwhile, by) = (std::sync::Arc::downgrade(&instance), by_ada.clone());
    instance.store.set_meanwhile(Box::new(move || {
        let quicker = meanwhile.upgrade().unwrap().change(&by, (PASSWORD, ""), password(ANOTHER));
        assert!(quicker.is_ok());
        Ok(())
    }));
    let slower = instance.change(&by_ada, (PASSWORD, ""), password("the slower one's password"));
    instance.store.clear_meanwhile();
    assert!(matches!(slower, Err(SignInError::Other(Error::Store(_)))), "{:?}", slower.err());
    assert!(instance.sign_in(attempt(ADA, ANOTHER, "")).is_ok());
    assert!(wrong(&instance.sign_in(attempt(ADA, "the slower one's password", ""))));
}
