//! Signals on their way to the command: each once, whoever sent it.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{clean, eventually, wait};
use crate::run::{command, server_with_a_value, started, whole_run};
use crate::stub::{Stub, Told};

/// Writes the name of each signal that comes to a file, until one ends it.
pub(crate) const WITNESS: &str = "
import os, signal, sys
log = os.open('seen', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
signals = {signal.Signals['SIG' + name] for name in 'HUP INT QUIT TERM USR1 USR2 WINCH CONT'.split()}
signals = {number for number in signals if signal.getsignal(number) != signal.SIG_IGN}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
os.write(log, b'ready\\n')
while came := signal.sigtimedwait(signals, 60):
    os.write(log, (signal.Signals(came.si_signo).name + '\\n').encode())
    if came.si_signo == signal.SIGUSR2:
        sys.exit(9)
";

/// What the witness saw.
pub(crate) fn seen(stub: &Stub) -> String {
    fs::read_to_string(stub.home("seen")).unwrap_or_default().replace('\n', " ")
}

/// Waits until the witness saw all of this, and nothing else.
pub(crate) fn saw(stub: &Stub, expected: &str) {
    eventually(&format!("the command saw {expected:?}"), || seen(stub).len() >= expected.len());
    assert_eq!(seen(stub), expected);
}

#[test]
fn each_signal_is_passed_on_once_and_again() {
    for options in [&[][..], &["--no-mask"]] {
        let stub = server_with_a_value();
        let mut child =
            command(&stub, options, &["python3", "-c", WITNESS]).stdout(Stdio::null()).spawn().unwrap();
        let mut expected = "ready ".to_owned();
        saw(&stub, &expected);
        let send = |signal| kill_process(Pid::from_child(&child), signal).unwrap();
        for (signal, name) in [
            (Signal::INT, "INT"),
            (Signal::INT, "INT"),
            (Signal::TERM, "TERM"),
            (Signal::HUP, "HUP"),
            (Signal::QUIT, "QUIT"),
            (Signal::USR1, "USR1"),
            (Signal::WINCH, "WINCH"),
            (Signal::TERM, "TERM"),
        ] {
            send(signal);
            expected = format!("{expected}SIG{name} ");
            saw(&stub, &expected);
        }
        send(Signal::USR2);
        assert_eq!(wait(&mut child).code(), Some(9));
        assert_eq!(seen(&stub), expected + "SIGUSR2 ");
        whole_run(&stub);
    }
}

#[test]
fn a_signal_that_ends_the_command_is_our_exit_code_too() {
    for (signal, code) in [
        (Signal::INT, 130),
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::USR1, 138),
        (Signal::ABORT, 134),
        (Signal::ALARM, 142),
        (Signal::XCPU, 152),
        (Signal::POWER, 158),
    ] {
        let stub = server_with_a_value();
        let text = "touch ready; exec sleep 60";
        let mut child = command(&stub, &[], &["sh", "-c", text]).stdout(Stdio::null()).spawn().unwrap();
        eventually("it runs", || stub.home("ready").exists());
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(wait(&mut child).code(), Some(code));
        whole_run(&stub);
    }
}

#[test]
fn an_alarm_that_was_set_before_ends_the_command_and_the_run() {
    let stub = server_with_a_value();
    let wrapper = command(&stub, &[], &["sh", "-c", "exec sleep 60"]);
    let setting = "import os, signal, sys; signal.alarm(2); os.execvp(sys.argv[1], sys.argv[1:])";
    let mut python = clean("python3");
    python.args(["-c", setting]).arg(wrapper.get_program()).args(wrapper.get_args());
    python.envs(wrapper.get_envs().filter_map(|(name, value)| Some((name, value?))));
    python.current_dir(wrapper.get_current_dir().unwrap());
    let mut child = python.stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(wait(&mut child).code(), Some(142));
    whole_run(&stub);
}

/// The same command, started by a shell that ignores some signals.
fn ignoring(signals: &str, like: &Command) -> Command {
    let mut shell = clean("sh");
    shell
        .args(["-c", &format!("trap '' {signals}; exec \"$@\""), "sh"])
        .arg(like.get_program())
        .args(like.get_args());
    shell.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(like.get_current_dir().unwrap());
    shell
}

#[test]
fn what_was_ignored_stays_ignored() {
    let stub = server_with_a_value();
    let wrapper = command(&stub, &[], &["python3", "-c", WITNESS]);
    let mut child = ignoring("HUP INT", &wrapper).stdout(Stdio::null()).spawn().unwrap();
    saw(&stub, "ready ");
    let send = |signal| kill_process(Pid::from_child(&child), signal).unwrap();
    send(Signal::HUP);
    send(Signal::INT);
    send(Signal::USR1);
    saw(&stub, "ready SIGUSR1 ");
    send(Signal::USR2);
    assert_eq!(wait(&mut child).code(), Some(9));
    assert_eq!(seen(&stub), "ready SIGUSR1 SIGUSR2 ");
}

#[test]
fn whoever_is_interrupted_before_the_command_starts_has_no_run_left() {
    let stub = Stub::new();
    stub.say(201, started(3_600_000)).tell(Told::Never).say(200, "{}");
    let mut child = command(&stub, &[], &["touch", "started"]).spawn().unwrap();
    eventually("the values are asked for", || stub.lines().len() == 2);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(130));
    whole_run(&stub);
    assert!(!stub.home("started").exists());
}

#[test]
fn a_run_that_is_being_started_when_somebody_interrupts_is_stopped_too() {
    let stub = Stub::new();
    let answer = started(3_600_000).to_string();
    stub.tell(Told::Late(Duration::from_millis(500), 201, answer)).say(200, "{}");
    let mut child = command(&stub, &[], &["touch", "started"]).spawn().unwrap();
    eventually("it is asked for", || stub.lines().len() == 1);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_eq!(stub.lines().last().map(String::as_str), Some("POST /v2/run/stop"));
    assert!(!stub.home("started").exists());
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody_for_long() {
    let stub = Stub::new();
    stub.say(201, started(3_600_000)).say(200, r#"{"environment": {}}"#).tell(Told::Never);
    let ended = crate::run::script(&stub, &[], "exit 3");
    assert_eq!(ended.code, Some(3));
    assert!(ended.stderr.starts_with("note: the run could not be stopped"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}
