//! The audit tree: its head, which leaves are which events, and its tiles.

use super::events::NUMBERED;
use super::{Cells, Columns, Malformed, Read, Shape, Value, bytes, number, text};
use crate::query::{Query, Statement, Text};
use std::sync::LazyLock;
use strongroom_core::TeamId;
use strongroom_core::audit::tiles::{Place, Tile, Tiles};
use strongroom_core::audit::{Gap, Head, Span};
use strongroom_core::events::Recorded;

/// The newest head.
pub(crate) static HEAD: Shape = Shape::plain(
    "audit_head",
    &[number("only_one")],
    &[number("size"), number("settled"), text("note"), number("at")],
);

/// Which leaves are which events.
pub(crate) static SPANS: Shape =
    Shape::plain("audit_spans", &[number("leaf")], &[number("sequence"), number("count")]);

/// The hashes.
pub(crate) static TILES: Shape =
    Shape::plain("audit_tiles", &[number("level"), number("place")], &[bytes("hashes")]);

/// How far each sink has got.
pub(crate) static SINKS: Shape = Shape::plain("audit_sinks", &[text("name")], &[number("leaf")]);

fn unsigned(number: u64) -> Value<'static> {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Read for Head {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        columns.flag()?;
        Ok(Self {
            size: columns.number()?,
            settled: columns.number()?,
            note: columns.string()?,
            at: columns.time()?,
        })
    }
}

impl Read for Span {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self { leaf: columns.number()?, sequence: columns.number()?, count: columns.number()? })
    }
}

/// A tile and its place.
impl Read for (Place, Tile) {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        let place = Place { level: columns.number()?, index: columns.number()? };
        Ok((place, columns.bytes(Tile::from_slice)?))
    }
}

/// The newest head.
pub(crate) fn head() -> Query<'static, Head> {
    static TEXT: LazyLock<String> = LazyLock::new(|| HEAD.select("true"));
    Query::new("audit_head", TEXT.as_str(), [])
}

/// Stores a head: in the place of the one over `was` leaves, or as the first.
pub(crate) fn put_head(was: u64, head: &Head) -> Statement<'_> {
    let mut values = vec![
        Value::Number(1),
        unsigned(head.size),
        Value::Number(head.settled),
        head.note.as_str().into(),
        head.at.into(),
    ];
    if was == 0 {
        static INSERT: LazyLock<String> =
            LazyLock::new(|| format!("{} ON CONFLICT DO NOTHING", HEAD.insert()));
        return Query::new("audit_head", INSERT.as_str(), values);
    }
    values.push(unsigned(was));
    let update = "UPDATE audit_head SET size = ?2, settled = ?3, note = ?4, at = ?5 \
                  WHERE only_one = ?1 AND size = ?6";
    Query::new("audit_head", update, values)
}

/// Stores a span, or makes the one that begins there longer.
pub(crate) fn put_span(span: &Span) -> Statement<'static> {
    static PUT: LazyLock<String> = LazyLock::new(|| {
        format!("{} ON CONFLICT (leaf) DO UPDATE SET count = excluded.count", SPANS.insert())
    });
    let values = [unsigned(span.leaf), Value::Number(span.sequence), unsigned(span.count)];
    Query::new("audit_spans", PUT.as_str(), values)
}

/// Stores a tile, or what it has by now.
pub(crate) fn put_tile((place, tile): &(Place, Tile)) -> Statement<'static> {
    static PUT: LazyLock<String> = LazyLock::new(|| {
        format!("{} ON CONFLICT (level, place) DO UPDATE SET hashes = excluded.hashes", TILES.insert())
    });
    let values = [Value::number(place.level), unsigned(place.index), Value::bytes(tile.to_bytes())];
    Query::new("audit_tiles", PUT.as_str(), values)
}

/// The spans from the one that has this leaf.
pub(crate) fn spans(leaf: u64, limit: u32) -> Query<'static, Span> {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let from = "leaf >= coalesce((SELECT max(leaf) FROM audit_spans WHERE leaf <= ?1), 0)";
        SPANS.select(&format!("{from} ORDER BY leaf LIMIT ?2"))
    });
    Query::new("audit_spans", TEXT.as_str(), [unsigned(leaf), Value::number(limit)])
}

/// The spans in the order of the record, from the one that has this place, or the last
/// before it.
pub(crate) fn spans_by_place(sequence: i64, limit: u32) -> Query<'static, Span> {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let from = "sequence >= coalesce((SELECT max(sequence) FROM audit_spans WHERE sequence <= ?1), ?1)";
        SPANS.select(&format!("{from} ORDER BY sequence LIMIT ?2"))
    });
    Query::new("audit_spans", TEXT.as_str(), [Value::Number(sequence), Value::number(limit)])
}

/// Pairs of numbers as JSON, which both engines take apart.
fn pairs(pairs: impl Iterator<Item = (i64, i64)>) -> Value<'static> {
    let pairs: Vec<_> = pairs.map(|(one, other)| format!("[{one},{other}]")).collect();
    Value::text(format!("[{}]", pairs.join(",")))
}

/// A query for the rows that a list of pairs names. PostgreSQL is to look for those of each pair by themselves:
/// where there is an order it went through the whole table in it otherwise, and for each row through all pairs.
fn by_pairs(columns: &str, table: &str, is: &str, order: &str) -> Text {
    let by_sqlite = is.replace("ONE", "(p.value ->> 0)").replace("OTHER", "(p.value ->> 1)");
    let sqlite = format!("SELECT {columns} FROM json_each(?1) p CROSS JOIN {table} e ON {by_sqlite} {order}");
    let by_postgres =
        is.replace("ONE", "(p.value ->> 0)::bigint").replace("OTHER", "(p.value ->> 1)::bigint");
    let of_each = format!("SELECT * FROM {table} WHERE {by_postgres} {order}");
    let pairs = "json_array_elements(?1::json) p(value)";
    let postgres = format!("SELECT {columns} FROM {pairs} CROSS JOIN LATERAL ({of_each}) e {order}");
    Text { sqlite: sqlite.into(), postgres: postgres.into() }
}

/// Those of these tiles that are there.
pub(crate) fn tiles(places: &[Place]) -> Query<'static, (Place, Tile)> {
    static TEXT: LazyLock<Text> =
        LazyLock::new(|| by_pairs(&TILES.of("e"), "audit_tiles", "level = ONE AND place = OTHER", ""));
    let places =
        places.iter().map(|place| (i64::from(place.level), i64::try_from(place.index).unwrap_or(i64::MAX)));
    Query::new("audit_tiles", &*TEXT, [pairs(places)])
}

/// Tiles by their places.
pub(crate) fn by_place(tiles: Vec<(Place, Tile)>) -> Tiles {
    Tiles(tiles.into_iter().collect())
}

/// Events between two places, of a team or of all.
pub(crate) fn recorded(places: Gap, team: Option<TeamId>, limit: u32) -> Query<'static, Recorded> {
    static ALL: LazyLock<String> =
        LazyLock::new(|| NUMBERED.select("sequence >= ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3"));
    static OF_TEAM: LazyLock<Text> = LazyLock::new(|| {
        let columns = NUMBERED.names().join(", ");
        let text = format!(
            "SELECT {columns} FROM events INDEXED BY events_by_team \
             WHERE team_id = ?4 AND sequence >= ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3"
        );
        Text::hinted(text, "")
    });
    let mut values = vec![Value::Number(places.first), Value::Number(places.last), Value::number(limit)];
    match team {
        None => Query::new("events", ALL.as_str(), values),
        Some(team) => {
            values.push(Value::Id(*team.as_bytes()));
            Query::new("events", &*OF_TEAM, values)
        }
    }
}

/// The events that are in these gaps.
pub(crate) fn within(gaps: &[Gap], limit: u32) -> Query<'static, Recorded> {
    static TEXT: LazyLock<Text> = LazyLock::new(|| {
        let is = "sequence >= ONE AND sequence <= OTHER";
        by_pairs(&NUMBERED.of("e"), "events", is, "ORDER BY sequence LIMIT ?2")
    });
    let gaps = gaps.iter().map(|gap| (gap.first, gap.last));
    Query::new("events", &*TEXT, [pairs(gaps), Value::number(limit)])
}

/// Up to which leaf a sink has everything.
pub(crate) fn sink(name: &str) -> Query<'_, u64> {
    Query::new("audit_sinks", "SELECT leaf FROM audit_sinks WHERE name = ?1", [name.into()])
}

/// Notes up to which leaf a sink has everything.
pub(crate) fn move_sink(name: &str, leaf: u64) -> Statement<'_> {
    static PUT: LazyLock<String> =
        LazyLock::new(|| format!("{} ON CONFLICT (name) DO UPDATE SET leaf = excluded.leaf", SINKS.insert()));
    Query::new("audit_sinks", PUT.as_str(), [name.into(), unsigned(leaf)])
}
