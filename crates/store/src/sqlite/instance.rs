//! The instance row and the keys of the hierarchy.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::events;
use super::rows::{self, Columns};
use super::tables;
use strongroom_core::instance::{Instance, NewInstance};
use strongroom_core::keyring::{KeyOwner, WrappedKey};
use strongroom_core::rows::Stored;
use strongroom_core::sealing::Sealed;
use strongroom_core::{InstanceId, KeyId, StoreError, TeamId};

/// The query that [`key`] reads, with a condition.
macro_rules! keys {
    ($which:literal) => {
        concat!("SELECT team_id, owner, version, id, sealed, created_at FROM keys WHERE ", $which)
    };
}

/// Every key of the hierarchy.
pub(super) const KEYS: &str = keys!("true");

pub(super) fn select(connection: &Connection) -> rusqlite::Result<Option<Stored<Instance>>> {
    let select = "SELECT id, root_provider, root_parameters, root_key_id, master, recovery_recipient, recovery, \
                  created_at, row_mac FROM instance";
    let read = |row: &Row<'_>| {
        let mut columns = Columns::new(row);
        let instance = Instance {
            id: columns.id(InstanceId::from_slice)?,
            root_provider: columns.value()?,
            root_parameters: columns.value()?,
            root_key_id: columns.id(KeyId::from_slice)?,
            master: Sealed::from_bytes(columns.value()?),
            recovery_recipient: columns.value()?,
            recovery: columns.value()?,
            created_at: columns.time()?,
        };
        Ok(Stored::unproven(instance, columns.mac()?))
    };
    connection.prepare(select)?.query_row([], read).optional()
}

/// The keys of a team, or the instance's own.
pub(super) fn select_keys(
    connection: &Connection,
    team: Option<TeamId>,
) -> rusqlite::Result<Vec<WrappedKey>> {
    let team = team.as_ref().map_or(&[][..], |team| &team.as_bytes()[..]);
    let select = keys!("team_id = ? AND (owner = 'team') = (length(team_id) = 16)");
    connection.prepare(select)?.query_map([team], key)?.collect()
}

pub(super) fn key(row: &Row<'_>) -> rusqlite::Result<WrappedKey> {
    let mut columns = Columns::new(row);
    let team = columns.parse(|team: Vec<u8>| match team.as_slice() {
        [] => Ok(None),
        bytes => TeamId::from_slice(bytes).map(Some),
    })?;
    Ok(WrappedKey {
        owner: columns.text(|name| KeyOwner::from_name(name, team).ok_or(()))?,
        version: columns.value()?,
        id: columns.id(KeyId::from_slice)?,
        sealed: Sealed::from_bytes(columns.value()?),
        created_at: columns.time()?,
    })
}

pub(super) fn insert(transaction: &Connection, new: &NewInstance) -> Result<(), StoreError> {
    insert_instance(transaction, &new.instance)?;
    new.keys.iter().try_for_each(|key| insert_key(transaction, key))?;
    tables::insert(transaction, &new.team)?;
    tables::insert(transaction, &new.owner)?;
    tables::insert(transaction, &new.membership)?;
    tables::insert(transaction, &new.api_key)?;
    events::insert(transaction, &new.event)
}

fn insert_instance(transaction: &Connection, stored: &Stored<Instance>) -> Result<(), StoreError> {
    let (instance, mac) = (stored.row(), stored.mac());
    let insert = "INSERT INTO instance (only_one, id, root_provider, root_parameters, root_key_id, master, \
                  recovery_recipient, recovery, created_at, row_mac) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        instance.id.as_bytes(),
        instance.root_provider,
        instance.root_parameters,
        instance.root_key_id.as_bytes(),
        instance.master.as_bytes(),
        instance.recovery_recipient,
        instance.recovery,
        instance.created_at.as_millis(),
        mac.as_bytes(),
    ];
    rows::execute(transaction, "instance", insert, values).map(|_| ())
}

/// Stores a key of the hierarchy.
pub(super) fn insert_key(transaction: &Connection, key: &WrappedKey) -> Result<(), StoreError> {
    let team = key.owner.team();
    let insert =
        "INSERT INTO keys (owner, team_id, version, id, sealed, created_at) VALUES (?, ?, ?, ?, ?, ?)";
    let values = params![
        key.owner.name(),
        team.as_ref().map_or(&[][..], |team| &team.as_bytes()[..]),
        key.version,
        key.id.as_bytes(),
        key.sealed.as_bytes(),
        key.created_at.as_millis(),
    ];
    rows::execute(transaction, "keys", insert, values).map(|_| ())
}
