//! An event as the line of JSON that is its leaf. Its exact bytes are what is hashed, so
//! an event of before must give the same line for ever: a field that comes later is left
//! out where it is absent, and none is ever renamed or moved.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::events::Recorded;

/// The fields in their order, by the names that the API has for them: first what is each event's own.
#[derive(Serialize)]
struct Begin {
    sequence: i64,
    #[serde(serialize_with = "moment")]
    at: Timestamp,
}

/// What an event may have in common with the one before.
#[derive(PartialEq, Serialize)]
struct Common {
    action: Cow<'static, str>,
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
    object_type: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "base64")]
    object_mac: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<Uuid>,
}

/// The rest, behind which stands `requested`: a field that comes later stands before it.
#[derive(Serialize)]
struct End<'a> {
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

#[expect(clippy::ref_option, reason = "serde passes references")]
fn base64<S: Serializer>(mac: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    mac.as_ref().map(|mac| STANDARD.encode(mac)).serialize(serializer)
}

impl Common {
    fn of(event: &Recorded) -> Self {
        Self {
            action: event.kind.clone(),
            times: event.times,
            team_id: event.team_id.map(crate::TeamId::uuid),
            user_id: event.actor.user_id.map(crate::UserId::uuid),
            api_key_id: event.actor.key_id.map(crate::ApiKeyId::uuid),
            run_id: event.actor.run_id.map(crate::RunId::uuid),
            session_id: event.actor.session_id.map(crate::SessionId::uuid),
            object_type: event.table.clone(),
            object_id: event.object_id,
            version: event.version,
            object_mac: event.object_mac.clone(),
            agent_id: event.place.agent_id.map(crate::AgentId::uuid),
            build_id: event.place.revision_id.map(crate::RevisionId::uuid),
        }
    }
}

impl<'a> End<'a> {
    fn of(event: &'a Recorded) -> Self {
        let refusal = event.refusal.as_ref();
        Self {
            request_id: event.request_id,
            denied_operation: refusal.and_then(|refusal| refusal.action.as_deref()),
            denied_reason: refusal.and_then(|refusal| refusal.reason.as_deref()),
            denied: refusal.is_some_and(|refusal| refusal.action.is_none() && refusal.reason.is_none()),
        }
    }
}

/// Writes the lines of events that follow one another: what they have in common is written out once, as most
/// of a run's requests is.
#[derive(Default)]
pub struct Lines {
    common: Option<(Common, Vec<u8>)>,
    text: Vec<u8>,
}

impl Lines {
    /// The line, without an end.
    pub fn of(&mut self, event: &Recorded) -> &[u8] {
        self.text.clear();
        // As long as most are, so that it grows once.
        self.text.reserve(1_024);
        add(&mut self.text, &Begin { sequence: event.sequence, at: event.at });
        let common = Common::of(event);
        match &mut self.common {
            Some((known, written)) if *known == common => self.text.extend_from_slice(written),
            other => {
                let start = self.text.len();
                add(&mut self.text, &common);
                *other = Some((common, self.text.get(start..).unwrap_or_default().to_vec()));
            }
        }
        add(&mut self.text, &End::of(event));
        if let Some(requested) = &event.requested {
            // As it is stored: whatever is changed there changes the line.
            self.text.extend_from_slice(b",\"requested\":");
            self.text.extend_from_slice(requested.as_str().as_bytes());
        }
        self.text.push(b'}');
        &self.text
    }

    /// The same as a text.
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn text(&mut self, event: &Recorded) -> String {
        #[expect(clippy::expect_used, reason = "JSON is UTF-8")]
        str::from_utf8(self.of(event)).expect("UTF-8").to_owned()
    }
}

/// Adds fields to an object that is still open.
fn add(text: &mut Vec<u8>, fields: &impl Serialize) {
    let start = text.len();
    #[expect(clippy::expect_used, reason = "no field's writing can fail")]
    serde_json::to_writer(&mut *text, fields).expect("fields of JSON");
    // They have braces of their own, the first of which becomes what stands between them and others.
    text.pop();
    match text.get_mut(start..) {
        Some([_]) => text.truncate(start),
        Some([brace, ..]) if start > 0 => *brace = b',',
        _ => {}
    }
}

/// The line of one event, without an end.
pub fn of(event: &Recorded) -> String {
    Lines::default().text(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Actor, Place, RecordedRefusal};
    use crate::requests::RequestedText;
    use crate::{AgentId, ApiKeyId, RevisionId, RunId, SessionId, TeamId, UserId};

    const REQUESTED: &str = r#"{"scheme":"https","host":"a.example","port":443,"method":"GET","path":"/","sent":0,"received":0,"millis":3,"ended":true}"#;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// One that has nothing that can be left out.
    fn least() -> Recorded {
        Recorded {
            sequence: 12,
            at: Timestamp::from_millis(1_800_000_000_123),
            kind: "run.requested".into(),
            team_id: None,
            actor: Actor::default(),
            place: Place::default(),
            table: "secrets".into(),
            object_id: None,
            version: None,
            object_mac: None,
            request_id: None,
            refusal: None,
            requested: None,
            times: 1,
        }
    }

    fn full() -> Recorded {
        Recorded {
            team_id: Some(TeamId::from_uuid(id(1))),
            actor: Actor {
                user_id: Some(UserId::from_uuid(id(2))),
                key_id: Some(ApiKeyId::from_uuid(id(3))),
                run_id: Some(RunId::from_uuid(id(4))),
                session_id: Some(SessionId::from_uuid(id(5))),
            },
            place: Place {
                agent_id: Some(AgentId::from_uuid(id(6))),
                revision_id: Some(RevisionId::from_uuid(id(7))),
            },
            object_id: Some(id(8)),
            version: Some(9),
            object_mac: Some(vec![0xff; 4]),
            request_id: Some(id(10)),
            refusal: Some(RecordedRefusal {
                action: Some("secrets.read".into()),
                reason: Some("role".into()),
            }),
            requested: RequestedText::from_stored(REQUESTED),
            times: 11,
            ..least()
        }
    }

    #[test]
    fn a_line_is_what_it_always_was() {
        let least = r#"{"sequence":12,"at":"2027-01-15T08:00:00.123Z","action":"run.requested","object_type":"secrets"}"#;
        assert_eq!(of(&self::least()), least);
        let id = |number| format!("00000000-0000-0000-0000-{number:012x}");
        let full = format!(
            r#"{{"sequence":12,"at":"2027-01-15T08:00:00.123Z","action":"run.requested","times":11,"team_id":"{}","user_id":"{}","api_key_id":"{}","run_id":"{}","session_id":"{}","object_type":"secrets","object_id":"{}","version":9,"object_mac":"/////w==","agent_id":"{}","build_id":"{}","request_id":"{}","denied_operation":"secrets.read","denied_reason":"role","requested":{REQUESTED}}}"#,
            id(1),
            id(2),
            id(3),
            id(4),
            id(5),
            id(8),
            id(6),
            id(7),
            id(10),
        );
        assert_eq!(of(&self::full()), full);
        let refused = |action: Option<&str>, reason: Option<&str>| {
            let (action, reason) = (action.map(str::to_owned), reason.map(str::to_owned));
            of(&Recorded { refusal: Some(RecordedRefusal { action, reason }), ..self::least() })
        };
        let ending = |end: &str| least.replace('}', end);
        assert_eq!(refused(None, None), ending(r#","denied":true}"#));
        assert_eq!(refused(Some("a"), None), ending(r#","denied_operation":"a"}"#));
        assert_eq!(refused(None, Some("b")), ending(r#","denied_reason":"b"}"#));
        let forged = Recorded { at: Timestamp::from_millis(i64::MAX), kind: "a\"\n".into(), ..self::least() };
        let line = r#"{"sequence":12,"at":9223372036854775807,"action":"a\"\n","object_type":"secrets"}"#;
        assert_eq!(of(&forged), line);
    }

    #[test]
    fn a_line_is_the_same_whatever_was_before() {
        let alter: [fn(&mut Recorded); 17] = [
            |event| event.sequence += 1,
            |event| event.at = Timestamp::from_millis(i64::MAX),
            |event| event.kind = "another".into(),
            |event| event.team_id = None,
            |event| event.actor.user_id = None,
            |event| event.actor.key_id = None,
            |event| event.actor.run_id = None,
            |event| event.actor.session_id = None,
            |event| event.place.agent_id = None,
            |event| event.place.revision_id = None,
            |event| event.table = "teams".into(),
            |event| event.object_id = Some(id(11)),
            |event| event.version = Some(10),
            |event| event.object_mac = Some(vec![1]),
            |event| event.request_id = Some(id(12)),
            |event| event.refusal = None,
            |event| event.times = 1,
        ];
        let mut lines = Lines::default();
        for alter in alter {
            let mut other = full();
            alter(&mut other);
            assert_ne!(of(&other), of(&full()));
            for event in [full(), other, full(), least()] {
                assert_eq!(str::from_utf8(lines.of(&event)).unwrap(), of(&event));
            }
        }
    }
}
