//! Everything that is written to standard output and standard error, but for
//! logs. A reader that has gone away is no panic.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::paragraph::fitted;

/// Writes a line to standard output, at once.
///
/// # Errors
/// When nobody reads it any more, or it can't be written.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes what a command was asked for. A reader who has seen enough and went
/// away is no failure.
///
/// # Errors
/// When it can't be written.
pub(crate) fn answer(text: &str) -> io::Result<()> {
    whole(text.trim_end())
}

/// Writes what a command was asked for, to the last byte, and a line feed. A
/// reader who has seen enough and went away is no failure.
///
/// # Errors
/// When it can't be written.
pub(crate) fn whole(text: &str) -> io::Result<()> {
    match line(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes a line to standard error. Where even that fails, nobody is listening.
pub(crate) fn complain(text: &str) {
    let mut err = io::stderr().lock();
    let _unheard = writeln!(err, "{}", readable(text));
}

/// Whether a person sees standard output.
pub(crate) fn seen_by_a_person() -> bool {
    io::stdout().is_terminal()
}

/// Whether whoever read standard output through a pipe has gone away.
pub(crate) fn reader_is_gone() -> bool {
    let out = io::stdout();
    let mut watched = [PollFd::new(&out, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&at_once)).is_ok()
        && watched.iter().any(|out| out.revents().intersects(PollFlags::ERR | PollFlags::NVAL))
}

/// How wide the terminal is that a person sees standard output on.
pub(crate) fn width() -> Option<usize> {
    columns(&io::stdout())
}

/// The columns of a terminal that says how many it has.
fn columns(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let size = stream.is_terminal().then(|| rustix::termios::tcgetwinsize(stream).ok())??;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}

/// Words on their way to standard error, in lines if a person reads them there.
fn readable(text: &str) -> Cow<'_, str> {
    match columns(&io::stderr()) {
        Some(columns) => fitted(text, columns).into(),
        None => text.into(),
    }
}

/// Whether a person can be asked something.
pub(crate) fn a_person_is_there() -> bool {
    io::stdin().is_terminal() && errors_seen_by_a_person()
}

/// Asks on standard error, with a blank behind the question, and reads the answer from standard input.
///
/// # Errors
/// When it can't be read.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    let mut err = io::stderr().lock();
    let _unheard = write!(err, "{} ", readable(question)).and_then(|()| err.flush());
    let mut reply = String::new();
    io::stdin().read_line(&mut reply)?;
    if !reply.ends_with('\n') {
        let _unheard = writeln!(err);
    }
    Ok(reply.trim().to_owned())
}

/// Whether a person sees standard error.
pub(crate) fn errors_seen_by_a_person() -> bool {
    io::stderr().is_terminal()
}
