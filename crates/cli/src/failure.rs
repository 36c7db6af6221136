//! Why a command failed, in words for the person who ran it: what happened,
//! and what to do next. Never holds a value or a key.

use std::error::Error;
use std::process::ExitCode;
use strongroom_core::with_causes;

use crate::output;

/// A server's names for what may be otherwise a little later.
const PASSING: [&str; 4] = ["unavailable", "rate_limited", "conflict", "internal"];

/// What a command ends with when it can't do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    exit: Exit,
    answer: Option<String>,
    code: Option<String>,
}

/// What the exit code tells a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failed,
    /// There is no API key, or the server didn't take it.
    NotAuthenticated,
    /// The server has no such thing, or shows it to others only.
    NotFound,
    /// The command line was wrong (`EX_USAGE` of sysexits.h).
    Usage,
    /// The command to run is there, and can't be run. As shells have it.
    CommandNotRun,
    /// There is no such command to run. As shells have it.
    CommandNotFound,
}

impl Exit {
    /// Each code and its meaning, as the reference has it.
    pub(crate) const TABLE: [(u8, &str); 7] = [
        (0, "done"),
        (Self::Failed.code(), "failed"),
        (Self::NotAuthenticated.code(), "not authenticated: no API key, or one that the server didn't take"),
        (Self::NotFound.code(), "not found, or not yours to see"),
        (Self::Usage.code(), "the command line was wrong"),
        (Self::CommandNotRun.code(), "`run`: the command can't be run"),
        (Self::CommandNotFound.code(), "`run`: there is no such command"),
    ];

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::NotAuthenticated => 2,
            Self::NotFound => 3,
            Self::Usage => 64,
            Self::CommandNotRun => 126,
            Self::CommandNotFound => 127,
        }
    }
}

impl Failure {
    /// A failure with nothing below it.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit: Exit::Failed, answer: None, code: None }
    }

    /// A failure and its causes, as one sentence: `message: cause: deeper cause`.
    pub(crate) fn because(message: impl Into<String>, cause: &dyn Error) -> Self {
        Self::new(format!("{}: {}", message.into(), with_causes(cause)))
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do next, unless that was said.
    pub(crate) fn hint_if_none(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    /// Adds what else would help.
    pub(crate) fn or_hint(self, other: &str) -> Self {
        let hint = match &self.hint {
            Some(hint) => format!("{hint}; or {other}"),
            None => other.to_owned(),
        };
        self.hint(hint)
    }

    /// Ends the command with another exit code than 1.
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Adds what a server answered, for a program that asked for answers as they are.
    pub(crate) fn answer(mut self, answer: String) -> Self {
        self.answer = Some(answer);
        self
    }

    /// Adds the code by which a server names its refusal.
    pub(crate) fn code(mut self, code: String) -> Self {
        self.code = Some(code);
        self
    }

    /// Whether it is a server's refusal of this name.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether it may be otherwise a little later, as it is of a server that is down.
    pub(crate) fn may_pass(&self) -> bool {
        let refused = self.code.as_deref().is_some_and(|code| !PASSING.contains(&code));
        self.exit == Exit::Failed && !refused
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do next, if there is more to say than the message says.
    pub(crate) fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Tells the person, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if let Some(answer) = &self.answer {
            let _unread = output::line(answer);
        }
        output::complain(&format!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            output::complain(&format!("hint: {hint}"));
        }
        ExitCode::from(self.exit.code())
    }
}

/// The errors of the other crates say what happened and, behind a semicolon,
/// what to do about it.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let text = with_causes(&error);
        match text.split_once("; ") {
            Some((message, hint)) => Self::new(message).hint(hint),
            None => Self::new(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the database can't be opened")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_in_one_sentence() {
        let outer = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(Failure::from(outer).message, "the database can't be opened: disk on fire");
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed: {0}")]
        struct Quoting(#[source] std::io::Error);
        let quoting = Quoting(std::io::Error::other("disk on fire"));
        assert_eq!(Failure::because("stopped", &quoting).message, "stopped: failed: disk on fire");
    }
}
