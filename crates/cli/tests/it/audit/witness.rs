//! A witness keeps heads that go on from one another, and no other.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use strongroom_core::audit::note::{SignedHead, split};

use super::{Desk, on_both};
use crate::harness::{eventually, mode, wait};
use crate::stub::Stub;

/// How many events each head in a file is over.
fn sizes(text: &str) -> Vec<u64> {
    split(text).map(|note| SignedHead::parse(note).unwrap().unverified().size).collect()
}

impl Desk {
    fn kept(&self, name: &str) -> Vec<u64> {
        sizes(&fs::read_to_string(self.place.path(name)).unwrap_or_default())
    }
}

const ONCE: [&str; 5] = ["audit", "witness", "--once", "--to", "w.log"];

#[test]
fn heads_are_kept_one_behind_another_and_each_once() {
    on_both(|desk| {
        desk.sealed();
        let first = desk.run(&ONCE);
        assert!(first.done().starts_with("head over 1 event: the first, kept in w.log"), "{}", first.stdout);
        assert!(first.stderr.contains("trusted from now on, and kept in w.log.keys"), "{}", first.stderr);
        let again = desk.run(&ONCE);
        assert!(
            again.done().contains("already") && again.stderr.is_empty(),
            "{}{}",
            again.stdout,
            again.stderr
        );
        for more in [1, 6, 13] {
            desk.happen(more);
            desk.run(&ONCE).done();
        }
        assert_eq!(desk.kept("w.log"), [1, 2, 8, 21]);
        assert_eq!(["w.log", "w.log.keys"].map(|name| mode(&desk.place.path(name))), [0o600, 0o600]);
        desk.verify(&["--checkpoint", &desk.path("w.log"), "--key", &desk.path("w.log.keys")]).done();
    });
}

#[test]
fn it_watches_until_it_is_interrupted() {
    let desk = Desk::new(None);
    desk.happen(1);
    let mut watching = desk.command(&["audit", "witness", "--to", "w.log", "--every", "1"]);
    let mut child = watching.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the first head is kept", || desk.kept("w.log") == [2]);
    let second = desk.run(&ONCE);
    assert!(second.refusal().contains("another witness keeps heads in w.log"), "{}", second.stderr);
    desk.happen(1);
    eventually("the next one is kept", || desk.kept("w.log") == [2, 3]);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_record_that_was_put_back_is_refused_with_both_heads() {
    on_both(|mut desk| {
        desk.happen(5);
        if desk.database.is_none() {
            desk.stop();
        }
        let older = desk.older();
        if desk.database.is_none() {
            desk.serve();
        }
        desk.happen(5);
        desk.run(&ONCE).done();
        desk.stop();
        desk.put_back(&older);
        desk.serve();
        // Shorter at first, and then longer with another past.
        for (more, says) in [(1, "it ends earlier"), (9, "what came before is not what it was")] {
            desk.happen(more);
            let refused = desk.run(&ONCE);
            assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{}", refused.stderr);
            assert!(
                refused.stderr.contains("error: ALARM: ") && refused.stderr.contains(says),
                "{}",
                refused.stderr
            );
            assert!(
                refused.stderr.contains("  strongroom.audit/"),
                "the other head is shown: {}",
                refused.stderr
            );
            assert!(refused.stderr.contains("hint: if a backup was restored"), "{}", refused.stderr);
            assert_eq!(desk.kept("w.log"), [11]);
        }
        let mut watching = desk.command(&["audit", "witness", "--to", "w.log", "--every", "1"]);
        let mut child = watching.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert_eq!(wait(&mut child).code(), Some(1), "who watches ends then, too");
    });
}

#[test]
fn another_server_in_its_place_is_refused() {
    let (desk, other) = (Desk::new(None), Desk::new(None));
    desk.happen(2);
    other.happen(2);
    desk.run(&ONCE).done();
    for name in ["w.log", "w.log.keys"] {
        fs::copy(desk.place.path(name), other.place.path(name)).unwrap();
    }
    let refused = other.run(&ONCE);
    assert!(refused.refusal().contains("ALARM: the server's head can't be believed"), "{}", refused.stderr);
    fs::remove_file(other.place.path("w.log.keys")).unwrap();
    let refused = other.run(&ONCE);
    assert!(
        refused.refusal().contains("w.log.keys is missing"),
        "no new keys for old heads: {}",
        refused.stderr
    );
    let refused = other.run(&[&ONCE[..], &["--key", &other.keys()]].concat());
    assert!(refused.refusal().contains("the head in w.log can't be believed"), "{}", refused.stderr);
    assert_eq!(other.kept("w.log"), [3]);
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let desk = Desk::new(None);
    desk.happen(2);
    desk.run(&ONCE).done();
    let text = fs::read_to_string(desk.place.path("w.log")).unwrap();
    desk.write("w.log", &text[..text.len() - 20]);
    desk.happen(2);
    let refused = desk.run(&ONCE);
    assert!(
        refused.refusal().contains("something else than signed heads, behind 0 of them"),
        "{}",
        refused.stderr
    );
    let watching = desk.run(&["audit", "witness", "--to", "w.log", "--every", "1"]);
    assert_eq!(watching.code, Some(1), "and who watches ends: {}", watching.stderr);
}

#[test]
fn heads_are_sent_where_somebody_takes_them() {
    let (desk, stub) = (Desk::new(None), Stub::new());
    desk.happen(2);
    let url = format!("{}heads?secret=hunter2", stub.url());
    let send = ["audit", "witness", "--once", "--to", &url, "--state", "w.log"];
    let stateless = desk.run(&send[..5]);
    assert!(stateless.code == Some(64) && stateless.stderr.contains("--state"), "{}", stateless.stderr);
    stub.say(500, serde_json::json!({}));
    let refused = desk.run(&send);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("didn't take the head: it answered with status 500"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    assert!(desk.kept("w.log").is_empty(), "what wasn't taken isn't remembered");
    stub.say(204, serde_json::json!({}));
    assert!(desk.run(&send).done().contains("sent to 127.0.0.1, and kept in w.log"));
    let seen = stub.seen();
    let last = seen.last().unwrap();
    assert_eq!((last.line().as_str(), sizes(&last.body)), ("POST /heads?secret=hunter2", vec![3]));
    assert_eq!(last.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(last.header("authorization"), None, "the key stays here");
    assert_eq!(desk.kept("w.log"), [3]);
}
