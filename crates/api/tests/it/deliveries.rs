//! Deliveries: each is stored before a value leaves, is told of, and is seen
//! from the run and from the secret.

use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinSet;

use crate::agents::{Run, agent, attached, start};
use crate::people::{in_millis, refusal, settled, team};
use crate::support::{Answer, CANARY, NOTHING, TestApp, canary, simple};

/// How many events tell of a delivery.
fn told(app: &TestApp) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = 'secret.delivered'";
    app.database().query_row(count, NOTHING, |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_was_delivered_is_seen_from_the_run_and_from_the_secret() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let weak = attached(&owner, &place, (true, json!({"A": canary("1"), "B": canary("1")}))).await;
    let strong = attached(&owner, &place, (true, json!({"B": canary("1")}))).await;
    let (one, two) = (start(&app, &owner, &place).await, start(&app, &owner, &place).await);
    let deliveries = async |run: &Run| owner.get(&run.path("/deliveries")).await.json()["deliveries"].clone();
    let runs_of =
        async |id: &str| owner.get(&format!("/v2/credentials/{id}/runs")).await.json()["runs"].clone();
    assert_eq!((deliveries(&one).await, runs_of(&weak).await), (json!([]), json!([])), "only started");
    let first = in_millis(&app, 0);
    one.environment().await;
    app.clock.advance(5);
    one.environment().await;
    two.environment().await;
    let second = in_millis(&app, 0);
    assert_eq!(told(&app), 6, "each time is told of");
    let of = |id: &str, version: u32, keys: Value, at: &str| json!({"credential_id": id, "version": version, "env_var_keys": keys, "delivered_at": at});
    let seen = json!([of(&weak, 1, json!(["A"]), &first), of(&strong, 1, json!(["B"]), &first)]);
    assert_eq!(deliveries(&one).await, seen, "and the same is noted once");
    app.clock.advance(5);
    let body = json!({"values": {"C": canary("2")}}).to_string();
    assert_eq!(owner.patch(&format!("/v2/credentials/{strong}"), body).await.status, 200);
    one.environment().await;
    let third = in_millis(&app, 0);
    let mut all: Vec<_> = deliveries(&one).await.as_array().unwrap().clone();
    all.sort_by_key(ToString::to_string);
    let mut expected = vec![
        of(&weak, 1, json!(["A"]), &first),
        of(&weak, 1, json!(["A", "B"]), &third),
        of(&strong, 1, json!(["B"]), &first),
        of(&strong, 2, json!(["C"]), &third),
    ];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(all, expected);
    let from_secret = |run: &Run, version: u32, keys: Value, at: &str| json!({"run_id": run.id, "version": version, "env_var_keys": keys, "delivered_at": at});
    assert_eq!(
        runs_of(&strong).await,
        json!([
            from_secret(&one, 2, json!(["C"]), &third),
            from_secret(&two, 1, json!(["B"]), &second),
            from_secret(&one, 1, json!(["B"]), &first),
        ])
    );
    assert_eq!(owner.delete(&format!("/v2/credentials/{strong}")).await.status, 200);
    assert_eq!(deliveries(&one).await.as_array().unwrap().len(), 4, "what was received stays so");
}

/// How many deliveries of this request, and to this run, are stored.
fn stored(app: &TestApp, answer: &Answer, run: &str) -> (i64, i64) {
    let request = uuid::Uuid::parse_str(answer.header("x-request-id").unwrap()).unwrap();
    let run = uuid::Uuid::parse_str(run).unwrap();
    let (reader, delivered) = (app.database(), "kind = 'secret.delivered'");
    let told = format!("SELECT count(*) FROM events WHERE {delivered} AND request_id = ? AND run_id = ?");
    let ids = [request.as_bytes(), run.as_bytes()];
    let told = reader.query_row(&told, ids, |row| row.get(0)).unwrap();
    let noted = "SELECT count(*) FROM deliveries WHERE run_id = ?";
    (told, reader.query_row(noted, [run.as_bytes()], |row| row.get(0)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delivery_is_stored_before_its_answer_leaves() {
    const RUNS: usize = 20;
    const FETCHES: usize = 200;
    let app = Arc::new(settled().await);
    let (owner, place) = (app.owner(), agent(&app).await);
    for name in ["A", "B", "C"] {
        attached(&owner, &place, (true, json!({name: canary(name)}))).await;
    }
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(start(&app, &owner, &place).await);
    }
    let mut fetches = JoinSet::new();
    for place in 0..FETCHES {
        let (app, run) = (app.clone(), runs[place % RUNS].clone());
        fetches.spawn(async move {
            let answer = run.fetch().await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(stored(&app, &answer, &run.id), (3, 3));
        });
    }
    while let Some(fetched) = fetches.join_next().await {
        fetched.unwrap();
    }
    assert_eq!(told(&app), i64::try_from(3 * FETCHES).unwrap(), "as many are told of as were answered");
}

#[tokio::test]
async fn nothing_leaves_that_can_not_be_recorded() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let run = start(&app, &owner, &place).await;
    for table in ["deliveries", "events"] {
        app.database().execute_batch(&format!("ALTER TABLE {table} RENAME TO gone")).unwrap();
        let refused = run.fetch().await;
        assert_eq!(refusal(&refused), (503, "unavailable".into()), "{table}");
        assert!(!refused.body.contains(CANARY));
        app.database().execute_batch(&format!("ALTER TABLE gone RENAME TO {table}")).unwrap();
        assert_eq!(run.fetch().await.status, 200, "the control");
    }
}

#[tokio::test]
async fn every_act_on_agents_and_runs_leaves_its_event_with_who_and_where() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let id = attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let run = start(&app, &owner, &place).await;
    run.environment().await;
    assert_eq!(run.caller.post("/v2/run/extend", "{}").await.status, 200);
    assert_eq!(run.caller.post("/v2/run/stop", "").await.status, 200);
    let second = start(&app, &owner, &place).await;
    let agent = format!("/v2/agents/{}", place.agent);
    let promotion = format!("/v2/revisions/{}/promote", place.build);
    for answer in [
        owner.post(&team(&app, "/panic"), json!({"run_id": second.id}).to_string()).await,
        owner.post(&team(&app, "/panic"), json!({"agent_id": place.agent}).to_string()).await,
        owner.post(&promotion, r#"{"revision_name": "n"}"#).await,
        owner.patch(&agent, r#"{"name": "n"}"#).await,
        owner.delete(&place.path(&format!("/credentials/{id}"))).await,
        owner.delete(&agent).await,
    ] {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let database = app.database();
    let select = "SELECT kind, object_id, agent_id, revision_id, run_id, user_id, \
                  key_id IS NULL, object_mac IS NULL FROM events ORDER BY sequence";
    let told = database.query(select, NOTHING).unwrap();
    let told = told.iter().map(|row| {
        let hex = |at| row.get::<Option<[u8; 16]>>(at).unwrap().map_or(String::new(), simple);
        let texts = [1, 2, 3, 4, 5].map(hex);
        (row.get::<String>(0).unwrap(), texts, [row.get::<bool>(6).unwrap(), row.get(7).unwrap()])
    });
    let mut told: Vec<_> = told.collect();
    told.retain(|(kind, ..)| !["instance.created", "secret.created"].contains(&kind.as_str()));
    let [agent, build, secret, first, second] =
        [&place.agent, &place.build, &id, &run.id, &second.id].map(|id| id.replace('-', ""));
    let (user, nobody) = (app.owner_id.to_string().replace('-', ""), String::new());
    let expected = [
        ("agent.created", &agent, &nobody, &nobody),
        ("revision.created", &build, &build, &nobody),
        ("agent.updated", &agent, &build, &nobody),
        ("secret.attached", &secret, &build, &nobody),
        ("run.started", &first, &build, &nobody),
        ("secret.delivered", &secret, &build, &first),
        ("run.extended", &first, &build, &first),
        ("run.stopped", &first, &build, &first),
        ("run.started", &second, &build, &nobody),
        ("run.revoked", &second, &build, &nobody),
        ("agent.runs_revoked", &agent, &build, &nobody),
        ("revision.updated", &build, &build, &nobody),
        ("agent.updated", &agent, &build, &nobody),
        ("secret.detached", &secret, &build, &nobody),
        ("agent.deleted", &agent, &build, &nobody),
    ];
    let expected = expected.map(|(kind, object, build, run)| {
        let texts = [object, &agent, build, run, &user].map(String::clone);
        // What is delivered is a version, whose row is no more than its seal.
        (kind.to_owned(), texts, [false, kind == "secret.delivered"])
    });
    assert_eq!(told, expected);
}
