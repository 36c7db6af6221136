//! Panic: from its answer on the suspected receive nothing, others go on, and
//! the list of what was delivered is exactly what was received.

mod midst;
mod races;

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use strongroom_core::app::{Error, NewRun};
use strongroom_core::runs::RunMode;
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{AgentId, Role, Scopes, StoreError, UserId};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::agents::{Place, Run, agent, attached, start, start_as};
use crate::people::{add, contents, join, key, link_token, made, refusal, settled, team, text};
use crate::support::{Answer, Caller, TestApp, canary};

async fn panic(app: &TestApp, body: &Value) -> Answer {
    app.owner().post(&team(app, "/panic"), body.to_string()).await
}

async fn panicked(app: &TestApp, body: &Value) -> Value {
    let answer = panic(app, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn key_id(caller: &Caller) -> String {
    Token::parse(TokenKind::ApiKey, caller.token.as_ref().unwrap()).unwrap().id().to_string()
}

fn ids(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Versions of secrets, each with the runs that received it.
type Received = BTreeMap<(String, u64), BTreeSet<String>>;

fn listed(answer: &Value) -> Received {
    let entries = answer["deliveries"].as_array().unwrap().iter();
    let entry = |one: &Value| {
        ((text(one, "credential_id").to_owned(), one["version"].as_u64().unwrap()), ids(&one["runs"]))
    };
    entries.map(entry).collect()
}

/// Starts runs while somebody panics; the panic's answer, and the runs.
async fn race(app: &Arc<TestApp>, starter: &Caller, place: &Place, body: Value) -> (Value, Vec<Answer>) {
    const STARTS: usize = 64;
    let (mut starts, begun) = (JoinSet::new(), Arc::new(Barrier::new(2)));
    for n in 0..STARTS {
        let (app, starter, begun) = (app.clone(), starter.clone(), begun.clone());
        let path = team(&app, "/runs");
        let body = json!({"agent_id": place.agent}).to_string();
        starts.spawn(async move {
            if n == STARTS / 4 {
                begun.wait().await;
            }
            starter.post(&path, body).await
        });
    }
    begun.wait().await;
    let answer = panicked(app, &body).await;
    (answer, starts.join_all().await)
}

/// The runs that were started, by whether they are accepted.
async fn accepted(app: &TestApp, starts: &[Answer]) -> [BTreeSet<String>; 2] {
    let mut runs = [BTreeSet::new(), BTreeSet::new()];
    for start in starts.iter().filter(|start| start.status == 201) {
        let start = start.json();
        let answer = app.bearer(text(&start, "token")).get("/v2/run/environment").await;
        assert!(answer.status == 200 || answer.code() == "run_revoked", "{}", answer.body);
        runs[usize::from(answer.status == 200)].insert(text(&start["run"], "id").to_owned());
    }
    runs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_run_slips_past_a_panic_about_its_agent() {
    let app = Arc::new(settled().await);
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    for _ in 0..4 {
        let before = start(&app, &owner, &place).await;
        let (answer, mut starts) = race(&app, &owner, &place, json!({"agent_id": place.agent})).await;
        assert!(starts.iter().all(|start| start.status == 201), "starting goes on");
        starts.push(owner.post(&team(&app, "/runs"), json!({"agent_id": place.agent}).to_string()).await);
        let [refused, accepted] = accepted(&app, &starts).await;
        let revoked = ids(&answer["revoked"]["runs"]);
        assert!(revoked.contains(&before.id) && refused.is_subset(&revoked));
        assert!(accepted.is_disjoint(&revoked), "what is said to be revoked is");
        assert!(!accepted.is_empty(), "the one that was started last");
        for run in &revoked {
            let status = owner.get(&format!("/v2/runs/{run}")).await.json()["run"]["status"].clone();
            assert_eq!(status, json!("revoked"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_run_slips_past_a_panic_about_its_starter_or_their_key() {
    let app = Arc::new(settled().await);
    let place = agent(&app).await;
    attached(&app.owner(), &place, (true, json!({"KEY": canary("v")}))).await;
    for by_user in [false, true] {
        let user = app.seed_user();
        app.seed_membership(app.team_id, user, Role::Builder);
        let starter = app.key(app.team_id, user, |_| ());
        let body =
            if by_user { json!({"user_id": user.to_string()}) } else { json!({"key_id": key_id(&starter)}) };
        let (answer, starts) = race(&app, &starter, &place, body).await;
        assert!(starts.iter().all(|start| [201, 401].contains(&start.status.as_u16())));
        let [refused, accepted] = accepted(&app, &starts).await;
        assert_eq!(accepted, BTreeSet::new());
        assert!(refused.is_subset(&ids(&answer["revoked"]["runs"])), "each is in the list");
        assert_eq!(ids(&answer["revoked"]["api_keys"]), [key_id(&starter)].into());
    }
}

#[tokio::test]
async fn a_run_that_was_about_to_start_when_somebody_panicked_does_not() {
    let app = settled().await;
    let place = agent(&app).await;
    let start = NewRun {
        agent: AgentId::parse(&place.agent).unwrap(),
        revision: None,
        strict: false,
        note: None,
        lease: 3_600,
        mode: RunMode::Inject,
    };
    let user = app.seed_user();
    app.seed_membership(app.team_id, user, Role::Builder);
    for about in ["agent_id", "key_id", "user_id"] {
        let starter = app.key(app.team_id, user, |_| ());
        let ask = app.ask(&starter).await;
        let planned = app.app.start_run(&ask, &start).await.unwrap();
        let id = match about {
            "agent_id" => place.agent.clone(),
            "key_id" => key_id(&starter),
            _ => user.to_string(),
        };
        panicked(&app, &json!({about: id})).await;
        let refused = app.app.carry_out(&ask, planned, None).await.map(|_| ()).unwrap_err();
        let planned_anew = matches!(refused, Error::Store(StoreError::Changed));
        let nobody = matches!(refused, Error::NotProven);
        assert!(if about == "agent_id" { planned_anew } else { nobody }, "{about}: {refused}");
    }
    assert_eq!(app.owner().get(&team(&app, "/runs")).await.json()["total"], json!(0));
}

#[tokio::test]
async fn a_panic_about_a_user_takes_all_that_could_start_more() {
    let app = settled().await;
    let place = agent(&app).await;
    let grace = join(&app, "grace@example.com", Role::Administrator).await;
    let second = key(&app, &grace.caller, json!({"name": "second"})).await;
    let bot = made(&add(&app, &app.owner(), json!({"name": "ci", "service": true, "role": "builder"})).await);
    let bot = text(&bot["member"], "id").to_owned();
    let for_them = link_token(&app, &app.owner(), json!({"user_id": grace.id, "name": "n"})).await;
    let by_them = link_token(&app, &grace.caller, json!({"user_id": bot, "name": "n"})).await;
    let unconcerned = link_token(&app, &app.owner(), json!({"user_id": bot, "name": "n"})).await;
    let starter = app.key(app.team_id, UserId::parse(&grace.id).unwrap(), |_| ());
    let run = start(&app, &starter, &place).await;
    let answer = panicked(&app, &json!({"user_id": grace.id})).await;
    let keys = [&grace.caller, &second, &starter];
    assert_eq!(ids(&answer["revoked"]["api_keys"]), keys.map(key_id).into());
    let link = |token: &str| Token::parse(TokenKind::Link, token).unwrap().id().to_string();
    assert_eq!(ids(&answer["revoked"]["key_links"]), [link(&for_them), link(&by_them)].into());
    assert_eq!(ids(&answer["revoked"]["runs"]), [run.id.clone()].into());
    for caller in keys {
        assert_eq!(refusal(&caller.get("/v2/profile").await), (401, "invalid_token".into()));
    }
    for (link, status) in [(for_them, 401), (by_them, 401), (unconcerned, 201)] {
        assert_eq!(app.bearer(&link).post("/v2/key-links/claim", "").await.status, status);
    }
    let again = panicked(&app, &json!({"user_id": grace.id})).await;
    assert_eq!(again["revoked"], json!({"runs": [run.id], "runs_total": 1, "api_keys": [], "key_links": []}));
    let member = app.owner().get(&team(&app, "/members?search=grace")).await.json();
    assert_eq!(member["total"], json!(1), "their place in the team stays");
}

#[tokio::test]
async fn personal_secrets_are_listed_with_their_owner_and_all_names_that_were_received() {
    let app = settled().await;
    let place = agent(&app).await;
    let user = app.seed_user();
    app.seed_membership(app.team_id, user, Role::Builder);
    let grace = app.key(app.team_id, user, |_| ());
    let own = attached(&grace, &place, (false, json!({"OWN": canary("v"), "BOTH": canary("v")}))).await;
    let shared =
        attached(&app.owner(), &place, (true, json!({"BOTH": canary("v"), "TEAM": canary("v")}))).await;
    let run = start(&app, &grace, &place).await;
    run.environment().await;
    assert_eq!(
        grace.patch(&format!("/v2/credentials/{own}"), r#"{"remove_keys": ["BOTH"]}"#).await.status,
        200
    );
    run.environment().await;
    let purged = attached(&app.owner(), &place, (true, json!({"GONE": canary("v")}))).await;
    let later = start(&app, &grace, &place).await;
    later.environment().await;
    assert_eq!(app.owner().delete(&format!("/v2/credentials/{purged}")).await.status, 200);
    let answer = panicked(&app, &json!({"user_id": user.to_string()})).await;
    let mut deliveries = answer["deliveries"].as_array().unwrap().clone();
    deliveries.sort_by_key(|one| (one["credential_id"].to_string(), one["version"].as_u64()));
    let one = |id: &str, version: u64, owner: Value, names: Value, runs: &[&Run]| {
        let runs: BTreeSet<_> = runs.iter().map(|run| &run.id).collect();
        json!({
            "credential_id": id, "version": version, "user_id": owner, "env_var_keys": names, "runs": runs,
            "runs_total": runs.len(),
        })
    };
    let user = json!(user.to_string());
    let mut expected = [
        one(&own, 1, user.clone(), json!(["BOTH", "OWN"]), &[&run]),
        one(&own, 2, user, json!(["OWN"]), &[&run, &later]),
        one(&shared, 1, json!(null), json!(["BOTH", "TEAM"]), &[&run, &later]),
        one(&purged, 1, json!(null), json!(["GONE"]), &[&later]),
    ];
    expected.sort_by_key(|one| (one["credential_id"].to_string(), one["version"].as_u64()));
    assert_eq!(json!(deliveries), json!(expected));
}

#[tokio::test]
async fn runs_that_were_over_before_are_not_revoked_but_what_they_received_is_listed() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let secret = attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let short = json!({"agent_id": place.agent, "ttl_seconds": 10});
    let [stopped, expired, running] = [
        start(&app, &owner, &place).await,
        start_as(&app, &owner, short).await,
        start(&app, &owner, &place).await,
    ];
    for run in [&stopped, &expired, &running] {
        run.environment().await;
    }
    assert_eq!(owner.post(&stopped.path("/stop"), "").await.status, 200);
    app.clock.advance(10_000);
    let answer = panicked(&app, &json!({"agent_id": place.agent})).await;
    assert_eq!(
        answer["revoked"],
        json!({"runs": [running.id], "runs_total": 1, "api_keys": [], "key_links": []})
    );
    let all = [&stopped, &expired, &running].map(|run| run.id.clone()).into();
    assert_eq!(listed(&answer), [((secret, 1), all)].into());
    for (run, status) in [(&stopped, "stopped"), (&expired, "expired"), (&running, "revoked")] {
        assert_eq!(owner.get(&run.path("")).await.json()["run"]["status"], json!(status));
        assert_eq!(refusal(&run.fetch().await), (401, format!("run_{status}")));
    }
    let answer = panicked(&app, &json!({"run_id": stopped.id})).await;
    assert_eq!((&answer["revoked"]["runs"], listed(&answer).len()), (&json!([]), 1));
}

#[tokio::test]
async fn a_dry_panic_revokes_nothing_and_lists_what_was_delivered() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let user = app.seed_user();
    app.seed_membership(app.team_id, user, Role::Builder);
    let starter = app.key(app.team_id, user, |_| ());
    let run = start(&app, &starter, &place).await;
    run.environment().await;
    let before = contents(&app);
    for body in [
        json!({"run_id": run.id}),
        json!({"agent_id": place.agent}),
        json!({"key_id": key_id(&starter)}),
        json!({"user_id": user.to_string()}),
    ] {
        let dry = owner.post(&team(&app, "/panic?dry_run=true"), body.to_string()).await;
        assert_eq!(dry.status, 200, "{}", dry.body);
        assert_eq!(listed(&dry.json()).len(), 1, "{body}");
        assert_eq!(contents(&app), before, "{body}");
        assert!(goes_on(&app, &run).await, "{body}");
    }
}

/// Whether a run is still good; leaves no trace of having asked.
async fn goes_on(app: &TestApp, run: &Run) -> bool {
    let status = app.owner().get(&run.path("")).await.json()["run"]["status"].clone();
    status == json!("running") && run.caller.post("/v2/run/extend?dry_run=true", "{}").await.status == 200
}

#[tokio::test]
async fn a_repeated_panic_is_answered_the_same() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let run = start(&app, &owner, &place).await;
    run.environment().await;
    let send = || {
        let request = owner.request(Method::POST, &team(&app, "/panic")).header("idempotency-key", "k");
        let body = json!({"agent_id": place.agent}).to_string();
        owner.send(request.header("content-type", "application/json").body(body))
    };
    let first = send().await;
    assert_eq!((first.status.as_u16(), first.json()["revoked"]["runs"].clone()), (200, json!([run.id])));
    let later = start(&app, &owner, &place).await;
    let again = send().await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(later.fetch().await.status, 200, "and is not done again");
    assert_eq!(panicked(&app, &json!({"agent_id": place.agent})).await["revoked"]["runs"], {
        let both: BTreeSet<_> = [&run.id, &later.id].into();
        json!(both)
    });
}

#[tokio::test]
async fn members_panic_about_what_is_their_own() {
    let app = settled().await;
    let place = agent(&app).await;
    let grace = app.user(app.team_id, Role::Builder, Scopes::all());
    let (own, others) = (start(&app, &grace, &place).await, start(&app, &app.owner(), &place).await);
    let ask = async |body: Value| grace.post(&team(&app, "/panic"), body.to_string()).await;
    assert_eq!(refusal(&ask(json!({"run_id": others.id})).await), (403, "forbidden".into()));
    assert_eq!(ask(json!({"run_id": own.id})).await.json()["revoked"]["runs"], json!([own.id]));
    let second = start(&app, &grace, &place).await;
    let answer = ask(json!({"key_id": key_id(&grace)})).await;
    assert_eq!(answer.json()["revoked"], {
        let both: BTreeSet<_> = [&own.id, &second.id].into();
        json!({"runs": both, "runs_total": 2, "api_keys": [key_id(&grace)], "key_links": []})
    });
    assert_eq!(refusal(&grace.get("/v2/profile").await), (401, "invalid_token".into()), "the key is gone");
    assert_eq!(others.fetch().await.status, 200);
}
