//! Members with keys, as the API itself makes them.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::{Role, Timestamp};
use tokio::task::JoinSet;

use crate::support::{Answer, Caller, NOTHING, TestApp};

/// An instance that was founded a while ago, so that what is made from now on
/// is younger than its first key and owner.
pub(crate) async fn settled() -> TestApp {
    let app = TestApp::new().await;
    app.clock.advance(1_000);
    app
}

/// Somebody who was added and has a key.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) caller: Caller,
}

/// A path in the first team.
pub(crate) fn team(app: &TestApp, rest: &str) -> String {
    format!("/v2/teams/{}{rest}", app.team_id)
}

/// The text of one of an answer's fields.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// How a request was refused.
pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

/// What was made.
pub(crate) fn made(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

/// So many milliseconds from now, as the wire has it.
pub(crate) fn in_millis(app: &TestApp, millis: i64) -> String {
    Timestamp::from_millis(app.app.clock().now().as_millis() + millis).to_string()
}

/// Asks to add a member.
pub(crate) async fn add(app: &TestApp, caller: &Caller, body: Value) -> Answer {
    caller.post(&team(app, "/members"), body.to_string()).await
}

/// Adds a service user; its id.
pub(crate) async fn service(app: &TestApp, role: Role) -> String {
    let added = add(app, &app.owner(), json!({"name": "ci", "service": true, "role": role.name()})).await;
    text(&made(&added)["member"], "id").to_owned()
}

/// Asks for a key.
pub(crate) async fn mint(app: &TestApp, caller: &Caller, body: Value) -> Answer {
    caller.post(&team(app, "/api-keys"), body.to_string()).await
}

/// A key that this caller makes.
pub(crate) async fn key(app: &TestApp, caller: &Caller, body: Value) -> Caller {
    app.bearer(text(&made(&mint(app, caller, body).await), "api_key"))
}

/// Asks for a link.
pub(crate) async fn link(app: &TestApp, caller: &Caller, body: Value) -> Answer {
    caller.post(&team(app, "/key-links"), body.to_string()).await
}

/// The token of a link that this caller makes.
pub(crate) async fn link_token(app: &TestApp, caller: &Caller, body: Value) -> String {
    text(&made(&link(app, caller, body).await), "link").to_owned()
}

/// Asks for the key that a link is for.
pub(crate) async fn claim(app: &TestApp, token: &str) -> Answer {
    let link = app.bearer(token);
    link.send(link.request(Method::POST, "/v2/key-links/claim")).await
}

/// Adds a person with this address and gives them a key.
pub(crate) async fn join(app: &TestApp, email: &str, role: Role) -> Person {
    let added = add(app, &app.owner(), json!({"email": email, "name": "Grace", "role": role.name()})).await;
    let id = text(&made(&added)["member"], "id").to_owned();
    let token = link_token(app, &app.owner(), json!({"user_id": id, "name": "first"})).await;
    let key = made(&claim(app, &token).await);
    Person { id, caller: app.bearer(text(&key, "api_key")) }
}

/// The statuses of requests that are sent at the same time.
pub(crate) async fn at_once<F>(requests: impl IntoIterator<Item = F>) -> Vec<u16>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let answers = requests.into_iter().collect::<JoinSet<_>>().join_all().await;
    answers.iter().map(|answer| answer.status.as_u16()).collect()
}

/// What lies in the database, but for when keys were used and what was refused.
pub(crate) fn contents(app: &TestApp) -> Vec<String> {
    let database = app.database();
    let tables = [
        "teams",
        "users",
        "memberships",
        "api_keys",
        "key_links",
        "secrets",
        "answers",
        "agents",
        "revisions",
        "attachments",
        "runs",
        "fill_requests",
    ];
    let macs = tables.map(|table| format!("SELECT row_mac FROM {table} ORDER BY row_mac"));
    let counts = ["events WHERE kind <> 'access.denied'", "deliveries"]
        .map(|table| format!("SELECT count(*) FROM {table}"));
    let queries = macs.into_iter().chain(counts);
    queries.map(|query| format!("{:?}", database.query(&query, NOTHING).unwrap())).collect()
}
