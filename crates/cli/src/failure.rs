//! Why a command failed, in words for the person who ran it: what happened,
//! and what to do next. Never holds a value or a key.

use std::error::Error;
use std::process::ExitCode;

use crate::output;

/// What a command ends with when it can't do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure with nothing below it.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// A failure and its causes, as one sentence: `message: cause: deeper cause`.
    pub(crate) fn because(message: impl Into<String>, cause: &dyn Error) -> Self {
        Self::new(format!("{}: {}", message.into(), chain(cause)))
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
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
        output::complain(&format!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            output::complain(&format!("hint: {hint}"));
        }
        ExitCode::FAILURE
    }
}

/// The errors of the other crates say what happened and, behind a semicolon,
/// what to do about it.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let text = chain(&error);
        match text.split_once("; ") {
            Some((message, hint)) => Self::new(message).hint(hint),
            None => Self::new(text),
        }
    }
}

/// The error and its sources; one that already says what its source says
/// doesn't say it twice.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
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
