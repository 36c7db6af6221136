//! The record as a file: taken away, and checked without a server.

use serde_json::Value;
use std::fs;
use std::process::Stdio;
use strongroom_core::tokens::TokenKind;

use super::{Desk, on_both};
use crate::harness::{BINARY, clean, mode, run, wait};
use crate::stub::{fed, token};

#[test]
fn a_file_is_taken_away_and_proven() {
    on_both(|desk| {
        desk.happen(20);
        let keys = desk.keys();
        let lines = desk.exported("a.jsonl", &[]);
        assert_eq!((mode(&desk.place.path("a.jsonl")), lines.len()), (0o600, 23));
        assert!(!desk.place.path("a.jsonl.partial").exists());
        let proven = desk.alone(&["audit", "verify", "a.jsonl", "--key", &keys, "--complete"]);
        assert!(proven.done().contains("events      21\n") && proven.stderr.is_empty(), "{}", proven.stderr);
        let key = fs::read_to_string(&keys).unwrap();
        desk.alone(&["audit", "verify", "a.jsonl", "--key", key.trim()]).done();
        let everything = run(&mut desk.operator(&["audit", "export"], &["--out", "b.jsonl"]));
        assert!(everything.done().is_empty(), "{}", everything.stdout);
        assert_eq!(fs::read_to_string(desk.place.path("b.jsonl")).unwrap(), lines.join("\n") + "\n");
        let written = desk.run(&["audit", "export", "--out", "-"]);
        assert_eq!(written.done(), lines.join("\n") + "\n");
        let mut from_input = clean(BINARY);
        from_input.args(["audit", "verify", "-", "--key", &keys, "--json"]);
        let answer: Value = serde_json::from_str(fed(from_input, written.stdout.as_bytes()).done()).unwrap();
        assert_eq!(
            (&answer["ok"], &answer["signed"], &answer["events"]),
            (&true.into(), &true.into(), &21.into())
        );
    });
}

#[test]
fn a_file_of_some_has_the_others_as_hashes() {
    on_both(|desk| {
        desk.happen(5);
        desk.run(&["audit", "witness", "--to", "w.log", "--once"]).done();
        desk.happen(30);
        let keys = desk.keys();
        let some = ["--action", "instance.created"];
        for (name, by_operator) in [("a.jsonl", false), ("b.jsonl", true)] {
            let export = |out: &str, args: &[&str]| {
                let args = [&some[..], &["--out", out, "--force"], args].concat();
                if by_operator {
                    run(&mut desk.operator(&["audit", "export"], &args)).done().to_owned()
                } else {
                    desk.run(&[&["audit", "export"][..], &args].concat()).done().to_owned()
                }
            };
            export(name, &[]);
            let proven = desk.alone(&["audit", "verify", name, "--key", &keys]);
            assert!(proven.done().contains("events      1\nleft out    35 "), "{}", proven.stdout);
            let held = ["audit", "verify", name, "--key", &keys, "--checkpoint", "w.log"];
            assert!(desk.alone(&held).refusal().contains("export it with --checkpoint"));
            export(name, &["--checkpoint", "w.log"]);
            assert!(desk.alone(&held).done().contains("heads held  1"));
            let complete = desk.alone(&["audit", "verify", name, "--key", &keys, "--complete"]);
            assert!(complete.refusal().contains("35 of 36 events are left out"), "{}", complete.stderr);
        }
    });
}

#[test]
fn nothing_is_written_over_and_nothing_half_stays() {
    let desk = Desk::new(None);
    desk.happen(1);
    desk.write("a.jsonl", "mine");
    let there = desk.run(&["audit", "export", "--out", "a.jsonl"]);
    assert!(there.refusal().contains("add --force"), "{}", there.stderr);
    assert_eq!(fs::read_to_string(desk.place.path("a.jsonl")).unwrap(), "mine");
    let refused = run(desk
        .command(&["audit", "export", "--out", "b.jsonl"])
        .env("STRONGROOM_API_KEY", token(TokenKind::ApiKey)));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(!desk.place.tree().iter().any(|name| name.starts_with("b.jsonl")), "{:?}", desk.place.tree());
    desk.write("a.jsonl.partial", "of an export that was interrupted");
    assert_eq!(desk.exported("a.jsonl", &["--force"]).len(), 4);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread =
        desk.command(&["audit", "export", "--out", "-"]).stdout(writer).stderr(Stdio::piped()).spawn();
    assert_eq!(wait(&mut unread.unwrap()).code(), Some(0), "who reads it has seen enough");
}

/// What each forgery says of a file of 13 lines: its beginning, 11 events, its head.
fn forgeries(lines: &[String]) -> Vec<(&'static str, Vec<String>, &'static str)> {
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.to_vec();
        change(&mut lines);
        lines
    };
    vec![
        ("edited", with(&|l| l[4] = l[4].replace("secret.created", "secret.deleted")), "are not those"),
        ("deleted", with(&|l| drop(l.remove(4))), "there are 10 events, and the checkpoint is over 11"),
        (
            "inserted",
            with(&|l| l.insert(4, l[5].clone())),
            "there are 12 events, and the checkpoint is over 11",
        ),
        ("reordered", with(&|l| l.swap(4, 5)), "are not those"),
        ("cut off", with(&|l| l.truncate(9)), "the end of the file was cut off"),
        ("shortened", with(&|l| drop(l.drain(8..12))), "there are 7 events"),
        ("prolonged", with(&|l| l.push(l[4].clone())), "line 14: something follows the checkpoint"),
        ("beheaded", with(&|l| drop(l.remove(0))), "line 1: this is not the beginning"),
        ("garbled", with(&|l| l[3] = "{}".to_owned()), "line 4: it can't be read"),
        ("converted", with(&|l| l.iter_mut().for_each(|line| line.push('\r'))), "line 1: its line ends"),
    ]
}

#[test]
fn whatever_is_done_to_a_file_is_refused() {
    on_both(|desk| {
        desk.happen(10);
        let keys = desk.keys();
        let lines = desk.exported("a.jsonl", &[]);
        assert_eq!(lines.len(), 13);
        for (name, forged, says) in forgeries(&lines) {
            desk.write("forged.jsonl", &(forged.join("\n") + "\n"));
            for with_key in [&["--key", &keys][..], &[]] {
                let refused = desk.alone(&[&["audit", "verify", "forged.jsonl"], with_key].concat());
                assert!(refused.refusal().contains(says), "{name}: {}", refused.stderr);
                assert!(refused.stderr.contains("\nhint: "), "{name}: {}", refused.stderr);
            }
            let json = desk.alone(&["audit", "verify", "forged.jsonl", "--json"]);
            let answer: Value = serde_json::from_str(&json.stdout).unwrap();
            assert!(json.code == Some(1) && answer["ok"] == false, "{name}: {}", json.stdout);
        }
    });
}

#[test]
fn a_file_is_believed_by_the_right_key_and_goes_on_from_a_head_that_is_held() {
    let (desk, stranger) = (Desk::new(None), Desk::new(None));
    desk.happen(3);
    stranger.happen(3);
    desk.exported("a.jsonl", &[]);
    let bare = desk.alone(&["audit", "verify", "a.jsonl"]);
    assert!(
        bare.done().contains("It is consistent with itself.")
            && bare.stderr.contains("anybody can have made it")
    );
    let json: Value =
        serde_json::from_str(desk.alone(&["audit", "verify", "a.jsonl", "--json"]).done()).unwrap();
    assert_eq!(json["signed"], false);
    let theirs = desk.alone(&["audit", "verify", "a.jsonl", "--key", &stranger.keys()]);
    assert!(theirs.refusal().contains("signed by none of the keys"), "{}", theirs.stderr);
    stranger.run(&["audit", "witness", "--to", "w.log", "--once"]).done();
    let held = stranger.path("w.log");
    let theirs = desk.alone(&["audit", "verify", "a.jsonl", "--checkpoint", &held]);
    assert!(theirs.refusal().contains("the checkpoint held is of another log"), "{}", theirs.stderr);
    desk.happen(2);
    desk.run(&["audit", "witness", "--to", "w.log", "--once"]).done();
    let older = desk.alone(&["audit", "verify", "a.jsonl", "--key", &desk.keys(), "--checkpoint", "w.log"]);
    assert!(
        older.refusal().contains("it ends with 4 events, and the checkpoint held is over 6"),
        "{}",
        older.stderr
    );
    let nothing = desk.alone(&["audit", "verify"]);
    assert!(nothing.code == Some(64) && nothing.stderr.contains("--data-dir"), "{}", nothing.stderr);
    for key in ["nonsense", "a.jsonl"] {
        let wrong = desk.alone(&["audit", "verify", "a.jsonl", "--key", key]);
        assert!(wrong.stderr.contains("NAME+ID+KEY") && wrong.code != Some(0), "{}", wrong.stderr);
    }
}
