//! A disk that fails, and one that is full.

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use std::fs;
use std::process::Command;

use crate::harness::{BINARY, Place, Server, clean, eventually};
use crate::load::{lost, present};

/// More creates than any of these disks takes.
const MANY: usize = 5_000;

fn wrapped(place: &Place, program: &str, args: &[&str]) -> Command {
    let mut command = clean(program);
    command
        .args(args)
        .arg(BINARY)
        .args(["serve", "--rate-limit", "0", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(place.data());
    command
}

#[test]
fn nothing_is_acknowledged_after_a_failed_fsync() {
    assert!(
        clean("strace").arg("-V").output().is_ok(),
        "this test needs strace; install it with: apt-get install strace"
    );
    for first in [3, 10, 25] {
        failed_fsync(first);
    }
}

/// From the `first` sync of each thread on, the disk reports an error.
fn failed_fsync(first: usize) {
    let (place, key) = Place::with_instance();
    let inject = format!("inject=fdatasync,fsync:error=EIO:when={first}+");
    let trace = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &inject];
    let server = Server::start(wrapped(&place, "strace", &trace), place.path("stderr"));
    let traced = Traced::of(&place);
    let mut client = server.client(&key);
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for _ in 0..MANY {
        match client.create("value") {
            Ok(Ok(id)) => {
                assert_eq!(refused, 0, "acknowledged after a failed sync");
                acknowledged.push(id);
            }
            Ok(Err(status)) => {
                assert_eq!(status, 503);
                refused += 1;
            }
            Err(_gone) => break,
        }
    }
    assert!(acknowledged.len() < MANY, "no sync failed");
    let stderr = server.stderr.clone();
    let (status, _) = server.wait();
    std::mem::forget(traced);
    assert_eq!(status.code(), Some(1));
    let said = fs::read_to_string(stderr).unwrap();
    assert!(said.contains("error: the database has stopped"), "{said}");
    assert_eq!(lost(&place, &key, &acknowledged), [""; 0]);
}

/// The server under strace, which outlives a strace that is killed. Dropped
/// when the test fails while it runs.
struct Traced(Pid);

impl Traced {
    fn of(place: &Place) -> Self {
        let pid = fs::read_to_string(place.data().join("strongroom.lock")).unwrap();
        Self(Pid::from_raw(pid.trim().parse().unwrap()).unwrap())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ended = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let (place, key) = Place::with_instance();
    // Writes past 512 KiB fail as they do on a full disk. The signal that the
    // system sends too is ignored, as no full disk sends one.
    let full = ["-c", "trap '' XFSZ; ulimit -S -f 1024; exec \"$@\"", "sh"];
    let server = Server::start(wrapped(&place, "sh", &full), place.path("stderr"));
    let mut client = server.client(&key);
    let mut acknowledged = Vec::new();
    let value = "x".repeat(2_000);
    let status = (0..MANY).find_map(|_| match client.create(&value).unwrap() {
        Ok(id) => {
            acknowledged.push(id);
            None
        }
        Err(status) => Some(status),
    });
    assert_eq!(status, Some(503), "the disk never filled");
    assert!(!acknowledged.is_empty());
    for id in acknowledged.iter().step_by(10) {
        assert_eq!(client.get(&format!("/v1/credentials/{id}")).status, 200);
    }
    assert_eq!(present(&mut client).len(), acknowledged.len());
    let again = Rlimit { current: Some(1 << 30), maximum: getrlimit(Resource::Fsize).maximum };
    prlimit(Pid::from_raw(server.pid().try_into().unwrap()), Resource::Fsize, again).unwrap();
    eventually("writes go on", || match client.create(&value).unwrap() {
        Ok(id) => {
            acknowledged.push(id);
            true
        }
        Err(status) => {
            assert_eq!(status, 503);
            false
        }
    });
    server.kill();
    assert_eq!(lost(&place, &key, &acknowledged), [""; 0]);
}
