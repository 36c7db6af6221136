//! A panic in the midst of fetches: what is listed is what was received, and
//! after the answer nobody of the suspected receives anything.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use strongroom_core::Role;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Received, ids, key_id, listed, panicked};
use crate::agents::{Run, agent, attach, secret, start};
use crate::people::{refusal, settled};
use crate::support::{TestApp, canary};

/// Who starts a run, of which agent.
struct Started {
    run: Run,
    agent: String,
    key: String,
    user: String,
}

/// Agents with secrets, and starters with two keys each.
struct Crowd {
    app: TestApp,
    /// By the names of their values.
    secrets: BTreeMap<String, String>,
    runs: Vec<Started>,
}

const NAMES: [&str; 3] = ["A", "B", "C"];

/// A value that tells its version.
fn value(version: u64) -> String {
    format!("{}#{version}", canary("v"))
}

fn version(value: &Value) -> u64 {
    value.as_str().unwrap().rsplit_once('#').unwrap().1.parse().unwrap()
}

impl Crowd {
    /// So many runs, of four agents, by two users with two keys each.
    async fn new(runs: usize) -> Self {
        let app = settled().await;
        let (mut places, mut secrets) = (Vec::new(), BTreeMap::new());
        for name in NAMES {
            let id = secret(&app.owner(), true, json!({name: value(1)})).await;
            secrets.insert(name.to_owned(), id);
        }
        for _ in 0..4 {
            let place = agent(&app).await;
            for id in secrets.values() {
                attach(&app.owner(), &place, id).await;
            }
            places.push(place);
        }
        let starters = [(); 2].map(|()| {
            let user = app.seed_user();
            app.seed_membership(app.team_id, user, Role::Builder);
            (user, [(); 2].map(|()| app.key(app.team_id, user, |_| ())))
        });
        let mut started = Vec::new();
        for n in 0..runs {
            let (place, (user, keys)) = (&places[n % 4], &starters[n / 4 % 2]);
            let key = &keys[n / 8 % 2];
            let run = start(&app, key, place).await;
            started.push(Started {
                run,
                agent: place.agent.clone(),
                key: key_id(key),
                user: user.to_string(),
            });
        }
        Self { app, secrets, runs: started }
    }
}

/// What is watched while runs fetch.
#[derive(Default)]
struct Watch {
    /// The panic was answered.
    answered: AtomicBool,
    /// Fetches that went well.
    successes: AtomicUsize,
    /// Those of them that were of the suspected.
    suspected: AtomicUsize,
    /// Fetches that were begun after the answer.
    late: AtomicUsize,
    done: AtomicBool,
    /// Something was counted.
    counted: Notify,
}

impl Watch {
    fn count(&self, what: &AtomicUsize) {
        what.fetch_add(1, Ordering::SeqCst);
        self.counted.notify_one();
    }

    /// Waits until so many were counted; nobody may give up before.
    async fn reaches(&self, what: &AtomicUsize, many: usize, fetchers: &mut JoinSet<Received>) {
        while what.load(Ordering::SeqCst) < many {
            tokio::select! {
                () = self.counted.notified() => (),
                Some(ended) = fetchers.join_next() => {
                    ended.unwrap();
                }
            }
        }
    }
}

/// Fetches again and again, by turns, until it is told to stop; what each run received.
async fn fetching(
    crowd: Arc<Crowd>,
    watch: Arc<Watch>,
    (first, step): (usize, usize),
    suspected: Arc<BTreeSet<String>>,
) -> Received {
    let mut received = Received::new();
    for turn in (first..).step_by(step) {
        if watch.done.load(Ordering::SeqCst) {
            break;
        }
        let run = &crowd.runs[turn % crowd.runs.len()].run;
        let ours = suspected.contains(&run.id);
        let late = watch.answered.load(Ordering::SeqCst);
        let answer = run.fetch().await;
        if late && ours {
            assert_eq!(refusal(&answer), (401, "run_revoked".into()), "after the panic was answered");
            watch.count(&watch.late);
            continue;
        }
        if answer.status != 200 {
            assert!(ours, "others go on: {}", answer.body);
            continue;
        }
        watch.count(&watch.successes);
        if ours {
            watch.count(&watch.suspected);
        }
        let environment = answer.json()["environment"].clone();
        assert_eq!(environment.as_object().unwrap().len(), NAMES.len());
        for (name, secret) in &crowd.secrets {
            let received = received.entry((secret.clone(), version(&environment[name]))).or_default();
            received.insert(run.id.clone());
        }
    }
    received
}

/// Gives each secret new values, until the panic is answered.
async fn changing(crowd: Arc<Crowd>, watch: Arc<Watch>) {
    for next in 2.. {
        if watch.answered.load(Ordering::SeqCst) {
            break;
        }
        for (name, id) in &crowd.secrets {
            let body = json!({"values": {name: value(next)}}).to_string();
            let answer = crowd.app.owner().patch(&format!("/v2/credentials/{id}"), body).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }
}

/// Panics while everybody fetches, and holds the list against what was received.
async fn in_the_midst(crowd: Crowd, body: Value, is_suspected: impl Fn(&Started) -> bool) {
    const TASKS: usize = 8;
    let suspected = crowd.runs.iter().filter(|one| is_suspected(one)).map(|one| one.run.id.clone());
    let (suspected, crowd) = (Arc::new(suspected.collect::<BTreeSet<_>>()), Arc::new(crowd));
    let watch = Arc::new(Watch::default());
    let mut fetchers = JoinSet::new();
    for task in 0..TASKS {
        fetchers.spawn(fetching(crowd.clone(), watch.clone(), (task, TASKS), suspected.clone()));
    }
    let changes = tokio::spawn(changing(crowd.clone(), watch.clone()));
    watch.reaches(&watch.successes, crowd.runs.len(), &mut fetchers).await;
    watch.reaches(&watch.suspected, 1, &mut fetchers).await;
    let answer = panicked(&crowd.app, &body).await;
    watch.answered.store(true, Ordering::SeqCst);
    let enough = crowd.runs.len().min(20 * suspected.len());
    watch.reaches(&watch.late, enough, &mut fetchers).await;
    watch.done.store(true, Ordering::SeqCst);
    let mut received = Received::new();
    while let Some(one) = fetchers.join_next().await {
        for (version, runs) in one.unwrap() {
            received.entry(version).or_default().extend(runs.intersection(&suspected).cloned());
        }
    }
    changes.await.unwrap();
    received.retain(|_, runs| !runs.is_empty());
    assert!(received.len() >= NAMES.len());
    assert_eq!(listed(&answer), received, "the list is what was received");
    assert_eq!(ids(&answer["revoked"]["runs"]), *suspected);
    for one in answer["deliveries"].as_array().unwrap() {
        assert_eq!((&one["user_id"], one["env_var_keys"].as_array().unwrap().len()), (&json!(null), 1));
    }
    assert_eq!(
        panicked(&crowd.app, &body).await["deliveries"],
        answer["deliveries"],
        "also when it is sent again"
    );
    for one in &crowd.runs {
        let goes_on = !suspected.contains(&one.run.id);
        assert_eq!(one.run.fetch().await.status, if goes_on { 200 } else { 401 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_about_an_agent_ends_its_thousand_runs_while_they_fetch() {
    let crowd = Crowd::new(1_000).await;
    let agent = crowd.runs[1].agent.clone();
    let body = json!({"agent_id": agent});
    in_the_midst(crowd, body, |one| one.agent == agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_about_a_key_ends_the_runs_that_were_started_with_it() {
    let crowd = Crowd::new(160).await;
    let key = crowd.runs[8].key.clone();
    let body = json!({"key_id": key});
    in_the_midst(crowd, body, |one| one.key == key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_about_a_user_ends_all_runs_that_they_started() {
    let crowd = Crowd::new(160).await;
    let user = crowd.runs[4].user.clone();
    let body = json!({"user_id": user});
    in_the_midst(crowd, body, |one| one.user == user).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_about_a_run_ends_this_one() {
    let crowd = Crowd::new(16).await;
    let run = crowd.runs[3].run.id.clone();
    let body = json!({"run_id": run});
    in_the_midst(crowd, body, |one| one.run.id == run).await;
}
