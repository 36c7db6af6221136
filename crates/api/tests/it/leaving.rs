//! Leaving a team and being removed from it: what ends with it, and that
//! somebody stays.

use serde_json::json;
use strongroom_core::{Role, UserId};

use crate::members::{list, member_path, update};
use crate::people::{
    add, at_once, claim, contents, join, key, link, link_token, made, refusal, service, settled, team, text,
};
use crate::support::NOTHING;

#[tokio::test]
async fn a_removed_member_has_nothing_left_and_rejoins_without_old_keys() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Administrator).await;
    let second = key(&app, &grace.caller, json!({"name": "second"})).await;
    let secret = grace.caller.create("personal", false).await;
    let bot = service(&app, Role::Member).await;
    let by_them = link_token(&app, &grace.caller, json!({"user_id": bot, "name": "n"})).await;
    let for_them = link_token(&app, &app.owner(), json!({"user_id": grace.id, "name": "n"})).await;
    let others = link_token(&app, &app.owner(), json!({"user_id": bot, "name": "n"})).await;
    assert_eq!(app.owner().delete(&member_path(&app, &grace.id)).await.status, 200);
    let dead = || async {
        for caller in [&grace.caller, &second] {
            assert_eq!(refusal(&caller.get("/v2/profile").await), (401, "invalid_token".into()));
        }
        for token in [&by_them, &for_them] {
            assert_eq!(refusal(&claim(&app, token).await), (401, "invalid_token".into()));
        }
    };
    dead().await;
    let links = app.owner().get(&team(&app, "/key-links")).await.json();
    assert_eq!(links["key_links"].as_array().unwrap().len(), 1);
    assert_eq!(
        refusal(&link(&app, &app.owner(), json!({"user_id": grace.id, "name": "n"})).await),
        (404, "not_found".into())
    );
    made(&add(&app, &app.owner(), json!({"user_id": grace.id, "role": "builder"})).await);
    dead().await;
    let token = link_token(&app, &app.owner(), json!({"user_id": grace.id, "name": "n"})).await;
    let back = app.bearer(text(&made(&claim(&app, &token).await), "api_key"));
    assert_eq!(back.get("/v1/credentials").await.json(), json!([secret]), "what was theirs is theirs again");
    assert_eq!(claim(&app, &others).await.status, 201);
}

#[tokio::test]
async fn a_key_made_while_its_user_is_removed_does_not_come_back_with_them() {
    let app = settled().await;
    let bot = service(&app, Role::Member).await;
    let ask = app.ask(&app.owner()).await;
    // A key that is stored after the removal looked for keys, and before it is done.
    let removal = app.app.remove_member(&ask, UserId::parse(&bot).unwrap()).await.unwrap();
    let late = key(&app, &app.owner(), json!({"name": "late", "service_user_id": bot})).await;
    app.app.carry_out(&ask, removal, None).await.unwrap();
    assert_eq!(late.get("/v2/profile").await.status, 401);
    made(&add(&app, &app.owner(), json!({"user_id": bot, "role": "member"})).await);
    assert_eq!(late.get("/v2/profile").await.status, 401);
}

#[tokio::test]
async fn anybody_may_leave_with_a_key_that_is_for_it() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Member).await;
    assert_eq!(grace.caller.delete(&member_path(&app, &app.owner_id.to_string())).await.status, 403);
    assert_eq!(grace.caller.delete(&member_path(&app, &grace.id)).await.body, r#"{"success":true}"#);
    assert_eq!(grace.caller.get("/v2/profile").await.status, 401);
    assert_eq!(list(&app, "").await["total"], json!(1));
}

#[tokio::test]
async fn a_team_keeps_an_owner_who_is_a_person() {
    let app = settled().await;
    let owner = app.owner_id.to_string();
    made(&add(&app, &app.owner(), json!({"name": "bot", "service": true, "role": "owner"})).await);
    let disabled = app.seed_user_disabled(Some(app.app.clock().now()));
    app.seed_membership(app.team_id, disabled, Role::Owner);
    let before = contents(&app);
    for answer in [
        app.owner().delete(&member_path(&app, &owner)).await,
        update(&app, &app.owner(), &owner, "administrator").await,
    ] {
        assert_eq!(refusal(&answer), (409, "conflict".into()), "{}", answer.body);
    }
    assert_eq!(contents(&app), before);
    join(&app, "grace@example.com", Role::Owner).await;
    assert_eq!(update(&app, &app.owner(), &owner, "administrator").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_owners_who_leave_at_once_one_stays() {
    let app = settled().await;
    let mut owners = vec![(app.owner_id.to_string(), app.owner())];
    for _ in 1..32 {
        let user = app.seed_user();
        app.seed_membership(app.team_id, user, Role::Owner);
        owners.push((user.to_string(), app.key(app.team_id, user, |_| ())));
    }
    let leave = owners.into_iter().enumerate().map(|(i, (id, caller))| {
        let path = member_path(&app, &id);
        async move {
            match i % 2 {
                0 => caller.delete(&path).await,
                _ => caller.patch(&path, r#"{"role": "member"}"#).await,
            }
        }
    });
    let statuses = at_once(leave).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 31, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 1, "{statuses:?}");
    let select = "SELECT count(*) FROM memberships WHERE role = 'owner' AND removed_at IS NULL";
    let left: u32 = app.database().query_row(select, NOTHING, |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn nobody_brings_back_who_was_above_them() {
    let app = settled().await;
    let administrator = join(&app, "grace@example.com", Role::Administrator).await.caller;
    let owner = join(&app, "mary@example.com", Role::Owner).await;
    let secret = text(&owner.caller.create("hers", false).await, "id").to_owned();
    assert_eq!(owner.caller.delete(&team(&app, &format!("/members/{}", owner.id))).await.status, 200);
    for who in [json!({"user_id": owner.id}), json!({"email": "mary@example.com", "name": "Mary"})] {
        let mut body = who;
        body["role"] = json!("administrator");
        let refused = administrator.post(&team(&app, "/members"), body.to_string()).await;
        assert_eq!(refusal(&refused), (403, "forbidden".into()));
    }
    let back = add(&app, &app.owner(), json!({"user_id": owner.id, "role": "member"})).await;
    assert_eq!(back.status, 201, "the control: an owner may");
    let link = link_token(&app, &app.owner(), json!({"user_id": owner.id, "name": "n"})).await;
    let again = app.bearer(text(&made(&claim(&app, &link).await), "api_key"));
    assert_eq!(again.get(&format!("/v2/credentials/{secret}")).await.status, 200, "and finds what is hers");
}

#[tokio::test]
async fn what_changes_with_a_member_leaves_an_event_each() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Administrator).await;
    for _ in 0..2 {
        link_token(&app, &grace.caller, json!({"user_id": grace.id, "name": "n"})).await;
    }
    assert_eq!(app.owner().delete(&team(&app, &format!("/members/{}", grace.id))).await.status, 200);
    let database = app.database();
    let kinds = database.query("SELECT kind FROM events ORDER BY sequence DESC LIMIT 4", NOTHING).unwrap();
    let kinds: Vec<String> = kinds.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(kinds, ["key_link.cancelled", "key_link.cancelled", "api_key.revoked", "member.removed"]);
    let without = "SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL AND row_mac NOT IN \
                   (SELECT object_mac FROM events WHERE object_mac IS NOT NULL)";
    let lost: u32 = database.query_row(without, NOTHING, |row| row.get(0)).unwrap();
    assert_eq!(lost, 0, "each row's state is told by an event");
}

#[tokio::test]
async fn a_dry_run_does_not_tell_whose_address_is_known() {
    let app = settled().await;
    join(&app, "grace@example.com", Role::Member).await;
    let created = made(&app.owner().post("/v2/teams", r#"{"name": "Boats"}"#).await);
    let founder = app.bearer(text(&made(&claim(&app, text(&created["key_link"], "link")).await), "api_key"));
    let path = format!("/v2/teams/{}/members?dry_run=true", text(&created["team"], "id"));
    let tried = async |email: &str| {
        let body = json!({"email": email, "name": "Somebody", "role": "member"}).to_string();
        let answer = founder.post(&path, body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        (answer.headers.len(), answer.body.replace(email, ""))
    };
    assert_eq!(tried("GRACE@example.com").await, tried("nobody@example.com").await);
    let nameless = founder.post(&path, r#"{"email": "grace@example.com", "role": "member"}"#).await;
    assert_eq!(refusal(&nameless), (400, "invalid_request".into()));
}

#[tokio::test]
async fn a_dry_run_refuses_what_would_be_refused() {
    let app = settled().await;
    let (owner, path) = (app.owner(), team(&app, &format!("/members/{}", app.owner_id)));
    let dry = format!("{path}?dry_run=true");
    for answer in [
        owner.delete(&dry).await,
        owner.delete(&path).await,
        owner.patch(&dry, r#"{"role": "member"}"#).await,
        owner.patch(&path, r#"{"role": "member"}"#).await,
    ] {
        assert_eq!(refusal(&answer), (409, "conflict".into()));
    }
}
