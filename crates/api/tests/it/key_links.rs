//! Key links: made for a member, used once, and good for nothing else.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{OsRandom, Role, Scopes, UserId};

use crate::people::{
    add, at_once, claim, contents, in_millis, join, key, link, link_token, made, mint, refusal, service,
    settled, team, text,
};
use crate::support::{Caller, NOTHING, TestApp};

const ABSENT: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";
const DAY: i64 = 24 * 60 * 60 * 1_000;

async fn links(app: &TestApp, caller: &Caller) -> Vec<Value> {
    let answer = caller.get(&team(app, "/key-links")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["key_links"].as_array().unwrap().clone()
}

/// A new member without a key; their id.
async fn newcomer(app: &TestApp, role: Role) -> String {
    let body = json!({"email": "grace@example.com", "name": "Grace", "role": role.name()});
    text(&made(&add(app, &app.owner(), body).await)["member"], "id").to_owned()
}

async fn refused_as_no_token(app: &TestApp, token: &str, why: &str) {
    let answer = claim(app, token).await;
    assert_eq!(refusal(&answer), (401, "invalid_token".into()), "{why}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{why}");
}

#[tokio::test]
async fn a_link_gives_a_member_a_key_of_their_own() {
    let app = settled().await;
    let grace = newcomer(&app, Role::Builder).await;
    let answer = link(&app, &app.owner(), json!({"user_id": grace, "name": "laptop"})).await;
    let made_link = made(&answer);
    assert!(answer.header("etag").is_some());
    let scopes = ["secrets:read", "secrets:write", "team:read", "admin"];
    let mut expected = json!({
        "id": made_link["id"], "user_id": grace, "name": "laptop", "role": "builder", "scopes": scopes,
        "agents": null, "cidrs": null, "key_expires_at": null, "created_by": app.owner_id.to_string(),
        "created_at": in_millis(&app, 0), "expires_at": in_millis(&app, DAY), "link": made_link["link"],
    });
    assert_eq!(made_link, expected, "no higher than the member");
    expected.as_object_mut().unwrap().remove("link");
    let listed = app.owner().get(&team(&app, "/key-links")).await;
    assert_eq!(listed.json(), json!({"key_links": [expected]}));
    assert!(!listed.body.contains("srl_"));
    app.clock.advance(DAY - 1);
    let answer = claim(&app, text(&made_link, "link")).await;
    let key = made(&answer);
    assert!(answer.header("etag").is_some());
    let expected = json!({
        "id": key["id"], "user_id": grace, "name": "laptop", "role": "builder", "scopes": scopes, "agents": null,
        "cidrs": null, "created_by": grace, "created_at": in_millis(&app, 0), "expires_at": null, "revoked_at": null,
        "last_used_at": null, "api_key": key["api_key"],
    });
    assert_eq!(key, expected);
    assert_ne!(key["id"], made_link["id"]);
    let caller = app.bearer(text(&key, "api_key"));
    assert_eq!(caller.get("/v2/profile").await.json()["profile"]["id"], json!(grace));
    assert_eq!(links(&app, &app.owner()).await, [] as [Value; 0]);
    refused_as_no_token(&app, text(&made_link, "link"), "used").await;
}

#[tokio::test]
async fn everything_about_a_links_key_can_be_said() {
    let app = settled().await;
    let grace = newcomer(&app, Role::Manager).await;
    let end = in_millis(&app, 40 * DAY);
    let body = json!({
        "user_id": grace.to_uppercase(), "name": "n", "role": "member", "scopes": ["team:read"], "agents": [ABSENT],
        "cidrs": ["10.0.0.0/8"], "expires_at": end, "valid_seconds": 60,
    });
    let made_link = made(&link(&app, &app.owner(), body).await);
    let rights = json!(["member", ["team:read"], [ABSENT], ["10.0.0.0/8"], end]);
    let of = |value: &Value, end| {
        json!([value["role"], value["scopes"], value["agents"], value["cidrs"], value[end]])
    };
    assert_eq!(of(&made_link, "key_expires_at"), rights);
    assert_eq!(made_link["expires_at"], json!(in_millis(&app, 60_000)));
    let key = made(&claim(&app, text(&made_link, "link")).await);
    assert_eq!(of(&key, "expires_at"), rights);
    let caller = app.bearer(text(&key, "api_key"));
    assert_eq!(
        refusal(&caller.get("/v2/profile").await),
        (403, "forbidden".into()),
        "the key is for its networks"
    );
}

#[tokio::test]
async fn what_is_no_link_is_refused_by_its_field() {
    let app = settled().await;
    let before = contents(&app);
    for (field, value, says) in [
        ("user_id", json!("hunter2"), "UUID"),
        ("user_id", json!(null), "`user_id`"),
        ("name", json!(""), "1 to 128"),
        ("role", json!("hunter2"), "member, builder, manager, administrator, owner"),
        ("scopes", json!([]), "leave it out"),
        ("agents", json!([]), "leave it out"),
        ("cidrs", json!([]), "leave it out"),
        ("expires_at", json!("hunter2"), "RFC 3339"),
        ("expires_at", json!(in_millis(&app, 0)), "future"),
        ("valid_seconds", json!(59), "60 to 604800"),
        ("valid_seconds", json!(604_801), "60 to 604800"),
        ("valid_seconds", json!(-60), "60 to 604800"),
        ("valid_seconds", json!(60.5), "60 to 604800"),
        ("valid_seconds", json!("60"), "60 to 604800"),
        ("valid_seconds", json!(null), "60 to 604800"),
    ] {
        let mut body = json!({"name": "n", "user_id": app.owner_id.to_string()});
        body[field] = value;
        let answer = link(&app, &app.owner(), body.clone()).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{body}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(field) && message.contains(says), "{body}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let nobody = link(&app, &app.owner(), json!({"name": "n"})).await;
    assert!(nobody.body.contains("`user_id`: is required"), "{}", nobody.body);
    assert_eq!(contents(&app), before);
}

#[tokio::test]
async fn links_are_made_by_administrators_and_not_for_those_above_them() {
    let app = settled().await;
    let administrator = join(&app, "boss@example.com", Role::Administrator).await.caller;
    let manager = app.user(app.team_id, Role::Manager, Scopes::all());
    let builder = newcomer(&app, Role::Builder).await;
    let owner = app.owner_id.to_string();
    let body = |user: &str| json!({"user_id": user, "name": "n"});
    assert_eq!(refusal(&link(&app, &manager, body(&builder)).await), (403, "forbidden".into()));
    assert_eq!(refusal(&manager.get(&team(&app, "/key-links")).await), (403, "forbidden".into()));
    assert_eq!(refusal(&link(&app, &administrator, body(&owner)).await), (403, "forbidden".into()));
    assert_eq!(refusal(&link(&app, &administrator, body(ABSENT)).await), (404, "not_found".into()));
    let above = json!({"user_id": builder, "name": "n", "role": "manager"});
    assert_eq!(
        refusal(&link(&app, &app.owner(), above).await),
        (403, "forbidden".into()),
        "above the member"
    );
    let made_link = made(&link(&app, &administrator, body(&builder)).await);
    let path = team(&app, &format!("/key-links/{}", text(&made_link, "id")));
    assert_eq!(refusal(&manager.delete(&path).await), (403, "forbidden".into()));
    let unscoped = key(&app, &app.owner(), json!({"name": "n", "scopes": ["team:read"]})).await;
    assert_eq!(refusal(&link(&app, &unscoped, body(&builder)).await), (403, "insufficient_scope".into()));
    let narrow =
        key(&app, &app.owner(), json!({"name": "n", "scopes": ["admin"], "role": "administrator"})).await;
    let own = made(&link(&app, &narrow, body(&owner)).await);
    assert_eq!(
        json!([own["role"], own["scopes"]]),
        json!(["administrator", ["admin"]]),
        "for oneself, as one's key"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_at_once_one_is_served() {
    let app = settled().await;
    let grace = newcomer(&app, Role::Builder).await;
    let token = link_token(&app, &app.owner(), json!({"user_id": grace, "name": "n"})).await;
    let claims = (0..64).map(|_| {
        let link = app.bearer(&token);
        async move { link.send(link.request(Method::POST, "/v2/key-links/claim")).await }
    });
    let statuses = at_once(claims).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 63, "{statuses:?}");
    let keys: u32 =
        app.database().query_row("SELECT count(*) FROM api_keys", NOTHING, |row| row.get(0)).unwrap();
    assert_eq!(keys, 2);
}

#[tokio::test]
async fn a_link_is_refused_when_it_is_too_old() {
    let app = settled().await;
    let grace = newcomer(&app, Role::Builder).await;
    let token =
        link_token(&app, &app.owner(), json!({"user_id": grace, "name": "n", "valid_seconds": 60})).await;
    app.clock.advance(59_999);
    assert_eq!(links(&app, &app.owner()).await.len(), 1);
    app.clock.advance(1);
    assert_eq!(links(&app, &app.owner()).await.len(), 0);
    refused_as_no_token(&app, &token, "too old").await;
}

#[tokio::test]
async fn a_withdrawn_link_is_gone() {
    let app = settled().await;
    let grace = newcomer(&app, Role::Builder).await;
    let made_link = made(&link(&app, &app.owner(), json!({"user_id": grace, "name": "n"})).await);
    let path = team(&app, &format!("/key-links/{}", text(&made_link, "id")));
    assert_eq!(app.owner().delete(&path).await.body, r#"{"success":true}"#);
    refused_as_no_token(&app, text(&made_link, "link"), "withdrawn").await;
    assert_eq!(links(&app, &app.owner()).await.len(), 0);
    let absent = team(&app, &format!("/key-links/{ABSENT}"));
    for path in [path, absent] {
        assert_eq!(refusal(&app.owner().delete(&path).await), (404, "not_found".into()));
    }
    let malformed = app.owner().delete(&team(&app, "/key-links/x")).await;
    assert_eq!(refusal(&malformed), (400, "invalid_request".into()));
}

#[tokio::test]
async fn nothing_but_a_valid_link_is_claimed() {
    let app = settled().await;
    let grace = newcomer(&app, Role::Builder).await;
    let token = link_token(&app, &app.owner(), json!({"user_id": grace, "name": "n"})).await;
    let known = Token::parse(TokenKind::Link, &token).unwrap().id();
    let forged = Token::mint(TokenKind::Link, known, &OsRandom);
    let unknown = Token::mint(TokenKind::Link, uuid::Uuid::from_u128(99), &OsRandom);
    let before = contents(&app);
    for (why, token) in [
        ("empty", ""),
        ("garbage", "hunter2"),
        ("cut", &token[..token.len() - 1]),
        ("longer", &format!("{token}0")),
        ("an API key", app.owner().token.as_ref().unwrap()),
        ("a link by its prefix only", &app.owner().token.unwrap().replace("srk_", "srl_")),
        ("known id, wrong secret", forged.reveal()),
        ("unknown id", unknown.reveal()),
    ] {
        refused_as_no_token(&app, token, why).await;
    }
    let anonymous = app.anonymous();
    let answer = anonymous.send(anonymous.request(Method::POST, "/v2/key-links/claim")).await;
    assert_eq!(refusal(&answer), (401, "invalid_token".into()));
    assert_eq!(contents(&app), before);
    assert_eq!(claim(&app, &token).await.status, 201, "the control");
}

#[tokio::test]
async fn a_link_is_good_for_nothing_else() {
    let app = settled().await;
    let token =
        link_token(&app, &app.owner(), json!({"user_id": app.owner_id.to_string(), "name": "n"})).await;
    let link = app.bearer(&token);
    let description: Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let mut tried = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation.get("security").is_some() {
                continue;
            }
            let path = path.replace("{teamId}", &app.team_id.to_string());
            let pieces = path.split('/').map(|piece| if piece.starts_with('{') { ABSENT } else { piece });
            let path = pieces.collect::<Vec<_>>().join("/");
            let request = link.request(method.to_uppercase().parse().unwrap(), &path);
            let request = request.header("content-type", "application/json").body(r#"{"name": "n"}"#);
            assert_eq!(refusal(&link.send(request).await), (401, "invalid_token".into()), "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried >= 55, "{tried}");
    assert_eq!(claim(&app, &token).await.status, 201);
}

#[tokio::test]
async fn a_link_is_worth_nothing_without_its_maker() {
    let app = settled().await;
    let maker = join(&app, "maker@example.com", Role::Administrator).await;
    let bot = service(&app, Role::Administrator).await;
    let path = team(&app, &format!("/members/{}", maker.id));
    let body = json!({"user_id": bot, "name": "n"});
    // Links that are stored after the change looked for links, and before it is done.
    let ask = app.ask(&app.owner()).await;
    let maker_id = UserId::parse(&maker.id).unwrap();
    let lowering = app.app.update_member(&ask, maker_id, Role::Manager).await.unwrap();
    let late = link_token(&app, &maker.caller, body.clone()).await;
    app.app.carry_out(&ask, lowering, None).await.unwrap();
    refused_as_no_token(&app, &late, "its maker has less by now").await;
    assert_eq!(app.owner().patch(&path, r#"{"role": "administrator"}"#).await.status, 200);
    let removal = app.app.remove_member(&ask, maker_id).await.unwrap();
    let late = link_token(&app, &maker.caller, body.clone()).await;
    app.app.carry_out(&ask, removal, None).await.unwrap();
    refused_as_no_token(&app, &late, "its maker is gone").await;
    made(&add(&app, &app.owner(), json!({"user_id": maker.id, "role": "owner"})).await);
    refused_as_no_token(&app, &late, "its maker came back").await;
}

#[tokio::test]
async fn a_disabled_or_removed_member_claims_nothing() {
    let app = settled().await;
    let disabled = app.seed_user_disabled(Some(app.app.clock().now()));
    app.seed_membership(app.team_id, disabled, Role::Builder);
    let token = link_token(&app, &app.owner(), json!({"user_id": disabled.to_string(), "name": "n"})).await;
    refused_as_no_token(&app, &token, "disabled").await;
}

#[tokio::test]
async fn dry_runs_change_no_link_and_show_no_token() {
    let app = settled().await;
    let grace = newcomer(&app, Role::Builder).await;
    let made_link = made(&link(&app, &app.owner(), json!({"user_id": grace, "name": "n"})).await);
    let token = text(&made_link, "link");
    let before = contents(&app);
    let body = json!({"user_id": grace, "name": "n"}).to_string();
    let dry = app.owner().post(&team(&app, "/key-links?dry_run=true"), body).await;
    assert_eq!(made(&dry)["link"], json!(null));
    let path = team(&app, &format!("/key-links/{}?dry_run=true", text(&made_link, "id")));
    assert_eq!(app.owner().delete(&path).await.body, r#"{"success":true}"#);
    let link = app.bearer(token);
    let claimed = link.send(link.request(Method::POST, "/v2/key-links/claim?dry_run=true")).await;
    assert_eq!(made(&claimed)["api_key"], json!(null));
    assert_eq!(contents(&app), before);
    assert_eq!(claim(&app, token).await.status, 201);
}

#[tokio::test]
async fn a_repeated_creation_names_the_link_and_shows_no_token() {
    let app = settled().await;
    let body = json!({"user_id": app.owner_id.to_string(), "name": "n"}).to_string();
    let send = || {
        let request =
            app.owner().request(Method::POST, &team(&app, "/key-links")).header("idempotency-key", "k");
        request.header("content-type", "application/json").body(body.clone())
    };
    let first = made(&app.owner().send(send()).await);
    let again = app.owner().send(send()).await;
    assert_eq!(refusal(&again), (409, "already_done".into()));
    assert!(again.body.contains(text(&first, "id")) && !again.body.contains("srl_"), "{}", again.body);
    assert_eq!(links(&app, &app.owner()).await.len(), 1);
}

#[tokio::test]
async fn an_idempotency_key_makes_no_second_key_of_a_link() {
    let app = settled().await;
    let token =
        link_token(&app, &app.owner(), json!({"user_id": app.owner_id.to_string(), "name": "n"})).await;
    let link = app.bearer(&token);
    let send = || link.request(Method::POST, "/v2/key-links/claim").header("idempotency-key", "k");
    assert_eq!(link.send(send()).await.status, 201);
    assert_eq!(refusal(&link.send(send()).await), (401, "invalid_token".into()));
}

#[tokio::test]
async fn a_link_does_not_outlast_its_members_rise_above_its_maker() {
    let app = settled().await;
    let administrator = join(&app, "mary@example.com", Role::Administrator).await.caller;
    let builder = newcomer(&app, Role::Builder).await;
    let token = link_token(&app, &administrator, json!({"user_id": builder, "name": "n"})).await;
    let place = team(&app, &format!("/members/{builder}"));
    assert_eq!(app.owner().patch(&place, r#"{"role": "owner"}"#).await.status, 200);
    refused_as_no_token(&app, &token, "its member is above its maker now").await;
    let again = link(&app, &administrator, json!({"user_id": builder, "name": "n"})).await;
    assert_eq!(refusal(&again), (403, "forbidden".into()));
}

#[tokio::test]
async fn links_go_with_the_key_that_made_them() {
    let app = settled().await;
    let made_key = made(&mint(&app, &app.owner(), json!({"name": "stolen"})).await);
    let stolen = app.bearer(text(&made_key, "api_key"));
    let body = json!({"user_id": app.owner_id.to_string(), "name": "n"});
    let (theirs, ours) =
        (link_token(&app, &stolen, body.clone()).await, link_token(&app, &app.owner(), body).await);
    let path = team(&app, &format!("/api-keys/{}", text(&made_key, "id")));
    assert_eq!(app.owner().delete(&path).await.status, 200);
    refused_as_no_token(&app, &theirs, "the key that made it is revoked").await;
    assert_eq!(claim(&app, &ours).await.status, 201, "the control");
}

#[tokio::test]
async fn a_link_can_not_be_used_when_its_key_would_have_ended() {
    let app = settled().await;
    let end = in_millis(&app, 100_000);
    let body = json!({"user_id": app.owner_id.to_string(), "name": "n", "expires_at": end});
    let made = made(&link(&app, &app.owner(), body).await);
    assert_eq!(made["expires_at"], json!(end));
    app.clock.advance(100_000);
    refused_as_no_token(&app, text(&made, "link"), "its key would have ended").await;
}

#[tokio::test]
async fn nobody_withdraws_the_links_of_those_above_them() {
    let app = settled().await;
    let administrator = join(&app, "grace@example.com", Role::Administrator).await.caller;
    let body = json!({"user_id": app.owner_id.to_string(), "name": "n"});
    let id = text(&made(&link(&app, &app.owner(), body).await), "id").to_owned();
    let path = team(&app, &format!("/key-links/{id}"));
    assert_eq!(refusal(&administrator.delete(&path).await), (403, "forbidden".into()));
    assert_eq!(app.owner().delete(&path).await.status, 200, "the control");
}
