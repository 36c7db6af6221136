//! What could slip past a panic or a stop: rights that come back, keys that are
//! being made just then, keys that may do less than their user.

use serde_json::{Value, json};
use strongroom_core::app::{NewRun, Suspected};
use strongroom_core::runs::RunMode;
use strongroom_core::{AgentId, Role, StoreError, UserId};

use crate::agents::{agent, attached, start};
use crate::people::{join, key, refusal, settled, team};
use crate::support::canary;

#[tokio::test]
async fn a_run_that_is_stopped_while_its_starter_has_no_right_to_it_stays_stopped() {
    let app = settled().await;
    let place = agent(&app).await;
    let user = app.seed_user();
    app.seed_membership(app.team_id, user, Role::Builder);
    let starter = app.key(app.team_id, user, |_| ());
    let (stopped, control) = (start(&app, &starter, &place).await, start(&app, &starter, &place).await);
    let member = team(&app, &format!("/members/{user}"));
    assert_eq!(app.owner().patch(&member, r#"{"role": "member"}"#).await.status, 200);
    assert_eq!(app.owner().post(&stopped.path("/stop"), "").await.status, 200);
    assert_eq!(app.owner().patch(&member, r#"{"role": "builder"}"#).await.status, 200);
    assert_eq!(refusal(&stopped.fetch().await), (401, "run_stopped".into()));
    assert_eq!(control.fetch().await.status, 200, "the control: it is good again");
}

#[tokio::test]
async fn a_key_that_is_made_while_its_user_is_panicked_about_is_found_by_the_next_plan() {
    let app = settled().await;
    let grace = join(&app, "grace@example.com", Role::Administrator).await;
    let ask = app.ask(&app.owner()).await;
    let suspected = Suspected::User(UserId::parse(&grace.id).unwrap());
    let planned = app.app.panic(&ask, suspected).await.unwrap();
    let late = key(&app, &grace.caller, json!({"name": "late"})).await;
    let done = app.app.carry_out(&ask, planned, None).await;
    assert!(matches!(done, Err(strongroom_core::app::Error::Store(StoreError::Changed))));
    let answer = app.owner().post(&team(&app, "/panic"), json!({"user_id": grace.id}).to_string()).await;
    assert_eq!(answer.json()["revoked"]["api_keys"].as_array().unwrap().len(), 2, "{}", answer.body);
    for caller in [&grace.caller, &late] {
        assert_eq!(caller.get("/v2/profile").await.status, 401);
    }
}

#[tokio::test]
async fn a_key_that_may_do_less_than_its_user_ends_none_that_may_do_more() {
    let app = settled().await;
    let low = app.key(app.team_id, app.owner_id, |key| key.grant.role = Role::Member);
    let body = json!({"user_id": app.owner_id.to_string()}).to_string();
    let refused = low.post(&team(&app, "/panic"), body.clone()).await;
    assert_eq!(refusal(&refused), (403, "forbidden".into()));
    assert_eq!(app.owner().get("/v2/profile").await.status, 200);
    assert_eq!(app.owner().post(&team(&app, "/panic"), body).await.status, 200);
    assert_eq!(low.get("/v2/profile").await.status, 401, "the control: their own key ends all");
}

#[tokio::test]
async fn a_dry_panic_says_which_runs_it_would_revoke() {
    let app = settled().await;
    let place = agent(&app).await;
    let run = start(&app, &app.owner(), &place).await;
    let body = json!({"agent_id": place.agent}).to_string();
    for (path, still) in [("/panic?dry_run=true", 200), ("/panic", 401)] {
        let answer = app.owner().post(&team(&app, path), body.clone()).await;
        assert_eq!(answer.json()["revoked"]["runs"], json!([run.id]), "{path}");
        assert_eq!(run.fetch().await.status, still, "{path}");
    }
}

#[tokio::test]
async fn a_start_that_was_planned_before_a_detach_does_not_receive_what_is_detached() {
    let app = settled().await;
    let place = agent(&app).await;
    let secret = attached(&app.owner(), &place, (false, json!({"KEY": canary("v")}))).await;
    let ask = app.ask(&app.owner()).await;
    let new = NewRun {
        agent: AgentId::parse(&place.agent).unwrap(),
        revision: None,
        strict: false,
        note: None,
        lease: 60,
        mode: RunMode::Inject,
    };
    let planned = app.app.start_run(&ask, &new).await.unwrap();
    assert_eq!(app.owner().delete(&place.path(&format!("/credentials/{secret}"))).await.status, 200);
    let done = app.app.carry_out(&ask, planned, None).await;
    assert!(matches!(done, Err(strongroom_core::app::Error::Store(StoreError::Changed))));
    let run = start(&app, &app.owner(), &place).await;
    assert_eq!(run.environment().await, json!({}), "planned anew, it is in no run");
}

#[tokio::test]
async fn more_names_than_a_run_is_to_hold_are_refused_at_its_start() {
    let app = settled().await;
    let place = agent(&app).await;
    for secret in 0..5 {
        let count = if secret < 4 { 256 } else { 1 };
        let names = (0..count).map(|at| (format!("K{secret}_{at}"), json!("v")));
        attached(&app.owner(), &place, (false, Value::Object(names.collect()))).await;
        let started =
            app.owner().post(&team(&app, "/runs"), json!({"agent_id": place.agent}).to_string()).await;
        assert_eq!(started.status, if secret < 4 { 201 } else { 409 }, "{}", started.body);
    }
}
