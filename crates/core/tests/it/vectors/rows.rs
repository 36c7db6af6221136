//! Rows of every table with their MACs: absent and present columns, numbers at
//! their borders, texts of any width.

use serde_json::{Value, json};
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::{AnswerId, KeptAnswer, RequestDigest};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::environment::Composition;
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::{Keyring, Purpose};
use strongroom_core::policies::Policy;
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::runs::{Run, RunMode};
use strongroom_core::secrets::Secret;
use strongroom_core::teams::Team;
use strongroom_core::text::{AgentName, Email, KeyName, RevisionName, RunNote, TeamName, UserName};
use strongroom_core::tokens::TokenHash;
use strongroom_core::users::{Membership, User};
use strongroom_core::{
    AgentId, ApiKeyId, AttachmentId, EnvKey, Grant, KeyLinkId, RevisionId, Role, RunId, Scope, Scopes,
    SecretId, SecretName, ServiceSlug, TeamId, Timestamp, UserId,
};
use uuid::Uuid;

use super::{bytes, id, key, number, text, vectors};
use crate::independent::{self, from_hex, to_hex};
use crate::raw::Raw;
use crate::support::{KnownMaster, seeded, seeded_id, seeded_key, seeded_uuid};

fn write_row<T: Raw>(at: usize, row: &T) -> Value {
    let seed = |what: &str| format!("row {at} of {}/{what}", T::TABLE);
    let (instance, key) = (seeded_id(&seed("instance")), seeded_key(&seed("key")));
    let version = [1, 2, 256, u16::MAX][at % 4];
    let columns = row.columns();
    let mac = independent::row_mac(&key, version, &instance, T::TABLE, &columns);
    // A list, not an object: the order is part of what is frozen.
    let columns: Vec<_> =
        columns.iter().map(|(name, value)| json!([name, value.as_deref().map(to_hex)])).collect();
    json!({
        "table": T::TABLE,
        "instance": to_hex(&instance),
        "key": to_hex(&key),
        "key_version": version,
        "columns": columns,
        "row_mac": to_hex(&mac),
    })
}

const MOMENTS: [i64; 4] = [0, -1, 1_800_000_000_123, i64::MAX];

fn moment(at: usize) -> Timestamp {
    Timestamp::from_millis(MOMENTS[at % 4])
}

/// A text of this many characters, of one to four bytes each.
fn long_text(length: usize) -> String {
    "aé…🔑".chars().cycle().take(length).collect()
}

/// Rows with every column that schema 2 has. Those of schema 1 were written
/// when it was the newest.
pub(super) fn write() -> Vec<Value> {
    let of_each_table = |at| {
        [
            write_team(at),
            write_user(at),
            write_membership(at),
            write_api_key(at),
            write_key_link(at),
            write_answer(at),
            write_secret(at),
        ]
    };
    (0..12).flat_map(of_each_table).collect()
}

/// Rows of the tables that came with schema 3.
pub(super) fn write_of_schema_3() -> Vec<Value> {
    let of_each_table = |at| [write_agent(at), write_revision(at), write_attachment(at), write_run(at)];
    (0..12).flat_map(of_each_table).collect()
}

fn write_team(at: usize) -> Value {
    let name = TeamName::parse(long_text(1 + at * 11)).unwrap();
    let id = TeamId::from_uuid(seeded_uuid(&format!("team {at}")));
    let deleted_at = at.is_multiple_of(2).then(|| moment(at + 1));
    let shredded_at = at.is_multiple_of(3).then(|| moment(at + 2));
    write_row(
        at,
        &Team { id, name, created_at: moment(at), deleted_at, shredded_at, fills_by_link_since: None },
    )
}

fn write_user(at: usize) -> Value {
    let row = User {
        id: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        name: UserName::parse(long_text(1 + at * 11)).unwrap(),
        email: at
            .is_multiple_of(2)
            .then(|| Email::parse(format!("{}@example.com", "a".repeat(1 + at * 20))).unwrap()),
        created_at: moment(at),
        disabled_at: (at % 4 > 1).then(|| moment(at + 1)),
        service_of: at.is_multiple_of(3).then(|| TeamId::from_uuid(seeded_uuid(&format!("team {at}")))),
    };
    write_row(at, &row)
}

fn write_membership(at: usize) -> Value {
    let row = Membership {
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        user_id: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        role: Role::ALL[at % 5],
        created_at: moment(at),
        removed_at: at.is_multiple_of(2).then(|| moment(at + 1)),
        sign_in: None,
    };
    write_row(at, &row)
}

fn some_grant(at: usize) -> Grant {
    let agents = (1..=at % 4).map(|agent| AgentId::from_uuid(seeded_uuid(&format!("agent {agent}"))));
    let networks = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"].into_iter().take(at % 4);
    Grant {
        role: Role::ALL[at % 5],
        scopes: Scope::ALL.into_iter().skip(at % 3).take(at % 5).collect(),
        agents: Agents::new(agents.collect()).ok(),
        networks: Networks::parse(networks).ok(),
        expires_at: at.is_multiple_of(2).then(|| moment(at + 1)),
    }
}

fn write_key_link(at: usize) -> Value {
    let row = KeyLink {
        id: KeyLinkId::from_uuid(seeded_uuid(&format!("link {at}"))),
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        user_id: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        name: KeyName::parse(long_text(1 + at * 11)).unwrap(),
        grant: some_grant(at),
        token_hash: TokenHash::from_slice(&seeded(&format!("hash {at}"), 34)).unwrap(),
        created_by: UserId::from_uuid(seeded_uuid(&format!("user {}", at + 1))),
        made_with: ApiKeyId::from_uuid(seeded_uuid(&format!("key {at}"))),
        created_at: moment(at),
        expires_at: moment(at + 1),
        closed_at: (at % 4 > 1).then(|| moment(at + 2)),
    };
    write_row(at, &row)
}

fn write_answer(at: usize) -> Value {
    let row = KeptAnswer {
        id: AnswerId::from_slice(&seeded(&format!("answer {at}"), 34)).unwrap(),
        request: RequestDigest::from_slice(&seeded(&format!("request {at}"), 34)).unwrap(),
        answer: seeded("answer", at * 40),
        created_at: moment(at),
    };
    write_row(at, &row)
}

fn write_api_key(at: usize) -> Value {
    let row = ApiKey {
        id: ApiKeyId::from_uuid(seeded_uuid(&format!("key {at}"))),
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        user_id: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        name: KeyName::parse(long_text(1 + at * 11)).unwrap(),
        grant: some_grant(at),
        token_hash: TokenHash::from_slice(&seeded(&format!("hash {at}"), 34)).unwrap(),
        created_by: (at % 4 > 1).then(|| UserId::from_uuid(seeded_uuid(&format!("user {}", at + 1)))),
        created_at: moment(at),
        revoked_at: (at % 4 > 1).then(|| moment(at + 2)),
    };
    write_row(at, &row)
}

/// Secrets with policies, which came with schema 7.
pub(super) fn write_of_schema_7() -> Vec<Value> {
    (0..12).map(|at| write_row(at, &Secret { policy: Some(some_policy(at)), ..some_secret(at) })).collect()
}

/// A policy of none to three rules.
fn some_policy(at: usize) -> Policy {
    let rule = |rule: usize| {
        let placement = [
            json!({"header": "authorization", "scheme": "Bearer"}),
            json!({"header": "x-api-key"}),
            json!({"json": "/auth/é"}),
            json!({"basic": "password"}),
        ];
        let scheme = ["https", "http"][rule % 2];
        let host = ["api.example.com", "*.example.com", "localhost"][(at + rule) % 3];
        let port = [443, 1, 65_535][rule % 3];
        let methods = &["GET", "POST"][..rule];
        let path_prefix = ["/", "/v1/"][rule % 2];
        let rule = json!({
            "scheme": scheme, "host": host, "port": port, "methods": methods, "path_prefix": path_prefix,
            "placement": placement[(at + rule) % 4], "allow_private": true, "allow_foreign": rule % 2 == 1,
        });
        serde_json::from_value(rule).unwrap()
    };
    let since = [0, 1, 65_536, u32::MAX][at % 4];
    Policy::new((0..at % 4).map(rule).collect(), at.is_multiple_of(2)).unwrap().since(since)
}

fn write_secret(at: usize) -> Value {
    write_row(at, &some_secret(at))
}

fn some_secret(at: usize) -> Secret {
    let created_by = UserId::from_uuid(seeded_uuid(&format!("user {at}")));
    Secret {
        id: SecretId::from_uuid(seeded_uuid(&format!("secret {at}"))),
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        owner: at.is_multiple_of(2).then_some(created_by),
        name: SecretName::parse(long_text(1 + at * 11)).unwrap(),
        service_slug: (at % 4 > 1).then(|| ServiceSlug::parse(long_text(1 + at * 5)).unwrap()),
        env_keys: (0..at % 5).map(|key| EnvKey::parse(format!("KEY_{key}")).unwrap()).collect(),
        version: [1, 2, 65_536, u32::MAX][at % 4],
        created_by,
        created_at: moment(at),
        updated_at: moment(at + 1),
        deleted_at: at.is_multiple_of(3).then(|| moment(at + 2)),
        policy: None,
    }
}

fn write_agent(at: usize) -> Value {
    let row = Agent {
        id: AgentId::from_uuid(seeded_uuid(&format!("agent {at}"))),
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        name: AgentName::parse(long_text(1 + at * 11)).unwrap(),
        live: at.is_multiple_of(2).then(|| RevisionId::from_uuid(seeded_uuid(&format!("revision {at}")))),
        generation: [0, 1, 65_536, u32::MAX][at % 4],
        created_by: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        created_at: moment(at),
        updated_at: moment(at + 1),
        deleted_at: at.is_multiple_of(3).then(|| moment(at + 2)),
    };
    write_row(at, &row)
}

fn write_revision(at: usize) -> Value {
    let row = Revision {
        id: RevisionId::from_uuid(seeded_uuid(&format!("revision {at}"))),
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        agent_id: AgentId::from_uuid(seeded_uuid(&format!("agent {at}"))),
        name: RevisionName::parse(long_text(1 + at * 11)).unwrap(),
        created_by: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        created_at: moment(at),
    };
    write_row(at, &row)
}

fn write_attachment(at: usize) -> Value {
    let row = Attachment {
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        revision_id: RevisionId::from_uuid(seeded_uuid(&format!("revision {at}"))),
        secret_id: SecretId::from_uuid(seeded_uuid(&format!("secret {at}"))),
        id: AttachmentId::from_uuid(seeded_uuid(&format!("attachment {at}"))),
        created_by: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        created_at: moment(at),
    };
    write_row(at, &row)
}

/// A line for each secret, with none to three names.
fn some_composition(at: usize) -> String {
    let line = |secret: usize| {
        let id = uuid::Builder::from_bytes(seeded_id(&format!("secret {secret}")));
        let id = id.with_version(uuid::Version::SortRand).with_variant(uuid::Variant::RFC4122).into_uuid();
        (0..(at + secret) % 4).fold(id.to_string(), |line, key| format!("{line} KEY_{secret}_{key}"))
    };
    (0..at % 5).map(line).collect::<Vec<_>>().join("\n")
}

fn write_run(at: usize) -> Value {
    let row = Run {
        id: RunId::from_uuid(seeded_uuid(&format!("run {at}"))),
        team_id: TeamId::from_uuid(seeded_uuid(&format!("team {at}"))),
        agent_id: AgentId::from_uuid(seeded_uuid(&format!("agent {at}"))),
        revision_id: RevisionId::from_uuid(seeded_uuid(&format!("revision {at}"))),
        user_id: UserId::from_uuid(seeded_uuid(&format!("user {at}"))),
        key_id: ApiKeyId::from_uuid(seeded_uuid(&format!("key {at}"))),
        generation: [0, 1, 65_536, u32::MAX][at % 4],
        strict: at.is_multiple_of(2),
        note: (at % 4 > 1).then(|| RunNote::parse(long_text(1 + at * 40)).unwrap()),
        composition: Composition::from_lines(&some_composition(at)).unwrap(),
        token_hash: TokenHash::from_slice(&seeded(&format!("hash {at}"), 34)).unwrap(),
        lease: [10, 3_600, 604_800][at % 3],
        created_at: moment(at),
        updated_at: moment(at + 1),
        expires_at: moment(at + 2),
        stopped_at: at.is_multiple_of(3).then(|| moment(at + 3)),
        revoked_at: at.is_multiple_of(2).then(|| moment(at + 1)),
        mode: RunMode::Inject,
        broker_hash: None,
    };
    write_row(at, &row)
}

/// The columns of a row vector.
struct Columns(Vec<(String, Option<Vec<u8>>)>);

impl Columns {
    fn read(vector: &Value) -> Self {
        let pairs = vector["columns"].as_array().unwrap().iter();
        Self(
            pairs
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().map(from_hex)))
                .collect(),
        )
    }

    fn raw(&self) -> Vec<(&str, Option<Vec<u8>>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
    }

    /// Nothing, too, for a column that came after the row was frozen.
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(column, _)| column == name)?.1.as_deref()
    }

    fn id(&self, name: &str) -> Uuid {
        Uuid::from_slice(self.get(name).unwrap()).unwrap()
    }

    fn maybe_text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|bytes| std::str::from_utf8(bytes).unwrap())
    }

    fn text(&self, name: &str) -> &str {
        self.maybe_text(name).unwrap()
    }

    fn maybe_time(&self, name: &str) -> Option<Timestamp> {
        let millis = self.get(name).map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()));
        millis.map(Timestamp::from_millis)
    }

    fn time(&self, name: &str) -> Timestamp {
        self.maybe_time(name).unwrap()
    }

    fn number(&self, name: &str) -> u32 {
        i64::from_be_bytes(self.get(name).unwrap().try_into().unwrap()).try_into().unwrap()
    }

    fn team(&self) -> Team {
        Team {
            id: TeamId::from_uuid(self.id("id")),
            name: TeamName::parse(self.text("name")).unwrap(),
            created_at: self.time("created_at"),
            deleted_at: self.maybe_time("deleted_at"),
            shredded_at: self.maybe_time("shredded_at"),
            fills_by_link_since: None,
        }
    }

    fn user(&self) -> User {
        User {
            id: UserId::from_uuid(self.id("id")),
            name: UserName::parse(self.text("name")).unwrap(),
            email: self.maybe_text("email").map(|email| Email::parse(email).unwrap()),
            created_at: self.time("created_at"),
            disabled_at: self.maybe_time("disabled_at"),
            service_of: self.get("service_of").map(|id| TeamId::from_slice(id).unwrap()),
        }
    }

    fn membership(&self) -> Membership {
        Membership {
            team_id: TeamId::from_uuid(self.id("team_id")),
            user_id: UserId::from_uuid(self.id("user_id")),
            role: Role::from_name(self.text("role")).unwrap(),
            created_at: self.time("created_at"),
            removed_at: self.maybe_time("removed_at"),
            sign_in: None,
        }
    }

    fn api_key(&self) -> ApiKey {
        ApiKey {
            id: ApiKeyId::from_uuid(self.id("id")),
            team_id: TeamId::from_uuid(self.id("team_id")),
            user_id: UserId::from_uuid(self.id("user_id")),
            name: KeyName::parse(self.text("name")).unwrap(),
            grant: self.grant("expires_at"),
            token_hash: TokenHash::from_slice(self.get("token_hash").unwrap()).unwrap(),
            created_by: self.get("created_by").map(|id| UserId::from_slice(id).unwrap()),
            created_at: self.time("created_at"),
            revoked_at: self.maybe_time("revoked_at"),
        }
    }

    fn grant(&self, end: &str) -> Grant {
        Grant {
            role: Role::from_name(self.text("role")).unwrap(),
            scopes: Scopes::parse(self.text("scopes")).unwrap(),
            agents: self.get("agents").map(|ids| Agents::from_slice(ids).unwrap()),
            networks: self.maybe_text("networks").map(|text| Networks::from_stored(text).unwrap()),
            expires_at: self.maybe_time(end),
        }
    }

    fn key_link(&self) -> KeyLink {
        KeyLink {
            id: KeyLinkId::from_uuid(self.id("id")),
            team_id: TeamId::from_uuid(self.id("team_id")),
            user_id: UserId::from_uuid(self.id("user_id")),
            name: KeyName::parse(self.text("name")).unwrap(),
            grant: self.grant("key_expires_at"),
            token_hash: TokenHash::from_slice(self.get("token_hash").unwrap()).unwrap(),
            created_by: UserId::from_uuid(self.id("created_by")),
            made_with: ApiKeyId::from_uuid(self.id("made_with")),
            created_at: self.time("created_at"),
            expires_at: self.time("expires_at"),
            closed_at: self.maybe_time("closed_at"),
        }
    }

    fn answer(&self) -> KeptAnswer {
        KeptAnswer {
            id: AnswerId::from_slice(self.get("id").unwrap()).unwrap(),
            request: RequestDigest::from_slice(self.get("request").unwrap()).unwrap(),
            answer: self.get("answer").unwrap().to_vec(),
            created_at: self.time("created_at"),
        }
    }

    fn secret(&self) -> Secret {
        let env_keys = self.text("env_keys").lines().map(|name| EnvKey::parse(name).unwrap()).collect();
        Secret {
            team_id: TeamId::from_uuid(self.id("team_id")),
            id: SecretId::from_uuid(self.id("id")),
            owner: self.get("owner").map(|id| UserId::from_slice(id).unwrap()),
            name: SecretName::parse(self.text("name")).unwrap(),
            service_slug: self.maybe_text("service_slug").map(|slug| ServiceSlug::parse(slug).unwrap()),
            env_keys,
            version: self.number("version"),
            created_by: UserId::from_uuid(self.id("created_by")),
            created_at: self.time("created_at"),
            updated_at: self.time("updated_at"),
            deleted_at: self.maybe_time("deleted_at"),
            policy: self.maybe_text("policy").map(|policy| Policy::from_stored(policy).unwrap()),
        }
    }
}

impl Columns {
    fn agent(&self) -> Agent {
        Agent {
            team_id: TeamId::from_uuid(self.id("team_id")),
            id: AgentId::from_uuid(self.id("id")),
            name: AgentName::parse(self.text("name")).unwrap(),
            live: self.get("live").map(|id| RevisionId::from_slice(id).unwrap()),
            generation: self.number("generation"),
            created_by: UserId::from_uuid(self.id("created_by")),
            created_at: self.time("created_at"),
            updated_at: self.time("updated_at"),
            deleted_at: self.maybe_time("deleted_at"),
        }
    }

    fn revision(&self) -> Revision {
        Revision {
            team_id: TeamId::from_uuid(self.id("team_id")),
            agent_id: AgentId::from_uuid(self.id("agent_id")),
            id: RevisionId::from_uuid(self.id("id")),
            name: RevisionName::parse(self.text("name")).unwrap(),
            created_by: UserId::from_uuid(self.id("created_by")),
            created_at: self.time("created_at"),
        }
    }

    fn attachment(&self) -> Attachment {
        Attachment {
            team_id: TeamId::from_uuid(self.id("team_id")),
            revision_id: RevisionId::from_uuid(self.id("revision_id")),
            secret_id: SecretId::from_uuid(self.id("secret_id")),
            id: AttachmentId::from_uuid(self.id("id")),
            created_by: UserId::from_uuid(self.id("created_by")),
            created_at: self.time("created_at"),
        }
    }

    fn run(&self) -> Run {
        Run {
            id: RunId::from_uuid(self.id("id")),
            team_id: TeamId::from_uuid(self.id("team_id")),
            agent_id: AgentId::from_uuid(self.id("agent_id")),
            revision_id: RevisionId::from_uuid(self.id("revision_id")),
            user_id: UserId::from_uuid(self.id("user_id")),
            key_id: ApiKeyId::from_uuid(self.id("key_id")),
            generation: self.number("generation"),
            strict: self.number("strict") == 1,
            note: self.maybe_text("note").map(|note| RunNote::parse(note).unwrap()),
            composition: Composition::from_lines(self.text("composition")).unwrap(),
            token_hash: TokenHash::from_slice(self.get("token_hash").unwrap()).unwrap(),
            lease: self.number("lease"),
            created_at: self.time("created_at"),
            updated_at: self.time("updated_at"),
            expires_at: self.time("expires_at"),
            stopped_at: self.maybe_time("stopped_at"),
            revoked_at: self.maybe_time("revoked_at"),
            mode: RunMode::Inject,
            broker_hash: None,
        }
    }
}

/// Whether this MAC holds for the row, and is the one that the row gets again.
fn same_mac<T: Row + Clone>(ring: &Keyring, row: T, mac: &[u8]) -> bool {
    let stored = Stored::unproven(row.clone(), RowMac::from_slice(mac).unwrap());
    ring.verify(stored).is_ok() && ring.authenticate(row).mac().as_bytes() == mac
}

#[test]
fn row_macs_hold_as_they_did() {
    for vector in vectors("rows") {
        let (table, columns, mac) =
            (text(&vector, "table"), Columns::read(&vector), bytes(&vector, "row_mac"));
        let (key, version) = (key(&vector, "key"), number(&vector, "key_version"));
        let instance = id(&vector, "instance");
        assert_eq!(independent::row_mac(&key, version, &instance, table, &columns.raw()), mac);
        let master = KnownMaster { instance, key: seeded_key("any master key") };
        let ring = master.keyring(&[(Purpose::RowMac, version, key)]);
        let same = match table {
            Team::TABLE => same_mac(&ring, columns.team(), &mac),
            User::TABLE => same_mac(&ring, columns.user(), &mac),
            Membership::TABLE => same_mac(&ring, columns.membership(), &mac),
            ApiKey::TABLE => same_mac(&ring, columns.api_key(), &mac),
            KeyLink::TABLE => same_mac(&ring, columns.key_link(), &mac),
            KeptAnswer::TABLE => same_mac(&ring, columns.answer(), &mac),
            Secret::TABLE => same_mac(&ring, columns.secret(), &mac),
            Agent::TABLE => same_mac(&ring, columns.agent(), &mac),
            Revision::TABLE => same_mac(&ring, columns.revision(), &mac),
            Attachment::TABLE => same_mac(&ring, columns.attachment(), &mac),
            Run::TABLE => same_mac(&ring, columns.run(), &mac),
            _ => panic!("no such table: {table}"),
        };
        assert!(same, "{vector}");
    }
}
