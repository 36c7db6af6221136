//! The server is killed under load while its keys are replaced, and now and then whoever
//! replaces them, too: what was acknowledged is there, and everything opens.

use std::collections::HashSet;
use std::process::Stdio;
use std::time::Duration;

use super::Held;
use crate::harness::{Server, chance, eventually};
use crate::load::{Load, present};

/// Each kind of key is replaced in as many of them.
const TURNS: usize = 3;
/// What is replaced beside the server; the team's key is through it.
const BESIDE: [&str; 4] = [
    "keys rotate root",
    "keys rotate master",
    "keys rotate purpose row_mac",
    "keys rotate purpose api_key_pepper",
];

impl Held {
    /// The team's only one.
    fn rotate_team(&self, server: &Server) {
        let mut client = server.client(&self.key);
        let team = client.get("/v2/profile").json()["profile"]["teamId"].as_str().unwrap().to_owned();
        let answer = client.post(&format!("/v2/teams/{team}/keys/rotate"), "");
        // It waits for the one before.
        assert!([201, 409].contains(&answer.status), "{}", answer.body);
    }

    /// How many versions an older key of the team sealed, and which key is the newest.
    fn left(&self, server: &Server) -> (u64, u64) {
        let mut client = server.client(&self.key);
        let team = client.get("/v2/profile").json()["profile"]["teamId"].as_str().unwrap().to_owned();
        let keys = client.get(&format!("/v2/teams/{team}/keys")).json();
        (keys["left"].as_u64().unwrap(), keys["keys"][0]["version"].as_u64().unwrap())
    }

    /// Serves and writes while a key is replaced, and is killed in the midst of it; what was
    /// acknowledged. Who replaces the key is killed, too, but has time to do it in the end.
    fn killed(&self, words: Option<&str>, is_last: bool) -> Vec<String> {
        let server = self.serve();
        let load = Load::start(server.address, &self.key);
        load.reach(usize::try_from(20 + chance(150)).unwrap());
        let turning = words.map(|words| {
            let mut command = self.command(words);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        });
        match turning {
            None => {
                self.rotate_team(&server);
                // Sealing anew begins within two seconds.
                std::thread::sleep(Duration::from_millis(chance(3_000)));
                server.kill();
            }
            Some(mut turning) => {
                std::thread::sleep(Duration::from_millis(chance(120)));
                server.kill();
                std::thread::sleep(if is_last {
                    Duration::from_secs(3)
                } else {
                    Duration::from_millis(chance(300))
                });
                // It may have ended by itself.
                let _ended = turning.kill();
                turning.wait().unwrap();
            }
        }
        load.finish()
    }
}

fn nothing_is_lost(held: &Held) {
    let mut acknowledged = HashSet::new();
    for round in 0..TURNS {
        for words in BESIDE.map(Some).into_iter().chain([None]) {
            acknowledged.extend(held.killed(words, round + 1 == TURNS));
            let server = held.serve();
            let there = present(&mut server.client(&held.key));
            let lost: Vec<_> = acknowledged.difference(&there).collect();
            assert_eq!(lost, [""; 0], "{round}: {words:?}");
            server.stop();
            held.is_well();
        }
    }
    let server = held.serve();
    eventually("everything is sealed anew", || held.left(&server).0 == 0);
    assert!(held.left(&server).1 > 1, "the control: the team's key was replaced");
    server.stop();
    held.is_well();
    println!("{} rounds, {} acknowledged writes, 0 lost", TURNS * (BESIDE.len() + 1), acknowledged.len());
    let status = held.status();
    let kinds: HashSet<_> =
        status["history"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in ["root_key.rotated", "master_key.rotated", "purpose_key.rotated"] {
        assert!(kinds.contains(kind), "the control: {kind} in {status}");
    }
}

#[test]
fn on_sqlite() {
    nothing_is_lost(&Held::on_sqlite());
}

#[test]
fn on_postgres() {
    nothing_is_lost(&Held::on_postgres());
}
