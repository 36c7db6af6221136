//! `strongroom secrets …`.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use uuid::Uuid;

use super::client::{Common, Confirmed, Write, id};

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// List the secrets that you can see, oldest first.
    #[command(after_help = "\
Examples:
  strongroom secrets list
  strongroom secrets list --search mail --json")]
    List(List),
    /// Show one secret: the names in it, never the values.
    Get(One),
    /// Create a secret.
    #[command(after_help = "\
Examples:
  strongroom secrets create --name Mail --value USER=ada --value PASSWORD
  strongroom secrets create --name TLS --value TLS_KEY=@key.pem
  strongroom secrets create --name App --from-env-file .env --shared

PASSWORD alone is asked for, unseen. The command line is visible to every
process on the machine: give real values in one of the other ways.")]
    Create(Create),
    /// Change a secret: its name, its values, or who sees it.
    #[command(after_help = "\
Examples:
  strongroom secrets update ID --set SMTP_PASSWORD=@new-password
  strongroom secrets update ID --rename OLD_NAME=NEW_NAME --remove UNUSED
  strongroom secrets update ID --from-env-file .env --replace

Renaming comes first, then removing, then setting.")]
    Update(Box<Update>),
    /// Delete a secret; `undelete` brings it back until it is purged.
    Delete(Delete),
    /// List the versions of a secret.
    Versions(One),
    /// Make an earlier version of a secret's values the present one.
    Rollback(Rollback),
    /// Bring a deleted secret back.
    Undelete(Change),
    /// Make a new secret with the values of another.
    Copy(Copy),
    /// Say which names have the same value in two secrets, without showing any.
    Compare(Compare),
    /// List the runs that received a secret, and which of its versions.
    Runs(One),
    /// Show where a secret may be used: its own policy, or what is known of its service.
    Policy(One),
    /// Set where a secret may be used.
    #[command(after_help = "\
Examples:
  strongroom secrets set-policy ID --file policy.json
  strongroom secrets policy ID --json | strongroom secrets set-policy OTHER --file -

The file is JSON, an object with `rules` and `broker_only`, as `policy --json`
shows one. What is for the broker only is in no run's environment; switching that
off, or allowing more than its rules do, needs all values again: --value or
--from-env-file.")]
    SetPolicy(SetPolicy),
}

/// `secrets list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those with this text in their name, their service or the names of their values.
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only those for this service.
    #[arg(long, value_name = "SLUG")]
    pub(crate) service_slug: Option<String>,
    /// At most so many, up to 1000 [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: Option<u16>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets get`, `secrets versions`, `secrets runs`, `secrets policy`.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The secret's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is called.
    #[arg(long)]
    pub(crate) name: String,
    /// A value, once for each: KEY asks for it unseen, KEY=@FILE reads a file, KEY=- standard
    /// input, KEY=VALUE is seen by every process, KEY==VALUE takes VALUE as it is.
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub(crate) value: Vec<String>,
    /// Take values from a file of KEY=VALUE lines; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_env_file: Option<PathBuf>,
    /// Which service it is for.
    #[arg(long, value_name = "SLUG")]
    pub(crate) service_slug: Option<String>,
    /// Share it with the team; needs the role manager [default: yours alone]
    #[arg(long)]
    pub(crate) shared: bool,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets update`.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The secret's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// Call it so.
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) service: Service,
    #[command(flatten)]
    pub(crate) sharing: Sharing,
    /// Add or overwrite a value, in the same forms as `secrets create --value`.
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub(crate) set: Vec<String>,
    /// Remove a value.
    #[arg(long, value_name = "KEY")]
    pub(crate) remove: Vec<String>,
    /// Rename a value.
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<String>,
    /// Add or overwrite values from a file of KEY=VALUE lines; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_env_file: Option<PathBuf>,
    /// Drop every value that isn't given with --set or --from-env-file.
    #[arg(long, conflicts_with_all = ["remove", "rename"])]
    pub(crate) replace: bool,
    /// Only if nobody has changed it since an answer had this version tag.
    #[arg(long, value_name = "TAG")]
    pub(crate) if_match: Option<String>,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Which service a secret is for.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Service {
    /// Which service it is for.
    #[arg(long, value_name = "SLUG")]
    pub(crate) service_slug: Option<String>,
    /// It is for no particular service any more.
    #[arg(long)]
    pub(crate) clear_service_slug: bool,
}

/// Who sees a secret.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Sharing {
    /// Share it with the team; needs the role manager.
    #[arg(long)]
    pub(crate) shared: bool,
    /// Make it yours alone.
    #[arg(long)]
    pub(crate) personal: bool,
}

/// `secrets delete`.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The secret's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// Only if nobody has changed it since an answer had this version tag.
    #[arg(long, value_name = "TAG")]
    pub(crate) if_match: Option<String>,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets rollback`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The secret's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// Which version; `secrets versions` lists them.
    #[arg(long, value_name = "N", id = "number", long = "version")]
    pub(crate) number: u64,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets undelete`.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// The secret's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets copy`.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The id of the secret to copy.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// What the copy is called.
    #[arg(long)]
    pub(crate) name: String,
    /// Share the copy with the team; needs the role manager [default: yours alone]
    #[arg(long)]
    pub(crate) shared: bool,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets set-policy`.
#[derive(Debug, Args)]
pub(crate) struct SetPolicy {
    /// The secret's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// The file of the policy, in JSON; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// A value that takes the place of all, in the same forms as `secrets create --value`; only to
    /// loosen the policy of what is for the broker only.
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub(crate) value: Vec<String>,
    /// Take such values from a file of KEY=VALUE lines; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_env_file: Option<PathBuf>,
    /// Only if nobody has changed it since an answer had this version tag.
    #[arg(long, value_name = "TAG")]
    pub(crate) if_match: Option<String>,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `secrets compare`.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The id of one secret.
    #[arg(value_parser = id)]
    pub(crate) a: Uuid,
    /// The id of another.
    #[arg(value_parser = id)]
    pub(crate) b: Uuid,
    #[command(flatten)]
    pub(crate) common: Common,
}
