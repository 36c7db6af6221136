//! Create, get and list as they cross the wire.

use serde_json::json;
use strongroom_core::{Role, Scopes};

use crate::support::{NOTHING, TestApp, assert_clean, canary, simple};

/// The body as the API's published example has it, placeholders included.
const PUBLISHED_EXAMPLE: &str = r#"
{
  "name": "<string>",
  "values": {},
  "service_slug": "<string>",
  "shared": false
}
"#;

#[tokio::test]
async fn the_published_example_creates_an_empty_secret() {
    let app = TestApp::new().await;
    let answer = app.owner().post("/v1/credentials", PUBLISHED_EXAMPLE).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    insta::assert_snapshot!(answer.body);
}

#[tokio::test]
async fn values_go_in_and_nothing_but_their_names_comes_out() {
    let app = TestApp::new().await;
    let [a, b, c] = ["a", "b", "c"].map(|name| json!(canary(name)));
    let values = format!(r#"{{"STRIPE_API_KEY": {a}, "ALPHA": {b}, "_Z9": {c}}}"#);
    let body = format!(r#"{{"name": "Stripe, live", "values": {values}, "service_slug": null}}"#);
    let answer = app.owner().post("/v1/credentials", body).await;
    insta::assert_snapshot!(answer.body);
    for (path, contents) in app.files() {
        assert_clean(&path.display().to_string(), &contents);
    }
}

#[tokio::test]
async fn the_search_for_leaks_finds_a_planted_one() {
    for planted in [canary("x").into_bytes(), b"63346e3472792d37517a".to_vec(), b"YzRuNHJ5LTdRei14".to_vec()]
    {
        assert!(std::panic::catch_unwind(|| assert_clean("a plant", &planted)).is_err());
    }
}

#[tokio::test]
async fn v2_is_the_same_with_the_team_in_the_path() {
    let app = TestApp::new().await;
    let path = format!("/v2/teams/{}/credentials", app.team_id);
    let body = json!({"name": "n", "values": {"K": canary("v")}, "shared": true}).to_string();
    let created = app.owner().post(&path, body).await;
    assert_eq!(created.status, 201);
    let secret = created.json();
    assert_eq!(secret["user_id"], json!(null), "shared with the team");
    let id = secret["id"].as_str().unwrap();
    for path in [
        format!("/v2/credentials/{id}"),
        format!("/v1/credentials/{id}"),
        format!("/v1/credentials/{}", id.to_uppercase()),
    ] {
        let got = app.owner().get(&path).await;
        assert_eq!((got.status.as_u16(), got.json()), (200, secret.clone()), "{path}");
    }
    for path in [path.as_str(), "/v1/credentials"] {
        assert_eq!(app.owner().get(path).await.json(), json!([secret]), "{path}");
    }
}

#[tokio::test]
async fn lists_are_bare_arrays_in_order_of_creation() {
    let app = TestApp::new().await;
    assert_eq!(app.owner().get("/v1/credentials").await.body, "[]");
    // All within one millisecond of the fixed clock, then a step back of it.
    for name in ["first", "second", "third"] {
        app.owner().create(name, false).await;
    }
    app.clock.advance(-5);
    app.owner().create("fourth", true).await;
    let listed = app.owner().get("/v1/credentials").await.json();
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second", "third", "fourth"]);
}

#[tokio::test]
async fn a_list_is_whole_however_many_pages_it_takes() {
    let app = TestApp::new().await;
    let owner = app.ask(&app.owner()).await;
    // Around the page's size, 256, and well past it.
    for (more, total) in [(255, 255), (1, 256), (1, 257), (343, 600)] {
        for _ in 0..more {
            let new = strongroom_core::secrets::NewSecret {
                name: strongroom_core::SecretName::parse("n").unwrap(),
                service_slug: None,
                shared: false,
                values: strongroom_core::Bundle::new(Vec::new()).unwrap(),
            };
            let planned = app.app.create_secret(&owner, new).await.unwrap();
            app.app.carry_out(&owner, planned, None).await.unwrap();
        }
        let listed = app.owner().get("/v1/credentials").await.json();
        let ids: Vec<_> =
            listed.as_array().unwrap().iter().map(|secret| secret["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), total);
        assert!(ids.is_sorted());
    }
}

#[tokio::test]
async fn a_list_holds_the_shared_ones_and_ones_own() {
    let app = TestApp::new().await;
    let member = app.user(app.team_id, Role::Member, Scopes::all());
    let shared = app.owner().create("shared", true).await;
    let owners = app.owner().create("owner's", false).await;
    let members = member.create("member's", false).await;
    assert_eq!(member.get("/v1/credentials").await.json(), json!([shared, members]));
    assert_eq!(app.owner().get("/v1/credentials").await.json(), json!([shared, owners]));
}

#[tokio::test]
async fn creating_leaves_one_audit_row_with_the_actor_and_the_answers_request_id() {
    let app = TestApp::new().await;
    let answer = app.owner().post("/v1/credentials", PUBLISHED_EXAMPLE).await;
    let select = "SELECT object_id, user_id, team_id, object_version, request_id, \
                  object_mac = (SELECT row_mac FROM secrets) FROM events WHERE kind = 'secret.created'";
    let rows = app.database().query(select, NOTHING).unwrap();
    let rows: Vec<(String, String, String, u32, String, bool)> = rows
        .iter()
        .map(|row| {
            let id = |at| simple(row.get(at).unwrap());
            (id(0), id(1), id(2), row.get(3).unwrap(), id(4), row.get(5).unwrap())
        })
        .collect();
    let hex = |id: &str| id.replace('-', "");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let expected = (
        hex(&id),
        hex(&app.owner_id.to_string()),
        hex(&app.team_id.to_string()),
        1,
        answer.header("x-request-id").unwrap().replace('-', ""),
        true,
    );
    assert_eq!(rows, [expected]);
}

#[tokio::test]
async fn the_largest_secret_is_taken_and_the_next_larger_is_not() {
    let app = TestApp::new().await;
    let bundle = |keys: usize, length: usize| {
        let values: serde_json::Map<_, _> =
            (0..keys).map(|i| (format!("K{i}"), json!("v".repeat(length)))).collect();
        json!({"name": "n", "values": values}).to_string()
    };
    for (keys, length, status) in [(256, 4096, 201), (16, 65_536, 201), (257, 1, 413), (17, 65_536, 413)] {
        let answer = app.owner().post("/v1/credentials", bundle(keys, length)).await;
        assert_eq!(
            answer.status,
            status,
            "{keys} × {length}: {}",
            &answer.body[..answer.body.len().min(200)]
        );
    }
    let all = app.app.verify(|| ()).await.unwrap();
    assert_eq!(all.findings, []);
}

#[tokio::test]
async fn answers_are_counted_by_class_on_a_listener_of_their_own() {
    let app = TestApp::new().await;
    app.owner().create("s", false).await;
    app.anonymous().get("/v1/credentials").await;
    app.anonymous().get("/nowhere").await;
    assert_eq!(app.metric(r#"strongroom_answers_total{status="2xx"}"#).await, 1);
    assert_eq!(app.metric(r#"strongroom_answers_total{status="4xx"}"#).await, 2);
    assert_eq!(app.metric("strongroom_integrity_violations_total").await, 0);
    assert_eq!(app.owner().get("/metrics").await.status, 404, "not among the operations");
}

/// So that `doctor`'s progress bar ends where it says it will.
#[tokio::test]
async fn a_verification_has_as_many_steps_as_were_foretold() {
    let app = TestApp::new().await;
    for name in ["a", "b", "c"] {
        app.owner().create(name, false).await;
    }
    let mut steps = 0;
    app.app.verify(|| steps += 1).await.unwrap();
    assert_eq!(steps, app.app.store().rows().await.unwrap());
}
