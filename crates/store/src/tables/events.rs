//! Audit rows.

use super::runs::DAY;
use super::{Cells, Column, Columns, Malformed, Read, Shape, Value, bytes, id, number, text};
use crate::query::{Query, Statement, Text};
use std::sync::LazyLock;
use strongroom_core::events::{
    Actor, Event, EventFilter, EventKind, EventPage, Object, Place, Recorded, RecordedRefusal, Refusal,
};
use strongroom_core::requests::RequestedText;
use strongroom_core::store::EVENTS_LOOKED_AT;
use strongroom_core::{AgentId, ApiKeyId, RevisionId, RunId, SessionId, TeamId, Timestamp, UserId};
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
    text("refusal"),
    number("repeats"),
    text("requested"),
];

/// A new event, which the engine numbers.
pub(crate) static EVENTS: Shape = Shape::plain("events", &[], TOLD);

/// An event with its number, which rises in the order in which they were stored.
pub(crate) static NUMBERED: Shape = Shape::plain("events", &[number("sequence")], TOLD);

/// Their values.
pub(crate) fn values(event: &Event) -> Vec<Value<'_>> {
    let mac = event.object.mac.as_ref();
    let [at, request_id, requested] = values_apart(event);
    vec![
        at,
        event.kind.name().into(),
        event.team_id.as_ref().map(TeamId::as_bytes).into(),
        event.actor.user_id.as_ref().map(UserId::as_bytes).into(),
        event.actor.key_id.as_ref().map(ApiKeyId::as_bytes).into(),
        event.object.table.into(),
        event.object.id.as_ref().map(Uuid::as_bytes).into(),
        event.object.version.map_or(Value::Null, Value::number),
        mac.map_or(Value::Null, |mac| Value::bytes(mac.as_bytes().as_slice())),
        request_id,
        event.place.agent_id.as_ref().map(AgentId::as_bytes).into(),
        event.place.revision_id.as_ref().map(RevisionId::as_bytes).into(),
        event.actor.run_id.as_ref().map(RunId::as_bytes).into(),
        event.actor.session_id.as_ref().map(SessionId::as_bytes).into(),
        event.refusal.as_ref().map(|refusal| Value::text(refusal.text())).into(),
        event.refusal.as_ref().and_then(repeats).into(),
        requested,
    ]
}

/// How many events [`some`] stores at once.
const SOME: usize = 64;

/// Stores an event.
pub(crate) fn one(event: &Event) -> Statement<'_> {
    Query::new("events", EVENTS.insert(), values(event))
}

/// Stores all of these events, in their order, by few statements: each costs its own way through the engine.
pub(crate) fn all(events: &[Event]) -> impl Iterator<Item = Statement<'_>> {
    let (chunks, rest) = events.as_chunks();
    chunks.iter().map(some).chain(rest.iter().map(one))
}

/// Stores [`SOME`] events by one statement.
fn some(events: &[Event; SOME]) -> Statement<'_> {
    let first = &events[0];
    if events.iter().all(|event| is_alike(event, first)) { alike(events) } else { unlike(events) }
}

/// Stores [`SOME`] events, whatever they are.
fn unlike(events: &[Event; SOME]) -> Statement<'_> {
    static INSERT: LazyLock<Text> = LazyLock::new(|| insert(|row, column| row * TOLD.len() + column + 1));
    Query::new("events", &*INSERT, events.iter().flat_map(values))
}

/// The columns in which a run's requests for one secret differ, in their order.
const APART: [&str; 3] = ["at", "request_id", "requested"];

/// Whether two events differ in nothing else.
fn is_alike(one: &Event, other: &Event) -> bool {
    // All that an event has is named, so that nothing which comes later is taken for alike unseen.
    let Event { at: _, kind, team_id, actor, place, object, request_id: _, refusal, requested: _ } = *one;
    let Object { table, id, version, mac } = object;
    let others = &other.object;
    (kind, team_id, actor, place, refusal)
        == (other.kind, other.team_id, other.actor, other.place, other.refusal)
        && (table, id, version) == (others.table, others.id, others.version)
        && mac.is_none()
        && others.mac.is_none()
}

/// Stores [`SOME`] events that are alike: what they have in common is handed over once, which takes longer
/// than to store it.
fn alike(events: &[Event; SOME]) -> Statement<'_> {
    static INSERT: LazyLock<Text> = LazyLock::new(|| {
        let (apart, common): (Vec<usize>, Vec<usize>) = (0..TOLD.len()).partition(|at| is_apart(*at));
        insert(|row, column| match apart.iter().position(|at| *at == column) {
            Some(at) => common.len() + row * apart.len() + at + 1,
            None => common.iter().filter(|at| **at < column).count() + 1,
        })
    });
    let common = values(&events[0]).into_iter().enumerate().filter(|(at, _)| !is_apart(*at));
    let values = common.map(|(_, value)| value).chain(events.iter().flat_map(values_apart));
    Query::new("events", &*INSERT, values)
}

/// The values of [`APART`].
fn values_apart(event: &Event) -> [Value<'_>; APART.len()] {
    [
        event.at.into(),
        event.request_id.as_ref().map(Uuid::as_bytes).into(),
        event.requested.as_ref().map(RequestedText::as_str).into(),
    ]
}

fn is_apart(column: usize) -> bool {
    TOLD.get(column).is_some_and(|column| APART.contains(&column.name))
}

/// A statement for [`SOME`] events; `place` says which value stands in a row's column.
///
/// SQLite is told that it needn't undo the statement alone: who stores events undoes everything.
fn insert(place: impl Fn(usize, usize) -> usize) -> Text {
    let row = |row| {
        let places: Vec<_> = (0..TOLD.len()).map(|column| format!("?{}", place(row, column))).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<_> = (0..SOME).map(row).collect();
    let text = format!("INTO events ({}) VALUES {}", EVENTS.names().join(", "), rows.join(", "));
    Text { sqlite: format!("INSERT OR FAIL {text}").into(), postgres: format!("INSERT {text}").into() }
}

/// How often more than once.
fn repeats(refusal: &Refusal) -> Option<Value<'static>> {
    Some(refusal.times).filter(|times| *times > 1).map(Value::number)
}

impl Read for Recorded {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        let sequence = columns.number()?;
        let at = columns.time()?;
        let kind = columns.string()?.into();
        let team_id = columns.optional_id(TeamId::from_slice)?;
        let (mut actor, mut place) = (Actor::default(), Place::default());
        actor.user_id = columns.optional_id(UserId::from_slice)?;
        actor.key_id = columns.optional_id(ApiKeyId::from_slice)?;
        let table = columns.string()?.into();
        let object_id = columns.optional_id(Uuid::from_slice)?;
        let version = columns.optional_number()?;
        // Nothing is decided by it here, so it may be anything.
        let object_mac = columns.optional_bytes(|mac| Ok::<_, Malformed>(mac.to_vec()))?;
        let request_id = columns.optional_id(Uuid::from_slice)?;
        place.agent_id = columns.optional_id(AgentId::from_slice)?;
        place.revision_id = columns.optional_id(RevisionId::from_slice)?;
        actor.run_id = columns.optional_id(RunId::from_slice)?;
        actor.session_id = columns.optional_id(SessionId::from_slice)?;
        let refusal = columns.optional_text(|text| RecordedRefusal::from_text(text).ok_or(Malformed))?;
        // Once is left out, so that each event has one form.
        let times = match columns.optional_number::<u32>()? {
            None => 1,
            Some(0 | 1) => return Err(Malformed),
            Some(times) => times,
        };
        let requested = columns.optional_text(|text| RequestedText::from_stored(text).ok_or(Malformed))?;
        Ok(Self {
            sequence,
            at,
            kind,
            team_id,
            actor,
            place,
            table,
            object_id,
            version,
            object_mac,
            request_id,
            refusal,
            times,
            requested,
        })
    }
}

/// The text of a search. It is the same for every search, so that an engine
/// prepares it once: what isn't asked for is null. The first place of a value
/// tells PostgreSQL its type.
static MATCHING: LazyLock<Text> = LazyLock::new(|| {
    let objects: Vec<_> = (0..EventFilter::MOST_OBJECTS).map(|at| format!("?{}", at + 13)).collect();
    let sqlite = format!(
        "SELECT {columns} FROM events INDEXED BY events_by_team \
         WHERE team_id = ?1 AND sequence < ?2 AND sequence >= ?3 \
         AND (instr(?5, ' ' || kind || ' ') > 0 OR ?5 IS NULL) AND (user_id = ?6 OR ?6 IS NULL) \
         AND (key_id = ?7 OR ?7 IS NULL) AND (run_id = ?8 OR ?8 IS NULL) \
         AND (object_table = ?9 OR ?9 IS NULL) \
         AND (?10 IN (object_id, user_id, key_id, run_id, session_id, agent_id, revision_id, request_id) OR ?10 IS NULL) \
         AND (at >= ?11 OR ?11 IS NULL) AND (at < ?12 OR ?12 IS NULL) \
         AND (object_id IN ({objects}) OR ?13 IS NULL) ORDER BY sequence DESC LIMIT ?4",
        columns = NUMBERED.names().join(", "),
        objects = objects.join(", "),
    );
    let hinted = Text::hinted(sqlite, "");
    Text { postgres: hinted.postgres.replace("instr(", "strpos(").into(), ..hinted }
});

/// Events that match, from one place back to another: at most `limit`.
fn matching(
    team: TeamId,
    filter: &EventFilter,
    (before, from): (i64, i64),
    limit: u32,
) -> Query<'static, Recorded> {
    let kinds: Vec<_> = filter.kinds.iter().copied().map(EventKind::name).collect();
    let kinds = (!kinds.is_empty()).then(|| Value::text(format!(" {} ", kinds.join(" "))));
    let mut values = vec![
        team.as_bytes().into(),
        Value::number(before),
        Value::number(from),
        Value::number(limit),
        kinds.into(),
        filter.user.as_ref().map(UserId::as_bytes).into(),
        filter.key.as_ref().map(ApiKeyId::as_bytes).into(),
        filter.run.as_ref().map(RunId::as_bytes).into(),
        filter.table.clone().map(Value::text).into(),
        filter.naming.as_ref().map(Uuid::as_bytes).into(),
        filter.since.map(Value::time).into(),
        filter.until.map(Value::time).into(),
    ];
    let objects = filter.objects.iter().map(|id| Value::Id(*id.as_bytes()));
    values.extend(objects.chain(std::iter::repeat(Value::Null)).take(EventFilter::MOST_OBJECTS));
    Query::new("events", &*MATCHING, values)
}

/// How a page of events is searched for: where a search that may find few ends
/// is asked first, so that it looks at so many rows and no more.
pub(crate) struct Search<'a> {
    team: TeamId,
    filter: &'a EventFilter,
    before: i64,
    limit: u32,
}

impl<'a> Search<'a> {
    pub(crate) fn new(team: TeamId, filter: &'a EventFilter, before: Option<i64>, limit: u32) -> Self {
        Self { team, filter, before: before.unwrap_or(i64::MAX), limit }
    }

    /// Asks for the place of the last row that is looked at, if there are so many.
    pub(crate) fn end(&self) -> Option<Query<'static, i64>> {
        static END: LazyLock<Text> = LazyLock::new(|| {
            Text::hinted(
                "SELECT sequence FROM events INDEXED BY events_by_team WHERE team_id = ?1 AND sequence < ?2 \
                 ORDER BY sequence DESC LIMIT 1 OFFSET ?3"
                    .to_owned(),
                "",
            )
        });
        let values =
            [self.team.as_bytes().into(), Value::number(self.before), Value::number(EVENTS_LOOKED_AT - 1)];
        (!self.filter.is_empty()).then(|| Query::new("events", &*END, values))
    }

    /// Asks for one event more than belong on the page, back to its end.
    pub(crate) fn found(&self, end: Option<i64>) -> Query<'static, Recorded> {
        let limit = self.limit.saturating_add(1);
        matching(self.team, self.filter, (self.before, end.unwrap_or(i64::MIN)), limit)
    }

    /// The page.
    pub(crate) fn page(&self, end: Option<i64>, mut events: Vec<Recorded>) -> EventPage {
        let room = self.limit as usize;
        let more = events.len() > room;
        events.truncate(room);
        let next = if more { events.last().map(|last| last.sequence).or(Some(self.before)) } else { end };
        EventPage { events, next }
    }
}

/// Requests of a run through the broker, the newest first, and one more than belong on the page.
pub(crate) fn of_run(
    (team, run): (TeamId, RunId),
    before: Option<i64>,
    limit: u32,
) -> Query<'static, Recorded> {
    static OF_RUN: LazyLock<Text> = LazyLock::new(|| {
        let columns = NUMBERED.names().join(", ");
        Text::hinted(
            format!(
                "SELECT {columns} FROM events INDEXED BY events_requested WHERE kind = 'run.requested' \
                 AND run_id = ?1 AND sequence < ?2 AND team_id = ?3 ORDER BY sequence DESC LIMIT ?4"
            ),
            "",
        )
    });
    let values = [
        run.as_bytes().into(),
        Value::number(before.unwrap_or(i64::MAX)),
        team.as_bytes().into(),
        Value::number(limit.saturating_add(1)),
    ];
    Query::new("events", &*OF_RUN, values)
}

/// The page of such requests.
pub(crate) fn page_of_run(mut events: Vec<Recorded>, limit: u32) -> EventPage {
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    EventPage { next: events.last().filter(|_| more).map(|last| last.sequence), events }
}

/// How often somebody was refused something in a team on each day.
pub(crate) fn refusals_by_day(team: TeamId, since: Timestamp, most: u32) -> Query<'static, (i64, u64)> {
    static BY_DAY: LazyLock<Text> = LazyLock::new(|| {
        let newest = "(SELECT at, repeats FROM events INDEXED BY events_refused \
             WHERE team_id = ?1 AND kind = 'access.denied' AND at >= ?2 ORDER BY at DESC LIMIT ?3) r";
        let days = format!(
            "SELECT r.at / {DAY}, CAST(sum(coalesce(r.repeats, 1)) AS BIGINT) FROM {newest} GROUP BY 1 ORDER BY 1"
        );
        Text::hinted(days, "")
    });
    let values = [team.as_bytes().into(), since.into(), Value::number(most)];
    Query::new("events", &*BY_DAY, values)
}
