//! New keys for a purpose: in use when all servers know them, and what was made with the
//! ones of before stays good.

use strongroom_core::app::{Attempt, Cause, LinkKind, Sealer, SignInError, Whereabouts};
use strongroom_core::audit::note::SignedHead;
use strongroom_core::events::EventKind;
use strongroom_core::keyring::Purpose;
use strongroom_core::passwords::Password;
use strongroom_core::rows::RowMac;
use strongroom_core::store::StoreError;
use strongroom_core::tokens::Token;
use strongroom_core::{App, Role};

use super::{MINUTE, conflict, own, rest};
use crate::instance::{Instance, everything, replacing};
use crate::support::at_once;

const DAY: i64 = 24 * 60 * MINUTE;
const ADA: &str = "ada@example.com";
const BEN: &str = "ben@example.com";
const PASSWORD: &str = "correct horse battery";

/// Under which version a MAC or a hash is.
fn version(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(bytes[..2].try_into().unwrap())
}

fn version_of(mac: RowMac) -> u16 {
    version(mac.as_bytes())
}

impl Instance {
    /// The versions of a purpose's key, and whether each is in use.
    fn versions(&self, purpose: Purpose) -> Vec<(u16, bool)> {
        let keys = self.instance_keys().purposes.into_iter();
        keys.filter(|key| key.purpose == purpose).map(|key| (key.version, key.in_use)).collect()
    }

    /// Of the team of the owner, what it is made with: each time anew.
    fn uses(&self, purpose: Purpose) -> Vec<(u16, u64)> {
        let uses = at_once(self.app.key_uses(|| ())).unwrap().purposes;
        uses.into_iter().filter(|((of, _), _)| *of == purpose).map(|((_, v), rows)| (v, rows)).collect()
    }

    /// A member who signs in.
    fn newcomer(&self, email: &str) {
        self.person(&self.owner_now(), Role::Member, email);
        self.set_up(email, PASSWORD);
    }
}

#[test]
fn a_new_key_is_in_use_after_a_minute() {
    for purpose in Purpose::ALL {
        let instance = Instance::new();
        let (_, run) = instance.in_use();
        let before = instance.tables();
        assert_eq!(instance.versions(purpose), [(1, true)]);
        let new = instance.rotated_purpose(purpose);
        assert_eq!((new.purpose, new.version, new.in_use), (purpose, 2, false));
        let now = instance.tables();
        assert_eq!(rest(&now), rest(&before), "{purpose:?}");
        assert_eq!((now.keys.len(), now.events.len()), (before.keys.len() + 1, before.events.len() + 1));
        let told = now.events.last().unwrap();
        assert_eq!((told.kind, told.object.id), (EventKind::PurposeKeyRotated, Some(new.id.uuid())));
        assert_eq!((told.object.table, told.object.version), ("keys", Some(2)));
        instance.clock.pass(MINUTE - 1);
        assert_eq!(instance.versions(purpose), [(1, true), (2, false)]);
        let early = at_once(instance.custody().rotate_purpose(purpose));
        assert!(conflict(&early), "{purpose:?}");
        instance.clock.pass(1);
        assert_eq!(instance.versions(purpose), [(1, false), (2, true)]);
        assert_eq!(instance.rotated_purpose(purpose).version, 3);
        assert_eq!(instance.versions(purpose), [(1, false), (2, true), (3, false)]);
        // A server that looks now and then, and one that is started anew.
        instance.follow();
        assert_eq!(instance.environment(&run).unwrap().len(), 1, "{purpose:?}");
        assert!(instance.is_whole(&own()), "{purpose:?}");
        let history = instance.instance_keys().history;
        assert_eq!(history.first().unwrap().version, Some(3), "the newest first");
        assert_eq!(history.last().unwrap().kind, EventKind::InstanceCreated.name());
        assert_eq!(history.len(), 3);
    }
}

#[test]
fn of_two_who_give_a_purpose_a_key_at_once_one_does() {
    let instance = Instance::new();
    let (quicker, mut done) = (instance.custody(), false);
    instance.store.set_meanwhile(Box::new(move || {
        if !std::mem::replace(&mut done, true) {
            at_once(quicker.rotate_purpose(Purpose::RowMac)).unwrap();
        }
        Ok(())
    }));
    let slower = at_once(instance.custody().rotate_purpose(Purpose::RowMac));
    assert!(matches!(slower, Err(strongroom_core::app::CustodyError::Store(StoreError::Exists))));
    assert_eq!(instance.versions(Purpose::RowMac), [(1, true), (2, false)]);
    assert_eq!(instance.told(&[EventKind::PurposeKeyRotated]), [1]);
}

#[test]
fn rows_get_their_macs_by_the_key_in_use() {
    let instance = Instance::new();
    let (_, run) = instance.in_use();
    let unaware = instance.server();
    let newest = || version_of(instance.store.tables().secrets.last().unwrap().mac());
    let old = instance.secret(&instance.owner_now(), true, &[("A", "1")]);
    let rows = instance.uses(Purpose::RowMac);
    assert_eq!(rows.len(), 1);
    instance.rotated_purpose(Purpose::RowMac);
    for (passes, expected) in [(0, 1), (MINUTE - 1, 1), (1, 2)] {
        instance.clock.pass(passes);
        instance.secret(&instance.owner_now(), true, &[("A", "1")]);
        assert_eq!(newest(), 1, "until it looks");
        instance.follow();
        instance.secret(&instance.owner_now(), true, &[("A", "1")]);
        assert_eq!(newest(), expected, "after {passes}");
    }
    assert_eq!(instance.uses(Purpose::RowMac), [(1, rows[0].1 + 5), (2, 1)]);
    instance.update(&instance.owner_now(), old, &replacing(&[("A", "2")]));
    assert_eq!(instance.uses(Purpose::RowMac), [(1, rows[0].1 + 4), (2, 2)], "what changes goes over");
    assert_eq!(instance.environment(&run).unwrap().len(), 1);
    assert!(instance.is_whole(&own()));
    // Who never looked takes them for altered: so they wait.
    assert_eq!(at_once(unaware.verify(|| ())).unwrap().findings.len(), 2);
    at_once(unaware.follow_keys()).unwrap();
    assert_eq!(at_once(unaware.verify(|| ())).unwrap().findings, []);
}

#[test]
fn what_tokens_are_hashed_by_is_the_key_in_use() {
    let instance = Instance::new();
    let place = instance.agent();
    let (_, run) = instance.started(&instance.owner, place);
    let old = instance.key_for(instance.ada(), everything());
    let session = instance.set_up(ADA, PASSWORD).token;
    let newest = || version(instance.store.tables().runs.last().unwrap().row().token_hash.as_bytes());
    let unaware = instance.server();
    instance.rotated_purpose(Purpose::ApiKeyPepper);
    for (passes, expected) in [(0, 1), (MINUTE - 1, 1), (1, 2)] {
        instance.clock.pass(passes);
        instance.follow();
        let (_, run) = instance.started(&instance.owner_now(), place);
        assert_eq!(newest(), expected, "after {passes}");
        assert!(instance.by_run(&run).is_ok());
    }
    let (_, new) = instance.started(&instance.owner_now(), place);
    assert!(instance.by_key(&old).is_ok() && instance.by_run(&run).is_ok());
    assert!(instance.by_session(&session).is_ok());
    // Twice: what is known of a token is kept for a while.
    instance.clock.hold();
    for token in [&old, &old] {
        assert!(instance.by_key(token).is_ok());
    }
    for token in [&new, &run, &new] {
        assert!(instance.by_run(token).is_ok());
    }
    let wrong = Token::parse(strongroom_core::tokens::TokenKind::Run, &forged(&new));
    assert!(wrong.is_err() || instance.by_run(&wrong.unwrap()).is_err());
    let by_run = |app: &App| at_once(app.authenticate_run(new.reveal(), None, &Cause::default()));
    assert!(by_run(&unaware).is_err(), "until it looks");
    at_once(unaware.follow_keys()).unwrap();
    assert!(by_run(&unaware).is_ok());
    let uses = instance.uses(Purpose::ApiKeyPepper);
    assert_eq!(uses.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(uses[1].1, 2, "two runs");
}

/// Another token of the same run.
fn forged(token: &Token) -> String {
    let text = token.reveal();
    let at = text.len() / 2;
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[test]
fn heads_are_signed_by_the_keys_of_before_as_well() {
    let instance = Instance::new();
    let mut sealer = Sealer::default();
    let mut head = || {
        instance.agent();
        while at_once(instance.app.seal_events(&mut sealer)).unwrap().unwrap().events > 0 {}
        SignedHead::parse(&at_once(instance.app.checkpoint(&instance.owner_now())).unwrap()).unwrap()
    };
    let first = head();
    let old = instance.app.verifier_keys();
    let unaware = instance.server();
    instance.rotated_purpose(Purpose::AuditSigning);
    instance.follow();
    let both = instance.app.verifier_keys();
    assert_eq!((both.len(), both[1].to_string()), (2, old[0].to_string()), "the newest first");
    let second = head();
    assert!(first.verify(&both[..1]).is_err(), "the control");
    assert!(first.verify(&both).is_ok());
    // From the first moment on: who knows either is content.
    assert!(second.verify(&both[..1]).is_ok() && second.verify(&both[1..]).is_ok());
    let note = at_once(unaware.checkpoint(&instance.owner_now())).unwrap();
    assert!(unaware.own_checkpoint(&note).is_ok(), "nor does one that never looked take it for foreign");
    let kept = vec![first.unverified().clone()];
    assert_eq!(at_once(instance.app.verify_events(kept, |_| {})).unwrap().wrong, []);
}

#[test]
fn what_people_sign_in_with_is_sealed_by_the_key_in_use() {
    let instance = Instance::new();
    instance.in_use();
    let sealed = |at: usize| instance.store.tables().sign_ins[at].row().sealed.key_id().unwrap();
    let first = sealed(0);
    let new = instance.rotated_purpose(Purpose::SignIn);
    instance.follow();
    instance.newcomer(BEN);
    assert_eq!(sealed(1), first, "not yet");
    instance.clock.pass(MINUTE);
    instance.follow();
    instance.newcomer("cyd@example.com");
    assert_eq!(sealed(2), new.id);
    assert_eq!(instance.uses(Purpose::SignIn), [(1, 2), (2, 1)]);
    for email in [ADA, BEN, "cyd@example.com"] {
        instance.session_of(email, PASSWORD);
    }
    instance.set_up(ADA, PASSWORD);
    assert_eq!(instance.uses(Purpose::SignIn), [(1, 1), (2, 2)], "what is set up anew goes over");
    assert!(instance.is_whole(&own()));
}

#[test]
fn a_link_of_before_sets_up_a_sign_in() {
    let instance = Instance::new();
    let link = instance.set_up_link(ADA);
    let opens = |app: &App, link: &Token| {
        at_once(app.open_link(LinkKind::SetUp, link.reveal(), Cause::default())).is_ok()
    };
    let unaware = instance.server();
    instance.replaced(Purpose::Cookies);
    assert!(opens(&instance.app, &link), "of before");
    let later = instance.set_up_link(ADA);
    assert_ne!(later.reveal(), link.reveal());
    assert!(opens(&instance.app, &later));
    assert!(!opens(&unaware, &later), "it is another key that vouches");
    assert!(opens(&unaware, &link));
    // One that knows the key vouches by it only when the others do, but knows what they say.
    at_once(unaware.follow_keys()).unwrap();
    assert!(opens(&unaware, &later));
    instance.clock.pass(DAY);
    assert!(!opens(&instance.app, &later), "none is good for more than a day");
}

#[test]
fn a_browser_of_before_is_known_for_a_day() {
    let instance = Instance::new();
    let first = instance.set_up(ADA, PASSWORD).mark;
    instance.clock.hold();
    let tried = |password: &str, mark: Option<&str>| {
        let at = Whereabouts {
            from: Some("192.0.2.1".parse().unwrap()),
            mark: mark.map(ToOwned::to_owned),
            ..Whereabouts::default()
        };
        let password = Password::typed(password.to_owned());
        let attempt = Attempt { email: ADA.to_owned(), password, code: String::new(), at };
        at_once(instance.app.sign_in(attempt, Cause::default()))
    };
    for _ in 0..5 {
        assert!(matches!(tried("a guess", None), Err(SignInError::Wrong)));
    }
    let is_known = |mark: &str| match tried(PASSWORD, Some(mark)) {
        Ok(_) => true,
        Err(SignInError::Wait(_)) => false,
        Err(refused) => panic!("{refused}"),
    };
    instance.replaced(Purpose::Cookies);
    assert!(is_known(&first));
    let second = tried(PASSWORD, Some(&first)).ok().unwrap().mark;
    instance.clock.pass(DAY + MINUTE - 1);
    assert!(is_known(&first) && is_known(&second));
    instance.clock.pass(1);
    assert!(!is_known(&first), "whoever had the key of before makes no more of them");
    assert!(is_known(&second));
}

#[test]
fn versions_are_counted_by_the_key_of_their_team() {
    let instance = Instance::new();
    let secret = instance.secret(&instance.owner, true, &[("A", "1")]);
    instance.update(&instance.owner, secret, &replacing(&[("A", "2")]));
    let counted = || {
        let uses = at_once(instance.app.key_uses(|| ())).unwrap();
        (uses.newest, uses.older)
    };
    assert_eq!(counted(), (2, 0));
    let by = instance.owner_now();
    instance.done(&by, at_once(instance.app.rotate_team_key(&by))).unwrap();
    instance.update(&instance.owner, secret, &replacing(&[("A", "3")]));
    assert_eq!(counted(), (1, 2));
    let mut told = 0;
    at_once(instance.app.key_uses(|| told += 1)).unwrap();
    let mut walked = 0;
    at_once(strongroom_core::Store::walk(&*instance.store, &mut |_| walked += 1)).unwrap();
    assert_eq!(told, walked);
}
