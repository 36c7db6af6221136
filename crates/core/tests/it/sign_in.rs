//! People who sign in: by which links they come to do so, what they prove
//! themselves by, and how long what they have then is good.

mod confirm;
mod factors;
mod guesses;
mod invitations;
mod links;
mod sessions;

use aws_lc_rs::hmac;
use std::sync::Arc;
use strongroom_core::app::{
    Ask, Attempt, Cause, Chosen, Error, LinkKind, NewMember, Newcomer, OpenLink, SetUp, SignInError,
    SignedIn, Whereabouts, World,
};
use strongroom_core::events::{Event, EventKind};
use strongroom_core::keyring::{KeyOwner, Purpose};
use strongroom_core::passwords::Password;
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::second_factor::AppSecret;
use strongroom_core::text::{Email, TeamName, UserName};
use strongroom_core::tokens::Token;
use strongroom_core::{App, OsRandom, Role, StoreError, TeamId, Timestamp, UserId};

use crate::instance::Instance;
use crate::support::at_once;

const ADA: &str = "ada@example.com";
const BEN: &str = "ben@example.com";
const PASSWORD: &str = "correct horse battery";
/// Too short to be all.
const SHORT: &str = "fourteen chars";

fn address(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn typed(password: &str) -> Password {
    Password::typed(password.to_owned())
}

fn attempt(email: &str, password: &str, code: &str) -> Attempt {
    let at = Whereabouts::default();
    Attempt { email: email.to_owned(), password: typed(password), code: code.to_owned(), at }
}

fn chosen(password: &str, code: &str) -> Chosen {
    Chosen { password: password.to_owned(), code: code.to_owned() }
}

fn not_proven<T>(refused: &Result<T, Error>) -> bool {
    matches!(refused, Err(Error::NotProven))
}

fn wrong<T>(refused: &Result<T, SignInError>) -> bool {
    matches!(refused, Err(SignInError::Wrong))
}

/// What an app shows that was given this, read and reckoned by another hand (RFC 6238).
fn shown(app: &AppSecret, now: Timestamp) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let text = app.text();
    let digit = |letter| LETTERS.iter().position(|known| *known == letter).unwrap();
    let bits: Vec<_> =
        text.bytes().map(digit).flat_map(|d| (0..5).rev().map(move |at| d >> at & 1)).collect();
    let byte = |bits: &[usize]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    let secret: Vec<_> = bits.chunks(8).map(|bits| u8::try_from(byte(bits)).unwrap()).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = hmac::sign(&key, &(now.as_millis() / 30_000).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

impl Instance {
    pub(crate) fn set_up_link(&self, email: &str) -> Token {
        at_once(self.app.set_up_link(&address(email))).unwrap()
    }

    fn open(&self, kind: LinkKind, token: &str) -> Result<OpenLink, Error> {
        at_once(self.app.open_link(kind, token, Cause::default()))
    }

    fn set_up_by(&self, kind: LinkKind, token: &Token, chosen: Chosen) -> Result<SetUp, Error> {
        let link = self.open(kind, token.reveal())?;
        at_once(self.app.set_up(link, chosen, &Whereabouts::default()))
    }

    /// Somebody comes to sign in by a password alone.
    pub(crate) fn set_up(&self, email: &str, password: &str) -> SignedIn {
        let link = self.set_up_link(email);
        self.set_up_by(LinkKind::SetUp, &link, chosen(password, "")).unwrap().signed_in
    }

    fn sign_in(&self, attempt: Attempt) -> Result<SignedIn, SignInError> {
        at_once(self.app.sign_in(attempt, Cause::default()))
    }

    /// Somebody signs in, and is in their session.
    pub(crate) fn session_of(&self, email: &str, password: &str) -> Ask {
        let signed_in = self.sign_in(attempt(email, password, "")).ok().unwrap();
        self.by_session(&signed_in.token).unwrap()
    }

    pub(crate) fn ada(&self) -> UserId {
        self.owner.caller.user_id
    }

    pub(crate) fn team(&self) -> TeamId {
        self.owner.caller.team_id
    }

    /// A member with an address, whether or not they are one elsewhere.
    pub(crate) fn person(&self, by: &Ask, role: Role, email: &str) -> UserId {
        let who = Newcomer::Person(address(email), UserName::parse("Ben").unwrap());
        let planned = at_once(self.app.add_member(by, &NewMember { who, role }));
        self.done(by, planned).unwrap().user.id
    }

    /// Another team of Ada's, in which she has a key, too.
    pub(crate) fn other_team(&self) -> Ask {
        // By its id it is the younger one.
        self.clock.pass(1);
        let (name, owner) = (TeamName::parse("Gliders").unwrap(), self.owner_now());
        let new = self.done(&owner, self.app.create_team(&owner, name)).unwrap();
        let by_link = self.by_link(&new.token).unwrap();
        let (_, token) = self.done(&by_link, at_once(self.app.claim_key_link(&by_link))).unwrap();
        self.by_key(&token).unwrap()
    }

    pub(crate) fn remove(&self, by: &Ask, user: UserId) {
        self.done(by, at_once(self.app.remove_member(by, user))).unwrap();
    }

    pub(crate) fn change_role(&self, by: &Ask, user: UserId, role: Role) {
        self.done(by, at_once(self.app.update_member(by, user, role))).unwrap();
    }

    pub(crate) fn delete_team(&self, by: &Ask) {
        self.done(by, at_once(self.app.delete_team(by))).unwrap();
    }

    pub(crate) fn disable(&self, user: UserId) {
        let now = self.now();
        self.alter_user(user, |user| user.disabled_at = Some(now));
    }

    /// How much is stored: nothing of what is refused.
    fn rows(&self) -> [usize; 5] {
        let tables = self.store.tables();
        let people = [tables.sign_ins.len(), tables.sessions.len(), tables.invitations.len()];
        [people[0], people[1], people[2], tables.memberships.len(), tables.events.len()]
    }
}

/// Ada, who has an authenticator app. What it showed was used to set it up.
struct WithApp {
    instance: Instance,
    app: AppSecret,
    codes: Vec<String>,
    first: SignedIn,
}

impl WithApp {
    fn new() -> Self {
        Self::choosing(PASSWORD)
    }

    fn choosing(password: &str) -> Self {
        let instance = Instance::new();
        let link = instance.set_up_link(ADA);
        let app = instance.open(LinkKind::SetUp, link.reveal()).ok().unwrap().app;
        let code = shown(&app, instance.now());
        let SetUp { signed_in, codes } =
            instance.set_up_by(LinkKind::SetUp, &link, chosen(password, &code)).ok().unwrap();
        Self { instance, app, codes, first: signed_in }
    }

    /// What the app shows in the 30 seconds after these, when they have come.
    fn next(&self) -> String {
        self.instance.clock.pass(30_000);
        shown(&self.app, self.instance.now())
    }

    fn sign_in(&self, code: &str) -> Result<SignedIn, SignInError> {
        self.instance.sign_in(attempt(ADA, PASSWORD, code))
    }
}

#[test]
fn whatever_is_wrong_is_answered_alike() {
    let WithApp { instance, codes, .. } = WithApp::new();
    instance.person(&instance.owner_now(), Role::Member, BEN);
    let gone = instance.person(&instance.owner_now(), Role::Member, "gone@example.com");
    instance.set_up("gone@example.com", PASSWORD);
    instance.disable(gone);
    for (email, password, code) in [
        (ADA, "another password", &*codes[0]),
        (ADA, PASSWORD, "123456"),
        (ADA, PASSWORD, ""),
        (BEN, PASSWORD, ""),
        ("gone@example.com", PASSWORD, ""),
        ("nobody@example.com", PASSWORD, ""),
        ("no address", PASSWORD, ""),
        ("", "", ""),
    ] {
        let before = instance.rows();
        let refused = instance.sign_in(attempt(email, password, code));
        assert!(wrong(&refused), "{email} {password} {code}: {:?}", refused.err());
        assert_eq!(instance.rows(), before);
    }
    let signed_in = instance.sign_in(attempt("Ada@EXAMPLE.com", PASSWORD, &codes[0])).ok();
    let caller = instance.by_session(&signed_in.expect("that code wasn't used up").token).unwrap().caller;
    assert_eq!((caller.user_id, caller.team_id), (instance.ada(), instance.team()));
}

#[test]
fn what_an_app_shows_signs_in_once() {
    let ada = WithApp::new();
    let used = shown(&ada.app, ada.instance.now());
    assert!(wrong(&ada.sign_in(&used)), "it was used to set the app up");
    let code = ada.next();
    assert!(ada.sign_in(&code).is_ok());
    assert!(wrong(&ada.sign_in(&code)));
    assert!(wrong(&ada.sign_in(&used)), "nor is one of before good after it");
    assert!(ada.sign_in(&ada.next()).is_ok());
}

#[test]
fn a_code_on_paper_signs_in_once() {
    let ada = WithApp::new();
    assert!(ada.sign_in(&ada.codes[3]).is_ok());
    assert!(wrong(&ada.sign_in(&ada.codes[3])));
    assert!(ada.sign_in(&ada.codes[4].replace('-', " ").to_uppercase()).is_ok());
}

#[test]
fn of_64_at_once_with_the_same_code_one_signs_in() {
    for (on_paper, browsers) in [(false, 64), (true, 8)] {
        let ada = WithApp::new();
        // In browsers in which she signed in before: else most of them would be told to wait.
        let marks: Vec<_> = (0..browsers).map(|_| ada.sign_in(&ada.next()).ok().unwrap().mark).collect();
        let code = if on_paper { ada.codes[0].clone() } else { ada.next() };
        let tried: Vec<_> = std::thread::scope(|scope| {
            let tries = marks.iter().map(|mark| {
                let mut attempt = attempt(ADA, PASSWORD, &code);
                attempt.at.mark = Some(mark.clone());
                scope.spawn(|| ada.instance.sign_in(attempt))
            });
            tries.collect::<Vec<_>>().into_iter().map(|tried| tried.join().unwrap()).collect()
        });
        let late = |refused: &&Result<_, _>| {
            wrong(refused) || matches!(refused, Err(SignInError::Other(Error::Store(StoreError::Changed))))
        };
        assert_eq!(tried.iter().filter(|tried| tried.is_ok()).count(), 1);
        assert_eq!(tried.iter().filter(late).count(), browsers - 1);
        assert_eq!(ada.instance.store.tables().sessions.len(), 1 + browsers + 1);
    }
}

#[test]
fn who_is_in_no_team_is_told_so_when_they_have_shown_who_they_are() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    instance.set_up(BEN, PASSWORD);
    assert!(instance.sign_in(attempt(BEN, PASSWORD, "")).is_ok());
    instance.remove(&instance.owner_now(), ben);
    assert!(matches!(instance.sign_in(attempt(BEN, PASSWORD, "")), Err(SignInError::NoTeam)));
    assert!(wrong(&instance.sign_in(attempt(BEN, "another password", ""))));
    // Whoever comes back needs an invitation: they may be another at the same address.
    let who = Newcomer::Former(ben);
    let back =
        at_once(instance.app.add_member(&instance.owner_now(), &NewMember { who, role: Role::Member }));
    instance.done(&instance.owner_now(), back).unwrap();
    assert!(matches!(instance.sign_in(attempt(BEN, PASSWORD, "")), Err(SignInError::NoTeam)));
}

#[test]
fn a_deleted_team_lets_nobody_in() {
    let instance = Instance::new();
    instance.set_up(ADA, PASSWORD);
    instance.delete_team(&instance.owner_now());
    assert!(matches!(instance.sign_in(attempt(ADA, PASSWORD, "")), Err(SignInError::NoTeam)));
}

/// Nobody becomes somebody's doorkeeper by making them a member of many teams.
#[test]
fn others_teams_take_no_place_from_ones_own() {
    let instance = Instance::new();
    let (ada, created_at) = (instance.ada(), instance.now());
    let own = instance.team();
    instance.set_up(ADA, PASSWORD);
    let older = |number: u32| TeamId::from_slice(&[&[0; 12][..], &number.to_be_bytes()].concat()).unwrap();
    for id in (0..300).map(older) {
        assert!(id < own);
        let team = instance.store.tables().teams[0].row().clone();
        let team = strongroom_core::teams::Team { id, ..team };
        let mut membership = instance.store.tables().memberships[0].row().clone();
        (membership.team_id, membership.sign_in, membership.created_at) = (id, None, created_at);
        let (team, membership) = (instance.sign(team), instance.sign(membership));
        let mut tables = instance.store.tables();
        tables.teams.push(team);
        tables.memberships.push(membership);
    }
    let by_ada = instance.session_of(ADA, PASSWORD);
    assert_eq!((by_ada.caller.user_id, by_ada.caller.team_id), (ada, own));
    assert_eq!(at_once(instance.app.teams_of_session(&by_ada)).unwrap().len(), 1);
    // A link of the server's administrator reaches all of them.
    instance.set_up(ADA, PASSWORD);
    let tables = instance.store.tables();
    assert!(tables.memberships.iter().all(|row| row.row().sign_in.is_some()));
}

#[test]
fn what_makes_no_sense_is_refused_and_breaks_nothing() {
    let ada = WithApp::new();
    let huge = "é".repeat(1 << 20);
    let nul = "\0".repeat(300);
    for text in [&*huge, &*nul, "١٢٣٤٥٦", "-1", "１２３４５６", "99999999999999999999", " "] {
        assert!(wrong(&ada.instance.sign_in(attempt(ADA, text, ""))), "a password");
        assert!(wrong(&ada.sign_in(text)), "a code");
        assert!(wrong(&ada.instance.sign_in(attempt(text, PASSWORD, ""))), "an address");
        let mut marked = attempt(ADA, PASSWORD, text);
        marked.at.mark = Some(text.to_owned());
        assert!(wrong(&ada.instance.sign_in(marked)), "a mark");
        assert!(not_proven(&ada.instance.open(LinkKind::SetUp, text)));
        assert!(not_proven(&ada.instance.open(LinkKind::Invitation, text)));
        // Else it would be told to wait.
        assert!(ada.sign_in(&ada.next()).is_ok());
    }
}

#[test]
fn no_time_is_too_early_or_too_late() {
    for end in [i64::MAX, i64::MAX - 1, i64::MIN, -1, 0] {
        let instance = Instance::new();
        instance.clock.pass(end.wrapping_sub(instance.now().as_millis()));
        assert_eq!(instance.now().as_millis(), end);
        let link = instance.set_up_link(ADA);
        let set_up = instance.set_up_by(LinkKind::SetUp, &link, chosen(PASSWORD, "123456"));
        assert!(matches!(set_up, Err(Error::NotProven | Error::Invalid(_))), "{end}");
        let used = instance.set_up_by(LinkKind::SetUp, &link, chosen(PASSWORD, ""));
        // A link, or session, that would have to end after the last moment has ended.
        assert_eq!(used.is_ok(), end != i64::MAX, "{end}");
        if let Ok(used) = used {
            assert!(instance.by_session(&used.signed_in.token).is_ok(), "{end}");
            assert!(instance.sign_in(attempt(ADA, PASSWORD, "")).is_ok(), "{end}");
        }
    }
}

#[test]
fn an_instance_of_before_gets_its_keys_once() {
    let instance = Instance::new();
    let later = [Purpose::SignIn, Purpose::Authority].map(KeyOwner::Purpose);
    let is_new = |key: &strongroom_core::keyring::WrappedKey| later.contains(&key.owner);
    instance.store.tables().keys.retain(|key| !is_new(key));
    let root = LocalRootKey::take("file", &mut [7; 32]);
    let served = || {
        let world = World { clock: Arc::clone(&instance.clock) as _, random: Arc::new(OsRandom) };
        at_once(App::open(instance.store.clone(), &root, world)).unwrap()
    };
    let keys = || instance.store.tables().keys.iter().filter(|key| is_new(key)).count();
    let [first, second] = [served(), served()];
    let link = at_once(first.set_up_link(&address(ADA))).unwrap();
    let open =
        |app: &App| at_once(app.open_link(LinkKind::SetUp, link.reveal(), Cause::default())).ok().unwrap();
    let early = at_once(first.set_up(open(&first), chosen(PASSWORD, ""), &Whereabouts::default()));
    assert!(matches!(early, Err(Error::Integrity(_))), "nothing can be sealed yet");
    for app in [&first, &second, &first, &second] {
        at_once(app.complete()).unwrap();
        assert_eq!(keys(), 2);
    }
    assert!(at_once(first.set_up(open(&first), chosen(PASSWORD, ""), &Whereabouts::default())).is_ok());
    for app in [second, served()] {
        assert!(at_once(app.sign_in(attempt(ADA, PASSWORD, ""), Cause::default())).is_ok(), "the same key");
    }
}

#[test]
fn a_sealed_sign_in_does_not_tell_who_has_an_app() {
    let sealed = |instance: &Instance| instance.store.tables().sign_ins[0].row().sealed.as_bytes().to_vec();
    let alone = Instance::new();
    alone.set_up(ADA, PASSWORD);
    let ada = WithApp::new();
    let before = sealed(&ada.instance);
    assert_eq!(before.len(), sealed(&alone).len());
    assert!(ada.sign_in(&ada.codes[0]).is_ok());
    let after = sealed(&ada.instance);
    assert_eq!(after.len(), before.len(), "nor how many codes are left");
    assert_ne!(after, before);
}

/// Of the newest events of these rows, the MACs; and those of the rows.
fn told_and_stored<T: Row>(
    events: &[Event],
    rows: &[Stored<T>],
    is: impl Fn(&T, &Event) -> bool,
) -> (Vec<[u8; 34]>, Vec<[u8; 34]>) {
    let newest = |row: &Stored<T>| {
        let mut of_row = events.iter().filter(|event| event.object.table == T::TABLE && is(row.row(), event));
        *of_row.next_back().unwrap().object.mac.unwrap().as_bytes()
    };
    (rows.iter().map(newest).collect(), rows.iter().map(|row| *row.mac().as_bytes()).collect())
}

#[test]
fn every_event_carries_the_mac_of_the_row_as_it_was_stored() {
    use strongroom_core::app::NewFactors;
    let ada = WithApp::new();
    let (instance, gliders) = (&ada.instance, ada.instance.other_team());
    let ben = instance.person(&instance.owner_now(), Role::Builder, BEN);
    let by_ada = instance.by_session(&ada.sign_in(&ada.next()).ok().unwrap().token).unwrap();
    let first = instance.invited(&by_ada, ben).unwrap();
    let second = instance.invited(&by_ada, ben).unwrap();
    assert!(not_proven(&instance.open(LinkKind::Invitation, first.reveal())));
    instance.set_up_by(LinkKind::Invitation, &second, chosen(PASSWORD, "")).ok().unwrap();
    let into_gliders = instance.invited(&gliders, instance.ada()).unwrap();
    let link = instance.open(LinkKind::Invitation, into_gliders.reveal()).ok().unwrap();
    let joined = at_once(instance.app.join(link, attempt(ADA, PASSWORD, &ada.next()))).ok().unwrap();
    let by_ada = instance.by_session(&joined.token).unwrap();
    instance.done(&by_ada, at_once(instance.app.move_session(&by_ada, instance.team()))).unwrap();
    let by_ada = instance.by_session(&joined.token).unwrap();
    let code = ada.next();
    at_once(instance.app.change_sign_in(&by_ada, (typed(PASSWORD), &code), NewFactors::NoApp)).ok().unwrap();
    instance.remove(&instance.owner_now(), ben);
    let tables = instance.store.tables();
    let id = |event: &Event| event.object.id;
    let (told, stored) =
        told_and_stored(&tables.events, &tables.sign_ins, |row, event| id(event) == Some(row.user_id.uuid()));
    assert_eq!(told, stored);
    let (told, stored) =
        told_and_stored(&tables.events, &tables.sessions, |row, event| id(event) == Some(row.id.uuid()));
    assert_eq!((told.len(), told), (4, stored));
    let (told, stored) =
        told_and_stored(&tables.events, &tables.invitations, |row, event| id(event) == Some(row.id.uuid()));
    assert_eq!((told.len(), told), (3, stored));
    let (told, stored) = told_and_stored(&tables.events, &tables.memberships, |row, event| {
        (id(event), event.team_id) == (Some(row.user_id.uuid()), Some(row.team_id))
    });
    assert_eq!((told.len(), told), (3, stored));
    drop(tables);
    assert!(at_once(instance.app.verify(|| ())).unwrap().findings.is_empty());
    for (kind, times) in [
        (EventKind::SignInSetUp, 2),
        (EventKind::SessionStarted, 4),
        (EventKind::SessionMoved, 1),
        (EventKind::InvitationCreated, 3),
        (EventKind::InvitationCancelled, 1),
        (EventKind::InvitationAccepted, 2),
    ] {
        assert_eq!(instance.events(kind).len(), times, "{kind:?}");
    }
}
