//! An instance with a broker on a loopback port, a brokered run with a secret, and names that
//! lead to stand-ins for hosts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use strongroom_broker::{Authority, Broker, RunLimits, Settings, Unmatched, Unrecorded};
use strongroom_core::app::{
    Ask, BrokerAddress, Cause, Error, Founding, NewRun, Planned, Recovery, RecoveryError, StartedRun, World,
    create_instance,
};
use strongroom_core::requests::Requested;
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::runs::RunMode;
use strongroom_core::secrets::{NewPolicy, NewSecret};
use strongroom_core::text::{AgentName, Email, RevisionName, TeamName};
use strongroom_core::{
    AgentId, App, Bundle, Clock, EnvKey, OsRandom, RevisionId, SecretId, SecretName, SecretValue, Store,
    Timestamp,
};
use strongroom_net::{Dialler, Resolve, Resolving};
use strongroom_store::sqlite::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::host::{Host, Hosts};

/// The value of `KEY`.
pub(crate) const VALUE: &str = "v4lue/hunter2+Zq9x&=";
/// The value of `OTHER_KEY`.
pub(crate) const OTHER: &str = "0ther-s3cret-value-77";
/// Where the rules of a scene's secret are about.
pub(crate) const SHOP: &str = "api.shop.example";

/// The system's time, which a test may move on.
struct Ahead {
    began: Instant,
    millis: AtomicI64,
}

impl Clock for Ahead {
    #[expect(clippy::disallowed_methods, reason = "certificates are checked by the system's time")]
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        Timestamp::from_millis(i64::try_from(now).unwrap() + self.millis.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
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

/// What a name's lookup answers, by how often it was asked before.
type Lookup = Box<dyn Fn(usize) -> Vec<SocketAddr> + Send + Sync>;

/// The names that there are. All others lead to `elsewhere`, so that a name which slips through
/// is noticed.
pub(crate) struct Names {
    known: Mutex<HashMap<String, Lookup>>,
    elsewhere: Mutex<Option<SocketAddr>>,
    /// How often any was looked up.
    pub(crate) lookups: AtomicUsize,
}

impl Names {
    pub(crate) fn lead(&self, name: &str, to: SocketAddr) {
        self.answer(name, move |_| vec![to]);
    }

    pub(crate) fn answer(
        &self,
        name: &str,
        lookup: impl Fn(usize) -> Vec<SocketAddr> + Send + Sync + 'static,
    ) {
        self.known.lock().unwrap().insert(name.to_owned(), Box::new(lookup));
    }

    /// Where every other name leads to.
    pub(crate) fn lead_all(&self, to: SocketAddr) {
        *self.elsewhere.lock().unwrap() = Some(to);
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        let before = self.lookups.fetch_add(1, Ordering::SeqCst);
        let elsewhere = *self.elsewhere.lock().unwrap();
        let found = self.known.lock().unwrap().get(host).map(|lookup| lookup(before));
        // As the system does: an address is its own name.
        let literal = || host.parse::<IpAddr>().ok().map(|ip| vec![SocketAddr::new(ip, port)]);
        let found = found.or_else(literal).or(elsewhere.map(|to| vec![to])).unwrap_or_default();
        Box::pin(async move { Ok(found) })
    }
}

/// How a scene's broker is set up.
pub(crate) struct Setup {
    pub(crate) unmatched: Unmatched,
    pub(crate) limits: RunLimits,
    pub(crate) value: String,
    pub(crate) rules: Value,
    /// With none, the broker is on the test's own runtime.
    pub(crate) threads: Option<NonZeroUsize>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            unmatched: Unmatched::Deny,
            limits: RunLimits::default(),
            value: VALUE.to_owned(),
            rules: placements(),
            threads: NonZeroUsize::new(2),
        }
    }
}

/// A rule for what begins so at the shop, which is on this machine.
pub(crate) fn rule(path_prefix: &str, placement: &Value) -> Value {
    json!({"host": SHOP, "path_prefix": path_prefix, "placement": placement, "allow_private": true})
}

/// One rule for each placement, each under a path of its own.
pub(crate) fn placements() -> Value {
    json!([
        rule("/bearer", &json!({"header": "authorization", "scheme": "Bearer"})),
        rule("/header", &json!({"header": "x-key"})),
        rule("/query", &json!({"query": "key"})),
        rule("/form", &json!({"form": "key"})),
        rule("/json", &json!({"json": "/auth/key"})),
        rule("/user", &json!({"basic": "username"})),
        rule("/password", &json!({"basic": "password"})),
    ])
}

/// An instance with a broker, its founder, an agent, and a run of it.
pub(crate) struct Scene {
    pub(crate) app: Arc<App>,
    pub(crate) owner: Ask,
    pub(crate) place: (AgentId, RevisionId),
    pub(crate) secret: SecretId,
    pub(crate) run: StartedRun,
    /// Where the broker listens.
    pub(crate) address: SocketAddr,
    /// The broker's own authority.
    pub(crate) ca: CertificateDer<'static>,
    pub(crate) names: Arc<Names>,
    pub(crate) hosts: Hosts,
    /// The stand-in for the shop.
    pub(crate) shop: Host,
    pub(crate) directory: tempfile::TempDir,
    owner_key: String,
    clock: Arc<Ahead>,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<Result<(), Unrecorded>>,
}

/// The broker beside an app.
type Beside = (Arc<App>, Authority, TcpListener, CertificateDer<'static>);

async fn founded(clock: &Arc<Ahead>, directory: &tempfile::TempDir) -> (Beside, String) {
    let store = Arc::new(Database::create(&directory.path().join("data")).unwrap()) as Arc<dyn Store>;
    let world = World { clock: Arc::clone(clock) as _, random: Arc::new(OsRandom) };
    let root = LocalRootKey::take("file", &mut [7; 32]);
    let founding = Founding {
        team: TeamName::parse("Rockets").unwrap(),
        email: Email::parse("ada@example.com").unwrap(),
        root: &root,
        root_parameters: String::new(),
        recovery: &NoRecovery,
    };
    let created = create_instance(Arc::clone(&store), founding, &world).await.unwrap();
    let app = App::open(store, &root, world).await.unwrap();
    let authority =
        Authority::new(app.authority().unwrap(), Arc::clone(clock) as _, Arc::new(OsRandom)).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ca = authority.pem().to_owned();
    let der = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
    let app = Arc::new(app.with_broker(Some(BrokerAddress { url, ca })));
    ((app, authority, listener, der), created.api_key.reveal().to_owned())
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    /// One whose broker is on its test's own runtime: it has the time that the test has, and keeps connections
    /// to hosts in one place.
    pub(crate) async fn in_time() -> Self {
        Self::with(Setup { threads: None, ..Setup::default() }).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let clock = Arc::new(Ahead { began: Instant::now(), millis: AtomicI64::new(0) });
        let directory = tempfile::tempdir().unwrap();
        let ((app, authority, listener, ca), owner_key) = founded(&clock, &directory).await;
        let hosts = Hosts::new();
        let names = Arc::new(Names {
            known: Mutex::default(),
            elsewhere: Mutex::default(),
            lookups: AtomicUsize::new(0),
        });
        let settings = Settings {
            unmatched: setup.unmatched,
            limits: setup.limits,
            authorities: vec![hosts.authority.der().clone()],
            dialler: Dialler::new(Arc::clone(&names) as _),
            grace: Duration::from_secs(1),
            threads: setup.threads,
        };
        let (numbers, address) = (AtomicU64::new(1), listener.local_addr().unwrap());
        let request_ids = move || Uuid::from_u128(numbers.fetch_add(1, Ordering::SeqCst).into());
        let broker = Broker::new(Arc::clone(&app), Arc::new(authority), settings, request_ids).unwrap();
        let (shutdown, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async { _ = stopped.await };
            broker.serve(listener, None, stopped).await
        });
        let shop = hosts.serve(SHOP).await;
        names.lead(SHOP, shop.address);
        let owner = authenticated(&app, &owner_key).await;
        let place = agent(&app, &owner).await;
        let secret = secret(&app, &owner, &[("KEY", &setup.value), ("OTHER_KEY", OTHER)]).await;
        attach(&app, &owner, place, secret).await;
        set(&app, &owner, secret, &setup.rules).await;
        let run = started(&app, &owner, place.0).await;
        Self {
            app,
            owner,
            place,
            secret,
            run,
            address,
            ca,
            names,
            hosts,
            shop,
            directory,
            owner_key,
            clock,
            shutdown,
            served,
        }
    }

    /// The run's token for the broker.
    pub(crate) fn token(&self) -> &str {
        self.run.broker_token.as_ref().unwrap().reveal()
    }

    /// What stands for the value of this name, in the scene's run.
    pub(crate) async fn placeholder(&self, name: &str) -> String {
        self.placeholder_of(self.token(), name).await
    }

    pub(crate) async fn placeholder_of(&self, token: &str, name: &str) -> String {
        let token = self.app.broker_token(token).unwrap();
        let brokered = self.app.brokered(&token, None, &Cause::default()).await.unwrap();
        let found = brokered.placeholders.iter().find(|one| one.env_key.as_str() == name);
        found.unwrap().text.clone()
    }

    /// Tells the broker to end; resolves when it has, with the directory of its database.
    pub(crate) fn end(self) -> JoinHandle<tempfile::TempDir> {
        let ended = self.end_and_tell();
        tokio::spawn(async move {
            let (told, directory) = ended.await.unwrap();
            told.unwrap();
            directory
        })
    }

    /// The same, whether or not everything got into the record.
    pub(crate) fn end_and_tell(self) -> JoinHandle<(Result<(), Unrecorded>, tempfile::TempDir)> {
        let Self { shutdown, served, directory, .. } = self;
        drop(shutdown);
        tokio::spawn(async move { (served.await.unwrap(), directory) })
    }

    /// The founder's API key.
    pub(crate) fn owner_key(&self) -> &str {
        &self.owner_key
    }

    /// The founder as they are by now.
    pub(crate) async fn owner_now(&self) -> Ask {
        authenticated(&self.app, &self.owner_key).await
    }

    pub(crate) async fn set_policy(&self, rules: &Value) {
        set(&self.app, &self.owner, self.secret, rules).await;
    }

    /// Another secret of the run's agent, with these values and rules.
    pub(crate) async fn another(&self, values: &[(&str, &str)], rules: &Value) -> SecretId {
        let id = secret(&self.app, &self.owner, values).await;
        attach(&self.app, &self.owner, self.place, id).await;
        set(&self.app, &self.owner, id, rules).await;
        id
    }

    /// Another run of the same agent.
    pub(crate) async fn another_run(&self) -> StartedRun {
        started(&self.app, &self.owner, self.place.0).await
    }

    pub(crate) async fn done<T>(&self, ask: &Ask, planned: Result<Planned<T>, Error>) -> T {
        self.app.carry_out(ask, planned.unwrap(), None).await.unwrap()
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.millis.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// What is recorded of the run's requests, the oldest first, once nothing more comes.
    pub(crate) async fn recorded(&self) -> Vec<Requested<'static>> {
        let mut before = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let recorded = self.recorded_by_now().await;
            if recorded == before && !recorded.is_empty() {
                return recorded;
            }
            before = recorded;
        }
    }

    async fn recorded_by_now(&self) -> Vec<Requested<'static>> {
        let list = self.app.run_requests(&self.owner, self.run.run.id, None, 100).await.unwrap();
        let texts = list.events.iter().rev().map(|event| event.requested.clone().unwrap());
        texts.map(|text| owned(text.read())).collect()
    }

    /// The database, as somebody who breaks it opens it.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let database = rusqlite::Connection::open(self.directory.path().join("data/strongroom.db")).unwrap();
        database.busy_timeout(Duration::from_secs(5)).unwrap();
        database
    }
}

fn owned(requested: Requested<'_>) -> Requested<'static> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    let Requested { scheme, host, method, path, refused, rule, port, status, sent, received, millis, ended } =
        requested;
    let (scheme, host, method, path) = (own(scheme), own(host), own(method), own(path));
    let refused = refused.map(own);
    Requested { scheme, host, method, path, refused, rule, port, status, sent, received, millis, ended }
}

async fn authenticated(app: &App, key: &str) -> Ask {
    let caller = app.authenticate(key, None, &Cause::default()).await.unwrap();
    Ask::new(caller, Cause::default())
}

async fn done<T>(app: &App, ask: &Ask, planned: Result<Planned<T>, Error>) -> T {
    app.carry_out(ask, planned.unwrap(), None).await.unwrap()
}

async fn agent(app: &App, ask: &Ask) -> (AgentId, RevisionId) {
    let agent = done(app, ask, app.create_agent(ask, AgentName::parse("courier").unwrap())).await.id;
    let planned = app.create_revision(ask, agent, &RevisionName::parse("first").unwrap()).await;
    (agent, done(app, ask, planned).await.0.id)
}

async fn secret(app: &App, ask: &Ask, values: &[(&str, &str)]) -> SecretId {
    let value = |text: &str| SecretValue::parse(text.to_owned()).unwrap();
    let entries = values.iter().map(|(name, text)| (EnvKey::parse(*name).unwrap(), value(text)));
    let values = Bundle::new(entries.collect()).unwrap();
    let name = SecretName::parse("shop").unwrap();
    let planned = app.create_secret(ask, NewSecret { name, service_slug: None, shared: true, values }).await;
    done(app, ask, planned).await.id
}

async fn attach(app: &App, ask: &Ask, place: (AgentId, RevisionId), id: SecretId) {
    done(app, ask, app.attach_secret(ask, place, id).await).await;
}

async fn set(app: &App, ask: &Ask, id: SecretId, rules: &Value) {
    let rules = serde_json::from_value(rules.clone()).unwrap();
    let planned = app.set_policy(ask, id, &NewPolicy { rules, broker_only: false, values: None }).await;
    done(app, ask, planned).await;
}

async fn started(app: &App, ask: &Ask, agent: AgentId) -> StartedRun {
    let new =
        NewRun { agent, revision: None, strict: false, note: None, lease: 3_600, mode: RunMode::Broker };
    done(app, ask, app.start_run(ask, &new).await).await
}
