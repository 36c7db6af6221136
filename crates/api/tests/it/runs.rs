//! Runs: started once, told of in full, and over from the moment that ends
//! them.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::app::{Ask, Cause, NewRun};
use strongroom_core::grants::Networks;
use strongroom_core::runs::RunMode;
use strongroom_core::{AgentId, Role, UserId};

use crate::agents::{Run, agent, attached, start, start_as, try_start};
use crate::people::{contents, in_millis, join, key, made, refusal, settled, team, text};
use crate::support::{Caller, TestApp, canary};

const HOUR: i64 = 60 * 60 * 1_000;

#[tokio::test]
async fn a_run_is_told_of_in_full() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let body = json!({"agent_id": place.agent, "note": "nightly"});
    let answer = try_start(&app, &owner, body).await;
    let etag = answer.header("etag").unwrap().to_owned();
    let started = made(&answer);
    let keys = owner.get(&team(&app, "/api-keys")).await.json();
    let now = in_millis(&app, 0);
    let run = json!({
        "id": started["run"]["id"], "team_id": app.team_id.to_string(), "agent_id": place.agent,
        "build_id": place.build, "user_id": app.owner_id.to_string(), "api_key_id": keys["api_keys"][0]["id"],
        "mode": "inject", "strict": false, "note": "nightly", "status": "running", "source": "api",
        "sandbox_id": null, "human_in_the_loop_enabled": false, "started_at": now, "completed_at": null,
        "expires_at": in_millis(&app, HOUR), "created_at": now, "updated_at": now,
    });
    let token = text(&started, "token");
    assert!(token.starts_with("srr_"));
    assert_eq!(
        started,
        json!({
            "run": run, "token": token, "broker_token": null, "broker_url": null, "broker_ca": null,
            "expires_at": in_millis(&app, HOUR),
        })
    );
    let path = format!("/v2/runs/{}", text(&run, "id"));
    let shown = owner.get(&path).await;
    assert_eq!((shown.json(), shown.header("etag")), (json!({"run": run}), Some(etag.as_str())));
    assert_eq!(owner.post(&format!("{path}/stop"), "").await.body, r#"{"success":true}"#);
    let stopped = owner.get(&path).await.json()["run"].clone();
    assert_eq!(json!([stopped["status"], stopped["completed_at"]]), json!(["stopped", now]));
}

#[tokio::test]
async fn a_run_is_extended_and_ended_only_in_the_state_that_was_named() {
    let app = settled().await;
    let place = agent(&app).await;
    let run = start(&app, &app.owner(), &place).await;
    let send = async |path: &str, tag: &str| {
        let request = run.caller.request(Method::POST, path).header("if-match", tag);
        run.caller.send(request.header("content-type", "application/json").body("{}")).await
    };
    let stale = app.owner().get(&run.path("")).await.header("etag").unwrap().to_owned();
    app.clock.advance(1);
    let extended = send("/v2/run/extend", &stale).await;
    let tag = extended.header("etag").unwrap().to_owned();
    assert_eq!(extended.status, 200);
    for path in ["/v2/run/extend", "/v2/run/stop"] {
        assert_eq!(refusal(&send(path, &stale).await), (412, "precondition_failed".into()), "{path}");
    }
    assert_eq!(send("/v2/run/stop", &tag).await.status, 200);
}

#[tokio::test]
async fn runs_are_listed_the_newest_first() {
    let app = settled().await;
    let (owner, place, other) = (app.owner(), agent(&app).await, agent(&app).await);
    let mut ids = Vec::new();
    for n in 0..7 {
        app.clock.advance(1);
        ids.insert(0, start(&app, &owner, if n % 3 == 0 { &other } else { &place }).await.id);
    }
    let list = async |query: &str| {
        let answer = owner.get(&team(&app, &format!("/runs{query}"))).await.json();
        let ids = answer["data"].as_array().unwrap().iter().map(|run| text(run, "id").to_owned());
        (ids.collect::<Vec<_>>(), json!([answer["total"], answer["limit"], answer["offset"]]))
    };
    assert_eq!(list("").await, (ids.clone(), json!([7, 50, 0])));
    assert_eq!(list("?limit=3&offset=2").await, (ids[2..5].to_vec(), json!([7, 3, 2])));
    assert_eq!(list("?offset=7").await, (Vec::new(), json!([7, 50, 7])));
    let of_other = [0, 3, 6].map(|place| ids[place].clone());
    assert_eq!(list(&format!("?agent_id={}", other.agent)).await, (of_other.to_vec(), json!([3, 50, 0])));
}

/// What ends a run, and the word for it.
const ENDS: [(&str, &str); 11] = [
    ("stop", "stopped"),
    ("stop-by-manager", "stopped"),
    ("end", "stopped"),
    ("expiry", "expired"),
    ("key-revoked", "revoked"),
    ("member-removed", "revoked"),
    ("member-left", "revoked"),
    ("role-lowered", "revoked"),
    ("user-disabled", "revoked"),
    ("agent-deleted", "revoked"),
    ("panic", "revoked"),
];

async fn end(app: &TestApp, (how, run): (&str, &Run), (id, caller): (&str, &Caller)) {
    let owner = app.owner();
    let member = team(app, &format!("/members/{id}"));
    let answer = match how {
        "stop" => caller.post(&run.path("/stop"), "").await,
        "stop-by-manager" => owner.post(&run.path("/stop"), "").await,
        "end" => run.caller.post("/v2/run/stop", "").await,
        "expiry" => return app.clock.advance(HOUR),
        "key-revoked" => {
            let key = text(&run.answer["run"], "api_key_id");
            owner.delete(&team(app, &format!("/api-keys/{key}"))).await
        }
        "member-removed" => owner.delete(&member).await,
        "member-left" => caller.delete(&member).await,
        "role-lowered" => owner.patch(&member, r#"{"role": "member"}"#).await,
        "user-disabled" => return app.disable(UserId::parse(id).unwrap()).await,
        "agent-deleted" => {
            owner.delete(&format!("/v2/agents/{}", text(&run.answer["run"], "agent_id"))).await
        }
        "panic" => owner.post(&team(app, "/panic"), json!({"run_id": run.id}).to_string()).await,
        other => panic!("no run ends by {other}"),
    };
    assert_eq!(answer.status, 200, "{how}: {}", answer.body);
}

#[tokio::test]
async fn a_run_that_is_over_receives_nothing_from_that_moment_and_hears_why() {
    let app = settled().await;
    for (how, word) in ENDS {
        let place = agent(&app).await;
        attached(&app.owner(), &place, (true, json!({"KEY": canary("v")}))).await;
        let grace = join(&app, &format!("{how}@example.com"), Role::Builder).await;
        let starter = app.key(app.team_id, UserId::parse(&grace.id).unwrap(), |_| ());
        let (run, other) = (start(&app, &starter, &place).await, start(&app, &app.owner(), &place).await);
        for run in [&run, &other] {
            assert_eq!(run.environment().await, json!({"KEY": canary("v")}), "{how}");
        }
        end(&app, (how, &run), (&grace.id, &starter)).await;
        for (method, path, body) in
            [(Method::GET, "environment", ""), (Method::POST, "extend", "{}"), (Method::POST, "stop", "")]
        {
            let request = run.caller.request(method, &format!("/v2/run/{path}"));
            let answer = run.caller.send(request.header("content-type", "application/json").body(body)).await;
            assert_eq!(refusal(&answer), (401, format!("run_{word}")), "{how}: {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let told = app.owner().get(&run.path("")).await.json()["run"]["status"].clone();
        assert_eq!(told, json!(word), "{how}");
        let goes_on = if matches!(how, "expiry" | "agent-deleted") { 401 } else { 200 };
        assert_eq!(other.fetch().await.status, goes_on, "{how}: others' runs");
    }
}

#[tokio::test]
async fn an_end_stays_what_it_was() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let run = start(&app, &owner, &place).await;
    assert_eq!(owner.post(&run.path("/stop"), "").await.status, 200);
    let before = contents(&app);
    assert_eq!(owner.post(&run.path("/stop"), "").await.body, r#"{"success":true}"#);
    let panic = json!({"run_id": run.id}).to_string();
    assert_eq!(owner.post(&team(&app, "/panic"), panic).await.status, 200);
    assert_eq!(contents(&app), before, "repeated, it does nothing");
    app.clock.advance(2 * HOUR);
    assert_eq!(refusal(&run.fetch().await), (401, "run_stopped".into()));
}

#[tokio::test]
async fn a_lease_is_extended_from_now_on() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let run = start_as(&app, &owner, json!({"agent_id": place.agent, "ttl_seconds": 60})).await;
    let extend = async |body: &str| {
        let answer = run.caller.post("/v2/run/extend", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        assert_eq!(answer["run"]["expires_at"], answer["expires_at"]);
        text(&answer, "expires_at").to_owned()
    };
    app.clock.advance(59_999);
    assert_eq!(extend("{}").await, in_millis(&app, 60_000), "as long as it was started with");
    app.clock.advance(59_999);
    let longest = in_millis(&app, 3_600_000);
    assert_eq!(extend(r#"{"ttl_seconds": 3600}"#).await, longest);
    assert_eq!(extend(r#"{"ttl_seconds": 10}"#).await, longest, "what was promised stays so");
    app.clock.advance(3_599_999);
    assert_eq!(extend("{}").await, in_millis(&app, 60_000), "which it remembers");
    let dry = run.caller.post("/v2/run/extend?dry_run=true", r#"{"ttl_seconds": 3600}"#).await.json();
    assert_eq!(dry["expires_at"], json!(in_millis(&app, HOUR)));
    app.clock.advance(59_999);
    assert_eq!(run.fetch().await.status, 200);
    app.clock.advance(1);
    assert_eq!(refusal(&run.fetch().await), (401, "run_expired".into()));
    let late = run.caller.post("/v2/run/extend", "{}").await;
    assert_eq!(refusal(&late), (401, "run_expired".into()), "too late");
}

#[tokio::test]
async fn a_lease_does_not_outlive_its_key() {
    let app = settled().await;
    let place = agent(&app).await;
    let body = json!({"name": "short", "scopes": ["runs:start"], "expires_at": in_millis(&app, 100_000)});
    let short = key(&app, &app.owner(), body).await;
    let run = start_as(&app, &short, json!({"agent_id": place.agent, "ttl_seconds": 200})).await;
    assert_eq!(run.answer["expires_at"], json!(in_millis(&app, 100_000)));
    app.clock.advance(50_000);
    let extended = run.caller.post("/v2/run/extend", r#"{"ttl_seconds": 604800}"#).await.json();
    assert_eq!(extended["expires_at"], json!(in_millis(&app, 50_000)));
    app.clock.advance(49_999);
    assert_eq!(run.fetch().await.status, 200);
    app.clock.advance(1);
    assert_eq!(refusal(&run.fetch().await), (401, "run_expired".into()));
}

#[tokio::test]
async fn a_run_receives_nothing_where_its_key_may_not_be_used() {
    let app = settled().await;
    let place = agent(&app).await;
    attached(&app.owner(), &place, (true, json!({"KEY": canary("v")}))).await;
    let new = NewRun {
        agent: AgentId::parse(&place.agent).unwrap(),
        revision: None,
        strict: false,
        note: None,
        lease: 3_600,
        mode: RunMode::Inject,
    };
    for (network, address, status) in [("10.0.0.0/8", "10.0.0.1", 403), ("127.0.0.0/8", "127.0.0.1", 200)] {
        let networks = Networks::parse([network]).unwrap();
        let key = app.key(app.team_id, app.owner_id, |key| key.grant.networks = Some(networks));
        let (cause, address) = (Cause::default(), address.parse().unwrap());
        let caller = app.app.authenticate(key.token.as_ref().unwrap(), Some(address), &cause).await.unwrap();
        let ask = Ask::new(caller, cause);
        let planned = app.app.start_run(&ask, &new).await.unwrap();
        let token = app.app.carry_out(&ask, planned, None).await.unwrap().token;
        let run = app.bearer(token.reveal());
        for (method, path, body) in
            [(Method::GET, "environment", ""), (Method::POST, "extend", "{}"), (Method::POST, "stop", "")]
        {
            let request = run.request(method, &format!("/v2/run/{path}"));
            let answer = run.send(request.header("content-type", "application/json").body(body)).await;
            assert_eq!(answer.status, status, "{network}: {path} {}", answer.body);
            assert!(status == 200 || answer.code() == "forbidden");
        }
    }
}

#[tokio::test]
async fn a_repeated_start_starts_one_run_and_shows_its_token_once() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let send = |body: Value| {
        let request = owner.request(Method::POST, &team(&app, "/runs")).header("idempotency-key", "k");
        owner.send(request.header("content-type", "application/json").body(body.to_string()))
    };
    let body = json!({"agent_id": place.agent});
    let first = made(&send(body.clone()).await);
    for _ in 0..2 {
        let again = send(body.clone()).await;
        assert_eq!(refusal(&again), (409, "already_done".into()));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let id = text(&first["run"], "id");
        assert!(again.body.contains(id) && !again.body.contains("srr_"), "{}", again.body);
    }
    let other = send(json!({"agent_id": place.agent, "note": "n"})).await;
    assert_eq!(refusal(&other), (422, "idempotency_mismatch".into()));
    assert_eq!(owner.get(&team(&app, "/runs")).await.json()["total"], json!(1));
    assert_eq!(app.bearer(text(&first, "token")).get("/v2/run/environment").await.status, 200);
    for (path, contents) in app.files() {
        let token = text(&first, "token").as_bytes();
        assert!(!contents.windows(token.len()).any(|window| window == token), "{}", path.display());
    }
}

#[tokio::test]
async fn a_dry_start_starts_nothing() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let before = contents(&app);
    let body = json!({"agent_id": place.agent}).to_string();
    let dry = made(&owner.post(&team(&app, "/runs?dry_run=true"), body).await);
    assert_eq!(json!([dry["token"], dry["run"]["status"]]), json!([null, "running"]));
    assert_eq!(contents(&app), before);
    let absent = owner.get(&format!("/v2/runs/{}", text(&dry["run"], "id"))).await;
    assert_eq!(refusal(&absent), (404, "not_found".into()));
    let run = start(&app, &owner, &place).await;
    assert_eq!(run.caller.post("/v2/run/stop?dry_run=true", "").await.status, 200);
    assert_eq!(owner.post(&run.path("/stop?dry_run=true"), "").await.status, 200);
    assert_eq!(run.fetch().await.status, 200, "it still runs");
}

#[tokio::test]
async fn each_run_may_ask_so_often() {
    let app = TestApp::limited(10).await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let (run, other) = (start(&app, &owner, &place).await, start(&app, &owner, &place).await);
    for left in (0..10).rev() {
        let answer = run.fetch().await;
        assert_eq!(answer.status, 200, "{left}");
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
    }
    let refused = run.fetch().await;
    assert_eq!(refusal(&refused), (429, "rate_limited".into()));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        (other.fetch().await.status.as_u16(), owner.get("/v2/profile").await.status.as_u16()),
        (200, 200)
    );
    app.clock.advance(60_000);
    assert_eq!(run.fetch().await.status, 200, "a minute later");
}

#[tokio::test]
async fn a_key_for_some_agents_starts_runs_of_those_alone() {
    let app = settled().await;
    let (place, other) = (agent(&app).await, agent(&app).await);
    let scopes = ["runs:start"];
    let body = json!({"name": "host", "scopes": scopes, "agents": [place.agent]});
    let host = key(&app, &app.owner(), body).await;
    let refused = try_start(&app, &host, json!({"agent_id": other.agent})).await;
    assert_eq!(refusal(&refused), (403, "forbidden".into()));
    let run = start(&app, &host, &place).await;
    assert_eq!(run.fetch().await.status, 200);
    assert_eq!(refusal(&host.get(&run.path("")).await), (403, "insufficient_scope".into()));
    let usual = key(&app, &app.owner(), json!({"name": "usual"})).await;
    let refused = try_start(&app, &usual, json!({"agent_id": place.agent})).await;
    assert_eq!(refusal(&refused), (403, "insufficient_scope".into()), "nobody has it unasked");
    let widened = json!({"agent_id": place.agent, "build_id": other.build});
    assert_eq!(refusal(&try_start(&app, &host, widened).await), (404, "not_found".into()));
}
