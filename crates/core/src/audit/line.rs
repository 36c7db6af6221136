//! An event as the line of JSON that is its leaf. Its exact bytes are what is hashed, so
//! an event of before must give the same line for ever: a field that comes later is left
//! out where it is absent, and none is ever renamed or moved.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::events::Recorded;
use crate::requests::RequestedText;

/// The fields in their order, by the names that the API has for them. Behind them stands `requested`: one that
/// comes later stands before it.
#[derive(Serialize)]
struct Line<'a> {
    sequence: i64,
    #[serde(serialize_with = "moment")]
    at: Timestamp,
    action: &'a str,
    #[serde(skip_serializing_if = "is_once")]
    times: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<Uuid>,
    object_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_reason: Option<&'a str>,
    /// Tells a refusal of which nothing is known from no refusal.
    #[serde(skip_serializing_if = "is_false")]
    denied: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_once(times: &u32) -> bool {
    *times == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// As everywhere; a moment that no calendar has, as only a forger would store it, by its
/// milliseconds.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn moment<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    match at.rfc3339() {
        Some(text) => serializer.serialize_str(&text),
        None => serializer.serialize_i64(at.as_millis()),
    }
}

/// The line, without an end.
#[expect(clippy::missing_panics_doc, reason = "it never does")]
pub fn of(event: &Recorded) -> String {
    let refusal = event.refusal.as_ref();
    let line = Line {
        sequence: event.sequence,
        at: event.at,
        action: &event.kind,
        times: event.times,
        team_id: event.team_id.map(crate::TeamId::uuid),
        user_id: event.actor.user_id.map(crate::UserId::uuid),
        api_key_id: event.actor.key_id.map(crate::ApiKeyId::uuid),
        run_id: event.actor.run_id.map(crate::RunId::uuid),
        session_id: event.actor.session_id.map(crate::SessionId::uuid),
        object_type: &event.table,
        object_id: event.object_id,
        version: event.version,
        object_mac: event.object_mac.as_ref().map(|mac| STANDARD.encode(mac)),
        agent_id: event.place.agent_id.map(crate::AgentId::uuid),
        build_id: event.place.revision_id.map(crate::RevisionId::uuid),
        request_id: event.request_id,
        denied_operation: refusal.and_then(|refusal| refusal.action.as_deref()),
        denied_reason: refusal.and_then(|refusal| refusal.reason.as_deref()),
        denied: refusal.is_some_and(|refusal| refusal.action.is_none() && refusal.reason.is_none()),
    };
    let requested = event.requested.as_ref().map(RequestedText::as_str);
    // As long as most are, so that it grows once.
    let mut text = Vec::with_capacity(768 + requested.map_or(0, str::len));
    #[expect(clippy::expect_used, reason = "no field's writing can fail")]
    serde_json::to_writer(&mut text, &line).expect("a line of JSON");
    if let Some(requested) = requested {
        // The last field, as it is stored: whatever is changed there changes the line.
        text.pop();
        text.extend_from_slice(b",\"requested\":");
        text.extend_from_slice(requested.as_bytes());
        text.push(b'}');
    }
    #[expect(clippy::expect_used, reason = "JSON is UTF-8")]
    String::from_utf8(text).expect("UTF-8")
}
