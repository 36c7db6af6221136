//! Kept answers.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, number};
use crate::query::{Query, Statement};
use strongroom_core::answers::KEPT_FOR;
use strongroom_core::answers::{AnswerId, KeptAnswer, RequestDigest};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::Row;
use strongroom_core::rows::Stored;

impl Record for KeptAnswer {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            KeptAnswer::TABLE,
            &[bytes("id")],
            &[bytes("request"), bytes("answer"), number("created_at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            Value::bytes(self.id.as_bytes().as_slice()),
            Value::bytes(self.request.as_bytes().as_slice()),
            Value::bytes(self.answer.as_slice()),
            self.created_at.into(),
        ]
    }
}

impl Read for KeptAnswer {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.bytes(AnswerId::from_slice)?,
            request: columns.bytes(RequestDigest::from_slice)?,
            answer: columns.bytes(|answer| Some(answer.to_vec()))?,
            created_at: columns.time()?,
        })
    }
}

/// A kept answer.
pub(crate) fn answer(id: AnswerId) -> Query<'static, Stored<KeptAnswer>> {
    let shape = KeptAnswer::shape();
    Query::new(shape.table, shape.by_key(), [Value::bytes(id.as_bytes().to_vec())])
}

/// Takes away an answer that is too old to stand in this one's place.
pub(crate) fn give_way(answer: &KeptAnswer) -> Statement<'_> {
    let old = answer.created_at.as_millis().saturating_sub(KEPT_FOR);
    let delete = "DELETE FROM answers WHERE id = ?1 AND created_at <= ?2";
    let id = Value::bytes(answer.id.as_bytes().as_slice());
    Query::new(KeptAnswer::TABLE, delete, [id, Value::Number(old)])
}

/// Forgets the oldest answers from before this moment.
pub(crate) fn forget(before: Timestamp, limit: u32) -> Statement<'static> {
    let delete = "DELETE FROM answers WHERE id IN \
                  (SELECT id FROM answers WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
    Query::new(KeptAnswer::TABLE, delete, [before.into(), Value::number(limit)])
}
