//! PostgreSQL that fails while it is written to: whatever was acknowledged is
//! there afterwards, whatever was sent again is there once, and a server that
//! can't know says so with a 503 and recovers by itself.

mod cut;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use strongroom_testbed::{Cluster, Database, Ending};

use self::cut::Cut;
use crate::harness::{Client, Server, eventually};
use crate::shared::{DURABLE, Shared};

/// How soon a server must work again when its database does.
const HEALTHY: Duration = Duration::from_secs(5);
const WRITERS: usize = 8;
/// `STRONGROOM_TIER=release` has each fault last as long, and come as often, as
/// before a release: a few minutes in all.
const TIER: &str = "STRONGROOM_TIER";

/// The first each time, the second before a release.
fn tier(each_time: u64, release: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how long to test is for whoever runs the tests")]
    let is_release = std::env::var(TIER).is_ok_and(|tier| tier == "release");
    if is_release { release } else { each_time }
}

/// What came of what was sent.
#[derive(Default)]
struct Tally {
    /// The id of each that was acknowledged, by its name.
    acknowledged: HashMap<String, String>,
    /// Every other answer.
    refusals: Vec<(u16, bool)>,
}

/// Writers that send each creation again until it is acknowledged.
struct Persistent {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Persistent {
    fn start(shared: &Shared, servers: &[&Server]) -> Self {
        let (tally, stop) = (Arc::new(Mutex::new(Tally::default())), Arc::new(AtomicBool::new(false)));
        let writer = |number: usize| {
            let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
            let mut client = shared.client(servers[number % servers.len()]);
            std::thread::spawn(move || {
                for count in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("writer-{number}-{count}");
                    let id = created(&mut client, &name, &tally);
                    tally.lock().unwrap().acknowledged.insert(name, id);
                }
            })
        };
        let writers = (0..WRITERS).map(writer).collect();
        Self { tally, stop, writers }
    }

    fn count(&self) -> usize {
        self.tally.lock().unwrap().acknowledged.len()
    }

    /// Waits until so many more are acknowledged.
    fn go_on(&self, more: usize) {
        let wanted = self.count() + more;
        eventually("writes are acknowledged", || self.count() >= wanted);
    }

    fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().for_each(|writer| writer.join().unwrap());
        std::mem::take(&mut *self.tally.lock().unwrap())
    }
}

/// Creates a secret, however often it takes.
fn created(client: &mut Client, name: &str, tally: &Mutex<Tally>) -> String {
    let head = format!("idempotency-key: {name}\r\n");
    let body = serde_json::json!({"name": name, "values": {"VALUE": "load"}}).to_string();
    loop {
        let (answer, head) = client.request_whole("POST", "/v1/credentials", &head, &body).unwrap();
        if answer.status == 201 {
            return answer.json()["id"].as_str().unwrap().to_owned();
        }
        tally.lock().unwrap().refusals.push((answer.status, head.contains("retry-after: ")));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Holds what is there against what was acknowledged.
fn hold(shared: &Shared, server: &Server, tally: &Tally) {
    let list = shared.client(server).get("/v1/credentials");
    assert_eq!(list.status, 200, "{}", list.body);
    let list = list.json();
    let text = |secret: &serde_json::Value, field: &str| secret[field].as_str().unwrap().to_owned();
    let present: Vec<_> =
        list.as_array().unwrap().iter().map(|secret| (text(secret, "name"), text(secret, "id"))).collect();
    let present: Vec<_> = present.into_iter().filter(|(name, _)| name.starts_with("writer-")).collect();
    let names: HashSet<_> = present.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), present.len(), "each was done once");
    let present: HashMap<_, _> = present.iter().cloned().collect();
    for (name, id) in &tally.acknowledged {
        assert_eq!(present.get(name), Some(id), "{name} was acknowledged");
    }
    let others: Vec<_> = tally.refusals.iter().filter(|refusal| **refusal != (503, true)).collect();
    assert!(others.is_empty(), "503 with Retry-After, and nothing else: {others:?}");
    assert!(shared.run("doctor", &[]).done().contains("every seal opens, every MAC holds"));
    let (done, refused) = (tally.acknowledged.len(), tally.refusals.len());
    println!("{done} acknowledged, 0 lost, 0 twice; {refused} answers of 503");
}

/// Waits until a server works again, and holds the time against what is allowed.
fn healthy(shared: &Shared, server: &Server) {
    let since = Instant::now();
    let mut client = shared.client(server);
    eventually("it works again", || client.create("healthy").is_ok_and(|created| created.is_ok()));
    assert!(since.elapsed() <= HEALTHY, "{:?}", since.elapsed());
}

#[test]
fn a_database_that_crashes_and_comes_back_loses_nothing() {
    let mut cluster = Cluster::start(DURABLE);
    let shared = Shared::new(&cluster);
    let server = shared.serve();
    let load = Persistent::start(&shared, &[&server]);
    for _ in 0..tier(4, 20) {
        load.go_on(200);
        cluster.stop(Ending::Immediate);
        cluster.resume();
        healthy(&shared, &server);
    }
    load.go_on(200);
    hold(&shared, &server, &load.finish());
}

#[test]
fn sessions_that_are_killed_lose_nothing() {
    let cluster = Cluster::start(DURABLE);
    let shared = Shared::new(&cluster);
    let server = shared.serve();
    let load = Persistent::start(&shared, &[&server]);
    let behind = Database::connect(&shared.url);
    for _ in 0..tier(30, 300) {
        load.go_on(40);
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE application_name = 'strongroom'";
        behind.query(kill, [0_i64; 0]).unwrap();
    }
    healthy(&shared, &server);
    hold(&shared, &server, &load.finish());
}

#[test]
fn a_standby_that_takes_over_has_all_that_was_acknowledged() {
    let mut primary = Cluster::start(DURABLE);
    let database = primary.database();
    let standby = primary.standby("standby");
    primary.configure("synchronous_standby_names = 'standby'");
    primary.reload();
    let name = database.rsplit('/').next().unwrap().to_owned();
    let both =
        format!("postgres://strongroom@127.0.0.1:{},127.0.0.1:{}/{name}", primary.port(), standby.port());
    let shared = Shared::at(both);
    let (one, two) = (shared.serve(), shared.serve());
    let load = Persistent::start(&shared, &[&one, &two]);
    load.go_on(400);
    primary.stop(Ending::Immediate);
    standby.promote();
    healthy(&shared, &one);
    healthy(&shared, &two);
    load.go_on(400);
    hold(&shared, &one, &load.finish());
}

#[test]
fn connections_that_are_cut_lose_nothing() {
    let cluster = Cluster::start(DURABLE);
    let database = cluster.database();
    let cut = Cut::before(cluster.port());
    let name = database.rsplit('/').next().unwrap();
    let shared = Shared::at(format!("postgres://strongroom@127.0.0.1:{}/{name}", cut.port()));
    let server = shared.serve();
    let load = Persistent::start(&shared, &[&server]);
    load.go_on(200);
    // Bytes vanish without a word, as between two networks that lost each other.
    for _ in 0..tier(1, 3) {
        cut.silence(Duration::from_secs(tier(8, 30)));
        healthy(&shared, &server);
        load.go_on(200);
    }
    hold(&shared, &server, &load.finish());
}

/// The control: without durability the very same fault is seen.
#[test]
fn a_database_that_does_not_wait_for_its_disk_is_seen_to_lose() {
    let cluster = Cluster::start(DURABLE);
    let shared = Shared::new(&cluster);
    let server = shared.serve();
    let load = Persistent::start(&shared, &[&server]);
    load.go_on(100);
    let mut tally = load.finish();
    let (name, id) = tally.acknowledged.iter().next().map(|(name, id)| (name.clone(), id.clone())).unwrap();
    let behind = Database::connect(&shared.url);
    let delete = format!("DELETE FROM secrets WHERE id = '{id}'");
    assert_eq!(behind.execute(&delete, [0_i64; 0]), Ok(1));
    let seen = std::panic::catch_unwind(|| hold(&shared, &server, &tally));
    assert!(seen.is_err(), "a lost secret is seen");
    tally.acknowledged.remove(&name);
    let orphaned = std::panic::catch_unwind(|| hold(&shared, &server, &tally));
    assert!(orphaned.is_err(), "and so are the values that it left behind");
}
