//! `strongroom keys …`.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::client::{Common, Confirmed, Server, Write, id};
use super::people::RoleName;

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// List API keys: all of the team for an administrator, your own otherwise.
    List(Listing),
    /// Create an API key, and print it: it is shown only now.
    #[command(after_help = "\
Examples:
  strongroom keys create --name laptop
  strongroom keys create --name host --service-user ID --scope runs:start

Standard output gets the key and nothing else.")]
    Create(Create),
    /// Revoke an API key; whoever uses it is refused at once.
    Revoke(Revoke),
    /// Create a link with which somebody makes their own key, once, and print it.
    #[command(after_help = "\
Examples:
  strongroom keys link ID --name laptop
  strongroom keys link ID --name laptop --valid-seconds 3600 > link

Standard output gets the link and nothing else. Nobody but who uses it sees the key.")]
    Link(Link),
    /// List the links that nobody has used yet.
    Links(Listing),
    /// Take a link back.
    CancelLink(CancelLink),
    /// Use a link, read from standard input or asked for, and print the API key that it gives.
    #[command(after_help = "\
Example:
  strongroom keys claim --url https://strongroom.example < link

To store the key instead of printing it: strongroom login --link-stdin")]
    Claim(Claim),
}

/// `keys list`, `keys links`.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What a key may do.
#[derive(Debug, Args)]
pub(crate) struct Grant {
    /// What the key is called.
    #[arg(long)]
    pub(crate) name: String,
    /// Its role [default: yours]
    #[arg(long, value_enum)]
    pub(crate) role: Option<RoleName>,
    /// What it may do, once for each: secrets:read, secrets:write, runs:start, team:read, admin
    /// [default: what your key may, but for runs:start]
    #[arg(long)]
    pub(crate) scope: Vec<String>,
    /// Only these agents may be run with it, once for each.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) agent: Vec<Uuid>,
    /// It may be used only from these networks, once for each, such as 10.0.0.0/8. Behind a
    /// reverse proxy the server must know it (--trusted-proxies), or it sees the proxy's address.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) cidr: Vec<String>,
    /// When the key ends, such as 2027-01-31T00:00:00Z [default: never, unless yours does]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires_at: Option<String>,
}

/// `keys create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) grant: Grant,
    /// The service user who the key acts as [default: you]
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) service_user: Option<Uuid>,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `keys revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `keys link`.
#[derive(Debug, Args)]
pub(crate) struct Link {
    /// The id of the member who the key will act as.
    #[arg(value_parser = id)]
    pub(crate) user_id: Uuid,
    #[command(flatten)]
    pub(crate) grant: Grant,
    /// Seconds for which the link works [default: a day]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=604_800))]
    pub(crate) valid_seconds: Option<u32>,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `keys cancel-link`.
#[derive(Debug, Args)]
pub(crate) struct CancelLink {
    /// The link's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `keys claim`.
#[derive(Debug, Args)]
pub(crate) struct Claim {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print the server's answer as it is, followed by a line feed.
    #[arg(long)]
    pub(crate) json: bool,
}
