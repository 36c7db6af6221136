//! Requests to fill in a secret: what is kept, found, counted and forgotten, and
//! that a link fills in only while everything that proved it stands.

use std::sync::Arc;
use strongroom_core::access::{Action, Means, Ownership};
use strongroom_core::app::{Cause, FillLink};
use strongroom_core::fill_requests::{AskingRun, FillRequest, MOST_OPEN};
use strongroom_core::rows::Stored;
use strongroom_core::store::{AnyRow, Change, Put};
use strongroom_core::teams::Team;
use strongroom_core::text::{FillNote, SecretName, ServiceSlug, TeamName};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::users::Membership;
use strongroom_core::{
    AgentId, ApiKeyId, EnvKey, FillRequestId, OsRandom, Permit, RevisionId, Role, RunId, SecretId,
    StoreError, TeamId, UserId,
};

use crate::support::{Colleague, Instance, NOW, at};

impl Instance {
    fn new_fill_request(&self, user_id: UserId) -> (FillRequest, Token) {
        let id = FillRequestId::from_uuid(self.id());
        let token = Token::mint(TokenKind::Link, id.uuid(), &OsRandom);
        let request = FillRequest {
            id,
            team_id: self.team,
            user_id,
            key_id: None,
            run: None,
            name: SecretName::parse("Stripe").unwrap(),
            service_slug: None,
            env_keys: ["B", "A"].map(|key| EnvKey::parse(key).unwrap()).to_vec(),
            note: None,
            token_hash: self.keyring.hash(&token),
            created_at: at(NOW),
            expires_at: at(NOW + 1),
            closed_at: None,
            secret_id: None,
        };
        (request, token)
    }

    fn ending(&self, user_id: UserId, expires_at: i64) -> Stored<FillRequest> {
        self.sign(FillRequest { expires_at: at(expires_at), ..self.new_fill_request(user_id).0 })
    }

    async fn store_requests(&self, requests: &[Stored<FillRequest>]) {
        let put = requests.iter().map(|row| Change::FillRequest(Put::new(row.clone())));
        self.write(put.collect()).await.unwrap();
    }

    async fn open_requests(
        &self,
        whose: (TeamId, Option<UserId>),
        now: i64,
        limit: u32,
    ) -> Vec<FillRequestId> {
        let found = self.database.fill_requests(whose, at(now), limit).await.unwrap();
        found.iter().map(|row| row.row().id).collect()
    }

    fn requests_left(&self) -> i64 {
        self.count("SELECT count(*) FROM fill_requests")
    }
}

fn ids(rows: &[Stored<FillRequest>]) -> Vec<FillRequestId> {
    rows.iter().map(|row| row.row().id).collect()
}

#[tokio::test]
async fn every_field_of_a_request_comes_back() {
    let instance = Instance::new().await;
    let (bare, _) = instance.new_fill_request(instance.owner);
    let run = AskingRun {
        run_id: RunId::from_uuid(instance.id()),
        agent_id: AgentId::from_uuid(instance.id()),
        revision_id: RevisionId::from_uuid(instance.id()),
    };
    let full = FillRequest {
        key_id: Some(ApiKeyId::from_uuid(instance.id())),
        run: Some(run),
        name: SecretName::parse("Ärger ✓ <b>".to_owned() + &"x".repeat(100)).unwrap(),
        service_slug: Some(ServiceSlug::parse("stripe").unwrap()),
        env_keys: (0..32).map(|at| EnvKey::parse(format!("K{at}")).unwrap()).collect(),
        note: Some(FillNote::parse("two\nlines, and 🔑".to_owned()).unwrap()),
        closed_at: Some(at(NOW + 2)),
        secret_id: Some(SecretId::from_uuid(instance.id())),
        created_at: at(-1),
        ..instance.new_fill_request(instance.owner).0
    };
    let rows = [instance.sign(bare), instance.sign(full)];
    instance.store_requests(&rows).await;
    for row in &rows {
        let id = row.row().id;
        let found = instance.database.fill_request(instance.team, id).await.unwrap().unwrap();
        assert_eq!(format!("{:?}", found.row()), format!("{:?}", row.row()));
        assert!(instance.holds(Some(found)));
        let elsewhere = TeamId::from_uuid(instance.id());
        assert!(instance.database.fill_request(elsewhere, id).await.unwrap().is_none());
        let proof = instance.database.fill_request_rows(id).await.unwrap().unwrap();
        assert!(instance.holds(Some(proof.means)) && instance.holds(proof.membership));
        assert!(instance.holds(Some(proof.user)) && instance.holds(Some(proof.team)));
    }
    let nothing = FillRequestId::from_uuid(instance.id());
    assert!(instance.database.fill_request(instance.team, nothing).await.unwrap().is_none());
    assert!(instance.database.fill_request_rows(nothing).await.unwrap().is_none());
    let mut walked = 0;
    let mut visit = |row| {
        if let AnyRow::FillRequest(row) = row {
            walked += usize::from(instance.holds(Some(row)));
        }
    };
    instance.database.walk(&mut visit).await.unwrap();
    assert_eq!(walked, 2);
    let again = vec![Change::FillRequest(Put::new(rows[0].clone()))];
    assert!(matches!(instance.write(again).await, Err(StoreError::Exists)));
    assert_eq!(instance.problems().await, [""; 0]);
}

#[tokio::test]
async fn part_of_a_run_is_no_request_that_can_be_read() {
    let instance = Instance::new().await;
    let row = instance.ending(instance.owner, NOW + 1);
    instance.store_requests(std::slice::from_ref(&row)).await;
    let id = row.row().id;
    let half = "UPDATE fill_requests SET run_id = id WHERE id = ?";
    assert_eq!(instance.behind(|database| database.execute(half, [id.as_bytes()])), Ok(1));
    let refused = instance.database.fill_request(instance.team, id).await;
    assert!(matches!(refused, Err(StoreError::Malformed("fill_requests"))), "{refused:?}");
}

#[tokio::test]
async fn open_requests_are_found_by_their_end() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Builder).await.user.row().id;
    let other = instance.sign(instance.new_team());
    let abroad = FillRequest { team_id: other.row().id, ..instance.new_fill_request(instance.owner).0 };
    let abroad = instance.sign(FillRequest { expires_at: at(NOW + 9), ..abroad });
    instance.write(vec![Change::Team(Put::new(other.clone()))]).await.unwrap();
    let rows = [
        instance.ending(instance.owner, NOW + 3),
        instance.ending(colleague, NOW + 5),
        instance.ending(instance.owner, NOW + 5),
        instance.ending(instance.owner, NOW + 1),
        instance.ending(instance.owner, NOW + 7),
    ];
    instance.store_requests(&[&rows[..], std::slice::from_ref(&abroad)].concat()).await;
    let closed = instance.altered(&rows[4], |row| row.closed_at = Some(at(NOW)));
    instance.write(vec![Change::FillRequest(closed)]).await.unwrap();
    let id = ids(&rows);
    let team = (instance.team, None);
    assert_eq!(instance.open_requests(team, NOW, 9).await, [id[2], id[1], id[0], id[3]]);
    assert_eq!(instance.open_requests(team, NOW, 2).await, [id[2], id[1]]);
    assert_eq!(instance.open_requests(team, NOW + 1, u32::MAX).await, [id[2], id[1], id[0]]);
    assert!(instance.open_requests(team, NOW + 5, 9).await.is_empty());
    let whose = |user| (instance.team, Some(user));
    assert_eq!(instance.open_requests(whose(instance.owner), NOW, 9).await, [id[2], id[0], id[3]]);
    assert_eq!(instance.open_requests(whose(instance.owner), NOW, 1).await, [id[2]]);
    assert_eq!(instance.open_requests(whose(colleague), NOW, 9).await, [id[1]]);
    assert!(instance.open_requests(whose(UserId::from_uuid(instance.id())), NOW, 9).await.is_empty());
    assert_eq!(instance.open_requests((other.row().id, None), NOW, 9).await, [abroad.row().id]);
    assert!(instance.open_requests((TeamId::from_uuid(instance.id()), None), NOW, 9).await.is_empty());
}

#[tokio::test]
async fn a_user_has_so_many_open_and_not_one_more() {
    let instance = Instance::new().await;
    let (owner, team) = (instance.owner, instance.team);
    let colleague = instance.store_member(Role::Builder).await.user.row().id;
    let some: Vec<_> = (0..MOST_OPEN - 1).map(|_| instance.ending(owner, NOW + 2)).collect();
    instance.store_requests(&some).await;
    let others: Vec<_> = (0..MOST_OPEN).map(|_| instance.ending(colleague, NOW + 2)).collect();
    instance.store_requests(&others).await;
    instance.store_requests(&[instance.ending(owner, NOW)]).await;
    let demand = |now| vec![Change::AsksForFewer(team, owner, at(now))];
    instance.write(demand(NOW)).await.unwrap();
    instance.store_requests(&[instance.ending(owner, NOW + 2)]).await;
    let refused = instance.write(demand(NOW)).await;
    assert!(matches!(refused, Err(StoreError::AskedTooOften)), "{refused:?}");
    instance.write(demand(NOW + 2)).await.unwrap();
    instance
        .write(vec![Change::AsksForFewer(TeamId::from_uuid(instance.id()), owner, at(NOW))])
        .await
        .unwrap();
    let closed = instance.altered(&some[0], |row| row.closed_at = Some(at(NOW)));
    instance.write(vec![Change::FillRequest(closed)]).await.unwrap();
    instance.write(demand(NOW)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asking_at_once_does_not_get_around_it() {
    let instance = Arc::new(Instance::new().await);
    let permit = instance.permit().await;
    let tries: Vec<_> = (0..64)
        .map(|_| {
            let (instance, permit) = (Arc::clone(&instance), permit.clone());
            tokio::spawn(async move {
                let row = instance.ending(instance.owner, NOW + 2);
                let few = Change::AsksForFewer(instance.team, instance.owner, at(NOW));
                instance.write_by(permit, vec![few, Change::FillRequest(Put::new(row))]).await
            })
        })
        .collect();
    let mut done = 0;
    for tried in tries {
        match tried.await.unwrap() {
            Ok(()) => done += 1,
            Err(StoreError::AskedTooOften) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((done, instance.requests_left()), (MOST_OPEN, i64::try_from(MOST_OPEN).unwrap()));
}

#[tokio::test]
async fn those_whose_time_was_over_are_forgotten_a_few_at_a_time() {
    let instance = Instance::new().await;
    let mut rows: Vec<_> = (1..=4).map(|end| instance.ending(instance.owner, NOW + end)).collect();
    let (closed, _) = instance.new_fill_request(instance.owner);
    rows.push(instance.sign(FillRequest { closed_at: Some(at(NOW)), expires_at: at(NOW + 2), ..closed }));
    instance.store_requests(&rows).await;
    let forget =
        async |before, limit| instance.database.forget_fill_requests(at(before), limit).await.unwrap();
    assert_eq!((forget(NOW + 1, 9).await, instance.requests_left()), (0, 5));
    assert_eq!((forget(NOW + 4, 2).await, instance.requests_left()), (2, 3));
    assert_eq!(instance.count("SELECT min(expires_at) FROM fill_requests"), NOW + 2, "the oldest first");
    assert_eq!((forget(NOW + 4, 9).await, instance.requests_left()), (2, 1));
    assert_eq!((forget(NOW + 5, 9).await, instance.requests_left()), (1, 0));
}

/// A request whose link is enough.
struct Linked {
    instance: Instance,
    colleague: Colleague,
    request: Stored<FillRequest>,
    link: FillLink,
}

impl Linked {
    async fn new() -> Self {
        let instance = Instance::new().await;
        let colleague = instance.store_member(Role::Builder).await;
        let team = instance.database.team(instance.team).await.unwrap().unwrap();
        let lets = instance.altered(&team, |team| team.fills_by_link_since = Some(at(NOW)));
        let (request, token) = instance.new_fill_request(colleague.user.row().id);
        let request = instance.sign(request);
        let changes = vec![Change::FillRequest(Put::new(request.clone())), Change::Team(lets)];
        instance.write(changes).await.unwrap();
        let link = instance.app.fill_link(token.reveal(), Cause::default()).await.ok().unwrap();
        Self { instance, colleague, request, link }
    }

    fn permit(&self) -> Permit {
        let alone = self.link.alone().unwrap();
        assert_eq!(alone.caller.means, Means::Fill(self.request.row().id));
        alone.caller.permit(Action::Fill, Ownership::Own).unwrap()
    }

    /// What whoever has it does: a secret comes to be, and the link is used up.
    fn fills(&self) -> Vec<Change> {
        let secret = self.instance.new_secret(Some(self.colleague.user.row().id));
        let filled = self.instance.altered(&self.request, |row| {
            (row.closed_at, row.secret_id) = (Some(at(NOW)), Some(secret.id));
        });
        let version = self.instance.new_version(secret.id, 1);
        let secret = Change::Secret(Put::new(self.instance.sign(secret)));
        vec![secret, Change::Version(version), Change::FillRequest(filled)]
    }

    fn secrets(&self) -> i64 {
        self.instance.count("SELECT count(*) FROM secrets")
    }

    async fn refused(&self, permit: Permit, why: &str) {
        let refused = self.instance.write_by(permit, self.fills()).await;
        assert!(matches!(refused, Err(StoreError::StalePermit)), "{why}: {refused:?}");
        assert_eq!(self.secrets(), 0, "{why}");
    }
}

/// Changes a row on which the permit of a link stands.
type Alteration = fn(&Linked, &Stored<Team>) -> Change;

const OF_LINK: [(&str, Alteration); 5] = [
    ("request", |linked, _| {
        Change::FillRequest(linked.instance.altered(&linked.request, |row| row.closed_at = Some(at(NOW))))
    }),
    ("user", |linked, _| {
        let disable = |user: &mut strongroom_core::users::User| user.disabled_at = Some(at(NOW));
        Change::User(linked.instance.altered(&linked.colleague.user, disable))
    }),
    ("membership", |linked, _| {
        let lower = |row: &mut Membership| row.role = Role::Member;
        Change::Membership(linked.instance.altered(&linked.colleague.membership, lower))
    }),
    ("team", |linked, team| {
        Change::Team(linked.instance.altered(team, |team| team.name = TeamName::parse("x").unwrap()))
    }),
    ("setting", |linked, team| {
        Change::Team(linked.instance.altered(team, |team| team.fills_by_link_since = None))
    }),
];

#[tokio::test]
async fn a_links_permit_ends_with_any_row_that_proved_it() {
    for (row, alteration) in OF_LINK {
        let linked = Linked::new().await;
        let (instance, permit) = (&linked.instance, linked.permit());
        instance.write_by(permit.clone(), vec![]).await.unwrap();
        let team = instance.database.team(instance.team).await.unwrap().unwrap();
        instance.write(vec![alteration(&linked, &team)]).await.unwrap();
        linked.refused(permit, row).await;
    }
}

#[tokio::test]
async fn a_links_permit_ends_with_a_row_that_is_gone() {
    for gone in ["fill_requests", "memberships"] {
        let linked = Linked::new().await;
        let (permit, user) = (linked.permit(), linked.colleague.user.row().id);
        let delete = format!("DELETE FROM {gone} WHERE user_id = ?");
        let deleted = linked.instance.behind(|database| database.execute(&delete, [user.as_bytes()]));
        assert_eq!(deleted, Ok(1));
        linked.refused(permit, gone).await;
    }
}

#[tokio::test]
async fn a_links_permit_stands_while_other_rows_change() {
    let linked = Linked::new().await;
    let (instance, permit) = (&linked.instance, linked.permit());
    let other = instance.store_member(Role::Manager).await;
    let disable = |user: &mut strongroom_core::users::User| user.disabled_at = Some(at(NOW));
    instance.store_requests(&[instance.ending(linked.colleague.user.row().id, NOW + 2)]).await;
    instance.write(vec![Change::User(instance.altered(&other.user, disable))]).await.unwrap();
    instance.write_by(permit.clone(), linked.fills()).await.unwrap();
    assert_eq!(linked.secrets(), 1);
    let again = instance.write_by(permit, linked.fills()).await;
    assert!(matches!(again, Err(StoreError::StalePermit)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_who_have_the_link_one_fills_it_in() {
    let linked = Arc::new(Linked::new().await);
    let permit = linked.permit();
    let tries: Vec<_> = (0..64)
        .map(|_| {
            let (linked, permit) = (Arc::clone(&linked), permit.clone());
            tokio::spawn(async move { linked.instance.write_by(permit, linked.fills()).await })
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
    assert_eq!((done, linked.secrets()), (1, 1));
}

#[tokio::test]
async fn requests_go_with_their_team() {
    let instance = Instance::new().await;
    let other = instance.sign(instance.new_team());
    let abroad = FillRequest { team_id: other.row().id, ..instance.new_fill_request(instance.owner).0 };
    instance.write(vec![Change::Team(Put::new(other))]).await.unwrap();
    instance.store_requests(&[instance.ending(instance.owner, NOW + 2), instance.sign(abroad)]).await;
    let deleted = instance.mark_team(Some(at(NOW))).await;
    instance.shred(&deleted).await.unwrap();
    assert_eq!(instance.requests_left(), 1, "another team's");
    assert_eq!(instance.problems().await, [""; 0]);
}
