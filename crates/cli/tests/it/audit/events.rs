//! What happened, in a table and as it happens; and the keys.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::{Desk, on_both};
use crate::harness::{on_a_terminal, run, wait};

#[test]
fn what_happened_is_listed_with_names_newest_first() {
    on_both(|desk| {
        desk.happen(3);
        let listed = desk.run(&["audit", "list"]);
        let lines: Vec<_> = listed.done().lines().collect();
        assert!(lines[0].starts_with("TIME (UTC)           ACTION"), "{}", listed.stdout);
        assert!(
            lines[1].contains("secret.created    owner") && lines[1].contains("secrets v1"),
            "{}",
            lines[1]
        );
        assert!(lines.last().unwrap().contains("instance.created"), "{}", listed.stdout);
        assert_eq!((lines.len(), listed.stderr.as_str()), (5, ""));
        let some = desk.run(&["audit", "list", "--limit", "2", "--json"]);
        let answer: Value = serde_json::from_str(some.done()).unwrap();
        let sequences: Vec<_> = answer["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["sequence"].as_i64().unwrap())
            .collect();
        assert!(sequences.len() == 2 && sequences[0] > sequences[1], "{sequences:?}");
        assert!(some.stderr.contains("--limit shows more"), "{}", some.stderr);
    });
}

#[test]
fn a_list_goes_on_over_pages_and_has_what_was_asked_for() {
    let desk = Desk::new(None);
    desk.happen(250);
    let many = desk.run(&["audit", "list", "--limit", "240", "--action", "secret.created"]);
    assert_eq!((many.done().lines().count(), many.stderr.lines().count()), (241, 1));
    let all = desk.run(&["audit", "list", "--limit", "1000"]);
    assert_eq!((all.done().lines().count(), all.stderr.as_str()), (252, ""));
    let none = desk.run(&["audit", "list", "--until", "2001-01-31"]);
    assert!(none.done().is_empty() && none.stderr.starts_with("Nothing happened"), "{}", none.stderr);
    let typo = desk.run(&["audit", "list", "--action", "secret.craeted"]);
    assert!(typo.code == Some(64) && typo.stderr.contains("did you mean secret.created?"), "{}", typo.stderr);
    let day = desk.run(&["audit", "list", "--since", "2026-11-7"]);
    assert!(day.code == Some(64) && day.stderr.contains("a day such as 2026-11-07"), "{}", day.stderr);
}

#[test]
fn ids_are_shown_whole_or_not_at_all() {
    let desk = Desk::new(None);
    desk.happen(1);
    let narrow = on_a_terminal(&desk.command(&[]), "audit list", "");
    assert!(narrow.stdout.contains("WHAT") && !narrow.stdout.contains("ID"), "{}", narrow.stdout);
    assert!(!narrow.stdout.contains('…'), "{}", narrow.stdout);
}

#[test]
fn events_are_shown_as_they_happen_until_it_is_interrupted() {
    on_both(|desk| {
        desk.happen(12);
        let mut tail = desk.command(&["audit", "tail", "--last", "2", "--json"]);
        let mut child = tail.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || -> i64 {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            event["sequence"].as_i64().unwrap()
        };
        let before = [next(), next()];
        desk.happen(2);
        let after = [next(), next()];
        assert!([before, after].concat().is_sorted_by(|one, other| one < other), "{before:?} {after:?}");
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert_eq!(wait(&mut child).code(), Some(0));
    });
}

#[test]
fn who_watches_for_nobody_ends() {
    let desk = Desk::new(None);
    let mut child =
        desk.command(&["audit", "tail"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("instance.created"), "{line}");
    drop(out);
    assert_eq!(wait(&mut child).code(), Some(0));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn the_keys_are_the_same_from_the_server_and_the_instance() {
    on_both(|desk| {
        let told = desk.run(&["audit", "key"]);
        assert!(told.done().starts_with("strongroom.audit/"), "{}", told.stdout);
        assert!(told.stderr.contains("where the server can't change it"), "{}", told.stderr);
        assert_eq!(run(&mut desk.operator(&["audit", "key"], &[])).done(), told.stdout);
        let json: Value = serde_json::from_str(desk.run(&["audit", "key", "--json"]).done()).unwrap();
        assert_eq!(json["verifier_keys"][0].as_str().unwrap(), told.stdout.trim());
        let both = run(desk.operator(&["audit", "key"], &[]).args(["--url", "http://127.0.0.1:1"]));
        assert!(both.code == Some(64) && both.stderr.contains("leave one of them out"), "{}", both.stderr);
    });
}
