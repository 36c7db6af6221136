//! What went wrong between us and the server, and what it means to the core.
//! What the server says of rows (its details and hints) is never passed on.

use tokio_postgres::error::SqlState;

use super::address::InvalidAddress;
use crate::tables::Malformed;
use strongroom_core::StoreError;

/// Why a database could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address makes no sense.
    #[error("the database's address {0}")]
    Address(#[from] InvalidAddress),
    /// No server could be reached there, or it let nobody in.
    #[error("{address} can't be reached: {cause}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why not.
        cause: String,
    },
    /// The server isn't one that can be used.
    #[error("{0}")]
    Unsuitable(String),
    /// There is no instance in it.
    #[error(
        "the database holds no tables of Strongroom; create an instance with: strongroom init --database-url …"
    )]
    NoInstance,
    /// The database was written by a later Strongroom.
    #[error(
        "the database has schema {found}, but this program knows only up to {known}; use the newer program that wrote it"
    )]
    FromTheFuture {
        /// Its schema's number.
        found: u32,
        /// The highest number known here.
        known: u32,
    },
    /// The schema holds what no migration made, or lacks what one did.
    #[error("somebody altered the schema of the database ({0}); put it back, or restore a backup")]
    AlteredSchema(String),
    /// The operating system gave no thread.
    #[error("the thread for writing to the database could not be started: {0}")]
    Thread(std::io::Error),
    /// The server refused.
    #[error("the database refused: {0}")]
    Refused(#[from] Fault),
}

/// What may go wrong with one exchange.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no connection, or it broke, or took too long: what was under
    /// way may have been done.
    #[error("the connection to the database {0}")]
    Lost(String),
    /// The server gave up one of several transactions that were in each
    /// other's way, one waited too long for another, or the server isn't the primary any more. The same again may work.
    #[error("the database asks for another try ({0})")]
    Again(String),
    /// The server refused.
    #[error("{severity} {code}: {message}", code = .code.code())]
    Refused {
        /// The server's code.
        code: SqlState,
        /// How bad.
        severity: String,
        /// In its words, without details.
        message: String,
    },
    /// A row isn't of the form in which it was written.
    #[error("a row can't be read")]
    Malformed,
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Lost(if error.is_closed() {
                "is closed".into()
            } else {
                format!("broke: {error}")
            });
        };
        let code = said.code();
        if *code == SqlState::T_R_DEADLOCK_DETECTED
            || *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::LOCK_NOT_AVAILABLE
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        {
            return Self::Again(format!("{}: {}", code.code(), passing(code)));
        }
        if ends_connection(code) {
            return Self::Lost(format!("was ended by the server ({})", code.code()));
        }
        Self::Refused {
            code: code.clone(),
            severity: said.severity().to_owned(),
            message: said.message().to_owned(),
        }
    }
}

/// What is passing, in words: the server's own may be in any language.
fn passing(code: &SqlState) -> &'static str {
    if *code == SqlState::LOCK_NOT_AVAILABLE {
        "somebody has locked what is needed for longer than it can be waited for"
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        "it may not be written to; is it a standby?"
    } else {
        "two transactions were in each other's way"
    }
}

/// Codes after which the server hangs up, or takes nobody yet.
fn ends_connection(code: &SqlState) -> bool {
    code.code().starts_with("08")
        || *code == SqlState::ADMIN_SHUTDOWN
        || *code == SqlState::CRASH_SHUTDOWN
        || *code == SqlState::CANNOT_CONNECT_NOW
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        || *code == SqlState::IDLE_SESSION_TIMEOUT
        || *code == SqlState::TOO_MANY_CONNECTIONS
}

impl Fault {
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == SqlState::UNIQUE_VIOLATION)
    }

    /// Whether the same again, on another connection, may go well.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Again(_))
    }

    /// What it means to the core.
    pub(super) fn into_store_error(self, table: &'static str) -> StoreError {
        match self {
            Self::Malformed => StoreError::Malformed(table),
            duplicate if duplicate.is_duplicate() => StoreError::Exists,
            other => StoreError::Unavailable(Box::new(other)),
        }
    }
}
