//! Teams.

use rusqlite::params;
use rusqlite::types::ToSql;
use std::sync::LazyLock;

use super::rows::Columns;
use super::tables::{Sql, Table};
use strongroom_core::TeamId;
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::Row;
use strongroom_core::teams::Team;
use strongroom_core::text::TeamName;

impl Table for Team {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| {
            Sql::new(Team::TABLE, &["id"], &["name", "created_at", "deleted_at", "shredded_at"])
        });
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.id(TeamId::from_slice)?,
            name: columns.text(TeamName::parse)?,
            created_at: columns.time()?,
            deleted_at: columns.optional_time()?,
            shredded_at: columns.optional_time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.id.as_bytes(),
            self.name.as_str(),
            self.created_at.as_millis(),
            self.deleted_at.map(Timestamp::as_millis),
            self.shredded_at.map(Timestamp::as_millis),
        ])
    }
}
