//! `strongroom audit …`: what happened, and the proof of it. Some of these speak to a
//! server or, told so by `--data-dir`, open the instance itself.

use clap::{Args, Subcommand};
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use strongroom_core::Timestamp;
use strongroom_core::events::EventKind;
use uuid::Uuid;

use super::client::{Common, Server, id};
use super::{Configuration, Elsewhere, Keeper};

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List what happened, newest first: all of the team for an administrator, what you did otherwise.
    #[command(after_help = "\
Examples:
  strongroom audit list --action secret.delivered --since 2026-11-07
  strongroom audit list --object ID --limit 200")]
    List(List),
    /// Show the last things that happened, and each new one as it happens, until Ctrl-C.
    #[command(after_help = "\
Examples:
  strongroom audit tail
  strongroom audit tail --action access.denied --json")]
    Tail(Tail),
    /// Write what happened to a file that proves itself, oldest first.
    #[command(after_help = "\
Examples:
  strongroom audit export --out audit.jsonl
  strongroom audit export --out audit.jsonl --object ID --checkpoint witness.log
  strongroom audit export --out all.jsonl --data-dir /var/lib/strongroom

The file has JSON Lines: each event as it was sealed, hashes in the place of what isn't
yours to see or wasn't asked for, and the signed head over all of it. An operator takes
the record of every team from the instance itself, with --data-dir.")]
    Export(Export),
    /// Check an exported file, or the record of an instance itself.
    #[command(after_help = "\
Examples:
  strongroom audit verify audit.jsonl --key strongroom.keys --checkpoint witness.log
  strongroom audit verify --data-dir /var/lib/strongroom --state

A file is checked without a server. An instance is checked beside its running server, and
nothing in it changes: each event against the signed head, and that against the heads
that are kept in its data directory. Exits with 1 when something is found.")]
    Verify(Box<Verify>),
    /// Print the keys by which signed heads are checked.
    #[command(after_help = "\
Examples:
  strongroom audit key > strongroom.keys
  strongroom audit key --data-dir /var/lib/strongroom

Keep them where the server can't change them. Heads and files are checked with them.")]
    Key(Key),
    /// Keep signed heads outside the server, each proven to go on from the one before.
    #[command(after_help = "\
Examples:
  strongroom audit witness --to witness.log --key strongroom.keys
  strongroom audit witness --to witness.log --once
  strongroom audit witness --to https://witness.example/heads --state witness.log

Run it on another machine. A record that was changed, or put back to an earlier state,
can't go on from a head that is kept: then it says so, keeps nothing and exits with 1.")]
    Witness(Witness),
}

/// Which events.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub(crate) struct Filter {
    /// Only of this name, such as secret.created.
    #[arg(long, value_name = "NAME", value_parser = action)]
    pub(crate) action: Option<EventKind>,
    /// Only by this user.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) user: Option<Uuid>,
    /// Only with this API key, or by runs that were started with it.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) key: Option<Uuid>,
    /// Only by this run.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) run: Option<Uuid>,
    /// Only to objects of this kind, such as secrets or `api_keys`.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) object_type: Option<String>,
    /// Only to this object.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) object: Option<Uuid>,
    /// Only from this moment on, such as 2026-11-07 or 2026-11-07T05:31:56Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Only before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
}

/// `audit list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `audit tail`.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Begin with so many that happened before.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) last: u32,
    /// Print a line of JSON for each event, as the server gives it.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) client: Caller,
}

/// Whom to ask, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Caller {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The team [default: the API key's own]
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) team: Option<Uuid>,
}

/// The instance itself.
#[derive(Debug, Args)]
#[command(next_help_heading = "The instance itself")]
pub(crate) struct Itself {
    /// Read the instance in this directory, with the record of every team, also beside its running
    /// server. Nothing but this option names it.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    #[command(flatten)]
    pub(crate) elsewhere: Elsewhere,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
}

/// Heads that are held.
#[derive(Debug, Args)]
pub(crate) struct Held {
    /// A file with a signed head that is held, once for each; of several heads in a file, such as
    /// `witness` keeps, the newest counts.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
}

/// `audit export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where the file goes; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file if there is one.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) held: Held,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) itself: Itself,
    #[command(flatten)]
    pub(crate) client: Caller,
}

/// `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The exported file; - is standard input.
    #[arg(conflicts_with_all = ["data_dir", "state"])]
    pub(crate) file: Option<PathBuf>,
    /// A key that must have signed the head, as `audit key` prints it, or a file of such keys; once
    /// for each. Without one, a file is checked to agree with itself only.
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) key: Vec<KeySource>,
    #[command(flatten)]
    pub(crate) held: Held,
    /// Refuse a file from which events are left out.
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) complete: bool,
    /// Hold the rows of the instance against the record, too: it finds rows that were put back as
    /// they were before, or taken away.
    #[arg(long)]
    pub(crate) state: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) itself: Itself,
}

/// `audit key`.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) itself: Itself,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// `audit witness`.
#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// A file that heads are added to, or a URL that each is sent to (POST, text/plain).
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) to: String,
    /// With a URL: the file in which the last head is remembered.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// A key that must have signed the head, as `audit key` prints it, or a file of such keys; once
    /// for each [default: those in FILE.keys, where the server's are put the first time]
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) key: Vec<KeySource>,
    /// Ask for a new head every so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) every: u64,
    /// Ask once.
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// A verifier key, or a file of them.
#[derive(Clone, Debug)]
pub(crate) struct KeySource(pub(crate) String);

impl FromStr for KeySource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// An action by its name, and if there is none, one that is near.
fn action(text: &str) -> Result<EventKind, String> {
    EventKind::from_name(text).ok_or_else(|| {
        let near = EventKind::ALL.map(EventKind::name).into_iter();
        let near = near.min_by_key(|name| strsim::osa_distance(name, text)).unwrap_or("secret.created");
        format!("there is no action of this name; did you mean {near}?")
    })
}

fn kind(text: &str) -> Result<String, &'static str> {
    let fits = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if fits && (1..=32).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("must be small letters and _, such as secrets")
    }
}

/// A moment, or the beginning of a day.
fn moment(text: &str) -> Result<Timestamp, &'static str> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse(&whole)
        .map_err(|_| "must be a day such as 2026-11-07, or a moment such as 2026-11-07T05:31:56Z (UTC)")
}
