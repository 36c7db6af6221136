//! `strongroom run`.

use clap::Args;
use jiff::{Span, SpanRelativeTo};
use std::ffi::OsString;
use strongroom_core::EnvKey;
use uuid::Uuid;

use super::client::{Server, id};

/// The shortest and the longest lease that a server gives, in seconds.
const LEASES: std::ops::RangeInclusive<u32> = 10..=604_800;

/// `strongroom run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The agent whose secrets the command gets: its id, or its name if your key may list agents.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) agent: String,
    /// The agent's revision [default: the live one]
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) revision: Option<Uuid>,
    /// Refuse to start when two secrets hold a value of the same name.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Hand on these values only.
    #[arg(long, value_name = "KEY", num_args = 1.., value_parser = env_key)]
    pub(crate) only: Vec<EnvKey>,
    /// Hand on these values although programs take code from them, such as PATH.
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = env_key)]
    pub(crate) allow_env: Vec<EnvKey>,
    /// Hand on placeholders in the values' place: the command reaches the hosts that its secrets'
    /// policies name through the server's broker, which puts the values in on their way.
    #[arg(long)]
    pub(crate) broker: bool,
    /// Don't mask values in what the command writes; its output isn't touched then.
    #[arg(long)]
    pub(crate) no_mask: bool,
    /// How long the run outlives a host that is cut off, such as 90s, 15m, 1h30m or 2d; it is
    /// renewed while the command runs.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    pub(crate) ttl: u32,
    /// What the run is for, kept with it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) command: Words,
    #[command(flatten)]
    pub(crate) server: Server,
    /// The team [default: the API key's own]
    #[arg(long, value_name = "ID", value_parser = id, help_heading = "Connection")]
    pub(crate) team: Option<Uuid>,
}

/// A command and its arguments.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND", id = "command")]
    pub(crate) words: Vec<OsString>,
}

fn env_key(text: &str) -> Result<EnvKey, String> {
    EnvKey::parse(text).map_err(|invalid| invalid.to_string())
}

/// A span of time such as `1h30m`, in seconds; a day has 24 hours.
fn seconds(text: &str) -> Result<u32, &'static str> {
    let span: Option<Span> = text.parse().ok();
    let time = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    time.and_then(|time| u32::try_from(time.as_secs()).ok())
        .filter(|seconds| LEASES.contains(seconds))
        .ok_or("must be a time such as 90s, 15m, 1h30m or 2d, from 10s to 7d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in [
            ("10s", 10),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("7d", 604_800),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in
            ["", "1", "90", "9s", "8d", "1mo", "-1h", "1h ago", "h", "1e3s", "10s10", "999999999999d"]
        {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
