//! How changes are made: only tried, on a condition, once, after a yes; and how
//! refusals reach a person and a program.

use serde_json::{Value, json};
use strongroom_core::tokens::TokenKind;

use super::{NOTHING, Session, text};
use crate::harness::Ended;

#[test]
fn a_dry_run_of_anything_changes_nothing() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\n", &[]);
    session.done(&["secrets", "update", &id, "--set", "A=2"]);
    let gone = session.secret("gone", "A=1\n", &[]);
    session.done(&["secrets", "delete", &gone, "-y"]);
    let (ada, _) = session.member("ada", "builder");
    let link = text(&session.json(&["keys", "link", &ada, "--name", "open"]), "id");
    let key = text(&session.json(&["keys", "create", "--name", "extra"]), "id");
    let team = session.team.as_str();
    let before = session.state();
    for args in [
        &["secrets", "create", "--name", "n", "--value", "A=1"][..],
        &["secrets", "update", &id, "--set", "A=3"],
        &["secrets", "rollback", &id, "--version", "1"],
        &["secrets", "copy", &id, "--name", "n"],
        &["secrets", "delete", &id],
        &["secrets", "undelete", &gone],
        &["keys", "create", "--name", "n"],
        &["keys", "link", &ada, "--name", "n"],
        &["keys", "cancel-link", &link],
        &["keys", "revoke", &key],
        &["members", "add", "--service", "--name", "n", "--role", "member"],
        &["members", "update", &ada, "--role", "member"],
        &["members", "remove", &ada],
        &["teams", "create", "--name", "n"],
        &["teams", "rename", team, "--name", "n"],
        &["teams", "delete", team],
    ] {
        let tried = session.run(&[args, &["--dry-run"]].concat());
        tried.done();
        assert!(tried.stderr.contains("note: a dry run; nothing was changed"), "{args:?}: {}", tried.stderr);
        assert!(!tried.stdout.contains("srk_") && !tried.stdout.contains("srl_"), "{args:?}");
        let json = session.run(&[args, &["--dry-run", "--json"]].concat());
        let _answer: Value = serde_json::from_str(json.done()).unwrap();
    }
    assert_eq!(session.state(), before);
    assert_eq!(session.json(&["secrets", "versions", &id]).as_array().unwrap().len(), 2);
    let refused = session.run(&["secrets", "update", NOTHING, "--name", "n", "--dry-run"]);
    assert_eq!(refused.code, Some(3), "a dry run finds out what would be refused");
}

/// The tag that a person sees.
fn tag(shown: &str) -> String {
    let line = shown.lines().find_map(|line| line.strip_prefix("version tag  ")).unwrap();
    line.to_owned()
}

#[test]
fn a_change_is_made_only_while_the_tag_holds() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\n", &[]);
    let old = tag(&session.done(&["secrets", "get", &id]));
    let new = tag(&session.done(&["secrets", "update", &id, "--set", "A=2", "--if-match", &old]));
    assert_ne!(old, new);
    for args in [&["update", &id, "--remove", "A"][..], &["delete", &id, "-y"]] {
        let late = session.run(&[&["secrets"], args, &["--if-match", &old]].concat());
        assert!(late.refusal().contains("not in the state that `If-Match` names"), "{}", late.stderr);
        assert!(
            late.stderr.contains("\nhint: `strongroom secrets get` shows it as it is now"),
            "{}",
            late.stderr
        );
    }
    assert_eq!(session.json(&["secrets", "versions", &id]).as_array().unwrap().len(), 2);
    let bare = new.trim_matches('"');
    session.done(&["secrets", "update", &id, "--name", "n", "--if-match", bare]);
    let last = tag(&session.done(&["secrets", "get", &id]));
    session.run(&["secrets", "delete", &id, "-y", "--if-match", &last]).done();
}

#[test]
fn a_repeated_change_is_made_once() {
    let session = Session::begin();
    let create = |value: &str| {
        let value = format!("A=={value}");
        session.run(&[
            "secrets",
            "create",
            "--name",
            "n",
            "--value",
            &value,
            "--json",
            "--idempotency-key",
            "k1",
        ])
    };
    let first = create("1");
    assert_eq!(create("1").done(), first.done());
    assert_eq!(session.json(&["secrets", "list"]).as_array().unwrap().len(), 1);
    let other = create("2");
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert!(other.stderr.contains("hint: leave --idempotency-key out"), "{}", other.stderr);

    let key = ["keys", "create", "--name", "n", "--idempotency-key", "k2"];
    let shown = session.done(&key);
    let again = session.run(&key);
    assert!(
        again.refusal().contains("hint: if that answer was lost, revoke what it made"),
        "{}",
        again.stderr
    );
    assert!(!again.stderr.contains(shown.trim()));
    let made = session.json(&["keys", "list"])["api_keys"].take();
    let made = made.as_array().unwrap().iter().find(|key| key["name"] == "n").map(|key| text(key, "id"));
    assert!(again.stderr.contains(&made.unwrap()), "it says which key to revoke: {}", again.stderr);
}

#[test]
fn nothing_is_destroyed_without_a_yes() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\n", &[]);
    let (ada, _) = session.member("ada", "builder");
    let key = text(&session.json(&["keys", "create", "--name", "extra"]), "id");
    let before = session.state();
    for args in [
        &["secrets", "delete", &id][..],
        &["secrets", "rollback", &id, "--version", "1"],
        &["keys", "revoke", &key],
        &["members", "remove", &ada],
        &["teams", "delete", &session.team],
    ] {
        let refused = session.run(args);
        assert!(
            refused.refusal().contains("no terminal to ask on; nothing was changed"),
            "{}",
            refused.stderr
        );
        for reply in ["\n", "n\n", "x\n"] {
            let no = session.on_a_terminal(&args.join(" "), reply);
            assert_eq!(no.code, Some(1), "{}", no.stdout);
            assert!(
                no.stdout.contains("[y/N]") && no.screen().contains("nothing was changed"),
                "{}",
                no.stdout
            );
        }
    }
    assert_eq!(session.state(), before);
    let asked = session.on_a_terminal(&format!("secrets delete {id}"), "yes\n");
    assert_eq!(asked.code, Some(0), "{}", asked.stdout);
    assert!(asked.screen().contains("Delete the personal secret \"Mail\""), "{}", asked.stdout);
    assert_eq!(session.on_a_terminal(&format!("keys revoke {key}"), "Y\n").code, Some(0));
    session.run(&["members", "remove", &ada, "-y"]).done();
    let missing = session.on_a_terminal(&format!("secrets delete {NOTHING}"), "");
    assert!(missing.code == Some(3) && !missing.stdout.contains("[y/N]"), "{}", missing.stdout);
}

/// The exit code and the error's own code, of a refusal that a program gets.
fn refused(ended: &Ended) -> (Option<i32>, String) {
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(ended.stderr.contains(answer["message"].as_str().unwrap()), "{}", ended.stderr);
    (ended.code, text(&answer, "error"))
}

#[test]
fn refusals_become_exit_codes_words_and_answers() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\n", &[]);
    let (_, ada) = session.member("ada", "member");
    let stranger = crate::stub::token(TokenKind::ApiKey);
    let long = "n".repeat(129);
    for (key, args, code, word) in [
        (&session.key, &["secrets", "create", "--name", &long][..], 1, "invalid_request"),
        (&session.key, &["secrets", "list", "--team", NOTHING], 1, "forbidden"),
        (&session.key, &["keys", "create", "--name", "n", "--scope", "all"], 1, "invalid_request"),
        (&ada, &["secrets", "create", "--name", "n", "--shared"], 1, "forbidden"),
        (&ada, &["members", "add", "--service", "--name", "n", "--role", "member"], 1, "forbidden"),
        (&ada, &["secrets", "get", &id], 3, "not_found"),
        (&stranger, &["secrets", "list"], 2, "invalid_token"),
        (&session.key, &["secrets", "get", NOTHING], 3, "not_found"),
        (&session.key, &["keys", "revoke", NOTHING, "-y"], 3, "not_found"),
    ] {
        let ended = session.run_as(key, &[args, &["--json"]].concat());
        assert_eq!(refused(&ended), (Some(code), word.to_owned()), "{args:?}");
        let plain = session.run_as(key, args);
        assert_eq!((plain.code, plain.stdout.as_str()), (Some(code), ""), "{args:?}");
    }
    for args in [&["secrets", "get"][..], &["secrets", "get", "Mail"], &["secrets", "take", &id]] {
        assert_eq!(session.run(args).code, Some(64), "{args:?}");
    }
    assert_eq!(session.json(&["secrets", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(
        json!([]),
        serde_json::from_str::<Value>(session.run_as(&ada, &["secrets", "list", "--json"]).done()).unwrap()
    );
}
