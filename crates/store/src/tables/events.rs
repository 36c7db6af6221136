//! Audit rows: written, never read back by their fields.

use super::{Column, Shape, Value, bytes, id, number, text};
use strongroom_core::events::Event;
use strongroom_core::{AgentId, ApiKeyId, RevisionId, RunId, SessionId, TeamId, UserId};
use uuid::Uuid;

/// The columns but for the number.
const TOLD: &[Column] = &[
    number("at"),
    text("kind"),
    id("team_id"),
    id("user_id"),
    id("key_id"),
    text("object_table"),
    id("object_id"),
    number("object_version"),
    bytes("object_mac"),
    id("request_id"),
    id("agent_id"),
    id("revision_id"),
    id("run_id"),
    id("session_id"),
];

/// A new event, which the engine numbers.
pub(crate) static EVENTS: Shape = Shape::plain("events", &[], TOLD);

/// An event with its number, which rises in the order in which they were stored.
pub(crate) static NUMBERED: Shape = Shape::plain("events", &[number("sequence")], TOLD);

/// Their values.
pub(crate) fn values(event: &Event) -> Vec<Value<'_>> {
    let mac = event.object.mac.as_ref();
    vec![
        event.at.into(),
        event.kind.name().into(),
        event.team_id.as_ref().map(TeamId::as_bytes).into(),
        event.actor.user_id.as_ref().map(UserId::as_bytes).into(),
        event.actor.key_id.as_ref().map(ApiKeyId::as_bytes).into(),
        event.object.table.into(),
        event.object.id.as_ref().map(Uuid::as_bytes).into(),
        event.object.version.map_or(Value::Null, Value::number),
        mac.map_or(Value::Null, |mac| Value::bytes(mac.as_bytes().as_slice())),
        event.request_id.as_ref().map(Uuid::as_bytes).into(),
        event.place.agent_id.as_ref().map(AgentId::as_bytes).into(),
        event.place.revision_id.as_ref().map(RevisionId::as_bytes).into(),
        event.actor.run_id.as_ref().map(RunId::as_bytes).into(),
        event.actor.session_id.as_ref().map(SessionId::as_bytes).into(),
    ]
}
