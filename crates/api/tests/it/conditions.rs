//! Changes on a condition, and changes that are only tried.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::{Role, Scope, Scopes};

use crate::support::{Answer, CANARY, Caller, NOTHING, TestApp, canary};

async fn patch_if(caller: &Caller, path: &str, condition: &str, body: &str) -> Answer {
    let request = caller.request(Method::PATCH, path).header("content-type", "application/json");
    caller.send(request.header("if-match", condition).body(body.to_owned())).await
}

#[tokio::test]
async fn a_tag_stands_for_one_state() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let created =
        owner.post("/v1/credentials", json!({"name": "n", "values": {"A": canary("a")}}).to_string()).await;
    let path = format!("/v1/credentials/{}", created.json()["id"].as_str().unwrap());
    let first = created.header("etag").unwrap().to_owned();
    assert!(first.len() == 34 && first.starts_with('"') && first.ends_with('"'), "{first}");
    assert_eq!(owner.get(&path).await.header("etag"), Some(first.as_str()));
    app.clock.advance(1);
    let patched = owner.patch(&path, json!({"add_values": {"A": canary("b")}}).to_string()).await;
    let second = patched.header("etag").unwrap().to_owned();
    assert_ne!(first, second, "values changed, names didn't");
    assert_eq!(owner.get(&path).await.header("etag"), Some(second.as_str()));
}

#[tokio::test]
async fn a_change_is_made_only_in_the_state_that_was_named() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = owner.create("s", false).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/credentials/{id}");
    let tag = owner.get(&path).await.header("etag").unwrap().to_owned();
    let zeros = format!("\"{}\"", "0".repeat(32));
    for condition in [zeros.as_str(), "\"x\"", "\"\"", &format!("W/{tag}"), &format!("{zeros}, \"y\"")] {
        let refused = patch_if(&owner, &path, condition, r#"{"name": "no"}"#).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (412, "precondition_failed"),
            "{condition}"
        );
    }
    for condition in ["x", "\"", "\"a\", b", "", "W/"] {
        let refused = patch_if(&owner, &path, condition, r#"{"name": "no"}"#).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "invalid_request"),
            "{condition}"
        );
    }
    for condition in [tag.clone(), "*".into()] {
        let empty = patch_if(&owner, &path, &condition, "{}").await;
        assert_eq!(empty.status, 200, "{condition}");
    }
    let done = patch_if(&owner, &path, &format!("{zeros}, {tag}"), r#"{"name": "yes"}"#).await;
    assert_eq!((done.status.as_u16(), done.json()["name"].clone()), (200, json!("yes")));
    assert_eq!(patch_if(&owner, &path, &tag, "{}").await.status, 412, "also when nothing would change");
    let delete = |condition: String| owner.request(Method::DELETE, &path).header("if-match", condition);
    assert_eq!(owner.send(delete(tag)).await.status, 412);
    assert_eq!(owner.send(delete(done.header("etag").unwrap().to_owned())).await.status, 200);
}

/// A path of this description, with ids of nothing.
fn filled(path: &str, team: &str) -> String {
    let path = path.replace("{teamId}", team);
    let ids = [
        "{id}",
        "{agentId}",
        "{buildId}",
        "{credentialId}",
        "{runId}",
        "{userId}",
        "{keyId}",
        "{linkId}",
        "{requestId}",
    ];
    ids.iter().fold(path, |path, id| path.replace(id, "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d"))
}

/// Every described operation: its method, its path and its parameters.
fn operations(team: &str) -> Vec<(Method, String, Vec<Value>)> {
    let description: Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            operations.push((method, filled(path, team), parameters));
        }
    }
    operations
}

fn has(parameters: &[Value], name: &str) -> bool {
    parameters.iter().any(|parameter| parameter["name"] == name)
}

#[tokio::test]
async fn a_condition_is_held_against_an_object_or_refused() {
    let app = TestApp::new().await;
    let mut refused = 0;
    for (method, path, parameters) in operations(&app.team_id.to_string()) {
        if method.is_safe() || path.starts_with("/v2/run/") || path.ends_with("/claim") {
            continue;
        }
        let dry = format!("{path}?dry_run=true");
        let request = app.owner().request(method.clone(), &dry).header("if-match", "*");
        let answer = app.owner().send(request.header("content-type", "application/json").body("{}")).await;
        let said = answer.body.contains("`If-Match` means nothing here");
        assert_eq!(said, !has(&parameters, "If-Match"), "{method} {path} {}", answer.body);
        if said {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"));
            refused += 1;
        }
    }
    // Creating (2), attaching (2), teams, members, keys, links, agents, revisions, runs, fill requests, comparing,
    // a team's new key and panic.
    assert_eq!(refused, 15);
    assert_eq!(app.owner().get("/v1/credentials").await.body, "[]");
}

async fn strictly(caller: &Caller, request: reqwest::RequestBuilder) -> Answer {
    caller.send(request.header("prefer", "handling=strict")).await
}

#[tokio::test]
async fn who_is_strict_hears_of_parameters_that_nobody_knows() {
    let app = TestApp::new().await;
    let owner = app.owner();
    for (method, path, parameters) in operations(&app.team_id.to_string()) {
        if ["/healthz", "/readyz", "/.well-known/strongroom-audit"].contains(&path.as_str())
            || path.starts_with("/v2/run/")
            || path.ends_with("/claim")
        {
            continue;
        }
        let refused = |answer: &Answer| answer.body.contains("a parameter that is not known here");
        let unknown = owner.request(method.clone(), &format!("{path}?{CANARY}=1"));
        let answer = strictly(&owner, unknown).await;
        assert!(answer.status == 400 && refused(&answer), "{method} {path} {}", answer.body);
        let described = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let known: Vec<_> =
            described.map(|parameter| format!("{}=x", parameter["name"].as_str().unwrap())).collect();
        let answer =
            strictly(&owner, owner.request(method.clone(), &format!("{path}?{}", known.join("&")))).await;
        assert!(!refused(&answer), "{method} {path}?{}", known.join("&"));
        let lenient =
            owner.send(owner.request(method.clone(), &format!("{path}?limti=1&dry_run=true"))).await;
        assert!(!refused(&lenient), "{method} {path}");
    }
    let typo =
        owner.request(Method::POST, "/v1/credentials?dryrun=true").header("content-type", "application/json");
    assert_eq!(strictly(&owner, typo.body(r#"{"name": "n", "values": {}}"#)).await.status, 400);
    assert_eq!(owner.get("/v1/credentials").await.body, "[]", "nothing was done");
}

#[tokio::test]
async fn strictness_is_asked_for_in_every_form_that_there_is() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let send = async |preference: &str| {
        let request = owner.request(Method::GET, "/v1/credentials?limti=1").header("prefer", preference);
        owner.send(request).await.status.as_u16()
    };
    for strict in
        ["handling=strict", "Handling=\"strict\"", "respond-async, handling = strict; a=b", "handling=STRICT"]
    {
        assert_eq!(send(strict).await, 400, "{strict}");
    }
    for lenient in ["handling=lenient", "strict", "handling", "a; handling=strict", ""] {
        assert_eq!(send(lenient).await, 200, "{lenient}");
    }
}

#[tokio::test]
async fn of_64_at_once_one_wins() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = owner.create("s", false).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/credentials/{id}");
    let tag = owner.get(&path).await.header("etag").unwrap().to_owned();
    let mut calls = Vec::new();
    for number in 0..64 {
        let (owner, path, tag) = (owner.clone(), path.clone(), tag.clone());
        let body = json!({"name": format!("n{number}"), "add_values": {"N": number.to_string()}}).to_string();
        calls.push(tokio::spawn(async move { patch_if(&owner, &path, &tag, &body).await }));
    }
    let (mut won, mut lost) = (Vec::new(), 0);
    for call in calls {
        let answer = call.await.unwrap();
        match answer.status.as_u16() {
            200 => won.push(answer.json()["name"].clone()),
            412 => lost += 1,
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert_eq!((won.len(), lost), (1, 63));
    assert_eq!(owner.get(&path).await.json()["name"], won[0]);
    let versions = owner.get(&format!("{path}/versions")).await.json();
    assert_eq!(versions.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn whatever_its_state_all_24_get_their_turn() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = owner.create("s", false).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/credentials/{id}");
    let mut calls = Vec::new();
    for number in 0..24 {
        let (owner, path) = (owner.clone(), path.clone());
        let body = json!({"add_values": {format!("K{number}"): "v"}}).to_string();
        calls.push(tokio::spawn(async move { patch_if(&owner, &path, "*", &body).await.status }));
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), 200, "it existed all the time");
    }
}

#[tokio::test]
async fn without_a_condition_all_64_get_their_turn() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = owner.create("s", false).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/credentials/{id}");
    let mut calls = Vec::new();
    for number in 0..64 {
        let (owner, path) = (owner.clone(), path.clone());
        let body = json!({"add_values": {format!("K{number}"): "v"}}).to_string();
        calls.push(tokio::spawn(async move { owner.patch(&path, body).await.status }));
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    let keys = owner.get(&path).await.json()["env_var_keys"].as_array().unwrap().len();
    assert_eq!(keys, 65, "no update was lost");
}

#[tokio::test]
async fn a_dry_run_answers_as_it_would_and_changes_nothing() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = owner.create("s", false).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/credentials/{id}");
    let before = (owner.get(&path).await.body, events(&app));
    let create = json!({"name": "n", "values": {"A": canary("a")}}).to_string();
    let created = owner.post("/v1/credentials?dry_run=true", create).await;
    assert_eq!((created.status.as_u16(), created.json()["env_var_keys"].clone()), (201, json!(["A"])));
    let patched =
        owner.patch(&format!("{path}?dry_run=true"), r#"{"name": "n", "remove_keys": ["KEY"]}"#).await;
    assert_eq!((patched.status.as_u16(), patched.json()["env_var_keys"].clone()), (200, json!([])));
    let refused = owner.patch(&format!("{path}?dry_run=true"), r#"{"remove_keys": ["NONE"]}"#).await;
    assert_eq!(refused.status, 400);
    assert_eq!(owner.delete(&format!("{path}?dry_run=true")).await.body, r#"{"success":true}"#);
    let copy = owner.post(&format!("{path}/copy?dry_run=true"), r#"{"name": "c"}"#).await;
    assert_eq!(copy.status, 201);
    assert_eq!((owner.get(&path).await.body, events(&app)), before);
    assert_eq!(owner.get("/v1/credentials").await.json().as_array().unwrap().len(), 1);
    let member = app.user(app.team_id, Role::Member, Scopes::all());
    let denied =
        member.post("/v1/credentials?dry_run=true", r#"{"name": "n", "values": {}, "shared": true}"#).await;
    assert_eq!(denied.code(), "forbidden");
}

fn events(app: &TestApp) -> u32 {
    app.database().query_row("SELECT count(*) FROM events", NOTHING, |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_key_asks_so_often_and_is_told_how_it_stands() {
    let app = TestApp::limited(3).await;
    let (owner, other) = (app.owner(), app.user(app.team_id, Role::Member, Scopes::all()));
    let reset = (app.app.clock().now().as_millis() / 1_000 + 60).to_string();
    for remaining in ["2", "1", "0"] {
        let answer = owner.get("/v1/credentials").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        assert_eq!(answer.header("x-ratelimit-reset"), Some(reset.as_str()));
        assert_eq!(answer.header("retry-after"), None);
    }
    app.clock.advance(59_001);
    let refused = owner.post("/v1/credentials", r#"{"name": "n", "values": {}}"#).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(
        (refused.header("retry-after"), refused.header("x-ratelimit-remaining")),
        (Some("1"), Some("0"))
    );
    let missing = other.get("/v1/credentials/019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d").await;
    assert_eq!(
        (missing.status.as_u16(), missing.header("x-ratelimit-remaining")),
        (404, Some("2")),
        "each key by itself"
    );
    app.clock.advance(999);
    assert_eq!(owner.get("/v1/credentials").await.header("x-ratelimit-remaining"), Some("2"), "a new minute");
    assert_eq!(app.anonymous().get("/healthz").await.header("x-ratelimit-limit"), None);
    assert_eq!(
        TestApp::new().await.owner().get("/v1/credentials").await.header("x-ratelimit-limit"),
        None,
        "0 is off"
    );
}

#[tokio::test]
async fn who_may_not_learns_that_first_and_every_request_is_counted() {
    let app = TestApp::limited(3).await;
    let readers = app.user(app.team_id, Role::Member, [Scope::SecretsRead].into_iter().collect());
    let path = "/v2/credentials/019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";
    let broken = async |caller: &Caller| {
        let request = caller.request(Method::DELETE, &format!("{path}?dry_run=perhaps"));
        caller.send(request.header("if-match", "x").header("idempotency-key", "")).await
    };
    for (caller, status) in [(&app.owner(), 400), (&readers, 403)] {
        for remaining in ["2", "1", "0"] {
            let answer = broken(caller).await;
            assert_eq!(answer.status, status, "{}", answer.body);
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        }
        let answer = broken(caller).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("60")));
    }
}
