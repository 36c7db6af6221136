//! Agents, their revisions and what is attached to them: each kept as it was
//! given, once, and made by attaching where the server is set so.

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use strongroom_core::{AgentId, RevisionId, Role, Scope, Scopes, SecretId};

use crate::agents::{
    Place, agent, attach, attached, builder, revision, secret, start, start_as, try_attach, try_start,
};
use crate::people::{at_once, contents, in_millis, made, refusal, settled, team, text};
use crate::support::{Answer, TestApp, canary};

/// Ids of nothing yet.
const AGENT: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";
const BUILD: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7e";

fn unknown() -> Place {
    Place { agent: AGENT.into(), build: BUILD.into() }
}

async fn shared(app: &TestApp, name: &str) -> String {
    secret(&app.owner(), true, json!({"KEY": canary(name)})).await
}

#[tokio::test]
async fn an_agent_is_told_of_in_full() {
    let app = settled().await;
    let owner = app.owner();
    let answer = owner.post(&team(&app, "/agents"), r#"{"name": "Invoices"}"#).await;
    let etag = answer.header("etag").unwrap().to_owned();
    let agent = made(&answer)["agent"].clone();
    let id = text(&agent, "id");
    let now = in_millis(&app, 0);
    let mut expected = json!({
        "id": id, "team_id": app.team_id.to_string(), "name": "Invoices", "live_build_id": null, "copilot_id": id,
        "config": null, "created_by": app.owner_id.to_string(), "created_at": now, "updated_at": now,
    });
    assert_eq!(made(&answer), json!({"agent": expected}));
    let path = format!("/v2/agents/{id}");
    let shown = owner.get(&path).await;
    assert_eq!(shown.json(), json!({"agent": expected, "user_context": {"pinned_at": null}}));
    assert_eq!(shown.header("etag"), Some(etag.as_str()));
    let listed = owner.get(&team(&app, "/agents")).await.json();
    assert_eq!(listed, json!({"agents": [expected], "total": 1, "limit": 50, "offset": 0}));

    app.clock.advance(5);
    assert_eq!(owner.patch(&path, r#"{"name": "Invoices"}"#).await.header("etag"), Some(etag.as_str()));
    let request = owner.request(Method::PATCH, &path).header("if-match", "\"x\"");
    let request = request.header("content-type", "application/json").body(r#"{"name": "Bills"}"#);
    assert_eq!(refusal(&owner.send(request).await), (412, "precondition_failed".into()));
    let request = owner.request(Method::PATCH, &path).header("if-match", &etag);
    let renamed = owner.send(request.header("content-type", "application/json").body(r#"{"name": "Bills"}"#));
    expected["name"] = "Bills".into();
    expected["updated_at"] = in_millis(&app, 0).into();
    assert_eq!(renamed.await.json()["agent"], expected);

    assert_eq!(owner.delete(&path).await.body, r#"{"success":true}"#);
    assert_eq!(refusal(&owner.delete(&path).await), (404, "not_found".into()));
    assert_eq!(owner.get(&team(&app, "/agents")).await.json()["total"], json!(0));
}

#[tokio::test]
async fn the_first_revision_is_live_until_another_is_promoted() {
    let app = settled().await;
    let owner = app.owner();
    let agent = made(&owner.post(&team(&app, "/agents"), r#"{"name": "a"}"#).await);
    let agent = text(&agent["agent"], "id").to_owned();
    let bare = try_start(&app, &owner, json!({"agent_id": agent})).await;
    assert_eq!(refusal(&bare), (409, "conflict".into()), "there is none");
    let path = format!("/v2/agents/{agent}/revisions");
    let create = async |name: &str| {
        let answer = owner.post(&path, json!({"name": name}).to_string()).await;
        assert!(answer.header("etag").is_some());
        made(&answer)
    };
    let (first, second) = (create("first").await, create("second").await);
    let build = |id: &Value, name: &str, live: bool| {
        json!({
            "id": id, "agent_id": agent, "copilot_id": agent, "name": name, "live": live, "config": null,
            "created_by": app.owner_id.to_string(), "created_at": in_millis(&app, 0),
        })
    };
    let (one, two) = (&first["build"]["id"], &second["build"]["id"]);
    assert_eq!(first, json!({"build": build(one, "first", true), "agent": {"id": agent}}));
    assert_eq!(second, json!({"build": build(two, "second", false), "agent": {"id": agent}}));
    let promote = async |id: &Value, body: &str| {
        let answer = owner.post(&format!("/v2/revisions/{}/promote", id.as_str().unwrap()), body).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, r#"{"success":true}"#));
    };
    promote(two, r#"{"revision_name": "checked"}"#).await;
    let builds = owner.get(&path).await.json();
    let listed = json!([build(one, "first", false), build(two, "checked", true)]);
    assert_eq!(builds, json!({"builds": listed, "total": 2, "limit": 50, "offset": 0}));
    let before = contents(&app);
    promote(two, r#"{"revision_name": "checked"}"#).await;
    assert_eq!(contents(&app), before, "so it is already");
    promote(one, "{}").await;
    let live = owner.get(&format!("/v2/agents/{agent}")).await.json()["agent"]["live_build_id"].clone();
    assert_eq!(live, *one);
    let page = owner.get(&format!("{path}?limit=1&offset=1")).await.json();
    assert_eq!(page, json!({"builds": [build(two, "checked", false)], "total": 2, "limit": 1, "offset": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_first_revisions_at_once_one_is_live() {
    let app = settled().await;
    let agent = made(&app.owner().post(&team(&app, "/agents"), r#"{"name": "a"}"#).await);
    let path = format!("/v2/agents/{}/revisions", text(&agent["agent"], "id"));
    let requests = (0..32).map(|_| {
        let (owner, path) = (app.owner(), path.clone());
        async move { owner.post(&path, r#"{"name": "r"}"#).await }
    });
    assert_eq!(at_once(requests).await, [201; 32]);
    let builds = app.owner().get(&path).await.json();
    let live = builds["builds"].as_array().unwrap().iter().filter(|build| build["live"] == json!(true));
    assert_eq!((live.count(), &builds["total"]), (1, &json!(32)));
}

#[tokio::test]
async fn a_secret_is_attached_once_and_can_be_detached() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let (id, other) = (shared(&app, "a").await, shared(&app, "b").await);
    let answer = try_attach(&owner, &place, &id).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (201, r#"{"success":true}"#));
    attach(&owner, &place, &other).await;
    let path = place.path("/credentials");
    for path in [path.clone(), path.replace("/v2/", "/v1/")] {
        let body = json!({"credentialId": id.to_uppercase()}).to_string();
        assert_eq!(refusal(&owner.post(&path, body).await), (409, "conflict".into()));
    }
    let secret = owner.get(&format!("/v2/credentials/{id}")).await.json();
    let second = owner.get(&format!("/v2/credentials/{other}")).await.json();
    assert_eq!(owner.get(&path).await.json(), json!([secret, second]), "in this order");
    let one = format!("{path}/{id}");
    assert_eq!(owner.delete(&one).await.body, r#"{"success":true}"#);
    for path in [&one, &one.replace("/v2/", "/v1/")] {
        assert_eq!(refusal(&owner.delete(path).await), (404, "not_found".into()), "it isn't attached");
    }
    assert_eq!(owner.get(&path).await.json(), json!([second]));
    attach(&owner, &place, &id).await;
    assert_eq!(owner.get(&path).await.json(), json!([second, secret]), "it is the later one now");
    let elsewhere = Place { build: revision(&app, &place.agent).await, ..place };
    assert_eq!(owner.get(&elsewhere.path("/credentials")).await.json(), json!([]), "to one revision");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_attach_the_same_one_does() {
    let app = settled().await;
    let (place, id) = (agent(&app).await, shared(&app, "a").await);
    let requests = (0..64).map(|_| {
        let (owner, place, id) = (app.owner(), place.clone(), id.clone());
        async move { try_attach(&owner, &place, &id).await }
    });
    let statuses = at_once(requests).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 63, "{statuses:?}");
}

#[tokio::test]
async fn a_revision_has_so_many_secrets_and_no_more() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    for n in 0..64 {
        attached(&owner, &place, (true, json!({(format!("K{n:02}")): canary("v")}))).await;
    }
    let one_more = shared(&app, "more").await;
    assert_eq!(refusal(&try_attach(&owner, &place, &one_more).await), (409, "conflict".into()));
    assert_eq!(start(&app, &owner, &place).await.environment().await.as_object().unwrap().len(), 64);
}

#[tokio::test]
async fn a_secret_that_was_shared_can_not_be_attached_after_it_was_taken_back() {
    let app = settled().await;
    let (place, grace, id) = (agent(&app).await, builder(&app), shared(&app, "a").await);
    let ask = app.ask(&grace).await;
    let target = (AgentId::parse(&place.agent).unwrap(), RevisionId::parse(&place.build).unwrap());
    let planned = app.app.attach_secret(&ask, target, SecretId::parse(&id).unwrap()).await.unwrap();
    assert_eq!(app.owner().patch(&format!("/v2/credentials/{id}"), r#"{"shared": false}"#).await.status, 200);
    assert!(app.app.carry_out(&ask, planned, None).await.is_err(), "planned before");
    assert_eq!(refusal(&try_attach(&grace, &place, &id).await), (404, "not_found".into()));
}

#[tokio::test]
async fn dry_runs_attach_and_detach_nothing() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let (loose, id) = (shared(&app, "a").await, shared(&app, "b").await);
    attach(&owner, &place, &id).await;
    let before = contents(&app);
    let path = place.path("/credentials");
    let body = json!({"credentialId": loose}).to_string();
    let dry = owner.post(&format!("{path}?dry_run=true"), body).await;
    assert_eq!((dry.status.as_u16(), dry.body.as_str()), (201, r#"{"success":true}"#));
    let dry = owner.delete(&format!("{path}/{id}?dry_run=true")).await;
    assert_eq!((dry.status.as_u16(), dry.body.as_str()), (200, r#"{"success":true}"#));
    for (path, body) in [
        (team(&app, "/agents"), r#"{"name": "n"}"#),
        (format!("/v2/agents/{}/revisions", place.agent), r#"{"name": "n"}"#),
        (format!("/v2/revisions/{}/promote", place.build), r#"{"revision_name": "n"}"#),
    ] {
        assert!(owner.post(&format!("{path}?dry_run=true"), body).await.status.is_success());
    }
    assert_eq!(owner.delete(&format!("/v2/agents/{}?dry_run=true", place.agent)).await.status, 200);
    assert_eq!(contents(&app), before);
    assert_eq!(owner.get(&path).await.json()[0]["id"], json!(id));
}

#[tokio::test]
async fn a_repeated_attachment_is_answered_the_same() {
    let app = settled().await;
    let (owner, place, id) = (app.owner(), agent(&app).await, shared(&app, "a").await);
    let send = || {
        let request = owner.request(Method::POST, &place.path("/credentials")).header("idempotency-key", "k");
        let body = json!({"credentialId": id}).to_string();
        owner.send(request.header("content-type", "application/json").body(body))
    };
    let (first, again): (Answer, Answer) = (send().await, send().await);
    assert_eq!((first.status.as_u16(), again.status.as_u16(), &again.body), (201, 201, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}

#[tokio::test]
async fn the_preview_tells_what_is_likely_wrong_and_no_value() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let fine = attached(&owner, &place, (true, json!({"FINE": canary("v")}))).await;
    let run = start(&app, &owner, &place).await;
    assert_eq!(run.fetch().await.status, 200);
    let values = json!({
        "CHANGE": "changeme", "QUOTED": format!("'{}'", canary("v")), "SPACES": format!(" {}", canary("v")),
        "WINDOWS": format!("{}\r\n", canary("v")), "GOOD": canary("v"),
    });
    let odd = attached(&owner, &place, (true, values)).await;
    let empty = attached(&owner, &place, (true, json!({}))).await;
    let preview = owner.get(&place.path("/environment")).await.json();
    let health_of = |list: &Value, id: &str| {
        let one = |one: &Value| (text(one, id).to_owned(), one["health"].clone());
        list.as_array().unwrap().iter().map(one).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        json!(health_of(&preview["environment"], "name")),
        json!({
            "FINE": [], "GOOD": [], "CHANGE": ["placeholder"], "QUOTED": ["quoted"], "SPACES": ["whitespace"],
            "WINDOWS": ["whitespace"],
        })
    );
    let of_secrets = health_of(&preview["credentials"], "id");
    assert_eq!(
        [&of_secrets[&fine], &of_secrets[&odd], &of_secrets[&empty]],
        [&json!([]), &json!(["never_used"]), &json!(["never_used", "empty"])]
    );
    let first = &preview["credentials"][0];
    let expected = json!({
        "id": empty, "name": "secret", "user_id": null, "env_var_keys": [], "attached_at": in_millis(&app, 0),
        "health": ["never_used", "empty"],
    });
    assert_eq!((first, &preview["collisions"]), (&expected, &json!(0)));
    app.clock.advance(91 * 24 * 60 * 60 * 1_000);
    let later = owner.get(&place.path("/environment")).await.json();
    assert_eq!(health_of(&later["credentials"], "id")[&fine], json!(["stale"]));
}

#[tokio::test]
async fn where_it_is_set_so_attaching_makes_the_agent_and_its_revision() {
    let app = TestApp::registering().await;
    let (owner, grace, id) = (app.owner(), builder(&app), shared(&app, "a").await);
    let before = contents(&app);
    let dry = json!({"credentialId": id}).to_string();
    let dry = grace.post(&unknown().path("/credentials?dry_run=true"), dry).await;
    assert_eq!((dry.status.as_u16(), contents(&app)), (201, before));
    attach(&grace, &unknown(), &id).await;
    let agent = owner.get(&format!("/v2/agents/{AGENT}")).await.json()["agent"].clone();
    assert_eq!(json!([agent["id"], agent["live_build_id"], agent["name"]]), json!([AGENT, BUILD, AGENT]));
    assert_eq!(owner.get(&unknown().path("")).await.json()["build"]["live"], json!(true));
    let run = start_as(&app, &grace, json!({"agent_id": AGENT})).await;
    assert_eq!(run.environment().await, json!({"KEY": canary("a")}));
    let another = Place { build: AGENT.into(), ..unknown() };
    attach(&grace, &another, &id).await;
    assert_eq!(owner.get(&another.path("")).await.json()["build"]["live"], json!(false), "the second isn't");
    assert_eq!(
        refusal(&try_attach(&grace, &unknown(), &id).await),
        (409, "conflict".into()),
        "and it is attached"
    );
}

#[tokio::test]
async fn attaching_makes_nothing_for_whom_may_not_make_it() {
    let app = TestApp::registering().await;
    let (grace, id) = (builder(&app), shared(&app, "a").await);
    let member = app.user(app.team_id, Role::Member, Scopes::all());
    let own = secret(&member, false, json!({"KEY": canary("own")})).await;
    let theirs = secret(&app.owner(), false, json!({"KEY": canary("theirs")})).await;
    let reading = app.user(app.team_id, Role::Owner, [Scope::SecretsRead].into_iter().collect());
    let before = contents(&app);
    assert_eq!(refusal(&try_attach(&member, &unknown(), &own).await), (403, "forbidden".into()));
    assert_eq!(refusal(&try_attach(&member, &unknown(), &id).await), (403, "forbidden".into()));
    for absent in [AGENT, &theirs, &own] {
        assert_eq!(refusal(&try_attach(&grace, &unknown(), absent).await), (404, "not_found".into()));
    }
    for malformed in [Place { agent: "x".into(), ..unknown() }, Place { build: "x".into(), ..unknown() }] {
        assert_eq!(refusal(&try_attach(&grace, &malformed, &id).await), (400, "invalid_request".into()));
    }
    assert_eq!(refusal(&try_attach(&reading, &unknown(), &id).await), (403, "insufficient_scope".into()));
    let detached = grace.delete(&unknown().path(&format!("/credentials/{id}"))).await;
    assert_eq!(refusal(&detached), (404, "not_found".into()), "detaching makes nothing");
    for path in ["", "/credentials", "/environment"] {
        assert_eq!(refusal(&grace.get(&unknown().path(path)).await), (404, "not_found".into()));
    }
    assert_eq!(contents(&app), before);
}

#[tokio::test]
async fn ids_that_were_somebodys_are_not_had_again() {
    let app = TestApp::registering().await;
    let (owner, id) = (app.owner(), shared(&app, "a").await);
    let (gone, place) = (agent(&app).await, agent(&app).await);
    assert_eq!(owner.delete(&format!("/v2/agents/{}", gone.agent)).await.status, 200);
    let before = contents(&app);
    for taken in [
        gone.clone(),
        Place { build: BUILD.into(), ..gone.clone() },
        Place { build: gone.build.clone(), ..unknown() },
        Place { build: gone.build, ..place.clone() },
        Place { build: place.build.clone(), ..unknown() },
    ] {
        let refused = try_attach(&owner, &taken, &id).await;
        assert_eq!(refusal(&refused), (404, "not_found".into()), "{}/{}", taken.agent, taken.build);
    }
    assert_eq!(contents(&app), before);
    attach(&owner, &Place { build: BUILD.into(), ..place }, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_make_an_agent_one_does_and_all_attach() {
    let app = TestApp::registering().await;
    let mut ids = Vec::new();
    for n in 0..32 {
        ids.push(secret(&app.owner(), true, json!({(format!("K{n:02}")): canary("v")})).await);
    }
    let requests = ids.into_iter().map(|id| {
        let owner = app.owner();
        async move { try_attach(&owner, &unknown(), &id).await }
    });
    assert_eq!(at_once(requests).await, [201; 32]);
    let run = start_as(&app, &app.owner(), json!({"agent_id": AGENT})).await;
    assert_eq!(run.environment().await.as_object().unwrap().len(), 32);
}

#[tokio::test]
async fn ids_are_unique_within_a_team_and_not_beyond() {
    let app = TestApp::registering().await;
    let owner = app.owner();
    attach(&owner, &unknown(), &shared(&app, "ours").await).await;
    let other = made(&owner.post("/v2/teams", r#"{"name": "Others"}"#).await);
    let claimed = made(&app.bearer(text(&other["key_link"], "link")).post("/v2/key-links/claim", "").await);
    let theirs = app.bearer(text(&claimed, "api_key"));
    assert_eq!(refusal(&theirs.get(&format!("/v2/agents/{AGENT}")).await), (404, "not_found".into()));
    let id = secret(&theirs, true, json!({"KEY": canary("theirs")})).await;
    attach(&theirs, &unknown(), &id).await;
    let path = format!("/v2/teams/{}/runs", text(&other["team"], "id"));
    let run = made(&theirs.post(&path, json!({"agent_id": AGENT}).to_string()).await);
    let received = app.bearer(text(&run, "token")).get("/v2/run/environment").await.json();
    assert_eq!(received["environment"], json!({"KEY": canary("theirs")}));
    let ours = start_as(&app, &owner, json!({"agent_id": AGENT})).await;
    assert_eq!(ours.environment().await, json!({"KEY": canary("ours")}));
}

#[tokio::test]
async fn unless_it_is_set_so_attaching_makes_nothing() {
    let app = settled().await;
    let (owner, place, id) = (app.owner(), agent(&app).await, shared(&app, "a").await);
    let before = contents(&app);
    for unknown in [unknown(), Place { build: BUILD.into(), ..place }] {
        assert_eq!(refusal(&try_attach(&owner, &unknown, &id).await), (404, "not_found".into()));
    }
    assert_eq!(contents(&app), before);
}
