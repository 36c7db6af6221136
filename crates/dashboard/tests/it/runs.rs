//! What a run asked for, on its page: whatever its process wrote is shown as text, each request once.

use axum::http::StatusCode;
use std::sync::Arc;
use strongroom_core::app::{Ask, Brokered, BrokeredRequest, Cause, NewRun, StartedRun};
use strongroom_core::requests::Requested;
use strongroom_core::runs::{LEASE, RunMode};
use strongroom_core::secrets::NewSecret;
use strongroom_core::text::{AgentName, RevisionName};
use strongroom_core::{Bundle, EnvKey, SecretId, SecretName, SecretValue, ServiceSlug};
use uuid::Uuid;

use crate::instance::Instance;

/// Shown as anything but text, each would do something.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus=alert(1) x='",
    "</code></td></tr></table><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u{202e}&lt;\u{0}&amp;",
];

/// A run by the broker, with a secret for Stripe.
struct Scene {
    instance: Instance,
    started: StartedRun,
    secret: SecretId,
}

async fn secret(instance: &Instance, owner: &Ask) -> SecretId {
    let value = (EnvKey::parse("STRIPE_KEY").unwrap(), SecretValue::parse("sk-hidden".to_owned()).unwrap());
    let new = NewSecret {
        name: SecretName::parse("Payments").unwrap(),
        service_slug: Some(ServiceSlug::parse("stripe").unwrap()),
        shared: true,
        values: Bundle::new(vec![value]).unwrap(),
    };
    let planned = instance.app.create_secret(owner, new).await.unwrap();
    instance.app.carry_out(owner, planned, None).await.unwrap().id
}

impl Scene {
    async fn new() -> Self {
        let instance = Instance::new().await;
        let (app, owner) = (&instance.app, instance.owner().await);
        let secret = secret(&instance, &owner).await;
        let planned = app.create_agent(&owner, AgentName::parse("Invoices").unwrap()).unwrap();
        let agent = app.carry_out(&owner, planned, None).await.unwrap().id;
        let name = RevisionName::parse("one").unwrap();
        let planned = app.create_revision(&owner, agent, &name).await.unwrap();
        let (revision, _) = app.carry_out(&owner, planned, None).await.unwrap();
        let planned = app.attach_secret(&owner, (agent, revision.id), secret).await.unwrap();
        app.carry_out(&owner, planned, None).await.unwrap();
        let new =
            NewRun { agent, revision: None, strict: false, note: None, lease: LEASE, mode: RunMode::Broker };
        let planned = app.start_run(&owner, &new).await.unwrap();
        let started = app.carry_out(&owner, planned, None).await.unwrap();
        Self { instance, started, secret }
    }

    async fn brokered(&self) -> Arc<Brokered> {
        let token = self.started.broker_token.as_ref().unwrap();
        let token = self.instance.app.broker_token(token.reveal()).unwrap();
        self.instance.app.brokered(&token, None, &Cause::default()).await.unwrap()
    }

    /// Has it recorded that these were asked for, the last one last.
    async fn record(&self, requests: Vec<(Uuid, Option<SecretId>, Requested<'_>)>) {
        let (brokered, at) = (self.brokered().await, self.instance.app.clock().now());
        let recorded = requests.into_iter().map(|(request_id, secret, requested)| BrokeredRequest {
            brokered: Arc::clone(&brokered),
            request_id,
            at,
            secret: secret.map(|id| (id, 1)),
            requested: requested.text(),
        });
        self.instance.app.record_requests(&recorded.collect::<Vec<_>>()).await.unwrap();
    }

    /// What its page shows to the owner.
    async fn page(&self) -> String {
        let cookies = self.instance.signed_in().await;
        let page = self.instance.open_with(&format!("/runs/{}", self.started.run.id), &cookies).await;
        assert_eq!(page.status, StatusCode::OK, "{} {}", page.location, page.body);
        page.body
    }
}

fn asked<'a>(host: &'a str, method: &'a str, path: &'a str) -> Requested<'a> {
    Requested {
        rule: None,
        scheme: "https".into(),
        host: host.into(),
        port: 443,
        method: method.into(),
        path: path.into(),
        status: Some(200),
        sent: 1_260,
        received: 12,
        millis: 7,
        refused: None,
        ended: true,
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[tokio::test]
async fn whatever_its_process_wrote_is_text() {
    let scene = Scene::new().await;
    let requests = HOSTILE.iter().enumerate().flat_map(|(at, text)| {
        let refused = Requested { refused: Some((*text).into()), ..asked(text, text, text) };
        let scheme = Requested { scheme: (*text).into(), ..asked("a.example", "GET", "/") };
        [(id(2 * at as u128 + 1), None, refused), (id(2 * at as u128 + 2), None, scheme)]
    });
    scene.record(requests.collect()).await;
    let page = scene.page().await;
    // The frame of each page has its own script, and nothing else of the kind.
    let (_, content) = page.split_once("What it asked for").unwrap();
    for markup in ["<script", "<img", "onerror=alert(1)>", "</code></td></tr></table>"] {
        assert!(!content.contains(markup), "{markup}: {content}");
    }
    let opened = content.matches('<').count();
    scene.record(vec![(id(99), None, asked("plain.example", "GET", "/"))]).await;
    let more = scene.page().await;
    let (_, content) = more.split_once("What it asked for").unwrap();
    let of_a_row = content.matches('<').count() - opened;
    assert!(
        of_a_row > 0 && opened > HOSTILE.len() * of_a_row,
        "a row has as many elements, whatever is in it"
    );
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[tokio::test]
async fn each_request_is_told_of_once_as_it_is_by_now() {
    let scene = Scene::new().await;
    let begun = Requested { status: None, ended: false, ..asked("api.stripe.com", "POST", "/v1/begun") };
    let over = Requested { ended: true, status: Some(201), ..begun.clone() };
    let open = asked("api.stripe.com", "GET", "/v1/open");
    scene
        .record(vec![
            (id(1), Some(scene.secret), begun),
            (id(2), None, Requested { status: None, ended: false, ..open.clone() }),
            (id(3), None, Requested { ended: false, ..open }),
            (id(1), Some(scene.secret), over),
        ])
        .await;
    let page = scene.page().await;
    assert_eq!(page.matches("/v1/begun").count(), 1, "{page}");
    assert!(page.contains(">201<") && page.contains("1.2 kB, 12 B") && page.contains("7 ms"));
    assert!(page.contains("none yet") && page.contains("200, going on"));
    assert!(page.contains(&format!("href=\"/secrets/{}\">Payments</a>", scene.secret)));
    assert!(!page.contains("/policy"), "nothing was refused");
}

#[tokio::test]
async fn a_refusal_leads_to_the_policy_that_it_is_about() {
    let scene = Scene::new().await;
    let refused = |why: &'static str, host| Requested {
        status: None,
        refused: Some(why.into()),
        ..asked(host, "GET", "/")
    };
    let to_policy = format!("href=\"/secrets/{}/policy\">The policy of Payments</a>", scene.secret);
    scene.record(vec![(id(1), None, refused("not_covered", "nowhere.example"))]).await;
    let page = scene.page().await;
    assert!(page.contains("href=\"#policies\"") && !page.contains(&to_policy));
    assert!(page.contains(&format!("href=\"/secrets/{}/policy\">Payments</a>", scene.secret)));
    scene.record(vec![(id(2), None, refused("placeholder_misplaced", "api.stripe.com"))]).await;
    assert!(scene.page().await.contains(&to_policy));
}
