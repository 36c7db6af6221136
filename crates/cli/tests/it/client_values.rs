//! Where values come from, and that they arrive as they are or are refused by
//! their name.

use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use crate::harness::{BINARY, Ended, clean, eventually, run, wait};
use crate::stub::{Stub, TEAM, fed, secret};

const CREATE: [&str; 6] = ["secrets", "create", "--name", "n", "--team", TEAM];

/// Creates a secret with these arguments and standard input; the values that arrived.
fn arrived(stub: &Stub, args: &[&str], input: &[u8]) -> Value {
    stub.say(201, secret("n"));
    let ended = fed(stub.command(&[&CREATE[..], args].concat()), input);
    ended.done();
    stub.one().json()["values"].clone()
}

fn refused(stub: &Stub, args: &[&str], input: &[u8]) -> Ended {
    let ended = fed(stub.command(&[&CREATE[..], args].concat()), input);
    ended.refusal();
    assert_eq!(stub.seen().len(), 0);
    ended
}

#[test]
fn each_form_of_a_value_arrives_as_it_is() {
    let stub = Stub::new();
    fs::write(stub.home("pem"), "-----BEGIN\nkäse=\n-----END\n").unwrap();
    fs::write(stub.home("token"), "tok=en\n").unwrap();
    let args = [
        "--value",
        "A=b=c",
        "--value",
        "B==@x",
        "--value",
        "C==-",
        "--value",
        "D=@pem",
        "--value",
        "E=@token",
        "--value",
        "F=-",
        "--value",
        "G= two\nlines ",
    ];
    let values = arrived(&stub, &args, b"from stdin\n");
    let expected = json!({
        "A": "b=c", "B": "@x", "C": "-", "D": "-----BEGIN\nkäse=\n-----END\n", "E": "tok=en", "F": "from stdin",
        "G": " two\nlines ",
    });
    assert_eq!(values, expected);
}

#[test]
fn the_longest_values_arrive_whole() {
    let stub = Stub::new();
    let long = "🔑".repeat(65_535) + "\n";
    fs::write(stub.home("long"), &long).unwrap();
    let more = "x\n".repeat(32_768);
    let values = arrived(&stub, &["--value", "A=@long", "--value", "B=-"], more.as_bytes());
    assert_eq!(values["A"].as_str().unwrap().chars().count(), 65_535);
    assert_eq!(values["B"], more);
    let refused = refused(&stub, &["--value", "A=-"], "x".repeat(65_537).as_bytes());
    assert!(refused.stderr.contains("A must be a string of 1 to 65,536 characters"), "{}", refused.stderr);
}

#[test]
fn what_cannot_be_a_value_is_refused_by_its_name() {
    let stub = Stub::new();
    for (args, input, message) in [
        (&["--value", "A=-"][..], &b"\xff\xfe"[..], "A from standard input is not text in UTF-8"),
        (&["--value", "A=-"], b"a\0b", "A must be a string"),
        (&["--value", "A=-"], b"", "A is empty"),
        (&["--value", "A=-"], b"\n", "A is empty"),
        (&["--value", "A="], b"", "A is empty"),
        (&["--value", "A"], b"", "A has no value, and there is no terminal to ask on"),
        (&["--value", "A=@none"], b"", "the file of A can't be read"),
        (&["--value", "A=@."], b"", "the file of A can't be read"),
        (&["--value", "A=-", "--value", "B=-"], b"x", "standard input can be read only once"),
        (&["--value", "A=-", "--from-env-file", "-"], b"x", "standard input can be read only once"),
        (&["--value", "A=1", "--value", "A=2"], b"", "A is given twice"),
        (&["--value", "A=1", "--from-env-file", "-"], b"A=2", "A is given twice"),
        (&["--from-env-file", "-"], b"A=1\nB=\n", "standard input, line 2: B is empty"),
        (&["--from-env-file", "none"], b"", "none can't be read"),
    ] {
        let ended = refused(&stub, args, input);
        assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_refused_value_is_never_said() {
    let stub = Stub::new();
    for (args, input) in [
        (&["--value", "hunter2"][..], &b""[..]),
        (&["--value", "A-B=hunter2"], b""),
        (&["--value", "A=@hunter2"], b""),
        (&["--from-env-file", "-"], b"hunter2\n"),
        (&["--from-env-file", "-"], b"A='hunter2\n"),
        (&["--from-env-file", "-"], b"A=\"hunter2\\x\"\n"),
        (&["--from-env-file", "-"], b"hunter2=x\n"),
        (&["--from-env-file", "-"], b"A='x'hunter2\n"),
    ] {
        let ended = refused(&stub, args, input);
        assert!(!ended.stderr.contains("hunter2"), "{args:?}: {}", ended.stderr);
    }
    stub.say(400, json!({"error": "invalid_request", "message": "`values` is wrong"}));
    let ended = stub.run_in_team(&["secrets", "create", "--name", "n", "--value", "A=hunter2", "--json"]);
    assert_eq!(ended.code, Some(1));
    assert!(!ended.stderr.contains("hunter2") && !ended.stdout.contains("hunter2"));
    assert!(!ended.stderr.contains("srk_") && !ended.stdout.contains("srk_"));
}

#[test]
fn a_value_on_the_command_line_is_warned_of_once() {
    let stub = Stub::new();
    let warnings = |args: &[&str]| {
        stub.say(201, secret("n"));
        let ended = fed(stub.command(&[&CREATE[..], args].concat()), b"x");
        ended.done();
        ended.stderr.matches("warning: every process on this machine can see").count()
    };
    assert_eq!(warnings(&["--value", "A=1", "--value", "B==2"]), 1);
    assert_eq!(warnings(&["--value", "A=-"]), 0);
}

#[test]
fn a_file_of_values_knows_no_variables() {
    let stub = Stub::new();
    let file =
        "# all of it\r\nexport A=$HOME\r\nB='#1 $A'\r\nC=\"two\nlines \\\"x\\\"\" # said\r\n\r\nD=käse#x\r\n";
    let expected = json!({"A": "$HOME", "B": "#1 $A", "C": "two\nlines \"x\"", "D": "käse#x"});
    assert_eq!(arrived(&stub, &["--from-env-file", "-"], file.as_bytes()), expected);
    fs::write(stub.home(".env"), file).unwrap();
    assert_eq!(arrived(&stub, &["--from-env-file", ".env"], b""), expected);
}

#[test]
fn on_a_terminal_a_value_is_asked_for_unseen() {
    let stub = Stub::new();
    stub.say(201, secret("n"));
    let command = format!("tty > tty; exec {BINARY} {} --value SMTP_PASSWORD", CREATE.join(" "));
    let mut terminal = clean("script");
    terminal.args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    terminal.env("STRONGROOM_URL", stub.url()).env("STRONGROOM_API_KEY", &stub.key);
    let mut child = terminal.current_dir(stub.home("")).spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    eventually("the terminal stops showing what is typed", || {
        let tty = fs::read_to_string(stub.home("tty")).unwrap_or_default();
        run(clean("stty").args(["-a", "-F", tty.trim()])).stdout.contains(" -echo ")
    });
    keyboard.write_all(b"hunter2 = x\n").unwrap();
    let mut screen = String::new();
    child.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0), "{screen}");
    assert!(screen.contains("SMTP_PASSWORD: ") && !screen.contains("hunter2"), "{screen}");
    assert_eq!(stub.one().json()["values"], json!({"SMTP_PASSWORD": "hunter2 = x"}));
}
