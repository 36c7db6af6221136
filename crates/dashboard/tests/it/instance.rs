//! An instance for a test, and somebody who opens its pages.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::app::{
    Ask, BrokerAddress, Cause, Founding, Recovery, RecoveryError, World, create_instance,
};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::text::{Email, TeamName};
use strongroom_core::{App, Clock, OsRandom, Timestamp};
use strongroom_dashboard::Terms;
use strongroom_net::Address;
use strongroom_store::sqlite::Database;
use tower::ServiceExt as _;

const TERMS: Terms = Terms { requests_per_minute: 0, retention_days: 30 };

/// Time that stands still.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_794_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct NoRecovery;

impl Recovery for NoRecovery {
    fn recipient(&self) -> String {
        "age1test".into()
    }

    fn encrypt(&self, _: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        Ok(Vec::new())
    }
}

/// An instance, and its pages.
pub(crate) struct Instance {
    pub(crate) app: Arc<App>,
    pages: Router,
    key: String,
    _directory: tempfile::TempDir,
}

/// An answer to a browser.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) cookie: Option<String>,
    pub(crate) location: String,
    pub(crate) body: String,
}

fn header(answer: &Response<Body>, name: &str) -> String {
    answer.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

impl Page {
    pub(crate) async fn of(answer: Response<Body>) -> Self {
        let cookies = answer.headers().get_all("set-cookie").iter();
        let cookies = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        let cookie = Some(cookies.collect::<Vec<_>>().join("; ")).filter(|cookie| !cookie.is_empty());
        let (status, location) = (answer.status(), header(&answer, "location"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Self { status, cookie, location, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// What its form carries.
    pub(crate) fn form(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"form\" value=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }
}

impl Instance {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Database::create(&directory.path().join("data")).unwrap());
        let world = World { clock: Arc::new(StoppedClock), random: Arc::new(OsRandom) };
        let root = LocalRootKey::take("file", &mut [7; 32]);
        let founding = Founding {
            team: TeamName::parse("Rockets").unwrap(),
            email: Email::parse("ada@example.com").unwrap(),
            root: &root,
            root_parameters: String::new(),
            recovery: &NoRecovery,
        };
        let created = create_instance(store.clone(), founding, &world).await.unwrap();
        let broker =
            BrokerAddress { url: "https://127.0.0.1:7481".to_owned(), ca: "a certificate".to_owned() };
        let app = App::open(store, &root, world).await.unwrap().with_broker(Some(broker));
        let app = Arc::new(app);
        let pages = strongroom_dashboard::desk(Arc::clone(&app), &Address::default(), TERMS);
        Self { app, pages, key: created.api_key.reveal().to_owned(), _directory: directory }
    }

    pub(crate) async fn owner(&self) -> Ask {
        let caller = self.app.authenticate(&self.key, None, &Cause::default()).await.unwrap();
        Ask::new(caller, Cause::default())
    }

    pub(crate) async fn open(&self, path: &str) -> Page {
        self.open_with(path, "").await
    }

    /// The same for somebody with cookies.
    pub(crate) async fn open_with(&self, path: &str, cookies: &str) -> Page {
        let request = Request::get(path).header("host", "secrets.example.com").header("cookie", cookies);
        let request = request.body(Body::empty()).unwrap();
        Page::of(self.pages.clone().oneshot(request).await.unwrap()).await
    }

    /// The cookies of the owner, who comes in by a link.
    pub(crate) async fn signed_in(&self) -> String {
        let link = self.app.set_up_link(&Email::parse("ada@example.com").unwrap()).await.unwrap();
        let path = format!("/setup/{}", link.reveal());
        let page = self.open(&path).await;
        let (form, cookie) = (page.form(), page.cookie.unwrap());
        let fields = [("form", form.as_str()), ("password", "a-password-of-many-letters")];
        let done = self.send(&path, &fields, &[("cookie", &cookie)]).await;
        done.cookie.unwrap()
    }

    /// Sends a form with these fields and headers.
    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let mut request = Request::post(path)
            .header("host", "secrets.example.com")
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.body(Body::from(body.join("&"))).unwrap();
        Page::of(self.pages.clone().oneshot(request).await.unwrap()).await
    }
}
