//! API keys: made, seen and revoked.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::{Role, Scope, Scopes};

use crate::people::{
    claim, contents, in_millis, join, key, link_token, made, mint, refusal, service, settled, team, text,
};
use crate::support::{Caller, NOTHING, TestApp, assert_clean};

const ABSENT: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";
const AGENTS: [&str; 3] = [
    "019ab3c4-7c1e-7d55-8a3f-000000000001",
    "019ab3c4-7c1e-7d55-8a3f-000000000002",
    "019ab3c4-7c1e-7d55-8a3f-000000000003",
];
const SCOPES: [&str; 5] = ["secrets:read", "secrets:write", "runs:start", "team:read", "admin"];
/// Those that a key gets which nobody asks any for.
const UNASKED: [&str; 4] = ["secrets:read", "secrets:write", "team:read", "admin"];

async fn keys(app: &TestApp, caller: &Caller) -> Vec<Value> {
    let answer = caller.get(&team(app, "/api-keys")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["api_keys"].as_array().unwrap().clone()
}

fn key_path(app: &TestApp, key: &Value) -> String {
    team(app, &format!("/api-keys/{}", text(key, "id")))
}

#[tokio::test]
async fn a_key_is_as_its_makers_unless_said_otherwise() {
    let app = settled().await;
    let answer = mint(&app, &app.owner(), json!({"name": "laptop"})).await;
    let key = made(&answer);
    assert!(answer.header("etag").is_some());
    let owner = app.owner_id.to_string();
    let mut expected = json!({
        "id": key["id"], "user_id": owner, "name": "laptop", "role": "owner", "scopes": UNASKED, "agents": null,
        "cidrs": null, "created_by": owner, "created_at": in_millis(&app, 0), "expires_at": null, "revoked_at": null,
        "last_used_at": null, "api_key": key["api_key"],
    });
    assert_eq!(key, expected);
    let token = text(&key, "api_key");
    assert!(token.starts_with("srk_"));
    assert_eq!(app.bearer(token).get("/v2/profile").await.status, 200);
    expected.as_object_mut().unwrap().remove("api_key");
    expected["last_used_at"] = json!(in_millis(&app, 0));
    let first = json!({
        "id": keys(&app, &app.owner()).await[0]["id"], "user_id": owner, "name": "first key", "role": "owner",
        "scopes": SCOPES, "agents": null, "cidrs": null, "created_by": null, "created_at": in_millis(&app, -1_000),
        "expires_at": null, "revoked_at": null, "last_used_at": in_millis(&app, 0),
    });
    let listed = app.owner().get(&team(&app, "/api-keys")).await;
    assert_eq!(listed.json(), json!({"api_keys": [first, expected]}), "by creation");
    assert!(!listed.body.contains("srk_"));
    for (path, bytes) in app.files() {
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "{}", path.display());
        assert_clean(&path.display().to_string(), &bytes);
    }
}

#[tokio::test]
async fn everything_about_a_key_can_be_said() {
    let app = settled().await;
    let body = json!({
        "name": "ci", "role": "builder", "scopes": ["runs:start", "secrets:read", "secrets:read"],
        "agents": [AGENTS[1], AGENTS[0].to_uppercase()], "expires_at": "2026-12-01T00:00:00.1234+01:00",
        "cidrs": ["10.1.2.3/8", "::1", "2001:DB8::/32", "192.0.2.7"],
    });
    let key = made(&mint(&app, &app.owner(), body).await);
    let expected = json!([
        "builder",
        ["secrets:read", "runs:start"],
        [AGENTS[1], AGENTS[0]],
        "2026-11-30T23:00:00.123Z",
        ["10.0.0.0/8", "::1/128", "2001:db8::/32", "192.0.2.7/32"],
    ]);
    assert_eq!(json!([key["role"], key["scopes"], key["agents"], key["expires_at"], key["cidrs"]]), expected);
}

#[tokio::test]
async fn what_is_no_key_is_refused_by_its_field() {
    let app = settled().await;
    let before = contents(&app);
    let many = |item: &str, count: usize| vec![item.to_owned(); count];
    let past = in_millis(&app, -1);
    for (field, value, says) in [
        ("name", json!(""), "1 to 128"),
        ("name", json!(null), "`name`"),
        ("name", json!("a\0"), "NUL"),
        ("role", json!("hunter2"), "member, builder, manager, administrator, owner"),
        ("role", json!("OWNER"), "member, builder, manager, administrator, owner"),
        ("role", json!(null), "`role`"),
        ("scopes", json!([]), "leave it out"),
        ("scopes", json!(["hunter2"]), "secrets:read, secrets:write, runs:start, team:read, admin"),
        ("scopes", json!(["admin", 1]), "element 2"),
        ("scopes", json!("admin"), "`scopes`"),
        ("scopes", json!(null), "`scopes`"),
        ("agents", json!([]), "leave it out"),
        ("agents", json!(["hunter2"]), "UUID"),
        ("agents", json!(many(AGENTS[0], 65)), "1 to 64"),
        ("agents", json!(null), "`agents`"),
        ("cidrs", json!([]), "leave it out"),
        ("cidrs", json!(["hunter2"]), "10.0.0.0/8"),
        ("cidrs", json!(["10.0.0.0/33"]), "10.0.0.0/8"),
        ("cidrs", json!(["10.0.0.0/8 "]), "10.0.0.0/8"),
        ("cidrs", json!(many("10.0.0.0/8", 65)), "1 to 64"),
        ("cidrs", json!(null), "`cidrs`"),
        ("expires_at", json!("hunter2"), "RFC 3339"),
        ("expires_at", json!("2027-01-01"), "RFC 3339"),
        ("expires_at", json!(1_900_000_000), "`expires_at`"),
        ("expires_at", json!(null), "`expires_at`"),
        ("expires_at", json!(past), "future"),
        ("expires_at", json!(in_millis(&app, 0)), "future"),
        ("service_user_id", json!("hunter2"), "UUID"),
        ("service_user_id", json!(null), "`service_user_id`"),
    ] {
        let mut body = json!({"name": "n"});
        body[field] = value;
        let answer = mint(&app, &app.owner(), body.clone()).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{body}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{body}: {message}");
        assert!(message.contains(field) || says == "NUL", "{body}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    assert_eq!(contents(&app), before);
}

#[tokio::test]
async fn only_administrators_make_keys_and_for_themselves() {
    let app = settled().await;
    let body = json!({"name": "n"});
    let manager = app.user(app.team_id, Role::Manager, Scopes::all());
    assert_eq!(refusal(&mint(&app, &manager, body.clone()).await), (403, "forbidden".into()));
    let unscoped = key(&app, &app.owner(), json!({"name": "n", "scopes": ["team:read"]})).await;
    assert_eq!(refusal(&mint(&app, &unscoped, body.clone()).await), (403, "insufficient_scope".into()));
    let low = key(&app, &app.owner(), json!({"name": "n", "role": "administrator"})).await;
    assert_eq!(made(&mint(&app, &low, body.clone()).await)["role"], json!("administrator"));
    let path = format!("/v2/teams/{ABSENT}/api-keys");
    assert_eq!(refusal(&app.owner().post(&path, body.to_string()).await), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_key_for_somebody_else_is_for_a_service_user_not_above_one() {
    let app = settled().await;
    let administrator = join(&app, "grace@example.com", Role::Administrator).await;
    let [builder, owner] = [service(&app, Role::Builder).await, service(&app, Role::Owner).await];
    let body = |user: &str| json!({"name": "n", "service_user_id": user});
    let made_key = made(&mint(&app, &administrator.caller, body(&builder)).await);
    let found = json!([made_key["user_id"], made_key["created_by"], made_key["role"]]);
    assert_eq!(found, json!([builder, administrator.id, "builder"]), "no higher than its user");
    for (user, refused) in [
        (owner.as_str(), (403, "forbidden")),
        (&app.owner_id.to_string(), (403, "forbidden")),
        (ABSENT, (404, "not_found")),
    ] {
        let answer = mint(&app, &administrator.caller, body(user)).await;
        assert_eq!(refusal(&answer), (refused.0, refused.1.into()));
    }
    let person = mint(&app, &app.owner(), body(&administrator.id)).await;
    assert_eq!(refusal(&person), (403, "forbidden".into()));
    assert!(person.body.contains("key link"), "{}", person.body);
    let high =
        mint(&app, &app.owner(), json!({"name": "n", "service_user_id": builder, "role": "manager"})).await;
    assert_eq!(refusal(&high), (403, "forbidden".into()), "above the user whom it is for");
    assert_eq!(
        made(&mint(&app, &administrator.caller, body(&administrator.id)).await)["user_id"],
        json!(administrator.id)
    );
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_the_answer_on() {
    let app = settled().await;
    let new = made(&mint(&app, &app.owner(), json!({"name": "new"})).await);
    let caller = app.bearer(text(&new, "api_key"));
    assert_eq!(caller.get("/v2/profile").await.status, 200, "old and new are valid side by side");
    assert_eq!(app.owner().get("/v2/profile").await.status, 200);
    app.clock.advance(5);
    let path = key_path(&app, &new);
    assert_eq!(app.owner().delete(&path).await.body, r#"{"success":true}"#);
    assert_eq!(refusal(&caller.get("/v2/profile").await), (401, "invalid_token".into()));
    assert_eq!(keys(&app, &app.owner()).await[1]["revoked_at"], json!(in_millis(&app, 0)));
    app.clock.advance(5);
    assert_eq!(app.owner().delete(&path).await.status, 200, "and stays so");
    assert_eq!(keys(&app, &app.owner()).await[1]["revoked_at"], json!(in_millis(&app, -5)));
    for (id, refused) in [(ABSENT, (404, "not_found")), ("k", (400, "invalid_request"))] {
        let answer = app.owner().delete(&team(&app, &format!("/api-keys/{id}"))).await;
        assert_eq!(refusal(&answer), (refused.0, refused.1.into()));
    }
}

#[tokio::test]
async fn a_key_ends_itself_whatever_its_role() {
    let app = settled().await;
    for role in Role::ALL {
        let new = made(&mint(&app, &app.owner(), json!({"name": "n", "role": role.name()})).await);
        let caller = app.bearer(text(&new, "api_key"));
        let first = keys(&app, &app.owner()).await[0].clone();
        let above = caller.delete(&format!("{}?dry_run=true", key_path(&app, &first))).await;
        assert_eq!(above.status, if role == Role::Owner { 200 } else { 403 }, "{role}");
        assert_eq!(caller.delete(&key_path(&app, &new)).await.body, r#"{"success":true}"#, "{role}");
        assert_eq!(
            refusal(&caller.delete(&key_path(&app, &new)).await),
            (401, "invalid_token".into()),
            "{role}"
        );
    }
}

#[tokio::test]
async fn a_member_sees_and_revokes_only_their_own_keys() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Manager).await;
    let own = keys(&app, &grace.caller).await;
    assert_eq!(own.iter().map(|key| text(key, "user_id")).collect::<Vec<_>>(), [grace.id.as_str()]);
    let all = keys(&app, &app.owner()).await;
    assert_eq!(all.len(), 2);
    let others = grace.caller.delete(&key_path(&app, &all[0])).await;
    let absent = grace.caller.delete(&team(&app, &format!("/api-keys/{ABSENT}"))).await;
    assert_eq!((others.status.as_u16(), &others.body), (404, &absent.body));
    let unscoped = app.user(app.team_id, Role::Owner, [Scope::TeamRead].into_iter().collect());
    assert_eq!(refusal(&unscoped.get(&team(&app, "/api-keys")).await), (403, "insufficient_scope".into()));
    assert_eq!(grace.caller.delete(&key_path(&app, &own[0])).await.status, 200);
}

#[tokio::test]
async fn an_administrator_revokes_anybodys_keys_but_an_owners() {
    let app = settled().await;
    let administrator = join(&app, "grace@example.com", Role::Administrator).await;
    let other = join(&app, "bert@example.com", Role::Administrator).await;
    let all = keys(&app, &administrator.caller).await;
    let owners = administrator.caller.delete(&key_path(&app, &all[0])).await;
    assert_eq!(refusal(&owners), (403, "forbidden".into()));
    assert_eq!(administrator.caller.delete(&key_path(&app, &all[2])).await.status, 200);
    assert_eq!(other.caller.get("/v2/profile").await.status, 401);
}

#[tokio::test]
async fn a_key_is_good_until_its_end_and_none_made_by_it_lasts_longer() {
    let app = settled().await;
    let end = in_millis(&app, 10_000);
    let short = key(&app, &app.owner(), json!({"name": "short", "expires_at": end})).await;
    assert_eq!(made(&mint(&app, &short, json!({"name": "n"})).await)["expires_at"], json!(end));
    let longer = mint(&app, &short, json!({"name": "n", "expires_at": in_millis(&app, 10_001)})).await;
    assert_eq!(refusal(&longer), (403, "forbidden".into()));
    app.clock.advance(9_999);
    assert_eq!(short.get("/v2/profile").await.status, 200);
    app.clock.advance(1);
    assert_eq!(refusal(&short.get("/v2/profile").await), (401, "invalid_token".into()));
}

#[tokio::test]
async fn a_key_is_used_from_its_networks_only() {
    let app = settled().await;
    for (cidrs, status) in [
        (json!(["127.0.0.0/8"]), 200),
        (json!(["10.0.0.0/8", "127.0.0.1"]), 200),
        (json!(["10.0.0.0/8"]), 403),
        (json!(["::/0"]), 403),
    ] {
        let caller = key(&app, &app.owner(), json!({"name": "n", "cidrs": cidrs})).await;
        for answer in [caller.get("/v2/profile").await, caller.post("/v2/teams", "{").await] {
            if status == 403 {
                assert_eq!(refusal(&answer), (403, "forbidden".into()), "{cidrs}");
            } else {
                assert_ne!(answer.status, 403, "{cidrs}");
            }
        }
    }
}

#[tokio::test]
async fn the_last_use_shows_up() {
    let app = settled().await;
    let new = made(&mint(&app, &app.owner(), json!({"name": "n"})).await);
    let caller = app.bearer(text(&new, "api_key"));
    assert_eq!(keys(&app, &app.owner()).await[1]["last_used_at"], json!(null));
    app.clock.advance(60_000);
    caller.get("/v2/profile").await;
    let used = in_millis(&app, 0);
    assert_eq!(keys(&app, &app.owner()).await[1]["last_used_at"], json!(used));
    app.app.write_uses().await.unwrap();
    app.clock.advance(60_000);
    assert_eq!(
        keys(&app, &app.owner()).await[1]["last_used_at"],
        json!(used),
        "also when it was written down"
    );
}

#[tokio::test]
async fn a_repeated_creation_names_the_key_and_shows_no_token() {
    let app = settled().await;
    let send = |path: &str| {
        let request = app.owner().request(Method::POST, &team(&app, path)).header("idempotency-key", "k");
        request.header("content-type", "application/json").body(r#"{"name": "n"}"#)
    };
    let first = made(&app.owner().send(send("/api-keys")).await);
    for _ in 0..2 {
        let again = app.owner().send(send("/api-keys")).await;
        assert_eq!(refusal(&again), (409, "already_done".into()));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert!(again.body.contains(text(&first, "id")) && !again.body.contains("srk_"), "{}", again.body);
    }
    assert_eq!(keys(&app, &app.owner()).await.len(), 2);
}

#[tokio::test]
async fn dry_runs_change_no_key_and_show_no_token() {
    let app = settled().await;
    let new = made(&mint(&app, &app.owner(), json!({"name": "n"})).await);
    let before = contents(&app);
    let dry = app.owner().post(&team(&app, "/api-keys?dry_run=true"), r#"{"name": "n"}"#).await;
    assert_eq!(made(&dry)["api_key"], json!(null));
    let path = format!("{}?dry_run=true", key_path(&app, &new));
    assert_eq!(app.owner().delete(&path).await.body, r#"{"success":true}"#);
    assert_eq!(contents(&app), before);
    let narrow = key(&app, &app.owner(), json!({"name": "n", "scopes": ["admin"]})).await;
    let refused = narrow
        .post(&team(&app, "/api-keys?dry_run=true"), r#"{"name": "n", "scopes": ["secrets:read"]}"#)
        .await;
    assert_eq!(refusal(&refused), (403, "forbidden".into()), "it answers as it would");
}

#[tokio::test]
async fn making_and_revoking_keys_leaves_events_by_whoever_did_it() {
    let app = settled().await;
    let new = made(&mint(&app, &app.owner(), json!({"name": "n"})).await);
    app.owner().delete(&key_path(&app, &new)).await;
    app.owner().delete(&key_path(&app, &new)).await;
    let token =
        link_token(&app, &app.owner(), json!({"user_id": app.owner_id.to_string(), "name": "n"})).await;
    made(&claim(&app, &token).await);
    let database = app.database();
    let found = database.query("SELECT kind, key_id IS NULL FROM events ORDER BY sequence", NOTHING).unwrap();
    let found: Vec<(String, bool)> =
        found.iter().map(|row| (row.get(0).unwrap(), row.get(1).unwrap())).collect();
    let found: Vec<_> = found.iter().map(|(kind, keyless)| (kind.as_str(), *keyless)).skip(1).collect();
    assert_eq!(
        found,
        [
            ("api_key.created", false),
            ("api_key.revoked", false),
            ("key_link.created", false),
            ("key_link.claimed", true),
            ("api_key.created", true),
        ]
    );
}
