//! Where an instance's rows are: in the data directory, or in a PostgreSQL that
//! several servers share. All else is the same.

use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use strongroom_core::Store;
use strongroom_core::instance::Instance;
use strongroom_core::rows::Stored;
use strongroom_store::backup::Snapshot;
use strongroom_store::copy::Destination;
use strongroom_store::postgres::{self, Address};
use strongroom_store::sqlite;
use zeroize::Zeroizing;

use crate::cli::{Elsewhere, Place};
use crate::data_dir::{DataDir, private};
use crate::failure::Failure;

/// Where an instance is, whether there is one yet or not.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The directory of the root key, and of the database unless that is elsewhere.
    pub(crate) data_dir: DataDir,
    /// The database elsewhere.
    address: Option<Address>,
}

impl Site {
    /// The one that the command line names.
    ///
    /// # Errors
    /// When the file of the database's password can't be used.
    pub(crate) fn new(place: &Place) -> Result<Self, Failure> {
        Self::at(&place.data_dir, &place.elsewhere)
    }

    /// The one with this directory, whose database may be elsewhere.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn at(data_dir: &Path, elsewhere: &Elsewhere) -> Result<Self, Failure> {
        let address = elsewhere.database_url.as_ref();
        let password = elsewhere.database_password_file.as_deref();
        let address = address.map(|url| postgres_address(url, password)).transpose()?;
        Ok(Self { data_dir: DataDir::new(data_dir), address })
    }

    /// That of an embedded instance.
    pub(crate) fn of_directory(directory: &Path) -> Self {
        Self { data_dir: DataDir::new(directory), address: None }
    }

    /// Whether the database is a server's.
    pub(crate) fn is_shared(&self) -> bool {
        self.address.is_some()
    }

    /// What a command that opens this instance must say beside its own words.
    pub(crate) fn options(&self) -> String {
        let data_dir = format!("--data-dir {}", self.data_dir.path().display());
        if self.is_shared() { format!("{data_dir} --database-url …") } else { data_dir }
    }

    /// Whether there is an instance already, or what might have been one.
    ///
    /// # Errors
    /// When that can't be found out.
    pub(crate) async fn is_taken(&self) -> Result<bool, Failure> {
        match &self.address {
            Some(address) if postgres::Database::is_vacant(address).await? => Ok(false),
            Some(_) => {
                let store = self.inspect().await?.store();
                Ok(store.instance().await?.is_some() || !store.purpose_keys().await?.is_empty())
            }
            None => Ok(self.data_dir.database().symlink_metadata().is_ok()),
        }
    }

    /// Makes a database for a new instance.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) async fn create(&self) -> Result<Database, Failure> {
        Ok(match &self.address {
            Some(address) => Database::Postgres(Arc::new(postgres::Database::create(address).await?)),
            None => Database::Sqlite(Arc::new(sqlite::Database::create(self.data_dir.path())?)),
        })
    }

    /// Opens the database to serve it. Nothing in it changes before it is migrated.
    ///
    /// # Errors
    /// When it can't be opened.
    pub(crate) async fn serve(&self) -> Result<Database, Failure> {
        Ok(match &self.address {
            Some(address) => Database::of_server(address).await?,
            None => Database::Sqlite(Arc::new(sqlite::Database::serve(self.data_dir.path())?)),
        })
    }

    /// Opens the database to look at it beside servers that may be running.
    ///
    /// # Errors
    /// When it can't be opened.
    pub(crate) async fn inspect(&self) -> Result<Database, Failure> {
        Ok(match &self.address {
            Some(address) => Database::of_server(address).await?,
            None => Database::Sqlite(Arc::new(sqlite::Database::inspect(self.data_dir.path())?)),
        })
    }

    /// Opens the database to write to it beside servers that may be running.
    ///
    /// # Errors
    /// When it can't be opened, or an older program made it.
    pub(crate) async fn beside(&self) -> Result<Database, Failure> {
        let Some(address) = &self.address else {
            let file = self.data_dir.database();
            if let Ok(metadata) = fs::metadata(&file) {
                owned(&file, &metadata)?;
            }
            return Ok(Database::Sqlite(Arc::new(sqlite::Database::beside(self.data_dir.path())?)));
        };
        let database = Database::of_server(address).await?;
        if database.is_older().await? {
            return Err(Failure::new("the database has the schema of an older program")
                .hint("start this program's server once, which brings it up to date"));
        }
        Ok(database)
    }

    /// Whether servers may be running on it.
    ///
    /// # Errors
    /// When that can't be found out.
    pub(crate) fn may_be_served(&self) -> Result<bool, Failure> {
        Ok(self.is_shared() || sqlite::Database::is_served(self.data_dir.path())?)
    }

    /// The instance as it is now, to be backed up beside servers that may be running.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(match &self.address {
            Some(address) => Snapshot::of_postgres(address).await?,
            None => Snapshot::of_sqlite(self.data_dir.path()).await?,
        })
    }

    /// A place for an instance from elsewhere; what an interrupted one left is removed
    /// where it should begin `anew`.
    ///
    /// # Errors
    /// When an instance is there, or nothing can be put there.
    pub(crate) async fn destination(&self, anew: bool) -> Result<Destination, Failure> {
        Ok(match &self.address {
            Some(address) => Destination::in_postgres(address, anew).await?,
            None => Destination::in_sqlite(self.data_dir.path(), anew)?,
        })
    }

    /// The instance row, unproven; `None` where the database holds none.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) async fn instance(&self) -> Result<Option<Stored<Instance>>, Failure> {
        Ok(self.inspect().await?.store().instance().await?)
    }
}

/// Refuses to write to somebody else's database: the files that come to lie beside it would
/// be of no use to them.
fn owned(path: &Path, metadata: &fs::Metadata) -> Result<(), Failure> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return Ok(());
    }
    Err(Failure::new(format!("{} belongs to user {owner}, but this is user {user}", path.display()))
        .hint("run it as the user whom it belongs to"))
}

/// The address of a database of PostgreSQL, with the password in a file if there is one.
///
/// # Errors
/// When it isn't one, or the file can't be used.
pub(crate) fn postgres_address(url: &SecretString, password_file: Option<&Path>) -> Result<Address, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a password may be in it, which goes to the database alone"
    )]
    let address: Address = url.expose_secret().parse().map_err(postgres::OpenError::Address)?;
    match password_file {
        Some(file) => Ok(address.with_password(password(file)?.as_bytes())),
        None => Ok(address),
    }
}

/// The first line of a file that nobody else can read.
fn password(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unread =
        |error: &std::io::Error| Failure::because(format!("{} can't be read", path.display()), error);
    private(path, &fs::symlink_metadata(path).map_err(|error| unread(&error))?, 0o600)?;
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| unread(&error))?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// An open database.
pub(crate) enum Database {
    Sqlite(Arc<sqlite::Database>),
    Postgres(Arc<postgres::Database>),
}

impl Database {
    /// The one of PostgreSQL at this address. Nothing in it changes.
    ///
    /// # Errors
    /// When it can't be opened.
    pub(crate) async fn of_server(address: &Address) -> Result<Self, Failure> {
        Ok(Self::Postgres(Arc::new(postgres::Database::open(address).await?)))
    }

    /// As the core knows it.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(database) => Arc::clone(database) as _,
            Self::Postgres(database) => Arc::clone(database) as _,
        }
    }

    /// Brings the schema up to date; to be called once the root key is proven.
    ///
    /// # Errors
    /// When somebody altered it, or the engine refuses.
    pub(crate) async fn migrate(&self) -> Result<(), Failure> {
        match self {
            Self::Sqlite(database) => Ok(database.migrate().await?),
            Self::Postgres(database) => Ok(database.migrate().await?),
        }
    }

    /// Whether an older program made it, and none of this age has served it since.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) async fn is_older(&self) -> Result<bool, Failure> {
        match self {
            Self::Sqlite(database) => Ok(database.is_older()?),
            Self::Postgres(database) => Ok(database.is_older().await?),
        }
    }

    /// The engine's examination of it, in a few words.
    ///
    /// # Errors
    /// When something is wrong with it.
    pub(crate) async fn health(&self) -> Result<String, Failure> {
        let (engine, problems, notes) = match self {
            Self::Sqlite(database) => {
                let health = database.health()?;
                (format!("SQLite {}", health.sqlite_version), health.problems, health.notes)
            }
            Self::Postgres(database) => {
                let health = database.health().await?;
                (format!("PostgreSQL {}", health.server_version), health.problems, health.notes)
            }
        };
        if problems.is_empty() {
            let notes = notes.iter().map(|note| format!("; {note}"));
            return Ok(format!("{engine}, sound{}", notes.collect::<String>()));
        }
        Err(Failure::new(problems.join("; ")).hint(match self {
            Self::Sqlite(_) => "stop the server, keep a copy of the data directory, and restore a backup",
            Self::Postgres(_) => {
                "keep a copy of the database, and put right what is named, or restore a backup"
            }
        }))
    }
}
