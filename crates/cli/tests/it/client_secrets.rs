//! `strongroom secrets`: what each verb sends, and what a person is shown.

use serde_json::{Value, json};

use crate::stub::{OTHER, SECRET, Stub, TEAM, secret};

/// Runs a verb that is answered with a secret; what it sent.
fn sent(args: &[&str]) -> (String, Value) {
    let stub = Stub::new();
    stub.say(200, secret("Mail"));
    stub.run_in_team(args).done();
    let seen = stub.one();
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {}", stub.key).as_str()));
    let is_change = seen.method != "GET";
    assert_eq!(seen.header("idempotency-key").is_some(), is_change, "{args:?}");
    if !seen.body.is_empty() {
        assert_eq!(seen.header("content-type"), Some("application/json"));
    }
    (seen.line(), serde_json::from_str(&seen.body).unwrap_or_default())
}

#[test]
fn get_and_create() {
    let get = sent(&["secrets", "get", SECRET]);
    assert_eq!(get, (format!("GET /v2/credentials/{SECRET}"), Value::Null));
    let create = sent(&["secrets", "create", "--name", "Mail"]);
    let expected = json!({"name": "Mail", "values": {}, "shared": false});
    assert_eq!(create, (format!("POST /v2/teams/{TEAM}/credentials"), expected));
    let args = [
        "secrets",
        "create",
        "--name",
        "é",
        "--value",
        "B=1",
        "--value",
        "A=2",
        "--service-slug",
        "s",
        "--shared",
        "--dry-run",
    ];
    let (line, body) = sent(&args);
    assert_eq!(line, format!("POST /v2/teams/{TEAM}/credentials?dry_run=true"));
    assert_eq!(
        body,
        json!({"name": "é", "values": {"B": "1", "A": "2"}, "service_slug": "s", "shared": true})
    );
}

#[test]
fn update_sends_what_is_to_change_and_nothing_else() {
    let update = |args: &[&str]| {
        let (line, body) = sent(&[&["secrets", "update", SECRET], args].concat());
        assert_eq!(line, format!("PATCH /v2/credentials/{SECRET}"));
        body
    };
    assert_eq!(update(&["--name", "New"]), json!({"name": "New"}));
    assert_eq!(update(&["--service-slug", "s"]), json!({"service_slug": "s"}));
    assert_eq!(update(&["--clear-service-slug"]), json!({"service_slug": null}));
    assert_eq!(update(&["--shared"]), json!({"shared": true}));
    assert_eq!(update(&["--personal"]), json!({"shared": false}));
    assert_eq!(update(&["--set", "A=1", "--set", "B==@2"]), json!({"add_values": {"A": "1", "B": "@2"}}));
    assert_eq!(update(&["--remove", "A", "--remove", "B"]), json!({"remove_keys": ["A", "B"]}));
    assert_eq!(update(&["--rename", "A=B"]), json!({"rename_keys": {"A": "B"}}));
    assert_eq!(update(&["--replace", "--set", "A=1"]), json!({"values": {"A": "1"}}));
    let all = ["--rename", "A=B", "--remove", "C", "--set", "D=1", "--name", "n", "--personal"];
    let expected = json!({
        "rename_keys": {"A": "B"}, "remove_keys": ["C"], "add_values": {"D": "1"}, "name": "n", "shared": false,
    });
    assert_eq!(update(&all), expected);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
    let stub = Stub::new();
    for (args, code) in [
        (&[][..], 1),
        (&["--replace"], 1),
        (&["--rename", "A"], 1),
        (&["--rename", "A=b"], 1),
        (&["--rename", "A=B", "--rename", "A=C"], 1),
        (&["--remove", "a"], 1),
        (&["--set", "A"], 1),
        (&["--replace", "--set", "A=1", "--remove", "B"], 64),
        (&["--shared", "--personal"], 64),
        (&["--service-slug", "s", "--clear-service-slug"], 64),
        (&["--idempotency-key", "käse"], 64),
        (&["--idempotency-key", ""], 64),
        (&["--idempotency-key", "deploy 7"], 64),
    ] {
        let ended = stub.run(&[&["secrets", "update", SECRET], args].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{args:?}: {}", ended.stderr);
    }
    let malformed = stub.run(&["secrets", "get", "mail"]);
    assert_eq!(malformed.code, Some(64), "{}", malformed.stderr);
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn delete_and_what_brings_things_back() {
    let delete = sent(&["secrets", "delete", SECRET, "-y"]);
    assert_eq!(delete, (format!("DELETE /v2/credentials/{SECRET}"), Value::Null));
    let rollback = sent(&["secrets", "rollback", SECRET, "--version", "3", "--yes"]);
    assert_eq!(rollback, (format!("POST /v2/credentials/{SECRET}/rollback"), json!({"version": 3})));
    let undelete = sent(&["secrets", "undelete", SECRET]);
    assert_eq!(undelete, (format!("POST /v2/credentials/{SECRET}/undelete"), Value::Null));
    let copy = sent(&["secrets", "copy", SECRET, "--name", "Copy", "--shared"]);
    let expected = json!({"name": "Copy", "shared": true});
    assert_eq!(copy, (format!("POST /v2/credentials/{SECRET}/copy"), expected));
}

#[test]
fn conditions_and_names_for_changes_cross_the_wire() {
    let stub = Stub::new();
    for (given, sent) in [("abc", "\"abc\""), ("\"abc\"", "\"abc\""), ("*", "*")] {
        stub.say(200, secret("Mail"));
        let args = ["--name", "n", "--if-match", given, "--idempotency-key", "deploy-7"];
        stub.run(&[&["secrets", "update", SECRET], &args[..]].concat()).done();
        let seen = stub.one();
        assert_eq!(seen.header("if-match"), Some(sent));
        assert_eq!(seen.header("idempotency-key"), Some("deploy-7"));
    }
    stub.say(200, json!({"success": true}));
    let dry = stub.run(&["secrets", "delete", SECRET, "--if-match", "abc", "--dry-run"]);
    assert!(dry.done().is_empty() && dry.stderr.contains("a dry run; nothing was changed"), "{}", dry.stderr);
    let seen = stub.one();
    assert_eq!((seen.query.as_str(), seen.header("if-match")), ("dry_run=true", Some("\"abc\"")));
}

#[test]
fn versions_and_comparisons_are_tables() {
    let stub = Stub::new();
    let version = |number: u8, current: bool| {
        json!({"number": number, "current": current, "env_var_keys": ["A", "B"], "created_by": OTHER,
               "created_at": "2026-11-07T05:31:56.000Z"})
    };
    stub.say(200, json!([version(1, false), version(2, true)]));
    let versions = stub.run(&["secrets", "versions", SECRET]);
    assert_eq!(
        versions.done(),
        format!(
            "VERSION  CREATED (UTC)     KEYS  BY\n1        2026-11-07 05:31  A, B  {OTHER}\n2 *      2026-11-07 05:31  A, B  {OTHER}\n\n* the present one\n"
        )
    );
    assert_eq!(stub.one().line(), format!("GET /v2/credentials/{SECRET}/versions"));
    stub.say(200, json!({"keys": {"A": "same", "B": "different", "C": "only_a", "D": "only_b"}}));
    let compared = stub.run_in_team(&["secrets", "compare", SECRET, OTHER]);
    assert_eq!(
        compared.done(),
        "KEY  VALUES\nA    same\nB    different\nC    only in the first\nD    only in the second\n"
    );
    let seen = stub.one();
    assert_eq!(seen.line(), format!("POST /v2/teams/{TEAM}/credentials/compare"));
    assert_eq!(seen.json(), json!({"a": SECRET, "b": OTHER}));
}

#[test]
fn a_secret_is_shown_whole_with_its_version_tag() {
    let stub = Stub::new();
    stub.say_with(200, ("etag", "\"v1-abc\""), secret("Mail"));
    let shown = stub.run(&["secrets", "get", SECRET]);
    for line in [
        &format!("id           {SECRET}"),
        "name         Mail",
        "access       personal",
        "service      -",
        "keys         SMTP_USER",
        "version tag  \"v1-abc\"",
    ] {
        assert!(shown.done().lines().any(|shown| shown == line), "{line}: {}", shown.stdout);
    }
}

#[test]
fn a_list_without_a_limit_follows_every_page() {
    let stub = Stub::new();
    let page = |name: &str| format!("[ {} ]", secret(name));
    let next = |cursor: &str| {
        format!(
            "</v1/x?a=1>; rel=\"prev\", </v1/credentials?limit=2&search=a%20b&cursor={cursor}>; rel=\"next\""
        )
    };
    stub.say_with(200, ("link", &next("c%2B1")), page("one"));
    stub.say_with(200, ("link", &next("c,2")), page("two"));
    stub.say(200, page("three"));
    let listed = stub.run_in_team(&["secrets", "list", "--search", "a b", "--service-slug", "s&t"]);
    assert_eq!(listed.done().lines().count(), 4, "{}", listed.stdout);
    let lines: Vec<_> = stub.seen().iter().map(crate::stub::Seen::line).collect();
    let path = format!("GET /v2/teams/{TEAM}/credentials");
    assert_eq!(
        lines,
        [
            format!("{path}?search=a+b&service_slug=s%26t"),
            format!("{path}?limit=2&search=a+b&cursor=c%2B1"),
            format!("{path}?limit=2&search=a+b&cursor=c%2C2"),
        ]
    );
}

#[test]
fn pages_together_are_one_array_of_what_the_server_wrote() {
    let stub = Stub::new();
    stub.say_with(200, ("link", "<https://evil.example/v1/x?cursor=2>; rel=\"next\""), "[{\"a\" : 1.0}]\n");
    stub.say(200, "[{\"b\":\"\\u00e9\"} , 3]");
    let listed = stub.run_in_team(&["secrets", "list", "--json"]);
    assert_eq!(listed.done(), "[{\"a\" : 1.0},{\"b\":\"\\u00e9\"},3]\n");
    assert_eq!(stub.seen()[1].line(), format!("GET /v2/teams/{TEAM}/credentials?cursor=2"));
}

#[test]
fn a_list_without_end_is_noticed() {
    let stub = Stub::new();
    for _ in 0..2 {
        stub.say_with(200, ("link", "</v1/credentials?cursor=2>; rel=\"next\""), "[]");
    }
    assert!(stub.run_in_team(&["secrets", "list"]).refusal().contains("has no end"));
}

#[test]
fn a_limit_is_one_page_and_says_that_there_is_more() {
    let stub = Stub::new();
    let listed = json!([secret("one")]);
    stub.say_with(200, ("link", "</v1/credentials?cursor=2>; rel=\"next\""), &listed);
    let first = stub.run_in_team(&["secrets", "list", "--limit", "1"]);
    assert!(first.done().contains("one") && first.stderr.contains("there are more"), "{}", first.stderr);
    assert_eq!(stub.one().query, "limit=1");
    stub.say(200, "[]");
    let none = stub.run_in_team(&["secrets", "list"]);
    assert!(none.done().is_empty() && none.stderr.starts_with("No secrets here."), "{}", none.stderr);
}
