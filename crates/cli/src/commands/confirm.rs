//! Asks before something is done that another command can't undo.

use serde::de::DeserializeOwned;

use crate::cli::client::Confirmed;
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::output;

/// Goes on when somebody says yes, has said it beforehand, or nothing will happen.
///
/// # Errors
/// When they don't, or nobody can be asked.
pub(super) fn confirm(confirmed: &Confirmed, question: &str) -> Result<(), Failure> {
    if needed(confirmed)? { ask(question) } else { Ok(()) }
}

/// The same with a question about what the server has at this path. It is looked
/// at only when somebody has to be asked.
///
/// # Errors
/// When they don't say yes, nobody can be asked, or there is no such thing.
pub(super) async fn confirm_about<T: DeserializeOwned>(
    client: &Client,
    path: String,
    confirmed: &Confirmed,
    question: impl FnOnce(T) -> String,
) -> Result<(), Failure> {
    if !needed(confirmed)? {
        return Ok(());
    }
    let seen = client.send(Request::get(path)).await?.read()?;
    ask(&question(seen))
}

/// Whether somebody has to be asked.
///
/// # Errors
/// When somebody has, and nobody can be.
fn needed(confirmed: &Confirmed) -> Result<bool, Failure> {
    if confirmed.yes || confirmed.write.dry_run {
        return Ok(false);
    }
    if output::a_person_is_there() {
        return Ok(true);
    }
    Err(Failure::new("this needs a yes, and there is no terminal to ask on; nothing was changed")
        .hint("add --yes if you are sure"))
}

fn ask(question: &str) -> Result<(), Failure> {
    let reply = output::ask(&format!("{question} [y/N]"))?;
    if matches!(reply.to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new("not confirmed, so nothing was changed"))
    }
}
