//! What every command that speaks to a server takes. These options have no key
//! in `strongroom.toml`, which configures servers; what a client remembers is a
//! profile. An API key is never an option: the command line is seen by every
//! process of the machine.

use clap::Args;
use uuid::Uuid;

use crate::profiles::ProfileName;

/// Which server, as whom, and for whom the output is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The team [default: the API key's own]
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) team: Option<Uuid>,
    /// Print the server's answer as it is, followed by a line feed.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Server {
    /// The server's URL [default: `STRONGROOM_URL`, else the profile's, else `http://127.0.0.1:8700`]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The profile that a login stored [default: `STRONGROOM_PROFILE`, else `default`]
    #[arg(long, value_name = "NAME", value_parser = ProfileName::parse)]
    pub(crate) profile: Option<ProfileName>,
    /// Send the API key over plain HTTP to another machine: whoever sees the traffic can use it.
    #[arg(long)]
    pub(crate) insecure_http: bool,
}

/// Which part of a list.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// At most so many, up to 200 [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=200))]
    pub(crate) limit: Option<u8>,
    /// Leave out so many first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: u32,
}

/// How a change is made.
#[derive(Debug, Args)]
pub(crate) struct Write {
    /// Do everything but the change itself, and answer as if it had been made.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Names this one change: sent again within 24 hours with the same name, it isn't made twice
    /// [default: a random one]
    #[arg(long, value_name = "TEXT", value_parser = idempotency_key)]
    pub(crate) idempotency_key: Option<String>,
}

/// A change that can't be undone by its inverse.
#[derive(Debug, Args)]
pub(crate) struct Confirmed {
    /// Don't ask. Needed where there is no terminal to ask on.
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) write: Write,
}

/// An id, as every answer shows them.
pub(crate) fn id(text: &str) -> Result<Uuid, &'static str> {
    Uuid::parse_str(text).map_err(|_| "must be an id such as 01890a5d-ac96-774b-bcce-b302099a8057")
}

fn idempotency_key(text: &str) -> Result<String, &'static str> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=255).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 255 visible ASCII characters, without blanks")
    }
}
