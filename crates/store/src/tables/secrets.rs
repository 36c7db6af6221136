//! Secrets and their versions.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number, text};
use crate::query::{Query, Statement, Text};
use std::sync::LazyLock;
use strongroom_core::policies::Policy;
use strongroom_core::rows::Row;
use strongroom_core::rows::Stored;
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::text::{Invalid, SecretName, ServiceSlug};
use strongroom_core::{EnvKey, KeyId, SecretId, TeamId, UserId};

impl Record for Secret {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Secret::TABLE,
            &[id("team_id"), id("id")],
            &[
                id("owner"),
                text("name"),
                text("service_slug"),
                text("env_keys"),
                number("version"),
                id("created_by"),
                number("created_at"),
                number("updated_at"),
                number("deleted_at"),
                text("policy"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.team_id.as_bytes().into(),
            self.id.as_bytes().into(),
            self.owner.as_ref().map(UserId::as_bytes).into(),
            self.name.as_str().into(),
            self.service_slug.as_ref().map(ServiceSlug::as_str).into(),
            Value::text(self.env_key_lines()),
            Value::number(self.version),
            self.created_by.as_bytes().into(),
            self.created_at.into(),
            self.updated_at.into(),
            self.deleted_at.into(),
            self.policy.as_ref().map(Policy::to_stored).map_or(Value::Null, Value::text),
        ]
    }
}

impl Read for Secret {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            id: columns.id(SecretId::from_slice)?,
            owner: columns.optional_id(UserId::from_slice)?,
            name: columns.text(SecretName::parse)?,
            service_slug: columns.optional_text(ServiceSlug::parse)?,
            env_keys: columns.text(env_keys)?,
            version: columns.number()?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
            deleted_at: columns.optional_time()?,
            policy: columns.optional_text(Policy::from_stored)?,
        })
    }
}

/// Names as they are stored, a line each.
pub(super) fn env_keys(lines: &str) -> Result<Vec<EnvKey>, Invalid> {
    lines.split('\n').filter(|line| !line.is_empty()).map(EnvKey::parse).collect()
}

impl Record for Version {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::plain(
            "versions",
            &[id("secret_id"), number("number")],
            &[bytes("sealed"), id("created_by"), number("created_at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.secret_id.as_bytes().into(),
            Value::number(self.number),
            Value::bytes(self.sealed.as_bytes()),
            self.created_by.as_bytes().into(),
            self.created_at.into(),
        ]
    }
}

impl Read for Version {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            secret_id: columns.id(SecretId::from_slice)?,
            number: columns.number()?,
            sealed: columns.bytes(|sealed| Some(Sealed::from_bytes(sealed.to_vec())))?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
        })
    }
}

static VISIBLE: LazyLock<String> = LazyLock::new(|| {
    Secret::shape().select(
        "team_id = ?1 AND id > ?2 AND (owner IS NULL OR owner = ?3) AND deleted_at IS NULL \
         ORDER BY team_id, id LIMIT ?4",
    )
});

/// A page of the secrets that a user sees.
pub(crate) fn visible(
    (team, user): (TeamId, UserId),
    after: Option<SecretId>,
    limit: u32,
) -> Query<'static, Stored<Secret>> {
    // No id is nil, so the first page is what comes after that.
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let values = [team.as_bytes().into(), Value::Id(after), user.as_bytes().into(), Value::number(limit)];
    Query::new(Secret::TABLE, VISIBLE.as_str(), values)
}

/// The newest of a team's secrets that are deleted, as far as a user may see them.
pub(crate) fn deleted((team, user): (TeamId, UserId), limit: u32) -> Query<'static, Stored<Secret>> {
    static DELETED: LazyLock<Text> = LazyLock::new(|| {
        let select = Secret::shape().select(
            "team_id = ?1 AND deleted_at IS NOT NULL AND (owner IS NULL OR owner = ?2) \
             ORDER BY team_id, deleted_at DESC LIMIT ?3",
        );
        // By its key it would read all secrets of the team.
        Text::hinted(select.replace("FROM secrets", "FROM secrets INDEXED BY secrets_to_bring_back"), "")
    });
    let values = [team.as_bytes().into(), user.as_bytes().into(), Value::number(limit)];
    Query::new(Secret::TABLE, &*DELETED, values)
}

/// Has secrets stay as they are until the end of the transaction, in an order
/// that is everybody's: the values are the columns that [`held`] makes.
pub(crate) fn hold() -> Text {
    Text::from(
        "SELECT 1 FROM secrets s JOIN unnest(?1::uuid[], ?2::uuid[]) AS x(team, id) \
         ON s.team_id = x.team AND s.id = x.id ORDER BY s.team_id, s.id FOR SHARE OF s",
    )
}

/// The teams and ids of secrets.
pub(crate) fn held(team: TeamId, ids: &[SecretId]) -> [Vec<Value<'static>>; 2] {
    [
        ids.iter().map(|_| team.as_bytes().into()).collect(),
        ids.iter().map(|id| id.as_bytes().into()).collect(),
    ]
}

static VERSION: LazyLock<String> =
    LazyLock::new(|| Version::shape().select("secret_id = ?1 AND number = ?2"));

/// One version.
pub(crate) fn version(secret: SecretId, number: u32) -> Query<'static, Version> {
    Query::new("versions", VERSION.as_str(), [secret.as_bytes().into(), Value::number(number)])
}

static VERSIONS: LazyLock<String> =
    LazyLock::new(|| Version::shape().select("secret_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3"));

/// A page of a secret's versions.
pub(crate) fn versions(secret: SecretId, after: u32, limit: u32) -> Query<'static, Version> {
    let values = [secret.as_bytes().into(), Value::number(after), Value::number(limit)];
    Query::new("versions", VERSIONS.as_str(), values)
}

/// A page of the versions of a team's secrets, by secret and number.
pub(crate) fn versions_of_team(
    team: TeamId,
    after: Option<(SecretId, u32)>,
    limit: u32,
) -> Query<'static, Version> {
    static OF_TEAM: LazyLock<Text> = LazyLock::new(|| {
        let columns = Version::shape().of("v");
        let text = format!(
            "SELECT {columns} FROM secrets s CROSS JOIN versions v ON v.secret_id = s.id \
             WHERE s.team_id = ?1 AND s.id >= ?2 AND (s.id > ?2 OR v.number > ?3) \
             ORDER BY s.id, v.number LIMIT ?4"
        );
        Text::hinted(text, "")
    });
    let (secret, number) = after.map_or(([0; 16], 0), |(secret, number)| (*secret.as_bytes(), number));
    let values = [team.as_bytes().into(), Value::Id(secret), Value::number(number), Value::number(limit)];
    Query::new("versions", &*OF_TEAM, values)
}

/// How many versions a team's secrets have, and how many of them another key sealed. A
/// sealed blob names its key behind two bytes.
pub(crate) fn count_versions(team: TeamId, key: KeyId) -> Query<'static, (i64, u64)> {
    static COUNT: LazyLock<Text> = LazyLock::new(|| {
        let text = "SELECT count(*), count(CASE WHEN substr(v.sealed, 3, 16) <> ?2 THEN 1 END) \
                    FROM secrets s CROSS JOIN versions v ON v.secret_id = s.id WHERE s.team_id = ?1";
        Text::hinted(text.to_owned(), "")
    });
    let values = [team.as_bytes().into(), Value::bytes(key.as_bytes().to_vec())];
    Query::new("versions", &*COUNT, values)
}

/// Seals a version anew, while it is sealed as it was.
pub(crate) fn reseal((version, anew): &(Version, Sealed)) -> Statement<'_> {
    let update = "UPDATE versions SET sealed = ?3 WHERE secret_id = ?1 AND number = ?2 AND sealed = ?4";
    let values = [
        version.secret_id.as_bytes().into(),
        Value::number(version.number),
        Value::bytes(anew.as_bytes()),
        Value::bytes(version.sealed.as_bytes()),
    ];
    Query::new("versions", update, values)
}
