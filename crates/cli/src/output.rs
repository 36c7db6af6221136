//! Everything that is written to standard output and standard error, but for
//! logs. A reader that has gone away is no panic.

use std::io::{self, IsTerminal, Write};

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
    match line(text.trim_end()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes a line to standard error. Where even that fails, nobody is listening.
pub(crate) fn complain(text: &str) {
    let mut err = io::stderr().lock();
    let _unheard = writeln!(err, "{text}");
}

/// Whether a person sees standard output.
pub(crate) fn seen_by_a_person() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person sees standard error.
pub(crate) fn errors_seen_by_a_person() -> bool {
    io::stderr().is_terminal()
}
