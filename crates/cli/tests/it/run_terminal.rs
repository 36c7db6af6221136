//! `strongroom run` on a terminal, before a person: the command has a terminal
//! too, keys and signals reach it as if we weren't there, and the person's
//! terminal is afterwards as it was.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{read, write};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::harness::{clean, eventually, run, wait};
use crate::run::{VALUE, WAIT, command, server, server_with_a_value, whole_run};
use crate::run_signals::{WITNESS, saw, seen};
use crate::stub::Stub;

/// A terminal and whoever sits before it.
struct Desk {
    ours: Arc<OwnedFd>,
    theirs: OwnedFd,
    screen: Arc<Mutex<String>>,
    before: Termios,
}

impl Desk {
    fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
        let (ours, before) = (Arc::new(ours), tcgetattr(&theirs).unwrap());
        let desk = Self { ours, theirs, screen: Arc::default(), before };
        desk.size(24, 80);
        let (from, screen) = (Arc::downgrade(&desk.ours), Arc::clone(&desk.screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Some(from) = from.upgrade() {
                let look = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                if poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&look)).unwrap() > 0 {
                    let Ok(count) = read(&from, &mut bytes) else { return };
                    screen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
            }
        });
        desk
    }

    fn size(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.ours, size).unwrap();
    }

    fn end(&self) -> Stdio {
        self.theirs.as_fd().try_clone_to_owned().unwrap().into()
    }

    /// Starts a command that has this terminal, with some of its streams
    /// redirected as a shell does it.
    fn start(&self, like: &Command, redirected: &str) -> Child {
        let mut session = clean("setsid");
        session.args(["--ctty", "sh", "-c", &format!("exec \"$@\" {redirected}"), "sh"]);
        session.arg(like.get_program()).args(like.get_args());
        session.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = like.get_current_dir() {
            session.current_dir(directory);
        }
        session.stdin(self.end()).stdout(self.end()).stderr(self.end()).spawn().unwrap()
    }

    fn open(&self, like: &Command) -> Child {
        self.start(like, "")
    }

    fn press(&self, keys: &str) {
        assert_eq!(write(&self.ours, keys.as_bytes()).unwrap(), keys.len());
    }

    fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn shows(&self, text: &str) {
        eventually(&format!("the screen shows {text:?}: {}", self.screen()), || self.screen().contains(text));
    }

    /// Whether keys go to the program unread, instead of being read in lines.
    fn passes_keys(&self) -> bool {
        !tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn is_as_before(&self) {
        let now = tcgetattr(&self.theirs).unwrap();
        assert_eq!(format!("{now:?}"), format!("{:?}", self.before));
    }
}

fn python(text: &str) -> [&str; 3] {
    ["python3", "-c", text]
}

/// Says what a command finds on its streams, one letter for each: a terminal or not.
const LOOK: &str = "
import os
where = ''.join('T' if os.isatty(fd) else '-' for fd in range(3))
sizes = [os.get_terminal_size(fd) for fd in range(3) if os.isatty(fd)]
tty = os.open('/dev/tty', os.O_RDWR)
front = os.tcgetpgrp(tty) == os.getpgrp()
with open('found', 'w') as found:
    print(where, *sorted({f'{size.lines}x{size.columns}' for size in sizes}), front, file=found)
print('[' + os.environ['TOKEN'] + ']', '(' + os.environ['LINES_OF'] + ')')
";

fn lookout() -> Stub {
    server(&json!({"TOKEN": VALUE, "LINES_OF": "first\nsecond\n"}))
}

fn found(stub: &Stub) -> String {
    fs::read_to_string(stub.home("found")).unwrap_or_default()
}

#[test]
fn the_command_has_a_terminal_of_the_same_size() {
    let (desk, stub) = (Desk::new(), lookout());
    desk.size(33, 99);
    let mut child = desk.open(&command(&stub, &[], &python(LOOK)));
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(found(&stub), "TTT 33x99 True\n");
    desk.shows(")");
    let screen = desk.screen();
    assert!(screen.starts_with('[') && !screen.contains(VALUE) && !screen.contains("second"), "{screen}");
    desk.is_as_before();
    whole_run(&stub);
}

#[test]
fn each_stream_that_is_a_terminal_stays_one() {
    let desk = Desk::new();
    for (redirected, expected) in [
        ("< /dev/null", "-TT 24x80"),
        (" > file", "T-T 24x80"),
        ("2> file", "TT- 24x80"),
        ("< /dev/null > file", "---"),
        ("< /dev/null > file 2>&1", "---"),
        ("<> pipe", "-T- 24x80"),
        ("<> pipe > file", "---"),
        ("> /dev/tty < /dev/null", "-T- 24x80"),
    ] {
        let stub = lookout();
        assert_eq!(run(clean("mkfifo").arg(stub.home("pipe"))).code, Some(0));
        let mut child = desk.start(&command(&stub, &[], &python(LOOK)), redirected);
        assert_eq!(wait(&mut child).code(), Some(0), "{redirected}");
        assert_eq!(found(&stub), format!("{expected} True\n"), "{redirected}");
        let written = fs::read_to_string(stub.home("file")).unwrap_or_default();
        assert_eq!(written.contains('['), redirected.contains(" > file"), "{redirected}");
        assert!(!written.contains(VALUE), "{redirected}");
    }
    assert!(!desk.screen().contains(VALUE), "{}", desk.screen());
    desk.is_as_before();
}

#[test]
fn without_masking_the_terminal_is_the_persons_own() {
    let (desk, stub) = (Desk::new(), server_with_a_value());
    let text = "import os; print(os.ttyname(0), os.ttyname(1), os.environ['TOKEN'])";
    let name =
        fs::read_link(format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&desk.theirs))).unwrap();
    let mut child = desk.open(&command(&stub, &["--no-mask"], &python(text)));
    assert_eq!(wait(&mut child).code(), Some(0));
    desk.shows(&format!("{0} {0} {VALUE}", name.display()));
}

/// Tells each new size.
const SIZES: &str = "
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
came = True
while came:
    size = os.get_terminal_size(1)
    print(f'{size.lines}x{size.columns}', flush=True)
    came = signal.sigtimedwait([signal.SIGWINCH], 60)
";

#[test]
fn a_new_size_is_passed_on() {
    for redirected in ["", "< /dev/null", "<> pipe"] {
        let (desk, stub) = (Desk::new(), server_with_a_value());
        assert_eq!(run(clean("mkfifo").arg(stub.home("pipe"))).code, Some(0));
        let mut child = desk.start(&command(&stub, &[], &python(SIZES)), redirected);
        desk.shows("24x80");
        for (rows, columns) in [(40, 120), (10, 20)] {
            desk.size(rows, columns);
            desk.shows(&format!("{rows}x{columns}"));
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(wait(&mut child).code(), Some(143));
        desk.is_as_before();
    }
}

#[test]
fn keys_that_are_signals_arrive_once() {
    let (desk, stub) = (Desk::new(), server_with_a_value());
    let mut child = desk.open(&command(&stub, &[], &python(WITNESS)));
    saw(&stub, "ready ");
    assert!(desk.passes_keys());
    desk.press("\x03");
    saw(&stub, "ready SIGINT ");
    desk.press("\x1c");
    saw(&stub, "ready SIGINT SIGQUIT ");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    saw(&stub, "ready SIGINT SIGQUIT SIGINT ");
    kill_process(Pid::from_child(&child), Signal::USR2).unwrap();
    assert_eq!(wait(&mut child).code(), Some(9));
    assert_eq!(seen(&stub), "ready SIGINT SIGQUIT SIGINT SIGUSR2 ");
    desk.is_as_before();
    whole_run(&stub);
}

#[test]
fn keys_that_are_signals_arrive_once_too_on_a_terminal_that_is_shared() {
    for options in [&[][..], &["--no-mask"]] {
        let (desk, stub) = (Desk::new(), server_with_a_value());
        let mut child = desk.start(&command(&stub, options, &python(WITNESS)), "> /dev/null");
        saw(&stub, "ready ");
        desk.press("\x03");
        saw(&stub, "ready SIGINT ");
        // When this has come through, so has ours of the key.
        kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
        saw(&stub, "ready SIGINT SIGUSR1 ");
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        saw(&stub, "ready SIGINT SIGUSR1 SIGINT ");
        kill_process(Pid::from_child(&child), Signal::USR2).unwrap();
        assert_eq!(wait(&mut child).code(), Some(9));
        assert_eq!(seen(&stub), "ready SIGINT SIGUSR1 SIGINT SIGUSR2 ");
    }
}

#[test]
fn what_is_typed_arrives() {
    let (desk, stub) = (Desk::new(), server_with_a_value());
    let mut child = desk.open(&command(&stub, &[], &["sh", "-c", "read a; echo \"<$a>\"; cat"]));
    desk.press("three words here\r");
    desk.shows("<three words here>");
    desk.press(&format!("{VALUE}\r"));
    desk.press("end\r\x04");
    assert_eq!(wait(&mut child).code(), Some(0));
    eventually("it is echoed and copied", || desk.screen().matches("end\r\n").count() == 2);
    assert!(!desk.screen().contains(VALUE), "{}", desk.screen());
}

/// Looks for the keyboard as pagers do whose standard input is a file.
const PAGER: &str = "
import os, termios, tty
keyboard = 2 if os.isatty(2) else os.open('/dev/tty', os.O_RDWR)
before = termios.tcgetattr(keyboard)
tty.setcbreak(keyboard)
os.write(1, b'more?')
key = os.read(keyboard, 1)
termios.tcsetattr(keyboard, termios.TCSANOW, before)
os.write(1, b'<' + key + b'>')
";

#[test]
fn what_is_typed_is_seen_although_a_value_begins_so() {
    let (desk, stub) = (Desk::new(), server(&json!({"TOKEN": "https://user:7f3a1c0b2d4e@example.com"})));
    let mut child = desk.open(&command(&stub, &[], &python("print('got', input('where: '))")));
    desk.shows("where: ");
    // Key by key: its echo comes so, too.
    for (at, key) in "https://".split("").filter(|key| !key.is_empty()).enumerate() {
        desk.press(key);
        desk.shows(&format!("where: {}", &"https://"[..=at]));
    }
    desk.press("other.example\n");
    desk.shows("got https://other.example");
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn the_keyboard_is_found_where_standard_input_is_none() {
    for redirected in ["", "< /dev/null", "<> pipe"] {
        let (desk, stub) = (Desk::new(), server_with_a_value());
        assert_eq!(run(clean("mkfifo").arg(stub.home("pipe"))).code, Some(0));
        let mut child = desk.start(&command(&stub, &[], &python(PAGER)), redirected);
        desk.shows("more?");
        desk.press("q");
        assert_eq!(wait(&mut child).code(), Some(0), "{redirected}");
        desk.shows("<q>");
        desk.is_as_before();
    }
}

#[test]
fn a_command_that_is_not_there_leaves_the_terminal_as_it_was() {
    let (desk, stub) = (Desk::new(), server_with_a_value());
    let mut child = desk.open(&command(&stub, &[], &["no-such-command"]));
    assert_eq!(wait(&mut child).code(), Some(127));
    desk.shows("error: `no-such-command` can't be run: No such file");
    desk.is_as_before();
    whole_run(&stub);
}

#[test]
fn a_terminal_that_is_closed_hangs_up() {
    let (desk, stub) = (Desk::new(), server_with_a_value());
    let mut child = desk.open(&command(&stub, &[], &python(WITNESS)));
    saw(&stub, "ready ");
    let Desk { ours, theirs, .. } = desk;
    drop(theirs);
    drop(ours);
    eventually("it is told", || seen(&stub).contains("SIGHUP"));
    kill_process(Pid::from_child(&child), Signal::USR2).unwrap();
    assert_eq!(wait(&mut child).code(), Some(9));
    whole_run(&stub);
}

#[test]
fn what_is_written_to_a_terminal_that_is_closed_is_no_loss() {
    let (desk, stub) = (Desk::new(), server_with_a_value());
    let text = format!("trap '' HUP; touch ready; {WAIT}; echo more");
    let mut child = desk.open(&command(&stub, &[], &["sh", "-c", &text]));
    eventually("it is there", || stub.home("ready").exists());
    drop(desk);
    fs::write(stub.home("go"), "").unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
}

/// A shell with job control on a terminal, and a file `./run` for it to run.
fn shell(desk: &Desk, stub: &Stub, redirected: &str) -> Child {
    let wrapped = command(stub, &[], &["python3", "-c", WITNESS]);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
    let words: Vec<_> =
        std::iter::once(wrapped.get_program()).chain(wrapped.get_args()).map(quoted).collect();
    fs::write(stub.home("run"), format!("exec {} {redirected}\n", words.join(" "))).unwrap();
    let mut bash = clean("bash");
    bash.args(["--norc", "-i"]).current_dir(stub.home("")).env("PS1", "$ ").env("TERM", "dumb");
    bash.envs(wrapped.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let child = desk.open(&bash);
    desk.shows("$ ");
    child
}

#[test]
fn a_job_is_stopped_and_goes_on() {
    for redirected in ["", "> /dev/null", "2> /dev/null"] {
        let (desk, stub) = (Desk::new(), server_with_a_value());
        let mut bash = shell(&desk, &stub, redirected);
        desk.press("sh ./run\r");
        saw(&stub, "ready ");
        desk.press("\x1a");
        desk.shows("Stopped");
        desk.press("fg\r");
        saw(&stub, "ready SIGCONT ");
        desk.press("\x03");
        saw(&stub, "ready SIGCONT SIGINT ");
        desk.press("\x1a");
        eventually("it is stopped again", || desk.screen().matches("Stopped").count() == 2);
        desk.press("kill -USR2 %1; fg; echo code=$?\r");
        desk.shows("code=9");
        assert_eq!(seen(&stub).matches("SIGUSR2").count(), 1, "{redirected}: {}", seen(&stub));
        whole_run(&stub);
        desk.press("exit\r");
        wait(&mut bash);
    }
}

#[test]
fn a_job_in_the_background_runs_and_comes_back() {
    let (desk, stub) = (Desk::new(), server_with_a_value());
    let mut bash = shell(&desk, &stub, "");
    desk.press("sh ./run &\r");
    saw(&stub, "ready ");
    desk.press("fg\r");
    eventually("it has the keys", || desk.passes_keys() && desk.screen().contains("fg\r\n"));
    desk.press("\x03");
    saw(&stub, "ready SIGINT ");
    desk.press("\x1a");
    desk.shows("Stopped");
    desk.press("bg\r");
    saw(&stub, "ready SIGINT SIGCONT ");
    desk.press("kill -USR2 %1; wait %1; echo code=$?\r");
    desk.shows("code=9");
    desk.press("exit\r");
    wait(&mut bash);
    whole_run(&stub);
}
