//! Texts that people give: parsed once at the edge, true from then on.

use std::fmt;

/// Why a text was refused, in words for the one who sent it. Holds no piece of
/// the input, so it can be shown and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(&'static str);

impl Invalid {
    /// A reason that completes the sentence "`name` …".
    pub const fn new(reason: &'static str) -> Self {
        Self(reason)
    }

    /// The reason alone.
    pub const fn reason(self) -> &'static str {
        self.0
    }
}

/// The text itself when it has `1..=max` Unicode scalar values and no NUL.
fn bounded(text: String, max: usize, refused: Invalid) -> Result<String, Invalid> {
    let length = text.chars().take(max + 1).count();
    if length == 0 || length > max || text.contains('\0') { Err(refused) } else { Ok(text) }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident($max:literal) = $refused:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The longest that is taken, in Unicode scalar values.
            pub const MAX: usize = $max;

            /// Takes the text when it is 1 to [`Self::MAX`] Unicode scalar values without NUL.
            ///
            /// # Errors
            /// When it isn't; the message never quotes it.
            pub fn parse(text: impl Into<String>) -> Result<Self, Invalid> {
                bounded(text.into(), Self::MAX, Invalid::new($refused)).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts! {
    /// What a secret is called. Need not be unique.
    SecretName(128) = "must be 1 to 128 characters without NUL";
    /// Which service a secret is for: any short text, usually a slug.
    ServiceSlug(64) = "must be null, or 1 to 64 characters without NUL";
    /// What a team is called.
    TeamName(128) = "must be 1 to 128 characters without NUL";
    /// What a user is called.
    UserName(128) = "must be 1 to 128 characters without NUL";
    /// What an API key is called.
    KeyName(128) = "must be 1 to 128 characters without NUL";
    /// What a browser says it is.
    BrowserName(256) = "must be 1 to 256 characters without NUL";
    /// What an agent is called.
    AgentName(128) = "must be 1 to 128 characters without NUL";
    /// What a revision is called.
    RevisionName(128) = "must be 1 to 128 characters without NUL";
    /// What a secret is asked for, in the asker's words.
    FillNote(512) = "must be 1 to 512 characters without NUL";
    /// What a run is for, in its starter's words.
    RunNote(512) = "must be 1 to 512 characters without NUL";
}

/// Where a user gets mail. Only the shape `something@something` is checked:
/// whether it exists is known when a mail arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Takes an address of at most 254 bytes (RFC 5321's limit for a path) with
    /// one `@` that has something on each side, and neither spaces nor controls.
    ///
    /// # Errors
    /// When it isn't one; the message never quotes it.
    pub fn parse(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        let two_sides = text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if text.len() <= 254 && two_sides && plain {
            Ok(Self(text))
        } else {
            Err(Invalid::new("must be an email address such as ada@example.com"))
        }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_scalar_values() {
        assert!(SecretName::parse("é".repeat(128)).is_ok());
        assert!(SecretName::parse("🔑".repeat(128)).is_ok());
        assert!(SecretName::parse("a".repeat(129)).is_err());
        assert!(SecretName::parse("").is_err());
        assert!(SecretName::parse("a\0b").is_err());
        assert!(ServiceSlug::parse("<string>").is_ok());
        assert!(ServiceSlug::parse("a".repeat(65)).is_err());
    }

    #[test]
    fn emails() {
        assert!(Email::parse("owner@localhost").is_ok());
        for bad in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n"] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }
}
