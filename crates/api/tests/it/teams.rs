//! The profile and the team: see, create, rename, delete, bring back.

use reqwest::Method;
use serde_json::json;
use strongroom_core::{Role, Scope, Scopes};

use crate::people::{
    add, claim, contents, in_millis, join, key, link_token, made, refusal, service, settled, team, text,
};
use crate::support::{Caller, NOTHING, TestApp};

const ABSENT: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";

#[tokio::test]
async fn a_profile_says_who_one_is_and_needs_no_scope() {
    let app = settled().await;
    let owner = app.owner().get("/v2/profile").await;
    let profile = json!({"id": app.owner_id.to_string(), "name": "ada", "email": "ada@example.com", "teamId": app.team_id.to_string()});
    assert_eq!((owner.status.as_u16(), owner.json()), (200, json!({"profile": profile})));
    let runner = app.user(app.team_id, Role::Member, [Scope::RunsStart].into_iter().collect());
    let answer = runner.get("/v2/profile").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["profile"]["email"]), (200, &json!(null)));
    assert_eq!(refusal(&app.anonymous().get("/v2/profile").await), (401, "invalid_token".into()));
}

#[tokio::test]
async fn a_key_sees_its_own_team_and_no_other() {
    let app = settled().await;
    let id = app.team_id.to_string();
    let listed = app.owner().get("/v2/teams").await;
    let expected = json!({"teams": [{"id": id, "name": "Rockets", "organization_id": null}]});
    assert_eq!((listed.status.as_u16(), listed.json()), (200, expected));
    let got = app.owner().get(&team(&app, "")).await;
    let expected = json!({"team": {
        "id": id, "name": "Rockets", "created_at": in_millis(&app, -1_000), "organization_id": null,
        "slack_team_id": null, "discovery_mode": "request",
    }});
    assert_eq!((got.status.as_u16(), got.json()), (200, expected));
    assert!(got.header("etag").is_some());
    for other in [app.seed_team().to_string().as_str(), ABSENT] {
        assert_eq!(refusal(&app.owner().get(&format!("/v2/teams/{other}")).await), (403, "forbidden".into()));
    }
    let malformed = app.owner().get("/v2/teams/rockets").await;
    assert_eq!(refusal(&malformed), (400, "invalid_request".into()));
    let blind = app.user(app.team_id, Role::Owner, [Scope::SecretsRead].into_iter().collect());
    for path in ["/v2/teams", &team(&app, ""), &team(&app, "/members")] {
        assert_eq!(refusal(&blind.get(path).await), (403, "insufficient_scope".into()), "{path}");
    }
}

#[tokio::test]
async fn a_team_is_renamed_by_an_administrator() {
    let app = settled().await;
    let path = team(&app, "");
    let before = app.owner().get(&path).await;
    let administrator = app.user(app.team_id, Role::Administrator, Scopes::all());
    let renamed = administrator.patch(&path, r#"{"name": "Räder"}"#).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["team"]["name"]), (200, &json!("Räder")));
    assert_eq!(renamed.body, app.owner().get(&path).await.body);
    assert_ne!(renamed.header("etag"), before.header("etag"));
    let same = administrator.patch(&path, r#"{"name": "Räder"}"#).await;
    assert_eq!(same.header("etag"), renamed.header("etag"), "nothing changed");
    let manager = app.user(app.team_id, Role::Manager, Scopes::all());
    assert_eq!(refusal(&manager.patch(&path, r#"{"name": "n"}"#).await), (403, "forbidden".into()));
    for body in
        ["{}", r#"{"name": ""}"#, r#"{"name": null}"#, r#"{"name": 1}"#, r#"{"name": "a\u0000"}"#, "[]"]
    {
        assert_eq!(
            refusal(&administrator.patch(&path, body).await),
            (400, "invalid_request".into()),
            "{body}"
        );
    }
    let long = json!({"name": "é".repeat(129)}).to_string();
    assert_eq!(administrator.patch(&path, long).await.status, 400);
    let stale = app.owner().request(Method::PATCH, &path).header("if-match", before.header("etag").unwrap());
    let stale = stale.header("content-type", "application/json").body(r#"{"name": "n"}"#);
    assert_eq!(refusal(&app.owner().send(stale).await), (412, "precondition_failed".into()));
}

#[tokio::test]
async fn a_created_team_is_entered_by_its_link() {
    let app = settled().await;
    let answer = app.owner().post("/v2/teams", r#"{"name": "Boats"}"#).await;
    let created = made(&answer);
    assert!(answer.header("etag").is_some());
    let id = text(&created["team"], "id").to_owned();
    let token = text(&created["key_link"], "link").to_owned();
    assert!(token.starts_with("srl_"));
    let scopes = ["secrets:read", "secrets:write", "runs:start", "team:read", "admin"];
    let now = in_millis(&app, 0);
    let expected = json!({
        "team": {
            "id": id, "name": "Boats", "created_at": now, "organization_id": null, "slack_team_id": null,
            "discovery_mode": "request",
        },
        "key_link": {
            "id": created["key_link"]["id"], "user_id": app.owner_id.to_string(), "name": "first key",
            "role": "owner", "scopes": scopes, "agents": null, "cidrs": null, "key_expires_at": null,
            "created_by": app.owner_id.to_string(), "created_at": now,
            "expires_at": in_millis(&app, 24 * 60 * 60 * 1_000), "link": token,
        },
    });
    assert_eq!(created, expected);
    let path = format!("/v2/teams/{id}");
    assert_eq!(
        refusal(&app.owner().get(&path).await),
        (403, "forbidden".into()),
        "the old key is for the old team"
    );
    let founder = app.bearer(text(&made(&claim(&app, &token).await), "api_key"));
    assert_eq!(founder.get("/v2/profile").await.json()["profile"]["teamId"], json!(id));
    assert_eq!(founder.get(&path).await.json()["team"], created["team"]);
    let secret = founder.create("s", true).await;
    assert_eq!(secret["team_id"], json!(id));
    assert_eq!(app.owner().get("/v1/credentials").await.body, "[]");
    let id = text(&secret, "id");
    assert_eq!(app.owner().get(&format!("/v2/credentials/{id}")).await.status, 404);
    let findings = app.app.verify(|| ()).await.unwrap().findings;
    assert_eq!(findings, []);
}

#[tokio::test]
async fn only_an_owner_who_is_a_person_creates_a_team() {
    let app = settled().await;
    let body = r#"{"name": "n"}"#;
    let administrator = app.user(app.team_id, Role::Administrator, Scopes::all());
    assert_eq!(refusal(&administrator.post("/v2/teams", body).await), (403, "forbidden".into()));
    let low = key(&app, &app.owner(), json!({"name": "low", "role": "administrator"})).await;
    assert_eq!(refusal(&low.post("/v2/teams", body).await), (403, "forbidden".into()));
    let bot = service(&app, Role::Owner).await;
    let bot =
        key(&app, &app.owner(), json!({"name": "bot", "service_user_id": bot, "scopes": scopes_of_all()}))
            .await;
    let before = contents(&app);
    assert_eq!(
        refusal(&bot.post("/v2/teams", body).await),
        (409, "conflict".into()),
        "it would have no owner"
    );
    assert_eq!(contents(&app), before);
}

/// The names of all scopes.
fn scopes_of_all() -> Vec<&'static str> {
    Scopes::all().iter().map(Scope::name).collect()
}

#[tokio::test]
async fn a_key_with_limits_founds_no_team() {
    let app = settled().await;
    let before = contents(&app);
    for limit in [
        json!({"scopes": ["admin"]}),
        json!({"cidrs": ["127.0.0.0/8"]}),
        json!({"expires_at": in_millis(&app, 1_000_000)}),
        json!({"agents": [ABSENT]}),
    ] {
        let mut body = json!({"name": "n", "scopes": scopes_of_all()});
        body.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
        let narrow = key(&app, &app.owner(), body).await;
        let refused = narrow.post("/v2/teams", r#"{"name": "n"}"#).await;
        assert_eq!(refusal(&refused), (403, "forbidden".into()), "{limit}");
    }
    let wide = key(&app, &app.owner(), json!({"name": "n", "scopes": scopes_of_all()})).await;
    assert_eq!(wide.post("/v2/teams", r#"{"name": "n"}"#).await.status, 201, "the control");
    assert_ne!(contents(&app), before);
}

/// Every operation on a team, with what it answers when all is well.
async fn everything(app: &TestApp, caller: &Caller) -> Vec<u16> {
    let mut statuses = Vec::new();
    for path in ["/v2/profile", "/v2/teams", "/v1/credentials"] {
        statuses.push(caller.get(path).await.status.as_u16());
    }
    for path in ["", "/members", "/api-keys", "/key-links", "/credentials", "/agents", "/runs"] {
        statuses.push(caller.get(&team(app, path)).await.status.as_u16());
    }
    statuses.push(caller.patch(&team(app, ""), r#"{"name": "Rockets"}"#).await.status.as_u16());
    statuses
}

#[tokio::test]
async fn a_deleted_team_refuses_everything_until_an_owner_brings_it_back() {
    let app = settled().await;
    let administrator = join(&app, "grace@example.com", Role::Administrator).await.caller;
    let secret = app.owner().create("s", true).await;
    let link =
        link_token(&app, &app.owner(), json!({"user_id": app.owner_id.to_string(), "name": "n"})).await;
    let (path, undelete) = (team(&app, ""), team(&app, "/undelete"));
    let alive = app.owner().get(&path).await.body;
    assert_eq!(refusal(&administrator.delete(&path).await), (403, "forbidden".into()));
    assert_eq!(app.owner().delete(&path).await.body, r#"{"success":true}"#);
    for caller in [&app.owner(), &administrator] {
        assert_eq!(everything(&app, caller).await, [403; 11]);
    }
    assert_eq!(refusal(&app.owner().delete(&path).await), (403, "forbidden".into()));
    assert_eq!(refusal(&claim(&app, &link).await), (403, "forbidden".into()));
    assert_eq!(refusal(&administrator.post(&undelete, "").await), (403, "forbidden".into()));
    let back = app.owner().post(&undelete, "").await;
    assert_eq!((back.status.as_u16(), &back.body), (200, &alive));
    assert!(back.header("etag").is_some());
    for caller in [&app.owner(), &administrator] {
        assert_eq!(everything(&app, caller).await, [200; 11]);
    }
    assert_eq!(app.owner().get("/v1/credentials").await.json(), json!([secret]));
    assert_eq!(claim(&app, &link).await.status, 201);
    assert_eq!(app.owner().post(&undelete, "").await.body, back.body, "a second time it stays");
}

#[tokio::test]
async fn a_team_is_gone_for_good_after_the_retention_time() {
    let app = settled().await;
    app.owner().delete(&team(&app, "")).await;
    let purged = app.app.purge(app.app.clock().now()).await.unwrap();
    assert_eq!(purged.teams, 1);
    app.clock.advance(1_000);
    assert_eq!(refusal(&app.owner().post(&team(&app, "/undelete"), "").await), (401, "invalid_token".into()));
}

#[tokio::test]
async fn dry_runs_change_no_team_and_show_no_token() {
    let app = settled().await;
    let before = contents(&app);
    let created = app.owner().post("/v2/teams?dry_run=true", r#"{"name": "n"}"#).await;
    assert_eq!(made(&created)["key_link"]["link"], json!(null));
    assert!(!created.body.contains("srl_"));
    let renamed = app.owner().patch(&team(&app, "?dry_run=true"), r#"{"name": "n"}"#).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["team"]["name"]), (200, &json!("n")));
    assert_eq!(app.owner().delete(&team(&app, "?dry_run=true")).await.body, r#"{"success":true}"#);
    assert_eq!(contents(&app), before);
    app.owner().delete(&team(&app, "")).await;
    let deleted = contents(&app);
    assert_eq!(app.owner().post(&team(&app, "/undelete?dry_run=true"), "").await.status, 200);
    assert_eq!(contents(&app), deleted);
}

#[tokio::test]
async fn a_repeated_creation_names_the_team_and_shows_no_token() {
    let app = settled().await;
    let send = || {
        let request =
            app.owner().request(Method::POST, "/v2/teams").header("content-type", "application/json");
        request.header("idempotency-key", "k").body(r#"{"name": "n"}"#)
    };
    let first = made(&app.owner().send(send()).await);
    let again = app.owner().send(send()).await;
    assert_eq!(refusal(&again), (409, "already_done".into()));
    assert!(again.body.contains(text(&first["team"], "id")) && !again.body.contains("srl_"));
    let teams: u32 =
        app.database().query_row("SELECT count(*) FROM teams", NOTHING, |row| row.get(0)).unwrap();
    assert_eq!(teams, 2);
}

#[tokio::test]
async fn every_change_to_a_team_leaves_its_event() {
    let app = settled().await;
    made(&app.owner().post("/v2/teams", r#"{"name": "n"}"#).await);
    app.owner().patch(&team(&app, ""), r#"{"name": "n"}"#).await;
    app.owner().delete(&team(&app, "")).await;
    app.owner().post(&team(&app, "/undelete"), "").await;
    made(&add(&app, &app.owner(), json!({"name": "n", "service": true, "role": "member"})).await);
    let database = app.database();
    let kinds = database.query("SELECT kind FROM events ORDER BY sequence", NOTHING).unwrap();
    let kinds: Vec<String> = kinds.iter().map(|row| row.get(0).unwrap()).collect();
    let expected = [
        "instance.created",
        "team.created",
        "member.added",
        "key_link.created",
        "team.updated",
        "team.deleted",
        "team.undeleted",
        "user.created",
        "member.added",
    ];
    assert_eq!(kinds, expected);
}
