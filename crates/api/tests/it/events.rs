//! What happened, as administrators and everybody else read it: by each filter,
//! page by page, and without a value in it.

use serde_json::{Value, json};
use strongroom_core::Role;

use crate::people::{in_millis, join, key, refusal, settled, team, text};
use crate::support::{Caller, TestApp};

async fn events(app: &TestApp, caller: &Caller, query: &str) -> Vec<Value> {
    let answer = caller.get(&team(app, &format!("/events?{query}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["events"].as_array().unwrap().clone()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(event, "action")).collect()
}

#[tokio::test]
async fn what_was_done_is_told_with_who_did_it_and_to_what() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Member).await;
    let before = in_millis(&app, 0);
    app.clock.advance(5);
    let answer = grace.caller.post(&team(&app, "/credentials"), r#"{"name": "n", "values": {}}"#).await;
    let (secret, request) = (answer.json()["id"].clone(), answer.header("x-request-id").unwrap().to_owned());
    let newest = events(&app, &app.owner(), "limit=1").await.remove(0);
    assert_eq!((text(&newest, "action"), text(&newest, "object_type")), ("secret.created", "secrets"));
    assert_eq!((&newest["object_id"], &newest["user_id"]), (&secret, &Value::from(grace.id.clone())));
    assert_eq!((&newest["request_id"], &newest["times"]), (&Value::from(request), &Value::from(1)));
    let (key, now) = (text(&newest, "api_key_id").to_owned(), in_millis(&app, 0));
    assert_eq!(text(&newest, "at"), now);
    let secret = secret.as_str().unwrap();
    let nobody = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
    for (finds, misses) in [
        ("action=secret.created".to_owned(), "action=secret.copied".to_owned()),
        (format!("object_id={secret}"), format!("object_id={nobody}")),
        (format!("user_id={}&action=secret.created", grace.id), format!("user_id={nobody}")),
        (format!("api_key_id={key}"), format!("api_key_id={nobody}")),
        ("object_type=secrets".to_owned(), "object_type=runs".to_owned()),
        (format!("since={now}"), format!("since={}", in_millis(&app, 1))),
        (
            format!("until={}&action=secret.created", in_millis(&app, 1)),
            format!("until={now}&action=secret.created"),
        ),
    ] {
        assert_eq!(events(&app, &app.owner(), &finds).await, std::slice::from_ref(&newest), "{finds}");
        assert_eq!(events(&app, &app.owner(), &misses).await, [] as [Value; 0], "{misses}");
    }
    assert!(
        events(&app, &app.owner(), &format!("until={before}")).await.iter().all(|event| *event != newest)
    );
}

#[tokio::test]
async fn members_see_what_they_did_and_administrators_everything() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Manager).await;
    let administrator = join(&app, "eve@example.com", Role::Administrator).await;
    for caller in [&grace.caller, &app.owner()] {
        caller.create("n", false).await;
    }
    let own = events(&app, &grace.caller, "").await;
    assert!(own.iter().all(|event| text(event, "user_id") == grace.id), "{own:?}");
    assert_eq!(actions(&own)[0], "secret.created");
    assert_eq!(events(&app, &grace.caller, &format!("user_id={}", app.owner_id)).await, [] as [Value; 0]);
    let all = events(&app, &administrator.caller, "").await;
    assert_eq!(all, events(&app, &app.owner(), "").await);
    assert_eq!(actions(&all).iter().filter(|action| **action == "secret.created").count(), 2);
    assert_eq!(actions(&all).last(), Some(&"instance.created"));
}

#[tokio::test]
async fn pages_lead_through_all_of_it_and_keep_the_filter() {
    let app = settled().await;
    for _ in 0..5 {
        app.owner().create("n", true).await;
    }
    let all = events(&app, &app.owner(), "action=secret.created").await;
    assert_eq!(all.len(), 5);
    let (mut paged, mut path) = (Vec::new(), team(&app, "/events?limit=2&action=secret.created"));
    loop {
        let answer = app.owner().get(&path).await;
        paged.extend(answer.json()["events"].as_array().unwrap().clone());
        let Some(link) = answer.header("link") else { break };
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert!(path.contains("action=secret.created") && path.contains("limit=2"), "{path}");
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_name() {
    let app = settled().await;
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=first", "cursor"),
        ("action=secret.sung", "action"),
        ("user_id=ada", "user_id"),
        ("object_type=Secrets", "object_type"),
        ("since=yesterday", "since"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("until=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00Z", "until"),
    ] {
        let answer = app.owner().get(&team(&app, &format!("/events?{query}"))).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".to_owned()), "{query}");
        assert!(answer.body.contains(&format!("`{name}`")), "{query}: {}", answer.body);
    }
}

/// What was refused, by its operation, reason and how often, the newest first.
async fn refusals(app: &TestApp) -> Vec<(Value, Value, u64)> {
    let denied = events(app, &app.owner(), "action=access.denied").await;
    let told = |event: &Value| {
        (event["denied_operation"].clone(), event["denied_reason"].clone(), event["times"].as_u64().unwrap())
    };
    denied.iter().map(told).collect()
}

fn told(operation: &str, reason: &str, times: u64) -> (Value, Value, u64) {
    (operation.into(), reason.into(), times)
}

#[tokio::test]
async fn whom_the_table_refuses_is_told_of_with_what_they_asked_for() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Member).await;
    let secret = app.owner().create("n", true).await["id"].as_str().unwrap().to_owned();
    let answer = grace.caller.delete(&format!("/v2/credentials/{secret}")).await;
    assert_eq!(answer.status, 403);
    let event = events(&app, &app.owner(), "action=access.denied").await.remove(0);
    assert_eq!((text(&event, "object_type"), text(&event, "object_id")), ("secrets", secret.as_str()));
    assert_eq!(text(&event, "user_id"), grace.id);
    assert_eq!(Some(text(&event, "request_id")), answer.header("x-request-id"));
    assert_eq!(refusals(&app).await, [told("deleteSecret", "role", 1)]);
    let own = events(&app, &grace.caller, "action=access.denied").await;
    assert_eq!(own, [event], "they see it themselves");
}

#[tokio::test]
async fn each_reason_is_told_and_what_is_allowed_or_absent_is_not() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Builder).await;
    let owner = app.owner();
    let narrow = key(&app, &owner, json!({"name": "k", "scopes": ["secrets:read"]})).await;
    let elsewhere = key(&app, &owner, json!({"name": "k", "cidrs": ["192.0.2.0/24"]})).await;
    let agent = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
    let of_agent = json!({"name": "k", "scopes": ["runs:start"], "agents": [agent]});
    let of_agent = key(&app, &owner, of_agent).await;
    let made = owner.post(&team(&app, "/agents"), r#"{"name": "courier"}"#).await.json();
    let run = json!({"agent_id": made["agent"]["id"]}).to_string();
    let mut expected = Vec::new();
    for (answer, refused) in [
        (
            grace
                .caller
                .post(&team(&app, "/members"), r#"{"name": "x", "service": true, "role": "owner"}"#)
                .await,
            told("addMember", "role", 1),
        ),
        (
            narrow.post(&team(&app, "/credentials"), r#"{"name": "n", "values": {}}"#).await,
            told("createSecret", "scope", 1),
        ),
        (elsewhere.get("/v2/profile").await, told("getProfile", "address", 1)),
        (of_agent.post(&team(&app, "/runs"), run).await, told("startRun", "agent", 1)),
        (grace.caller.get(&format!("/v2/teams/{agent}/members")).await, told("listMembers", "other_team", 1)),
    ] {
        assert_eq!(answer.status, 403, "{refused:?}: {}", answer.body);
        expected.insert(0, refused);
    }
    for (answer, status) in [
        (grace.caller.get("/v2/profile").await, 200),
        (grace.caller.get(&format!("/v2/credentials/{agent}")).await, 404),
        (grace.caller.get("/v2/credentials/none").await, 400),
        (app.anonymous().get("/v2/profile").await, 401),
    ] {
        assert_eq!(answer.status, status);
    }
    assert_eq!(refusals(&app).await, expected);
}

#[tokio::test]
async fn the_same_again_is_one_row_with_a_count() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Member).await;
    for _ in 0..25 {
        assert_eq!(grace.caller.get(&team(&app, "/key-links")).await.status, 403);
    }
    assert_eq!(refusals(&app).await, [told("listKeyLinks", "role", 1)], "the others are only counted");
    app.app.write_refusals(false).await.unwrap();
    assert_eq!(refusals(&app).await.len(), 1, "for a minute");
    app.clock.advance(60_000);
    app.app.write_refusals(false).await.unwrap();
    assert_eq!(refusals(&app).await, [told("listKeyLinks", "role", 24), told("listKeyLinks", "role", 1)]);
}

#[tokio::test]
async fn being_refused_in_many_ways_leaves_few_rows() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Member).await;
    let nobody = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
    let described: Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let paths =
        described["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/v2/teams/{teamId}"));
    let mut refused = 0;
    for path in paths {
        let path = path.replace("{teamId}", nobody).replace(['{', '}'], "");
        for answer in [
            grace.caller.get(&path).await,
            grace.caller.post(&path, "{}").await,
            grace.caller.delete(&path).await,
            grace.caller.patch(&path, "{}").await,
        ] {
            refused += u64::from(answer.status == 403);
        }
    }
    assert!(refused > 17, "{refused}");
    app.app.write_refusals(true).await.unwrap();
    let told = refusals(&app).await;
    assert_eq!(told.len(), 18, "sixteen told apart, and the others together: at once and in the end");
    assert_eq!(told.iter().map(|(_, _, times)| times).sum::<u64>(), refused);
}
