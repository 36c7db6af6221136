//! Members: see, add, change. Nobody reaches above themselves.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::{Role, Scope, Scopes};

use crate::people::{
    add, at_once, claim, contents, join, key, link_token, made, mint, refusal, service, settled, team, text,
};
use crate::support::{Answer, Caller, TestApp};

const ABSENT: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";

/// Where a member is changed and removed.
pub(crate) fn member_path(app: &TestApp, id: &str) -> String {
    team(app, &format!("/members/{id}"))
}

/// Asks to change a role.
pub(crate) async fn update(app: &TestApp, caller: &Caller, id: &str, role: &str) -> Answer {
    caller.patch(&member_path(app, id), json!({"role": role}).to_string()).await
}

/// The members, as the owner sees them.
pub(crate) async fn list(app: &TestApp, query: &str) -> Value {
    let answer = app.owner().get(&team(app, &format!("/members{query}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn names(list: &Value) -> Vec<&str> {
    list["members"].as_array().unwrap().iter().map(|member| text(member, "name")).collect()
}

#[tokio::test]
async fn members_are_listed_as_the_original_lists_them() {
    let app = settled().await;
    let owner = json!({
        "id": app.owner_id.to_string(), "name": "ada", "email": "ada@example.com", "role": "owner",
        "inheritedFromOrg": false, "service": false,
    });
    assert_eq!(list(&app, "").await, json!({"members": [owner], "total": 1, "limit": 50, "offset": 0}));
    let bot = service(&app, Role::Builder).await;
    let bot = json!({
        "id": bot, "name": "ci", "email": null, "role": "builder", "inheritedFromOrg": false, "service": true,
    });
    assert_eq!(list(&app, "").await["members"], json!([owner, bot]));
}

#[tokio::test]
async fn a_part_of_the_members_is_asked_for() {
    let app = settled().await;
    for name in ["Bert", "Cleo", "Dora"] {
        let email = format!("{name}@Example.org");
        made(&add(&app, &app.owner(), json!({"email": email, "name": name, "role": "member"})).await);
    }
    for (query, found, total, limit, offset) in [
        ("?limit=2", vec!["ada", "Bert"], 4, 2, 0),
        ("?limit=2&offset=2", vec!["Cleo", "Dora"], 4, 2, 2),
        ("?offset=3", vec!["Dora"], 4, 50, 3),
        ("?offset=4", vec![], 4, 50, 4),
        ("?offset=2147483647&limit=200", vec![], 4, 200, 2_147_483_647),
        ("?search=ER", vec!["Bert"], 1, 50, 0),
        ("?search=example.ORG&limit=1&offset=1", vec!["Cleo"], 3, 1, 1),
        ("?search=nobody", vec![], 0, 50, 0),
    ] {
        let list = list(&app, query).await;
        assert_eq!(names(&list), found, "{query}");
        assert_eq!(
            json!([list["total"], list["limit"], list["offset"]]),
            json!([total, limit, offset]),
            "{query}"
        );
    }
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=",
        "limit=1&limit=1",
        "offset=-1",
        "offset=2147483648",
        "offset=1.5",
        "search=",
        "search=a&search=b",
        "search=%00",
    ] {
        let answer = app.owner().get(&team(&app, &format!("/members?{query}"))).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{query}");
        assert!(answer.body.contains(query.split('=').next().unwrap()), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_list_is_whole_however_many_pages_it_takes() {
    let app = settled().await;
    for _ in 0..300 {
        app.seed_membership(app.team_id, app.seed_user(), Role::Member);
    }
    let last = list(&app, "?limit=200&offset=200").await;
    assert_eq!((names(&last).len(), &last["total"]), (101, &json!(301)));
}

#[tokio::test]
async fn a_person_is_added_by_their_address() {
    let app = settled().await;
    let body = json!({"email": "Grace@example.com", "name": "Grace", "role": "builder"});
    let answer = add(&app, &app.owner(), body).await;
    let added = made(&answer);
    let expected = json!({"member": {
        "id": added["member"]["id"], "name": "Grace", "email": "Grace@example.com", "role": "builder",
        "inheritedFromOrg": false, "service": false,
    }});
    assert_eq!(added, expected);
    assert!(answer.header("etag").is_some());
    for email in ["Grace@example.com", "gRACE@EXAMPLE.COM"] {
        let again = add(&app, &app.owner(), json!({"email": email, "name": "G", "role": "builder"})).await;
        assert_eq!(refusal(&again), (409, "conflict".into()));
    }
    assert_eq!(list(&app, "").await["total"], json!(2));
}

#[tokio::test]
async fn an_address_in_another_case_is_the_same_user_in_every_team() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Builder).await;
    let created = made(&app.owner().post("/v2/teams", r#"{"name": "Boats"}"#).await);
    let founder = app.bearer(text(&made(&claim(&app, text(&created["key_link"], "link")).await), "api_key"));
    let path = format!("/v2/teams/{}/members", text(&created["team"], "id"));
    let added = made(
        &founder.post(&path, r#"{"email": "GRACE@Example.Com", "name": "Other", "role": "owner"}"#).await,
    );
    let expected = json!({
        "id": grace.id, "name": "Grace", "email": "grace@example.com", "role": "owner",
        "inheritedFromOrg": false, "service": false,
    });
    assert_eq!(added["member"], expected, "who is known keeps their name");
    assert_eq!(
        list(&app, "?search=grace").await["members"][0]["role"],
        json!("builder"),
        "each team its own role"
    );
    let other = founder
        .post(&path, json!({"user_id": service(&app, Role::Member).await, "role": "member"}).to_string());
    assert_eq!(refusal(&other.await), (404, "not_found".into()), "another team's service user");
}

#[tokio::test]
async fn an_address_that_arrives_often_at_once_is_one_user() {
    let app = settled().await;
    let adds = (0..16).map(|i| {
        let email = if i % 2 == 0 { "grace@example.com" } else { "GRACE@example.com" };
        let body = json!({"email": email, "name": "Grace", "role": "member"}).to_string();
        let (owner, path) = (app.owner(), team(&app, "/members"));
        async move { owner.post(&path, body).await }
    });
    let statuses = at_once(adds).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(list(&app, "").await["total"], json!(2));
}

#[tokio::test]
async fn who_is_to_be_added_is_said_in_one_of_three_ways() {
    let app = settled().await;
    let gone = join(&app, "gone@example.com", Role::Member).await.id;
    app.owner().delete(&member_path(&app, &gone)).await;
    let before = contents(&app);
    for (body, named) in [
        (json!({"role": "member"}), "`email`"),
        (json!({"role": "member", "name": "n"}), "`email`"),
        (json!({"role": "member", "email": "new@example.com"}), "`name`"),
        (json!({"role": "member", "service": true}), "`name`"),
        (json!({"role": "member", "service": true, "name": "n", "email": "a@b"}), "`email`"),
        (json!({"role": "member", "service": true, "name": "n", "user_id": gone}), "`user_id`"),
        (json!({"role": "member", "user_id": gone, "email": "a@b"}), "`user_id`"),
        (json!({"role": "member", "user_id": gone, "name": "n"}), "`user_id`"),
        (json!({"role": "member", "user_id": "gone"}), "`user_id`"),
        (json!({"role": "member", "name": "n", "email": "hunter2"}), "`email`"),
        (json!({"role": "member", "name": "", "email": "a@b"}), "`name`"),
        (json!({"role": "member", "name": null, "email": "a@b"}), "`name`"),
        (json!({"role": "member", "name": "n", "service": null}), "`service`"),
        (json!({"name": "n", "email": "a@b"}), "`role`"),
        (
            json!({"role": "Owner", "name": "n", "email": "a@b"}),
            "member, builder, manager, administrator, owner",
        ),
        (json!({"role": 4, "name": "n", "email": "a@b"}), "`role`"),
        (json!({"role": "hunter2", "name": "n", "email": "a@b"}), "`role`"),
    ] {
        let answer = add(&app, &app.owner(), body.clone()).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{body}");
        assert!(text(&answer.json(), "message").contains(named), "{body}: {}", answer.body);
        assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    }
    assert_eq!(contents(&app), before);
    let absent = add(&app, &app.owner(), json!({"role": "member", "user_id": ABSENT})).await;
    assert_eq!(refusal(&absent), (404, "not_found".into()));
    let present =
        add(&app, &app.owner(), json!({"role": "member", "user_id": app.owner_id.to_string()})).await;
    assert_eq!(refusal(&present), (409, "conflict".into()));
    assert_eq!(
        made(&add(&app, &app.owner(), json!({"role": "manager", "user_id": gone})).await)["member"]["id"],
        json!(gone)
    );
}

#[tokio::test]
async fn nobody_reaches_above_themselves() {
    let app = settled().await;
    let administrator = join(&app, "grace@example.com", Role::Administrator).await;
    let owner = app.owner_id.to_string();
    let other = join(&app, "other@example.com", Role::Administrator).await.id;
    let boss = &administrator.caller;
    for answer in [
        add(&app, boss, json!({"name": "n", "service": true, "role": "owner"})).await,
        update(&app, boss, &owner, "member").await,
        update(&app, boss, &other, "owner").await,
        update(&app, boss, &administrator.id, "owner").await,
        boss.delete(&member_path(&app, &owner)).await,
    ] {
        assert_eq!(refusal(&answer), (403, "forbidden".into()), "{}", answer.body);
    }
    assert_eq!(update(&app, boss, &other, "member").await.status, 200);
    let low = key(&app, &app.owner(), json!({"name": "low", "role": "administrator"})).await;
    assert_eq!(
        update(&app, &low, &owner, "member").await.status,
        403,
        "a lower key neither, of the same user"
    );
}

#[tokio::test]
async fn managing_members_needs_the_role_and_the_scope() {
    let app = settled().await;
    let manager = app.user(app.team_id, Role::Manager, Scopes::all());
    let other = service(&app, Role::Member).await;
    let unscoped = app.user(app.team_id, Role::Owner, [Scope::TeamRead].into_iter().collect());
    for (caller, code) in [(&manager, "forbidden"), (&unscoped, "insufficient_scope")] {
        for answer in [
            add(&app, caller, json!({"name": "n", "service": true, "role": "member"})).await,
            update(&app, caller, &other, "builder").await,
            caller.delete(&member_path(&app, &other)).await,
        ] {
            assert_eq!(refusal(&answer), (403, code.into()));
        }
    }
    assert_eq!(manager.get(&team(&app, "/members")).await.status, 200);
    assert_eq!(unscoped.get(&team(&app, "/members")).await.status, 200);
}

#[tokio::test]
async fn a_changed_role_counts_at_once() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Administrator).await;
    let token = link_token(&app, &grace.caller, json!({"user_id": grace.id, "name": "n"})).await;
    grace.caller.create("shared", true).await;
    let lowered = update(&app, &app.owner(), &grace.id, "builder").await;
    let expected = json!({"member": {
        "id": grace.id, "name": "Grace", "email": "grace@example.com", "role": "builder",
        "inheritedFromOrg": false, "service": false,
    }});
    assert_eq!((lowered.status.as_u16(), lowered.json()), (200, expected));
    let shared = grace.caller.post("/v1/credentials", r#"{"name": "n", "values": {}, "shared": true}"#).await;
    assert_eq!(refusal(&shared), (403, "forbidden".into()));
    assert_eq!(
        refusal(&claim(&app, &token).await),
        (401, "invalid_token".into()),
        "links by them are withdrawn"
    );
    let same = update(&app, &app.owner(), &grace.id, "builder").await;
    assert_eq!(same.header("etag"), lowered.header("etag"));
    let own = update(&app, &grace.caller, &grace.id, "member").await;
    assert_eq!(own.json()["member"]["role"], json!("member"), "one may lower oneself");
    assert_eq!(update(&app, &grace.caller, &grace.id, "builder").await.status, 403);
}

#[tokio::test]
async fn who_is_no_member_is_not_found() {
    let app = settled().await;
    let gone = join(&app, "gone@example.com", Role::Member).await.id;
    assert_eq!(app.owner().delete(&member_path(&app, &gone)).await.body, r#"{"success":true}"#);
    for id in [ABSENT, gone.as_str()] {
        assert_eq!(refusal(&update(&app, &app.owner(), id, "member").await), (404, "not_found".into()));
        assert_eq!(refusal(&app.owner().delete(&member_path(&app, id)).await), (404, "not_found".into()));
    }
    assert_eq!(
        refusal(&app.owner().delete(&member_path(&app, "ada")).await),
        (400, "invalid_request".into())
    );
}

#[tokio::test]
async fn a_change_on_a_condition_is_made_only_while_it_holds() {
    let app = settled().await;
    let added = add(&app, &app.owner(), json!({"name": "n", "service": true, "role": "member"})).await;
    let (path, etag) =
        (member_path(&app, text(&made(&added)["member"], "id")), added.header("etag").unwrap());
    let change = |method, role: &str| {
        let request = app.owner().request(method, &path).header("if-match", etag);
        request.header("content-type", "application/json").body(json!({"role": role}).to_string())
    };
    assert_eq!(app.owner().send(change(Method::PATCH, "builder")).await.status, 200);
    for stale in [change(Method::PATCH, "manager"), change(Method::DELETE, "")] {
        assert_eq!(refusal(&app.owner().send(stale).await), (412, "precondition_failed".into()));
    }
}

#[tokio::test]
async fn dry_runs_change_no_member() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Builder).await;
    let before = contents(&app);
    let path = team(&app, "/members?dry_run=true");
    let body = r#"{"email": "new@example.com", "name": "New", "role": "member"}"#;
    assert_eq!(made(&app.owner().post(&path, body).await)["member"]["name"], json!("New"));
    let path = format!("{}?dry_run=true", member_path(&app, &grace.id));
    let updated = app.owner().patch(&path, r#"{"role": "manager"}"#).await;
    assert_eq!((updated.status.as_u16(), &updated.json()["member"]["role"]), (200, &json!("manager")));
    assert_eq!(app.owner().delete(&path).await.body, r#"{"success":true}"#);
    assert_eq!(contents(&app), before);
    assert_eq!(grace.caller.get("/v2/profile").await.status, 200);
}

#[tokio::test]
async fn a_repeated_addition_is_answered_the_same() {
    let app = settled().await;
    let send = || {
        let request =
            app.owner().request(Method::POST, &team(&app, "/members")).header("idempotency-key", "k");
        let body = r#"{"email": "new@example.com", "name": "New", "role": "member"}"#;
        request.header("content-type", "application/json").body(body)
    };
    let first = app.owner().send(send()).await;
    let again = app.owner().send(send()).await;
    assert_eq!((made(&first), again.header("idempotency-replayed")), (made(&again), Some("true")));
    assert_eq!(list(&app, "").await["total"], json!(2));
}

#[tokio::test]
async fn a_service_user_acts_by_keys_that_administrators_make() {
    let app = settled().await;
    let bot = service(&app, Role::Manager).await;
    let caller = key(&app, &app.owner(), json!({"name": "bot", "service_user_id": bot})).await;
    let profile = caller.get("/v2/profile").await.json()["profile"].clone();
    let expected = json!({"id": bot, "name": "ci", "email": null, "teamId": app.team_id.to_string()});
    assert_eq!(profile, expected);
    let secret = caller.create("s", true).await;
    assert_eq!(secret["created_by"], json!(bot));
    assert_eq!(refusal(&mint(&app, &caller, json!({"name": "n"})).await), (403, "forbidden".into()));
    app.owner().delete(&member_path(&app, &bot)).await;
    assert_eq!(caller.get("/v2/profile").await.status, 401);
}
