//! What is due to go for good.

use rusqlite::Connection;

use super::{rows, tables, writes};
use crate::query::Statement;
use crate::tables::purge;
use crate::tables::runs::LEFT;
use strongroom_core::StoreError;
use strongroom_core::events::Event;
use strongroom_core::rows::Row;
use strongroom_core::runs::Run;
use strongroom_core::store::Purge;

/// Takes away what was found due, each with its event.
pub(super) fn run(transaction: &Connection, purges: &[(Purge, Event)]) -> Result<(), StoreError> {
    purges.iter().try_for_each(|(purge, event)| {
        match purge {
            Purge::Secret(team, id, was) => {
                tables::as_seen(tables::execute(transaction, &purge::secret(*team, *id, was))?)?;
                all(transaction, purge::with_secret(*team, *id))
            }
            Purge::Team(row) => {
                tables::put(transaction, row)?;
                all(transaction, purge::with_team(row.now.row().id))
            }
        }?;
        writes::record(transaction, event)
    })
}

fn all<'a>(
    transaction: &Connection,
    statements: impl IntoIterator<Item = Statement<'a>>,
) -> Result<(), StoreError> {
    statements.into_iter().try_for_each(|statement| tables::execute(transaction, &statement).map(|_| ()))
}

/// Forgets runs of shredded teams, with what was delivered to them.
pub(super) fn runs(transaction: &Connection, limit: u32) -> Result<u32, StoreError> {
    let of_left = |table, column| format!("DELETE FROM {table} WHERE {column} IN ({LEFT})");
    rows::execute(transaction, "deliveries", &of_left("deliveries", "run_id"), [limit])?;
    let runs = rows::execute(transaction, Run::TABLE, &of_left("runs", "id"), [limit])?;
    Ok(u32::try_from(runs).unwrap_or(limit))
}
