//! The instance row and the keys of the hierarchy.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number, text};
use crate::query::{Query, Statement};
use std::sync::LazyLock;
use strongroom_core::instance::Instance;
use strongroom_core::keyring::{KeyOwner, Purpose, WrappedKey};
use strongroom_core::rows::Row;
use strongroom_core::rows::Stored;
use strongroom_core::sealing::Sealed;
use strongroom_core::{InstanceId, KeyId, TeamId};

impl Record for Instance {
    /// Its primary key is a number that can only be 1, so that there is one.
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Instance::TABLE,
            &[number("only_one")],
            &[
                id("id"),
                text("root_provider"),
                text("root_parameters"),
                id("root_key_id"),
                bytes("master"),
                text("recovery_recipient"),
                bytes("recovery"),
                number("created_at"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            Value::Number(1),
            self.id.as_bytes().into(),
            self.root_provider.as_str().into(),
            self.root_parameters.as_str().into(),
            self.root_key_id.as_bytes().into(),
            Value::bytes(self.master.as_bytes()),
            self.recovery_recipient.as_str().into(),
            Value::bytes(self.recovery.as_slice()),
            self.created_at.into(),
        ]
    }
}

impl Read for Instance {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        columns.flag()?;
        Ok(Self {
            id: columns.id(InstanceId::from_slice)?,
            root_provider: columns.string()?,
            root_parameters: columns.string()?,
            root_key_id: columns.id(KeyId::from_slice)?,
            master: columns.bytes(|master| Some(Sealed::from_bytes(master.to_vec())))?,
            recovery_recipient: columns.string()?,
            recovery: columns.bytes(|recovery| Some(recovery.to_vec()))?,
            created_at: columns.time()?,
        })
    }
}

impl Record for WrappedKey {
    /// The team is 16 bytes, or none for a purpose: not null, as part of a
    /// primary key.
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::plain(
            "keys",
            &[text("owner"), bytes("team_id"), number("version")],
            &[id("id"), bytes("sealed"), number("created_at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        let team = self.owner.team().map_or_else(Vec::new, |team| team.as_bytes().to_vec());
        vec![
            self.owner.name().into(),
            Value::bytes(team),
            Value::number(self.version),
            self.id.as_bytes().into(),
            Value::bytes(self.sealed.as_bytes()),
            self.created_at.into(),
        ]
    }
}

impl Read for WrappedKey {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        let owner = columns.string()?;
        let team = columns.bytes(|team| match team {
            [] => Some(None),
            bytes => TeamId::from_slice(bytes).ok().map(Some),
        })?;
        Ok(Self {
            owner: KeyOwner::from_name(&owner, team).ok_or(Malformed)?,
            version: columns.number()?,
            id: columns.id(KeyId::from_slice)?,
            sealed: columns.bytes(|sealed| Some(Sealed::from_bytes(sealed.to_vec())))?,
            created_at: columns.time()?,
        })
    }
}

static INSTANCE: LazyLock<String> = LazyLock::new(|| Instance::shape().select("true"));

/// The instance row.
pub(crate) fn instance() -> Query<'static, Stored<Instance>> {
    Query::new(Instance::TABLE, INSTANCE.as_str(), [])
}

/// The instance's own keys.
pub(crate) fn purpose_keys() -> Query<'static, WrappedKey> {
    static KEYS: LazyLock<String> = LazyLock::new(|| {
        let names = Purpose::ALL.map(|purpose| format!("'{}'", purpose.name()));
        WrappedKey::shape().select(&format!("owner IN ({}) AND team_id = ?1", names.join(", ")))
    });
    Query::new("keys", KEYS.as_str(), [Value::bytes(Vec::new())])
}

/// Stores a key of a purpose, unless there is one.
pub(crate) fn add_purpose_key(key: &WrappedKey) -> Statement<'_> {
    static ADD: LazyLock<String> =
        LazyLock::new(|| format!("{} ON CONFLICT DO NOTHING", WrappedKey::shape().insert()));
    Query::new("keys", ADD.as_str(), key.values())
}

/// The keys of a team.
pub(crate) fn team_keys(team: TeamId) -> Query<'static, WrappedKey> {
    static KEYS: LazyLock<String> =
        LazyLock::new(|| WrappedKey::shape().select("owner = 'team' AND team_id = ?1"));
    Query::new("keys", KEYS.as_str(), [Value::bytes(team.as_bytes().to_vec())])
}

/// How many keys there are: none where there is no part of an instance.
pub(crate) fn keys() -> Query<'static, u64> {
    Query::new("keys", "SELECT count(*) FROM keys", [])
}
