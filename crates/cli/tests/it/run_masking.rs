//! What of the command's output arrives, and what of it is masked.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::io::Read;
use std::process::Stdio;

use crate::harness::{eventually, run, wait};
use crate::run::{VALUE, WAIT, command, script, server, server_with_a_value, whole_run};

#[test]
fn values_are_masked_on_both_streams() {
    let stub = server_with_a_value();
    let ended = script(&stub, &[], "echo before $TOKEN after; echo wrong: $TOKEN! >&2; exit 3");
    assert_eq!(ended.code, Some(3));
    for (text, begin, end) in [(&ended.stdout, "before ", " after\n"), (&ended.stderr, "wrong: ", "!\n")] {
        assert!(text.starts_with(begin) && text.ends_with(end) && !text.contains(VALUE), "{text:?}");
    }
    let stub = server_with_a_value();
    let ended = script(&stub, &["--no-mask"], "echo $TOKEN; echo $TOKEN >&2");
    assert_eq!((ended.done(), ended.stderr.as_str()), ("canary-7f3a1c\n", "canary-7f3a1c\n"));
}

/// Writes each byte of the value by itself.
const BYTE_BY_BYTE: &str = "
import os
for byte in b'<' + os.environb[b'TOKEN'] + b'>':
    os.write(1, bytes([byte]))
";

#[test]
fn a_value_in_pieces_is_masked() {
    for _ in 0..5 {
        let stub = server_with_a_value();
        let ended = run(&mut command(&stub, &[], &["python3", "-c", BYTE_BY_BYTE]));
        let text = ended.done();
        assert!(text.starts_with('<') && text.ends_with('>') && !text.contains("7f3a"), "{text}");
    }
}

/// Writes the value in two pieces, some time apart.
const SLOWLY: &str = "
import os, sys, time
value = os.environb[b'TOKEN']
at, pause = int(sys.argv[1]), float(sys.argv[2])
os.write(1, b'<' + value[:at])
time.sleep(pause)
os.write(1, value[at:] + b'>')
";

#[test]
fn a_value_that_comes_slowly_is_masked() {
    let written = |options: &[&str], at: &str, pause: &str| {
        let stub = server_with_a_value();
        run(&mut command(&stub, options, &["python3", "-c", SLOWLY, at, pause])).done().to_owned()
    };
    for (at, pause) in [("8", "0.3"), ("12", "0.3"), ("5", "0.3"), ("8", "1.5"), ("12", "1.5")] {
        assert_eq!(written(&[], at, pause), "<***>", "{at} characters, then {pause} s");
    }
    assert_eq!(written(&["--no-mask"], "8", "0.3"), format!("<{VALUE}>"), "the control");
}

#[test]
fn what_ends_in_the_midst_of_a_value_is_masked() {
    for (at, written) in [(12, "<***".to_owned()), (8, "<***".into()), (7, format!("<{}", &VALUE[..7]))] {
        let stub = server_with_a_value();
        let cut_off =
            format!("import os; os.write(1, b'<' + os.environb[b'TOKEN'][:{at}]); os.kill(os.getpid(), 9)");
        let ended = run(&mut command(&stub, &[], &["python3", "-c", &cut_off]));
        assert_eq!((ended.code, ended.stdout), (Some(137), written), "{at} characters");
    }
}

#[test]
fn what_may_be_the_beginning_of_a_value_is_not_held_for_long() {
    let stub = server_with_a_value();
    let text = format!("touch ready; printf 'password: canary-'; {WAIT}; printf done");
    let file = fs::File::create(stub.home("file")).unwrap();
    let mut child = command(&stub, &[], &["sh", "-c", &text]).stdout(file).spawn().unwrap();
    let written = || fs::read_to_string(stub.home("file")).unwrap();
    eventually("the prompt is there", || written() == "password: canary-");
    fs::write(stub.home("go"), "").unwrap();
    assert_eq!((wait(&mut child).code(), written().as_str()), (Some(0), "password: canary-done"));
}

#[test]
fn output_that_has_no_room_is_an_error_although_the_command_saw_none() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = |text: &str| {
        let stub = server_with_a_value();
        run(command(&stub, &[], &["sh", "-c", text]).stdout(full()))
    };
    let short = ended("echo hi");
    assert_eq!(short.code, Some(1));
    let said = "the command's output can't be written: No space left on device";
    assert!(short.stderr.contains(said), "{}", short.stderr);
    let failed = ended("echo hi; exit 3");
    assert_eq!(failed.code, Some(3), "it says more itself");
    assert!(failed.stderr.contains(said), "{}", failed.stderr);
    assert_eq!(ended("true").code, Some(0), "the control: nothing to be written");
}

#[test]
fn much_output_arrives_whole_and_in_order() {
    let stub = server_with_a_value();
    let ended = script(&stub, &[], "seq 1 300000; seq 1 200000 >&2");
    assert_eq!(ended.done(), run(crate::harness::clean("seq").args(["1", "300000"])).done());
    assert_eq!(ended.stderr, run(crate::harness::clean("seq").args(["1", "200000"])).done());
}

#[test]
fn a_command_whose_reader_went_away_hears_of_it() {
    let stub = server_with_a_value();
    let mut child = command(&stub, &[], &["yes"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!((wait(&mut child).code(), &first), (Some(128 + 13), b"y\n"), "SIGPIPE, as without us");
    whole_run(&stub);
}

#[test]
fn what_the_command_leaves_behind_is_not_waited_for() {
    let stub = server_with_a_value();
    let text = "sleep 5 & echo $TOKEN; exit 4";
    let ended = script(&stub, &[], text);
    assert_eq!(ended.code, Some(4));
    assert_eq!(ended.stdout.lines().count(), 1);
    assert_eq!(
        ended.stderr.matches("note: the command has left something behind").count(),
        1,
        "{}",
        ended.stderr
    );
    whole_run(&stub);
}

#[test]
fn values_of_several_lines_are_masked() {
    let pem = "-----BEGIN KEY-----\nQUJDREVG\nR0hJSktM\n-----END KEY-----\n";
    let stub = server(&json!({"PEM": pem}));
    let ended = script(&stub, &[], "printf '[%s]' \"$PEM\"; printf '[%s]' \"$PEM\" | sed 's/$/\\r/'");
    assert!(!ended.done().contains("QUJD") && ended.stdout.starts_with('['), "{}", ended.stdout);
}

/// Writes until it is told to end.
const ENDLESS: &str = "
import os, signal
def end(*_):
    open('told', 'w').close()
    os._exit(5)
signal.signal(signal.SIGTERM, end)
open('ready', 'w').close()
while True:
    os.write(1, b'y' * 65536)
";

#[test]
fn a_reader_who_does_not_read_holds_up_nothing_else() {
    let stub = server_with_a_value();
    let mut wrapper = command(&stub, &[], &["python3", "-c", ENDLESS]);
    let mut child = wrapper.stdout(Stdio::piped()).spawn().unwrap();
    eventually("it runs", || stub.home("ready").exists());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    eventually("it is told to end", || stub.home("told").exists());
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(wait(&mut child).code(), Some(5));
    assert!(!text.is_empty() && text.bytes().all(|byte| byte == b'y'));
}
