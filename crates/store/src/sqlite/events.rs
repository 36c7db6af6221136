//! Audit rows.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::rows;
use strongroom_core::events::Event;
use strongroom_core::rows::RowMac;
use strongroom_core::{AgentId, ApiKeyId, RevisionId, RunId, StoreError, TeamId, UserId};

pub(super) fn insert(transaction: &Connection, event: &Event) -> Result<(), StoreError> {
    let insert = "INSERT INTO events (at, kind, team_id, user_id, key_id, object_table, object_id, \
                  object_version, object_mac, request_id, agent_id, revision_id, run_id) \
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        event.at.as_millis(),
        event.kind.name(),
        event.team_id.as_ref().map(TeamId::as_bytes),
        event.actor.user_id.as_ref().map(UserId::as_bytes),
        event.actor.key_id.as_ref().map(ApiKeyId::as_bytes),
        event.object.table,
        event.object.id.as_ref().map(Uuid::as_bytes),
        event.object.version,
        event.object.mac.as_ref().map(RowMac::as_bytes),
        event.request_id.as_ref().map(Uuid::as_bytes),
        event.place.agent_id.as_ref().map(AgentId::as_bytes),
        event.place.revision_id.as_ref().map(RevisionId::as_bytes),
        event.actor.run_id.as_ref().map(RunId::as_bytes),
    ];
    rows::execute(transaction, "events", insert, values).map(|_| ())
}
