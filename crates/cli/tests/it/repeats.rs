//! Ten thousand requests, most of them repeats, while the server is killed
//! again and again: each distinct one is done exactly once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::{Client, Place, Server, chance, eventually};
use crate::load::present;

const REQUESTS: usize = 10_000;
/// Requests that differ; each is sent about twenty times.
const DISTINCT: u64 = 500;
const WRITERS: usize = 8;
const CRASHES: usize = 8;

/// What the writers share.
struct Run {
    address: Mutex<SocketAddr>,
    key: String,
    sent: AtomicUsize,
    replayed: AtomicUsize,
    /// The id that each distinct request was answered with.
    ids: Mutex<HashMap<u64, String>>,
}

impl Run {
    fn write(&self) {
        let mut client = Client::new(*self.address.lock().unwrap(), &self.key);
        while self.sent.fetch_add(1, Ordering::Relaxed) < REQUESTS {
            let number = chance(DISTINCT);
            while !self.send(&mut client, number) {
                client = Client::new(*self.address.lock().unwrap(), &self.key);
            }
        }
    }

    /// Whether it was answered: not when the server died, or the same request
    /// is under way.
    fn send(&self, client: &mut Client, number: u64) -> bool {
        let body = format!(r#"{{"name": "n{number}", "values": {{"V": "value {number}"}}}}"#);
        let head = format!("idempotency-key: request-{number}\r\n");
        let Ok(answer) = client.request_with("POST", "/v1/credentials", &head, &body) else { return false };
        if answer.status != 201 {
            assert!(answer.status == 409 || answer.status == 503, "{}", answer.body);
            return false;
        }
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let mut ids = self.ids.lock().unwrap();
        if let Some(first) = ids.get(&number) {
            self.replayed.fetch_add(1, Ordering::Relaxed);
            assert_eq!(first, &id, "the same request, another object");
        }
        ids.insert(number, id);
        true
    }
}

#[test]
fn ten_thousand_repeats_over_crashes_are_done_exactly_once() {
    let (place, key) = Place::with_instance();
    let mut server = place.serve();
    let run = Arc::new(Run {
        address: Mutex::new(server.address),
        key,
        sent: AtomicUsize::new(0),
        replayed: AtomicUsize::new(0),
        ids: Mutex::default(),
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let run = Arc::clone(&run);
            std::thread::spawn(move || run.write())
        })
        .collect();
    for crash in 1..=CRASHES {
        eventually("the writers go on", || {
            run.sent.load(Ordering::Relaxed) >= REQUESTS * crash / (CRASHES + 1)
        });
        server = crashed(&place, server, &run);
    }
    for writer in writers {
        writer.join().unwrap();
    }
    let ids = run.ids.lock().unwrap();
    let there = present(&mut server.client(&run.key));
    assert_eq!(there.len(), ids.len(), "as many secrets as distinct requests");
    assert!(ids.values().all(|id| there.contains(id)));
    let replayed = run.replayed.load(Ordering::Relaxed);
    assert_eq!(replayed + ids.len(), REQUESTS);
    println!("{REQUESTS} requests, {} distinct, {CRASHES} crashes, each done once", ids.len());
}

/// Another server in the place of one that is killed in the midst of it.
fn crashed(place: &Place, server: Server, run: &Run) -> Server {
    server.kill();
    let server = place.serve();
    *run.address.lock().unwrap() = server.address;
    server
}

#[test]
fn without_a_key_a_repeat_is_done_again() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let mut client = server.client(&key);
    for _ in 0..2 {
        client.create("value").unwrap().unwrap();
    }
    assert_eq!(present(&mut client).len(), 2, "so the count above can tell");
}
