//! Whatever is malformed gets its 4xx, quickly, with what to do about it, and
//! never a piece of what was sent. (Every answer is searched for canaries.)

use reqwest::Method;
use serde_json::{Value, json};

use crate::agents::{Place, agent, secret, start};
use crate::people::{contents, in_millis, made, settled, team};
use crate::support::{CANARY, Caller, TestApp, canary};

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

/// An id that is well formed.
const ID: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";

/// A change of agents or runs: its method and path, a good body, and a field of that with values that aren't.
struct Taken {
    what: (Method, String),
    good: Value,
    bad: Vec<(&'static str, Value, &'static str)>,
}

/// A field of a name.
fn misnamed(field: &'static str) -> Vec<(&'static str, Value, &'static str)> {
    let named = |value, says| (field, value, says);
    vec![
        named(json!(null), "must be a string"),
        named(json!(7), "must be a string"),
        named(json!([CANARY]), "must be a string"),
        named(json!(""), "must be 1 to 128 characters"),
        named(json!(CANARY.repeat(13)), "must be 1 to 128 characters"),
        named(json!(format!("{CANARY}\u{0}")), "NUL"),
    ]
}

/// A field of an id.
fn misidentified(field: &'static str) -> Vec<(&'static str, Value, &'static str)> {
    let not_strings = [json!(null), json!(7), json!([ID]), json!({"id": ID})];
    let not_ids =
        [json!(""), json!(CANARY), json!(ID[1..]), json!(format!(" {ID}")), json!(format!("{{{ID}}}"))];
    let refused = not_strings.into_iter().map(|value| (field, value, "must be a string"));
    refused.chain(not_ids.into_iter().map(|value| (field, value, "must be a UUID"))).collect()
}

/// A field of a lease.
fn misleased() -> Vec<(&'static str, Value, &'static str)> {
    let values =
        [json!(9), json!(604_801), json!(0), json!(-60), json!(60.5), json!(1e3), json!("60"), json!(null)];
    values.map(|value| ("ttl_seconds", value, "10 to 604800")).into()
}

/// The fields of a new run.
fn mistaken_runs() -> Vec<(&'static str, Value, &'static str)> {
    let mut bad = [misidentified("agent_id"), misidentified("build_id"), misleased()].concat();
    bad.extend([
        ("mode", json!("Inject"), "must be one of inject, broker"),
        ("mode", json!(CANARY), "must be one of inject, broker"),
        ("mode", json!(null), "must be a string"),
        ("strict", json!("true"), "must be a boolean"),
        ("strict", json!(1), "must be a boolean"),
        ("strict", json!(null), "must be a boolean"),
        ("note", json!(""), "must be 1 to 512 characters"),
        ("note", json!(CANARY.repeat(52)), "must be 1 to 512 characters"),
        ("note", json!(format!("{CANARY}\u{0}")), "NUL"),
        ("note", json!(null), "must be a string"),
        ("message", json!(CANARY), "Strongroom executes nothing"),
        ("message", json!({"text": CANARY}), "Strongroom executes nothing"),
        ("sandbox_id", json!(ID), "Strongroom executes nothing"),
        ("webhook_url", json!("https://example.com"), "Strongroom executes nothing"),
    ]);
    bad
}

/// The fields of a panic.
fn mistaken_panics() -> Vec<(&'static str, Value, &'static str)> {
    let two = ["agent_id", "key_id", "user_id"].map(|field| (field, json!(ID), "exactly one of"));
    [
        misidentified("run_id"),
        misidentified("agent_id"),
        misidentified("key_id"),
        misidentified("user_id"),
        two.into(),
    ]
    .concat()
}

/// Whatever takes a body of agents or runs.
fn taken(app: &TestApp, place: &Place, secret: &str) -> Vec<Taken> {
    let taken = |method, path, good, bad| Taken { what: (method, path), good, bad };
    let named = json!({"name": "n"});
    vec![
        taken(Method::POST, team(app, "/agents"), named.clone(), misnamed("name")),
        taken(Method::PATCH, format!("/v2/agents/{}", place.agent), named.clone(), misnamed("name")),
        taken(Method::POST, format!("/v2/agents/{}/revisions", place.agent), named, misnamed("name")),
        taken(
            Method::POST,
            format!("/v2/revisions/{}/promote", place.build),
            json!({}),
            misnamed("revision_name"),
        ),
        taken(
            Method::POST,
            place.path("/credentials"),
            json!({"credentialId": secret}),
            misidentified("credentialId"),
        ),
        taken(
            Method::POST,
            place.path("/credentials").replace("/v2/", "/v1/"),
            json!({"credentialId": secret}),
            misidentified("credentialId"),
        ),
        taken(Method::POST, team(app, "/runs"), json!({"agent_id": place.agent}), mistaken_runs()),
        taken(Method::POST, team(app, "/panic"), json!({"run_id": ID}), mistaken_panics()),
    ]
}

/// Bodies that no operation takes, and what their message says.
fn taken_by_none(good: &Value) -> Vec<(String, &'static str)> {
    let fields = good.to_string();
    let fields = fields.trim_matches(['{', '}']);
    vec![
        (String::new(), "not valid JSON"),
        (CANARY.into(), "not valid JSON"),
        ("[]".into(), "the body must be an object"),
        ("null".into(), "the body must be an object"),
        (json!(CANARY).to_string(), "the body must be an object"),
        (good.to_string() + CANARY, "not valid JSON"),
        (format!(r#"{{"x": 1, "{CANARY}": 1, "{CANARY}": 2}}"#), "the same key twice"),
        (format!(r#"{{"x": {}}}"#, "[".repeat(17) + &"]".repeat(17)), "16 deep"),
        (format!(r#"{{{fields}{}"x": "{CANARY}\u0000"}}"#, if fields.is_empty() { "" } else { "," }), "NUL"),
    ]
}

async fn refused(caller: &Caller, (method, path): &(Method, String), body: String, says: &str) {
    let request = caller.request(method.clone(), path).header("content-type", "application/json");
    let answer = caller.send(request.body(body.clone())).await;
    let shown = format!("{path} {}", body.chars().take(80).collect::<String>());
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{shown}");
    assert!(answer.body.contains(says), "{shown} → {}", answer.body);
}

#[tokio::test]
async fn malformed_bodies_about_agents_and_runs_change_nothing() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let id = secret(&owner, true, json!({"K": canary("v")})).await;
    let run = start(&app, &owner, &place).await;
    let extension =
        Taken { what: (Method::POST, "/v2/run/extend".into()), good: json!({}), bad: misleased() };
    let before = contents(&app);
    let by_key = taken(&app, &place, &id).into_iter().map(|taken| (&owner, taken));
    for (caller, Taken { what, good, bad }) in by_key.chain([(&run.caller, extension)]) {
        for (body, says) in taken_by_none(&good) {
            refused(caller, &what, body, says).await;
        }
        for required in good.as_object().unwrap().keys().filter(|key| *key != "run_id") {
            refused(caller, &what, "{}".into(), &format!("`{required}`: is required")).await;
        }
        for (field, value, says) in bad {
            let mut body = good.clone();
            body[field] = value;
            refused(caller, &what, body.to_string(), says).await;
        }
    }
    refused(&owner, &(Method::POST, team(&app, "/panic")), "{}".into(), "exactly one of").await;
    assert_eq!(contents(&app), before);
}

#[tokio::test]
async fn what_nobody_knows_about_agents_and_runs_is_refused_when_asked_for() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let id = secret(&owner, true, json!({"K": canary("v")})).await;
    let run = start(&app, &owner, &place).await;
    for Taken { what: (method, path), mut good, .. } in taken(&app, &place, &id) {
        if path.ends_with("/panic") {
            good = json!({"run_id": run.id});
        }
        good[CANARY] = json!({"more": [1, -2, 3.5, true, null]});
        let send = async |prefer: &str| {
            let request = owner.request(method.clone(), &format!("{path}?dry_run=true"));
            let request = request.header("content-type", "application/json").header("prefer", prefer);
            owner.send(request.body(good.to_string())).await
        };
        assert!(send("handling=lenient").await.status.is_success(), "{path}");
        let strict = send("handling=strict").await;
        assert_eq!((strict.status.as_u16(), strict.code().as_str()), (400, "invalid_request"), "{path}");
    }
}

#[tokio::test]
async fn what_a_run_is_for_may_be_said_in_full() {
    let app = settled().await;
    let place = agent(&app).await;
    let body = json!({
        "agent_id": place.agent.to_uppercase(), "build_id": place.build, "mode": "inject", "ttl_seconds": 10,
        "strict": true, "note": "é".repeat(512),
    });
    let request = app.owner().request(Method::POST, &team(&app, "/runs")).header("prefer", "handling=strict");
    let request = request.header("content-type", "application/json").body(body.to_string());
    let run = made(&app.owner().send(request).await)["run"].clone();
    assert_eq!(
        json!([run["agent_id"], run["build_id"], run["mode"], run["strict"], run["note"], run["expires_at"]]),
        json!([place.agent, place.build, "inject", true, "é".repeat(512), in_millis(&app, 10_000)])
    );
}

#[tokio::test]
async fn queries_of_agents_and_runs_are_read_or_refused() {
    let app = settled().await;
    let place = agent(&app).await;
    let revisions = format!("/v2/agents/{}/revisions", place.agent);
    for path in [team(&app, "/agents"), team(&app, "/runs"), revisions] {
        for query in ["limit=0", "limit=201", "limit=x", "limit=", "offset=-1", "offset=x", "limit=1&limit=2"]
        {
            let answer = app.owner().get(&format!("{path}?{query}")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (400, "invalid_request"),
                "{path} {query}"
            );
        }
        for query in ["limit=1", "limit=200", "offset=2147483647", "x=y"] {
            assert_eq!(app.owner().get(&format!("{path}?{query}")).await.status, 200, "{path} {query}");
        }
    }
    for query in ["agent_id=", "agent_id=x", &format!("agent_id={ID}&agent_id={ID}")] {
        let answer = app.owner().get(&format!("{}?{query}", team(&app, "/runs"))).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{query}");
    }
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
