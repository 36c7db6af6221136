//! A rotation that is killed at any moment, meets another, or whose end nobody hears of:
//! the instance is whole, and the root key that it is under is there.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use strongroom_testbed::{Cluster, Database};

use super::{Held, shown, text};
use crate::harness::{Client, chance, eventually};
use crate::record::Stage;
use crate::shared::Shared;

/// How often each is killed at work, at least.
const KILLS: u32 = 20;
/// How often before the change, and how often after it, at least.
const OF_EACH: u32 = 5;
/// By when that must have been.
const LONGEST: Duration = Duration::from_mins(3);

/// When the kills came.
#[derive(Debug, Default)]
struct Kills {
    before: u32,
    after: u32,
    /// Those by which a new root key was left aside: before it was the instance's, and after.
    left: (u32, u32),
}

impl Kills {
    fn are_enough(&self, what: &str) -> bool {
        let left = what == "master" || (self.left.0 > 0 && self.left.1 > 0);
        self.before + self.after >= KILLS && self.before >= OF_EACH && self.after >= OF_EACH && left
    }
}

/// How often keys of the instance were replaced.
fn turns(database: &Database) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind IN ('root_key.rotated', 'master_key.rotated')";
    database.query_row(count, [0_i64; 0], |row| row.get(0)).unwrap()
}

/// Begins one; nobody reads what it says until it is over.
fn begun(held: &Held, words: &str) -> Child {
    held.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Kills it; whether it was still at work. It has said nothing that is secret.
fn killed(held: &Held, mut child: Child) -> bool {
    let was_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(shown(&said, &held.secrets()), [""; 0]);
    was_running
}

/// The ids of its root key and of its master key.
fn ids(held: &Held) -> (String, String) {
    let status = held.status();
    (text(&status["root_keys"][0]["id"]), text(&status["master_key"]))
}

fn is_left(held: &Held) -> bool {
    held.place.data().join("root.key.new").exists()
}

/// Replaces a key time and again, and kills that: by chance, as soon as the change shows, and
/// as soon as a new root key lies there.
fn whole_after_each(held: &Held, what: &str) {
    let (server, words) = (held.serve(), format!("keys rotate {what}"));
    let stage = Stage::set(&server, &held.key);
    let (mut run, mut owner) = (Client::new(server.address, &stage.run), server.client(&held.key));
    let (database, started, mut kills) = (held.database(), Instant::now(), Kills::default());
    let mut was = ids(held);
    let mut roots = BTreeSet::from([was.0.clone()]);
    // In microseconds: after about so long half of them have changed something.
    let mut longest = 200_000;
    let moments = if what == "root" { 3 } else { 2 };
    for moment in (0..moments).cycle() {
        if kills.are_enough(what) {
            break;
        }
        assert!(started.elapsed() < LONGEST, "{kills:?}");
        let before = turns(&database);
        let mut child = begun(held, &words);
        let mut until = |what: &str, so: &dyn Fn() -> bool| {
            eventually(what, || so() || child.try_wait().unwrap().is_some());
        };
        match moment {
            0 => std::thread::sleep(Duration::from_micros(chance(longest))),
            1 => until("it shows", &|| turns(&database) > before),
            _ => until("there is a new root key", &|| is_left(held)),
        }
        std::thread::sleep(Duration::from_micros(chance(500)));
        let was_running = killed(held, child);
        let is = ids(held);
        let has_changed = is != was;
        if was_running {
            *(if has_changed { &mut kills.after } else { &mut kills.before }) += 1;
        }
        if moment == 0 {
            longest = if has_changed { longest * 4 / 5 } else { longest * 5 / 4 };
        }
        held.is_well();
        assert!(run.get("/v2/run/environment").body.contains("a value"), "{kills:?}");
        owner.create("a value").unwrap().unwrap();
        roots.insert(is.0.clone());
        was = is;
        if is_left(held) {
            *(if has_changed { &mut kills.left.1 } else { &mut kills.left.0 }) += 1;
            // The next one works, and leaves nothing.
            held.run("keys rotate root").done();
            assert!(!is_left(held), "{:?}", held.place.tree());
            was = ids(held);
            roots.insert(was.0.clone());
        }
    }
    println!("{what}: {kills:?} in {:?}", started.elapsed());
    server.stop();
    if held.url.is_none() {
        // In PostgreSQL it would wait for servers that there may be.
        held.run(&words).done();
        assert_ne!(ids(held), was);
    }
    held.run("keys rotate root").done();
    assert!(!is_left(held), "{:?}", held.place.tree());
    // Copies and backups of the time are under each of them.
    let tree = held.place.tree();
    for id in roots {
        assert!(tree.contains(&format!("data/root.key.was-{id}")), "{id}: {tree:?}");
    }
    let again = held.serve();
    assert!(Client::new(again.address, &stage.run).get("/v2/run/environment").body.contains("a value"));
    again.client(&held.key).create("a value").unwrap().unwrap();
    again.stop();
    held.is_well();
    held.logged_nothing();
}

#[test]
fn a_root_key_whose_rotation_is_killed_is_found() {
    whole_after_each(&Held::on_sqlite(), "root");
}

#[test]
fn a_root_key_whose_rotation_is_killed_is_found_for_postgresql() {
    whole_after_each(&Held::on_postgres(), "root");
}

#[test]
fn a_master_key_whose_rotation_is_killed_was_replaced_or_not() {
    whole_after_each(&Held::on_sqlite(), "master");
}

#[test]
fn a_master_key_whose_rotation_is_killed_was_replaced_or_not_in_postgresql() {
    whole_after_each(&Held::on_postgres(), "master");
}

/// Rotations at once: one of them or several are done, and no root key is lost.
fn at_once(held: &Held) {
    let was = held.root();
    for _ in 0..8 {
        let children = [(); 3].map(|()| begun(held, "keys rotate root"));
        let ended = children.map(|child| child.wait_with_output().unwrap());
        for output in &ended {
            let said = String::from_utf8(output.stderr.clone()).unwrap();
            assert!(output.status.success() || said.starts_with("error: "), "{said}");
        }
        assert!(ended.iter().any(|output| output.status.success()), "{ended:?}");
        held.is_well();
    }
    assert_ne!(held.root(), was);
    held.run("keys rotate root").done();
    assert!(!is_left(held));
}

#[test]
fn rotations_at_once_lose_no_root_key() {
    Held::on_both().iter().for_each(at_once);
}

#[test]
fn a_root_key_that_becomes_the_instances_when_the_next_rotation_has_begun_is_kept() {
    let cluster = Cluster::start("");
    let held = Held::from(Shared::new(&cluster));
    let was = held.root();
    let waits = |database: &Database, wanted: i64| {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'strongroom' AND wait_event = 'SyncRep'";
        eventually("a commit waits", || {
            database.query_row(count, [0_i64; 0], |row| row.get::<i64>(0)).unwrap() == wanted
        });
    };
    // What is committed is seen once a standby has it, and there is none.
    let database = held.database();
    cluster.configure("synchronous_standby_names = 'nobody'\n");
    cluster.reload();
    let first = begun(&held, "keys rotate root");
    waits(&database, 1);
    assert!(killed(&held, first), "it heard of the end");
    assert_eq!(held.root(), was);
    let second = begun(&held, "keys rotate root");
    std::thread::sleep(Duration::from_secs(2));
    cluster.configure("synchronous_standby_names = ''\n");
    cluster.reload();
    let ended = second.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert_ne!(held.root(), was, "the first one's end came");
    held.is_well();
    held.run("keys rotate root").done();
    assert!(!is_left(&held), "{:?}", held.place.tree());
    held.is_well();
}
