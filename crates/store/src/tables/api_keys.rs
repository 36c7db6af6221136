//! API keys.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, grants, id, number, text};
use crate::query::{Query, Statement};
use std::sync::LazyLock;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::api_keys::UsedKey;
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::Row;
use strongroom_core::rows::Stored;
use strongroom_core::text::KeyName;
use strongroom_core::{ApiKeyId, TeamId, UserId};

impl Record for ApiKey {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            ApiKey::TABLE,
            &[id("id")],
            &[
                id("team_id"),
                id("user_id"),
                text("name"),
                text("role"),
                text("scopes"),
                bytes("agents"),
                text("networks"),
                number("expires_at"),
                bytes("token_hash"),
                id("created_by"),
                number("created_at"),
                number("revoked_at"),
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
            self.created_by.as_ref().map(UserId::as_bytes).into(),
            self.created_at.into(),
            self.revoked_at.into(),
        ]);
        values
    }
}

impl Read for ApiKey {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.id(ApiKeyId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            name: columns.text(KeyName::parse)?,
            grant: grants::read(columns)?,
            token_hash: columns.token_hash()?,
            created_by: columns.optional_id(UserId::from_slice)?,
            created_at: columns.time()?,
            revoked_at: columns.optional_time()?,
        })
    }
}

impl Read for UsedKey<Stored<ApiKey>> {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self { key: Stored::read(columns)?, last_used_at: columns.optional_time()? })
    }
}

fn page(condition: &str) -> String {
    format!(
        "SELECT {}, (SELECT used_at FROM api_key_uses WHERE key_id = k.id) FROM api_keys k \
         WHERE k.team_id = ?1 AND k.id > ?2{condition} ORDER BY k.team_id, k.id LIMIT ?3",
        ApiKey::shape().of("k")
    )
}

static OF_TEAM: LazyLock<String> = LazyLock::new(|| page(""));
static OF_USER: LazyLock<String> = LazyLock::new(|| page(" AND k.user_id = ?4"));

/// A page of a team's keys, or of one user's in it.
pub(crate) fn keys(
    (team, user): (TeamId, Option<UserId>),
    after: Option<ApiKeyId>,
    limit: u32,
) -> Query<'static, UsedKey<Stored<ApiKey>>> {
    let after = after.map_or([0; 16], |key| *key.as_bytes());
    let mut values = vec![team.as_bytes().into(), Value::Id(after), Value::number(limit)];
    values.extend(user.map(|user| user.as_bytes().into()));
    Query::new(ApiKey::TABLE, if user.is_some() { OF_USER.as_str() } else { OF_TEAM.as_str() }, values)
}

/// How many keys a user has that aren't revoked.
pub(crate) fn good(team: TeamId, user: UserId) -> Query<'static, u64> {
    let count = "SELECT count(*) FROM api_keys WHERE team_id = ?1 AND user_id = ?2 AND revoked_at IS NULL";
    Query::new(ApiKey::TABLE, count, [team.as_bytes().into(), user.as_bytes().into()])
}

/// Notes a use, unless something later is noted or the key is gone.
pub(crate) fn note_use(key: ApiKeyId, used_at: Timestamp) -> Statement<'static> {
    let note = "INSERT INTO api_key_uses (key_id, used_at) \
                SELECT id, CAST(?2 AS BIGINT) FROM api_keys WHERE id = ?1 \
                ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at \
                WHERE excluded.used_at > api_key_uses.used_at";
    Query::new("api_key_uses", note, [key.as_bytes().into(), used_at.into()])
}

/// When each key was last used.
pub(crate) static USES: Shape = Shape::plain("api_key_uses", &[id("key_id")], &[number("used_at")]);
