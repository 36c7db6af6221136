//! Kept answers.

use rusqlite::types::ToSql;
use rusqlite::{Connection, params};
use std::sync::LazyLock;

use super::rows::{self, Columns};
use super::tables::{self, Sql, Table};
use strongroom_core::StoreError;
use strongroom_core::answers::{AnswerId, KEPT_FOR, KeptAnswer, RequestDigest};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::{Row, Stored};

impl Table for KeptAnswer {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> =
            LazyLock::new(|| Sql::new(KeptAnswer::TABLE, &["id"], &["request", "answer", "created_at"]));
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let digest = |bytes: [u8; RequestDigest::LENGTH]| RequestDigest::from_slice(&bytes).ok_or(());
        Ok(Self {
            id: columns.parse(|bytes: [u8; AnswerId::LENGTH]| AnswerId::from_slice(&bytes).ok_or(()))?,
            request: columns.parse(digest)?,
            answer: columns.value()?,
            created_at: columns.time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![self.id.as_bytes(), self.request.as_bytes(), self.answer, self.created_at.as_millis(),])
    }
}

/// Keeps an answer in the place of one that is too old to stand.
pub(super) fn keep(transaction: &Connection, answer: &Stored<KeptAnswer>) -> Result<(), StoreError> {
    let row = answer.row();
    let old = row.created_at.as_millis().saturating_sub(KEPT_FOR);
    let give_way = "DELETE FROM answers WHERE id = ? AND created_at <= ?";
    rows::execute(transaction, KeptAnswer::TABLE, give_way, params![row.id.as_bytes(), old])?;
    tables::insert(transaction, answer).map_err(|error| match error {
        StoreError::Exists => StoreError::Answered,
        other => other,
    })
}

pub(super) const FORGET: &str = "DELETE FROM answers WHERE id IN \
                                 (SELECT id FROM answers WHERE created_at < ? ORDER BY created_at LIMIT ?)";

/// Forgets the oldest answers from before this moment; tells how many.
pub(super) fn forget(transaction: &Connection, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
    let forgotten =
        rows::execute(transaction, KeptAnswer::TABLE, FORGET, params![before.as_millis(), limit])?;
    Ok(u32::try_from(forgotten).unwrap_or(limit))
}
