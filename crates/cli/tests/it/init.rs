//! `strongroom init`: what it makes, what it refuses, and that a refusal
//! leaves nothing behind.

use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use crate::harness::{BINARY, Place, chmod, clean, eventually, mode, run, wait};

/// All that an instance consists of.
const FILES: [&str; 4] = ["data", "data/root.key", "data/strongroom.db", "data/strongroom.lock"];

#[test]
fn json_is_one_object_and_never_the_recovery_key() {
    let place = Place::new();
    let made = place.init(&["--json", "--team", "Observatory", "--email", "ada@example.com"]);
    let lines: Vec<_> = made.done().lines().collect();
    assert_eq!(lines.len(), 1);
    let object: Value = serde_json::from_str(lines[0]).unwrap();
    let mut fields: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["api_key", "recovery_recipient", "team_id", "user_id"]);
    assert!(object["api_key"].as_str().unwrap().starts_with("srk_"));
    assert!(object["recovery_recipient"].as_str().unwrap().starts_with("age1"));
    assert!(!made.stdout.contains("AGE-SECRET-KEY") && !made.stderr.contains("AGE-SECRET-KEY"));
    assert_eq!(made.stderr, "");
    let identity = fs::read_to_string(place.path("recovery.key")).unwrap();
    assert!(identity.contains("\nAGE-SECRET-KEY-1"));
    assert!(identity.contains(object["recovery_recipient"].as_str().unwrap()));
}

#[test]
fn everything_is_closed_to_others_whatever_the_umask() {
    let place = Place::new();
    let recovery = place.path("recovery.key");
    let mut shell = clean("sh");
    shell.args(["-c", "umask 000; exec \"$@\"", "sh", BINARY, "init", "--data-dir"]);
    run(shell.arg(place.data()).arg("--recovery-key-file").arg(&recovery)).done();
    assert_eq!(mode(&place.data()), 0o700);
    for name in FILES.iter().skip(1).chain(&["recovery.key"]) {
        assert_eq!(mode(&place.path(name)), 0o600, "{name}");
    }
    assert_eq!(place.tree(), [&FILES[..], &["recovery.key"]].concat());
}

#[test]
fn for_a_person_the_api_key_is_shown_and_the_recovery_key_is_in_its_file() {
    let place = Place::new();
    let made = place.init(&["--team", "Observatory"]);
    let text = made.done();
    for part in ["Observatory", "owner@localhost", "\n  srk_", "recovery.key", "strongroom serve --data-dir"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("AGE-SECRET-KEY"));
}

#[test]
fn a_second_init_is_refused_and_changes_nothing() {
    let (place, _) = Place::with_instance();
    let before = (fs::read(place.database()).unwrap(), fs::read(place.data().join("root.key")).unwrap());
    let again = place.run("init", &["--recovery-key-file", place.path("other.key").to_str().unwrap()]);
    assert!(again.refusal().contains("there is an instance in"), "{}", again.stderr);
    assert!(again.stderr.contains("\nhint: serve it with: strongroom serve --data-dir"), "{}", again.stderr);
    let after = (fs::read(place.database()).unwrap(), fs::read(place.data().join("root.key")).unwrap());
    assert!(before == after);
    assert!(!place.path("other.key").exists());
}

#[test]
fn without_a_place_for_the_recovery_key_nothing_is_created() {
    for args in [&[][..], &["--json"]] {
        let place = Place::new();
        let refused = place.run("init", args);
        assert!(refused.refusal().contains("no place for the recovery key"), "{}", refused.stderr);
        assert!(refused.stderr.contains("hint: add --recovery-key-file FILE"));
        assert_eq!(place.tree(), [""; 0]);
    }
}

#[test]
fn the_recovery_key_may_not_lie_in_the_data_directory_or_replace_a_file() {
    let place = Place::new();
    for inside in ["data/recovery.key", "data/../data/recovery.key"] {
        let refused = place.run("init", &["--recovery-key-file", inside]);
        assert!(refused.refusal().contains("can't lie in the data directory"), "{}", refused.stderr);
    }
    fs::write(place.path("taken"), "dear").unwrap();
    let refused = place.run("init", &["--recovery-key-file", "taken"]);
    assert!(refused.refusal().contains("taken exists already"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(place.path("taken")).unwrap(), "dear");
    assert_eq!(place.tree(), ["taken"]);
}

#[test]
fn a_failure_half_way_leaves_nothing_and_a_second_try_succeeds() {
    let place = Place::new();
    for args in [
        ["--recovery-key-file", "missing/recovery.key"],
        ["--root-key-file", "missing/root.key"],
        ["--passphrase-file", "missing"],
    ] {
        let kind = if args[0] == "--passphrase-file" { "passphrase" } else { "file" };
        let mut args = [&args[..], &["--root-key", kind]].concat();
        if args[0] != "--recovery-key-file" {
            args.extend(["--recovery-key-file", "recovery.key"]);
        }
        let failed = place.run("init", &args);
        assert!(failed.refusal().contains("missing"), "{}", failed.stderr);
        assert_eq!(place.tree(), [""; 0], "{args:?}");
    }
    place.init(&[]).done();
}

#[test]
fn a_key_that_nobody_could_read_belongs_to_no_instance() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.command("init", &["--recovery-key-file", "recovery.key"]);
    let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    assert_eq!(wait(&mut child).code(), Some(1));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.starts_with("error: the new API key could not be shown, so nothing was kept"), "{said}");
    assert_eq!(place.tree(), [""; 0]);
}

#[test]
fn a_lax_directory_a_lone_root_key_and_a_half_made_database_are_refused() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    chmod(&place.data(), 0o755);
    let refused = place.init(&[]);
    assert!(refused.refusal().contains("has mode 0755"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: run: chmod 700"), "{}", refused.stderr);

    chmod(&place.data(), 0o700);
    fs::write(place.data().join("root.key"), "whose?").unwrap();
    let refused = place.init(&[]);
    assert!(refused.refusal().contains("root.key exists, but there is no database"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(place.data().join("root.key")).unwrap(), "whose?");

    fs::remove_file(place.data().join("root.key")).unwrap();
    fs::write(place.database(), "").unwrap();
    let refused = place.init(&[]);
    assert!(refused.refusal().contains("its creation was interrupted"), "{}", refused.stderr);
    assert!(refused.stderr.contains("delete strongroom.db*, strongroom.lock and root.key"));
    fs::write(place.database(), "notes of somebody").unwrap();
    let refused = place.init(&[]);
    assert!(refused.refusal().contains("there is a database in"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(place.database()).unwrap(), "notes of somebody");
}

#[test]
fn an_existing_directory_and_the_file_in_it_are_used_and_stay() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    chmod(&place.data(), 0o700);
    fs::write(place.data().join("strongroom.toml"), "team = \"From the file\"\n").unwrap();
    let failed = place.init(&["--root-key-file", "missing/root.key"]);
    failed.refusal();
    assert_eq!(place.tree(), ["data", "data/strongroom.toml"]);
    assert!(place.init(&[]).done().contains("From the file"));
}

#[test]
fn the_root_key_can_live_elsewhere() {
    let place = Place::new();
    place.init(&["--root-key-file", "elsewhere.key"]).done();
    assert!(!place.data().join("root.key").exists());
    assert_eq!(mode(&place.path("elsewhere.key")), 0o600);
    let missing = place.run("serve", &["--listen", "127.0.0.1:0"]);
    assert!(missing.refusal().contains("data/root.key is missing"), "{}", missing.stderr);
    place.run("doctor", &["--root-key-file", "elsewhere.key"]).done();
}

#[test]
fn a_passphrase_comes_from_a_private_file() {
    let place = Place::new();
    let file = place.path("passphrase");
    fs::write(&file, "correct horse battery staple\n").unwrap();
    let args = ["--root-key", "passphrase", "--passphrase-file", "passphrase"];
    chmod(&file, 0o644);
    assert!(place.init(&args).refusal().contains("chmod 600"));
    chmod(&file, 0o600);
    place.init(&args).done();
    assert!(!place.data().join("root.key").exists());
    let before = fs::read(place.database()).unwrap();
    assert!(place.run("doctor", &[]).stdout.contains("there is no terminal to ask on"));
    place.run("doctor", &["--passphrase-file", "passphrase"]).done();

    fs::write(&file, "wrong horse battery staple\n").unwrap();
    let wrong = place.run("serve", &["--listen", "127.0.0.1:0", "--passphrase-file", "passphrase"]);
    assert!(wrong.refusal().contains("\nhint: the passphrase is wrong"), "{}", wrong.stderr);
    assert!(before == fs::read(place.database()).unwrap());
}

#[test]
fn a_short_passphrase_is_refused() {
    let place = Place::new();
    fs::write(place.path("passphrase"), "short\n").unwrap();
    chmod(&place.path("passphrase"), 0o600);
    let refused = place.init(&["--root-key", "passphrase", "--passphrase-file", "passphrase"]);
    assert!(refused.refusal().contains("at least 12 characters"), "{}", refused.stderr);
    assert_eq!(place.tree(), ["passphrase"]);
}

#[test]
fn on_a_terminal_the_passphrase_is_asked_for_unseen_and_the_recovery_key_shown() {
    let place = Place::new();
    let command = format!("tty > tty; exec {BINARY} init --root-key passphrase --data-dir data");
    let mut terminal = clean("script");
    terminal.args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = terminal.current_dir(place.path("")).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = String::new();
    for prompt in ["characters): ", "The same again: "] {
        read_until(&mut screen, &mut seen, prompt);
        eventually("the terminal stops showing what is typed", || {
            let tty = fs::read_to_string(place.path("tty")).unwrap();
            run(clean("stty").args(["-a", "-F", tty.trim()])).stdout.contains(" -echo ")
        });
        keyboard.write_all(b"correct horse battery staple\n").unwrap();
    }
    screen.read_to_string(&mut seen).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0), "{seen}");
    assert!(seen.contains("  AGE-SECRET-KEY-1") && seen.contains("  srk_"), "{seen}");
    assert!(!seen.contains("horse"), "{seen}");
    assert!(!place.tree().iter().any(|name| name.contains("recovery")));
}

fn read_until(screen: &mut impl Read, seen: &mut String, last: &str) {
    let mut byte = [0];
    while !seen.ends_with(last) {
        assert_eq!(screen.read(&mut byte).unwrap(), 1, "{seen}");
        seen.push(char::from(byte[0]));
    }
}

/// An orchestrator may start several at once; whoever loses must not take the
/// winner's files along.
#[test]
fn of_many_at_once_one_wins_and_its_instance_stays() {
    for _ in 0..15 {
        let place = Place::new();
        let init = |at: usize| {
            let recovery = place.path(&format!("recovery-{at}.key"));
            place.run("init", &["--json", "--recovery-key-file", recovery.to_str().unwrap()])
        };
        let ended: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|at| scope.spawn(move || init(at))).collect();
            running.into_iter().map(|running| running.join().unwrap()).collect()
        });
        let won: Vec<_> = ended.iter().filter(|ended| ended.code == Some(0)).collect();
        assert_eq!(won.len(), 1, "{:?}", ended.iter().map(|ended| &ended.stderr).collect::<Vec<_>>());
        let key: Value = serde_json::from_str(&won[0].stdout).unwrap();
        let server = place.serve();
        assert_eq!(server.client(key["api_key"].as_str().unwrap()).get("/v1/credentials").status, 200);
        server.stop();
    }
}

#[cfg(not(any(feature = "aws-kms", feature = "pkcs11", feature = "transit")))]
#[test]
fn a_keeper_that_was_not_built_in_is_refused_before_anything_is_made_or_opened() {
    for kind in ["aws-kms", "pkcs11", "transit"] {
        let sentence = format!("built without the root key `{kind}`");
        let place = Place::new();
        let refused = place.init(&["--root-key", kind]);
        assert!(refused.refusal().contains(&sentence), "{}", refused.stderr);
        assert!(refused.stderr.contains(&format!("--features {kind}")), "{}", refused.stderr);
        assert_eq!(place.tree(), [""; 0], "{kind}");

        let (place, _) = Place::with_instance();
        let database = rusqlite::Connection::open(place.database()).unwrap();
        database.execute("UPDATE instance SET root_provider = ?1", [kind]).unwrap();
        drop(database);
        let before = fs::read(place.database()).unwrap();
        let refused = place.run("serve", &["--listen", "127.0.0.1:0"]);
        assert!(refused.refusal().contains(&sentence), "{}", refused.stderr);
        assert!(before == fs::read(place.database()).unwrap(), "{kind}");
    }
}
