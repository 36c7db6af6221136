//! Requests to fill in a secret, on the wire: what a program asks for, what it is
//! told, and that it is told nothing else.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::{Role, Scopes};

use crate::agents::{agent, builder, start};
use crate::people::{at_once, contents, in_millis, made, refusal, settled, team, text};
use crate::support::{Answer, Caller, NOTHING, TestApp, assert_clean};

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// The least that can be asked for.
fn least() -> Value {
    json!({"name": "Stripe", "env_var_keys": ["STRIPE_API_KEY"]})
}

async fn ask(app: &TestApp, caller: &Caller, body: Value) -> Answer {
    caller.post(&team(app, "/fill-requests"), body.to_string()).await
}

async fn asked(app: &TestApp, caller: &Caller) -> Value {
    made(&ask(app, caller, least()).await)
}

fn one(app: &TestApp, request: &Value) -> String {
    team(app, &format!("/fill-requests/{}", text(request, "id")))
}

async fn status(app: &TestApp, caller: &Caller, request: &Value) -> String {
    let answer = caller.get(&one(app, request)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    text(&answer.json(), "status").to_owned()
}

fn rows(app: &TestApp) -> u32 {
    app.database().query_row("SELECT count(*) FROM fill_requests", NOTHING, |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_request_is_answered_with_its_link() {
    let app = TestApp::new().await;
    let body = json!({
        "name": "Stripe", "service_slug": "stripe", "env_var_keys": ["STRIPE_API_KEY", "STRIPE_ACCOUNT"],
        "note": "to send the invoices", "expires_in": 3_600,
    });
    let answer = ask(&app, &app.owner(), body).await;
    let request = made(&answer);
    let (before, token) = text(&request, "url").rsplit_once('/').unwrap();
    assert_eq!(before, format!("{}/fill", app.owner().url));
    assert!(token.starts_with("srl_"));
    insta::assert_snapshot!(answer.body.replace(text(&request, "url"), "http://…/fill/srl_…"));
    let shown = app.owner().get(&one(&app, &request)).await;
    assert_eq!(shown.header("etag"), answer.header("etag"));
    let mut expected = request.clone();
    expected.as_object_mut().unwrap().remove("url");
    assert_eq!(shown.json(), expected, "the same but for its link");
    let listed = app.owner().get(&team(&app, "/fill-requests")).await;
    assert_eq!(listed.json(), json!({"fill_requests": [expected]}));
    assert!(!listed.body.contains("srl_") && !shown.body.contains("srl_"));
}

#[tokio::test]
async fn what_is_not_said_is_nothing_or_a_day() {
    let app = settled().await;
    let request = asked(&app, &app.owner()).await;
    let expected = json!({
        "id": request["id"], "status": "open", "name": "Stripe", "service_slug": null,
        "env_var_keys": ["STRIPE_API_KEY"], "note": null, "created_at": in_millis(&app, 0),
        "expires_at": in_millis(&app, DAY), "url": request["url"],
    });
    assert_eq!(request, expected);
    for (seconds, end) in [(60, 60_000), (604_800, 7 * DAY)] {
        let mut body = least();
        body["expires_in"] = seconds.into();
        assert_eq!(made(&ask(&app, &app.owner(), body).await)["expires_at"], in_millis(&app, end));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_field() {
    let app = settled().await;
    let before = contents(&app);
    let many: Vec<_> = (0..33).map(|at| format!("K{at}")).collect();
    for (field, value, says) in [
        ("name", json!(""), "1 to 128"),
        ("name", json!("x".repeat(129)), "1 to 128"),
        ("name", json!("a\0hunter2"), "NUL"),
        ("name", json!(null), "`name`"),
        ("env_var_keys", json!([]), "1 to 32 values"),
        ("env_var_keys", json!(many), "1 to 32 values"),
        ("env_var_keys", json!(["A", "B", "A"]), "a name is asked for twice"),
        ("env_var_keys", json!(["hunter2"]), "env_var_keys"),
        ("env_var_keys", json!(["A=B"]), "env_var_keys"),
        ("env_var_keys", json!("A"), "env_var_keys"),
        ("env_var_keys", json!(null), "env_var_keys"),
        ("service_slug", json!(""), "1 to 64"),
        ("note", json!(""), "1 to 512"),
        ("note", json!("x".repeat(513)), "1 to 512"),
        ("expires_in", json!(59), "60 to 604800"),
        ("expires_in", json!(604_801), "60 to 604800"),
        ("expires_in", json!(-60), "60 to 604800"),
        ("expires_in", json!(60.5), "60 to 604800"),
        ("expires_in", json!("60"), "60 to 604800"),
        ("expires_in", json!(null), "60 to 604800"),
        ("expires_in", json!(u64::MAX), "60 to 604800"),
    ] {
        let mut body = least();
        body[field] = value;
        let answer = ask(&app, &app.owner(), body.clone()).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{body}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{body}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    for missing in ["name", "env_var_keys"] {
        let mut body = least();
        body.as_object_mut().unwrap().remove(missing);
        let answer = ask(&app, &app.owner(), body).await;
        assert!(answer.body.contains(&format!("`{missing}`: is required")), "{}", answer.body);
    }
    assert_eq!(contents(&app), before);
}

#[tokio::test]
async fn who_is_strict_hears_of_fields_that_nobody_knows() {
    let app = TestApp::new().await;
    let mut body = least();
    body["values"] = json!({"STRIPE_API_KEY": "x"});
    let owner = app.owner();
    let strict = async |body: &Value| {
        let request = owner.request(Method::POST, &team(&app, "/fill-requests"));
        let request = request.header("prefer", "handling=strict").header("content-type", "application/json");
        owner.send(request.body(body.to_string())).await
    };
    let refused = strict(&body).await;
    assert_eq!(refusal(&refused), (400, "invalid_request".into()));
    assert!(refused.body.contains("a field other than name, env_var_keys"), "{}", refused.body);
    assert_eq!(strict(&least()).await.status, 201);
}

#[tokio::test]
async fn what_comes_of_it_is_told_and_nothing_of_what_was_filled_in() {
    let app = settled().await;
    let (owner, asker) = (app.owner(), builder(&app));
    let [open, filled, cancelled, expired] =
        [asked(&app, &asker).await, asked(&app, &asker).await, asked(&app, &asker).await, {
            let mut body = least();
            body["expires_in"] = 60.into();
            made(&ask(&app, &asker, body).await)
        }];
    app.fill_in(text(&filled, "url")).await;
    let gone = asker.delete(&one(&app, &cancelled)).await;
    assert_eq!(gone.body, r#"{"success":true}"#);
    app.clock.advance(60_000);
    for (request, expected) in
        [(&open, "open"), (&filled, "filled"), (&cancelled, "cancelled"), (&expired, "expired")]
    {
        assert_eq!(status(&app, &asker, request).await, expected);
        assert_eq!(status(&app, &owner, request).await, expected);
        let answer = asker.get(&one(&app, request)).await.json();
        let mut fields: Vec<_> = answer.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        let known =
            ["created_at", "env_var_keys", "expires_at", "id", "name", "note", "service_slug", "status"];
        assert_eq!(fields, known, "neither who filled it in nor as what");
        let again = asker.delete(&one(&app, request)).await;
        assert_eq!(again.status, if expected == "open" { 200 } else { 404 }, "{expected}");
    }
    app.clock.advance(31 * DAY);
    app.app.purge(app.app.clock().now()).await.unwrap();
    assert_eq!(refusal(&asker.get(&one(&app, &filled)).await), (404, "not_found".into()));
}

#[tokio::test]
async fn it_is_withdrawn_only_in_the_state_that_was_named() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let answer = ask(&app, &owner, least()).await;
    let request = made(&answer);
    let send = async |tag: &str| {
        owner.send(owner.request(Method::DELETE, &one(&app, &request)).header("if-match", tag)).await
    };
    assert_eq!(send("\"0123456789abcdef0123456789abcdef\"").await.status, 412);
    assert_eq!(status(&app, &owner, &request).await, "open");
    assert_eq!(send(answer.header("etag").unwrap()).await.status, 200);
    assert_eq!(status(&app, &owner, &request).await, "cancelled");
}

async fn repeated(caller: &Caller, path: &str, body: &Value) -> Answer {
    let request = caller.request(Method::POST, path).header("content-type", "application/json");
    caller.send(request.header("idempotency-key", "once").body(body.to_string())).await
}

#[tokio::test]
async fn asked_again_it_is_done_once_and_its_link_not_shown_again() {
    let app = settled().await;
    let run = start(&app, &builder(&app), &agent(&app).await).await;
    let path = team(&app, "/fill-requests");
    for (at, caller) in [&app.owner(), &run.caller].into_iter().enumerate() {
        let request = made(&repeated(caller, &path, &least()).await);
        let again = repeated(caller, &path, &least()).await;
        assert_eq!(refusal(&again), (409, "already_done".into()));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert!(again.body.contains(text(&request, "id")) && !again.body.contains("srl_"), "{}", again.body);
        let other = repeated(caller, &path, &json!({"name": "Other", "env_var_keys": ["A"]})).await;
        assert_eq!(other.code(), "idempotency_mismatch");
        assert_eq!(rows(&app), u32::try_from(at + 1).unwrap(), "each has names of its own");
    }
    for (path, contents) in app.files() {
        assert!(!contents.windows(4).any(|window| window == b"srl_"), "{}", path.display());
    }
}

#[tokio::test]
async fn a_dry_run_makes_no_link() {
    let app = TestApp::new().await;
    let path = team(&app, "/fill-requests?dry_run=true");
    let tried = app.owner().post(&path, least().to_string()).await;
    let request = made(&tried);
    assert_eq!((&request["url"], &request["status"]), (&Value::Null, &json!("open")));
    assert_eq!(rows(&app), 0);
    assert_eq!(app.owner().get(&one(&app, &request)).await.status, 404);
    for _ in 0..20 {
        asked(&app, &app.owner()).await;
    }
    let refused = app.owner().post(&path, least().to_string()).await;
    assert_eq!(refusal(&refused), (409, "conflict".into()), "as it would be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_who_ask_at_once_20_are_heard() {
    let app = settled().await;
    let (asker, path) = (builder(&app), team(&app, "/fill-requests"));
    let asks = (0..64).map(|_| {
        let (asker, path) = (asker.clone(), path.clone());
        async move { asker.post(&path, least().to_string()).await }
    });
    let statuses = at_once(asks).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 20, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 44, "{statuses:?}");
    let refused = ask(&app, &asker, least()).await;
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("20 of your requests are open already; wait until"), "{message}");
    assert_eq!(ask(&app, &app.owner(), least()).await.status, 201, "another's are another's");
}

#[tokio::test]
async fn a_run_asks_by_its_token_and_reads_what_it_asked_for() {
    let app = settled().await;
    let (starter, place) = (builder(&app), agent(&app).await);
    let [run, another] = [start(&app, &starter, &place).await, start(&app, &starter, &place).await];
    let request = asked(&app, &run.caller).await;
    let others =
        [asked(&app, &starter).await, asked(&app, &another.caller).await, asked(&app, &app.owner()).await];
    assert_eq!(status(&app, &run.caller, &request).await, "open");
    for other in &others {
        assert_eq!(refusal(&run.caller.get(&one(&app, other)).await), (404, "not_found".into()));
    }
    // Nothing beside it.
    for path in [team(&app, "/fill-requests"), team(&app, "/credentials"), "/v2/profile".into()] {
        assert_eq!(refusal(&run.caller.get(&path).await), (401, "invalid_token".into()), "{path}");
    }
    assert_eq!(run.caller.delete(&one(&app, &request)).await.code(), "invalid_token");
    let elsewhere = format!("/v2/teams/{}/fill-requests", "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d");
    assert_eq!(run.caller.post(&elsewhere, least().to_string()).await.status, 403);
    // Whose run it is sees it, and so does who may fill it in.
    for caller in [&starter, &app.owner()] {
        assert_eq!(status(&app, caller, &request).await, "open");
    }
    app.fill_in(text(&request, "url")).await;
    assert_eq!(status(&app, &run.caller, &request).await, "filled");
    assert_eq!(run.environment().await, json!({}), "not until it is attached, and in another run");
}

#[tokio::test]
async fn a_run_that_is_over_asks_for_nothing() {
    let app = settled().await;
    let (starter, place) = (builder(&app), agent(&app).await);
    let run = start(&app, &starter, &place).await;
    let request = asked(&app, &run.caller).await;
    assert_eq!(run.caller.post("/v2/run/extend", "{}").await.status, 200);
    asked(&app, &run.caller).await;
    assert_eq!(starter.post(&run.path("/stop"), "").await.status, 200);
    for answer in [ask(&app, &run.caller, least()).await, run.caller.get(&one(&app, &request)).await] {
        assert_eq!(refusal(&answer), (401, "run_stopped".into()));
    }
    assert_eq!(status(&app, &starter, &request).await, "open", "people may still fill it in");
}

#[tokio::test]
async fn a_link_is_to_where_the_operator_says_the_server_is() {
    let app = TestApp::found_at("https://secrets.example.com/sub").await;
    let request = asked(&app, &app.owner()).await;
    assert!(text(&request, "url").starts_with("https://secrets.example.com/sub/fill/srl_"), "{request}");
    let found = TestApp::new().await;
    let owner = found.owner();
    let send =
        owner.request(Method::POST, &team(&found, "/fill-requests")).header("host", "found.example:81");
    let answer = owner.send(send.header("content-type", "application/json").body(least().to_string())).await;
    assert!(text(&made(&answer), "url").starts_with("http://found.example:81/fill/srl_"), "{}", answer.body);
}

#[tokio::test]
async fn a_key_reads_and_asks_as_far_as_it_is_for_it() {
    let app = settled().await;
    let of = |scopes: &[&str]| {
        let scopes: Scopes =
            scopes.iter().filter_map(|name| strongroom_core::Scope::from_name(name)).collect();
        app.user(app.team_id, Role::Manager, scopes)
    };
    let (reads, writes) = (of(&["secrets:read"]), of(&["secrets:write"]));
    let request = asked(&app, &writes).await;
    assert_eq!(refusal(&writes.get(&one(&app, &request)).await), (403, "insufficient_scope".into()));
    assert_eq!(refusal(&ask(&app, &reads, least()).await), (403, "insufficient_scope".into()));
    assert_eq!(status(&app, &reads, &request).await, "open", "a manager's key sees the team's");
    assert_eq!(refusal(&reads.delete(&one(&app, &request)).await), (403, "insufficient_scope".into()));
}

#[tokio::test]
async fn the_link_is_no_token_of_the_api() {
    let app = settled().await;
    let request = asked(&app, &app.owner()).await;
    app.let_links_fill(true).await;
    let (_, token) = text(&request, "url").rsplit_once('/').unwrap();
    let link = app.bearer(token);
    for path in [one(&app, &request), team(&app, "/fill-requests"), "/v2/run/environment".into()] {
        assert_eq!(refusal(&link.get(&path).await), (401, "invalid_token".into()), "{path}");
    }
    assert_eq!(link.post("/v2/key-links/claim", "").await.code(), "invalid_token");
    assert_eq!(ask(&app, &link, least()).await.code(), "invalid_token");
}

#[tokio::test]
async fn what_is_filled_in_lies_nowhere_in_the_open() {
    let app = settled().await;
    let request = asked(&app, &app.owner()).await;
    app.fill_in(text(&request, "url")).await;
    for (path, bytes) in app.files() {
        assert_clean(&path.display().to_string(), &bytes);
    }
}
