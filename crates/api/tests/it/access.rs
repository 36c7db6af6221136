//! Who may do what, over the wire: every role × scope × ownership of the
//! operations that there are, and every way in which a key can be no key.

use reqwest::Method;
use strongroom_core::access::Means;
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{OsRandom, Role, Scope, Scopes, Timestamp};

use crate::support::{TestApp, canary};

fn body(shared: bool) -> String {
    serde_json::json!({"name": "n", "values": {"K": canary("v")}, "shared": shared}).to_string()
}

#[tokio::test]
async fn shared_secrets_need_a_manager_and_personal_ones_nobody_special() {
    let app = TestApp::new().await;
    for role in Role::ALL {
        let caller = app.user(app.team_id, role, Scopes::all());
        assert_eq!(caller.post("/v1/credentials", body(false)).await.status, 201, "{role}");
        let shared = caller.post("/v1/credentials", body(true)).await;
        if role >= Role::Manager {
            assert_eq!(shared.status, 201, "{role}");
        } else {
            assert_eq!((shared.status.as_u16(), shared.code().as_str()), (403, "forbidden"), "{role}");
        }
    }
}

#[tokio::test]
async fn a_key_can_lower_its_users_role_but_never_raise_it() {
    let app = TestApp::new().await;
    let low_key = app.key(app.team_id, app.owner_id, |key| key.grant.role = Role::Member);
    assert_eq!(low_key.post("/v1/credentials", body(true)).await.status, 403);
    let member = app.seed_user();
    app.seed_membership(app.team_id, member, Role::Member);
    let high_key = app.key(app.team_id, member, |key| key.grant.role = Role::Owner);
    assert_eq!(high_key.post("/v1/credentials", body(true)).await.status, 403);
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    let app = TestApp::new().await;
    let secret = app.owner().create("s", true).await;
    let get = format!("/v2/credentials/{}", secret["id"].as_str().unwrap());
    for scope in Scope::ALL {
        let caller = app.user(app.team_id, Role::Owner, [scope].into_iter().collect());
        let reads = scope == Scope::SecretsRead;
        let answers = [
            (caller.get(&get).await, if reads { 200 } else { 403 }),
            (caller.get("/v1/credentials").await, if reads { 200 } else { 403 }),
            (
                caller.post("/v1/credentials", body(false)).await,
                if scope == Scope::SecretsWrite { 201 } else { 403 },
            ),
        ];
        for (answer, expected) in answers {
            assert_eq!(answer.status, expected, "{}: {}", scope.name(), answer.body);
            if expected == 403 {
                assert_eq!(answer.code(), "insufficient_scope");
            }
        }
    }
}

#[tokio::test]
async fn what_is_invisible_looks_absent() {
    let app = TestApp::new().await;
    let personal = app.owner().create("mine", false).await;
    let id = personal["id"].as_str().unwrap();
    let absent = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";
    let other_team = app.seed_team();
    let strangers = [
        app.user(app.team_id, Role::Owner, Scopes::all()),
        app.user(app.team_id, Role::Member, Scopes::all()),
        app.user(other_team, Role::Owner, Scopes::all()),
    ];
    // A key that may not read isn't told what there is either: 403 for all.
    let blind = app.user(app.team_id, Role::Owner, [Scope::Admin].into_iter().collect());
    let shared = app.owner().create("ours", true).await;
    for id in [id, shared["id"].as_str().unwrap(), absent] {
        assert_eq!(blind.get(&format!("/v2/credentials/{id}")).await.code(), "insufficient_scope");
    }
    for stranger in strangers {
        for version in ["v1", "v2"] {
            let invisible = stranger.get(&format!("/{version}/credentials/{id}")).await;
            let missing = stranger.get(&format!("/{version}/credentials/{absent}")).await;
            assert_eq!((invisible.status.as_u16(), &invisible.body), (404, &missing.body));
            assert_eq!(invisible.headers.len(), missing.headers.len());
        }
    }
}

#[tokio::test]
async fn another_teams_path_is_forbidden_whether_it_exists_or_not() {
    let app = TestApp::new().await;
    let other = app.seed_team().to_string();
    for team in [other.as_str(), "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d"] {
        let path = format!("/v2/teams/{team}/credentials");
        for answer in [app.owner().get(&path).await, app.owner().post(&path, body(false)).await] {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden"));
        }
    }
}

#[tokio::test]
async fn nothing_but_a_valid_key_is_let_in() {
    let app = TestApp::new().await;
    let now = Timestamp::from_millis(1_794_000_000_000);
    let disabled = app.seed_user_disabled(Some(now));
    app.seed_membership(app.team_id, disabled, Role::Owner);
    let no_member = app.seed_user();
    let valid = app.owner().token.unwrap();
    let unknown = Token::mint(TokenKind::ApiKey, uuid::Uuid::from_u128(99), &OsRandom);
    let other_kind = Token::mint(TokenKind::Run, uuid::Uuid::from_u128(99), &OsRandom);
    let forged =
        Token::mint(TokenKind::ApiKey, Token::parse(TokenKind::ApiKey, &valid).unwrap().id(), &OsRandom);
    let callers = [
        ("none", app.anonymous()),
        ("empty", app.bearer("")),
        ("garbage", app.bearer("hunter2")),
        ("cut", app.bearer(&valid[..valid.len() - 1])),
        ("longer", app.bearer(&format!("{valid}0"))),
        ("another kind", app.bearer(other_kind.reveal())),
        ("unknown id", app.bearer(unknown.reveal())),
        ("known id, wrong secret", app.bearer(forged.reveal())),
        ("revoked", app.key(app.team_id, app.owner_id, |key| key.revoked_at = Some(now))),
        ("expired this moment", app.key(app.team_id, app.owner_id, |key| key.grant.expires_at = Some(now))),
        ("of a disabled user", app.key(app.team_id, disabled, |_| ())),
        ("of no member", app.key(app.team_id, no_member, |_| ())),
        ("of a team that the user is not in", app.key(app.seed_team(), app.owner_id, |_| ())),
    ];
    for (what, caller) in callers {
        for (method, path) in operations(&app) {
            let request =
                caller.request(method, &path).header("content-type", "application/json").body(body(false));
            let answer = caller.send(request).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (401, "invalid_token"),
                "{what}: {path}"
            );
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}: {path}");
        }
    }
    let soon = app.key(app.team_id, app.owner_id, |key| {
        key.grant.expires_at = Some(Timestamp::from_millis(now.as_millis() + 1));
    });
    assert_eq!(soon.get("/v1/credentials").await.status, 200, "not yet expired");
    app.clock.advance(1);
    assert_eq!(soon.get("/v1/credentials").await.status, 401, "expired now");
}

/// Every operation that asks for a key, from the description of the API itself.
fn operations(app: &TestApp) -> Vec<(Method, String)> {
    let description: serde_json::Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation.get("security").is_none() {
                let path = path.replace("{teamId}", &app.team_id.to_string());
                let absent = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";
                let pieces = path.split('/').map(|piece| if piece.starts_with('{') { absent } else { piece });
                let path = pieces.collect::<Vec<_>>().join("/");
                operations.push((method.to_uppercase().parse().unwrap(), path));
            }
        }
    }
    assert!(operations.len() >= 55, "{operations:?}");
    operations
}

#[tokio::test]
async fn the_key_is_taken_from_the_header_only_and_from_one_header_only() {
    let app = TestApp::new().await;
    let token = app.owner().token.unwrap();
    let anonymous = app.anonymous();
    for path in [
        format!("/v1/credentials?api_key={token}"),
        format!("/v1/credentials?authorization=Bearer%20{token}"),
    ] {
        assert_eq!(anonymous.get(&path).await.status, 401);
    }
    let get = || anonymous.request(Method::GET, "/v1/credentials");
    let twice = get().bearer_auth(&token).header("authorization", format!("Bearer {token}"));
    assert_eq!(anonymous.send(twice).await.status, 401);
    for (scheme, status) in [("bearer", 200), ("BEARER", 200), ("Basic", 401), ("Token", 401)] {
        let request = get().header("authorization", format!("{scheme} {token}"));
        assert_eq!(anonymous.send(request).await.status, status, "{scheme}");
    }
}

#[tokio::test]
async fn a_right_lost_between_the_proof_and_the_write_stops_the_write() {
    let app = TestApp::new().await;
    let caller = app.user(app.team_id, Role::Owner, Scopes::all());
    let ask = app.ask(&caller).await;
    let Means::Key(key) = ask.caller.means else { panic!("a key") };
    let revoke = "DELETE FROM api_keys WHERE id = ?";
    assert_eq!(app.database().execute(revoke, [key.as_bytes()]), Ok(1));
    let new = strongroom_core::secrets::NewSecret {
        name: strongroom_core::SecretName::parse("n").unwrap(),
        service_slug: None,
        shared: false,
        values: strongroom_core::Bundle::new(Vec::new()).unwrap(),
    };
    let planned = app.app.create_secret(&ask, new).await.unwrap();
    let refused = app.app.carry_out(&ask, planned, None).await;
    assert!(matches!(refused, Err(strongroom_core::app::Error::NotProven)));
    assert_eq!(app.owner().get("/v1/credentials").await.body, "[]");
}

#[tokio::test]
async fn a_right_taken_away_elsewhere_is_gone_within_a_second() {
    let app = TestApp::new().await;
    let caller = app.user(app.team_id, Role::Owner, Scopes::all());
    assert_eq!(caller.get("/v1/credentials").await.status, 200);
    // As another node does it: behind this one's back.
    let left =
        app.database().execute("DELETE FROM memberships WHERE user_id <> ?", [app.owner_id.as_bytes()]);
    assert_eq!(left, Ok(1));
    app.clock.advance(799);
    assert_eq!(caller.get("/v1/credentials").await.status, 200, "a read was proven a moment ago");
    app.clock.advance(1);
    assert_eq!(caller.get("/v1/credentials").await.status, 401);
}

#[tokio::test]
async fn a_write_proves_its_caller_again_at_once() {
    let app = TestApp::new().await;
    let [left, demoted] = [(); 2].map(|()| app.seed_user());
    for user in [left, demoted] {
        app.seed_membership(app.team_id, user, Role::Manager);
    }
    let [leaver, lower] = [left, demoted].map(|user| app.key(app.team_id, user, |_| ()));
    for caller in [&leaver, &lower] {
        assert_eq!(caller.get("/v1/credentials").await.status, 200);
    }
    for user in [left, demoted] {
        app.database().execute("DELETE FROM memberships WHERE user_id = ?", [user.as_bytes()]).unwrap();
    }
    app.seed_membership(app.team_id, demoted, Role::Member);
    assert_eq!(leaver.post("/v1/credentials", body(true)).await.code(), "invalid_token");
    assert_eq!(leaver.get("/v1/credentials").await.status, 401, "and is forgotten");
    assert_eq!(lower.post("/v1/credentials", body(true)).await.code(), "conflict", "other rights: try again");
    assert_eq!(lower.post("/v1/credentials", body(true)).await.code(), "forbidden");
    assert_eq!(lower.post("/v1/credentials", body(false)).await.status, 201);
}

#[tokio::test]
async fn a_proven_key_id_does_not_let_another_secret_in() {
    let app = TestApp::new().await;
    let valid = app.owner().token.unwrap();
    assert_eq!(app.owner().get("/v1/credentials").await.status, 200);
    let id = Token::parse(TokenKind::ApiKey, &valid).unwrap().id();
    let forged = Token::mint(TokenKind::ApiKey, id, &OsRandom);
    assert_eq!(app.bearer(forged.reveal()).get("/v1/credentials").await.status, 401);
}
