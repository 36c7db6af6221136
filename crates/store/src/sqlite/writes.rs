//! What a verb does, in one transaction: its permit is proven, then each of
//! its steps is done in order. Whoever runs this undoes it whole at an error.

use rusqlite::Connection;

use super::{rows, tables};
use crate::query;
use crate::tables::{agents, answers, api_keys, audit, events, fill_requests, instance, proofs, runs, users};
use strongroom_core::StoreError;
use strongroom_core::access::Permit;
use strongroom_core::agents::{Agent, Attachment};
use strongroom_core::answers::KeptAnswer;
use strongroom_core::audit::Sealing;
use strongroom_core::events::Event;
use strongroom_core::instance::NewInstance;
use strongroom_core::keyring::{KeyOwner, WrappedKey};
use strongroom_core::rows::Stored;
use strongroom_core::secrets::Secret;
use strongroom_core::store::{Change, KeyTurn, Write};
use strongroom_core::users::Membership;

pub(super) fn run(transaction: &Connection, write: &Write) -> Result<(), StoreError> {
    prove(transaction, &write.permit)?;
    write.changes.iter().try_for_each(|change| step(transaction, change))?;
    write.events.iter().try_for_each(|event| record(transaction, event))?;
    write.answers.iter().try_for_each(|answer| keep(transaction, answer))?;
    if write.rehearsal { Err(StoreError::Rehearsed) } else { Ok(()) }
}

/// Holds a permit against the rows as they are now, inside its write's
/// transaction: a key revoked or a role cut in between stops the write.
fn prove(transaction: &Connection, permit: &Permit) -> Result<(), StoreError> {
    let query = proofs::proof(permit.means(), (permit.team_id(), permit.user_id()));
    let now = tables::one(transaction, &query).map_err(|error| rows::store_error(error, query.table))?;
    if now == Some(permit.proof()) { Ok(()) } else { Err(StoreError::StalePermit) }
}

fn step(transaction: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Secret(row) => tables::put(transaction, row),
        Change::Version(version) => tables::insert(transaction, version),
        Change::Team(row) => tables::put(transaction, row),
        Change::Key(key) => new_key(transaction, key),
        Change::User(row) => tables::put(transaction, row),
        Change::Membership(row) => tables::put(transaction, row),
        Change::ApiKey(row) => tables::put(transaction, row),
        Change::KeyLink(row) => tables::put(transaction, row),
        Change::SignIn(row) => tables::put(transaction, row),
        Change::Session(row) => tables::put(transaction, row),
        Change::Invitation(row) => tables::put(transaction, row),
        Change::FillRequest(row) => tables::put(transaction, row),
        Change::Agent(row) => tables::put(transaction, row),
        Change::Revision(row) => tables::put(transaction, row),
        Change::Attachment(row) => tables::put(transaction, row),
        Change::Detach(team, revision, secret, mac) => {
            let detach = agents::detach((*team, *revision, *secret), mac);
            tables::as_seen(tables::execute(transaction, &detach)?)
        }
        Change::Run(row) => tables::put(transaction, row),
        Change::Delivery(delivery) => tables::execute(transaction, &runs::note(delivery)).map(|_| ()),
        Change::AgentIs(team, id, mac) => {
            tables::unchanged(transaction, &query::unchanged::<Agent>([team.as_bytes(), id.as_bytes()], *mac))
        }
        Change::AttachmentIs(team, revision, secret, mac) => {
            let key = [team.as_bytes(), revision.as_bytes(), secret.as_bytes()];
            tables::unchanged(transaction, &query::unchanged::<Attachment>(key, *mac))
        }
        Change::SecretIs(team, id, mac) => tables::unchanged(
            transaction,
            &query::unchanged::<Secret>([team.as_bytes(), id.as_bytes()], *mac),
        ),
        Change::MembershipIs(team, user, mac) => {
            let key = [team.as_bytes(), user.as_bytes()];
            tables::unchanged(transaction, &query::unchanged::<Membership>(key, *mac))
        }
        Change::HasOwner(team) => match tables::count(transaction, &users::owners(*team))? {
            0 => Err(StoreError::LastOwner),
            _ => Ok(()),
        },
        Change::HasNoKey(team, user) => match tables::count(transaction, &api_keys::good(*team, *user))? {
            0 => Ok(()),
            _ => Err(StoreError::Changed),
        },
        Change::AsksForFewer(team, user, now) => {
            let open = tables::count(transaction, &fill_requests::how_many(*team, *user, *now))?;
            if fill_requests::few(open) { Ok(()) } else { Err(StoreError::AskedTooOften) }
        }
    }
}

/// Stores a key that the instance's master key sealed.
fn new_key(transaction: &Connection, key: &WrappedKey) -> Result<(), StoreError> {
    sealed_alike(transaction, key)?;
    tables::insert(transaction, key)
}

/// Demands that the instance's master key sealed it.
pub(super) fn sealed_alike(transaction: &Connection, key: &WrappedKey) -> Result<(), StoreError> {
    match tables::count(transaction, &instance::sealed_alike(key))? {
        0 => Err(query::superseded()),
        _ => Ok(()),
    }
}

/// Replaces keys of the instance itself.
pub(super) fn turn(transaction: &Connection, turn: &KeyTurn) -> Result<(), StoreError> {
    if tables::count(transaction, &instance::sealed_by(turn.master))? == 0 {
        return Err(StoreError::Changed);
    }
    turn.instance.iter().try_for_each(|put| tables::put(transaction, put))?;
    turn.copies.iter().try_for_each(|put| tables::put(transaction, put))?;
    if let Some(removed) = &turn.removed {
        tables::as_seen(tables::execute(transaction, &instance::remove_copy(removed))?)?;
    }
    for key in &turn.rewrapped {
        tables::as_seen(tables::execute(transaction, &instance::rewrap(key))?)?;
    }
    let all = u64::try_from(turn.rewrapped.len()).unwrap_or(u64::MAX);
    if all > 0 && tables::count(transaction, &instance::lasting_keys())? != all {
        return Err(StoreError::Changed);
    }
    for key in &turn.added {
        // A way to the new master key is sealed by the old one.
        match key.owner {
            KeyOwner::Master => tables::insert(transaction, key)?,
            _ => new_key(transaction, key)?,
        }
    }
    turn.events.iter().try_for_each(|event| record(transaction, event))
}

/// Stores an audit row.
pub(super) fn record(transaction: &Connection, event: &Event) -> Result<(), StoreError> {
    tables::execute(transaction, &events::one(event)).map(|_| ())
}

/// Keeps an answer in the place of one that is too old to stand.
pub(super) fn keep(transaction: &Connection, answer: &Stored<KeptAnswer>) -> Result<(), StoreError> {
    tables::execute(transaction, &answers::give_way(answer.row()))?;
    tables::insert_stored(transaction, answer).map_err(|error| match error {
        StoreError::Exists => StoreError::Answered,
        other => other,
    })
}

/// Makes leaves of events.
pub(super) fn seal(transaction: &Connection, sealing: &Sealing) -> Result<(), StoreError> {
    tables::as_seen(tables::execute(transaction, &audit::put_head(sealing.was, &sealing.head))?)?;
    let spans = sealing.spans.iter().map(audit::put_span);
    let mut statements = spans.chain(sealing.tiles.iter().map(audit::put_tile));
    statements.try_for_each(|statement| tables::execute(transaction, &statement).map(|_| ()))
}

/// Stores a new instance.
pub(super) fn found(transaction: &Connection, new: &NewInstance) -> Result<(), StoreError> {
    tables::insert_stored(transaction, &new.instance)?;
    new.keys.iter().try_for_each(|key| tables::insert(transaction, key))?;
    tables::insert_stored(transaction, &new.team)?;
    tables::insert_stored(transaction, &new.owner)?;
    tables::insert_stored(transaction, &new.membership)?;
    tables::insert_stored(transaction, &new.api_key)?;
    record(transaction, &new.event)
}
