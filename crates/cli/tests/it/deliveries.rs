//! Runs receive their environments while the server is killed again and again:
//! whoever received values is on record afterwards.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::{Client, Place, chance, eventually};

const RUNS: usize = 8;
const CRASHES: usize = 12;

/// A run: its id, as the database has it, its token, and how often it received its values.
struct Run {
    id: String,
    token: String,
    received: AtomicI64,
}

/// An agent whose runs receive one value, and some runs of it.
fn started(client: &mut Client, team: &str) -> Vec<Arc<Run>> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let agent = client.post(&format!("/v2/teams/{team}/agents"), r#"{"name": "a"}"#);
    let agent = text(&agent.json()["agent"]["id"]);
    let revision = client.post(&format!("/v2/agents/{agent}/revisions"), r#"{"name": "r"}"#);
    let revision = text(&revision.json()["build"]["id"]);
    let secret = client.create("the value").unwrap().unwrap();
    let attach = serde_json::json!({"credentialId": secret}).to_string();
    let path = format!("/v2/agents/{agent}/revisions/{revision}/credentials");
    assert_eq!(client.post(&path, &attach).status, 201);
    let start = serde_json::json!({"agent_id": agent}).to_string();
    let runs = (0..RUNS).map(|_| {
        let started = client.post(&format!("/v2/teams/{team}/runs"), &start).json();
        let (id, token) =
            (text(&started["run"]["id"]).replace('-', "").to_uppercase(), text(&started["token"]));
        Arc::new(Run { id, token, received: AtomicI64::new(0) })
    });
    runs.collect()
}

/// Receives, until the server is gone.
fn receiving(address: SocketAddr, run: &Arc<Run>) -> JoinHandle<()> {
    let run = Arc::clone(run);
    std::thread::spawn(move || {
        let mut client = Client::new(address, &run.token);
        while let Ok(answer) = client.request("GET", "/v2/run/environment", "") {
            assert_eq!((answer.status, answer.body.contains("the value")), (200, true), "{}", answer.body);
            run.received.fetch_add(1, Ordering::SeqCst);
        }
    })
}

/// The runs that received values more often than is on record, or of which
/// nothing says what they have.
fn off_the_record(database: &Path, runs: &[Arc<Run>]) -> Vec<String> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let count =
        |query: &str, run: &Run| -> i64 { connection.query_row(query, [&run.id], |row| row.get(0)).unwrap() };
    let unrecorded = |run: &&Arc<Run>| {
        let events = "SELECT count(*) FROM events WHERE kind = 'secret.delivered' AND hex(run_id) = ?";
        let deliveries = "SELECT count(*) FROM deliveries WHERE hex(run_id) = ?";
        let received = run.received.load(Ordering::SeqCst);
        count(events, run) < received || received > 0 && count(deliveries, run) != 1
    };
    runs.iter().filter(unrecorded).map(|run| run.id.clone()).collect()
}

/// Serves, delivers, and is killed at a moment that chance picks.
fn killed_round(place: &Place, runs: &[Arc<Run>]) {
    let server = place.serve();
    let so_far = || runs.iter().map(|run| run.received.load(Ordering::SeqCst)).sum::<i64>();
    let (before, more) = (so_far(), i64::try_from(1 + chance(150)).unwrap());
    let receivers: Vec<_> = runs.iter().map(|run| receiving(server.address, run)).collect();
    eventually("the runs receive", || so_far() >= before + more);
    std::thread::sleep(Duration::from_micros(chance(3_000)));
    server.kill();
    for receiver in receivers {
        receiver.join().unwrap();
    }
}

/// An instance with runs that have received nothing yet.
fn ready() -> (Place, Vec<Arc<Run>>) {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let mut client = server.client(&key);
    let team = client.get("/v2/profile").json()["profile"]["teamId"].as_str().unwrap().to_owned();
    let runs = started(&mut client, &team);
    server.stop();
    (place, runs)
}

#[test]
fn kill_nine_leaves_no_value_off_the_record() {
    let (place, runs) = ready();
    for crash in 0..CRASHES {
        killed_round(&place, &runs);
        place.serve().stop();
        assert_eq!(off_the_record(&place.database(), &runs), [""; 0], "crash {crash}");
    }
    place.run("doctor", &[]).done();
    let received: i64 = runs.iter().map(|run| run.received.load(Ordering::SeqCst)).sum();
    println!("{CRASHES} crashes, {received} deliveries received, 0 off the record");
}

#[test]
fn a_delivery_that_is_missing_from_the_record_is_found() {
    let (place, runs) = ready();
    killed_round(&place, &runs);
    place.serve().stop();
    assert_eq!(off_the_record(&place.database(), &runs), [""; 0]);
    let copy = place.path("copy.db");
    std::fs::copy(place.database(), &copy).unwrap();
    killed_round(&place, &runs);
    let found = off_the_record(&copy, &runs);
    assert!(!found.is_empty(), "what came after the copy");
    place.serve().stop();
    assert_eq!(off_the_record(&place.database(), &runs), [""; 0]);
}
