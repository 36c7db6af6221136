//! Backups and restores that are killed at any moment: there is no file, and nothing that
//! anybody could serve; and the next one is whole.

use std::process::Child;
use std::time::Duration;
use strongroom_testbed::{Cluster, Database};

use super::{Backup, Url, quiet, words};
use crate::copy::{self, Instance};
use crate::harness::{Place, chance, wait};

/// How often each is killed at work; restores on each of the engines half as often.
const KILLS: u32 = 20;
/// So many that there is time to be killed in.
const EVENTS: u32 = 20_000;

/// Kills it after some of the time that it takes; whether it was still at work. Where it
/// wasn't, the next gets less time.
fn killed(child: &mut Child, longest: &mut Duration) -> bool {
    let micros = u64::try_from(longest.as_micros()).unwrap();
    std::thread::sleep(Duration::from_micros(chance(micros)));
    let was_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    wait(child);
    if !was_running {
        *longest = *longest * 3 / 4;
    }
    was_running
}

/// How long a command takes.
fn taken(command: &mut std::process::Command) -> Duration {
    let begun = std::time::Instant::now();
    assert!(quiet(command).status().unwrap().success());
    begun.elapsed()
}

#[test]
fn a_backup_that_was_killed_is_none() {
    let instance = copy::with_events(EVENTS);
    let place = Place::new();
    let file = place.path("one.backup").display().to_string();
    let command = |out: &str| instance.place.command("backup", &["--out", out]);
    let mut longest = taken(&mut command(&place.path("first.backup").display().to_string()));
    let mut cut = 0;
    while cut < KILLS {
        let mut child = quiet(&mut command(&file)).spawn().unwrap();
        cut += u32::from(killed(&mut child, &mut longest));
        if place.path("one.backup").exists() {
            // It was quicker: then it is whole.
            super::strongroom(&["backup", "verify", &file]).done();
            std::fs::remove_file(&file).unwrap();
        }
    }
    assert!(quiet(&mut command(&file)).status().unwrap().success());
    super::strongroom(&["backup", "verify", &file]).done();
    assert!(!place.tree().iter().any(|name| name.ends_with(".partial")));
}

/// Whether an instance is there.
fn is_instance(there: &Place, url: Url<'_>) -> bool {
    let count = "SELECT count(*)::bigint FROM instance";
    match url {
        Some(url) => Database::connect(url).query_row(count, [0_i64; 0], |row| row.get::<i64>(0)) == Ok(1),
        None => rusqlite::Connection::open(there.database())
            .and_then(|open| open.query_row("SELECT count(*) FROM instance", [], |row| row.get::<_, i64>(0)))
            .is_ok_and(|count| count == 1),
    }
}

/// Kills restores into fresh places, and once more those that go on behind it.
fn restores(instance: &Instance, backup: &Backup, place: impl Fn() -> Option<String>) {
    let url = place();
    let mut longest = taken(&mut backup.restoring(&instance.elsewhere(), &words(url.as_deref())));
    let mut cut = 0;
    while cut < KILLS / 2 {
        let (there, url) = (instance.elsewhere(), place());
        let args = words(url.as_deref());
        for _ in 0..2 {
            if is_instance(&there, url.as_deref()) {
                break;
            }
            let mut child = quiet(&mut backup.restoring(&there, &args)).spawn().unwrap();
            cut += u32::from(killed(&mut child, &mut longest));
        }
        if !is_instance(&there, url.as_deref()) {
            let served = there.run("serve", &[&["--listen", "127.0.0.1:0"][..], &args].concat());
            assert_eq!(served.code, Some(1), "{}", served.stderr);
            backup.restore(&there, &args).done();
        }
        let server = match url.as_deref() {
            Some(url) => copy::serve(&there, url),
            None => there.serve(),
        };
        instance.is_served(&mut server.client(&instance.key), &mut server.client(&instance.run));
        server.stop();
    }
}

#[test]
fn a_restore_that_was_killed_serves_nothing_and_goes_on() {
    let instance = copy::with_events(EVENTS);
    let backup = Backup::of(&instance, None);
    restores(&instance, &backup, || None);
    restores(&instance, &backup, || Some(Cluster::shared().database()));
}
