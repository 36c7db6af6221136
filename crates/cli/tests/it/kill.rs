//! Ended without warning, or politely, in the midst of writes: whatever was
//! acknowledged is there afterwards.

use rustix::process::Signal;
use std::time::{Duration, Instant};

use crate::harness::{Place, chance};
use crate::load::{Load, lost};

/// Names how many rounds there are, instead of as many as fit.
const ROUNDS: &str = "STRONGROOM_KILL_ROUNDS";
const MOST_ROUNDS: u32 = 100;
const FEWEST_ROUNDS: u32 = 15;
const TIME: Duration = Duration::from_mins(1);
/// After so many rounds a new instance, so that checking doesn't become slow.
const ROUNDS_EACH: u32 = 5;

#[test]
fn kill_nine_under_load_loses_nothing_acknowledged() {
    #[expect(clippy::disallowed_methods, reason = "how long to test is for whoever runs the tests")]
    let wanted = std::env::var(ROUNDS).ok().map(|rounds| rounds.parse::<u32>().unwrap());
    let start = Instant::now();
    let more = |done| match wanted {
        Some(rounds) => done < rounds,
        None => done < FEWEST_ROUNDS || (done < MOST_ROUNDS && start.elapsed() < TIME),
    };
    let (mut rounds, mut writes) = (0, 0);
    while more(rounds) {
        let (place, key) = Place::with_instance();
        let mut acknowledged = Vec::new();
        while more(rounds) {
            acknowledged.extend(killed_round(&place, &key));
            assert_eq!(lost(&place, &key, &acknowledged), [""; 0], "round {rounds}");
            rounds += 1;
            if rounds.is_multiple_of(ROUNDS_EACH) {
                break;
            }
        }
        writes += acknowledged.len();
    }
    println!("{rounds} rounds, {writes} acknowledged writes, 0 lost");
}

/// Serves, writes, and is killed at a moment that chance picks.
fn killed_round(place: &Place, key: &str) -> Vec<String> {
    let server = place.serve();
    let load = Load::start(server.address, key);
    load.reach(usize::try_from(1 + chance(150)).unwrap());
    std::thread::sleep(Duration::from_micros(chance(3_000)));
    server.kill();
    load.finish()
}

#[test]
fn the_checker_finds_a_loss() {
    let (place, key) = Place::with_instance();
    let before = killed_round(&place, &key);
    assert_eq!(lost(&place, &key, &before), [""; 0]);
    let copy = place.path("copy.db");
    std::fs::copy(place.database(), &copy).unwrap();
    let after = killed_round(&place, &key);
    for name in ["strongroom.db", "strongroom.db-wal", "strongroom.db-shm"] {
        let _absent = std::fs::remove_file(place.data().join(name));
    }
    std::fs::copy(&copy, place.database()).unwrap();
    // Heads that were signed meanwhile would be found missing first.
    std::fs::remove_dir_all(place.data().join("checkpoints")).unwrap();
    assert_eq!(lost(&place, &key, &[before, after.clone()].concat()), after);
}

#[test]
fn sigterm_under_load_loses_nothing_and_exits_with_zero() {
    let (place, key) = Place::with_instance();
    for signal in [Signal::TERM, Signal::INT] {
        let server = place.serve();
        let load = Load::start(server.address, &key);
        load.reach(100);
        server.signal(signal);
        let (status, rest) = server.wait();
        assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
        let acknowledged = load.finish();
        assert_eq!(lost(&place, &key, &acknowledged), [""; 0]);
    }
}
