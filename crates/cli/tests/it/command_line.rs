//! What the program says of itself, and how it behaves towards shells.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{BINARY, Place, chmod, clean, run, wait};

#[test]
fn version_and_help_go_to_standard_output() {
    let version = run(clean(BINARY).arg("--version"));
    assert_eq!(version.done(), format!("strongroom {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(clean(BINARY).arg("--help"));
    for command in [
        "dev",
        "init",
        "serve",
        "doctor",
        "run",
        "secrets",
        "agents",
        "revisions",
        "revision-secrets",
        "runs",
        "panic",
        "audit",
        "keys",
        "members",
        "teams",
        "profile",
        "login",
        "logout",
        "completions",
        "openapi",
    ] {
        assert!(help.done().contains(&format!("\n  {command} ")), "{command}");
        let own = run(clean(BINARY).args([command, "--help"]));
        assert!(own.done().contains("\nExample"), "{command} has no examples");
    }
    assert!(!help.stdout.contains("reference") && !help.stdout.contains("run-"));
}

#[test]
fn help_shows_no_value_of_a_variable() {
    let help = run(clean(BINARY).args(["serve", "--help"]).env("STRONGROOM_LISTEN", "127.0.0.1:4711"));
    assert!(help.done().contains("STRONGROOM_LISTEN") && !help.stdout.contains("4711"));
}

#[test]
fn a_wrong_command_line_exits_with_sixty_four() {
    for args in [&[][..], &["frobnicate"], &["serve", "--lisen", "x"], &["serve", "--listen", "localhost"]] {
        let wrong = run(clean(BINARY).args(args));
        assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(64), ""), "{args:?}");
        assert!(!wrong.stderr.is_empty());
    }
}

#[test]
fn a_wrong_file_exits_with_one_and_says_what_is_near() {
    let place = Place::new();
    fs::write(place.path("s.toml"), "lisen = \"127.0.0.1:0\"\n").unwrap();
    let wrong = place.run("serve", &["--config", "s.toml"]);
    assert_eq!(wrong.refusal(), "error: s.toml: unknown key `lisen`\nhint: did you mean `listen`?\n");
    let missing = place.run("serve", &["--config", "none.toml"]);
    assert!(missing.refusal().contains("none.toml can't be read"), "{}", missing.stderr);
}

#[test]
fn help_that_has_no_room_is_an_error() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for words in [&["--version"][..], &["--help"], &["serve", "--help"], &["completions", "bash"]] {
        let ended = run(clean(BINARY).args(words).stdout(full()));
        assert_eq!(ended.code, Some(1), "{words:?}");
        assert!(ended.stderr.starts_with("error: No space left on device"), "{words:?}: {}", ended.stderr);
    }
}

#[test]
fn a_directory_that_is_closed_to_us_is_named_itself() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    fs::create_dir(place.path("closed")).unwrap();
    chmod(&place.path("closed"), 0o000);
    let refused = |parent: &str, said: &str| {
        let data = place.path(parent).join("data");
        let looked = run(clean(BINARY).args(["doctor", "--data-dir", data.to_str().unwrap()]));
        assert_eq!(looked.refusal(), format!("error: {} can't be looked into: {said}\n", data.display()));
    };
    refused("file", "Not a directory (os error 20)\nhint: name another with --data-dir");
    // To root nothing is closed.
    if !rustix::process::geteuid().is_root() {
        let hint =
            "hint: run this as the user whom the data directory belongs to, or name another with --data-dir";
        refused("closed", &format!("Permission denied (os error 13)\n{hint}"));
    }
    chmod(&place.path("closed"), 0o700);
}

#[test]
fn completions_and_the_description_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(clean(BINARY).args(["completions", shell]));
        for word in ["doctor", "cancel-link", "clear-service-slug"] {
            assert!(script.done().contains(word), "{shell}: {word}");
        }
        for hidden in ["run-session", "run-job"] {
            assert!(!script.stdout.contains(hidden), "{shell}: {hidden}");
        }
    }
    let description: serde_json::Value =
        serde_json::from_str(run(clean(BINARY).arg("openapi")).done()).unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[test]
fn a_reader_who_went_away_is_no_failure() {
    for args in [&["completions", "bash"][..], &["openapi"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = clean(BINARY).args(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(wait(&mut child).code(), Some(0), "{args:?}");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
        assert_eq!(said, "", "{args:?}");
    }
}

#[test]
fn what_the_guides_configure_can_be_configured() {
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides");
    let mut found = 0;
    for guide in fs::read_dir(guides).unwrap() {
        let text = fs::read_to_string(guide.unwrap().path()).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let (block, _) = block.split_once("```").unwrap();
            let place = Place::new();
            fs::write(place.path("s.toml"), block).unwrap();
            // There is no instance, but nothing is wrong with the file.
            let looked = place.run("doctor", &["--config", "s.toml"]);
            assert!(!looked.stderr.contains("s.toml"), "{block}\n{}", looked.stderr);
            found += 1;
        }
    }
    assert!(found > 0);
}
