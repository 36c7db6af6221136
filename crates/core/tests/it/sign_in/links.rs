//! Links of the server's administrator.

use strongroom_core::access::Denied;
use strongroom_core::app::{Attempt, Error, LINK_LASTS, LinkKind, SignInError, Whereabouts};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{Role, StoreError};

use super::{ADA, BEN, PASSWORD, SHORT, WithApp, address, attempt, chosen, not_proven, shown, wrong};
use crate::instance::Instance;
use crate::support::at_once;

#[test]
fn a_link_is_opened_as_often_as_one_likes_and_used_once() {
    let instance = Instance::new();
    let token = instance.set_up_link(ADA);
    let before = instance.rows();
    let opened = [(); 3].map(|()| instance.open(LinkKind::SetUp, token.reveal()).ok().unwrap());
    for link in &opened {
        assert_eq!((link.user.id, link.team.id, link.role), (instance.ada(), instance.team(), Role::Owner));
        assert_eq!(link.app.text(), opened[0].app.text(), "what was scanned stays good");
        assert!(!link.signs_in_already);
    }
    assert_eq!(instance.rows(), before);
    let [first, second, _] = opened;
    let set_up =
        |link, password| at_once(instance.app.set_up(link, chosen(password, ""), &Whereabouts::default()));
    let signed_in = set_up(first, PASSWORD).ok().unwrap().signed_in;
    assert_eq!(instance.by_session(&signed_in.token).unwrap().caller.user_id, instance.ada());
    let after = instance.rows();
    let late = set_up(second, "another good password");
    assert!(
        matches!(late, Err(Error::Store(StoreError::Changed))),
        "opened before, used after: {:?}",
        late.err()
    );
    assert!(not_proven(&instance.open(LinkKind::SetUp, token.reveal())));
    assert_eq!(instance.rows(), after);
    assert!(wrong(&instance.sign_in(attempt(ADA, "another good password", ""))));
    assert!(instance.sign_in(attempt(ADA, PASSWORD, "")).is_ok());
}

#[test]
fn a_link_is_good_for_a_day() {
    let instance = Instance::new();
    let token = instance.set_up_link(ADA);
    instance.clock.pass(LINK_LASTS - 1);
    assert!(instance.open(LinkKind::SetUp, token.reveal()).is_ok());
    instance.clock.pass(1);
    assert!(not_proven(&instance.open(LinkKind::SetUp, token.reveal())));
    assert_eq!(LINK_LASTS, 24 * 60 * 60 * 1_000);
}

#[test]
fn a_link_ends_when_another_is_used() {
    let instance = Instance::new();
    let first = instance.set_up_link(ADA);
    instance.clock.pass(1);
    let second = instance.set_up_link(ADA);
    assert!(instance.open(LinkKind::SetUp, first.reveal()).is_ok());
    instance.set_up_by(LinkKind::SetUp, &second, chosen(PASSWORD, "")).ok().unwrap();
    assert!(not_proven(&instance.open(LinkKind::SetUp, first.reveal())));
    // One of now ends when the password of before is changed by the next.
    let [third, fourth] = [instance.set_up_link(ADA), instance.set_up_link(ADA)];
    instance.set_up_by(LinkKind::SetUp, &fourth, chosen(PASSWORD, "")).ok().unwrap();
    assert!(not_proven(&instance.open(LinkKind::SetUp, third.reveal())));
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn number(digits: &str) -> u128 {
    let digit = |byte| ALPHABET.iter().position(|known| *known == byte).unwrap();
    digits.bytes().fold(0, |number, byte| number * 62 + u128::try_from(digit(byte)).unwrap())
}

fn digits(mut number: u128, width: usize) -> String {
    let mut digits = vec![0; width];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(number % 62).unwrap()];
        number /= 62;
    }
    String::from_utf8(digits).unwrap()
}

/// A link with another id or secret in it, as whoever knows the format writes one.
fn altered(token: &Token, alter: impl FnOnce(&mut [u128; 3])) -> String {
    let text = token.reveal();
    let mut pieces = [4, 26, 48].map(|at| number(&text[at..at + 22]));
    alter(&mut pieces);
    let mut text = text[..4].to_owned();
    text.extend(pieces.map(|piece| digits(piece, 22)));
    text += &digits(crc32fast::hash(text.as_bytes()).into(), 6);
    assert!(Token::parse(TokenKind::Link, &text).is_ok());
    text
}

#[test]
fn an_altered_link_is_none() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Administrator, BEN);
    let [ada, bens] = [ADA, BEN].map(|email| instance.set_up_link(email));
    let open = |text: &str| instance.open(LinkKind::SetUp, text);
    assert!(open(&altered(&ada, |_| ())).is_ok(), "so it could be taken");
    for (way, text) in [
        ("another's id", altered(&ada, |pieces| pieces[0] = ben.uuid().as_u128())),
        ("nobody's id", altered(&ada, |pieces| pieces[0] ^= 1)),
        ("a later time", altered(&ada, |pieces| pieces[1] += 1 << 64)),
        ("the last time", altered(&ada, |pieces| pieces[1] |= 0x7fff_ffff_ffff_ffff << 64)),
        ("a time before all", altered(&ada, |pieces| pieces[1] |= 1 << 127)),
        ("its proof's beginning", altered(&ada, |pieces| pieces[1] ^= 1)),
        ("its proof's middle", altered(&ada, |pieces| pieces[2] ^= 1 << 127)),
        ("its proof's end", altered(&ada, |pieces| pieces[2] ^= 1)),
        ("no proof", altered(&ada, |pieces| (pieces[1], pieces[2]) = (pieces[1] >> 64 << 64, 0))),
        ("nothing", altered(&ada, |pieces| *pieces = [0; 3])),
        ("half of another's", altered(&ada, |pieces| pieces[2] = number(&bens.reveal()[48..70]))),
    ] {
        assert!(not_proven(&open(&text)), "{way}");
        assert!(not_proven(&instance.open(LinkKind::Invitation, &text)), "{way}");
    }
    // A whole one of another's opens for them alone.
    assert_eq!(open(bens.reveal()).ok().unwrap().user.id, ben);
}

#[test]
fn a_link_of_one_kind_is_none_of_another() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    let set_up = instance.set_up_link(ADA);
    let invitation = instance.invited(&instance.owner_now(), ben).unwrap();
    assert!(instance.open(LinkKind::SetUp, set_up.reveal()).is_ok());
    assert!(instance.open(LinkKind::Invitation, invitation.reveal()).is_ok());
    assert!(not_proven(&instance.open(LinkKind::Invitation, set_up.reveal())));
    assert!(not_proven(&instance.open(LinkKind::SetUp, invitation.reveal())));
    for token in [&set_up, &invitation] {
        assert!(not_proven(&instance.by_link(token)));
        assert!(not_proven(&instance.by_key(token)));
        assert!(not_proven(&instance.by_session(token)));
    }
}

/// A way to be shut out.
type Loss = fn(&Instance);

const LOSSES: [(&str, Loss); 3] = [
    ("disabled", |instance| instance.disable(instance.ada())),
    ("removed", |instance| {
        let now = instance.now();
        instance.alter_membership(instance.ada(), |row| row.removed_at = Some(now));
    }),
    ("team deleted", |instance| instance.delete_team(&instance.owner_now())),
];

#[test]
fn who_is_shut_out_sets_nothing_up() {
    for (way, loss) in LOSSES {
        let instance = Instance::new();
        let token = instance.set_up_link(ADA);
        let opened = instance.open(LinkKind::SetUp, token.reveal()).ok().unwrap();
        loss(&instance);
        assert!(not_proven(&instance.open(LinkKind::SetUp, token.reveal())), "{way}");
        let late = at_once(instance.app.set_up(opened, chosen(PASSWORD, ""), &Whereabouts::default()));
        assert!(late.is_err(), "{way}");
        assert!(instance.store.tables().sign_ins.is_empty(), "{way}");
        assert!(instance.store.tables().sessions.is_empty(), "{way}");
        let refused = at_once(instance.app.set_up_link(&address(ADA))).err();
        assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))), "{way}: {refused:?}");
    }
    let refused = at_once(Instance::new().app.set_up_link(&address("nobody@example.com"))).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))), "{refused:?}");
}

#[test]
fn a_new_set_up_ends_the_sessions_and_the_password_of_before() {
    let instance = Instance::new();
    let gliders = instance.other_team();
    let first = instance.set_up(ADA, PASSWORD);
    let second = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap();
    let elsewhere = instance.sign_in(attempt(ADA, PASSWORD, "")).ok().unwrap();
    let by_ada = instance.by_session(&elsewhere.token).unwrap();
    instance.done(&by_ada, at_once(instance.app.move_session(&by_ada, gliders.caller.team_id))).unwrap();
    let new = instance.set_up(ADA, "another good password");
    for before in [&first, &second, &elsewhere] {
        assert!(not_proven(&instance.by_session(&before.token)));
    }
    assert!(instance.by_session(&new.token).is_ok());
    assert!(wrong(&instance.sign_in(attempt(ADA, PASSWORD, ""))));
    assert!(instance.sign_in(attempt(ADA, "another good password", "")).is_ok());
    let ended = instance.store.tables().sessions.iter().filter(|row| row.row().ended_at.is_some()).count();
    assert_eq!(ended, 3, "and it shows");
}

#[test]
fn a_new_set_up_takes_off_the_app_of_before() {
    let ada = WithApp::new();
    ada.instance.set_up(ADA, PASSWORD);
    assert!(ada.sign_in("").is_ok(), "who lost both needs nothing of them");
}

#[test]
fn all_teams_of_the_user_let_the_new_sign_in_in() {
    let instance = Instance::new();
    let gliders = instance.other_team().caller.team_id;
    let signed_in = instance.set_up(ADA, PASSWORD);
    let by_ada = instance.by_session(&signed_in.token).unwrap();
    assert_eq!(by_ada.caller.team_id, instance.team(), "the oldest");
    let teams = at_once(instance.app.teams_of_session(&by_ada)).unwrap();
    assert_eq!(teams.iter().map(|team| team.id).collect::<Vec<_>>(), [instance.team(), gliders]);
    instance.done(&by_ada, at_once(instance.app.move_session(&by_ada, gliders))).unwrap();
    assert_eq!(instance.by_session(&signed_in.token).unwrap().caller.team_id, gliders);
}

#[test]
fn a_password_alone_is_longer_than_one_beside_an_app() {
    for (password, with_app, taken) in [
        (SHORT, false, false),
        (SHORT, true, true),
        ("eight ch", true, true),
        ("seven c", true, false),
        (PASSWORD, false, true),
        ("aaaaaaaaaaaaaaaaaaaa", false, false),
        ("", false, false),
        (&*"many words ".repeat(24), false, false),
        (&*"é".repeat(1 << 20), true, false),
    ] {
        let instance = Instance::new();
        let token = instance.set_up_link(ADA);
        let app = instance.open(LinkKind::SetUp, token.reveal()).ok().unwrap().app;
        let code = if with_app { shown(&app, instance.now()) } else { " ".to_owned() };
        let before = instance.rows();
        let set_up = instance.set_up_by(LinkKind::SetUp, &token, chosen(password, &code));
        assert_eq!(set_up.is_ok(), taken, "{with_app} {}", password.len());
        match set_up {
            Ok(set_up) => assert_eq!(set_up.codes.len(), if with_app { 10 } else { 0 }),
            Err(refused) => {
                let message = format!("{refused} {refused:?}");
                assert!(matches!(refused, Error::Invalid(_)), "{message}");
                assert!(password.is_empty() || !message.contains(password));
                assert_eq!(instance.rows(), before, "nothing is stored");
                let again = instance.set_up_by(LinkKind::SetUp, &token, chosen(PASSWORD, ""));
                assert!(again.is_ok(), "the link is as good as before");
            }
        }
    }
}

#[test]
fn an_app_that_shows_something_else_is_not_taken() {
    let instance = Instance::new();
    let [token, other] = [0, 1].map(|later| {
        instance.clock.pass(later);
        instance.set_up_link(ADA)
    });
    let apps = [&token, &other].map(|token| instance.open(LinkKind::SetUp, token.reveal()).ok().unwrap().app);
    assert_ne!(apps[0].text(), apps[1].text());
    let before = instance.rows();
    let code = shown(&apps[0], instance.now());
    let off = format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000);
    instance.clock.pass(90_000);
    for typed in [&*code, &*off, "000000 ", "no code", &*shown(&apps[1], instance.now())] {
        let refused = instance.set_up_by(LinkKind::SetUp, &token, chosen(PASSWORD, typed)).err();
        assert!(matches!(refused, Some(Error::Invalid(_))), "{typed}: {refused:?}");
        assert_eq!(instance.rows(), before);
    }
    let code = shown(&apps[0], instance.now());
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    assert!(instance.set_up_by(LinkKind::SetUp, &token, chosen(PASSWORD, &spaced)).is_ok());
}

/// It is no invitation: whoever has it sets up anew.
#[test]
fn nobody_joins_by_a_link_of_the_servers_administrator() {
    let instance = Instance::new();
    instance.set_up(ADA, PASSWORD);
    let token = instance.set_up_link(ADA);
    let link = instance.open(LinkKind::SetUp, token.reveal()).ok().unwrap();
    let before = instance.rows();
    let join = |attempt: Attempt| at_once(instance.app.join(link, attempt));
    let refused = join(attempt(ADA, PASSWORD, ""));
    assert!(matches!(refused, Err(SignInError::Other(Error::NotProven))), "{:?}", refused.err());
    assert_eq!(instance.rows(), before);
}
