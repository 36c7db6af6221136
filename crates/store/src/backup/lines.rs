//! The lines of a payload: a header, then of each table a line that names its columns and
//! a line for each row, then how many rows there were. Read as what a stranger may have
//! made: nothing is kept of more than one line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::io::{self, BufRead, BufReader, Read, Write};
use uuid::Uuid;

use crate::copy::Raw;
use crate::tables::{Kind, Shape, Value, shapes};
use strongroom_core::InstanceId;

/// What the header calls all this.
const FORMAT: &str = "strongroom-backup-v1";
/// The most bytes of a line, so that one without an end fills no memory.
const MOST_LINE: u64 = 16 << 20;

/// Why the payload of a backup can't be read. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// It can't be read, decrypted or unpacked.
    #[error("the backup can't be read: {0}")]
    Io(#[from] io::Error),
    /// A line isn't what it should be.
    #[error("line {0} of the backup is not what a backup has there")]
    Malformed(u64),
    /// It is of another program.
    #[error(
        "the backup has schema {found}, and this program restores {known}; restore it with the version that made it (`strongroom backup verify` says which), then serve it with the newer one"
    )]
    Schema {
        /// Its schema.
        found: u32,
        /// This program's.
        known: u32,
    },
    /// Rows are missing, or too many.
    #[error("the backup has not as many rows of the table {0} as its manifest says")]
    Count(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    instance_id: Uuid,
    schema: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableLine {
    table: String,
    columns: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    rows: u64,
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Id => "id",
        Kind::Bytes => "bytes",
        Kind::Text => "text",
        Kind::Number => "number",
    }
}

fn columns(shape: &Shape) -> Vec<(String, String)> {
    shape.columns().map(|column| (column.name.to_owned(), name(column.kind).to_owned())).collect()
}

fn line(out: &mut impl Write, content: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(content)?;
    line.push(b'\n');
    out.write_all(&line)
}

pub(super) fn header(out: &mut impl Write, instance: InstanceId, schema: u32) -> io::Result<()> {
    line(out, &Header { format: FORMAT.to_owned(), instance_id: instance.uuid(), schema })
}

pub(super) fn table(out: &mut impl Write, shape: &Shape) -> io::Result<()> {
    line(out, &TableLine { table: shape.table.to_owned(), columns: columns(shape) })
}

pub(super) fn row(out: &mut impl Write, row: &[Value<'_>]) -> io::Result<()> {
    let values: Vec<Json> = row.iter().map(to_json).collect();
    line(out, &values)
}

pub(super) fn end(out: &mut impl Write, rows: u64) -> io::Result<()> {
    line(out, &EndLine { rows })
}

fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Id(id) => Uuid::from_bytes(*id).to_string().into(),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Value::Text(text) => text.as_ref().into(),
        Value::Number(number) => (*number).into(),
    }
}

fn from_json(kind: Kind, json: Json) -> Option<Value<'static>> {
    Some(match (kind, json) {
        (_, Json::Null) => Value::Null,
        (Kind::Id, Json::String(text)) => Value::Id(Uuid::try_parse(&text).ok()?.into_bytes()),
        (Kind::Bytes, Json::String(text)) => Value::Bytes(STANDARD.decode(text).ok()?.into()),
        (Kind::Text, Json::String(text)) => Value::Text(text.into()),
        (Kind::Number, Json::Number(number)) => Value::Number(number.as_i64()?),
        _ => return None,
    })
}

type Unpacked = BufReader<GzDecoder<BufReader<Box<dyn Read + Send>>>>;

/// A payload that is read from its beginning to its end.
pub(super) struct Lines {
    input: Unpacked,
    line: Vec<u8>,
    /// How many lines were read.
    number: u64,
    /// Whether the last line that was read is still to be looked at.
    is_pending: bool,
    /// How many tables were begun.
    tables: usize,
    /// Rows of the tables so far.
    rows: u64,
    instance: InstanceId,
}

impl Lines {
    /// Reads the header.
    pub(super) fn open(payload: Box<dyn Read + Send>) -> Result<Self, PayloadError> {
        let mut lines = Self {
            input: BufReader::new(GzDecoder::new(BufReader::new(payload))),
            line: Vec::new(),
            number: 0,
            is_pending: false,
            tables: 0,
            rows: 0,
            instance: InstanceId::from_uuid(Uuid::nil()),
        };
        lines.read()?;
        let header: Header = lines.parse()?;
        lines.is_pending = false;
        if header.format != FORMAT {
            return Err(lines.malformed());
        }
        let (found, known) = (header.schema, super::schema());
        if found != known {
            return Err(PayloadError::Schema { found, known });
        }
        lines.instance = InstanceId::from_uuid(header.instance_id);
        Ok(lines)
    }

    /// The instance that it says it is of.
    pub(super) fn instance(&self) -> InstanceId {
        self.instance
    }

    /// How many tables were begun.
    pub(super) fn tables(&self) -> usize {
        self.tables
    }

    fn malformed(&self) -> PayloadError {
        PayloadError::Malformed(self.number)
    }

    /// Reads the next line, unless the last is still to be looked at.
    fn read(&mut self) -> Result<(), PayloadError> {
        if std::mem::replace(&mut self.is_pending, true) {
            return Ok(());
        }
        self.line.clear();
        self.number += 1;
        (&mut self.input).take(MOST_LINE).read_until(b'\n', &mut self.line)?;
        if self.line.pop() == Some(b'\n') { Ok(()) } else { Err(self.malformed()) }
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self) -> Result<T, PayloadError> {
        serde_json::from_slice(&self.line).map_err(|_| self.malformed())
    }

    /// The next row of the table; `None`: there are no more.
    pub(super) fn row(&mut self, shape: &Shape) -> Result<Option<Raw>, PayloadError> {
        if !self.skip()? {
            return Ok(None);
        }
        let cells: Vec<Json> = self.parse()?;
        if shape.columns().count() != cells.len() {
            return Err(self.malformed());
        }
        let values = shape.columns().zip(cells).map(|(column, cell)| from_json(column.kind, cell));
        values.collect::<Option<Raw>>().map(Some).ok_or_else(|| self.malformed())
    }

    /// Passes over a row of the table; whether there was one.
    pub(super) fn skip(&mut self) -> Result<bool, PayloadError> {
        self.read()?;
        if self.tables == 0 || self.line.first() != Some(&b'[') {
            return Ok(false);
        }
        self.is_pending = false;
        self.rows += 1;
        Ok(true)
    }

    /// Begins the next table, when there are no more rows of the last; `None`: that was the
    /// last table, and all that follows is the end.
    pub(super) fn table(&mut self) -> Result<Option<&'static Shape>, PayloadError> {
        self.read()?;
        let Some(shape) = shapes().nth(self.tables) else {
            self.end()?;
            return Ok(None);
        };
        let line: TableLine = self.parse()?;
        if line.table != shape.table || line.columns != columns(shape) {
            return Err(self.malformed());
        }
        self.is_pending = false;
        self.tables += 1;
        Ok(Some(shape))
    }

    fn end(&mut self) -> Result<(), PayloadError> {
        let end: EndLine = self.parse()?;
        if end.rows != self.rows {
            return Err(self.malformed());
        }
        self.number += 1;
        // Unpacked to its end, whose checksum is compared, and nothing behind that.
        let is_over =
            self.input.fill_buf()?.is_empty() && self.input.get_mut().get_mut().fill_buf()?.is_empty();
        if is_over { Ok(()) } else { Err(self.malformed()) }
    }
}
