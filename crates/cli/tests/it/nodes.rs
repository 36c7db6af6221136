//! Several servers on one PostgreSQL: what one of them is told holds for all.

use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use strongroom_testbed::Cluster;

use crate::harness::{Client, Server, chmod, eventually};
use crate::shared::{DURABLE, Shared};

/// How soon something must hold on every server.
const EVERYWHERE: Duration = Duration::from_secs(1);

#[test]
fn the_directory_of_an_instance_in_postgresql_holds_the_root_key_alone() {
    let cluster = Cluster::start(DURABLE);
    let shared = Shared::new(&cluster);
    let names = shared.place.tree();
    assert_eq!(names, ["data", "data/root.key", "recovery.key"]);
    let elsewhere = shared.place.path("second.key");
    let again = shared.run("init", &["--json", "--recovery-key-file", elsewhere.to_str().unwrap()]);
    assert!(again.refusal().contains("there is an instance in that database already"), "{}", again.stderr);
    assert_eq!(shared.place.tree(), names);
    let examined = shared.run("doctor", &[]);
    assert!(examined.done().contains("ok    database        PostgreSQL 1"), "{}", examined.stdout);
    let server = shared.serve();
    assert_eq!(
        shared.client(&server).post("/v1/credentials", r#"{"name": "n", "values": {"A": "b"}}"#).status,
        201
    );
    server.stop();
    assert!(shared.run("doctor", &[]).done().contains("every seal opens, every MAC holds"));
}

#[test]
fn a_wrong_root_key_changes_nothing_and_says_which_is_needed() {
    let cluster = Cluster::shared();
    let (ours, theirs) = (Shared::new(cluster), Shared::new(cluster));
    let before = strongroom_testbed::Database::connect(&ours.url).dump();
    let mixed = Shared { url: ours.url.clone(), ..theirs };
    let refused = mixed.run("serve", &["--listen", "127.0.0.1:0"]);
    assert!(
        refused.refusal().contains("this instance is sealed under the root key file:"),
        "{}",
        refused.stderr
    );
    assert_eq!(strongroom_testbed::Database::connect(&ours.url).dump(), before);
}

#[test]
fn what_is_wrong_with_a_database_is_said_with_its_remedy_and_without_its_password() {
    let cluster = Cluster::start(DURABLE);
    let shared = Shared::new(&cluster);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let empty = Cluster::shared().database();
    for (url, says) in [
        (format!("postgres://u:hunter2@{closed}/x"), "can't be reached"),
        ("postgres://u:hunter2@127.0.0.1:1/x?sslmode=prefer".to_owned(), "verify-full"),
        ("mysql://u:hunter2@127.0.0.1/x".to_owned(), "postgres://"),
        (empty, "strongroom init --database-url"),
    ] {
        let refused = shared.place.run("serve", &["--database-url", &url]);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(refused.code != Some(0) && said.contains(says), "{url}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let file = shared.place.path("password");
    fs::write(&file, "hunter2\n").unwrap();
    chmod(&file, 0o644);
    let with_file = ["--database-password-file", file.to_str().unwrap()];
    assert!(shared.run("doctor", &with_file).stderr.contains("chmod 600"));
    chmod(&file, 0o600);
    assert_eq!(shared.run("doctor", &with_file).code, Some(0));
    let lossy = Shared::new(Cluster::shared());
    let found = lossy.run("doctor", &[]).stdout;
    assert!(found.contains("fsync is off: an acknowledged change may be lost"), "{found}");
}

/// An id or text of what was made.
fn made(client: &mut Client, path: &str, body: &Value) -> Value {
    let answer = client.post(path, &body.to_string());
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

/// Waits until a request is refused, and holds the time that took against what
/// is allowed.
fn refused_soon(client: &mut Client, path: &str, status: u16) {
    let since = Instant::now();
    eventually("it is refused", || client.get(path).status == status);
    assert!(since.elapsed() <= EVERYWHERE, "{path}: {:?}", since.elapsed());
}

#[test]
fn what_is_taken_away_on_one_server_is_gone_on_the_other_within_a_second() {
    let shared = Shared::new(Cluster::shared());
    let (here, there) = (shared.serve(), shared.serve());
    let (mut owner, team) = (shared.client(&here), team(&mut shared.client(&here)));
    for round in 0..5 {
        // A key that is revoked.
        let key = made(&mut owner, &format!("/v2/teams/{team}/api-keys"), &json!({"name": "k"}));
        let mut theirs = there.client(key["api_key"].as_str().unwrap());
        assert_eq!(theirs.get("/v1/credentials").status, 200, "round {round}: the control");
        let path = format!("/v2/teams/{team}/api-keys/{}", key["id"].as_str().unwrap());
        assert_eq!(owner.request("DELETE", &path, "").unwrap().status, 200);
        refused_soon(&mut theirs, "/v1/credentials", 401);
        // A run that is stopped.
        let agent = made(&mut owner, &format!("/v2/teams/{team}/agents"), &json!({"name": "a"}));
        let agent = agent["agent"]["id"].as_str().unwrap().to_owned();
        made(&mut owner, &format!("/v2/agents/{agent}/revisions"), &json!({"name": "r"}));
        let run = made(&mut owner, &format!("/v2/teams/{team}/runs"), &json!({"agent_id": agent}));
        let mut running = there.client(run["token"].as_str().unwrap());
        assert_eq!(running.get("/v2/run/environment").status, 200, "the control");
        let path = format!("/v2/runs/{}/stop", run["run"]["id"].as_str().unwrap());
        assert_eq!(owner.post(&path, "").status, 200);
        refused_soon(&mut running, "/v2/run/environment", 401);
        // A role that is lowered.
        let member = json!({"name": "bot", "service": true, "role": "administrator"});
        let member = made(&mut owner, &format!("/v2/teams/{team}/members"), &member);
        let user = member["member"]["id"].as_str().unwrap().to_owned();
        let key = json!({"name": "k", "service_user_id": user});
        let key = made(&mut owner, &format!("/v2/teams/{team}/api-keys"), &key);
        let mut theirs = there.client(key["api_key"].as_str().unwrap());
        let keys = format!("/v2/teams/{team}/key-links");
        assert_eq!(theirs.get(&keys).status, 200, "the control");
        let path = format!("/v2/teams/{team}/members/{user}");
        assert_eq!(owner.request("PATCH", &path, r#"{"role": "member"}"#).unwrap().status, 200);
        refused_soon(&mut theirs, &keys, 403);
    }
}

fn team(client: &mut Client) -> String {
    client.get("/v2/profile").json()["profile"]["teamId"].as_str().unwrap().to_owned()
}

#[test]
fn the_same_request_to_several_servers_at_once_is_done_once() {
    let shared = Shared::new(Cluster::shared());
    let servers = [shared.serve(), shared.serve(), shared.serve()];
    for round in 0..20 {
        let send = |server: &Server| {
            let mut client = shared.client(server);
            std::thread::spawn(move || {
                let head = format!("idempotency-key: round-{round}\r\n");
                let body = r#"{"name": "once", "values": {"A": "b"}}"#;
                loop {
                    let answer = client.request_with("POST", "/v1/credentials", &head, body).unwrap();
                    // Somebody is just doing it.
                    if answer.status != 409 {
                        return (answer.status, answer.json()["id"].as_str().unwrap().to_owned());
                    }
                }
            })
        };
        let under_way: Vec<_> = (0..4).flat_map(|_| &servers).map(send).collect();
        let answers: Vec<_> = under_way.into_iter().map(|sent| sent.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 201), "{answers:?}");
    }
    let list = shared.client(&servers[0]).get("/v1/credentials").json();
    assert_eq!(list.as_array().unwrap().len(), 20);
}

#[test]
fn one_server_keeps_house_and_another_when_it_is_gone() {
    let shared = Shared::new(Cluster::shared());
    let elected = |server: &Server| fs::read_to_string(&server.stderr).unwrap().contains("store.elected");
    let first = shared.serve();
    eventually("the only one is elected", || elected(&first));
    let second = shared.serve();
    // Two looks of it.
    std::thread::sleep(Duration::from_secs(5));
    assert!(!elected(&second), "there is one already");
    let since = Instant::now();
    first.kill();
    eventually("the other one is elected", || elected(&second));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}
