//! The variables that commands of a client read, in one place. A variable that
//! is set to nothing counts as not set.

use secrecy::SecretString;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::failure::Failure;

/// What the environment says about servers.
pub(crate) struct Environment {
    /// `STRONGROOM_URL`.
    pub(crate) url: Option<String>,
    /// `STRONGROOM_API_KEY`.
    pub(crate) api_key: Option<SecretString>,
    /// `STRONGROOM_PROFILE`.
    pub(crate) profile: Option<String>,
    /// `$XDG_CONFIG_HOME`, otherwise `~/.config`.
    pub(crate) config_home: Option<PathBuf>,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// When a variable isn't text; names the variable only.
    pub(crate) fn read() -> Result<Self, Failure> {
        Ok(Self {
            url: variable("STRONGROOM_URL")?,
            api_key: variable("STRONGROOM_API_KEY")?.map(SecretString::from),
            profile: variable("STRONGROOM_PROFILE")?,
            config_home: config_home()?,
        })
    }
}

/// Every variable, for a command that is run in our place.
pub(crate) fn whole() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// A relative `$XDG_CONFIG_HOME` is ignored, as its specification demands.
fn config_home() -> Result<Option<PathBuf>, Failure> {
    let xdg = variable("XDG_CONFIG_HOME")?.map(PathBuf::from).filter(|path| path.is_absolute());
    match xdg {
        Some(path) => Ok(Some(path)),
        None => Ok(variable("HOME")?.map(|home| PathBuf::from(home).join(".config"))),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads variables beside the options")]
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::new(format!("the variable {name} is not text in UTF-8")))
        }
    }
}
