//! Requests of a brokered run: refused, or sent on with values only where a rule says so.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use strongroom_core::app::{
    Ask, BrokerAddress, Brokered, Cause, Error, Founding, NewRun, Planned, Recovery, RecoveryError, World,
    create_instance,
};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::runs::RunMode;
use strongroom_core::secrets::{NewPolicy, NewSecret};
use strongroom_core::text::{AgentName, Email, RevisionName, TeamName};
use strongroom_core::{App, Bundle, Clock, EnvKey, OsRandom, SecretName, SecretValue, Store, Timestamp};
use strongroom_store::sqlite::Database;

const RULES: &str = r#"[
    {"host": "api.shop.example", "path_prefix": "/bearer", "placement": {"header": "authorization", "scheme": "Bearer"}},
    {"host": "api.shop.example", "path_prefix": "/header", "placement": {"header": "x-key"}},
    {"host": "api.shop.example", "path_prefix": "/query", "placement": {"query": "key"}},
    {"host": "api.shop.example", "path_prefix": "/user", "placement": {"basic": "username"}},
    {"host": "api.shop.example", "path_prefix": "/password", "placement": {"basic": "password"}}
]"#;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
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

async fn done<T>(app: &App, ask: &Ask, planned: Result<Planned<T>, Error>) -> T {
    app.carry_out(ask, planned.unwrap(), None).await.unwrap()
}

async fn instance() -> (App, Ask) {
    let since = UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let directory = std::env::temp_dir().join(format!("strongroom-fuzz-{}-{since}", std::process::id()));
    let store = Arc::new(Database::create(&directory).unwrap()) as Arc<dyn Store>;
    let world = || World { clock: Arc::new(Still), random: Arc::new(OsRandom) };
    let root = LocalRootKey::take("file", &mut [7; 32]);
    let founding = Founding {
        team: TeamName::parse("Rockets").unwrap(),
        email: Email::parse("ada@example.com").unwrap(),
        root: &root,
        root_parameters: String::new(),
        recovery: &NoRecovery,
    };
    let created = create_instance(Arc::clone(&store), founding, &world()).await.unwrap();
    let app = App::open(store, &root, world()).await.unwrap();
    let app = app.with_broker(Some(BrokerAddress { url: String::new(), ca: String::new() }));
    let caller = app.authenticate(created.api_key.reveal(), None, &Cause::default()).await.unwrap();
    (app, Ask::new(caller, Cause::default()))
}

/// A run of an instance with a secret, by the broker.
async fn brokered() -> Arc<Brokered> {
    let (app, ask) = instance().await;
    let agent = done(&app, &ask, app.create_agent(&ask, AgentName::parse("courier").unwrap())).await.id;
    let planned = app.create_revision(&ask, agent, &RevisionName::parse("first").unwrap()).await;
    let revision = done(&app, &ask, planned).await.0.id;
    let values = ["KEY", "STRIPE_KEY"].map(|name| {
        (EnvKey::parse(name).unwrap(), SecretValue::parse(format!("the value of {name}")).unwrap())
    });
    let values = Bundle::new(values.into_iter().collect()).unwrap();
    let new =
        NewSecret { name: SecretName::parse("shop").unwrap(), service_slug: None, shared: true, values };
    let secret = done(&app, &ask, app.create_secret(&ask, new).await).await.id;
    done(&app, &ask, app.attach_secret(&ask, (agent, revision), secret).await).await;
    let rules = serde_json::from_str(RULES).unwrap();
    let policy = NewPolicy { rules, broker_only: false, values: None };
    done(&app, &ask, app.set_policy(&ask, secret, &policy).await).await;
    let new =
        NewRun { agent, revision: None, strict: false, note: None, lease: 3_600, mode: RunMode::Broker };
    let run = done(&app, &ask, app.start_run(&ask, &new).await).await;
    let token = app.broker_token(run.broker_token.unwrap().reveal()).unwrap();
    app.brokered(&token, None, &Cause::default()).await.unwrap()
}

static RUN: LazyLock<Arc<Brokered>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(brokered())
});

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    strongroom_broker::fuzzing::brokered_request(&RUN, "api.shop.example", text);
});
