//! People who sign in: that a write of theirs stands only while what proved them
//! does, and what is found of them and forgotten.

use std::sync::Arc;
use strongroom_core::access::{Action, Means, Ownership};
use strongroom_core::app::{Cause, Chosen, Error, LinkKind, OpenLink, SetUp, Whereabouts};
use strongroom_core::invitations::Invitation;
use strongroom_core::keyring::{KeyOwner, Purpose, WrappedKey};
use strongroom_core::rows::Stored;
use strongroom_core::sealing::Sealed;
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::store::{AnyRow, Change, Put};
use strongroom_core::text::{Email, TeamName, UserName};
use strongroom_core::tokens::Token;
use strongroom_core::users::Membership;
use strongroom_core::{KeyId, Permit, Role, StoreError, TeamId, UserId};

use crate::support::{Colleague, Instance, NOTHING, NOW, at};

/// Somebody who signs in, is in a session, and has an invitation.
struct Person {
    instance: Instance,
    colleague: Colleague,
    membership: Stored<Membership>,
    sign_in: Stored<SignIn>,
    session: Stored<Session>,
    token: Token,
    invitation: Stored<Invitation>,
}

impl Person {
    async fn new() -> Self {
        let instance = Instance::new().await;
        let colleague = instance.store_member(Role::Manager).await;
        let user = colleague.user.row().id;
        let sign_in = instance.sign(instance.new_sign_in(user));
        let let_in = instance.altered(&colleague.membership, |row| row.sign_in = Some(sign_in.row().id));
        let membership = let_in.now.clone();
        let (session, token) = instance.new_session(user, sign_in.row().id);
        let (session, invitation) = (instance.sign(session), instance.sign(instance.new_invitation(user)));
        let changes = vec![
            Change::Membership(let_in),
            Change::SignIn(Put::new(sign_in.clone())),
            Change::Session(Put::new(session.clone())),
            Change::Invitation(Put::new(invitation.clone())),
        ];
        instance.write(changes).await.unwrap();
        Self { instance, colleague, membership, sign_in, session, token, invitation }
    }

    fn user(&self) -> UserId {
        self.colleague.user.row().id
    }

    /// What their session allows them.
    async fn by_session(&self) -> Permit {
        let caller = self.instance.app.authenticate_session(self.token.reveal(), &Cause::default()).await;
        caller.unwrap().permit(Action::EndSession, Ownership::Own).unwrap()
    }

    /// A permit that was proven by another row of theirs. The core gives none away, so
    /// their key's is taken for it, and that row is given the MAC of the key's.
    async fn by(&self, means: Means) -> Permit {
        let (table, column, id, action) = match means {
            Means::SignIn => ("sign_ins", "user_id", self.user().uuid(), Action::SignIn),
            Means::Invitation(id) => ("invitations", "id", id.uuid(), Action::SetUp),
            _ => panic!("the core gives it away"),
        };
        let mut caller = self.instance.caller(&self.colleague.token).await.unwrap();
        caller.means = means;
        let alike = format!(
            "UPDATE {table} SET row_mac = (SELECT row_mac FROM api_keys WHERE id = ?) WHERE {column} = ?"
        );
        let ids = [self.colleague.key.row().id.uuid().as_bytes(), id.as_bytes()].map(<[u8; 16]>::clone);
        let alike = self.instance.behind(|database| database.execute(&alike, ids.each_ref()));
        assert_eq!(alike, Ok(1));
        caller.permit(action, Ownership::Own).unwrap()
    }

    /// Something that they do: whoever may.
    fn act(&self) -> Vec<Change> {
        let (session, _) = self.instance.new_session(self.user(), self.sign_in.row().id);
        vec![Change::Session(Put::new(self.instance.sign(session)))]
    }

    fn acts(&self) -> i64 {
        self.instance.count("SELECT count(*) FROM sessions") - 1
    }
}

/// Changes a row on which a permit stands.
type Alteration = fn(&Person, &Stored<strongroom_core::teams::Team>) -> Change;

/// Those on which each permit of theirs stands.
const OF_ALL: [(&str, Alteration); 4] = [
    ("user", |person, _| {
        let disable = |user: &mut strongroom_core::users::User| user.disabled_at = Some(at(NOW));
        Change::User(person.instance.altered(&person.colleague.user, disable))
    }),
    ("membership", |person, _| {
        Change::Membership(person.instance.altered(&person.membership, |row| row.role = Role::Member))
    }),
    ("way in", |person, _| {
        Change::Membership(person.instance.altered(&person.membership, |row| row.sign_in = None))
    }),
    ("team", |person, team| {
        let rename = |team: &mut strongroom_core::teams::Team| team.name = TeamName::parse("x").unwrap();
        Change::Team(person.instance.altered(team, rename))
    }),
];

/// The row that each of the means is.
fn own(means: Means) -> (&'static str, Alteration) {
    match means {
        Means::SignIn => ("sign-in", |person, _| {
            let now = SignIn { updated_at: at(NOW + 1), ..person.sign_in.row().clone() };
            Change::SignIn(Put::over(person.colleague.key.mac(), person.instance.sign(now)))
        }),
        Means::Invitation(_) => ("invitation", |person, _| {
            let now = Invitation { closed_at: Some(at(NOW)), ..person.invitation.row().clone() };
            Change::Invitation(Put::over(person.colleague.key.mac(), person.instance.sign(now)))
        }),
        _ => ("session", |person, _| {
            Change::Session(person.instance.altered(&person.session, |row| row.ended_at = Some(at(NOW))))
        }),
    }
}

/// In which way a person proves themselves.
type Way = fn(&Person) -> Means;

const WAYS: [Way; 3] = [
    |_| Means::SignIn,
    |person| Means::Session(person.session.row().id),
    |person| Means::Invitation(person.invitation.row().id),
];

impl Person {
    async fn permit(&self, way: Way) -> Permit {
        match way(self) {
            Means::Session(_) => self.by_session().await,
            means => self.by(means).await,
        }
    }
}

#[tokio::test]
async fn a_permit_ends_with_any_row_that_proved_a_person() {
    for way in WAYS {
        for at in 0..=OF_ALL.len() {
            let person = Person::new().await;
            let permit = person.permit(way).await;
            assert_eq!(permit.means(), way(&person));
            let (row, alteration) = OF_ALL.get(at).copied().unwrap_or_else(|| own(way(&person)));
            person.instance.write_by(permit.clone(), person.act()).await.unwrap();
            let team = person.instance.database.team(person.instance.team).await.unwrap().unwrap();
            person.instance.write(vec![alteration(&person, &team)]).await.unwrap();
            let refused = person.instance.write_by(permit, person.act()).await;
            assert!(matches!(refused, Err(StoreError::StalePermit)), "{:?} {row}: {refused:?}", way(&person));
            assert_eq!(person.acts(), 1, "{row}");
        }
    }
}

#[tokio::test]
async fn a_permit_ends_with_a_row_that_is_gone() {
    for way in WAYS {
        let table = match way(&Person::new().await) {
            Means::SignIn => "sign_ins",
            Means::Invitation(_) => "invitations",
            _ => "sessions",
        };
        for gone in [table, "memberships"] {
            let person = Person::new().await;
            let permit = person.permit(way).await;
            person.instance.write_by(permit.clone(), vec![]).await.unwrap();
            let (delete, user) = (format!("DELETE FROM {gone} WHERE user_id = ?"), person.user());
            let deleted = person.instance.behind(|database| database.execute(&delete, [user.as_bytes()]));
            assert_eq!(deleted, Ok(1));
            let refused = person.instance.write_by(permit, vec![]).await;
            assert!(matches!(refused, Err(StoreError::StalePermit)), "{gone}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_permit_stands_while_rows_change_that_did_not_prove_it() {
    for way in WAYS {
        let person = Person::new().await;
        let (instance, permit) = (&person.instance, person.permit(way).await);
        let other = instance.store_member(Role::Manager).await;
        let disable = |user: &mut strongroom_core::users::User| user.disabled_at = Some(at(NOW));
        let revoke = instance.altered(&person.colleague.key, |key| key.revoked_at = Some(at(NOW)));
        let mut changes = vec![Change::User(instance.altered(&other.user, disable)), Change::ApiKey(revoke)];
        if way(&person) != Means::SignIn {
            let mut used = person.sign_in.row().clone();
            used.updated_at = at(NOW + 1);
            changes.push(Change::SignIn(Put::over(person.sign_in.mac(), instance.sign(used))));
        }
        instance.write(changes).await.unwrap();
        instance.write_by(permit, person.act()).await.unwrap();
    }
}

/// As somebody of no team of the permit's, or somebody else.
#[tokio::test]
async fn a_sign_in_proves_nothing_where_its_user_is_no_member() {
    let person = Person::new().await;
    let permit = person.by(Means::SignIn).await;
    let other = person.instance.sign(person.instance.new_team());
    person.instance.write(vec![Change::Team(Put::new(other.clone()))]).await.unwrap();
    person.instance.write_by(permit, vec![]).await.unwrap();
    let mut caller = person.instance.caller(&person.colleague.token).await.unwrap();
    (caller.means, caller.team_id) = (Means::SignIn, other.row().id);
    let elsewhere = caller.permit(Action::SignIn, Ownership::Own).unwrap();
    let refused = person.instance.write_by(elsewhere, vec![]).await;
    assert!(matches!(refused, Err(StoreError::StalePermit)), "{refused:?}");
    (caller.team_id, caller.user_id) = (person.instance.team, person.instance.owner);
    let as_another = caller.permit(Action::SignIn, Ownership::Own).unwrap();
    let refused = person.instance.write_by(as_another, vec![]).await;
    assert!(matches!(refused, Err(StoreError::StalePermit)), "{refused:?}");
}

impl Instance {
    async fn opened(&self) -> OpenLink {
        let link = self.app.set_up_link(&Email::parse("ada@example.com").unwrap()).await.unwrap();
        self.app.open_link(LinkKind::SetUp, link.reveal(), Cause::default()).await.ok().unwrap()
    }

    async fn set_up(&self, link: OpenLink) -> Result<SetUp, Error> {
        let chosen = Chosen { password: "correct horse battery".to_owned(), code: String::new() };
        self.app.set_up(link, chosen, &Whereabouts::default()).await
    }
}

#[tokio::test]
async fn a_link_of_the_servers_administrator_ends_with_any_row_that_it_was_opened_by() {
    for changed in ["", "user", "membership", "team"] {
        let instance = Instance::new().await;
        let link = instance.opened().await;
        let (database, team, owner) = (&instance.database, instance.team, instance.owner);
        let member = database.member(team, owner).await.unwrap().unwrap();
        let there = database.team(team).await.unwrap().unwrap();
        let change = match changed {
            "user" => {
                let rename =
                    |user: &mut strongroom_core::users::User| user.name = UserName::parse("x").unwrap();
                vec![Change::User(instance.altered(&member.user, rename))]
            }
            "membership" => {
                vec![Change::Membership(instance.altered(&member.membership, |row| row.created_at = at(1)))]
            }
            "team" => {
                let rename =
                    |team: &mut strongroom_core::teams::Team| team.name = TeamName::parse("x").unwrap();
                vec![Change::Team(instance.altered(&there, rename))]
            }
            _ => vec![],
        };
        instance.write(change).await.unwrap();
        let set_up = instance.set_up(link).await;
        let rows = ["sign_ins", "sessions"].map(|of| instance.count(&format!("SELECT count(*) FROM {of}")));
        if changed.is_empty() {
            assert!(set_up.is_ok());
            assert_eq!(rows, [1, 1]);
        } else {
            assert!(matches!(set_up, Err(Error::Store(StoreError::Changed))), "{changed}");
            assert_eq!(rows, [0, 0], "{changed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_use_up_the_same_code_one_does() {
    let person = Arc::new(Person::new().await);
    let (permit, mac) = (person.by(Means::SignIn).await, person.colleague.key.mac());
    let tries: Vec<_> = (0..64)
        .map(|number| {
            let (person, permit) = (Arc::clone(&person), permit.clone());
            tokio::spawn(async move {
                let mut changes = person.act();
                let now = SignIn { updated_at: at(NOW + number), ..person.sign_in.row().clone() };
                changes.push(Change::SignIn(Put::over(mac, person.instance.sign(now))));
                person.instance.write_by(permit, changes).await
            })
        })
        .collect();
    let mut done = 0;
    for tried in tries {
        match tried.await.unwrap() {
            Ok(()) => done += 1,
            Err(StoreError::Changed | StoreError::StalePermit) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((done, person.acts()), (1, 1));
}

/// Many who write in a session, while it is ended: none after that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_done_in_a_session_after_its_end() {
    let person = Arc::new(Person::new().await);
    let permit = person.by_session().await;
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (person, permit) = (Arc::clone(&person), permit.clone());
            tokio::spawn(async move {
                loop {
                    match person.instance.write_by(permit.clone(), person.act()).await {
                        Ok(()) => {}
                        Err(StoreError::StalePermit) => return,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    while person.acts() < 8 {
        tokio::task::yield_now().await;
    }
    let end = person.instance.altered(&person.session, |row| row.ended_at = Some(at(NOW)));
    person.instance.write(vec![Change::Session(end)]).await.unwrap();
    let then = person.acts();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(person.acts(), then);
}

#[tokio::test]
async fn every_field_of_what_people_sign_in_with_comes_back() {
    let person = Person::new().await;
    let (instance, database, user) = (&person.instance, &person.instance.database, person.user());
    let (mut session, _) = instance.new_session(user, person.sign_in.row().id);
    (session.browser, session.ended_at) = (None, Some(at(NOW + 3)));
    let mut invitation = instance.new_invitation(user);
    invitation.closed_at = Some(at(NOW + 4));
    let mut sign_in = instance.new_sign_in(instance.owner);
    (sign_in.created_at, sign_in.sealed) = (at(-1), Sealed::from_bytes(vec![0; 300]));
    let ids = (session.id, invitation.id);
    let changes = vec![
        Change::Session(Put::new(instance.sign(session))),
        Change::Invitation(Put::new(instance.sign(invitation))),
        Change::SignIn(Put::new(instance.sign(sign_in))),
    ];
    instance.write(changes).await.unwrap();
    for id in [person.session.row().id, ids.0] {
        let rows = database.session_rows(id).await.unwrap().unwrap();
        assert!(instance.holds(Some(rows.means)) && instance.holds(rows.membership));
        assert!(instance.holds(Some(rows.user)) && instance.holds(Some(rows.team)));
    }
    for id in [person.invitation.row().id, ids.1] {
        let rows = database.invitation_rows(id).await.unwrap().unwrap();
        assert!(instance.holds(Some(rows.means)) && instance.holds(rows.membership));
        assert!(instance.holds(Some(rows.user)) && instance.holds(Some(rows.team)));
        assert!(instance.holds(database.invitation(instance.team, id).await.unwrap()));
        let elsewhere = TeamId::from_uuid(instance.id());
        assert!(database.invitation(elsewhere, id).await.unwrap().is_none());
    }
    for user in [user, instance.owner] {
        assert!(instance.holds(database.sign_in(user).await.unwrap()));
        assert!(instance.holds(database.user(user).await.unwrap()));
    }
    let nobody = UserId::from_uuid(instance.id());
    assert!(database.sign_in(nobody).await.unwrap().is_none());
    assert!(database.user(nobody).await.unwrap().is_none());
    assert!(
        database.session_rows(strongroom_core::SessionId::from_uuid(instance.id())).await.unwrap().is_none()
    );
    let mut walked = [0; 3];
    let mut visit = |row| match row {
        AnyRow::SignIn(row) => walked[0] += usize::from(instance.holds(Some(row))),
        AnyRow::Session(row) => walked[1] += usize::from(instance.holds(Some(row))),
        AnyRow::Invitation(row) => walked[2] += usize::from(instance.holds(Some(row))),
        _ => {}
    };
    database.walk(&mut visit).await.unwrap();
    assert_eq!(walked, [2, 2, 2]);
    let found = instance.app.verify(|| ()).await.unwrap().findings;
    assert_eq!(found.iter().filter(|found| found.table == "sign_ins").count(), 2, "sealed by nobody");
    let (again, _) = instance.new_session(user, person.sign_in.row().id);
    let again = instance.sign(Session { id: person.session.row().id, ..again });
    assert!(matches!(instance.write(vec![Change::Session(Put::new(again))]).await, Err(StoreError::Exists)));
    let again = instance.sign(instance.new_sign_in(user));
    let refused = instance.write(vec![Change::SignIn(Put::new(again))]).await;
    assert!(matches!(refused, Err(StoreError::Exists)), "one a user: {refused:?}");
}

#[tokio::test]
async fn the_newest_open_sessions_of_a_user_are_found() {
    let person = Person::new().await;
    let (instance, sign_in) = (&person.instance, person.sign_in.row().id);
    let session = |user, expires_at, ended_at: Option<i64>| {
        let (session, _) = instance.new_session(user, sign_in);
        instance.sign(Session { expires_at: at(expires_at), ended_at: ended_at.map(at), ..session })
    };
    let user = person.user();
    let rows = [
        session(user, NOW + 5, None),
        session(user, NOW + 6, Some(NOW)),
        session(instance.owner, NOW + 6, None),
        session(user, NOW + 2, None),
        session(user, NOW + 6, None),
    ];
    let ids: Vec<_> = rows.iter().map(|row| row.row().id).collect();
    instance.write(rows.into_iter().map(|row| Change::Session(Put::new(row))).collect()).await.unwrap();
    let found = async |beyond, limit| {
        let found = instance.database.sessions(user, at(beyond), limit).await.unwrap();
        found.iter().map(|row| row.row().id).collect::<Vec<_>>()
    };
    assert_eq!(found(NOW, 9).await, [ids[4], ids[3], ids[0], person.session.row().id]);
    assert_eq!(found(NOW, 2).await, [ids[4], ids[3]]);
    assert_eq!(found(NOW + 2, u32::MAX).await, [ids[4], ids[0]]);
    assert!(found(NOW + 6, 9).await.is_empty());
}

#[tokio::test]
async fn places_of_a_user_are_found_by_the_age_of_the_team() {
    let person = Person::new().await;
    let (instance, user) = (&person.instance, person.user());
    let mut teams = vec![instance.team];
    for removed_at in [None, Some(at(NOW)), None] {
        let team = instance.new_team();
        let membership = instance.new_membership(user, Role::Member);
        let membership = Membership { team_id: team.id, removed_at, ..membership };
        teams.push(team.id);
        let changes = vec![
            Change::Team(Put::new(instance.sign(team))),
            Change::Membership(Put::new(instance.sign(membership))),
        ];
        instance.write(changes).await.unwrap();
    }
    teams.remove(2);
    teams.sort();
    let found = async |user, limit| {
        let found = instance.database.places(user, limit).await.unwrap();
        let place = |place: &strongroom_core::users::TeamPlace<Stored<Membership>, _>| {
            let team: &Stored<strongroom_core::teams::Team> = &place.team;
            assert!(instance.holds(Some(place.membership.clone())) && instance.holds(Some(team.clone())));
            assert_eq!(
                (place.membership.row().team_id, place.membership.row().user_id),
                (team.row().id, user)
            );
            team.row().id
        };
        found.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(found(user, u32::MAX).await, teams);
    assert_eq!(found(user, 2).await, teams[..2]);
    assert_eq!(found(instance.owner, 9).await, [instance.team]);
    assert!(found(UserId::from_uuid(instance.id()), 9).await.is_empty());
}

#[tokio::test]
async fn closed_invitations_are_found_but_not_listed() {
    let person = Person::new().await;
    let (instance, first) = (&person.instance, person.invitation.row().id);
    let more: Vec<_> = (0..3).map(|_| instance.sign(instance.new_invitation(instance.owner))).collect();
    let put = more.iter().map(|row| Change::Invitation(Put::new(row.clone()))).collect();
    instance.write(put).await.unwrap();
    let page = async |team, after, limit| {
        let found = instance.database.invitations(team, after, limit).await.unwrap();
        found.iter().map(|row| row.row().id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = std::iter::once(first).chain(more.iter().map(|row| row.row().id)).collect();
    assert_eq!(page(instance.team, None, 9).await, ids);
    assert_eq!(page(instance.team, Some(ids[0]), 2).await, ids[1..3]);
    assert!(page(TeamId::from_uuid(instance.id()), None, 9).await.is_empty());
    let closed = instance.altered(&more[1], |row| row.closed_at = Some(at(NOW)));
    instance.write(vec![Change::Invitation(closed)]).await.unwrap();
    assert_eq!(page(instance.team, None, 9).await, [ids[0], ids[1], ids[3]]);
    assert!(instance.database.invitation(instance.team, ids[2]).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_over_is_forgotten_a_few_at_a_time() {
    let instance = Instance::new().await;
    let sign_in = instance.new_sign_in(instance.owner).id;
    let mut changes = Vec::new();
    for end in 1..=5 {
        let (session, _) = instance.new_session(instance.owner, sign_in);
        let ended_at = (end == 5).then(|| at(NOW));
        let session = Session { expires_at: at(NOW + end), ended_at, ..session };
        changes.push(Change::Session(Put::new(instance.sign(session))));
    }
    for end in 1..=3 {
        let invitation = Invitation { expires_at: at(NOW + end), ..instance.new_invitation(instance.owner) };
        changes.push(Change::Invitation(Put::new(instance.sign(invitation))));
    }
    instance.write(changes).await.unwrap();
    let left = || ["sessions", "invitations"].map(|of| instance.count(&format!("SELECT count(*) FROM {of}")));
    let forget = async |before, limit| instance.database.forget_sessions(at(before), limit).await.unwrap();
    assert_eq!((forget(NOW + 1, 9).await, left()), (0, [5, 3]));
    assert_eq!((forget(NOW + 4, 2).await, left()), (4, [3, 1]), "so many of each");
    assert_eq!(instance.count("SELECT min(expires_at) FROM sessions"), NOW + 3, "the oldest first");
    assert_eq!((forget(NOW + 3, 9).await, left()), (0, [3, 1]));
    assert_eq!((forget(NOW + 4, 9).await, left()), (2, [2, 0]));
    assert_eq!((forget(NOW + 9, 1).await, left()), (1, [1, 0]));
    // Invitations alone are told of, too.
    let invitation = instance.sign(instance.new_invitation(instance.owner));
    instance.write(vec![Change::Invitation(Put::new(invitation))]).await.unwrap();
    assert_eq!((forget(NOW + 2, 9).await, left()), (1, [1, 0]));
}

#[tokio::test]
async fn a_key_of_a_purpose_is_added_once() {
    let instance = Instance::new().await;
    let purpose = KeyOwner::Purpose(Purpose::SignIn);
    let kept = async || {
        let keys = instance.database.purpose_keys().await.unwrap();
        keys.into_iter().filter(|key| key.owner == purpose).map(|key| key.id).collect::<Vec<_>>()
    };
    let sealed = instance.database.keys().await.unwrap().remove(0).sealed;
    let new = || WrappedKey {
        id: KeyId::from_uuid(instance.id()),
        owner: purpose,
        version: 1,
        sealed: sealed.clone(),
        created_at: at(NOW),
    };
    let founded = kept().await;
    assert_eq!(founded.len(), 1);
    instance.database.add_purpose_key(new()).await.unwrap();
    assert_eq!(kept().await, founded);
    let delete = "DELETE FROM keys WHERE owner = 'sign_in'";
    assert_eq!(instance.behind(|database| database.execute(delete, NOTHING)), Ok(1));
    let (first, second) = (new(), new());
    let id = first.id;
    instance.database.add_purpose_key(first.clone()).await.unwrap();
    for again in [first, second] {
        instance.database.add_purpose_key(again).await.unwrap();
        assert_eq!(kept().await, [id]);
    }
}

#[tokio::test]
async fn sessions_and_invitations_go_with_their_team() {
    let person = Person::new().await;
    let instance = &person.instance;
    let other = instance.sign(instance.new_team());
    let (session, _) = instance.new_session(instance.owner, person.sign_in.row().id);
    let elsewhere = instance.sign(Session { team_id: other.row().id, ..session });
    instance.write(vec![Change::Team(Put::new(other)), Change::Session(Put::new(elsewhere))]).await.unwrap();
    let deleted = instance.mark_team(Some(at(NOW))).await;
    instance.shred(&deleted).await.unwrap();
    let left = ["sessions", "invitations", "sign_ins"]
        .map(|table| instance.count(&format!("SELECT count(*) FROM {table}")));
    assert_eq!(left, [1, 0, 1], "another team's session; how a user signs in is no team's");
    assert_eq!(instance.problems().await, [""; 0]);
}
