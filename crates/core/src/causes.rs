//! Errors in words.

use std::error::Error;

/// An error and its sources in one sentence, for logs and for who runs a command; one that already
/// says what its source says doesn't say it twice.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
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
    enum Outer {
        #[error("nothing was stored")]
        Silent(#[source] std::io::Error),
        #[error("nothing was stored: {0}")]
        Quoting(#[source] std::io::Error),
    }

    #[test]
    fn a_cause_is_said_once() {
        for outer in [Outer::Silent, Outer::Quoting] {
            let error = outer(std::io::Error::other("the disk is full"));
            assert_eq!(with_causes(&error), "nothing was stored: the disk is full");
        }
    }
}
