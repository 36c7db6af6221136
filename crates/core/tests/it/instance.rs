//! A whole instance in memory, whose time moves when it is told to: members,
//! secrets, agents, and runs that receive their environment.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::app::{
    Ask, Cause, Error, Founding, NewRun, Planned, Recovery, RecoveryError, World, create_instance,
};
use strongroom_core::events::{Event, EventKind};
use strongroom_core::keyring::{Keyring, MasterKey};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::rows::{Proven, Row, Stored};
use strongroom_core::runs::{Run, RunMode};
use strongroom_core::secrets::{Edit, NewSecret, Patch};
use strongroom_core::teams::Team;
use strongroom_core::text::{AgentName, Email, KeyName, RevisionName, TeamName, UserName};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::users::{Membership, User};
use strongroom_core::{
    AgentId, ApiKeyId, App, Bundle, Clock, EnvKey, Grant, OsRandom, RevisionId, Role, RootKey as _, Scopes,
    SecretId, SecretName, SecretValue, Store as _, TeamId, Timestamp, UserId,
};
use uuid::Uuid;

use crate::memory_store::MemoryStore;
use crate::support::{NOW, at_once};

/// A revision of an agent.
pub(crate) type Place = (AgentId, RevisionId);

/// Time that is set by hand. What is kept for a moment is gone at each look.
pub(crate) struct Hands {
    millis: AtomicI64,
    looks: AtomicU64,
    /// Seconds that go by at each look.
    pace: AtomicU64,
}

impl Hands {
    pub(crate) fn pass(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Lets the monotonic clock go on.
    pub(crate) fn go_on(&self, seconds: u64) {
        self.looks.fetch_add(seconds, Ordering::SeqCst);
    }

    /// From now on what is kept for a moment is there at each look.
    pub(crate) fn hold(&self) {
        self.pace.store(0, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        let pace = self.pace.load(Ordering::SeqCst);
        Duration::from_secs(self.looks.fetch_add(pace, Ordering::SeqCst))
    }
}

struct NoRecovery;

impl Recovery for NoRecovery {
    fn recipient(&self) -> String {
        "nobody".to_owned()
    }

    fn encrypt(&self, _: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        Ok(Vec::new())
    }
}

pub(crate) struct Instance {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<Hands>,
    pub(crate) keyring: Keyring,
    pub(crate) owner: Ask,
    owner_key: Token,
}

/// What a key of a test may do that isn't told otherwise.
pub(crate) fn everything() -> Grant {
    Grant { role: Role::Owner, scopes: Scopes::all(), agents: None, networks: None, expires_at: None }
}

pub(crate) fn env_key(name: &str) -> EnvKey {
    EnvKey::parse(name).unwrap()
}

pub(crate) fn bundle(pairs: &[(&str, &str)]) -> Bundle {
    let value = |text: &str| SecretValue::parse(text.to_owned()).unwrap();
    Bundle::new(pairs.iter().map(|(name, text)| (env_key(name), value(text))).collect()).unwrap()
}

/// A patch that gives a secret these values in place of all.
pub(crate) fn replacing(pairs: &[(&str, &str)]) -> Patch {
    Patch { values: Edit::Replace(bundle(pairs)), ..Patch::default() }
}

/// How a run of the live revision is started when nothing is said.
pub(crate) fn new_run(agent: AgentId) -> NewRun {
    NewRun { agent, revision: None, strict: false, note: None, lease: 3_600, mode: RunMode::Inject }
}

/// What a test expects of an environment, in the order of the names.
pub(crate) fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The same request again, by whoever that is by now.
fn ask(caller: strongroom_core::Caller) -> Ask {
    let cause = Cause { request_id: Some(Uuid::from_u128(7)), action: None };
    Ask::new(caller, cause)
}

impl Instance {
    pub(crate) fn new() -> Self {
        Self::with(|app| app)
    }

    /// One whose app is made somehow else.
    pub(crate) fn with(made: impl FnOnce(App) -> App) -> Self {
        let millis = AtomicI64::new(NOW.as_millis());
        let clock = Arc::new(Hands { millis, looks: AtomicU64::default(), pace: AtomicU64::new(10) });
        let world = World { clock: Arc::clone(&clock) as _, random: Arc::new(OsRandom) };
        let (store, root) = (Arc::new(MemoryStore::default()), LocalRootKey::take("file", &mut [7; 32]));
        let founding = Founding {
            team: TeamName::parse("Rockets").unwrap(),
            email: Email::parse("ada@example.com").unwrap(),
            root: &root,
            root_parameters: String::new(),
            recovery: &NoRecovery,
        };
        let created = at_once(create_instance(store.clone(), founding, &world)).unwrap();
        let app = Arc::new(made(at_once(App::open(store.clone(), &root, world)).unwrap()));
        let keyring = keyring(&store, &root);
        let caller = at_once(app.authenticate(created.api_key.reveal(), None, &Cause::default())).unwrap();
        Self { store, app, clock, keyring, owner: ask(caller), owner_key: created.api_key }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The owner as they are by now.
    pub(crate) fn owner_now(&self) -> Ask {
        self.by_key(&self.owner_key).unwrap()
    }

    /// Carries out what was planned.
    pub(crate) fn done<T>(&self, ask: &Ask, planned: Result<Planned<T>, Error>) -> Result<T, Error> {
        at_once(self.app.carry_out(ask, planned?, None))
    }

    /// Whoever this API key's token proves now.
    pub(crate) fn by_key(&self, token: &Token) -> Result<Ask, Error> {
        at_once(self.app.authenticate(token.reveal(), None, &Cause::default())).map(ask)
    }

    /// The run that this token proves now.
    pub(crate) fn by_run(&self, token: &Token) -> Result<Ask, Error> {
        self.by_run_from(token, None)
    }

    pub(crate) fn by_run_from(&self, token: &Token, from: Option<IpAddr>) -> Result<Ask, Error> {
        at_once(self.app.authenticate_run(token.reveal(), from, &Cause::default())).map(ask)
    }

    /// Whoever brings this session's token now.
    pub(crate) fn by_session(&self, token: &Token) -> Result<Ask, Error> {
        at_once(self.app.authenticate_session(token.reveal(), &Cause::default())).map(ask)
    }

    /// Whoever brings this key link's token now.
    pub(crate) fn by_link(&self, token: &Token) -> Result<Ask, Error> {
        at_once(self.app.authenticate_link(token.reveal(), &Cause::default())).map(ask)
    }

    pub(crate) fn sign<T: Row>(&self, row: T) -> Stored<T> {
        self.keyring.authenticate(row)
    }

    /// A member with a key that may do everything that they may.
    pub(crate) fn colleague(&self, role: Role) -> Ask {
        self.by_key(&self.key_for(self.member(role), everything())).unwrap()
    }

    pub(crate) fn member(&self, role: Role) -> UserId {
        let (id, created_at) = (UserId::from_uuid(self.id()), self.clock.now());
        let name = UserName::parse("Ben").unwrap();
        let user = User { id, name, email: None, created_at, disabled_at: None, service_of: None };
        let team_id = self.owner.caller.team_id;
        let membership =
            Membership { team_id, user_id: id, role, created_at, removed_at: None, sign_in: None };
        let (user, membership) = (self.sign(user), self.sign(membership));
        let mut tables = self.store.tables();
        tables.users.push(user);
        tables.memberships.push(membership);
        id
    }

    pub(crate) fn key_for(&self, user_id: UserId, grant: Grant) -> Token {
        let id = ApiKeyId::from_uuid(self.id());
        let token = Token::mint(TokenKind::ApiKey, id.uuid(), &OsRandom);
        let key = self.sign(ApiKey {
            id,
            team_id: self.owner.caller.team_id,
            user_id,
            name: KeyName::parse("deploy").unwrap(),
            grant,
            token_hash: self.keyring.hash(&token),
            created_by: None,
            created_at: self.clock.now(),
            revoked_at: None,
        });
        self.store.tables().api_keys.push(key);
        token
    }

    /// An id that rises with each call.
    pub(crate) fn id(&self) -> Uuid {
        let number = self.clock.looks.fetch_add(1, Ordering::SeqCst);
        Uuid::from_u128(u128::from(number) << 80 | 0x7000_8000_0000_0000_0000)
    }

    pub(crate) fn secret(&self, by: &Ask, shared: bool, values: &[(&str, &str)]) -> SecretId {
        let name = SecretName::parse("Stripe").unwrap();
        let new = NewSecret { name, service_slug: None, shared, values: bundle(values) };
        self.done(by, at_once(self.app.create_secret(by, new))).unwrap().id
    }

    pub(crate) fn update(&self, by: &Ask, secret: SecretId, patch: &Patch) {
        self.done(by, at_once(self.app.update_secret(by, secret, patch))).unwrap();
    }

    /// An agent with a revision, which is live.
    pub(crate) fn agent(&self) -> Place {
        let name = AgentName::parse("courier").unwrap();
        let agent = self.done(&self.owner, self.app.create_agent(&self.owner, name)).unwrap().id;
        (agent, self.revision(agent))
    }

    pub(crate) fn revision(&self, agent: AgentId) -> RevisionId {
        let name = RevisionName::parse("first").unwrap();
        let planned = at_once(self.app.create_revision(&self.owner, agent, &name));
        self.done(&self.owner, planned).unwrap().0.id
    }

    pub(crate) fn attach(&self, by: &Ask, place: Place, secret: SecretId) -> Result<(), Error> {
        self.done(by, at_once(self.app.attach_secret(by, place, secret)))
    }

    pub(crate) fn detach(&self, by: &Ask, place: Place, secret: SecretId) -> Result<(), Error> {
        self.done(by, at_once(self.app.detach_secret(by, place, secret)))
    }

    pub(crate) fn start(&self, by: &Ask, new: &NewRun) -> Result<(Proven<Run>, Token), Error> {
        let started = self.done(by, at_once(self.app.start_run(by, new)))?;
        Ok((started.run, started.token))
    }

    /// Starts a run of the live revision.
    pub(crate) fn started(&self, by: &Ask, (agent, _): Place) -> (Proven<Run>, Token) {
        self.start(by, &new_run(agent)).unwrap()
    }

    /// What a run receives, in the order of the names.
    pub(crate) fn environment(&self, token: &Token) -> Result<Vec<(String, String)>, Error> {
        self.received(&self.by_run(token)?)
    }

    #[expect(clippy::disallowed_methods, reason = "values of a test")]
    pub(crate) fn received(&self, run: &Ask) -> Result<Vec<(String, String)>, Error> {
        let delivered = at_once(self.app.deliver(run))?;
        let mut shown: Vec<_> = delivered
            .iter()
            .map(|(key, value)| (key.as_str().to_owned(), value.reveal().to_owned()))
            .collect();
        shown.sort();
        Ok(shown)
    }

    pub(crate) fn events(&self, kind: EventKind) -> Vec<Event> {
        self.store.tables().events.iter().filter(|event| event.kind == kind).cloned().collect()
    }

    /// What was noted as delivered: secret, version, and names.
    pub(crate) fn noted(&self) -> Vec<(SecretId, u32, String)> {
        let tables = self.store.tables();
        let noted = tables.deliveries.iter();
        noted.map(|row| (row.secret_id, row.version, row.env_key_lines().replace('\n', " "))).collect()
    }

    /// Changes a user's row, as no verb does yet.
    pub(crate) fn alter_user(&self, id: UserId, alter: impl FnOnce(&mut User)) {
        let mut tables = self.store.tables();
        let row = tables.users.iter_mut().find(|row| row.row().id == id).unwrap();
        let mut changed = row.row().clone();
        alter(&mut changed);
        *row = self.sign(changed);
    }

    /// Changes a team's row, whoever knows of it.
    pub(crate) fn alter_team(&self, id: TeamId, alter: impl FnOnce(&mut Team)) {
        let mut tables = self.store.tables();
        let row = tables.teams.iter_mut().find(|row| row.row().id == id).unwrap();
        let mut changed = row.row().clone();
        alter(&mut changed);
        *row = self.sign(changed);
    }

    /// Changes a member's place in the team, and nothing beside it.
    pub(crate) fn alter_membership(&self, id: UserId, alter: impl FnOnce(&mut Membership)) {
        let mut tables = self.store.tables();
        let row = tables.memberships.iter_mut().find(|row| row.row().user_id == id).unwrap();
        let mut changed = row.row().clone();
        alter(&mut changed);
        *row = self.sign(changed);
    }
}

fn keyring(store: &MemoryStore, root: &LocalRootKey) -> Keyring {
    let instance = at_once(store.instance()).unwrap().unwrap();
    let instance = instance.row();
    let master = at_once(root.unwrap(instance.id, &instance.master)).unwrap();
    let master = MasterKey::first(instance.id, &master).unwrap();
    Keyring::new(master, &at_once(store.purpose_keys()).unwrap(), Timestamp::from_millis(0)).unwrap()
}
