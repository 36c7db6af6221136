//! `strongroom copy`: an instance into another database, row by row as it is.

use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use strongroom_core::RootKey;
use strongroom_core::instance::Instance;
use strongroom_core::rows::Stored;
use strongroom_keys::{file, passphrase};
use strongroom_store::copy::{Copy as Copying, Destination, Origin};
use strongroom_store::postgres::Address;

use crate::cli::Copy;
use crate::config;
use crate::data_dir::DataDir;
use crate::database::{Database, Site, postgres_address};
use crate::failure::{Exit, Failure};
use crate::output;

/// What an embedded instance's name begins with.
const EMBEDDED: &str = "sqlite:";

pub(super) fn run(args: &Copy) -> Result<(), Failure> {
    let from = Place::new("--from", &args.from, args.from_password_file.as_deref())?;
    let to = Place::new("--to", &args.to, args.to_password_file.as_deref())?;
    if from.is_same(&to) {
        return Err(Failure::new("--from and --to are one directory").hint("name another for the copy"));
    }
    let copied = tokio::runtime::Runtime::new()?.block_on(copied(args, &from, &to))?;
    output::answer(&if args.json { copied.json() } else { copied.text(&from, &to) })?;
    Ok(())
}

/// Where an instance is, or goes.
enum Place {
    Directory(PathBuf),
    Server(Box<Address>),
}

impl Place {
    fn new(option: &str, text: &SecretString, password_file: Option<&Path>) -> Result<Self, Failure> {
        #[expect(clippy::disallowed_methods, reason = "it goes to the database alone")]
        let directory = text.expose_secret().strip_prefix(EMBEDDED);
        match directory {
            Some(_) if password_file.is_some() => {
                Err(Failure::new(format!("{option}-password-file is for a database of PostgreSQL"))
                    .hint("leave it out: an embedded instance has no password")
                    .exit(Exit::Usage))
            }
            Some(file) if Path::new(file).is_file() => Err(Failure::new(format!("{option} names a file"))
                .hint("name the directory that it is in")
                .exit(Exit::Usage)),
            Some("") => Err(Failure::new(format!("{option} names no directory"))
                .hint("write it as sqlite:DIR")
                .exit(Exit::Usage)),
            Some(directory) => Ok(Self::Directory(directory.into())),
            None => {
                let address = postgres_address(text, password_file).map_err(|failure| {
                    failure.hint_if_none("an embedded instance is written as sqlite:DIR")
                })?;
                Ok(Self::Server(Box::new(address)))
            }
        }
    }

    /// The instance there, unproven.
    async fn instance(&self) -> Result<Option<Stored<Instance>>, Failure> {
        match self {
            Self::Directory(directory) => Site::of_directory(directory).instance().await,
            Self::Server(address) => Ok(Database::of_server(address).await?.store().instance().await?),
        }
    }

    /// Whether both are one directory.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(one), Self::Directory(other)) => {
                one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
            }
            _ => false,
        }
    }

    async fn source(&self) -> Result<Origin, Failure> {
        Ok(match self {
            Self::Directory(directory) => Origin::of_sqlite(directory).await?,
            Self::Server(address) => Origin::of_postgres(address).await?,
        })
    }

    async fn target(&self, anew: bool) -> Result<Destination, Failure> {
        Ok(match self {
            Self::Directory(directory) => Destination::in_sqlite(directory, anew)?,
            Self::Server(address) => Destination::in_postgres(address, anew).await?,
        })
    }

    fn shown(&self) -> String {
        match self {
            Self::Directory(directory) => format!("{EMBEDDED}{}", directory.display()),
            Self::Server(address) => address.to_string(),
        }
    }
}

/// What was done.
struct Copied {
    rows: u64,
    there: u64,
    /// What is left to do before it can be served, a sentence each.
    left: Vec<String>,
}

async fn copied(args: &Copy, from: &Place, to: &Place) -> Result<Copied, Failure> {
    let (from, into) = (from.source().await?, to.target(args.start_over).await?);
    let copy = Copying::new(from, into).await?;
    let mut done = Copied { rows: copy.rows(), there: copy.there(), left: Vec::new() };
    let bar = super::progress("copying rows", done.rows);
    bar.inc(done.there);
    let carried = copy.carry(|rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    let again = "mend that and run the same command again: it goes on where it stopped";
    carried.map_err(|error| Failure::from(error).hint_if_none(again))?;
    let bar = super::progress("comparing rows", done.rows);
    let finished = copy.finish(|rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    finished.map_err(|error| Failure::from(error).hint_if_none(again))?;
    done.left = left(to).await?;
    Ok(done)
}

/// What is left to do before the copy there can be served, a sentence each.
async fn left(to: &Place) -> Result<Vec<String>, Failure> {
    // No more than a hint at which key proves it.
    let Some(stored) = to.instance().await? else { return Ok(Vec::new()) };
    let instance = stored.row();
    let mut left = vec![match to {
        _ if instance.root_provider == passphrase::PROVIDER => "Its passphrase is the same.".to_owned(),
        _ if instance.root_provider != file::PROVIDER => {
            format!("Its root key stays where it is ({}).", instance.root_provider)
        }
        Place::Server(_) => "The root key is the same: put it at DIR/root.key, mode 0600.".to_owned(),
        Place::Directory(directory) => root_key_in(&DataDir::new(directory), instance),
    }];
    if let Place::Directory(directory) = to {
        let file = directory.join(config::FILE_NAME);
        if config::sets(&file, "database_url") {
            left.push(format!(
                "{} still names a database_url: take it out, with its password file, or that is what is checked and served.",
                file.display()
            ));
        }
    }
    Ok(left)
}

/// What is to be known of the root key of an instance whose data directory is this one.
pub(super) fn root_key_of(data_dir: &DataDir, instance: &Instance, is_new: bool) -> String {
    match (instance.root_provider.as_str(), is_new) {
        (file::PROVIDER, false) => root_key_in(data_dir, instance),
        (file::PROVIDER, true) => {
            "It has a new root key: keep a copy of its file away from this machine and from the backups."
                .to_owned()
        }
        (_, false) => "Its passphrase is the same.".to_owned(),
        (_, true) => "It has a new passphrase.".to_owned(),
    }
}

/// Whether the instance's root key is in its directory.
fn root_key_in(data_dir: &DataDir, instance: &Instance) -> String {
    let path = data_dir.root_key();
    let shown = path.display();
    match (path.symlink_metadata(), file::open(&path)) {
        (Err(_), _) => format!("The root key is the same: put it at {shown}, mode 0600."),
        (Ok(_), Ok(key)) if key.id() == instance.root_key_id => "Its root key is there already.".to_owned(),
        (Ok(_), Ok(_)) => format!(
            "{shown} is the root key of something else: keep it safe elsewhere, and put this instance's in its place."
        ),
        (Ok(_), Err(error)) => format!(
            "There is a root key, but it can't be used: {error}. If it isn't this instance's, keep it safe elsewhere."
        ),
    }
}

impl Copied {
    fn json(&self) -> String {
        serde_json::json!({"rows": self.rows, "there_before": self.there, "equal": true}).to_string()
    }

    fn text(&self, from: &Place, to: &Place) -> String {
        let before = match self.there {
            0 => String::new(),
            there => format!(", {there} of which an earlier copy had brought"),
        };
        let serve = match to {
            Place::Directory(directory) => format!("--data-dir {}", directory.display()),
            Place::Server(_) => "--data-dir DIR --database-url …".to_owned(),
        };
        format!(
            "\
Copied {rows} rows{before}, and found them equal to the instance's

  from  {from}
  to    {to}

{left}
Then check the copy and serve it:

  strongroom doctor {serve}
  strongroom serve {serve}

Keep the instance that was copied until you trust the copy, and never serve both: what is
changed in one is not changed in the other.",
            rows = self.rows,
            left = self.left.join("\n"),
            from = from.shown(),
            to = to.shown(),
        )
    }
}
