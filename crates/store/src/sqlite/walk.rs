//! The walk over everything that is sealed or has a MAC. Reads are in one
//! moment, so what is seen is, too, whatever is written meanwhile.

use rusqlite::{Connection, Row as SqlRow};

use super::rows::{columns, is_malformed};
use crate::tables::{Read, Record};
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::KeptAnswer;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::instance::RootCopy;
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::WrappedKey;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::runs::Run;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::store::AnyRow;
use strongroom_core::teams::Team;
use strongroom_core::users::{Membership, User};

/// Those whose rows are shown; a secret's versions are shown with it.
const TABLES: [&str; 17] = [
    "keys",
    RootCopy::TABLE,
    Team::TABLE,
    User::TABLE,
    Membership::TABLE,
    ApiKey::TABLE,
    KeyLink::TABLE,
    SignIn::TABLE,
    Session::TABLE,
    Invitation::TABLE,
    FillRequest::TABLE,
    KeptAnswer::TABLE,
    Agent::TABLE,
    Revision::TABLE,
    Attachment::TABLE,
    Run::TABLE,
    Secret::TABLE,
];

/// How many times `visit` will be called.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    TABLES.iter().try_fold(0, |sum, table| {
        if !connection.table_exists(None, *table)? {
            return Ok(sum);
        }
        Ok(sum + rows(connection, &format!("SELECT count(*) FROM {table}"))?)
    })
}

/// The number that a counting query answers.
fn rows(connection: &Connection, count: &str) -> rusqlite::Result<u64> {
    let rows: i64 = connection.query_row(count, [], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Shows each row to `visit`. A row that can't be read is shown as such.
pub(super) fn walk(connection: &Connection, visit: &mut dyn FnMut(AnyRow)) -> rusqlite::Result<()> {
    let mut walk = Walk { connection, visit };
    let keys = WrappedKey::shape().select("true");
    walk.shown("keys", &keys, |row| Ok(AnyRow::Key(Read::read(&mut columns(row))?)))?;
    walk.table::<RootCopy>(|row| Ok(AnyRow::RootCopy(row)))?;
    walk.table::<Team>(|row| Ok(AnyRow::Team(row)))?;
    walk.table::<User>(|row| Ok(AnyRow::User(row)))?;
    walk.table::<Membership>(|row| Ok(AnyRow::Membership(row)))?;
    walk.table::<ApiKey>(|row| Ok(AnyRow::ApiKey(row)))?;
    walk.table::<KeyLink>(|row| Ok(AnyRow::KeyLink(row)))?;
    walk.table::<SignIn>(|row| Ok(AnyRow::SignIn(row)))?;
    walk.table::<Session>(|row| Ok(AnyRow::Session(row)))?;
    walk.table::<Invitation>(|row| Ok(AnyRow::Invitation(row)))?;
    walk.table::<FillRequest>(|row| Ok(AnyRow::FillRequest(row)))?;
    walk.table::<KeptAnswer>(|row| Ok(AnyRow::Answer(row)))?;
    walk.table::<Agent>(|row| Ok(AnyRow::Agent(row)))?;
    walk.table::<Revision>(|row| Ok(AnyRow::Revision(row)))?;
    walk.table::<Attachment>(|row| Ok(AnyRow::Attachment(row)))?;
    walk.table::<Run>(|row| Ok(AnyRow::Run(row)))?;
    let of_secret = Version::shape().select("secret_id = ?1");
    walk.table::<Secret>(|secret| {
        let mut all = connection.prepare_cached(&of_secret)?;
        let versions =
            all.query_map([secret.row().id.as_bytes()], |row| Ok(Version::read(&mut columns(row))?))?;
        Ok(AnyRow::Secret(secret, versions.collect::<Result<_, _>>()?))
    })?;
    walk.orphans()
}

struct Walk<'a> {
    connection: &'a Connection,
    visit: &'a mut dyn FnMut(AnyRow),
}

impl Walk<'_> {
    /// Shows a table of rows with a MAC.
    fn table<T: Record + Row>(
        &mut self,
        show: impl Fn(Stored<T>) -> rusqlite::Result<AnyRow>,
    ) -> rusqlite::Result<()> {
        if !self.connection.table_exists(None, T::TABLE)? {
            return Ok(());
        }
        let select = format!("SELECT {} FROM {}", self.present::<T>()?.join(", "), T::TABLE);
        self.shown(T::TABLE, &select, |row| show(Read::read(&mut columns(row))?))
    }

    /// The columns to read: null for those that an older schema doesn't have,
    /// which is what they are once it is brought up to date.
    fn present<T: Record>(&self) -> rusqlite::Result<Vec<&'static str>> {
        let there = |column| self.connection.column_exists(None, T::shape().table, column);
        T::shape()
            .names()
            .into_iter()
            .map(|column| Ok(if there(column)? { column } else { "NULL" }))
            .collect()
    }

    fn shown(
        &mut self,
        table: &'static str,
        select: &str,
        read: impl Fn(&SqlRow<'_>) -> rusqlite::Result<AnyRow>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(select)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            (self.visit)(readable(read(row), table)?);
        }
        Ok(())
    }

    /// Versions whose secret isn't there: nobody could have opened them.
    fn orphans(&mut self) -> rusqlite::Result<()> {
        let count = "SELECT count(*) FROM versions WHERE secret_id NOT IN (SELECT id FROM secrets)";
        (0..rows(self.connection, count)?).for_each(|_| (self.visit)(AnyRow::Malformed("versions")));
        Ok(())
    }
}

/// A row, or the fact that it can't be read; other errors end the walk.
fn readable(read: rusqlite::Result<AnyRow>, table: &'static str) -> rusqlite::Result<AnyRow> {
    match read {
        Err(error) if is_malformed(&error) => Ok(AnyRow::Malformed(table)),
        other => other,
    }
}
