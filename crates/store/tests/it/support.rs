//! What the tests share: an instance in a fresh database, and rows for it whose
//! MACs hold, so that permits come from the core's own proof of a caller.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use strongroom_core::access::{Action, Means, Ownership};
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::{AnswerId, KeptAnswer, RequestDigest};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::app::{Cause, Error, Founding, Recovery, RecoveryError, World, create_instance};
use strongroom_core::environment::Composition;
use strongroom_core::events::{Actor, Event, EventKind, Object, Place};
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::{Keyring, MasterKey};
use strongroom_core::policies::{BasicPart, HostPattern, PathPrefix, Placement, Policy, Rule};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::runs::{Delivery, Run, RunMode};
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::store::{Change, Put, Write};
use strongroom_core::teams::Team;
use strongroom_core::text::{AgentName, BrowserName, Email, KeyName, RevisionName, TeamName, UserName};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::users::{Membership, User};
use strongroom_core::{
    AgentId, ApiKeyId, App, AttachmentId, Caller, Clock, EnvKey, Grant, InvitationId, KeyLinkId, OsRandom,
    Permit, RevisionId, Role, RootKey, RunId, Scopes, SecretId, SecretName, ServiceSlug, SessionId, SignInId,
    Store, StoreError, TeamId, Timestamp, UserId,
};
use strongroom_store::postgres;
use strongroom_store::sqlite::{Database, FILE};
use strongroom_testbed::{self as testbed, Cluster, Engine};
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_800_000_000_000;

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The time stands still, and what is kept for a while is gone at each look.
#[derive(Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        at(NOW)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(10, Ordering::SeqCst))
    }
}

/// No test here recovers a root key.
struct NoRecovery;

impl Recovery for NoRecovery {
    fn recipient(&self) -> String {
        "age1test".into()
    }

    fn encrypt(&self, _: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        Ok(b"an age file".to_vec())
    }
}

pub(crate) fn world() -> World {
    World { clock: Arc::new(TestClock::default()), random: Arc::new(OsRandom) }
}

pub(crate) fn root_key() -> LocalRootKey {
    LocalRootKey::take("file", &mut [7; 32])
}

async fn keyring(store: &dyn Store) -> Keyring {
    let instance = store.instance().await.unwrap().unwrap();
    let instance = instance.row();
    let master = root_key().unwrap(instance.id, &instance.master).await.unwrap();
    let master = MasterKey::first(instance.id, &master).unwrap();
    Keyring::new(master, &store.purpose_keys().await.unwrap(), Timestamp::from_millis(0)).unwrap()
}

/// Where an instance is kept.
enum Home {
    Sqlite(tempfile::TempDir, Arc<Database>),
    Postgres(Arc<postgres::Database>, testbed::Database),
}

impl Home {
    /// A new one, for an instance.
    async fn new(engine: Engine) -> (Self, Arc<dyn Store>) {
        match engine {
            Engine::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let database = Arc::new(Database::create(&directory.path().join("data")).unwrap());
                (Self::Sqlite(directory, Arc::clone(&database)), database)
            }
            Engine::Postgres => {
                let url = Cluster::shared().database();
                let database = Arc::new(postgres::Database::create(&url.parse().unwrap()).await.unwrap());
                (Self::Postgres(Arc::clone(&database), testbed::Database::connect(&url)), database)
            }
        }
    }
}

/// An instance in a database of its own, of the engine that is tested.
pub(crate) struct Instance {
    home: Home,
    pub(crate) database: Arc<dyn Store>,
    pub(crate) app: App,
    pub(crate) keyring: Keyring,
    pub(crate) team: TeamId,
    pub(crate) owner: UserId,
    pub(crate) token: String,
    ids: AtomicU64,
}

impl Instance {
    pub(crate) async fn new() -> Self {
        Self::of(Engine::under_test()).await
    }

    /// One in SQLite, for what no other engine has.
    pub(crate) async fn sqlite() -> Self {
        Self::of(Engine::Sqlite).await
    }

    /// One in PostgreSQL, for what no other engine has.
    pub(crate) async fn postgres() -> Self {
        Self::of(Engine::Postgres).await
    }

    async fn of(engine: Engine) -> Self {
        let (home, store) = Home::new(engine).await;
        let database = Arc::clone(&store);
        let root = root_key();
        let founding = Founding {
            team: TeamName::parse("Rockets").unwrap(),
            email: Email::parse("ada@example.com").unwrap(),
            root: &root,
            root_parameters: String::new(),
            recovery: &NoRecovery,
        };
        let created = create_instance(Arc::clone(&store), founding, &world()).await.unwrap();
        let keyring = keyring(&*store).await;
        let app = App::open(store, &root, world()).await.unwrap();
        let (team, owner) = (created.team_id, created.user_id);
        let token = created.api_key.reveal().to_owned();
        Self { home, database, app, keyring, team, owner, token, ids: AtomicU64::new(1) }
    }

    /// The data directory of one in SQLite.
    pub(crate) fn data(&self) -> PathBuf {
        match &self.home {
            Home::Sqlite(directory, _) => directory.path().join("data"),
            Home::Postgres(..) => panic!("it is kept elsewhere"),
        }
    }

    /// Says something to the database behind the store's back.
    pub(crate) fn behind<T>(&self, say: impl FnOnce(&testbed::Database) -> T) -> T {
        match &self.home {
            Home::Sqlite(_, database) => {
                let connection = rusqlite::Connection::open(self.data().join(FILE)).unwrap();
                let said = say(&testbed::Database::sqlite(connection));
                database.look_again();
                said
            }
            Home::Postgres(_, database) => say(database),
        }
    }

    /// A number that the database answers with.
    pub(crate) fn count(&self, query: &str) -> i64 {
        self.behind(|database| database.query_row(query, NOTHING, |row| row.get(0)).unwrap())
    }

    /// What the engine's own examination finds wrong.
    pub(crate) async fn problems(&self) -> Vec<String> {
        match &self.home {
            Home::Sqlite(_, database) => database.health().unwrap().problems,
            // Nothing here hangs on the disk.
            Home::Postgres(database, _) => {
                let found = database.health().await.unwrap().problems;
                found.into_iter().filter(|problem| !problem.ends_with("may be lost")).collect()
            }
        }
    }

    /// An id that rises with each call.
    pub(crate) fn id(&self) -> Uuid {
        Uuid::from_u128(
            u128::from(self.ids.fetch_add(1, Ordering::SeqCst)) << 80 | 0x7000_8000_0000_0000_0000,
        )
    }

    pub(crate) fn sign<T: Row>(&self, row: T) -> Stored<T> {
        self.keyring.authenticate(row)
    }

    pub(crate) async fn caller(&self, token: &str) -> Result<Caller, Error> {
        self.app.authenticate(token, None, &Cause::default()).await
    }

    /// What the founder may do.
    pub(crate) async fn permit(&self) -> Permit {
        permit(&self.caller(&self.token).await.unwrap())
    }

    /// Does this as the founder.
    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.write_by(self.permit().await, changes).await
    }

    /// Does this with a permit, and tells of it.
    pub(crate) async fn write_by(&self, permit: Permit, changes: Vec<Change>) -> Result<(), StoreError> {
        let events = vec![event(&permit)];
        self.database.write(Write { permit, changes, events, answers: Vec::new(), rehearsal: false }).await
    }

    pub(crate) fn new_team(&self) -> Team {
        let (id, name) = (TeamId::from_uuid(self.id()), TeamName::parse("Gliders").unwrap());
        Team { id, name, created_at: at(NOW), deleted_at: None, shredded_at: None, fills_by_link_since: None }
    }

    pub(crate) fn new_user(&self, email: Option<&str>) -> User {
        User {
            id: UserId::from_uuid(self.id()),
            name: UserName::parse("Ben").unwrap(),
            email: email.map(|email| Email::parse(email).unwrap()),
            created_at: at(NOW),
            disabled_at: None,
            service_of: None,
        }
    }

    pub(crate) fn new_membership(&self, user_id: UserId, role: Role) -> Membership {
        Membership { team_id: self.team, user_id, role, created_at: at(NOW), removed_at: None, sign_in: None }
    }

    pub(crate) fn new_secret(&self, owner: Option<UserId>) -> Secret {
        Secret {
            id: SecretId::from_uuid(self.id()),
            team_id: self.team,
            owner,
            name: SecretName::parse("Stripe").unwrap(),
            service_slug: Some(ServiceSlug::parse("stripe").unwrap()),
            env_keys: ["A", "B"].map(|name| EnvKey::parse(name).unwrap()).to_vec(),
            version: 1,
            created_by: self.owner,
            created_at: at(NOW),
            updated_at: at(NOW),
            deleted_at: None,
            policy: None,
        }
    }

    pub(crate) fn new_version(&self, secret_id: SecretId, number: u32) -> Version {
        let sealed = Sealed::from_bytes(b"sealed by nobody".to_vec());
        Version { secret_id, number, sealed, created_by: self.owner, created_at: at(NOW) }
    }

    pub(crate) fn new_key(&self, user_id: UserId) -> (ApiKey, Token) {
        let id = ApiKeyId::from_uuid(self.id());
        let token = Token::mint(TokenKind::ApiKey, id.uuid(), &OsRandom);
        let key = ApiKey {
            id,
            team_id: self.team,
            user_id,
            name: KeyName::parse("deploy").unwrap(),
            grant: everything(),
            token_hash: self.keyring.hash(&token),
            created_by: Some(self.owner),
            created_at: at(NOW),
            revoked_at: None,
        };
        (key, token)
    }

    pub(crate) fn new_link(&self, user_id: UserId) -> (KeyLink, Token) {
        let id = KeyLinkId::from_uuid(self.id());
        let token = Token::mint(TokenKind::Link, id.uuid(), &OsRandom);
        let link = KeyLink {
            id,
            team_id: self.team,
            user_id,
            name: KeyName::parse("laptop").unwrap(),
            grant: everything(),
            token_hash: self.keyring.hash(&token),
            created_by: self.owner,
            made_with: ApiKeyId::from_uuid(self.id()),
            created_at: at(NOW),
            expires_at: at(NOW + 1),
            closed_at: None,
        };
        (link, token)
    }

    pub(crate) fn new_sign_in(&self, user_id: UserId) -> SignIn {
        SignIn {
            user_id,
            id: SignInId::from_uuid(self.id()),
            sealed: Sealed::from_bytes(b"sealed by nobody".to_vec()),
            created_at: at(NOW),
            updated_at: at(NOW),
        }
    }

    pub(crate) fn new_session(&self, user_id: UserId, sign_in: SignInId) -> (Session, Token) {
        let id = SessionId::from_uuid(self.id());
        let token = Token::mint(TokenKind::Session, id.uuid(), &OsRandom);
        let session = Session {
            id,
            team_id: self.team,
            user_id,
            sign_in,
            browser: Some(BrowserName::parse("Firefox").unwrap()),
            token_hash: self.keyring.hash(&token),
            created_at: at(NOW),
            expires_at: at(NOW + 1),
            ended_at: None,
        };
        (session, token)
    }

    pub(crate) fn new_invitation(&self, user_id: UserId) -> Invitation {
        let id = InvitationId::from_uuid(self.id());
        Invitation {
            id,
            team_id: self.team,
            user_id,
            token_hash: self.keyring.hash(&Token::mint(TokenKind::Link, id.uuid(), &OsRandom)),
            created_by: self.owner,
            created_at: at(NOW),
            expires_at: at(NOW + 1),
            closed_at: None,
        }
    }

    pub(crate) fn new_agent(&self) -> Agent {
        Agent {
            id: AgentId::from_uuid(self.id()),
            team_id: self.team,
            name: AgentName::parse("courier").unwrap(),
            live: None,
            generation: 0,
            created_by: self.owner,
            created_at: at(NOW),
            updated_at: at(NOW),
            deleted_at: None,
        }
    }

    pub(crate) fn new_revision(&self, agent_id: AgentId) -> Revision {
        Revision {
            id: RevisionId::from_uuid(self.id()),
            team_id: self.team,
            agent_id,
            name: RevisionName::parse("first").unwrap(),
            created_by: self.owner,
            created_at: at(NOW),
        }
    }

    pub(crate) fn new_attachment(&self, revision_id: RevisionId, secret_id: SecretId) -> Attachment {
        Attachment {
            team_id: self.team,
            revision_id,
            secret_id,
            id: AttachmentId::from_uuid(self.id()),
            created_by: self.owner,
            created_at: at(NOW),
        }
    }

    pub(crate) fn new_run(&self, by: &Colleague, agent_id: AgentId) -> (Run, Token) {
        let id = RunId::from_uuid(self.id());
        let token = Token::mint(TokenKind::Run, id.uuid(), &OsRandom);
        let run = Run {
            id,
            team_id: self.team,
            agent_id,
            revision_id: RevisionId::from_uuid(self.id()),
            user_id: by.user.row().id,
            key_id: by.key.row().id,
            generation: 0,
            strict: false,
            note: None,
            composition: Composition::default(),
            token_hash: self.keyring.hash(&token),
            lease: 10,
            created_at: at(NOW),
            updated_at: at(NOW),
            expires_at: at(NOW + 10_000),
            stopped_at: None,
            revoked_at: None,
            mode: RunMode::Inject,
            broker_hash: None,
        };
        (run, token)
    }

    pub(crate) fn new_answer(&self, id: u8, created_at: i64) -> Stored<KeptAnswer> {
        self.sign(KeptAnswer {
            id: AnswerId::from_slice(&[id; AnswerId::LENGTH]).unwrap(),
            request: RequestDigest::from_slice(&[9; RequestDigest::LENGTH]).unwrap(),
            answer: created_at.to_string().into_bytes(),
            created_at: at(created_at),
        })
    }

    /// Stores a secret with its first version.
    pub(crate) async fn store_secret(&self, secret: Secret) -> Stored<Secret> {
        let version = self.new_version(secret.id, 1);
        let stored = self.sign(secret);
        self.write(vec![Change::Secret(Put::new(stored.clone())), Change::Version(version)]).await.unwrap();
        stored
    }

    /// Stores a member with a key.
    pub(crate) async fn store_member(&self, role: Role) -> Colleague {
        let user = self.sign(self.new_user(None));
        let membership = self.sign(self.new_membership(user.row().id, role));
        let (key, token) = self.new_key(user.row().id);
        let (key, token) = (self.sign(key), token.reveal().to_owned());
        let changes = vec![
            Change::User(Put::new(user.clone())),
            Change::Membership(Put::new(membership.clone())),
            Change::ApiKey(Put::new(key.clone())),
        ];
        self.write(changes).await.unwrap();
        Colleague { user, membership, key, token }
    }

    /// Stores an agent.
    pub(crate) async fn store_agent(&self) -> Stored<Agent> {
        let agent = self.sign(self.new_agent());
        self.write(vec![Change::Agent(Put::new(agent.clone()))]).await.unwrap();
        agent
    }

    /// Stores a run.
    pub(crate) async fn store_run(&self, by: &Colleague, agent: AgentId) -> (Stored<Run>, Token) {
        let (run, token) = self.new_run(by, agent);
        let run = self.sign(run);
        self.write(vec![Change::Run(Put::new(run.clone()))]).await.unwrap();
        (run, token)
    }

    /// A row of this kind with one thing changed, to be put over the one that was.
    pub(crate) fn altered<T: Row + Clone>(&self, was: &Stored<T>, alter: impl FnOnce(&mut T)) -> Put<T> {
        let mut row = was.row().clone();
        alter(&mut row);
        Put::over(was.mac(), self.sign(row))
    }

    /// Whether the row that was read is the one that was written: its MAC
    /// covers every field.
    pub(crate) fn holds<T: Row>(&self, read: Option<Stored<T>>) -> bool {
        self.keyring.verify(read.expect("a row")).is_ok()
    }
}

/// A member, and the rows that they are.
pub(crate) struct Colleague {
    pub(crate) user: Stored<User>,
    pub(crate) membership: Stored<Membership>,
    pub(crate) key: Stored<ApiKey>,
    pub(crate) token: String,
}

pub(crate) fn everything() -> Grant {
    Grant { role: Role::Owner, scopes: Scopes::all(), agents: None, networks: None, expires_at: None }
}

/// That a run received these values of a secret's version.
pub(crate) fn delivery(run_id: RunId, secret_id: SecretId, version: u32, names: &[&str]) -> Delivery {
    let env_keys = names.iter().map(|name| EnvKey::parse(*name).unwrap()).collect();
    Delivery { run_id, secret_id, version, env_keys, at: at(NOW) }
}

pub(crate) fn permit(caller: &Caller) -> Permit {
    caller.permit(Action::ReadProfile, Ownership::Own).unwrap()
}

/// No values.
pub(crate) const NOTHING: [i64; 0] = [];

pub(crate) fn event(permit: &Permit) -> Event {
    let key_id = match permit.means() {
        Means::Key(key) => Some(key),
        _ => None,
    };
    let actor = Actor { user_id: Some(permit.user_id()), key_id, ..Actor::default() };
    Event { actor, ..system_event(EventKind::SecretUpdated) }
}

pub(crate) fn system_event(kind: EventKind) -> Event {
    let (actor, object) = (Actor::default(), Object { table: "secrets", ..Object::default() });
    Event {
        at: at(NOW),
        kind,
        team_id: None,
        actor,
        place: Place::default(),
        object,
        request_id: None,
        refusal: None,
        requested: None,
    }
}

/// A policy for the broker only, with a rule for each of these prefixes.
pub(crate) fn policy(prefixes: &[&str]) -> Policy {
    let rule = |prefix: &&str| {
        let host = HostPattern::parse("api.stripe.com").unwrap();
        let rule = Rule::new(host, Placement::Basic(BasicPart::Username)).unwrap();
        rule.under(PathPrefix::parse(prefix).unwrap())
    };
    Policy::new(prefixes.iter().map(rule).collect(), true).unwrap().since(2)
}
