//! API keys and links that are handed to a command: through standard input, or
//! typed unseen. Never through the command line.

use secrecy::{ExposeSecret, SecretString};
use std::io::{self, IsTerminal, Read};
use strongroom_core::tokens::{Token, TokenKind};

use crate::client::token;
use crate::failure::{Exit, Failure};

/// Many times a token.
const MOST: u64 = 4096;

/// An API key, from standard input if `piped`, otherwise only from a terminal.
///
/// # Errors
/// When there is none, or what is there can't be one.
pub(crate) fn api_key(piped: bool) -> Result<Token, Failure> {
    if !piped && !io::stdin().is_terminal() {
        return Err(Failure::new("there is no terminal to ask for the API key on")
            .hint("add --api-key-stdin, and give the key on standard input")
            .exit(Exit::NotAuthenticated));
    }
    read(TokenKind::ApiKey, "API key: ")
}

/// A link, from standard input.
///
/// # Errors
/// When there is none, or what is there can't be one.
pub(crate) fn link() -> Result<Token, Failure> {
    read(TokenKind::Link, "Link: ")
}

#[expect(clippy::disallowed_methods, reason = "what was typed is read as a token")]
fn read(kind: TokenKind, prompt: &str) -> Result<Token, Failure> {
    let text = if io::stdin().is_terminal() { rpassword::prompt_password(prompt) } else { piped() };
    let text = text.map_err(|error| Failure::because("standard input can't be read", &error))?;
    token(kind, SecretString::from(text).expose_secret())
}

fn piped() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(MOST).read_to_string(&mut text)?;
    Ok(text)
}
