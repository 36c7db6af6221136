//! Requests that come again: done once, and answered the same.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::answers::Repeatable;
use strongroom_core::app::Begun;
use strongroom_core::{Role, Scopes};

use crate::support::{Answer, Caller, NOTHING, TestApp, canary};

/// Sends a request under an idempotency key.
async fn send(caller: &Caller, (method, path): (Method, &str), key: &str, body: &str) -> Answer {
    let request = caller.request(method, path).header("content-type", "application/json");
    caller.send(request.header("idempotency-key", key).body(body.to_owned())).await
}

async fn create(caller: &Caller, key: &str, body: &Value) -> Answer {
    send(caller, (Method::POST, "/v1/credentials"), key, &body.to_string()).await
}

async fn count(caller: &Caller) -> usize {
    caller.get("/v1/credentials").await.json().as_array().unwrap().len()
}

fn body(name: &str) -> Value {
    json!({"name": name, "values": {"A": canary(name)}})
}

#[tokio::test]
async fn a_repeated_create_is_done_once_and_answered_the_same() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let first = create(&owner, "k1", &body("a")).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, None));
    for key in ["k1", "\"k1\""] {
        let again = create(&owner, key, &body("a")).await;
        assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("content-type"), Some("application/json"));
    }
    assert_eq!(count(&owner).await, 1);
    assert_eq!(create(&owner, "k2", &body("a")).await.header("idempotency-replayed"), None, "the control");
    assert_eq!(count(&owner).await, 2);
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused() {
    let app = TestApp::new().await;
    let owner = app.owner();
    create(&owner, "k", &body("a")).await;
    let other_body = create(&owner, "k", &body("b")).await;
    assert_eq!((other_body.status.as_u16(), other_body.code().as_str()), (422, "idempotency_mismatch"));
    let other_query = send(&owner, (Method::POST, "/v1/credentials?x=1"), "k", &body("a").to_string()).await;
    assert_eq!(other_query.status, 422);
    assert_eq!(count(&owner).await, 1);
}

#[tokio::test]
async fn a_key_is_of_one_api_key_one_method_and_one_path() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let created = create(&owner, "k", &body("a")).await.json();
    let id = created["id"].as_str().unwrap();
    let one = format!("/v1/credentials/{id}");
    assert_eq!(send(&owner, (Method::PATCH, &one), "k", r#"{"name": "b"}"#).await.json()["name"], json!("b"));
    assert_eq!(send(&owner, (Method::DELETE, &one), "k", "").await.status, 200);
    assert_eq!(send(&owner, (Method::DELETE, &one), "k", "").await.status, 200, "again, not 404");
    assert_eq!(owner.delete(&one).await.status, 404, "the control");
    let other = app.user(app.team_id, Role::Owner, Scopes::all());
    let theirs = create(&other, "k", &body("a")).await;
    assert_eq!((theirs.status.as_u16(), theirs.header("idempotency-replayed")), (201, None));
    assert_ne!(theirs.json()["id"], created["id"]);
}

#[tokio::test]
async fn a_refusal_is_repeated_unless_another_try_may_fare_better() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let invalid = create(&owner, "k", &json!({"name": "", "values": {}})).await;
    let again = create(&owner, "k", &json!({"name": "", "values": {}})).await;
    assert_eq!((again.status.as_u16(), &again.body), (400, &invalid.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let id = app.owner().create("s", true).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/credentials/{id}");
    let member = app.seed_user();
    app.seed_membership(app.team_id, member, Role::Member);
    let key = app.key(app.team_id, member, |_| ());
    assert_eq!(send(&key, (Method::DELETE, &path), "k", "").await.status, 403);
    let place = format!("/v2/teams/{}/members/{member}", app.team_id);
    assert_eq!(app.owner().patch(&place, r#"{"role": "manager"}"#).await.status, 200);
    assert_eq!(send(&key, (Method::DELETE, &path), "k", "").await.status, 200, "403 isn't kept");
}

#[tokio::test]
async fn an_answer_is_repeated_for_a_day() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let first = create(&owner, "k", &body("a")).await;
    app.clock.advance(24 * 60 * 60 * 1_000 - 1);
    assert_eq!(create(&owner, "k", &body("a")).await.body, first.body);
    app.clock.advance(1);
    let later = create(&owner, "k", &body("b")).await;
    assert_eq!((later.status.as_u16(), later.header("idempotency-replayed")), (201, None));
    assert_eq!(create(&owner, "k", &body("b")).await.body, later.body, "the newer one is repeated now");
    app.clock.advance(24 * 60 * 60 * 1_000 + 1);
    app.app.purge(app.app.clock().now()).await.unwrap();
    let kept: u32 =
        app.database().query_row("SELECT count(*) FROM answers", NOTHING, |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn many_at_once_are_done_once() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let calls = (0..64).map(|_| {
        let owner = owner.clone();
        tokio::spawn(async move { create(&owner, "k", &body("a")).await })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.unwrap());
    }
    for answer in &answers {
        assert!([201, 409].contains(&answer.status.as_u16()), "{}", answer.body);
    }
    let fresh = answers
        .iter()
        .filter(|answer| answer.status == 201 && answer.header("idempotency-replayed").is_none());
    assert_eq!(fresh.count(), 1);
    assert_eq!(count(&owner).await, 1);
    assert_eq!(create(&owner, "k", &body("a")).await.status, 201, "and 409 is not what is kept");
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let app = TestApp::new().await;
    let owner = app.owner();
    for key in ["", "\"\"", "with space", "\u{e9}", &"k".repeat(256)] {
        let answer = create(&owner, key, &body("a")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{key}");
    }
    assert_eq!(create(&owner, &"k".repeat(255), &body("a")).await.status, 201);
    let request = owner.request(Method::POST, "/v1/credentials").header("content-type", "application/json");
    let twice =
        request.header("idempotency-key", "a").header("idempotency-key", "b").body(body("a").to_string());
    assert_eq!(owner.send(twice).await.status, 400);
}

#[tokio::test]
async fn a_kept_answer_that_somebody_altered_is_not_given() {
    let app = TestApp::new().await;
    let owner = app.owner();
    create(&owner, "k", &body("a")).await;
    let altered = app.database().execute("UPDATE answers SET answer = ?", [b"200"]);
    assert_eq!(altered, Ok(1));
    let again = create(&owner, "k", &body("a")).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (500, "integrity_violation"));
    assert_eq!(count(&owner).await, 1);
}

#[tokio::test]
async fn a_dry_run_is_neither_kept_nor_a_repeat() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let dry = (Method::POST, "/v1/credentials?dry_run=true");
    let answer = send(&owner, dry.clone(), "k", &body("a").to_string()).await;
    assert_eq!((answer.status.as_u16(), count(&owner).await), (201, 0));
    assert_eq!(create(&owner, "k", &body("b")).await.status, 201);
    assert_eq!(send(&owner, dry, "k", &body("a").to_string()).await.header("idempotency-replayed"), None);
}

#[tokio::test]
async fn each_header_that_counts_makes_another_request() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let path = format!("/v1/credentials/{}", owner.create("s", false).await["id"].as_str().unwrap());
    let with = |headers: &[(&'static str, &'static str)]| {
        let request = owner.request(Method::PATCH, &path).header("idempotency-key", "k");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        owner.send(request.body(r#"{"name": "b"}"#))
    };
    let (kind, any) = (("content-type", "application/json"), ("if-match", "*"));
    let base = [kind, any, ("prefer", "a")];
    assert_eq!(with(&base).await.status, 200);
    for others in [
        &[kind, any][..],
        &[kind, any, ("prefer", "")],
        &[kind, any, ("prefer", "handling=strict")],
        &[kind, any, ("prefer", "a"), ("prefer", "handling=strict")],
        &[kind, ("prefer", "a")],
        &[kind, any, any, ("prefer", "a")],
        &[kind, any, ("prefer", "a"), ("if-match", "\"x\"")],
        &[("content-type", "application/json; charset=utf-8"), any, ("prefer", "a")],
        &[("content-type", "text/plain"), any, ("prefer", "a")],
        &[any, ("prefer", "a")],
        &[kind, any, ("prefer", "a"), ("content-encoding", "identity")],
        &[kind, any, ("prefer", "a"), ("content-encoding", "gzip")],
    ] {
        assert_eq!(with(others).await.status, 422, "{others:?}");
    }
    let again = with(&[("x-else", "1"), ("prefer", "a"), any, kind]).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "the control");
}

#[tokio::test]
async fn equal_requests_under_two_keys_do_not_look_equal() {
    let app = TestApp::new().await;
    for key in ["k1", "k2"] {
        assert_eq!(create(&app.owner(), key, &body("a")).await.status, 201);
    }
    let select = "SELECT count(*), count(DISTINCT request) FROM answers";
    let counts = app.database().query_row(select, NOTHING, |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(counts, Ok((2, 2)));
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused_only_until_it_is_sent_right() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let request = owner.request(Method::POST, "/v1/credentials").header("content-type", "text/plain");
    let wrong = owner.send(request.header("idempotency-key", "k").body(body("a").to_string())).await;
    assert_eq!(wrong.status, 415);
    assert_eq!(create(&owner, "k", &body("a")).await.status, 201);
}

#[tokio::test]
async fn while_it_is_under_way_it_is_told_so() {
    let app = TestApp::new().await;
    let ask = app.ask(&app.owner()).await;
    let request = Repeatable { method: "POST", path: "/v1/credentials", key: "k", rest: &[] };
    let Begun::First(once) = app.app.begin(&ask.caller, &request, &ask.cause).await.unwrap() else {
        panic!("it never came before")
    };
    let answer = create(&app.owner(), "k", &body("a")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "in_progress"));
    drop(once);
    assert_eq!(create(&app.owner(), "k", &body("a")).await.status, 201, "the control");
}
