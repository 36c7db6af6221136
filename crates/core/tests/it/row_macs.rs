//! Rows with MACs: any field of any table changed alone, any MAC of another
//! row, bytes that move from one column to the next, nothing against empty: all
//! refused. A MAC over joined columns, which many use, takes some of it.

use std::collections::BTreeSet;
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::{AnswerId, KeptAnswer, RequestDigest};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::environment::Composition;
use strongroom_core::fill_requests::{AskingRun, FillRequest};
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::{Keyring, Purpose};
use strongroom_core::policies::{FieldName, HostPattern, Placement, Policy, Rule};
use strongroom_core::rows::{Fields, Row, RowMac, Stored};
use strongroom_core::runs::{Run, RunMode};
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::Secret;
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::teams::Team;
use strongroom_core::text::{
    AgentName, BrowserName, Email, FillNote, KeyName, RevisionName, RunNote, TeamName, UserName,
};
use strongroom_core::tokens::TokenHash;
use strongroom_core::users::{Membership, User};
use strongroom_core::{
    AgentId, ApiKeyId, AttachmentId, EnvKey, FillRequestId, Grant, InvitationId, KeyLinkId, RevisionId, Role,
    RunId, Scope, Scopes, SecretId, SecretName, ServiceSlug, SessionId, SignInId, TeamId, Timestamp, UserId,
};

use crate::independent::{self, Key32};
use crate::raw::{Columns, Raw, RawRow};
use crate::support::{KnownMaster, seeded, seeded_key, seeded_uuid};

fn row_mac_key() -> Key32 {
    seeded_key("row_mac key")
}

fn keyring() -> Keyring {
    KnownMaster::new("rows").keyring(&[(Purpose::RowMac, 1, row_mac_key())])
}

fn holds<T: Row>(keys: &Keyring, row: T, mac: RowMac) -> bool {
    keys.verify(Stored::unproven(row, mac)).is_ok()
}

fn time(millis: usize) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap())
}

fn team_id(label: usize) -> TeamId {
    TeamId::from_uuid(seeded_uuid(&format!("team {label}")))
}

fn user_id(label: usize) -> UserId {
    UserId::from_uuid(seeded_uuid(&format!("user {label}")))
}

fn env_keys(names: &[&str]) -> Vec<EnvKey> {
    names.iter().map(|name| EnvKey::parse(*name).unwrap()).collect()
}

fn team(at: usize) -> Team {
    Team {
        id: team_id(at),
        name: TeamName::parse(format!("team {}", at % 4)).unwrap(),
        created_at: time(at % 3),
        deleted_at: at.is_multiple_of(2).then(|| time(9)),
        shredded_at: at.is_multiple_of(4).then(|| time(9)),
        fills_by_link_since: at.is_multiple_of(5).then(|| time(8)),
    }
}

fn user(at: usize) -> User {
    User {
        id: user_id(at),
        name: UserName::parse(format!("user {}", at % 4)).unwrap(),
        email: at.is_multiple_of(2).then(|| Email::parse("ada@example.com").unwrap()),
        created_at: time(at % 3),
        disabled_at: at.is_multiple_of(5).then(|| time(9)),
        service_of: at.is_multiple_of(3).then(|| team_id(at)),
    }
}

/// Rows of which several differ in one field only.
fn membership(at: usize) -> Membership {
    Membership {
        team_id: team_id(at / 20),
        user_id: user_id(at / 10 % 2),
        role: Role::ALL[at % 5],
        created_at: time(at / 5 % 2),
        removed_at: None,
        sign_in: None,
    }
}

fn sign_in_id(label: usize) -> SignInId {
    SignInId::from_uuid(seeded_uuid(&format!("sign-in {label}")))
}

/// Rows of which several differ in one id only.
fn sign_in(at: usize) -> SignIn {
    SignIn {
        user_id: user_id(at / 4),
        id: sign_in_id(at % 2),
        sealed: Sealed::from_bytes(seeded("sealed", 90)),
        created_at: time(1),
        updated_at: time(1 + at / 2 % 2),
    }
}

fn session(at: usize) -> Session {
    Session {
        id: SessionId::from_uuid(seeded_uuid(&format!("session {at}"))),
        team_id: team_id(at % 3),
        user_id: user_id(at % 4),
        sign_in: sign_in_id(at % 4),
        browser: at.is_multiple_of(2).then(|| BrowserName::parse("Firefox").unwrap()),
        token_hash: TokenHash::from_slice(&seeded("token", 34)).unwrap(),
        created_at: time(1),
        expires_at: time(2),
        ended_at: at.is_multiple_of(4).then(|| time(2)),
    }
}

fn fill_request(at: usize) -> FillRequest {
    let id = |of: &str| seeded_uuid(&format!("{of} {at}"));
    FillRequest {
        id: FillRequestId::from_uuid(id("fill request")),
        team_id: team_id(at % 3),
        user_id: user_id(at % 4),
        key_id: at.is_multiple_of(2).then(|| ApiKeyId::from_uuid(id("key"))),
        run: at.is_multiple_of(2).then(|| AskingRun {
            run_id: RunId::from_uuid(id("run")),
            agent_id: AgentId::from_uuid(id("agent")),
            revision_id: RevisionId::from_uuid(id("revision")),
        }),
        name: SecretName::parse("Stripe").unwrap(),
        service_slug: at.is_multiple_of(2).then(|| ServiceSlug::parse("stripe").unwrap()),
        env_keys: env_keys(&["A", "B"]),
        note: at.is_multiple_of(2).then(|| FillNote::parse("for invoices").unwrap()),
        token_hash: TokenHash::from_slice(&seeded("token", 34)).unwrap(),
        created_at: time(1),
        expires_at: time(2),
        closed_at: at.is_multiple_of(4).then(|| time(2)),
        secret_id: at.is_multiple_of(4).then(|| SecretId::from_uuid(id("secret"))),
    }
}

fn invitation(at: usize) -> Invitation {
    Invitation {
        id: InvitationId::from_uuid(seeded_uuid(&format!("invitation {at}"))),
        team_id: team_id(at % 3),
        user_id: user_id(at % 4),
        token_hash: TokenHash::from_slice(&seeded("token", 34)).unwrap(),
        created_by: user_id(at % 2),
        created_at: time(1),
        expires_at: time(2),
        closed_at: at.is_multiple_of(4).then(|| time(2)),
    }
}

fn api_key(at: usize) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_uuid(seeded_uuid(&format!("key {at}"))),
        team_id: team_id(at % 3),
        user_id: user_id(at % 4),
        name: KeyName::parse("key").unwrap(),
        grant: grant(at),
        token_hash: TokenHash::from_slice(&seeded("token", 34)).unwrap(),
        created_by: at.is_multiple_of(2).then(|| user_id(at)),
        created_at: time(1),
        revoked_at: at.is_multiple_of(3).then(|| time(2)),
    }
}

fn agent_id(label: usize) -> AgentId {
    AgentId::from_uuid(seeded_uuid(&format!("agent {label}")))
}

fn grant(at: usize) -> Grant {
    Grant {
        role: Role::ALL[at % 5],
        scopes: Scopes::all(),
        agents: at.is_multiple_of(2).then(|| Agents::new(vec![agent_id(1), agent_id(2)]).unwrap()),
        networks: at.is_multiple_of(2).then(|| Networks::parse(["10.0.0.0/8", "2001:db8::/32"]).unwrap()),
        expires_at: at.is_multiple_of(2).then(|| time(2)),
    }
}

fn key_link(at: usize) -> KeyLink {
    KeyLink {
        id: KeyLinkId::from_uuid(seeded_uuid(&format!("link {at}"))),
        team_id: team_id(at % 3),
        user_id: user_id(at % 4),
        name: KeyName::parse("key").unwrap(),
        grant: grant(at),
        token_hash: TokenHash::from_slice(&seeded("token", 34)).unwrap(),
        created_by: user_id(at),
        made_with: ApiKeyId::from_uuid(seeded_uuid(&format!("key {at}"))),
        created_at: time(1),
        expires_at: time(2),
        closed_at: at.is_multiple_of(2).then(|| time(3)),
    }
}

fn answer(at: usize) -> KeptAnswer {
    KeptAnswer {
        id: AnswerId::from_slice(&seeded(&format!("answer {at}"), 34)).unwrap(),
        request: RequestDigest::from_slice(&seeded("request", 34)).unwrap(),
        answer: b"201".to_vec(),
        created_at: time(at % 3),
    }
}

fn secret(at: usize) -> Secret {
    Secret {
        id: SecretId::from_uuid(seeded_uuid(&format!("secret {at}"))),
        team_id: team_id(at % 3),
        owner: at.is_multiple_of(2).then(|| user_id(at)),
        name: SecretName::parse("name").unwrap(),
        service_slug: at.is_multiple_of(3).then(|| ServiceSlug::parse("slug").unwrap()),
        env_keys: env_keys(&["A", "B"]),
        version: 1,
        created_by: user_id(at),
        created_at: time(1),
        updated_at: time(1),
        deleted_at: at.is_multiple_of(5).then(|| time(2)),
        policy: at.is_multiple_of(4).then(|| policy(at % 3, at % 8 > 3)),
    }
}

/// A policy of so many rules.
fn policy(rules: usize, broker_only: bool) -> Policy {
    let rule = |at| {
        let host = HostPattern::parse(&format!("api-{at}.example.com")).unwrap();
        Rule::new(host, Placement::Query(FieldName::parse("key").unwrap())).unwrap()
    };
    Policy::new((0..rules).map(rule).collect(), broker_only).unwrap()
}

fn revision_id(label: usize) -> RevisionId {
    RevisionId::from_uuid(seeded_uuid(&format!("revision {label}")))
}

fn agent(at: usize) -> Agent {
    Agent {
        id: agent_id(at),
        team_id: team_id(at % 3),
        name: AgentName::parse(format!("agent {}", at % 4)).unwrap(),
        live: at.is_multiple_of(2).then(|| revision_id(at)),
        generation: u32::try_from(at % 5).unwrap(),
        created_by: user_id(at % 4),
        created_at: time(1),
        updated_at: time(1),
        deleted_at: at.is_multiple_of(4).then(|| time(2)),
    }
}

/// Rows of which several differ in one id only.
fn revision(at: usize) -> Revision {
    Revision {
        id: revision_id(at / 8),
        team_id: team_id(at / 4 % 2),
        agent_id: agent_id(at / 2 % 2),
        name: RevisionName::parse(format!("revision {}", at % 2)).unwrap(),
        created_by: user_id(1),
        created_at: time(1),
    }
}

fn attachment(at: usize) -> Attachment {
    Attachment {
        team_id: team_id(at / 20),
        revision_id: revision_id(at / 10 % 2),
        secret_id: secret(at / 5 % 2).id,
        id: AttachmentId::from_uuid(seeded_uuid(&format!("attachment {}", at % 5))),
        created_by: user_id(1),
        created_at: time(1),
    }
}

fn composition(secrets: &[(usize, &[&str])]) -> Composition {
    let secret = |(at, names): &(usize, &[&str])| with(&secret(*at), |row| row.env_keys = env_keys(names));
    let secrets: Vec<_> = secrets.iter().map(secret).collect();
    Composition::new(&secrets)
}

fn run(at: usize) -> Run {
    Run {
        id: RunId::from_uuid(seeded_uuid(&format!("run {at}"))),
        team_id: team_id(at % 3),
        agent_id: agent_id(at % 4),
        revision_id: revision_id(at % 4),
        user_id: user_id(at % 4),
        key_id: api_key(at % 4).id,
        generation: 1,
        strict: at.is_multiple_of(2),
        note: at.is_multiple_of(2).then(|| RunNote::parse("note").unwrap()),
        composition: composition(&[(1, &["A", "B"]), (2, &["C"])]),
        token_hash: TokenHash::from_slice(&seeded("token", 34)).unwrap(),
        lease: 10,
        created_at: time(1),
        updated_at: time(1),
        expires_at: time(2),
        stopped_at: at.is_multiple_of(4).then(|| time(2)),
        revoked_at: at.is_multiple_of(6).then(|| time(2)),
        mode: if at.is_multiple_of(2) { RunMode::Broker } else { RunMode::Inject },
        broker_hash: at.is_multiple_of(2).then(|| TokenHash::from_slice(&seeded("broker", 34)).unwrap()),
    }
}

/// A copy of a row with one thing changed.
fn with<T: Clone>(row: &T, change: impl FnOnce(&mut T)) -> T {
    let mut changed = row.clone();
    change(&mut changed);
    changed
}

/// Each change is refused, is of the one column that it names, and together
/// they are of all columns.
fn every_column_counts<T: Raw + Clone>(row: &T, changes: Vec<(&'static str, T)>) {
    let keys = keyring();
    let mac = keys.authenticate(row.clone()).mac();
    assert!(holds(&keys, row.clone(), mac));
    let before = row.columns();
    let changed_columns: BTreeSet<_> = changes.iter().map(|(column, _)| *column).collect();
    assert_eq!(changed_columns, before.iter().map(|(column, _)| *column).collect());
    for (column, changed) in changes {
        let pairs = before.iter().zip(changed.columns());
        let differ: Vec<_> = pairs.filter(|(was, is)| *was != is).map(|(was, _)| was.0).collect();
        assert_eq!(differ, [column]);
        assert!(!holds(&keys, changed, mac), "{column} of {}", T::TABLE);
    }
}

#[test]
fn every_column_of_a_team_counts() {
    let row = team(0);
    let changes = vec![
        ("id", with(&row, |row| row.id = team_id(1))),
        ("name", with(&row, |row| row.name = TeamName::parse("Team 0").unwrap())),
        ("created_at", with(&row, |row| row.created_at = time(1))),
        ("deleted_at", with(&row, |row| row.deleted_at = Some(time(10)))),
        ("deleted_at", with(&row, |row| row.deleted_at = None)),
        ("shredded_at", with(&row, |row| row.shredded_at = Some(time(10)))),
        ("shredded_at", with(&row, |row| row.shredded_at = None)),
        ("fills_by_link_since", with(&row, |row| row.fills_by_link_since = Some(time(9)))),
        ("fills_by_link_since", with(&row, |row| row.fills_by_link_since = None)),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_a_user_counts() {
    let row = user(0);
    let changes = vec![
        ("id", with(&row, |row| row.id = user_id(1))),
        ("name", with(&row, |row| row.name = UserName::parse("user").unwrap())),
        ("email", with(&row, |row| row.email = Some(Email::parse("eve@example.com").unwrap()))),
        ("email", with(&row, |row| row.email = None)),
        ("created_at", with(&row, |row| row.created_at = time(1))),
        ("disabled_at", with(&row, |row| row.disabled_at = Some(time(10)))),
        ("disabled_at", with(&row, |row| row.disabled_at = None)),
        ("service_of", with(&row, |row| row.service_of = Some(team_id(1)))),
        ("service_of", with(&row, |row| row.service_of = None)),
    ];
    every_column_counts(&row, changes);
    // Enabled in the beginning, and "disabled" at the first moment of 1970.
    let row = with(&row, |row| row.disabled_at = None);
    let mac = keyring().authenticate(row.clone()).mac();
    assert!(!holds(&keyring(), with(&row, |row| row.disabled_at = Some(time(0))), mac));
}

#[test]
fn every_column_of_a_membership_counts() {
    let row = membership(0);
    let mut changes = vec![
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("user_id", with(&row, |row| row.user_id = user_id(1))),
    ];
    changes.extend(Role::ALL[1..].iter().map(|role| ("role", with(&row, |row| row.role = *role))));
    changes.push(("created_at", with(&row, |row| row.created_at = time(1))));
    changes.push(("removed_at", with(&row, |row| row.removed_at = Some(time(0)))));
    changes.push(("sign_in", with(&row, |row| row.sign_in = Some(sign_in_id(0)))));
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_an_api_key_counts() {
    let row = api_key(0);
    let mut changes = vec![
        ("id", with(&row, |row| row.id = api_key(1).id)),
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("user_id", with(&row, |row| row.user_id = user_id(1))),
        ("name", with(&row, |row| row.name = KeyName::parse("kez").unwrap())),
    ];
    changes.extend(other_grants(&row, "expires_at", |row| &mut row.grant));
    changes.extend(other_hashes(&row, |row| &mut row.token_hash));
    changes.extend([
        ("created_at", with(&row, |row| row.created_at = time(2))),
        ("revoked_at", with(&row, |row| row.revoked_at = Some(time(0)))),
        ("revoked_at", with(&row, |row| row.revoked_at = None)),
        ("created_by", with(&row, |row| row.created_by = Some(user_id(1)))),
        ("created_by", with(&row, |row| row.created_by = None)),
    ]);
    every_column_counts(&row, changes);
}

/// Changes of what a row grants, each of one column.
fn other_grants<T: Clone>(
    row: &T,
    end: &'static str,
    grant: impl Fn(&mut T) -> &mut Grant,
) -> Vec<(&'static str, T)> {
    let with = |change: &dyn Fn(&mut Grant)| with(row, |row| change(grant(row)));
    let mut changes: Vec<_> =
        Role::ALL[1..].iter().map(|role| ("role", with(&|grant| grant.role = *role))).collect();
    let without = |out: Scope| Scope::ALL.into_iter().filter(move |scope| *scope != out).collect();
    changes.extend(Scope::ALL.map(|scope| ("scopes", with(&|grant| grant.scopes = without(scope)))));
    let agents = |agents: &[usize]| Agents::new(agents.iter().map(|label| agent_id(*label)).collect()).ok();
    let networks = |networks: &[&str]| Networks::parse(networks.iter().copied()).ok();
    changes.extend([
        ("scopes", with(&|grant| grant.scopes = Scopes::default())),
        ("agents", with(&|grant| grant.agents = agents(&[1]))),
        ("agents", with(&|grant| grant.agents = agents(&[2, 1]))),
        ("agents", with(&|grant| grant.agents = None)),
        ("networks", with(&|grant| grant.networks = networks(&["10.0.0.0/9", "2001:db8::/32"]))),
        ("networks", with(&|grant| grant.networks = networks(&["10.0.0.0/8"]))),
        ("networks", with(&|grant| grant.networks = None)),
        (end, with(&|grant| grant.expires_at = Some(time(3)))),
        (end, with(&|grant| grant.expires_at = None)),
    ]);
    changes
}

/// One for each byte.
fn other_hashes<T: Clone>(row: &T, hash: impl Fn(&mut T) -> &mut TokenHash) -> Vec<(&'static str, T)> {
    let changed = |at: usize| {
        let mut bytes = *hash(&mut row.clone()).as_bytes();
        bytes[at] ^= 1;
        with(row, |row| *hash(row) = TokenHash::from_slice(&bytes).unwrap())
    };
    (0..34).map(|at| ("token_hash", changed(at))).collect()
}

#[test]
fn every_column_of_a_link_counts() {
    let row = key_link(0);
    let mut changes = vec![
        ("id", with(&row, |row| row.id = key_link(1).id)),
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("user_id", with(&row, |row| row.user_id = user_id(1))),
        ("name", with(&row, |row| row.name = KeyName::parse("kez").unwrap())),
    ];
    changes.extend(other_grants(&row, "key_expires_at", |row| &mut row.grant));
    changes.extend(other_hashes(&row, |row| &mut row.token_hash));
    changes.extend([
        ("created_by", with(&row, |row| row.created_by = user_id(1))),
        ("made_with", with(&row, |row| row.made_with = key_link(1).made_with)),
        ("created_at", with(&row, |row| row.created_at = time(2))),
        ("expires_at", with(&row, |row| row.expires_at = time(3))),
        ("closed_at", with(&row, |row| row.closed_at = Some(time(0)))),
        ("closed_at", with(&row, |row| row.closed_at = None)),
    ]);
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_a_sign_in_counts() {
    let row = sign_in(0);
    let changes = vec![
        ("user_id", with(&row, |row| row.user_id = user_id(9))),
        ("id", with(&row, |row| row.id = sign_in_id(9))),
        ("sealed", with(&row, |row| row.sealed = Sealed::from_bytes(seeded("sealed", 91)))),
        ("created_at", with(&row, |row| row.created_at = time(0))),
        ("updated_at", with(&row, |row| row.updated_at = time(0))),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_a_session_counts() {
    let row = session(0);
    let changes = vec![
        ("id", with(&row, |row| row.id = session(1).id)),
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("user_id", with(&row, |row| row.user_id = user_id(1))),
        ("sign_in", with(&row, |row| row.sign_in = sign_in_id(1))),
        ("browser", with(&row, |row| row.browser = None)),
        ("token_hash", with(&row, |row| row.token_hash = TokenHash::from_slice(&[7; 34]).unwrap())),
        ("created_at", with(&row, |row| row.created_at = time(0))),
        ("expires_at", with(&row, |row| row.expires_at = time(3))),
        ("ended_at", with(&row, |row| row.ended_at = None)),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_an_invitation_counts() {
    let row = invitation(0);
    let changes = vec![
        ("id", with(&row, |row| row.id = invitation(1).id)),
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("user_id", with(&row, |row| row.user_id = user_id(1))),
        ("token_hash", with(&row, |row| row.token_hash = TokenHash::from_slice(&[7; 34]).unwrap())),
        ("created_by", with(&row, |row| row.created_by = user_id(1))),
        ("created_at", with(&row, |row| row.created_at = time(0))),
        ("expires_at", with(&row, |row| row.expires_at = time(3))),
        ("closed_at", with(&row, |row| row.closed_at = None)),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_a_fill_request_counts() {
    let row = fill_request(0);
    let run = |at| fill_request(at).run.unwrap();
    let changes = vec![
        ("id", with(&row, |row| row.id = fill_request(1).id)),
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("user_id", with(&row, |row| row.user_id = user_id(1))),
        ("key_id", with(&row, |row| row.key_id = None)),
        ("run_id", with(&row, |row| row.run = Some(AskingRun { run_id: run(2).run_id, ..run(0) }))),
        ("agent_id", with(&row, |row| row.run = Some(AskingRun { agent_id: run(2).agent_id, ..run(0) }))),
        (
            "revision_id",
            with(&row, |row| row.run = Some(AskingRun { revision_id: run(2).revision_id, ..run(0) })),
        ),
        ("name", with(&row, |row| row.name = SecretName::parse("other").unwrap())),
        ("service_slug", with(&row, |row| row.service_slug = None)),
        ("env_keys", with(&row, |row| row.env_keys = env_keys(&["A"]))),
        ("note", with(&row, |row| row.note = None)),
        ("token_hash", with(&row, |row| row.token_hash = TokenHash::from_slice(&[7; 34]).unwrap())),
        ("created_at", with(&row, |row| row.created_at = time(0))),
        ("expires_at", with(&row, |row| row.expires_at = time(3))),
        ("closed_at", with(&row, |row| row.closed_at = None)),
        ("secret_id", with(&row, |row| row.secret_id = None)),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_an_answer_counts() {
    let row = answer(0);
    let request = RequestDigest::from_slice(&seeded("other request", 34)).unwrap();
    let changes = vec![
        ("id", with(&row, |row| row.id = answer(1).id)),
        ("request", with(&row, |row| row.request = request)),
        ("answer", with(&row, |row| row.answer = b"200".to_vec())),
        ("answer", with(&row, |row| row.answer.clear())),
        ("created_at", with(&row, |row| row.created_at = time(1))),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_a_secret_counts() {
    let row = secret(0);
    let env_keys = |names: &[&str]| with(&row, |row| row.env_keys = env_keys(names));
    let changes = vec![
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("id", with(&row, |row| row.id = secret(1).id)),
        ("owner", with(&row, |row| row.owner = Some(user_id(1)))),
        ("owner", with(&row, |row| row.owner = None)),
        ("name", with(&row, |row| row.name = SecretName::parse("nam").unwrap())),
        ("service_slug", with(&row, |row| row.service_slug = Some(ServiceSlug::parse("s").unwrap()))),
        ("service_slug", with(&row, |row| row.service_slug = None)),
        ("env_keys", env_keys(&["B", "A"])),
        ("env_keys", env_keys(&["A"])),
        ("env_keys", env_keys(&["AB"])),
        ("env_keys", env_keys(&[])),
        ("version", with(&row, |row| row.version = 2)),
        ("created_by", with(&row, |row| row.created_by = user_id(1))),
        ("created_at", with(&row, |row| row.created_at = time(2))),
        ("updated_at", with(&row, |row| row.updated_at = time(2))),
        ("deleted_at", with(&row, |row| row.deleted_at = Some(time(0)))),
        ("deleted_at", with(&row, |row| row.deleted_at = None)),
        ("policy", with(&row, |row| row.policy = None)),
        ("policy", with(&row, |row| row.policy = Some(policy(1, false)))),
        ("policy", with(&row, |row| row.policy = Some(policy(0, true)))),
        ("policy", with(&row, |row| row.policy = Some(policy(0, false).since(2)))),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_an_agent_counts() {
    let row = agent(0);
    let changes = vec![
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("id", with(&row, |row| row.id = agent_id(1))),
        ("name", with(&row, |row| row.name = AgentName::parse("agent").unwrap())),
        ("live", with(&row, |row| row.live = Some(revision_id(1)))),
        ("live", with(&row, |row| row.live = None)),
        ("generation", with(&row, |row| row.generation = 1)),
        ("generation", with(&row, |row| row.generation = u32::MAX)),
        ("created_by", with(&row, |row| row.created_by = user_id(1))),
        ("created_at", with(&row, |row| row.created_at = time(2))),
        ("updated_at", with(&row, |row| row.updated_at = time(2))),
        ("deleted_at", with(&row, |row| row.deleted_at = Some(time(0)))),
        ("deleted_at", with(&row, |row| row.deleted_at = None)),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_a_revision_counts() {
    let row = revision(0);
    let changes = vec![
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("agent_id", with(&row, |row| row.agent_id = agent_id(1))),
        ("id", with(&row, |row| row.id = revision_id(1))),
        ("name", with(&row, |row| row.name = RevisionName::parse("Revision 0").unwrap())),
        ("created_by", with(&row, |row| row.created_by = user_id(0))),
        ("created_at", with(&row, |row| row.created_at = time(0))),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_an_attachment_counts() {
    let row = attachment(0);
    let changes = vec![
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("revision_id", with(&row, |row| row.revision_id = revision_id(1))),
        ("secret_id", with(&row, |row| row.secret_id = secret(1).id)),
        ("id", with(&row, |row| row.id = attachment(1).id)),
        ("created_by", with(&row, |row| row.created_by = user_id(0))),
        ("created_at", with(&row, |row| row.created_at = time(0))),
    ];
    every_column_counts(&row, changes);
}

#[test]
fn every_column_of_a_run_counts() {
    let row = run(0);
    let composed = |secrets: &[(usize, &[&str])]| with(&row, |row| row.composition = composition(secrets));
    let mut changes = vec![
        ("id", with(&row, |row| row.id = run(1).id)),
        ("team_id", with(&row, |row| row.team_id = team_id(1))),
        ("agent_id", with(&row, |row| row.agent_id = agent_id(1))),
        ("revision_id", with(&row, |row| row.revision_id = revision_id(1))),
        ("user_id", with(&row, |row| row.user_id = user_id(1))),
        ("key_id", with(&row, |row| row.key_id = api_key(1).id)),
        ("generation", with(&row, |row| row.generation = 0)),
        ("strict", with(&row, |row| row.strict = false)),
        ("note", with(&row, |row| row.note = Some(RunNote::parse("not").unwrap()))),
        ("note", with(&row, |row| row.note = None)),
        ("composition", composed(&[])),
        ("composition", composed(&[(1, &["A", "B"])])),
        ("composition", composed(&[(2, &["C"]), (1, &["A", "B"])])),
        ("composition", composed(&[(1, &["A"]), (2, &["B", "C"])])),
        ("composition", composed(&[(1, &["B", "A"]), (2, &["C"])])),
        ("composition", composed(&[(1, &["A", "B"]), (3, &["C"])])),
        ("lease", with(&row, |row| row.lease = 11)),
        ("created_at", with(&row, |row| row.created_at = time(2))),
        ("updated_at", with(&row, |row| row.updated_at = time(2))),
        ("expires_at", with(&row, |row| row.expires_at = time(3))),
    ];
    changes.extend(other_hashes(&row, |row| &mut row.token_hash));
    changes.extend([
        ("stopped_at", with(&row, |row| row.stopped_at = Some(time(0)))),
        ("stopped_at", with(&row, |row| row.stopped_at = None)),
        ("revoked_at", with(&row, |row| row.revoked_at = Some(time(0)))),
        ("revoked_at", with(&row, |row| row.revoked_at = None)),
        ("mode", with(&row, |row| row.mode = RunMode::Inject)),
        ("broker_hash", with(&row, |row| row.broker_hash = None)),
        ("broker_hash", with(&row, |row| row.broker_hash = Some(row.token_hash))),
    ]);
    every_column_counts(&row, changes);
}

/// Whether a row, whose type is forgotten, takes a MAC.
type Holds = Box<dyn Fn(&Keyring, RowMac) -> bool>;

/// A row of any table, with its MAC.
struct Candidate {
    raw: RawRow,
    mac: RowMac,
    holds: Holds,
}

impl Candidate {
    fn new<T: Raw + Clone + 'static>(keys: &Keyring, row: T) -> Self {
        let stored = keys.authenticate(row.clone());
        let holds = Box::new(move |keys: &Keyring, mac| holds(keys, row.clone(), mac));
        Self { raw: RawRow::of(&stored), mac: stored.mac(), holds }
    }
}

/// 600 rows, 40 of each table.
fn candidates(keys: &Keyring) -> Vec<Candidate> {
    let of_table = |at| {
        [
            Candidate::new(keys, team(at)),
            Candidate::new(keys, user(at)),
            Candidate::new(keys, membership(at)),
            Candidate::new(keys, api_key(at)),
            Candidate::new(keys, key_link(at)),
            Candidate::new(keys, sign_in(at)),
            Candidate::new(keys, session(at)),
            Candidate::new(keys, invitation(at)),
            Candidate::new(keys, fill_request(at)),
            Candidate::new(keys, answer(at)),
            Candidate::new(keys, secret(at)),
            Candidate::new(keys, agent(at)),
            Candidate::new(keys, revision(at)),
            Candidate::new(keys, attachment(at)),
            Candidate::new(keys, run(at)),
        ]
    };
    (0..40).flat_map(of_table).collect()
}

#[test]
fn no_row_takes_the_mac_of_another() {
    let keys = keyring();
    let rows = candidates(&keys);
    let (mut swaps, mut taken) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        assert!((row.holds)(&keys, row.mac), "its own MAC");
        for (_, other) in rows.iter().enumerate().filter(|(other, _)| *other != at) {
            swaps += 1;
            taken += usize::from((row.holds)(&keys, other.mac));
        }
    }
    assert_eq!((swaps, taken), (359_400, 0));
}

#[test]
fn the_other_library_makes_the_same_macs() {
    let instance = KnownMaster::new("rows").instance;
    for row in candidates(&keyring()) {
        assert_eq!(row.raw.mac(&row_mac_key(), &instance), row.raw.row_mac, "{}", row.raw.table);
    }
}

#[test]
fn every_flipped_bit_of_a_mac_is_refused() {
    let keys = keyring();
    for row in candidates(&keys).iter().step_by(14) {
        for bit in 0..34 * 8 {
            let mut mac = *row.mac.as_bytes();
            mac[bit / 8] ^= 1 << (bit % 8);
            assert!(!(row.holds)(&keys, RowMac::from_slice(&mac).unwrap()), "bit {bit}");
        }
    }
}

#[test]
fn a_row_is_of_one_instance() {
    let here = KnownMaster::new("here");
    let there = KnownMaster { instance: KnownMaster::new("there").instance, key: here.key };
    let [here, there] = [here, there].map(|one| one.keyring(&[(Purpose::RowMac, 1, row_mac_key())]));
    for row in candidates(&here) {
        assert!((row.holds)(&here, row.mac) && !(row.holds)(&there, row.mac), "the key is the same");
    }
}

#[test]
fn a_mac_is_of_the_version_of_the_key_that_it_names() {
    let old = row_mac_key();
    let new = seeded_key("the next row_mac key");
    let both = [(Purpose::RowMac, 1, old), (Purpose::RowMac, 2, new)];
    let keys = KnownMaster::new("rows").keyring(&both);
    let before = keyring().authenticate(secret(0)).mac();
    let after = keys.authenticate(secret(0)).mac();
    assert_eq!(after.as_bytes()[..2], [0, 2], "the newest key makes new MACs");
    assert!(holds(&keys, secret(0), before) && holds(&keys, secret(0), after));
    for (mac, claim) in [(before, 2), (after, 1), (before, 3), (before, 0)] {
        let mut mac = *mac.as_bytes();
        mac[1] = claim;
        assert!(!holds(&keys, secret(0), RowMac::from_slice(&mac).unwrap()), "claims version {claim}");
    }
}

/// Whether each of two different rows refuses the other's MAC.
fn apart<T: Row + Clone>(keys: &Keyring, one: &T, other: &T) -> bool {
    let (mac, other_mac) = (keys.authenticate(one.clone()).mac(), keys.authenticate(other.clone()).mac());
    assert!(holds(keys, one.clone(), mac) && holds(keys, other.clone(), other_mac));
    !holds(keys, other.clone(), mac) && !holds(keys, one.clone(), other_mac)
}

/// What the values are, joined without lengths and names.
fn joined(row: &impl Raw) -> Vec<u8> {
    row.columns().into_iter().filter_map(|(_, value)| value).flatten().collect()
}

fn careless_mac(row: &impl Raw) -> Vec<u8> {
    independent::token_hash(&row_mac_key(), 1, &String::from_utf8_lossy(&joined(row)))
}

#[test]
fn text_that_moves_to_the_next_column_is_refused() {
    let keys = keyring();
    let texts = |name: &str, slug: Option<&str>, names: &[&str]| {
        with(&secret(0), |row| {
            row.name = SecretName::parse(name).unwrap();
            row.service_slug = slug.map(|slug| ServiceSlug::parse(slug).unwrap());
            row.env_keys = env_keys(names);
        })
    };
    let secrets = [
        (texts("ab", Some("c"), &["A"]), texts("a", Some("bc"), &["A"])),
        (texts("a", Some("bC"), &["D"]), texts("a", Some("b"), &["CD"])),
        (texts("ab", None, &["A"]), texts("a", Some("b"), &["A"])),
        (texts("a", Some("B"), &[]), texts("a", None, &["B"])),
        (texts("ab", None, &[]), texts("a", Some("b"), &[])),
    ];
    for (one, other) in &secrets {
        assert!(apart(&keys, one, other));
        assert_eq!(careless_mac(one), careless_mac(other), "joined columns are the same bytes");
    }
    let texts = |name: &str, email: &str| {
        with(&user(0), |row| {
            row.name = UserName::parse(name).unwrap();
            row.email = Some(Email::parse(email).unwrap());
        })
    };
    let (one, other) = (texts("ab", "c@d"), texts("a", "bc@d"));
    assert!(apart(&keys, &one, &other));
    assert_eq!(careless_mac(&one), careless_mac(&other));
    // A note can look like the beginning of what a run receives.
    let run = |note: Option<&str>, secrets: &[(usize, &[&str])]| {
        with(&run(0), |row| {
            row.note = note.map(|note| RunNote::parse(note).unwrap());
            row.composition = composition(secrets);
        })
    };
    let line = run(None, &[(1, &["A"])]).composition.to_lines();
    let (one, other) = (run(None, &[(1, &["A"])]), run(Some(&line), &[]));
    assert!(apart(&keys, &one, &other));
    assert_eq!(careless_mac(&one), careless_mac(&other));
}

#[test]
fn an_id_that_moves_to_the_next_column_is_refused() {
    let keys = keyring();
    let ids = |one: usize, other: usize| {
        with(&attachment(0), |row| {
            (row.revision_id, row.secret_id) =
                (revision_id(one), SecretId::from_uuid(revision_id(other).uuid()));
        })
    };
    assert!(apart(&keys, &ids(1, 2), &ids(2, 1)));
    // No revision, and the one that is nothing but zeros.
    let live = |live: Option<RevisionId>| with(&agent(1), |row| row.live = live);
    assert!(apart(&keys, &live(None), &live(Some(RevisionId::from_uuid(uuid::Uuid::nil())))));
    let (starter, key) = (user_id(1), ApiKeyId::from_uuid(user_id(2).uuid()));
    let by = |user_id: UserId, key_id: ApiKeyId| {
        with(&run(0), |row| (row.user_id, row.key_id) = (user_id, key_id))
    };
    let swapped = by(UserId::from_uuid(key.uuid()), ApiKeyId::from_uuid(starter.uuid()));
    assert!(apart(&keys, &by(starter, key), &swapped));
}

#[test]
fn text_that_imitates_a_column_is_refused() {
    let keys = keyring();
    let texts = |name: &str, slug: Option<&str>| {
        with(&secret(0), |row| {
            row.name = SecretName::parse(name).unwrap();
            row.service_slug = slug.map(|slug| ServiceSlug::parse(slug).unwrap());
        })
    };
    assert!(apart(&keys, &texts("a", Some("b")), &texts("aservice_slugb", None)), "names without lengths");
    let with_lengths = "a\u{0}\u{0}\u{0}\u{c}service_slug\u{0}\u{0}\u{0}\u{1}b";
    assert!(SecretName::parse(with_lengths).is_err(), "and no text holds a length's zeros");
}

#[test]
fn a_time_that_moves_to_the_next_column_is_refused() {
    let keys = keyring();
    let times = |expires: Option<usize>, revoked: Option<usize>| {
        with(&api_key(1), |row| {
            (row.grant.expires_at, row.revoked_at) = (expires.map(time), revoked.map(time));
        })
    };
    let (one, other) = (times(Some(5), None), times(None, Some(5)));
    assert!(apart(&keys, &one, &other), "a revoked key that passes for one that expires");
    assert_eq!(careless_mac(&one), careless_mac(&other));
    assert!(apart(&keys, &times(None, None), &times(Some(0), None)));
    assert!(apart(&keys, &times(None, None), &times(None, Some(0))));
    let ends = |stopped: Option<usize>, revoked: Option<usize>| {
        with(&run(1), |row| (row.stopped_at, row.revoked_at) = (stopped.map(time), revoked.map(time)))
    };
    let (one, other) = (ends(Some(5), None), ends(None, Some(5)));
    assert!(apart(&keys, &one, &other), "a revoked run that passes for one that was stopped");
    assert_eq!(careless_mac(&one), careless_mac(&other));
    assert!(apart(&keys, &ends(None, None), &ends(Some(0), None)));
    assert!(apart(&keys, &ends(None, None), &ends(None, Some(0))));
}

/// A row of columns that no type keeps from being empty or from holding another
/// column's name.
#[derive(Clone)]
struct Free {
    first: Option<&'static [u8]>,
    second: Option<&'static [u8]>,
}

impl Row for Free {
    const TABLE: &'static str = "free";

    fn fields(&self, fields: &mut Fields) {
        fields.optional("first", self.first);
        fields.optional("second", self.second);
    }
}

/// The same columns in another table.
#[derive(Clone)]
struct Elsewhere(Free);

impl Row for Elsewhere {
    const TABLE: &'static str = "fre";

    fn fields(&self, fields: &mut Fields) {
        self.0.fields(fields);
    }
}

#[test]
fn nothing_is_not_empty() {
    let keys = keyring();
    let values: [Option<&[u8]>; 8] = [
        Some(b"secondx"),
        Some(b"xsecond"),
        None,
        Some(b""),
        Some(b"\0"),
        Some(b"x"),
        Some(b"\0\0\0\x06second"),
        Some(b"\0\0\0\x06second\0\0\0\0"),
    ];
    let rows: Vec<_> =
        values.iter().flat_map(|first| values.map(|second| Free { first: *first, second })).collect();
    for (at, one) in rows.iter().enumerate() {
        for other in &rows[at + 1..] {
            assert!(
                apart(&keys, one, other),
                "{:?} {:?} as {:?} {:?}",
                one.first,
                one.second,
                other.first,
                other.second
            );
        }
    }
}

#[test]
fn a_row_is_of_one_table() {
    let keys = keyring();
    let row = Free { first: Some(b"x"), second: None };
    let mac = keys.authenticate(row.clone()).mac();
    assert!(holds(&keys, row.clone(), mac) && !holds(&keys, Elsewhere(row), mac));
}

#[test]
fn the_columns_of_the_page_are_all() {
    let names = |columns: Columns| columns.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    let page = include_str!("../../../../docs/reference/sealing.md");
    let tables = [
        (Team::TABLE, names(team(0).columns())),
        (User::TABLE, names(user(0).columns())),
        (Membership::TABLE, names(membership(0).columns())),
        (ApiKey::TABLE, names(api_key(0).columns())),
        (KeyLink::TABLE, names(key_link(0).columns())),
        (SignIn::TABLE, names(sign_in(0).columns())),
        (Session::TABLE, names(session(0).columns())),
        (Invitation::TABLE, names(invitation(0).columns())),
        (FillRequest::TABLE, names(fill_request(0).columns())),
        (KeptAnswer::TABLE, names(answer(0).columns())),
        (Secret::TABLE, names(secret(0).columns())),
        (Agent::TABLE, names(agent(0).columns())),
        (Revision::TABLE, names(revision(0).columns())),
        (Attachment::TABLE, names(attachment(0).columns())),
        (Run::TABLE, names(run(0).columns())),
    ];
    for (table, columns) in tables {
        assert!(page.contains(&format!("| `{table}` | {columns} |")), "the page's row of {table}");
    }
}
