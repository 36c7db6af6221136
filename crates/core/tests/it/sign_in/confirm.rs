//! What outlasts a session is made by who shows that they are still there.

use strongroom_core::app::{Ask, Error, FRESH, GrantWish, NewKey, SignInError};
use strongroom_core::secrets::{Edit, Patch};
use strongroom_core::text::KeyName;
use strongroom_core::{Role, UserId};

use super::{ADA, BEN, PASSWORD, WithApp, attempt, typed, wrong};
use crate::instance::Instance;
use crate::support::at_once;

impl Instance {
    fn confirm(&self, by: &Ask, password: &str, code: &str) -> Result<Ask, SignInError> {
        at_once(self.app.confirm(by, (typed(password), code)))
    }

    fn promoted(&self, by: &Ask, user: UserId) -> Result<(), Error> {
        let change = |role| self.done(by, at_once(self.app.update_member(by, user, role))).map(|_| ());
        change(Role::Builder).inspect(|()| change(Role::Member).unwrap())
    }

    fn given_to_the_team(&self, by: &Ask) -> Result<(), Error> {
        let secret = self.secret(by, false, &[("A", "a value")]);
        let shared = Patch { name: None, service_slug: None, shared: Some(true), values: Edit::Keep };
        self.done(by, at_once(self.app.update_secret(by, secret, &shared))).map(|_| ())
    }

    /// What comes of making each thing that outlasts a session: a key, an invitation, a
    /// higher role, what is the team's. The role is a member's again.
    fn lasting(&self, by: &Ask) -> [Result<(), Error>; 4] {
        let grant = GrantWish { role: None, scopes: None, agents: None, networks: None, expires_at: None };
        let key = NewKey { name: KeyName::parse("laptop").unwrap(), grant, service_user: None };
        let people = at_once(self.app.members(by, None, (0, 10))).unwrap().members;
        let ben = people.iter().find(|member| member.user.id != by.caller.user_id).unwrap().user.id;
        [
            self.done(by, at_once(self.app.create_api_key(by, key))).map(|_| ()),
            self.invited(by, ben).map(|_| ()),
            self.promoted(by, ben),
            self.given_to_the_team(by),
        ]
    }
}

fn all_done(results: &[Result<(), Error>; 4]) -> bool {
    results.iter().all(Result::is_ok)
}

fn all_to_confirm(results: &[Result<(), Error>; 4]) -> bool {
    let asks = |result: &Result<(), Error>| matches!(result, Err(Error::Invalid(message)) if message.contains("type your password once more"));
    results.iter().all(asks)
}

#[test]
fn who_signed_in_a_while_ago_shows_that_it_is_them() {
    let instance = Instance::new();
    instance.person(&instance.owner_now(), Role::Member, BEN);
    instance.clock.hold();
    let first = instance.set_up(ADA, PASSWORD).token;
    let by_ada = || instance.by_session(&first).unwrap();
    let must = |ask: &Ask| at_once(instance.app.must_confirm(ask)).unwrap();
    instance.clock.pass(FRESH - 1);
    assert!(!must(&by_ada()) && all_done(&instance.lasting(&by_ada())));
    instance.clock.pass(1);
    assert!(must(&by_ada()) && all_to_confirm(&instance.lasting(&by_ada())));
    let before = instance.rows();
    for typed in ["", "another password"] {
        assert!(wrong(&instance.confirm(&by_ada(), typed, "")), "{typed}");
    }
    assert_eq!(instance.rows(), before);
    let confirmed = instance.confirm(&by_ada(), PASSWORD, "").ok().unwrap();
    assert!(!must(&confirmed) && all_done(&instance.lasting(&confirmed)));
    assert!(all_to_confirm(&instance.lasting(&by_ada())), "it is good for what they do at that time");
    let by_anew = instance.session_of(ADA, PASSWORD);
    assert!(all_done(&instance.lasting(&by_anew)), "another session is as fresh as it is");
}

#[test]
fn who_has_an_app_shows_its_code_and_that_is_used_up() {
    let ada = WithApp::new();
    ada.instance.person(&ada.instance.owner_now(), Role::Member, BEN);
    ada.instance.clock.pass(FRESH);
    let code = ada.next();
    ada.instance.clock.hold();
    let by_ada = || ada.instance.by_session(&ada.first.token).unwrap();
    assert!(wrong(&ada.instance.confirm(&by_ada(), PASSWORD, "")));
    let confirmed = ada.instance.confirm(&by_ada(), PASSWORD, &code).ok().unwrap();
    assert!(all_done(&ada.instance.lasting(&confirmed)));
    assert!(wrong(&ada.instance.confirm(&by_ada(), PASSWORD, &code)), "it was used");
    assert!(wrong(&ada.sign_in(&code)), "for signing in, too");
    assert!(ada.instance.confirm(&by_ada(), PASSWORD, &ada.codes[0]).is_ok(), "one from paper does");
}

#[test]
fn who_finds_a_browser_open_has_few_guesses() {
    let instance = Instance::new();
    let by_ada = instance.by_session(&instance.set_up(ADA, PASSWORD).token).unwrap();
    instance.clock.hold();
    (0..5).for_each(|_| assert!(wrong(&instance.confirm(&by_ada, "a guess", ""))));
    assert!(matches!(instance.confirm(&by_ada, PASSWORD, ""), Err(SignInError::Wait(1..))));
    assert!(instance.sign_in(attempt(ADA, PASSWORD, "")).is_ok(), "signing in is another matter");
}

#[test]
fn keys_are_not_asked() {
    let instance = Instance::new();
    instance.person(&instance.owner_now(), Role::Member, BEN);
    instance.clock.pass(FRESH);
    let by_key = instance.owner_now();
    assert!(!at_once(instance.app.must_confirm(&by_key)).unwrap() && all_done(&instance.lasting(&by_key)));
    let confirmed = instance.confirm(&by_key, PASSWORD, "");
    assert!(
        matches!(confirmed, Err(SignInError::Other(Error::Denied(_)))),
        "nor can they be: {:?}",
        confirmed.err()
    );
}
