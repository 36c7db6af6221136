//! Invitations.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number};
use crate::query::{Query, Statement};
use std::sync::LazyLock;
use strongroom_core::clock::Timestamp;
use strongroom_core::invitations::Invitation;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::{InvitationId, TeamId, UserId};

impl Record for Invitation {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Invitation::TABLE,
            &[id("id")],
            &[
                id("team_id"),
                id("user_id"),
                bytes("token_hash"),
                id("created_by"),
                number("created_at"),
                number("expires_at"),
                number("closed_at"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.id.as_bytes().into(),
            self.team_id.as_bytes().into(),
            self.user_id.as_bytes().into(),
            Value::bytes(self.token_hash.as_bytes().as_slice()),
            self.created_by.as_bytes().into(),
            self.created_at.into(),
            self.expires_at.into(),
            self.closed_at.into(),
        ]
    }
}

impl Read for Invitation {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.id(InvitationId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            token_hash: columns.token_hash()?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
            expires_at: columns.time()?,
            closed_at: columns.optional_time()?,
        })
    }
}

/// A page of a team's open invitations.
pub(crate) fn open(
    team: TeamId,
    after: Option<InvitationId>,
    limit: u32,
) -> Query<'static, Stored<Invitation>> {
    static OPEN: LazyLock<String> = LazyLock::new(|| {
        Invitation::shape()
            .select("team_id = ?1 AND id > ?2 AND closed_at IS NULL ORDER BY team_id, id LIMIT ?3")
    });
    let after = after.map_or([0; 16], |invitation| *invitation.as_bytes());
    let values = [team.as_bytes().into(), Value::Id(after), Value::number(limit)];
    Query::new(Invitation::TABLE, OPEN.as_str(), values)
}

/// Forgets those whose time was over before this moment.
pub(crate) fn forget(before: Timestamp, limit: u32) -> Statement<'static> {
    let delete = "DELETE FROM invitations WHERE id IN \
                  (SELECT id FROM invitations WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
    Query::new(Invitation::TABLE, delete, [before.into(), Value::number(limit)])
}
