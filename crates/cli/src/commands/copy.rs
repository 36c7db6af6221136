//! `strongroom copy`: an instance into another database, row by row as it is.

use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use strongroom_store::copy::{Copy as Copying, End};
use strongroom_store::postgres::Address;

use crate::cli::Copy;
use crate::database::postgres_address;
use crate::failure::{Exit, Failure};
use crate::output;

/// What an embedded instance's name begins with.
const EMBEDDED: &str = "sqlite:";

pub(super) fn run(args: &Copy) -> Result<(), Failure> {
    let from = Place::new("--from", &args.from, args.from_password_file.as_deref())?;
    let to = Place::new("--to", &args.to, args.to_password_file.as_deref())?;
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
            Some("") => Err(Failure::new(format!("{option} names no directory"))
                .hint("write it as sqlite:DIR")
                .exit(Exit::Usage)),
            Some(directory) => Ok(Self::Directory(directory.into())),
            None => match postgres_address(text, password_file) {
                Ok(address) => Ok(Self::Server(Box::new(address))),
                Err(failure) => Err(failure.hint_if_none("an embedded instance is written as sqlite:DIR")),
            },
        }
    }

    async fn source(&self) -> Result<End, Failure> {
        Ok(match self {
            Self::Directory(directory) => End::of_sqlite(directory)?,
            Self::Server(address) => End::of_postgres(address).await?,
        })
    }

    async fn target(&self, anew: bool) -> Result<End, Failure> {
        Ok(match self {
            Self::Directory(directory) => End::into_sqlite(directory, anew).await?,
            Self::Server(address) => End::into_postgres(address, anew).await?,
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
}

async fn copied(args: &Copy, from: &Place, to: &Place) -> Result<Copied, Failure> {
    let (from, into) = (from.source().await?, to.target(args.start_over).await?);
    let copy = Copying::new(from, into).await?;
    let done = Copied { rows: copy.rows(), there: copy.there() };
    let bar = super::progress("copying", done.rows);
    bar.inc(done.there);
    let carried = copy.carry(|rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    let again = "run the same command again: it goes on where it stopped";
    carried.map_err(|error| Failure::from(error).hint_if_none(again))?;
    let bar = super::progress("comparing", done.rows);
    let finished = copy.finish(|rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    finished.map_err(|error| Failure::from(error).hint_if_none(again))?;
    Ok(done)
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
        let (key, serve) = match to {
            Place::Directory(directory) => (
                directory.join("root.key").display().to_string(),
                format!("--data-dir {}", directory.display()),
            ),
            Place::Server(_) => ("DIR/root.key".to_owned(), "--data-dir DIR --database-url …".to_owned()),
        };
        format!(
            "\
Copied {rows} rows{before}, and found them equal to the instance's

  from  {from}
  to    {to}

The root key is the same: put it at {key}, mode 0600, then check the copy and serve it:

  strongroom doctor {serve}
  strongroom serve {serve}

Keep the instance that was copied until you trust the copy, and never serve both: what is
changed in one is not changed in the other.",
            rows = self.rows,
            from = from.shown(),
            to = to.shown(),
        )
    }
}
