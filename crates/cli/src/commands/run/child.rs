//! The command as a process: started with its values in its environment, and
//! nowhere else, and looked at when it ends or stops.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use secrecy::ExposeSecret;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use super::environment::{Values, inherited};
use crate::environment;
use crate::failure::{Exit, Failure};
use crate::harden::Inherited;
use crate::printable::printable;

/// What the system says of a list of arguments and variables that is too long
/// (`E2BIG`).
const TOO_LONG: i32 = 7;

/// A process that was started.
pub(super) struct Child {
    process: std::process::Child,
    pid: Pid,
}

impl Child {
    /// Starts it as this process was started, whatever we did to ourselves since.
    ///
    /// # Errors
    /// When it can't be run, with the exit code that shells have for it.
    pub(super) fn start(command: &mut Command, before: Inherited) -> Result<Self, Failure> {
        before.restore();
        let process = command.spawn().map_err(|error| unstarted(command, &error))?;
        let pid = Pid::from_child(&process);
        Ok(Self { process, pid })
    }

    /// Its id.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system doesn't say.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.process.try_wait().map_err(|error| Failure::because("the command can't be waited for", &error))
    }

    /// Whether it is stopped.
    pub(super) fn is_stopped(&self) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(self.pid), options), Ok(Some(_)))
    }

    /// Lets it go on if it is stopped.
    pub(super) fn go_on(&self) {
        if self.is_stopped() {
            self.signal(Signal::CONT);
        }
    }

    /// Sends it a signal; one that has ended is still ours to wait for, so that
    /// no other process has its id.
    pub(super) fn signal(&self, signal: Signal) {
        let _ended = kill_process(self.pid, signal);
    }
}

/// The command itself.
pub(super) fn command(words: &[OsString]) -> Command {
    let (program, arguments) =
        words.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
    let mut command = Command::new(program.map_or_else(Default::default, OsString::as_os_str));
    command.args(arguments);
    command
}

/// Gives a command the caller's variables without ours, and the values.
#[expect(clippy::disallowed_methods, reason = "a run's values are for its command's environment")]
pub(super) fn give(command: &mut Command, values: &Values) {
    command.env_clear().envs(inherited(environment::whole()));
    for (name, value) in values {
        command.env(name.as_str(), value.expose_secret());
    }
}

/// The exit code of whoever ended so, as shells have it.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Why a command could not be started.
pub(super) fn unstarted(command: &Command, error: &io::Error) -> Failure {
    let name = printable(&command.get_program().to_string_lossy());
    let failure = Failure::because(format!("`{name}` can't be run"), error);
    match error.kind() {
        io::ErrorKind::NotFound => failure.exit(Exit::CommandNotFound),
        _ if error.raw_os_error() == Some(TOO_LONG) => failure
            .hint("most systems take values of up to 128 KiB, and 2 MiB in all; name fewer with --only")
            .exit(Exit::CommandNotRun),
        _ => failure.exit(Exit::CommandNotRun),
    }
}
