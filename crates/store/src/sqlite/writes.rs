//! What a verb does, in one transaction: its permit is proven, then each of
//! its steps is done in order. Whoever runs this undoes it whole at an error.

use rusqlite::{Connection, params};

use super::{agents, answers, api_keys, events, instance, proofs, runs, secrets, tables, users};
use strongroom_core::StoreError;
use strongroom_core::agents::{Agent, Attachment};
use strongroom_core::secrets::Secret;
use strongroom_core::store::{Change, Write};
use strongroom_core::users::Membership;

pub(super) fn run(transaction: &Connection, write: &Write) -> Result<(), StoreError> {
    proofs::prove(transaction, &write.permit)?;
    write.changes.iter().try_for_each(|change| step(transaction, change))?;
    write.events.iter().try_for_each(|event| events::insert(transaction, event))?;
    write.answer.iter().try_for_each(|answer| answers::keep(transaction, answer))?;
    if write.rehearsal { Err(StoreError::Rehearsed) } else { Ok(()) }
}

fn step(transaction: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Secret(row) => tables::put(transaction, row),
        Change::Version(version) => secrets::insert_version(transaction, version),
        Change::Team(row) => tables::put(transaction, row),
        Change::Key(key) => instance::insert_key(transaction, key),
        Change::User(row) => tables::put(transaction, row),
        Change::Membership(row) => tables::put(transaction, row),
        Change::ApiKey(row) => tables::put(transaction, row),
        Change::KeyLink(row) => tables::put(transaction, row),
        Change::Agent(row) => tables::put(transaction, row),
        Change::Revision(row) => tables::put(transaction, row),
        Change::Attachment(row) => tables::put(transaction, row),
        Change::Detach(team, revision, secret, mac) => {
            agents::detach(transaction, (*team, *revision, *secret), *mac)
        }
        Change::Run(row) => tables::put(transaction, row),
        Change::Delivery(delivery) => runs::insert_delivery(transaction, delivery),
        Change::AgentIs(team, id, mac) => {
            let values = params![team.as_bytes(), id.as_bytes(), mac.as_bytes()];
            tables::unchanged::<Agent>(transaction, values)
        }
        Change::AttachmentIs(team, revision, secret, mac) => {
            let values = params![team.as_bytes(), revision.as_bytes(), secret.as_bytes(), mac.as_bytes()];
            tables::unchanged::<Attachment>(transaction, values)
        }
        Change::SecretIs(team, id, mac) => {
            let values = params![team.as_bytes(), id.as_bytes(), mac.as_bytes()];
            tables::unchanged::<Secret>(transaction, values)
        }
        Change::MembershipIs(team, user, mac) => {
            let values = params![team.as_bytes(), user.as_bytes(), mac.as_bytes()];
            tables::unchanged::<Membership>(transaction, values)
        }
        Change::HasOwner(team) => users::has_owner(transaction, *team),
        Change::HasNoKey(team, user) => api_keys::has_none(transaction, *team, *user),
    }
}
