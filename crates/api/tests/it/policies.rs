//! Policies of secrets on the wire: what is answered, what is refused and in which words,
//! and that no answer holds a value.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CANARY, Caller, NOTHING, TestApp, canary};

async fn put(caller: &Caller, path: &str, body: &Value) -> Answer {
    let request = caller.request(Method::PUT, path).header("content-type", "application/json");
    caller.send(request.body(body.to_string())).await
}

/// A secret of the owner's, and the path of its policy.
async fn secret(owner: &Caller, service: Option<&str>) -> (String, String) {
    let new = json!({"name": "n", "values": {"KEY": canary("v")}, "service_slug": service});
    let id = owner.post("/v1/credentials", new.to_string()).await.json()["id"].as_str().unwrap().to_owned();
    (format!("/v2/credentials/{id}"), format!("/v2/credentials/{id}/policy"))
}

fn rule(prefix: &str) -> Value {
    json!({"host": "api.shop.example", "path_prefix": prefix, "placement": {"header": "x-key"}})
}

fn whole(prefix: &str) -> Value {
    json!({
        "scheme": "https", "host": "api.shop.example", "port": 443, "methods": [], "path_prefix": prefix,
        "placement": {"header": "x-key"}, "allow_private": false, "allow_foreign": false,
    })
}

#[tokio::test]
async fn a_policy_is_its_own_or_its_services_or_none() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let (_, none) = secret(&owner, None).await;
    assert_eq!(owner.get(&none).await.json(), json!({"rules": [], "broker_only": false, "source": "none"}));
    let (path, policy) = secret(&owner, Some("openai")).await;
    let known = owner.get(&policy).await;
    assert_eq!(known.json()["source"], "service");
    assert_eq!(
        known.json()["rules"],
        json!([{
            "scheme": "https", "host": "api.openai.com", "port": 443, "methods": [], "path_prefix": "/",
            "placement": {"header": "authorization", "scheme": "Bearer"}, "allow_private": false, "allow_foreign": false,
        }])
    );
    assert_eq!(known.header("etag"), owner.get(&path).await.header("etag"));
    let set = put(&owner, &policy, &json!({"rules": [rule("/v1/")], "broker_only": true})).await;
    assert_eq!(set.json(), json!({"rules": [whole("/v1/")], "broker_only": true, "source": "own"}));
    let read = owner.get(&policy).await;
    assert_eq!((read.json(), read.header("etag")), (set.json(), set.header("etag")));
    assert_eq!(put(&owner, &policy, &read.json()).await.status, 200, "what was read can be put back");
}

#[tokio::test]
async fn a_policy_is_set_on_a_condition_tried_and_repeated_as_any_change() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let (_, path) = secret(&owner, None).await;
    let before = owner.get(&path).await;
    let body = json!({"rules": [rule("/v1/")]}).to_string();
    let send = async |query: &str, headers: &[(&str, &str)]| {
        let request = owner.request(Method::PUT, &format!("{path}{query}"));
        let request = request.header("content-type", "application/json").body(body.clone());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        owner.send(request).await
    };
    let dry = send("?dry_run=true", &[]).await;
    assert_eq!((dry.status.as_u16(), dry.json()["source"].clone()), (200, json!("own")));
    assert_eq!(owner.get(&path).await.body, before.body);
    let tag = before.header("etag").unwrap();
    let once = [("if-match", tag), ("idempotency-key", "one")];
    let first = send("", &once).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let again = send("", &once).await;
    assert_eq!(
        (again.header("idempotency-replayed"), again.body.as_str()),
        (Some("true"), first.body.as_str())
    );
    assert_eq!(send("", &[("if-match", tag)]).await.status, 412);
}

#[tokio::test]
async fn loosening_takes_the_values_and_no_version_before_comes_back() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let (path, policy) = secret(&owner, None).await;
    let needless = json!({"rules": [], "values": {"KEY": canary("mine")}});
    let refused = put(&owner, &policy, &needless).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"));
    assert!(refused.body.contains("updateSecret"), "{}", refused.body);
    assert_eq!(
        put(&owner, &policy, &json!({"rules": [rule("/v1/")], "broker_only": true})).await.status,
        200
    );
    for looser in [json!({"rules": [rule("/v1/")]}), json!({"rules": [rule("/")], "broker_only": true})] {
        let refused = put(&owner, &policy, &looser).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "conflict"));
        assert!(refused.body.contains("`values` again"), "{}", refused.body);
    }
    let with = json!({"rules": [rule("/")], "broker_only": false, "values": {"OTHER": canary("mine")}});
    let loosened = put(&owner, &policy, &with).await;
    assert_eq!((loosened.status.as_u16(), loosened.json()["broker_only"].clone()), (200, json!(false)));
    assert!(!loosened.body.contains(CANARY));
    assert_eq!(owner.get(&path).await.json()["env_var_keys"], json!(["OTHER"]));
    let back = owner.post(&format!("{path}/rollback"), r#"{"version": 1}"#).await;
    assert_eq!((back.status.as_u16(), back.code().as_str()), (409, "conflict"));
}

#[tokio::test]
async fn what_is_no_rule_is_refused_in_words_that_quote_nothing() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let (_, path) = secret(&owner, None).await;
    let with = |member: &str, value: Value| {
        let mut one = rule("/");
        one[member] = value;
        json!({"rules": [rule("/"), one]})
    };
    for (body, said) in [
        (json!({}), "`rules`"),
        (json!({"rules": null}), "`rules`"),
        (json!({"rules": [], "broker_only": "hunter2"}), "`broker_only`: must be a boolean"),
        (json!({"rules": [], "values": null}), "`values`"),
        (json!({"rules": ["hunter2"]}), "`rules`, element 1"),
        (with("hunter2", json!(1)), "`rules`, element 2"),
        (
            with("hunter2", json!(1)),
            "scheme, host, port, methods, path_prefix, placement, allow_private, allow_foreign",
        ),
        (with("host", json!("hunter2")), "`allow_private` must be true"),
        (with("host", json!("hunter2_")), "`rules`, element 2, `host`: must be a name"),
        (with("host", json!("10.0.0.1")), "`host`: must be a name, not an address"),
        (with("methods", json!(["hunter2"])), "`methods`: must be methods in upper case"),
        (with("path_prefix", json!("hunter2")), "`path_prefix`: must be a path"),
        (with("port", json!(0)), "`port` must be a number from 1"),
        (with("port", json!(70_000)), "`port`: must be a whole number in bounds"),
        (with("placement", json!({"hunter2": 1})), "header, scheme, query, form, json, basic"),
        (
            with("placement", json!({"query": "a", "form": "hunter2"})),
            "`placement`: must have exactly one of",
        ),
        (with("placement", json!({"header": "hunter2 "})), "`placement`, `header`: must be a header's name"),
        (json!({"rules": vec![rule("/"); 65]}), "`rules`: must be at most 64 rules"),
        (
            json!({"rules": vec![rule(&format!("/{}", "a".repeat(600))); 30]}),
            "`rules`: must be rules of at most 16 KiB",
        ),
    ] {
        let refused = put(&owner, &path, &body).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"), "{body}");
        assert!(refused.json()["message"].as_str().unwrap().contains(said), "{said}: {}", refused.body);
        assert!(!refused.body.contains("hunter2"), "{}", refused.body);
    }
    assert_eq!(owner.get(&path).await.json()["source"], "none", "nothing was set");
}

#[tokio::test]
async fn a_stored_policy_that_is_none_is_tampering_and_never_no_policy() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let (path, policy) = secret(&owner, None).await;
    assert_eq!(put(&owner, &policy, &json!({"rules": [], "broker_only": true})).await.status, 200);
    let stored = r#"{"rules":[],"broker_only":true,"since":0}"#;
    for broken in ["''", "'{}'", "NULL", r#"'{"rules":[],"broker_only":false,"since":0}'"#, "'null'"] {
        let alter = format!("UPDATE secrets SET policy = {broken} WHERE policy IS NOT NULL");
        app.database().execute(&alter, NOTHING).unwrap();
        for path in [&path, &policy] {
            let refused = owner.get(path).await;
            assert_eq!(
                (refused.status.as_u16(), refused.code().as_str()),
                (500, "integrity_violation"),
                "{broken}"
            );
        }
        app.database().execute("UPDATE secrets SET policy = ?", [stored]).unwrap();
        assert_eq!(owner.get(&policy).await.status, 200, "the control");
    }
}
