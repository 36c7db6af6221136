//! The lease of a run while its command runs.

use serde_json::{Value, json};
use std::fs;
use std::process::{Child, Stdio};

use crate::harness::{eventually, wait};
use crate::run::{WAIT, command, started, whole_run};
use crate::stub::{Stub, TEAM, Told};

/// A command that waits, in a run that lasts so many milliseconds.
fn waiting(stub: &Stub, lasts: i64) -> Child {
    let mut first = vec![Told::Say(201, Vec::new(), started(lasts).to_string())];
    first.push(Told::Say(200, Vec::new(), json!({"environment": {}}).to_string()));
    stub.tell_first(first);
    let text = format!("trap 'exit 6' TERM; touch ready; {WAIT}");
    let mut wrapper = command(stub, &[], &["sh", "-c", &text]);
    wrapper.stderr(fs::File::create(stub.home("said")).unwrap()).stdout(Stdio::null()).spawn().unwrap()
}

fn said(stub: &Stub) -> String {
    fs::read_to_string(stub.home("said")).unwrap()
}

fn go(stub: &Stub, child: &mut Child) {
    fs::write(stub.home("go"), "").unwrap();
    assert_eq!(wait(child).code(), Some(0));
}

fn extensions(stub: &Stub) -> usize {
    stub.lines().iter().filter(|line| *line == "POST /v2/run/extend").count()
}

/// An answer that moves the end of a run that was started to last as long as `first` says.
fn extended(to: i64) -> Value {
    json!({"run": {}, "expires_at": started(to)["expires_at"]})
}

#[test]
fn a_lease_is_renewed_while_the_command_runs() {
    let stub = Stub::new();
    stub.say(200, extended(4_000))
        .say(200, extended(5_000))
        .say(200, extended(6_000))
        .otherwise(extended(7_000));
    let mut child = waiting(&stub, 3_000);
    eventually("it is renewed thrice", || extensions(&stub) >= 3);
    go(&stub, &mut child);
    assert_eq!(said(&stub), "");
    let bodies: Vec<_> = stub.lines();
    assert!(bodies.len() >= 6, "{bodies:?}");
    let seen = stub.seen();
    assert_eq!(seen[2].json(), json!({"ttl_seconds": 3600}));
    assert_eq!(seen.last().unwrap().line(), "POST /v2/run/stop");
}

#[test]
fn an_hour_is_not_renewed_at_once() {
    let stub = Stub::new();
    stub.otherwise(json!({}));
    let mut child = waiting(&stub, 3_600_000);
    eventually("it runs", || stub.home("ready").exists());
    go(&stub, &mut child);
    assert_eq!(whole_run(&stub).len(), 3);
}

#[test]
fn a_run_that_was_revoked_ends_its_command() {
    let stub = Stub::new();
    stub.say(401, json!({"error": "run_revoked", "message": "revoked"})).otherwise(json!({}));
    let mut child = waiting(&stub, 3_000);
    assert_eq!(wait(&mut child).code(), Some(6), "it was told to end, and ended in its own way");
    assert!(said(&stub).starts_with("note: the run was revoked: "), "{}", said(&stub));
    assert_eq!(said(&stub).lines().count(), 1);
    assert_eq!(whole_run(&stub).len(), 4);
}

#[test]
fn a_run_that_ended_otherwise_leaves_its_command_alone() {
    for (code, words) in [
        ("run_stopped", "note: the run was stopped on the server; the command keeps"),
        ("run_expired", "note: the run has expired"),
        ("invalid_token", "note: the server doesn't know the run any more"),
    ] {
        let stub = Stub::new();
        stub.say(401, json!({"error": code, "message": "no"}))
            .say(401, json!({"error": code, "message": "no"}));
        let mut child = waiting(&stub, 3_000);
        eventually("it is said", || !said(&stub).is_empty());
        go(&stub, &mut child);
        assert!(said(&stub).starts_with(words), "{}", said(&stub));
        assert_eq!(said(&stub).lines().count(), 1);
        assert_eq!(whole_run(&stub).len(), 4, "an ended run isn't renewed again");
    }
}

#[test]
fn renewals_that_fail_are_said_once_and_tried_again() {
    let stub = Stub::new();
    for _ in 0..4 {
        stub.say(500, json!({"error": "internal", "message": "out of order"}));
    }
    stub.otherwise(extended(3_600_000));
    let mut child = waiting(&stub, 3_000);
    eventually("it is renewed at last", || extensions(&stub) == 5);
    let said_by_then = said(&stub);
    go(&stub, &mut child);
    assert!(said_by_then.starts_with("note: the run could not be renewed and expires in "), "{said_by_then}");
    assert!(said_by_then.contains("seconds: out of order; "), "{said_by_then}");
    assert_eq!(said(&stub).lines().count(), 1);
    assert!(stub.lines()[0].contains(TEAM));
}
