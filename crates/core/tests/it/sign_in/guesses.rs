//! Who guesses waits, and nobody waits for another's guesses.

use strongroom_core::Role;
use strongroom_core::app::{Attempt, NewFactors, SignInError, SignedIn};

use super::{ADA, BEN, PASSWORD, WithApp, attempt, shown, typed, wrong};
use crate::instance::Instance;
use crate::support::at_once;

fn from(address: &str, mark: Option<&str>, attempt: Attempt) -> Attempt {
    let mut attempt = attempt;
    attempt.at.from = Some(address.parse().unwrap());
    attempt.at.mark = mark.map(ToOwned::to_owned);
    attempt
}

fn waits(refused: &Result<SignedIn, SignInError>) -> bool {
    matches!(refused, Err(SignInError::Wait(1..)))
}

#[test]
fn after_five_failures_that_network_waits_and_no_other() {
    let instance = Instance::new();
    instance.person(&instance.owner_now(), Role::Member, BEN);
    let [first, other] = [ADA, BEN].map(|email| instance.set_up(email, PASSWORD));
    let mark = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().mark;
    assert_ne!(mark, first.mark);
    instance.clock.hold();
    let right =
        |address, mark: Option<&str>| instance.sign_in(from(address, mark, attempt(ADA, PASSWORD, "")));
    for _ in 0..5 {
        let guess = from("192.0.2.1", None, attempt("ADA@example.com", "a guess", ""));
        assert!(wrong(&instance.sign_in(guess)));
    }
    assert!(waits(&right("192.0.2.1", None)), "the right one, too");
    assert!(waits(&right("192.0.2.250", None)), "the same network");
    assert!(right("198.51.100.1", None).is_ok());
    assert!(right("2001:db8::1", None).is_ok());
    assert!(right("192.0.2.1", Some(&mark)).is_ok());
    assert!(right("192.0.2.1", Some(&first.mark)).is_ok(), "each that was left is known");
    let (chance, proof) = mark.split_once('.').unwrap();
    let flipped = if chance.starts_with('0') { "1" } else { "0" };
    for forged in [
        other.mark.clone(),
        format!("{flipped}{}.{proof}", &chance[1..]),
        format!("{chance}.{}", proof.to_uppercase()),
        format!("{chance}.{}", &proof[1..]),
        format!("{chance}.{proof} "),
        format!("{chance}.{proof}.{proof}"),
        format!("{chance}."),
        format!(".{proof}"),
        chance.to_owned(),
        ".".to_owned(),
        String::new(),
    ] {
        assert!(waits(&right("192.0.2.1", Some(&forged))), "{forged}");
    }
    // Nor does a guess at one who isn't there say so.
    let nobody = |password| from("192.0.2.1", None, attempt("nobody@example.com", password, ""));
    (0..5).for_each(|_| assert!(wrong(&instance.sign_in(nobody("a guess")))));
    assert!(waits(&instance.sign_in(nobody("a guess"))));
}

#[test]
fn guesses_in_a_marked_browser_count_for_that_browser() {
    let instance = Instance::new();
    let [first, second] = [instance.set_up(ADA, PASSWORD).mark, instance.set_up(ADA, PASSWORD).mark];
    let other = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().mark;
    instance.clock.hold();
    let signed_in =
        |mark: Option<&str>, password| instance.sign_in(from("192.0.2.1", mark, attempt(ADA, password, "")));
    (0..5).for_each(|_| assert!(wrong(&signed_in(Some(&second), "a guess"))));
    assert!(waits(&signed_in(Some(&second), PASSWORD)));
    assert!(signed_in(Some(&other), PASSWORD).is_ok(), "another browser");
    assert!(signed_in(None, PASSWORD).is_ok(), "a new one in the same network");
    // What was left by a sign-in of before is nothing: it counts for the network.
    (0..5).for_each(|_| assert!(wrong(&signed_in(Some(&first), "a guess"))));
    assert!(waits(&signed_in(None, PASSWORD)));
}

#[test]
fn who_has_the_password_has_few_guesses_at_the_app() {
    let ada = WithApp::new();
    ada.instance.clock.hold();
    let signed_in = |network: u8, mark, code: &str| {
        let attempt = attempt(ADA, PASSWORD, code);
        ada.instance.sign_in(from(&format!("10.0.{network}.1"), mark, attempt))
    };
    let code = ada.next();
    let off = format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000);
    (0..10).for_each(|network| assert!(wrong(&signed_in(network, None, &off)), "{network}"));
    assert!(waits(&signed_in(11, None, &code)), "from wherever it is tried");
    assert!(signed_in(11, Some(&ada.first.mark), &code).is_ok(), "where she signed in before");
    assert!(signed_in(11, None, &ada.next()).is_ok(), "she was here");
}

/// Else whoever has a password, and leaves themselves marks by it, would have that
/// many guesses more at the app that is added later.
#[test]
fn marks_of_before_an_app_was_added_are_none() {
    let instance = Instance::new();
    let signed_in = instance.set_up(ADA, PASSWORD);
    let by_ada = instance.by_session(&signed_in.token).unwrap();
    let marks: Vec<_> =
        (0..11).map(|_| instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap().mark).collect();
    let app = at_once(instance.app.sign_in_state(&by_ada)).unwrap().app;
    let new = NewFactors::App(shown(&app, instance.now()));
    at_once(instance.app.change_sign_in(&by_ada, (typed(PASSWORD), ""), new)).ok().unwrap();
    instance.clock.hold();
    for (mark, network) in marks.iter().zip(0..) {
        let guess = from(&format!("10.0.{network}.1"), Some(mark), attempt(ADA, PASSWORD, "123456"));
        let guessed = instance.sign_in(guess);
        assert!(if network < 10 { wrong(&guessed) } else { waits(&guessed) }, "{network}");
    }
}
