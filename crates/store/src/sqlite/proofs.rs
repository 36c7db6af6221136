//! The rows that decide what the bearer of a key or link may do, and the proof
//! of a permit by them inside a transaction.

use rusqlite::{Connection, OptionalExtension, Row};
use std::sync::LazyLock;

use super::rows::{self, Columns};
use super::tables::{self, Table};
use strongroom_core::access::{Means, Permit, Proof};
use strongroom_core::api_keys::{ApiKey, ProofRows};
use strongroom_core::key_links::KeyLink;
use strongroom_core::teams::Team;
use strongroom_core::users::{Membership, User};
use strongroom_core::{ApiKeyId, KeyLinkId, StoreError};

pub(super) static OF_KEY: LazyLock<String> = LazyLock::new(deciding::<ApiKey>);
pub(super) static OF_LINK: LazyLock<String> = LazyLock::new(deciding::<KeyLink>);

/// The rows that decide about a key, in one read.
pub(super) fn of_key(connection: &Connection, key: ApiKeyId) -> rusqlite::Result<Option<ProofRows<ApiKey>>> {
    connection.prepare_cached(&OF_KEY)?.query_row([key.as_bytes()], read).optional()
}

/// The rows that decide about a link, in one read.
pub(super) fn of_link(
    connection: &Connection,
    link: KeyLinkId,
) -> rusqlite::Result<Option<ProofRows<KeyLink>>> {
    connection.prepare_cached(&OF_LINK)?.query_row([link.as_bytes()], read).optional()
}

/// The membership comes last: it alone may be absent.
fn deciding<T: Table>() -> String {
    format!(
        "SELECT {}, {}, {}, {} FROM {} c JOIN users u ON u.id = c.user_id JOIN teams t ON t.id = c.team_id \
         LEFT JOIN memberships m ON m.team_id = c.team_id AND m.user_id = c.user_id WHERE c.id = ?",
        T::sql().of("c"),
        User::sql().of("u"),
        Team::sql().of("t"),
        Membership::sql().of("m"),
        T::TABLE,
    )
}

fn read<T: Table>(row: &Row<'_>) -> rusqlite::Result<ProofRows<T>> {
    let mut columns = Columns::new(row);
    let (means, user) = (tables::stored(&mut columns)?, tables::stored(&mut columns)?);
    let team = tables::stored(&mut columns)?;
    let membership = if columns.at_null()? { None } else { Some(tables::stored(&mut columns)?) };
    Ok(ProofRows { means, user, membership, team })
}

/// The MACs behind a permit as they are now, for a table of keys, links or runs.
macro_rules! macs {
    ($table:literal, $columns:literal, $joined:literal) => {
        concat!(
            "SELECT c.row_mac, u.row_mac, m.row_mac, t.row_mac",
            $columns,
            " FROM ",
            $table,
            " c JOIN users u ON u.id = c.user_id \
             JOIN memberships m ON m.team_id = c.team_id AND m.user_id = c.user_id \
             JOIN teams t ON t.id = c.team_id ",
            $joined,
            " WHERE c.id = ?"
        )
    };
}

/// The same with those of what a run was started by and of.
pub(super) const OF_RUN: &str = macs!(
    "runs",
    ", k.row_mac, a.row_mac",
    "JOIN api_keys k ON k.id = c.key_id JOIN agents a ON a.team_id = c.team_id AND a.id = c.agent_id"
);

/// Holds a permit against the rows as they are now, inside its write's
/// transaction: a key revoked or a role cut in between stops the write.
pub(super) fn prove(transaction: &Connection, permit: &Permit) -> Result<(), StoreError> {
    let (select, id, start) = match permit.means() {
        Means::Key(key) => (macs!("api_keys", "", ""), key.uuid(), false),
        Means::Link(link) => (macs!("key_links", "", ""), link.uuid(), false),
        Means::Run(run) => (OF_RUN, run.uuid(), true),
    };
    let now = transaction
        .prepare_cached(select)
        .and_then(|mut statement| statement.query_row([id.as_bytes()], |row| proof(row, start)).optional())
        .map_err(|error| rows::store_error(error, "api_keys"))?;
    if now == Some(permit.proof()) { Ok(()) } else { Err(StoreError::StalePermit) }
}

fn proof(row: &Row<'_>, start: bool) -> rusqlite::Result<Proof> {
    let mut columns = Columns::new(row);
    Ok(Proof {
        means: columns.mac()?,
        user: columns.mac()?,
        membership: columns.mac()?,
        team: columns.mac()?,
        start: if start { Some((columns.mac()?, columns.mac()?)) } else { None },
    })
}
