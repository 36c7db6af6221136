//! `strongroom secrets policy` and `set-policy`: what is shown, what is sent, and what never is.

use serde_json::{Value, json};
use std::fs;

use crate::stub::{SECRET, Stub};

fn policy() -> Value {
    json!({
        "rules": [
            {"scheme": "https", "host": "api.shop.example", "port": 443, "methods": [], "path_prefix": "/v1/",
             "placement": {"header": "authorization", "scheme": "Bearer"}, "allow_private": false, "allow_foreign": false},
            {"scheme": "http", "host": "vault", "port": 8200, "methods": ["GET", "PUT"], "path_prefix": "/",
             "placement": {"json": "/auth/key"}, "allow_private": true, "allow_foreign": true},
        ],
        "broker_only": true, "source": "own",
    })
}

#[test]
fn a_policy_is_shown_rule_by_rule() {
    let stub = Stub::new();
    stub.say_with(200, ("etag", "\"abc\""), policy());
    let shown = stub.run(&["secrets", "policy", SECRET]);
    for said in [
        "set for this secret",
        "yes, in no run's environment",
        "\"abc\"",
        "https://api.shop.example/v1/",
        "any",
        "header authorization: Bearer …",
        "http://vault:8200/",
        "GET, PUT",
        "JSON /auth/key",
        "private addresses, other credentials",
    ] {
        assert!(shown.done().contains(said), "{said}: {}", shown.stdout);
    }
    assert_eq!(stub.one().line(), format!("GET /v2/credentials/{SECRET}/policy"));
    stub.say(200, json!({"rules": [], "broker_only": false, "source": "none"}));
    let none = stub.run(&["secrets", "policy", SECRET]);
    assert!(none.done().contains("can't be used through the broker"), "{}", none.stdout);
}

#[test]
fn what_is_in_the_file_is_sent_with_the_values_that_are_given() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.json");
    let file = path.to_str().unwrap();
    let sent = |written: &Value, more: &[&str]| {
        let stub = Stub::new();
        stub.say(200, policy());
        fs::write(&path, written.to_string()).unwrap();
        stub.run(&[&["secrets", "set-policy", SECRET, "--file", file], more].concat()).done();
        let seen = stub.one();
        assert!(seen.header("idempotency-key").is_some());
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str()),
            ("PUT", format!("/v2/credentials/{SECRET}/policy").as_str())
        );
        serde_json::from_str::<Value>(&seen.body).unwrap()
    };
    let rules = policy()["rules"].clone();
    assert_eq!(sent(&json!({"rules": []}), &[]), json!({"rules": [], "broker_only": false}));
    assert_eq!(sent(&policy(), &[]), json!({"rules": rules, "broker_only": true}), "as it was shown");
    let loosened = sent(&json!({"rules": rules}), &["--value", "A==1"]);
    assert_eq!(loosened, json!({"rules": rules, "broker_only": false, "values": {"A": "1"}}));
}

#[test]
fn a_file_that_is_no_policy_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.json");
    let (stub, file) = (Stub::new(), path.to_str().unwrap());
    let set = ["secrets", "set-policy", SECRET, "--file", file];
    for written in [
        "",
        "[]",
        "{}",
        "{\"rules\": 1}",
        "{\"rules\": [], \"broker-only\": true}",
        "{\"rules\": [], \"hunter2\": 1}",
    ] {
        fs::write(&path, written).unwrap();
        let refused = stub.run(&set);
        assert!(refused.refusal().contains("isn't a policy"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
    let both = stub.run(&["secrets", "set-policy", SECRET, "--file", "-", "--value", "A=-"]);
    assert!(both.refusal().contains("standard input"), "{}", both.stderr);
    let absent = stub.run(&["secrets", "set-policy", SECRET, "--file", "/nowhere/policy.json"]);
    assert!(absent.refusal().contains("can't be read"), "{}", absent.stderr);
    assert_eq!(stub.seen().len(), 0);
}
