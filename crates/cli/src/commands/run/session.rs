//! The session of a command that has a terminal of its own. Three processes:
//! the one outside, which knows the person's terminal; the session's leader,
//! which outlives the command, so that this is a job that can be stopped (the
//! system stops no group of processes that nobody in the session looks after);
//! and the command itself. The last two begin as this program, because only a
//! process itself can do these things before it becomes another.

use rustix::process::{getpgrp, ioctl_tiocsctty, setsid};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{io, thread};
use tokio::runtime::Builder;

use super::child::{self, Child};
use super::events::Events;
use super::supervise::{Job, Post};
use crate::failure::Failure;
use crate::harden::Inherited;

/// This program, also after another has taken its place on disk.
const OURSELVES: &str = "/proc/self/exe";
/// The leader gives the terminal to the job at once after starting it.
const LOOK: Duration = Duration::from_micros(100);

/// A command, in a session on the terminal that its standard output is.
pub(super) fn command(words: &[OsString]) -> Command {
    ourselves("run-session", words)
}

fn ourselves(as_what: &str, words: &[OsString]) -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg0("strongroom").args([OsStr::new(as_what), OsStr::new("--")]).args(words);
    command
}

/// Leads a session in which a command is the job that has the terminal.
///
/// # Errors
/// When the system refuses one.
pub(in crate::commands) fn lead_session(words: &[OsString], before: Inherited) -> Result<ExitCode, Failure> {
    let mut events = Events::catch()?;
    setsid()?;
    ioctl_tiocsctty(io::stdout())?;
    let child = Child::start(ourselves("run-job", words).process_group(0), before)?;
    tcsetpgrp(io::stdout(), child.pid())?;
    let job = Job { child, post: Post::Leader, copying: Vec::new(), ended: None };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(child::exit_code(runtime.block_on(job.finish(&mut events))?).into())
}

/// Becomes the command, once it has the terminal: one that looked before would
/// take itself for a job in the background.
pub(in crate::commands) fn become_job(words: &[OsString], before: Inherited) -> Failure {
    loop {
        match tcgetpgrp(io::stdout()) {
            Ok(group) if group == getpgrp() => break,
            Ok(_) => thread::sleep(LOOK),
            Err(error) => return error.into(),
        }
    }
    before.restore();
    let mut command = child::command(words);
    let error = command.exec();
    child::unstarted(&command, &error)
}
