//! Requests to fill in a secret: who asks, who sees, who fills in, and that the
//! asker learns that it was done and nothing else.

mod askers;
mod filling;
mod links;

use strongroom_core::access::Denied;
use strongroom_core::app::{Ask, Cause, Error, FillLink, NewFillRequest};
use strongroom_core::fill_requests::{Fate, FillRequest, MOST_KEYS, MOST_OPEN, TOLD_FOR, USUALLY_SECONDS};
use strongroom_core::rows::Proven;
use strongroom_core::secrets::Secret;
use strongroom_core::sessions::Session;
use strongroom_core::text::{FillNote, SecretName, ServiceSlug};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::users::Membership;
use strongroom_core::{FillRequestId, OsRandom, Role, SessionId, SignInId, TeamId, Timestamp, UserId};

use crate::instance::{Instance, bundle, env_key, everything};
use crate::support::at_once;

/// What is typed into the form.
const VALUES: [(&str, &str); 2] = [("STRIPE_KEY", "sk_typed_by_a_person"), ("STRIPE_ACCOUNT", "acct_typed")];

/// A request for two values, for a day.
fn new() -> NewFillRequest {
    NewFillRequest {
        name: SecretName::parse("Stripe").unwrap(),
        service_slug: Some(ServiceSlug::parse("stripe").unwrap()),
        env_keys: ["STRIPE_KEY", "STRIPE_ACCOUNT"].map(env_key).to_vec(),
        note: Some(FillNote::parse("to send the invoices").unwrap()),
        valid_seconds: USUALLY_SECONDS,
    }
}

fn asking_for(keys: &[String]) -> NewFillRequest {
    NewFillRequest { env_keys: keys.iter().map(|key| env_key(key)).collect(), ..new() }
}

fn invisible<T>(refused: &Result<T, Error>) -> bool {
    matches!(refused, Err(Error::Denied(Denied::Invisible)))
}

fn not_proven<T>(refused: &Result<T, Error>) -> bool {
    matches!(refused, Err(Error::NotProven))
}

fn needs_manager<T>(refused: &Result<T, Error>) -> bool {
    matches!(refused, Err(Error::Denied(Denied::Role(Role::Manager))))
}

impl Instance {
    fn request(&self, by: &Ask, new: &NewFillRequest) -> Result<(Proven<FillRequest>, Token), Error> {
        self.done(by, at_once(self.app.request_fill(by, new)))
    }

    fn asked(&self, by: &Ask) -> (Proven<FillRequest>, Token) {
        self.request(by, &new()).unwrap()
    }

    fn cancel(&self, by: &Ask, id: FillRequestId) -> Result<(), Error> {
        self.done(by, at_once(self.app.cancel_fill_request(by, id)))
    }

    fn seen(&self, by: &Ask, id: FillRequestId) -> Result<Fate, Error> {
        at_once(self.app.fill_request(by, id)).map(|request| request.fate(self.now()))
    }

    fn listed(&self, by: &Ask) -> Vec<FillRequestId> {
        at_once(self.app.fill_requests(by)).unwrap().iter().map(|request| request.id).collect()
    }

    fn link(&self, token: &str) -> Result<FillLink, Error> {
        at_once(self.app.fill_link(token, Cause::default()))
    }

    fn opens_for_filling(&self, token: &Token) -> bool {
        match self.link(token.reveal()) {
            Ok(_) => true,
            Err(Error::NotProven) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn fill(
        &self,
        by: &Ask,
        id: FillRequestId,
        (values, shared): (&[(&str, &str)], bool),
    ) -> Result<Proven<Secret>, Error> {
        self.done(by, at_once(self.app.fill(by, id, (bundle(values), shared))))
    }

    /// Somebody who is signed in in a team.
    fn in_session(&self, team_id: TeamId, user_id: UserId) -> Ask {
        let (id, sign_in) = (SessionId::from_uuid(self.id()), SignInId::from_uuid(self.id()));
        let token = Token::mint(TokenKind::Session, id.uuid(), &OsRandom);
        let session = self.sign(Session {
            id,
            team_id,
            user_id,
            sign_in,
            browser: None,
            token_hash: self.keyring.hash(&token),
            created_at: self.now(),
            expires_at: Timestamp::from_millis(i64::MAX),
            ended_at: None,
        });
        let mut tables = self.store.tables();
        tables.sessions.push(session);
        let here = |row: &Membership| (row.team_id, row.user_id) == (team_id, user_id);
        let place = tables.memberships.iter_mut().find(|row| here(row.row())).unwrap();
        let mut membership = place.row().clone();
        membership.sign_in = Some(sign_in);
        *place = self.sign(membership);
        drop(tables);
        self.by_session(&token).unwrap()
    }

    /// The session of somebody who has a key.
    fn signed_in(&self, by: &Ask) -> Ask {
        self.in_session(by.caller.team_id, by.caller.user_id)
    }

    /// A new member, by a key and in a session.
    fn both(&self, role: Role) -> (Ask, Ask) {
        let user = self.member(role);
        let session = self.in_session(self.owner.caller.team_id, user);
        // The session let their membership change, on which a key of before stood.
        (self.by_key(&self.key_for(user, everything())).unwrap(), session)
    }

    fn let_links_fill(&self, they_may: bool) {
        let owner = self.owner_now();
        self.done(&owner, at_once(self.app.let_links_fill(&owner, they_may))).unwrap();
    }

    fn secrets(&self) -> usize {
        self.store.tables().secrets.len()
    }
}

#[test]
fn a_request_is_kept_as_it_was_asked() {
    let instance = Instance::new();
    let builder = instance.colleague(Role::Builder);
    let (request, token) = instance.asked(&builder);
    assert_eq!(token.id(), request.id.uuid());
    assert_eq!((request.team_id, request.user_id), (builder.caller.team_id, builder.caller.user_id));
    assert_eq!(request.name.as_str(), "Stripe");
    assert_eq!(request.service_slug.as_ref().map(ServiceSlug::as_str), Some("stripe"));
    assert_eq!(request.env_key_lines(), "STRIPE_KEY\nSTRIPE_ACCOUNT", "in the order of the asker");
    assert_eq!(request.note.as_ref().map(FillNote::as_str), Some("to send the invoices"));
    assert_eq!(request.expires_at.as_millis() - request.created_at.as_millis(), 24 * 60 * 60 * 1_000);
    assert_eq!(instance.seen(&builder, request.id).ok(), Some(Fate::Open));
    let link = instance.link(token.reveal()).unwrap();
    assert_eq!(
        (link.request.id, link.asker.id, link.team.id),
        (request.id, request.user_id, request.team_id)
    );
    assert!(link.asking.is_none() && link.alone().is_none());
    assert_eq!(request.key_id, request.key_id.filter(|_| request.run.is_none()));
    assert!(request.key_id.is_some());
    let session = instance.signed_in(&builder);
    let (request, _) = instance.asked(&session);
    assert_eq!((request.key_id, request.run), (None, None), "in a session no key asks");
}

#[test]
fn what_makes_no_sense_is_not_asked_for() {
    let instance = Instance::new();
    let builder = instance.colleague(Role::Builder);
    let names = |count: usize| (0..count).map(|at| format!("K{at}")).collect::<Vec<_>>();
    let twice = ["A".to_owned(), "B".to_owned(), "A".to_owned()];
    for keys in [&names(0)[..], &names(MOST_KEYS + 1), &twice] {
        let refused = instance.request(&builder, &asking_for(keys));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{keys:?}");
    }
    assert!(instance.store.tables().fill_requests.is_empty());
    assert_eq!(instance.request(&builder, &asking_for(&names(MOST_KEYS))).unwrap().0.env_keys.len(), 32);
}

#[test]
fn a_request_has_one_fate() {
    let instance = Instance::new();
    let (builder, session) = instance.both(Role::Builder);
    let [open, filled, cancelled, expired] = [(); 4].map(|()| instance.asked(&builder));
    instance.fill(&session, filled.0.id, (&VALUES, false)).unwrap();
    instance.cancel(&builder, cancelled.0.id).unwrap();
    for ((request, token), fate) in [(&filled, Fate::Filled), (&cancelled, Fate::Cancelled)] {
        assert_eq!(instance.seen(&builder, request.id).ok(), Some(fate));
        assert!(!instance.opens_for_filling(token), "{fate:?}");
    }
    instance.clock.pass(i64::from(USUALLY_SECONDS) * 1_000 - 1);
    assert!(instance.opens_for_filling(&open.1));
    instance.fill(&session, open.0.id, (&VALUES, false)).unwrap();
    instance.clock.pass(1);
    assert!(!instance.opens_for_filling(&expired.1));
    let after = [
        (&open, Fate::Filled),
        (&filled, Fate::Filled),
        (&cancelled, Fate::Cancelled),
        (&expired, Fate::Expired),
    ];
    for ((request, token), fate) in after {
        assert!(invisible(&instance.fill(&session, request.id, (&VALUES, false))), "{fate:?}");
        assert!(invisible(&instance.cancel(&builder, request.id)), "{fate:?}: it stays so");
        assert_eq!(instance.seen(&builder, request.id).ok(), Some(fate));
        assert!(!instance.opens_for_filling(token));
    }
    assert_eq!((instance.listed(&builder), instance.secrets()), (vec![], 2));
}

#[test]
fn what_came_of_it_is_told_for_30_days() {
    let instance = Instance::new();
    let builder = instance.colleague(Role::Builder);
    let (request, _) = instance.asked(&builder);
    let left = |millis: i64| {
        instance.clock.pass(millis);
        at_once(instance.app.purge(Timestamp::from_millis(0))).unwrap();
        instance.seen(&builder, request.id)
    };
    assert_eq!(left(i64::from(USUALLY_SECONDS) * 1_000).ok(), Some(Fate::Expired));
    assert_eq!(left(TOLD_FOR).ok(), Some(Fate::Expired));
    assert!(invisible(&left(1)));
    assert!(instance.store.tables().fill_requests.is_empty());
    assert_eq!(TOLD_FOR, 30 * 24 * 60 * 60 * 1_000);
}

#[test]
fn nobody_has_more_than_20_open() {
    let instance = Instance::new();
    let [builder, other] = [(); 2].map(|()| instance.colleague(Role::Builder));
    let place = instance.agent();
    let run = instance.by_run(&instance.started(&builder, place).1).unwrap();
    let first = instance.asked(&builder).0.id;
    for asker in [&builder, &run].into_iter().cycle().take(MOST_OPEN - 1) {
        instance.asked(asker);
    }
    let refused = |by: &Ask| match instance.request(by, &new()) {
        Ok(_) => false,
        Err(Error::Conflict(message)) => message.starts_with("20 of your requests are open already"),
        Err(error) => panic!("{error:?}"),
    };
    assert!(refused(&builder) && refused(&run), "a run asks in its starter's name");
    assert!(!refused(&other), "another's are another's");
    instance.cancel(&builder, first).unwrap();
    assert!(!refused(&run) && refused(&builder));
    instance.clock.pass(i64::from(USUALLY_SECONDS) * 1_000);
    assert!(!refused(&builder), "nobody can fill in those of before any more");
}

#[test]
fn of_64_who_ask_at_once_20_are_heard() {
    let instance = Instance::new();
    let builder = instance.colleague(Role::Builder);
    let heard = std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..64).map(|_| scope.spawn(|| instance.request(&builder, &new()).is_ok())).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).filter(|heard| *heard).count()
    });
    assert_eq!((heard, instance.store.tables().fill_requests.len()), (MOST_OPEN, MOST_OPEN));
}
