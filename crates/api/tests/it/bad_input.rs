//! Whatever is malformed gets its 4xx, quickly, with what to do about it, and
//! never a piece of what was sent. (Every answer is searched for canaries.)

use reqwest::Method;
use serde_json::json;

use crate::support::{CANARY, TestApp, canary};

/// A body, and what its message must say.
fn malformed() -> Vec<(String, &'static str)> {
    let value = json!(canary("v")).to_string();
    let fields = |values: &str| format!(r#"{{"name": "n", "values": {values}}}"#);
    vec![
        (String::new(), "not valid JSON"),
        ("\u{feff}{}".into(), "not valid JSON"),
        (CANARY.into(), "not valid JSON"),
        (value.clone(), "the body must be an object"),
        (format!("[{value}]"), "the body must be an object"),
        ("null".into(), "the body must be an object"),
        (format!(r#"{{"name": {value}"#), "not valid JSON"),
        (format!(r#"{{"name": {value},}}"#), "not valid JSON"),
        (format!(r#"{{"name": 'n', "values": {{}}}} {value}"#), "not valid JSON"),
        (format!(r#"{{"name": "n", "values": {{}}}} {value}"#), "not valid JSON"),
        (format!(r#"{{"values": {{"K": {value}}}}}"#), "`name`: is required"),
        (r#"{"name": "n"}"#.into(), "`values`: is required"),
        (format!(r#"{{"name": {{"a": {value}}}, "values": {{}}}}"#), "`name`: must be a string"),
        (r#"{"name": "", "values": {}}"#.into(), "`name`: must be 1 to 128 characters"),
        (
            format!(r#"{{"name": "{}", "values": {{}}}}"#, CANARY.repeat(13)),
            "`name`: must be 1 to 128 characters",
        ),
        (r#"{"name": null, "values": {}}"#.into(), "`name`: must be a string"),
        (fields(&value), "`values`: must be an object of names and strings"),
        (fields(&format!("[{value}]")), "`values`: must be an object of names and strings"),
        (fields("null"), "`values`: must be an object of names and strings"),
        (fields(&format!(r#"{{{value}: "K"}}"#)), "`values`, entry 1: must match ^[A-Z_]"),
        (fields(&format!(r#"{{"A": "x", "b": {value}}}"#)), "`values`, entry 2: must match ^[A-Z_]"),
        (fields(r#"{"A": "x", "B": 7}"#), "`values`, entry 2: must be a string"),
        (fields(r#"{"A": ""}"#), "`values`, entry 1: must be a string of 1 to 65,536"),
        (
            fields(&format!(r#"{{"A": "{CANARY}{}"}}"#, "v".repeat(65_536))),
            "`values`, entry 1: must be a string of 1",
        ),
        (fields(&format!(r#"{{"A": {{"{CANARY}": 1}}}}"#)), "`values`, entry 1: must be a string"),
        (fields(&format!(r#"{{"A": {value}, "A": {value}}}"#)), "the same key twice"),
        (format!(r#"{{"name": "n", "values": {{}}, "name": {value}}}"#), "the same key twice"),
        (
            format!(r#"{{"name": "n", "values": {{}}, "x": {{"{CANARY}": 1, "{CANARY}": 2}}}}"#),
            "the same key twice",
        ),
        (fields(&format!(r#"{{"A": "{CANARY}\u0000"}}"#)), "NUL"),
        (r#"{"name": "a\u0000b", "values": {}}"#.into(), "NUL"),
        (r#"{"name": "n", "values": {}, "x\u0000": 1}"#.into(), "NUL"),
        (fields(&format!(r#"{{"A": "{CANARY}\ud800"}}"#)), "not valid JSON"),
        (fields(&format!(r#"{{"A": "{CANARY}\udc00\ud800"}}"#)), "not valid JSON"),
        (fields(&format!("{{\"A\": \"{CANARY}\u{1}\"}}")), "not valid JSON"),
        (
            format!(r#"{{"name": "n", "values": {{}}, "service_slug": ["{CANARY}"]}}"#),
            "`service_slug`: must be a string",
        ),
        (
            r#"{"name": "n", "values": {}, "service_slug": ""}"#.into(),
            "`service_slug`: must be null, or 1 to 64",
        ),
        (format!(r#"{{"name": "n", "values": {{}}, "shared": {value}}}"#), "`shared`: must be a boolean"),
        (r#"{"name": "n", "values": {}, "shared": null}"#.into(), "`shared`: must be a boolean"),
        (r#"{"name": "n", "values": {}, "shared": 1}"#.into(), "`shared`: must be a boolean"),
        (r#"{"name": "n", "values": {}, "x": 1e999}"#.into(), "not valid JSON"),
        (fields(&("[".repeat(17) + &"]".repeat(17))), "16 deep"),
        (fields(&"[".repeat(100_000)), "16 deep"),
        (fields(&r#"{"a":"#.repeat(100_000)), "16 deep"),
    ]
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_what_to_do() {
    let app = TestApp::new().await;
    for (body, says) in malformed() {
        let answer = app.owner().post("/v1/credentials", body.clone()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{shown}");
        assert!(answer.body.contains(says), "{shown} → {}", answer.body);
    }
    assert_eq!(app.owner().get("/v1/credentials").await.body, "[]", "nothing was half-written");
}

#[tokio::test]
async fn too_much_is_refused_as_such() {
    let app = TestApp::new().await;
    let many: Vec<String> = (0..200_000).map(|i| format!(r#""K{i}":"v""#)).collect();
    let nulls = format!(r#"{{"x": [{}1]}}"#, "1,".repeat(500_000));
    for body in
        [format!(r#"{{"name": "n", "values": {{{}}}}}"#, many.join(",")), nulls, " ".repeat((2 << 20) + 1)]
    {
        let answer = app.owner().post("/v1/credentials", body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "too_large"));
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let app = TestApp::new().await;
    let body = r#"{"name": "n", "values": {}, "more": {"a": [1, -2, 3.5, true, null]}, "id": 7}"#;
    assert_eq!(app.owner().post("/v1/credentials", body).await.status, 201);
}

#[tokio::test]
async fn unknown_fields_are_refused_when_asked_for() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let post = |body: String, prefer: &str| {
        let request =
            owner.request(Method::POST, "/v1/credentials").header("content-type", "application/json");
        request.header("prefer", prefer).body(body)
    };
    let known = r#"{"name": "n", "values": {"A": "v"}, "service_slug": null, "shared": false}"#;
    let unknown = format!(r#"{{"name": "n", "values": {{}}, "{CANARY}": 1}}"#);
    assert_eq!(owner.send(post(known.into(), "handling=strict")).await.status, 201);
    let refused = owner.send(post(unknown.clone(), "respond-async, Handling=Strict")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"));
    assert_eq!(owner.send(post(unknown, "handling=lenient")).await.status, 201);
}

#[tokio::test]
async fn a_dry_run_that_is_neither_yes_nor_no_is_refused_rather_than_done() {
    let app = TestApp::new().await;
    let body = r#"{"name": "n", "values": {}}"#;
    for query in ["dry_run", "dry_run=1", "dry_run=TRUE", "dry_run=yes", "dry_run=true&dry_run=false"] {
        let refused = app.owner().post(&format!("/v1/credentials?{query}"), body).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"), "{query}");
    }
    assert_eq!(app.owner().get("/v1/credentials").await.body, "[]");
    assert_eq!(app.owner().post("/v1/credentials?dry_run=false&x=dry_run", body).await.status, 201);
}

#[tokio::test]
async fn compressed_bodies_are_refused_as_such() {
    let app = TestApp::new().await;
    let owner = app.owner();
    for (encoding, status) in [("gzip", 415), ("br, gzip", 415), ("identity", 201)] {
        let request =
            owner.request(Method::POST, "/v1/credentials").header("content-type", "application/json");
        let request = request.header("content-encoding", encoding).body(r#"{"name": "n", "values": {}}"#);
        assert_eq!(owner.send(request).await.status, status, "{encoding}");
    }
}

#[tokio::test]
async fn only_json_is_taken() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let post = || owner.request(Method::POST, "/v1/credentials").body(r#"{"name": "n", "values": {}}"#);
    for (content_type, status) in [
        ("application/json", 201),
        ("Application/JSON; charset=UTF-8", 201),
        ("application/json;charset=\"utf-8\"", 201),
        ("application/json; charset=latin1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
        ("", 415),
    ] {
        let answer = owner.send(post().header("content-type", content_type)).await;
        assert_eq!(answer.status, status, "{content_type}");
    }
    let none = owner.send(post()).await;
    assert_eq!((none.status.as_u16(), none.code().as_str()), (415, "unsupported_media_type"));
    let two = post().header("content-type", "application/json").header("content-type", "text/plain");
    assert_eq!(owner.send(two).await.status, 415);
}

#[tokio::test]
async fn malformed_ids_are_400_and_unknown_paths_404() {
    let app = TestApp::new().await;
    for id in [
        "x",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "%ff",
        "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d%20",
        "{id}",
        CANARY,
    ] {
        for path in [
            format!("/v1/credentials/{id}"),
            format!("/v2/credentials/{id}"),
            format!("/v2/teams/{id}/credentials"),
        ] {
            let answer = app.owner().get(&path).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{path}");
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/credentials/",
        "/v3/credentials",
        "/V1/credentials",
        "/v1/Credentials",
        "//v1/credentials",
    ] {
        let answer = app.owner().get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_there_are() {
    let app = TestApp::new().await;
    for (method, path, allowed) in [
        (Method::PUT, "/v1/credentials", "GET,HEAD,POST"),
        (Method::DELETE, "/v1/credentials", "GET,HEAD,POST"),
        (Method::OPTIONS, "/v1/credentials", "GET,HEAD,POST"),
        (Method::TRACE, "/v1/credentials", "GET,HEAD,POST"),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/credentials", "GET,HEAD,POST"),
        (Method::POST, "/v1/credentials/019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d", "DELETE,GET,HEAD,PATCH"),
    ] {
        let owner = app.owner();
        let answer = owner.send(owner.request(method.clone(), path)).await;
        assert_eq!(answer.status, 405, "{method}");
        let mut methods: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{method}");
        assert_eq!(answer.code(), "method_not_allowed");
    }
}
