//! Asks before something is done that another command can't undo.

use crate::cli::client::Confirmed;
use crate::failure::Failure;
use crate::output;

/// Whether somebody has to be asked.
pub(super) fn needed(confirmed: &Confirmed) -> bool {
    !confirmed.yes && !confirmed.write.dry_run
}

/// Goes on when somebody says yes, has said it beforehand, or nothing will happen.
///
/// # Errors
/// When they don't, or nobody can be asked.
pub(super) fn confirm(confirmed: &Confirmed, question: &str) -> Result<(), Failure> {
    possible(confirmed)?;
    if !needed(confirmed) {
        return Ok(());
    }
    let reply = output::ask(&format!("{question} [y/N] "))?;
    if matches!(reply.to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new("nothing was changed"))
    }
}

/// Refuses where somebody has to be asked and nobody can be.
///
/// # Errors
/// When that is so.
pub(super) fn possible(confirmed: &Confirmed) -> Result<(), Failure> {
    if needed(confirmed) && !output::a_person_is_there() {
        return Err(Failure::new(
            "this needs a yes, and there is no terminal to ask on; nothing was changed",
        )
        .hint("add --yes if you are sure"));
    }
    Ok(())
}
