//! The walk over everything that is sealed or has a MAC. Reads are in one
//! moment, so what is seen is, too, whatever is written meanwhile.

use rusqlite::{Connection, Error, Row};

use super::rows::is_malformed;
use super::{api_keys, instance, secrets, users};
use strongroom_core::secrets::Version;
use strongroom_core::store::AnyRow;

/// Those whose rows are shown; a secret's versions are shown with it.
const TABLES: [&str; 6] = ["keys", "teams", "users", "memberships", "api_keys", "secrets"];

/// How many times `visit` will be called.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    TABLES.iter().try_fold(0, |sum, table| {
        let count = format!("SELECT count(*) FROM {table}");
        Ok(sum + rows(connection, &count)?)
    })
}

/// The number that a counting query answers.
fn rows(connection: &Connection, count: &str) -> rusqlite::Result<u64> {
    let rows: i64 = connection.query_row(count, [], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Shows each row to `visit`. A row that can't be read is shown as such.
pub(super) fn walk(connection: &Connection, visit: &mut dyn FnMut(AnyRow)) -> rusqlite::Result<()> {
    let mut table =
        |name: &'static str, columns: &str, read: &dyn Fn(&Row<'_>) -> rusqlite::Result<AnyRow>| {
            let mut statement = connection.prepare(&format!("SELECT {columns} FROM {name}"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                visit(readable(read(row), name)?);
            }
            Ok::<_, Error>(())
        };
    table("keys", instance::KEY, &|row| instance::key(row).map(AnyRow::Key))?;
    table("teams", users::TEAM, &|row| users::team(row).map(AnyRow::Team))?;
    table("users", users::USER, &|row| users::user(row, 0).map(AnyRow::User))?;
    table("memberships", users::MEMBERSHIP, &|row| users::membership(row, 0).map(AnyRow::Membership))?;
    table("api_keys", api_keys::API_KEY, &|row| api_keys::api_key(row).map(AnyRow::ApiKey))?;
    table("secrets", secrets::SECRET, &|row| {
        let secret = secrets::secret(row)?;
        let versions = versions(connection, secret.row().id.as_bytes())?;
        Ok(AnyRow::Secret(secret, versions))
    })?;
    orphans(connection, visit)
}

fn versions(connection: &Connection, secret: &[u8; 16]) -> rusqlite::Result<Vec<Version>> {
    let select = format!("SELECT {} FROM versions WHERE secret_id = ?", secrets::VERSION);
    connection.prepare_cached(&select)?.query_map([secret], secrets::version)?.collect()
}

/// Versions whose secret isn't there: nobody could have opened them.
fn orphans(connection: &Connection, visit: &mut dyn FnMut(AnyRow)) -> rusqlite::Result<()> {
    let count = "SELECT count(*) FROM versions WHERE secret_id NOT IN (SELECT id FROM secrets)";
    (0..rows(connection, count)?).for_each(|_| visit(AnyRow::Malformed("versions")));
    Ok(())
}

/// A row, or the fact that it can't be read; other errors end the walk.
fn readable(read: rusqlite::Result<AnyRow>, table: &'static str) -> rusqlite::Result<AnyRow> {
    match read {
        Err(error) if is_malformed(&error) => Ok(AnyRow::Malformed(table)),
        other => other,
    }
}
