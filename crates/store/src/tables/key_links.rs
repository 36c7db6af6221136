//! Links by which a user makes an API key.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, grants, id, number, text};
use crate::query::Query;
use std::sync::LazyLock;
use strongroom_core::key_links::KeyLink;
use strongroom_core::rows::Row;
use strongroom_core::rows::Stored;
use strongroom_core::text::KeyName;
use strongroom_core::{ApiKeyId, KeyLinkId, TeamId, UserId};

impl Record for KeyLink {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            KeyLink::TABLE,
            &[id("id")],
            &[
                id("team_id"),
                id("user_id"),
                text("name"),
                text("role"),
                text("scopes"),
                bytes("agents"),
                text("networks"),
                number("key_expires_at"),
                bytes("token_hash"),
                id("created_by"),
                id("made_with"),
                number("created_at"),
                number("expires_at"),
                number("closed_at"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        let mut values = vec![
            self.id.as_bytes().into(),
            self.team_id.as_bytes().into(),
            self.user_id.as_bytes().into(),
            self.name.as_str().into(),
        ];
        values.extend(grants::values(&self.grant));
        values.extend([
            Value::bytes(self.token_hash.as_bytes().as_slice()),
            self.created_by.as_bytes().into(),
            self.made_with.as_bytes().into(),
            self.created_at.into(),
            self.expires_at.into(),
            self.closed_at.into(),
        ]);
        values
    }
}

impl Read for KeyLink {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.id(KeyLinkId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            name: columns.text(KeyName::parse)?,
            grant: grants::read(columns)?,
            token_hash: columns.token_hash()?,
            created_by: columns.id(UserId::from_slice)?,
            made_with: columns.id(ApiKeyId::from_slice)?,
            created_at: columns.time()?,
            expires_at: columns.time()?,
            closed_at: columns.optional_time()?,
        })
    }
}

static OPEN: LazyLock<String> = LazyLock::new(|| {
    KeyLink::shape().select("team_id = ?1 AND id > ?2 AND closed_at IS NULL ORDER BY team_id, id LIMIT ?3")
});

/// A page of a team's open links.
pub(crate) fn open(team: TeamId, after: Option<KeyLinkId>, limit: u32) -> Query<'static, Stored<KeyLink>> {
    let after = after.map_or([0; 16], |link| *link.as_bytes());
    Query::new(
        KeyLink::TABLE,
        OPEN.as_str(),
        [team.as_bytes().into(), Value::Id(after), Value::number(limit)],
    )
}
