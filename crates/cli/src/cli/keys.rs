//! `strongroom keys …`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use strongroom_core::keyring::Purpose;
use uuid::Uuid;

use super::audit::Itself;
use super::client::{Common, Confirmed, Server, Write, id};
use super::people::RoleName;
use super::root_key::{Keeper, RootKeyKind};
use super::server::Operated;

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
    /// Show the keys that the team's values are sealed under, and how many values an older one
    /// still seals; or the root, master and purpose keys of an instance.
    #[command(after_help = "\
Examples:
  strongroom keys status
  strongroom keys status --data-dir /var/lib/strongroom
  strongroom keys status --data-dir /var/lib/strongroom --count

An instance is looked at beside its running server, and nothing in it changes.")]
    Status(Box<Status>),
    /// Give a new key to what seals others.
    #[command(subcommand)]
    Rotate(Rotate),
    /// Let one more root key open the instance: of another kind, for when the first can't be had.
    #[command(after_help = "\
Examples:
  strongroom keys add-root passphrase --data-dir /var/lib/strongroom
  strongroom keys add-root aws-kms --kms-key alias/strongroom --data-dir /var/lib/strongroom

The server may be running. From then on it starts with either; the instance's own is tried first.")]
    AddRoot(Box<AddRoot>),
    /// Take a root key away that was added: it opens the instance no more.
    #[command(after_help = "\
Example:
  strongroom keys remove-root passphrase --data-dir /var/lib/strongroom")]
    RemoveRoot(Box<RemoveRoot>),
}

/// `keys status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Count what was made with each key; opens no value, but reads every row.
    #[arg(long, requires = "data_dir")]
    pub(crate) count: bool,
    #[command(flatten)]
    pub(crate) itself: Itself,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `keys rotate`.
#[derive(Debug, Subcommand)]
pub(crate) enum Rotate {
    /// Give the team a new key, and have its values sealed anew while everything goes on.
    #[command(after_help = "\
Example:
  strongroom keys rotate team

It may be interrupted: the server goes on by itself, and `strongroom keys status` tells how far it
is. The old key goes two days after the last value that it sealed. A backup from before needs no
other key than it did.")]
    Team(RotateTeam),
    /// Put the instance under another root key.
    #[command(after_help = "\
Examples:
  strongroom keys rotate root --data-dir /var/lib/strongroom
  strongroom keys rotate root --root-key aws-kms --kms-key alias/strongroom --data-dir /var/lib/strongroom

The server may be running, and goes on. One row changes, however much there is. A root key in a
file is put in the place of the old one, which stays beside it: copies and backups of the database
from before are still under that. Where several hosts have the file, each needs the new one before
its server starts again.")]
    Root(Box<RotateRoot>),
    /// Give the instance a new master key, which wraps all others.
    #[command(after_help = "\
Example:
  strongroom keys rotate master --data-dir /var/lib/strongroom

The server may be running, and goes on: it has the new one within seconds. Every key is wrapped
anew in one transaction, so it was done or it wasn't, whenever it is interrupted. Who has the old
master key and a database of later opens nothing of it; keys that they took out before stay known
to them, so rotate those, too.")]
    Master(Box<Operated>),
    /// Give the instance a new key for one of its purposes.
    #[command(after_help = "\
Examples:
  strongroom keys rotate purpose audit_signing --data-dir /var/lib/strongroom
  strongroom keys rotate purpose row_mac --data-dir /var/lib/strongroom

The server may be running. What is new is made with it a minute later, when every server has seen
it; what the old one made stays good, and `keys status --count` tells how much that is. After
`cookies`, forms that are open on a page are refused once.")]
    Purpose(Box<RotatePurpose>),
}

/// Where a new root key comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "The new root key")]
#[expect(clippy::struct_field_names, reason = "the name of a field is that of its option")]
pub(crate) struct NewSource {
    /// Put a root key that is a file here [default: where the old one is, or root.key in the data
    /// directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) new_root_key_file: Option<PathBuf>,
    /// A file of mode 0600 whose first line is the new passphrase [default: ask on a terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// The AWS KMS key, where --kms-key names the old one [default: kms-key]
    #[arg(long, value_name = "KEY")]
    pub(crate) new_kms_key: Option<String>,
    /// The label of the key on the token, where --pkcs11-key names the old one [default: pkcs11-key]
    #[arg(long, value_name = "LABEL")]
    pub(crate) new_pkcs11_key: Option<String>,
    /// The name of the Transit key, where --transit-key names the old one [default: transit-key]
    #[arg(long, value_name = "NAME")]
    pub(crate) new_transit_key: Option<String>,
}

impl NewSource {
    /// Who keeps the new root key: as the old one's keeper is named, but for the key.
    pub(crate) fn keeper(&self, old: &Keeper) -> Keeper {
        let mut keeper = old.clone();
        let or = |new: &Option<String>, old: &mut Option<String>| *old = new.clone().or_else(|| old.take());
        or(&self.new_kms_key, &mut keeper.kms.kms_key);
        or(&self.new_pkcs11_key, &mut keeper.pkcs11.pkcs11_key);
        or(&self.new_transit_key, &mut keeper.transit.transit_key);
        keeper
    }
}

/// `keys rotate root`.
#[derive(Debug, Args)]
pub(crate) struct RotateRoot {
    /// What kind it is [default: that of the old one]
    #[arg(id = "new_root_key", long = "root-key", value_enum, value_name = "KIND")]
    pub(crate) kind: Option<RootKeyKind>,
    #[command(flatten)]
    pub(crate) on: Operated,
    #[command(flatten)]
    pub(crate) source: NewSource,
}

/// `keys rotate purpose`.
#[derive(Debug, Args)]
pub(crate) struct RotatePurpose {
    /// For what.
    #[arg(value_name = "PURPOSE", value_parser = purposes())]
    pub(crate) purpose: Purpose,
    #[command(flatten)]
    pub(crate) on: Operated,
}

/// The purposes by their names.
fn purposes() -> impl TypedValueParser<Value = Purpose> {
    let named = |name: String| Purpose::ALL.into_iter().find(|purpose| purpose.name() == name);
    PossibleValuesParser::new(Purpose::ALL.map(Purpose::name))
        .try_map(move |name| named(name).ok_or("no purpose"))
}

/// `keys add-root`.
#[derive(Debug, Args)]
pub(crate) struct AddRoot {
    /// What kind it is; there is one of each.
    #[arg(value_enum, value_name = "KIND")]
    pub(crate) kind: RootKeyKind,
    #[command(flatten)]
    pub(crate) on: Operated,
    #[command(flatten)]
    pub(crate) source: NewSource,
}

/// `keys remove-root`.
#[derive(Debug, Args)]
pub(crate) struct RemoveRoot {
    /// Of which kind.
    #[arg(value_enum, value_name = "KIND")]
    pub(crate) kind: RootKeyKind,
    #[command(flatten)]
    pub(crate) on: Operated,
}

/// `keys rotate team`.
#[derive(Debug, Args)]
pub(crate) struct RotateTeam {
    /// Don't wait until everything is sealed anew.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
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
