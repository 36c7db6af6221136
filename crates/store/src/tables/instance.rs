//! The instance row and the keys of the hierarchy.

use super::events::NUMBERED;
use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number, text};
use crate::query::{Query, Statement};
use std::sync::LazyLock;
use strongroom_core::clock::Timestamp;
use strongroom_core::events::Recorded;
use strongroom_core::instance::{Instance, RootCopy};
use strongroom_core::keyring::{KeyOwner, Purpose, WrappedKey};
use strongroom_core::rows::{Row, RowMac, Stored};
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

impl Record for RootCopy {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            RootCopy::TABLE,
            &[text("provider")],
            &[text("parameters"), id("key_id"), bytes("master"), number("created_at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.provider.as_str().into(),
            self.parameters.as_str().into(),
            self.key_id.as_bytes().into(),
            Value::bytes(self.master.as_bytes()),
            self.created_at.into(),
        ]
    }
}

impl Read for RootCopy {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            provider: columns.string()?,
            parameters: columns.string()?,
            key_id: columns.id(KeyId::from_slice)?,
            master: columns.bytes(|master| Some(Sealed::from_bytes(master.to_vec())))?,
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

/// The instance's own keys, and ways to its master key.
pub(crate) fn purpose_keys() -> Query<'static, WrappedKey> {
    static KEYS: LazyLock<String> = LazyLock::new(|| {
        let owners = Purpose::ALL.map(KeyOwner::Purpose).into_iter().chain([KeyOwner::Master]);
        let names: Vec<_> = owners.map(|owner| format!("'{}'", owner.name())).collect();
        WrappedKey::shape().select(&format!("owner IN ({}) AND team_id = ?1", names.join(", ")))
    });
    Query::new("keys", KEYS.as_str(), [Value::bytes(Vec::new())])
}

/// Every key.
pub(crate) fn all_keys() -> Query<'static, WrappedKey> {
    static KEYS: LazyLock<String> = LazyLock::new(|| WrappedKey::shape().select("true"));
    Query::new("keys", KEYS.as_str(), [])
}

/// How many keys there are but for ways to a master key.
pub(crate) fn lasting_keys() -> Query<'static, u64> {
    Query::new("keys", "SELECT count(*) FROM keys WHERE owner <> 'master'", [])
}

/// How many keys for MACs there are, which every instance has, that the master key sealed
/// which sealed this one: none when that was replaced. The key's id is in the blob's header,
/// behind format and suite.
pub(crate) fn sealed_alike(key: &WrappedKey) -> Query<'static, u64> {
    under_master(key.sealed.as_bytes().get(2..18).unwrap_or_default())
}

/// The same for the master key with this id.
pub(crate) fn sealed_by(master: KeyId) -> Query<'static, u64> {
    under_master(master.as_bytes())
}

fn under_master(id: &[u8]) -> Query<'static, u64> {
    let text = "SELECT count(*) FROM keys WHERE owner = 'row_mac' AND substr(sealed, 3, 16) = ?1";
    Query::new("keys", text, [Value::bytes(id.to_vec())])
}

/// Puts a key in the place of the same one, sealed by another master key, while it is as it was.
pub(crate) fn rewrap((key, anew): &(WrappedKey, Sealed)) -> Statement<'_> {
    let update =
        "UPDATE keys SET sealed = ?5 WHERE owner = ?1 AND team_id = ?2 AND version = ?3 AND sealed = ?4";
    let team = key.owner.team().map_or_else(Vec::new, |team| team.as_bytes().to_vec());
    let values = [
        key.owner.name().into(),
        Value::bytes(team),
        Value::number(key.version),
        Value::bytes(key.sealed.as_bytes()),
        Value::bytes(anew.as_bytes()),
    ];
    Query::new("keys", update, values)
}

/// Takes away ways to a master key from before this moment.
pub(crate) fn close_ways(before: Timestamp) -> Statement<'static> {
    let delete = "DELETE FROM keys WHERE owner = 'master' AND team_id = ?1 AND created_at < ?2";
    Query::new("keys", delete, [Value::bytes(Vec::new()), before.into()])
}

/// The master key under further root keys.
pub(crate) fn root_copies() -> Query<'static, Stored<RootCopy>> {
    static COPIES: LazyLock<String> = LazyLock::new(|| RootCopy::shape().select("true ORDER BY provider"));
    Query::new(RootCopy::TABLE, COPIES.as_str(), [])
}

/// Whether PostgreSQL has the table.
pub(crate) fn has_root_copies() -> Query<'static, u64> {
    Query::new(RootCopy::TABLE, "SELECT count(to_regclass('root_copies'))", [])
}

/// Takes one of them away, while it is as it was.
pub(crate) fn remove_copy((provider, mac): &(String, RowMac)) -> Statement<'_> {
    let values = [provider.as_str().into(), Value::bytes(mac.as_bytes().to_vec())];
    Query::new(RootCopy::TABLE, "DELETE FROM root_copies WHERE provider = ?1 AND row_mac = ?2", values)
}

/// The newest events about the instance's row and keys.
pub(crate) fn key_events(limit: u32) -> Query<'static, Recorded> {
    static EVENTS: LazyLock<String> = LazyLock::new(|| {
        NUMBERED.select("object_table IN ('instance', 'keys', 'root_copies') ORDER BY sequence DESC LIMIT ?1")
    });
    Query::new("events", EVENTS.as_str(), [Value::number(limit)])
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

/// Teams that have more than one key, and the version of the newest.
pub(crate) fn teams_with_older_keys() -> Query<'static, (TeamId, u16)> {
    let text = "SELECT team_id, max(version) FROM keys WHERE owner = 'team' GROUP BY owner, team_id HAVING count(*) > 1";
    Query::new("keys", text, [])
}

/// Takes away a team's keys before a version.
pub(crate) fn retire_keys(team: TeamId, before: u16) -> Statement<'static> {
    let delete = "DELETE FROM keys WHERE owner = 'team' AND team_id = ?1 AND version < ?2";
    Query::new("keys", delete, [Value::bytes(team.as_bytes().to_vec()), Value::number(before)])
}

impl Read for (TeamId, u16) {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok((columns.bytes(|id| TeamId::from_slice(id).ok())?, columns.number()?))
    }
}

/// How many keys there are: none where there is no part of an instance.
pub(crate) fn keys() -> Query<'static, u64> {
    Query::new("keys", "SELECT count(*) FROM keys", [])
}
