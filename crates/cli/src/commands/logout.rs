//! `strongroom logout`: forgets a profile.

use crate::cli::people::Logout;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::profiles::{Editing, ProfileName};

pub(super) fn run(args: &Logout) -> Result<(), Failure> {
    let environment = Environment::read()?;
    let name = ProfileName::choose(args.profile.as_ref(), &environment)?;
    if !Editing::begin(&environment)?.remove(&name)? {
        return Err(Failure::new(format!("there is no profile `{name}`")).exit(Exit::NotFound));
    }
    output::complain(&format!(
        "Forgot the profile `{name}`. Its API key was not revoked: it works wherever else it is kept."
    ));
    Ok(())
}
