//! What happened, as administrators and everybody else read it: by each filter,
//! page by page, and without a value in it.

use serde_json::Value;
use strongroom_core::Role;

use crate::people::{in_millis, join, refusal, settled, team, text};
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
