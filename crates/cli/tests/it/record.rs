//! That everything is recorded: as many events as there were acts, and nothing done and
//! nothing delivered when it can't be.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use strongroom_testbed::{self as testbed, Cluster};

use crate::harness::{Client, Place, Server, chance};
use crate::shared::Shared;

/// Requests in `./test`; the release's are told by a variable.
const REQUESTS: usize = 12_000;
const CALLERS: usize = 8;

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how much")]
fn requests() -> usize {
    let told = std::env::var("STRONGROOM_TEST_REQUESTS").ok();
    told.map_or(REQUESTS, |told| told.parse().expect("STRONGROOM_TEST_REQUESTS is a number"))
}

/// How often each action was done.
type Counts = BTreeMap<&'static str, u64>;

/// Who acts on a server.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) team: String,
    pub(crate) key: String,
    /// Of somebody who may change nothing of the team's.
    member: String,
    /// Of a run with one secret.
    pub(crate) run: String,
    shared: String,
}

fn made(client: &mut Client, path: &str, body: &Value) -> Value {
    let answer = client.post(path, &body.to_string());
    assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
    answer.json()
}

impl Stage {
    pub(crate) fn set(server: &Server, key: &str) -> Self {
        let mut client = server.client(key);
        let team = client.get("/v2/profile").json()["profile"]["teamId"].as_str().unwrap().to_owned();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let secret = json!({"name": "shared", "values": {"TOKEN": "a value"}, "shared": true});
        let shared = text(&made(&mut client, "/v1/credentials", &secret)["id"]);
        let at = |path: &str| format!("/v2/teams/{team}{path}");
        let agent = text(&made(&mut client, &at("/agents"), &json!({"name": "courier"}))["agent"]["id"]);
        let revisions = format!("/v2/agents/{agent}/revisions");
        let revision = text(&made(&mut client, &revisions, &json!({"name": "first"}))["build"]["id"]);
        let attached = format!("{revisions}/{revision}/credentials");
        made(&mut client, &attached, &json!({"credentialId": shared}));
        let run = made(&mut client, &at("/runs"), &json!({"agent_id": agent}));
        let service = json!({"service": true, "name": "Program", "role": "member"});
        let member = text(&made(&mut client, &at("/members"), &service)["member"]["id"]);
        let member = made(&mut client, &at("/api-keys"), &json!({"name": "k", "service_user_id": member}));
        let (member, run) = (text(&member["api_key"]), text(&run["token"]));
        Self { address: server.address, team, key: key.to_owned(), member, run, shared }
    }

    /// Does so much; what of it was acknowledged, or refused by the access table.
    fn act(&self, requests: usize) -> Counts {
        let mut counts = Counts::new();
        let [mut owner, mut member, mut run] =
            [&self.key, &self.member, &self.run].map(|token| Client::new(self.address, token));
        let mut own = Vec::new();
        for _ in 0..requests {
            let (action, status) = match chance(8) {
                0..3 => {
                    let answer = owner.create("a value").unwrap();
                    own.extend(answer.clone().ok());
                    ("secret.created", answer.err().unwrap_or(201))
                }
                3 if !own.is_empty() => {
                    let (path, body) = (format!("/v1/credentials/{}", own[0]), r#"{"name": "renamed"}"#);
                    // A name that it has is no change.
                    let body = body.replace("renamed", &format!("renamed {}", chance(u64::MAX)));
                    ("secret.updated", owner.request("PATCH", &path, &body).unwrap().status)
                }
                4 if !own.is_empty() => {
                    let path = format!("/v1/credentials/{}", own.swap_remove(0));
                    ("secret.deleted", owner.request("DELETE", &path, "").unwrap().status)
                }
                5 => ("secret.delivered", run.get("/v2/run/environment").status),
                6 => {
                    let path = format!("/v1/credentials/{}", self.shared);
                    ("access.denied", member.request("DELETE", &path, "").unwrap().status)
                }
                _ => ("read", owner.get(&format!("/v2/teams/{}/events?limit=1", self.team)).status),
            };
            let expected = if action == "access.denied" { 403 } else { 200 };
            assert!(status == expected || status == 201, "{action}: {status}");
            *counts.entry(action).or_default() += 1;
        }
        counts.remove("read");
        counts
    }

    fn all(self: &Arc<Self>) -> Counts {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let stage = Arc::clone(self);
                std::thread::spawn(move || stage.act(requests() / CALLERS))
            })
            .collect();
        let all = Mutex::new(Counts::new());
        for caller in callers {
            for (action, count) in caller.join().unwrap() {
                *all.lock().unwrap().entry(action).or_default() += count;
            }
        }
        all.into_inner().unwrap()
    }
}

/// How often each of these actions is in the record.
fn recorded(database: &testbed::Database, actions: &Counts) -> Counts {
    let count = |action: &&'static str| {
        let count =
            "SELECT CAST(coalesce(sum(coalesce(repeats, 1)), 0) AS BIGINT) FROM events WHERE kind = ?";
        let found: i64 = database.query_row(count, [*action], |row| row.get(0)).unwrap();
        (*action, u64::try_from(found).unwrap())
    };
    actions.keys().map(count).collect()
}

fn everything_is_recorded(server: Server, key: &str, database: &dyn Fn() -> testbed::Database) {
    let stage = Arc::new(Stage::set(&server, key));
    let mut counted = stage.all();
    // The one that every run receives.
    *counted.get_mut("secret.created").unwrap() += 1;
    assert_eq!(counted.len(), 5, "{counted:?}");
    server.stop();
    assert_eq!(recorded(&database(), &counted), counted);
}

#[test]
fn the_record_has_as_many_events_as_there_were_acts() {
    let (place, key) = Place::with_instance();
    let open = || testbed::Database::sqlite(rusqlite::Connection::open(place.database()).unwrap());
    everything_is_recorded(place.serve(), &key, &open);
    let verified = place.run("doctor", &[]);
    verified.done();
}

#[test]
fn the_record_in_postgresql_has_as_many_events_as_there_were_acts() {
    let shared = Shared::new(Cluster::shared());
    everything_is_recorded(shared.serve(), &shared.key, &|| testbed::Database::connect(&shared.url));
}

/// Nobody can write events; whether each act is refused, and leaves nothing behind.
fn nothing_goes_unrecorded(server: &Server, key: &str, database: &testbed::Database) {
    let stage = Stage::set(server, key);
    let [mut owner, mut run] = [&stage.key, &stage.run].map(|token| Client::new(server.address, token));
    let deliver = |run: &mut Client| run.get("/v2/run/environment");
    assert!(deliver(&mut run).body.contains("a value"), "as long as it can be recorded");
    let rows = || -> Vec<i64> {
        let count = |table| {
            database.query_row(&format!("SELECT count(*) FROM {table}"), [0_i64; 0], |row| row.get(0))
        };
        ["secrets", "versions", "runs", "deliveries", "api_keys"].map(|table| count(table).unwrap()).to_vec()
    };
    let before = rows();
    let newest: i64 =
        database.query_row("SELECT max(sequence) FROM events", [0_i64; 0], |row| row.get(0)).unwrap();
    // There is a row of it already, so there is room for no other.
    let shut =
        format!("CREATE UNIQUE INDEX shut ON events ((sequence - sequence)) WHERE sequence >= {newest}");
    database.execute(&shut, [0_i64; 0]).unwrap();
    let path = format!("/v1/credentials/{}", stage.shared);
    for _ in 0..3 {
        let answer = deliver(&mut run);
        assert!(answer.status >= 400 && !answer.body.contains("a value"), "{}", answer.body);
        for (method, path, body) in [
            ("POST", "/v1/credentials", r#"{"name": "n", "values": {"V": "v"}}"#),
            ("PATCH", &path, r#"{"name": "other"}"#),
            ("DELETE", &path, ""),
        ] {
            let answer = owner.request(method, path, body).unwrap();
            assert!(answer.status >= 400, "{method}: {} {}", answer.status, answer.body);
        }
    }
    assert_eq!(rows(), before);
    database.execute("DROP INDEX shut", [0_i64; 0]).unwrap();
    assert!(deliver(&mut run).body.contains("a value"), "it goes on when it can");
    assert_eq!(owner.request("DELETE", &path, "").unwrap().status, 200);
}

#[test]
fn what_cannot_be_recorded_is_not_done_and_nothing_is_delivered() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let connection = rusqlite::Connection::open(place.database()).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    nothing_goes_unrecorded(&server, &key, &testbed::Database::sqlite(connection));
}

#[test]
fn what_cannot_be_recorded_in_postgresql_is_not_done_and_nothing_is_delivered() {
    let shared = Shared::new(Cluster::shared());
    let server = shared.serve();
    nothing_goes_unrecorded(&server, &shared.key, &testbed::Database::connect(&shared.url));
}
