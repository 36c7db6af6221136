//! The harness: [`TestApp`], callers that speak the API, and a watch over
//! everything that leaves: no answer and no log line may hold a canary.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::app::{
    Ask, BrokerAddress, Cause, Founding, Recovery, RecoveryError, World, create_instance,
};
use strongroom_core::keyring::{Keyring, MasterKey};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::text::{Email, KeyName, TeamName, UserName};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::users::{Membership, User};
use strongroom_core::{
    ApiKeyId, App, Bundle, Clock, Grant, Random, Role, RootKey, Scopes, SecretValue, Store, TeamId,
    Timestamp, UserId,
};
use strongroom_net::{Address, Front, Limits, RequestId};
use strongroom_store::{postgres, sqlite};
use strongroom_testbed::{Cluster, Database, Engine, cells};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Every value in these tests holds this text, and nothing else does.
pub(crate) const CANARY: &str = "c4n4ry-7Qz";

/// A value that would be noticed wherever it leaked.
pub(crate) fn canary(name: &str) -> String {
    format!("{CANARY}-{name}-\"\\é\n=end")
}

/// The forms in which a canary might leak.
fn disguises() -> [String; 4] {
    let hex = CANARY.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex = hex.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect();
    let utf16 = CANARY.chars().flat_map(|c| [c, '\0']).collect();
    // Values start with it, so one alignment of base64 is enough.
    [CANARY.to_owned(), hex, utf16, "YzRuNHJ5LTdR".to_owned()]
}

pub(crate) fn assert_clean(what: &str, bytes: &[u8]) {
    for disguise in disguises() {
        let found = bytes.windows(disguise.len()).any(|window| window == disguise.as_bytes());
        assert!(!found, "a value leaked into {what}");
    }
}

/// Ends the whole test process at the first log line with a canary in it.
struct LogWatch;

impl Write for LogWatch {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if disguises().iter().any(|disguise| line.windows(disguise.len()).any(|w| w == disguise.as_bytes())) {
            eprintln!("a value leaked into a log line");
            std::process::abort();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Logs everything, at `trace`, to the watch.
fn watch_logs() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let watch = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| LogWatch);
        watch.init();
    });
}

/// A clock that stands still until a test moves it.
pub(crate) struct FixedClock(AtomicI64);

impl FixedClock {
    pub(crate) fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Chance that is the same in every run: `SplitMix64`.
pub(crate) struct SeededRandom(AtomicU64);

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// No test here recovers a root key.
struct NoRecovery;

impl Recovery for NoRecovery {
    fn recipient(&self) -> String {
        "age1test".into()
    }

    fn encrypt(&self, _: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        Ok(Vec::new())
    }
}

/// No values.
pub(crate) const NOTHING: [i64; 0] = [];

/// An id's bytes in hexadecimal digits.
pub(crate) fn simple(id: [u8; 16]) -> String {
    Uuid::from_bytes(id).simple().to_string()
}

/// Where an instance is kept.
enum Home {
    Sqlite(tempfile::TempDir, Arc<sqlite::Database>),
    Postgres(String),
}

impl Home {
    /// A new one of the engine that is tested.
    async fn new() -> (Self, Arc<dyn Store>) {
        match Engine::under_test() {
            Engine::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let database = sqlite::Database::create(&directory.path().join("data")).unwrap();
                let database = Arc::new(database);
                (Self::Sqlite(directory, Arc::clone(&database)), database)
            }
            Engine::Postgres => {
                let url = Cluster::shared().database();
                let database = postgres::Database::create(&url.parse().unwrap()).await.unwrap();
                (Self::Postgres(url), Arc::new(database))
            }
        }
    }
}

/// An instance, served.
pub(crate) struct TestApp {
    pub(crate) team_id: TeamId,
    pub(crate) owner_id: UserId,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) app: Arc<App>,
    random: Arc<SeededRandom>,
    keyring: Keyring,
    home: Home,
    owner: Caller,
    metrics: Caller,
    shutdown: Vec<oneshot::Sender<()>>,
}

fn root_key() -> LocalRootKey {
    LocalRootKey::take("file", &mut [7; 32])
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::opened(0, |app| app, Address::default()).await
    }

    /// The same, found at this URL.
    pub(crate) async fn found_at(url: &str) -> Self {
        Self::opened(0, |app| app, Address::new(Some(url), false)).await
    }

    /// The same, with a limit on how often a key or run may ask.
    pub(crate) async fn limited(requests_per_minute: u32) -> Self {
        Self::opened(requests_per_minute, |app| app, Address::default()).await
    }

    /// The same, where attaching to an unknown agent makes it.
    pub(crate) async fn registering() -> Self {
        Self::opened(0, |app| app.registering_agents(true), Address::default()).await
    }

    /// The same, beside a broker that runs are sent to.
    pub(crate) async fn with_broker() -> Self {
        let broker = BrokerAddress { url: "https://127.0.0.1:7481".into(), ca: "a certificate".into() };
        Self::opened(0, |app| app.with_broker(Some(broker)), Address::default()).await
    }

    async fn opened(requests_per_minute: u32, set: impl FnOnce(App) -> App, address: Address) -> Self {
        watch_logs();
        let clock = Arc::new(FixedClock(AtomicI64::new(1_794_000_000_000)));
        let random = Arc::new(SeededRandom(AtomicU64::new(1)));
        let world = World { clock: clock.clone(), random: random.clone() };
        let (home, store) = Home::new().await;
        let root = root_key();
        let founding = Founding {
            team: TeamName::parse("Rockets").unwrap(),
            email: Email::parse("ada@example.com").unwrap(),
            root: &root,
            root_parameters: String::new(),
            recovery: &NoRecovery,
        };
        let created = create_instance(store.clone(), founding, &world).await.unwrap();
        let keyring = keyring(&*store, &root).await;
        let app = Arc::new(set(App::open(store, &root, world).await.unwrap()));
        let api = strongroom_api::Api::new(app.clone(), requests_per_minute, address, axum::Router::new());
        let (url, shutdown) = serve(api.operations).await;
        let (metrics_url, metrics_shutdown) = serve(api.metrics).await;
        let client = client();
        Self {
            team_id: created.team_id,
            owner_id: created.user_id,
            clock,
            app,
            random,
            keyring,
            home,
            owner: Caller { url, token: Some(created.api_key.reveal().to_owned()), client: client.clone() },
            metrics: Caller { url: metrics_url, token: None, client },
            shutdown: vec![shutdown, metrics_shutdown],
        }
    }

    /// Nobody in particular.
    pub(crate) fn anonymous(&self) -> Caller {
        Caller { token: None, ..self.owner.clone() }
    }

    /// Somebody with this text for a token.
    pub(crate) fn bearer(&self, token: &str) -> Caller {
        Caller { token: Some(token.to_owned()), ..self.owner.clone() }
    }

    /// Who founded the instance.
    pub(crate) fn owner(&self) -> Caller {
        self.owner.clone()
    }

    /// Somebody's plea, as the gate makes it.
    pub(crate) async fn ask(&self, caller: &Caller) -> Ask {
        let cause = Cause::default();
        let caller = self.app.authenticate(caller.token.as_ref().unwrap(), None, &cause).await.unwrap();
        Ask::new(caller, cause)
    }

    /// Lets links fill in what is asked for, or doesn't.
    pub(crate) async fn let_links_fill(&self, they_may: bool) {
        let ask = self.ask(&self.owner).await;
        let planned = self.app.let_links_fill(&ask, they_may).await.unwrap();
        self.app.carry_out(&ask, planned, None).await.unwrap();
    }

    /// Fills in the only value that is asked for, by the link alone.
    pub(crate) async fn fill_in(&self, url: &str) {
        self.let_links_fill(true).await;
        let (_, token) = url.rsplit_once('/').unwrap();
        let link = self.app.fill_link(token, Cause::default()).await.ok().unwrap();
        let value = SecretValue::parse(canary("filled")).unwrap();
        let values = Bundle::new(vec![(link.request.env_keys[0].clone(), value)]).unwrap();
        let ask = link.alone().unwrap();
        let planned = self.app.fill(ask, link.request.id, (values, false)).await.unwrap();
        self.app.carry_out(ask, planned, None).await.unwrap();
        self.let_links_fill(false).await;
    }

    /// A metric, as whoever watches the server reads it.
    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let request = self.metrics.request(Method::GET, "/metrics");
        let text = request.send().await.unwrap().text().await.unwrap();
        assert_clean("a metric", text.as_bytes());
        let value = text.lines().find_map(|found| found.strip_prefix(line));
        value.unwrap_or_else(|| panic!("no {line} in {text}")).trim().parse().unwrap()
    }

    /// All that is stored, as an attacker with a copy reads it.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        match &self.home {
            Home::Sqlite(directory, _) => {
                let entries = std::fs::read_dir(directory.path().join("data")).unwrap();
                let paths = entries.map(|entry| entry.unwrap().path());
                paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
            }
            Home::Postgres(_) => self.database().dump(),
        }
    }

    /// The database, as an attacker writes to it.
    pub(crate) fn database(&self) -> Database {
        let (directory, store) = match &self.home {
            Home::Sqlite(directory, store) => (directory, Arc::clone(store)),
            Home::Postgres(url) => return Database::connect(url),
        };
        let mut connection = rusqlite::Connection::open(directory.path().join("data/strongroom.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        // No test cuts the power, so there is nothing to wait for.
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        let committed = move |_: &mut rusqlite::hooks::Wal, _| {
            store.look_again();
            Ok(())
        };
        connection.wal_hook(Some(committed)).unwrap();
        Database::sqlite(connection)
    }

    fn uuid(&self) -> Uuid {
        let bytes = strongroom_core::random::bytes::<16>(&*self.random);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A new user of this team and role, with a key for these scopes.
    pub(crate) fn user(&self, team: TeamId, role: Role, scopes: Scopes) -> Caller {
        let user = self.seed_user();
        self.seed_membership(team, user, role);
        self.key(team, user, |key| key.grant.scopes = scopes)
    }

    /// A new key of this user; `alter` changes what is stored of it.
    pub(crate) fn key(&self, team_id: TeamId, user_id: UserId, alter: impl FnOnce(&mut ApiKey)) -> Caller {
        let id = ApiKeyId::from_uuid(self.uuid());
        let token = Token::mint(TokenKind::ApiKey, id.uuid(), &*self.random);
        let mut key = ApiKey {
            id,
            team_id,
            user_id,
            name: KeyName::parse("test").unwrap(),
            grant: Grant {
                role: Role::Owner,
                scopes: Scopes::all(),
                agents: None,
                networks: None,
                expires_at: None,
            },
            token_hash: self.keyring.hash(&token),
            created_by: None,
            created_at: self.clock.now(),
            revoked_at: None,
        };
        alter(&mut key);
        let stored = self.keyring.authenticate(key);
        let (key, mac) = (stored.row(), stored.mac());
        let insert = "INSERT INTO api_keys (id, team_id, user_id, name, role, scopes, token_hash, created_at, \
                      expires_at, revoked_at, networks, row_mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = cells![
            key.id.as_bytes(),
            key.team_id.as_bytes(),
            key.user_id.as_bytes(),
            key.name.as_str(),
            key.grant.role.name(),
            key.grant.scopes.to_string(),
            key.token_hash.as_bytes(),
            key.created_at.as_millis(),
            key.grant.expires_at.map(Timestamp::as_millis),
            key.revoked_at.map(Timestamp::as_millis),
            key.grant.networks.as_ref().map(ToString::to_string),
            mac.as_bytes(),
        ];
        self.database().execute(insert, values).unwrap();
        self.bearer(token.reveal())
    }

    pub(crate) fn seed_user(&self) -> UserId {
        self.seed_user_disabled(None)
    }

    pub(crate) fn seed_user_disabled(&self, disabled_at: Option<Timestamp>) -> UserId {
        let id = UserId::from_uuid(self.uuid());
        let created_at = self.clock.now();
        let name = UserName::parse("somebody").unwrap();
        let stored = self.keyring.authenticate(User {
            id,
            name,
            email: None,
            created_at,
            disabled_at,
            service_of: None,
        });
        let mac = stored.mac();
        let values = cells![
            id.as_bytes(),
            "somebody",
            created_at.as_millis(),
            disabled_at.map(Timestamp::as_millis),
            mac.as_bytes()
        ];
        self.database()
            .execute(
                "INSERT INTO users (id, name, created_at, disabled_at, row_mac) VALUES (?, ?, ?, ?, ?)",
                values,
            )
            .unwrap();
        id
    }

    /// Disables a member of the team, behind the server's back.
    pub(crate) async fn disable(&self, user: UserId) {
        let member = self.app.store().member(self.team_id, user).await.unwrap().unwrap();
        let now = self.clock.now();
        let disabled = User { disabled_at: Some(now), ..member.user.row().clone() };
        let mac = self.keyring.authenticate(disabled).mac();
        let values = cells![now.as_millis(), mac.as_bytes(), user.as_bytes()];
        let update = "UPDATE users SET disabled_at = ?, row_mac = ? WHERE id = ?";
        assert_eq!(self.database().execute(update, values), Ok(1));
    }

    pub(crate) fn seed_membership(&self, team_id: TeamId, user_id: UserId, role: Role) {
        let created_at = self.clock.now();
        let stored = self.keyring.authenticate(Membership {
            team_id,
            user_id,
            role,
            created_at,
            removed_at: None,
            sign_in: None,
        });
        let mac = stored.mac();
        let values = cells![
            team_id.as_bytes(),
            user_id.as_bytes(),
            role.name(),
            created_at.as_millis(),
            mac.as_bytes()
        ];
        let insert =
            "INSERT INTO memberships (team_id, user_id, role, created_at, row_mac) VALUES (?, ?, ?, ?, ?)";
        self.database().execute(insert, values).unwrap();
    }

    /// Another team, without a key of its own: nothing can be created in it.
    pub(crate) fn seed_team(&self) -> TeamId {
        let id = TeamId::from_uuid(self.uuid());
        let team = strongroom_core::teams::Team {
            id,
            name: TeamName::parse("Others").unwrap(),
            created_at: self.clock.now(),
            deleted_at: None,
            shredded_at: None,
            fills_by_link_since: None,
        };
        let stored = self.keyring.authenticate(team);
        let mac = stored.mac();
        let values = cells![id.as_bytes(), "Others", self.clock.now().as_millis(), mac.as_bytes()];
        self.database()
            .execute("INSERT INTO teams (id, name, created_at, row_mac) VALUES (?, ?, ?, ?)", values)
            .unwrap();
        id
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        for shutdown in self.shutdown.drain(..) {
            let _ = shutdown.send(());
        }
    }
}

async fn keyring(store: &dyn Store, root: &dyn RootKey) -> Keyring {
    let instance = store.instance().await.unwrap().unwrap();
    let instance = instance.row();
    let master = root.unwrap(instance.id, &instance.master).await.unwrap();
    let master = MasterKey::first(instance.id, &master).unwrap();
    Keyring::new(master, &store.purpose_keys().await.unwrap(), Timestamp::from_millis(0)).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test's own client, to its own server")]
fn client() -> reqwest::Client {
    reqwest::Client::new()
}

async fn serve(router: axum::Router) -> (String, oneshot::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (shutdown, signal) = oneshot::channel::<()>();
    let count = AtomicU64::new(0);
    let ids = move || RequestId::new(Uuid::from_u128(count.fetch_add(1, Ordering::Relaxed).into()));
    let front = Front::new(Limits::default(), ids);
    tokio::spawn(async move {
        let signal = async {
            let _ = signal.await;
        };
        front.serve(listener, router, signal).await;
    });
    (url, shutdown)
}

/// Somebody who speaks the API.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    /// Keeps its connections.
    client: reqwest::Client,
}

/// The one path whose answers have values in them, when all is well.
const ENVIRONMENT: &str = "/v2/run/environment";

/// Whether an answer may have a value in its body.
fn may_have_values(path: &str, status: StatusCode) -> bool {
    path == ENVIRONMENT && status == StatusCode::OK
}

#[test]
fn one_answer_of_the_whole_api_may_have_values() {
    assert!(may_have_values(ENVIRONMENT, StatusCode::OK));
    for status in [StatusCode::CREATED, StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR] {
        assert!(!may_have_values(ENVIRONMENT, status), "{status}");
    }
    let description: Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let paths = description["paths"].as_object().unwrap().keys();
    let free: Vec<_> = paths.filter(|path| may_have_values(path, StatusCode::OK)).collect();
    assert_eq!(free, [ENVIRONMENT]);
}

/// An answer, already searched for canaries.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The code of an error, after a look at its envelope.
    pub(crate) fn code(&self) -> String {
        let envelope = self.json();
        let fields: Vec<_> = envelope.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["error", "message"], "{}", self.body);
        envelope["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Caller {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let spared = may_have_values(response.url().path(), status);
        let body = response.text().await.unwrap();
        let answer = Answer { status, headers, body };
        if !spared {
            assert_clean("a body", answer.body.as_bytes());
        }
        for (_, value) in &answer.headers {
            assert_clean("a header", value.as_bytes());
        }
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<String>) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(body.into())).await
    }

    /// Sends a change with a body.
    pub(crate) async fn patch(&self, path: &str, body: impl Into<String>) -> Answer {
        let request = self.request(Method::PATCH, path).header("content-type", "application/json");
        self.send(request.body(body.into())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Creates a secret with one value and answers with it.
    pub(crate) async fn create(&self, name: &str, shared: bool) -> Value {
        let body = serde_json::json!({"name": name, "values": {"KEY": canary(name)}, "shared": shared});
        let answer = self.post("/v1/credentials", body.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }
}
