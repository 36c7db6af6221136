//! Every key of the instance gives way to another while sixteen clients read and write, and
//! somebody makes teams.

use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Held, text};
use crate::harness::{Client, Server, eventually};
use crate::load::present;
use crate::record::Stage;
use crate::traffic::Traffic;

/// In which every server has looked at the keys.
const LOOKED: Duration = Duration::from_secs(5);

/// Somebody who makes teams, each of which gets a key from the master key.
struct Founder {
    stop: Arc<AtomicBool>,
    working: JoinHandle<usize>,
}

/// Makes a team.
fn found(client: &mut Client) {
    let answer = client.post("/v2/teams", r#"{"name": "Observatory"}"#);
    assert_eq!(answer.status, 201, "{}", answer.body);
}

impl Founder {
    fn start(server: SocketAddr, key: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut client, stopped) = (Client::new(server, key), Arc::clone(&stop));
        let working = std::thread::spawn(move || {
            let mut made = 0;
            while !stopped.load(Ordering::Relaxed) {
                found(&mut client);
                made += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            made
        });
        Self { stop, working }
    }

    /// How many were made.
    fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.working.join().unwrap()
    }
}

/// What a run, the owner and who has another API key get from a server; how many secrets there are.
fn is_served(server: &Server, stage: &Stage, keys: &[&str]) -> usize {
    let delivered = Client::new(server.address, &stage.run).get("/v2/run/environment");
    assert!(delivered.status == 200 && delivered.body.contains("a value"), "{}", delivered.body);
    for key in keys {
        server.client(key).create("a value").unwrap().unwrap();
    }
    found(&mut server.client(&stage.key));
    present(&mut server.client(&stage.key)).len()
}

/// Lets the new keys for these purposes be in use, as they are when they are a minute old.
fn aged(held: &Held) {
    std::thread::sleep(LOOKED);
    let older = "UPDATE keys SET created_at = created_at - 60000 WHERE owner IN ('row_mac', 'api_key_pepper') AND version = 2";
    assert_eq!(held.database().execute(older, [0_i64; 0]).unwrap(), 2);
    std::thread::sleep(LOOKED);
}

fn no_request_fails(held: &Held, servers: Vec<Server>) {
    let stage = Arc::new(Stage::set(&servers[0], &held.key));
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let traffic = Traffic::start(&stage, &addresses);
    let founder = Founder::start(addresses[0], &held.key);
    let counted = |what: &str, act: &dyn Fn()| {
        let before = traffic.done();
        act();
        let meanwhile = traffic.done() - before;
        assert!(meanwhile > 0, "{what}: nothing was asked meanwhile");
        println!("{what}: {meanwhile} requests meanwhile");
    };
    let (root, master) = (held.root(), held.master());
    counted("root", &|| drop(held.run("keys rotate root").done().to_owned()));
    counted("master", &|| drop(held.run("keys rotate master").done().to_owned()));
    assert!(held.root() != root && held.master() != master);
    for purpose in ["row_mac", "api_key_pepper"] {
        counted(purpose, &|| drop(held.run(&format!("keys rotate purpose {purpose}")).done().to_owned()));
    }
    counted("new purpose keys in use", &|| aged(held));
    let (requests, teams) = (traffic.finish(), founder.finish());
    println!("{requests} requests, 0 failed; {teams} teams made");
    assert!(requests > 500 && teams > 50, "{requests} {teams}");

    let mut client = servers[0].client(&held.key);
    let made = client.post(&format!("/v2/teams/{}/api-keys", stage.team), r#"{"name": "new"}"#);
    assert_eq!(made.status, 201, "{}", made.body);
    let new = text(&made.json()["api_key"]);
    let keys = [held.key.as_str(), &new];
    let counts: Vec<_> = servers.iter().map(|server| is_served(server, &stage, &keys)).collect();
    let count = *counts.last().unwrap();
    let status = held.json("keys status --count");
    for key in status["purposes"].as_array().unwrap() {
        if ["row_mac", "api_key_pepper"].contains(&key["purpose"].as_str().unwrap()) {
            assert_eq!(key["in_use"], key["version"] == 2, "{status}");
            assert!(key["rows"].as_u64().unwrap() > 0, "{status}");
        }
    }
    held.is_well();
    servers.into_iter().for_each(Server::stop);
    let server = held.serve();
    assert_eq!(is_served(&server, &stage, &keys), count + keys.len());
    server.stop();
    held.is_well();
    held.logged_nothing();
}

#[test]
fn no_request_fails_while_every_key_is_replaced() {
    let held = Held::on_sqlite();
    let servers = vec![held.serve()];
    no_request_fails(&held, servers);
}

#[test]
fn no_request_to_either_of_two_servers_fails_while_every_key_is_replaced() {
    let held = Held::on_postgres();
    let servers = vec![held.serve(), held.serve()];
    no_request_fails(&held, servers);
}

/// A server that sleeps while there is a way to the new master key has none afterwards.
fn left_behind(held: &Held, others: &[Server]) {
    let server = held.serve();
    let stage = Stage::set(&server, &held.key);
    // What it does by itself after a write is done by then.
    std::thread::sleep(LOOKED);
    server.signal(Signal::STOP);
    let rotated = held.run("keys rotate master");
    rotated.done();
    let stderr = server.stderr.clone();
    server.signal(Signal::CONT);
    let (status, _) = server.wait();
    let said = fs::read_to_string(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: the master key was replaced while this server could not follow\n"),
        "{said}"
    );
    assert!(said.contains("hint: start it again: the root key opens the new one"), "{said}");
    let again = held.serve();
    for server in others.iter().chain([&again]) {
        is_served(server, &stage, &[&held.key]);
    }
    held.is_well();
    held.logged_nothing();
}

#[test]
fn a_server_without_a_way_to_the_new_master_key_ends_and_starts_again() {
    left_behind(&Held::on_sqlite(), &[]);
}

#[test]
fn a_server_of_two_without_a_way_to_the_new_master_key_ends_and_starts_again() {
    let held = Held::on_postgres();
    let other = [held.serve()];
    left_behind(&held, &other);
}

#[test]
fn a_server_that_sleeps_a_moment_follows_more_than_one_master_key() {
    let held = Held::on_sqlite();
    let server = held.serve();
    let stage = Stage::set(&server, &held.key);
    std::thread::sleep(LOOKED);
    server.signal(Signal::STOP);
    let turned = |times: i64| {
        let mut child = held.command("keys rotate master").spawn().unwrap();
        let count = "SELECT count(*) FROM events WHERE kind = 'master_key.rotated'";
        let database = held.database();
        eventually("there is another master key", || {
            database.query_row(count, [0_i64; 0], |row| row.get::<i64>(0)).unwrap() == times
        });
        // It would wait for the server now.
        child.kill().unwrap();
        child.wait().unwrap();
    };
    (1..=3).for_each(turned);
    server.signal(Signal::CONT);
    std::thread::sleep(LOOKED);
    is_served(&server, &stage, &[&held.key]);
    let one = json!(held.master());
    assert_eq!(held.status()["master_key"], one);
    server.stop();
    held.is_well();
}
