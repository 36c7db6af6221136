//! The instance row and the keys of the hierarchy.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{self, id, mac, malformed, parse, time};
use super::{api_keys, events, users};
use strongroom_core::instance::{Instance, NewInstance};
use strongroom_core::keyring::{KeyOwner, WrappedKey};
use strongroom_core::rows::Stored;
use strongroom_core::sealing::Sealed;
use strongroom_core::{InstanceId, KeyId, StoreError, TeamId};

pub(super) const KEY: &str = "owner, team_id, version, id, sealed, created_at";

pub(super) fn select(connection: &Connection) -> rusqlite::Result<Option<Stored<Instance>>> {
    let select = "SELECT id, root_provider, root_parameters, root_key_id, master, recovery_recipient, recovery, \
                  created_at, row_mac FROM instance";
    let read = |row: &Row<'_>| {
        let instance = Instance {
            id: id(row, 0, InstanceId::from_slice)?,
            root_provider: row.get(1)?,
            root_parameters: row.get(2)?,
            root_key_id: id(row, 3, KeyId::from_slice)?,
            master: Sealed::from_bytes(row.get(4)?),
            recovery_recipient: row.get(5)?,
            recovery: row.get(6)?,
            created_at: time(row, 7)?,
        };
        Ok(Stored::unproven(instance, mac(row, 8)?))
    };
    connection.prepare(select)?.query_row([], read).optional()
}

/// The keys of a team, or the instance's own.
pub(super) fn select_keys(
    connection: &Connection,
    team: Option<TeamId>,
) -> rusqlite::Result<Vec<WrappedKey>> {
    let team = team.as_ref().map_or(&[][..], |team| &team.as_bytes()[..]);
    let select =
        format!("SELECT {KEY} FROM keys WHERE team_id = ? AND (owner = 'team') = (length(team_id) = 16)");
    connection.prepare(&select)?.query_map([team], key)?.collect()
}

pub(super) fn key(row: &Row<'_>) -> rusqlite::Result<WrappedKey> {
    let team: Vec<u8> = row.get(1)?;
    let team = match team.as_slice() {
        [] => None,
        bytes => Some(TeamId::from_slice(bytes).map_err(|_| malformed(1))?),
    };
    Ok(WrappedKey {
        owner: parse(row, 0, |name: String| KeyOwner::from_name(&name, team).ok_or(()))?,
        version: row.get(2)?,
        id: id(row, 3, KeyId::from_slice)?,
        sealed: Sealed::from_bytes(row.get(4)?),
        created_at: time(row, 5)?,
    })
}

pub(super) fn insert(transaction: &Connection, new: &NewInstance) -> Result<(), StoreError> {
    insert_instance(transaction, &new.instance)?;
    for key in &new.keys {
        insert_key(transaction, key)?;
    }
    users::insert_team(transaction, &new.team)?;
    users::insert_user(transaction, &new.owner)?;
    users::insert_membership(transaction, &new.membership)?;
    api_keys::insert(transaction, &new.api_key)?;
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
    rows::insert(transaction, "instance", insert, values)
}

fn insert_key(transaction: &Connection, key: &WrappedKey) -> Result<(), StoreError> {
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
    rows::insert(transaction, "keys", insert, values)
}
