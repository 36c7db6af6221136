//! A database behind the server's back, whichever engine it is of: one way to
//! say SQL, in SQLite's words, and to read what it answers.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// What the engine said against it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An id, where the engine tells that from other bytes.
    Id,
    /// Bytes.
    Bytes,
    /// Text.
    Text,
    /// A number.
    Number,
}

/// A value, on its way in or out.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// None.
    Null,
    /// A number, or 0 and 1 for false and true.
    Number(i64),
    /// Text.
    Text(String),
    /// Bytes, also of an id.
    Bytes(Vec<u8>),
}

macro_rules! cells {
    ($($from:ty => $cell:expr),* $(,)?) => {$(
        impl From<$from> for Cell {
            fn from(value: $from) -> Self {
                ($cell)(value)
            }
        }
    )*};
}

cells! {
    i64 => Cell::Number,
    u32 => |number| Cell::Number(i64::from(number)),
    i32 => |number| Cell::Number(i64::from(number)),
    &str => |text: &str| Cell::Text(text.to_owned()),
    String => Cell::Text,
    &String => |text: &String| Cell::Text(text.clone()),
    Vec<u8> => Cell::Bytes,
    &Vec<u8> => |bytes: &Vec<u8>| Cell::Bytes(bytes.clone()),
    &[u8] => |bytes: &[u8]| Cell::Bytes(bytes.to_vec()),
}

impl<const N: usize> From<&[u8; N]> for Cell {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Values of different types for a statement.
#[macro_export]
macro_rules! cells {
    ($($value:expr),* $(,)?) => { [$($crate::Cell::from($value)),*] };
}

/// Out of a cell.
pub trait FromCell: Sized {
    /// The value; `None` when the cell holds another kind.
    fn from_cell(cell: &Cell) -> Option<Self>;
}

impl FromCell for Cell {
    fn from_cell(cell: &Cell) -> Option<Self> {
        Some(cell.clone())
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl FromCell for $number {
            fn from_cell(cell: &Cell) -> Option<Self> {
                match cell {
                    Cell::Number(number) => Self::try_from(*number).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

numbers! { i64 i32 u32 u64 usize }

impl FromCell for bool {
    fn from_cell(cell: &Cell) -> Option<Self> {
        i64::from_cell(cell).map(|number| number != 0)
    }
}

impl FromCell for String {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromCell for Vec<u8> {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl<const N: usize> FromCell for [u8; N] {
    fn from_cell(cell: &Cell) -> Option<Self> {
        Vec::from_cell(cell)?.try_into().ok()
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

/// A row of an answer.
#[derive(Clone, Debug)]
pub struct Row(Vec<Cell>);

impl Row {
    /// One of its values.
    ///
    /// # Errors
    /// When it isn't of that kind.
    pub fn get<T: FromCell>(&self, at: usize) -> Result<T, Refused> {
        let cell = self.0.get(at).ok_or_else(|| Refused(format!("there is no column {at}")))?;
        T::from_cell(cell).ok_or_else(|| Refused(format!("column {at} holds {cell:?}")))
    }
}

/// A database, whichever engine it is of.
pub struct Database(Inner);

enum Inner {
    Sqlite(Mutex<rusqlite::Connection>),
    Postgres(Sender<Request>),
}

/// A statement, its values, and where its answer goes.
type Request = (String, Vec<Cell>, Sender<Result<(Vec<Row>, usize), Refused>>);

impl Database {
    /// One of SQLite.
    pub fn sqlite(connection: rusqlite::Connection) -> Self {
        Self(Inner::Sqlite(Mutex::new(connection)))
    }

    /// One of PostgreSQL, by its URL.
    ///
    /// # Panics
    /// When it can't be reached.
    pub fn connect(url: &str) -> Self {
        let (requests, inbox) = channel();
        let (url, (ready, is_ready)) = (url.to_owned(), channel());
        // Beside the tests' runtimes, none of which may wait.
        std::thread::spawn(move || serve(&url, &inbox, &ready));
        is_ready.recv().unwrap();
        Self(Inner::Postgres(requests))
    }

    /// Runs a statement; how many rows it touched.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn execute<V: Into<Cell>>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<usize, Refused> {
        self.run(sql, values.into_iter().map(Into::into).collect()).map(|(_, touched)| touched)
    }

    /// The rows that a query answers.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn query<V: Into<Cell>>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Vec<Row>, Refused> {
        self.run(sql, values.into_iter().map(Into::into).collect()).map(|(rows, _)| rows)
    }

    /// The one row that a query answers.
    ///
    /// # Errors
    /// When the engine refuses, or there is none.
    pub fn query_row<T, V: Into<Cell>>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = V>,
        read: impl FnOnce(&Row) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let rows = self.query(sql, values)?;
        read(rows.first().ok_or_else(|| Refused("no rows".into()))?)
    }

    /// A table's columns, and what they hold.
    ///
    /// # Panics
    /// When there is no such table.
    pub fn columns(&self, table: &str) -> Vec<(String, Kind)> {
        let select = match &self.0 {
            Inner::Sqlite(_) => format!("SELECT name, lower(type) FROM pragma_table_info('{table}')"),
            Inner::Postgres(_) => format!(
                "SELECT column_name::text, data_type::text FROM information_schema.columns \
                 WHERE table_name = '{table}' ORDER BY ordinal_position"
            ),
        };
        let kind = |row: &Row| match row.get::<String>(1).unwrap().as_str() {
            "integer" | "bigint" => Kind::Number,
            "text" => Kind::Text,
            "uuid" => Kind::Id,
            _ => Kind::Bytes,
        };
        let rows = self.query(&select, [0_i64; 0]).unwrap();
        rows.iter().map(|row| (row.get(0).unwrap(), kind(row))).collect()
    }

    /// Another text whenever somebody else has committed a change.
    ///
    /// # Panics
    /// When the engine doesn't say.
    pub fn state(&self) -> String {
        let nothing = [0_i64; 0];
        if let Inner::Sqlite(_) = &self.0 {
            return format!("{:?}", self.query("PRAGMA data_version", nothing).unwrap());
        }
        let state = |table: String| {
            let select = format!("SELECT count(*), max(xmin::text::bigint) FROM {table}");
            format!("{table} {:?}", self.query(&select, nothing).unwrap())
        };
        self.tables().into_iter().map(state).collect()
    }

    /// Every row of every table, as text; bytes in hexadecimal digits.
    ///
    /// # Panics
    /// When the engine refuses.
    pub fn dump(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let dump = |table: String| {
            let rows =
                self.query(&format!("SELECT row_to_json(t)::text FROM {table} t"), [0_i64; 0]).unwrap();
            let rows: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
            (PathBuf::from(table), rows.join("\n").into_bytes())
        };
        self.tables().into_iter().map(dump).collect()
    }

    fn tables(&self) -> Vec<String> {
        let select = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'commits' ORDER BY 1";
        self.query(select, [0_i64; 0]).unwrap().iter().map(|row| row.get(0).unwrap()).collect()
    }

    /// Runs statements that have no values.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn execute_batch(&self, sql: &str) -> Result<(), Refused> {
        match &self.0 {
            Inner::Sqlite(connection) => {
                connection.lock().unwrap().execute_batch(sql).map_err(|error| Refused(error.to_string()))
            }
            Inner::Postgres(_) => sql
                .split(';')
                .filter(|statement| !statement.trim().is_empty())
                .try_for_each(|statement| self.run(statement, Vec::new()).map(|_| ())),
        }
    }

    fn run(&self, sql: &str, values: Vec<Cell>) -> Result<(Vec<Row>, usize), Refused> {
        match &self.0 {
            Inner::Sqlite(connection) => run_sqlite(&connection.lock().unwrap(), sql, &values)
                .map_err(|error| Refused(error.to_string())),
            Inner::Postgres(requests) => {
                let (reply, answer) = channel();
                requests.send((translated(sql), values, reply)).map_err(|_| Refused("gone".into()))?;
                answer.recv().map_err(|_| Refused("gone".into()))?
            }
        }
    }
}

fn run_sqlite(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[Cell],
) -> rusqlite::Result<(Vec<Row>, usize)> {
    use rusqlite::types::Value;
    let values = values.iter().map(|cell| match cell.clone() {
        Cell::Null => Value::Null,
        Cell::Number(number) => Value::Integer(number),
        Cell::Text(text) => Value::Text(text),
        Cell::Bytes(bytes) => Value::Blob(bytes),
    });
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    if columns == 0 {
        let touched = statement.execute(rusqlite::params_from_iter(values))?;
        return Ok((Vec::new(), touched));
    }
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
        let cells = (0..columns).map(|at| {
            Ok(match row.get::<_, Value>(at)? {
                Value::Null => Cell::Null,
                Value::Integer(number) => Cell::Number(number),
                Value::Real(_) => Cell::Text("a real number".into()),
                Value::Text(text) => Cell::Text(text),
                Value::Blob(bytes) => Cell::Bytes(bytes),
            })
        });
        cells.collect::<rusqlite::Result<_>>().map(Row)
    })?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let found = rows.len();
    Ok((rows, found))
}

/// Serves one connection until nobody holds it any more.
fn serve(url: &str, inbox: &Receiver<Request>, ready: &Sender<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = runtime.block_on(async {
        let (client, driver) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(driver);
        client
    });
    ready.send(()).unwrap();
    while let Ok((sql, values, reply)) = inbox.recv() {
        let _gone = reply.send(runtime.block_on(ask(&client, &sql, &values)));
    }
}

async fn ask(
    client: &tokio_postgres::Client,
    sql: &str,
    values: &[Cell],
) -> Result<(Vec<Row>, usize), Refused> {
    let refused = |error: tokio_postgres::Error| {
        Refused(error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned()))
    };
    let statement = client.prepare(sql).await.map_err(refused)?;
    let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
    if statement.columns().is_empty() {
        let touched = client.execute(&statement, &values).await.map_err(refused)?;
        return Ok((Vec::new(), usize::try_from(touched).unwrap()));
    }
    let rows = client.query(&statement, &values).await.map_err(refused)?;
    let read = |row: &tokio_postgres::Row| Row((0..row.len()).map(|at| row.get(at)).collect());
    let rows: Vec<_> = rows.iter().map(read).collect();
    let found = rows.len();
    Ok((rows, found))
}

impl ToSql for Cell {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Number(number) if *of == Type::INT4 => {
                out.extend_from_slice(&i32::try_from(*number)?.to_be_bytes());
            }
            Self::Number(number) if *of == Type::BOOL => out.extend_from_slice(&[u8::from(*number != 0)]),
            Self::Number(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl FromSql<'_> for Cell {
    fn from_sql(of: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *of {
            Type::INT8 => Self::Number(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Self::Number(i32::from_be_bytes(raw.try_into()?).into()),
            Type::BOOL => Self::Number(raw.first().copied().unwrap_or_default().into()),
            Type::UUID | Type::BYTEA => Self::Bytes(raw.to_vec()),
            _ => Self::Text(String::from_utf8(raw.to_vec())?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// SQLite's words in PostgreSQL's: places for values, bytes, and the few
/// functions that tests use.
fn translated(sql: &str) -> String {
    let mut said = String::with_capacity(sql.len() + 32);
    if sql.trim().eq_ignore_ascii_case("PRAGMA foreign_keys = off") {
        return "SET session_replication_role = replica".to_owned();
    }
    let (mut rest, mut place) = (sql, 0);
    while let Some(letter) = rest.chars().next() {
        let literal = rest.strip_prefix("x'").and_then(|hex| hex.split_once('\''));
        let zeros = rest.strip_prefix("zeroblob(").and_then(|count| count.split_once(')'));
        let as_long =
            rest.strip_prefix("zeroblob(coalesce(length(").and_then(|name| name.split_once("), 16))"));
        if let Some((hex, after)) = literal {
            said += &bytes(hex);
            rest = after;
        } else if let Some((name, after)) = as_long {
            said.extend(["decode(repeat('00', coalesce(length(", name, "), 16)), 'hex')"]);
            rest = after;
        } else if let Some((count, after)) = zeros {
            said += &bytes(&"00".repeat(count.parse().unwrap()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("char(10)") {
            said += "chr(10)";
            rest = after;
        } else if letter == '?' {
            let digits = rest[1..].find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len() - 1);
            place = if digits == 0 { place + 1 } else { rest[1..=digits].parse().unwrap() };
            said.extend(["$", &place.to_string()]);
            rest = &rest[1 + digits..];
        } else {
            said.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    said
}

/// Sixteen bytes are an id.
fn bytes(hex: &str) -> String {
    if hex.len() == 32 { format!("'{hex}'::uuid") } else { format!("'\\x{hex}'::bytea") }
}

#[cfg(test)]
mod tests {
    use super::translated;

    #[test]
    fn what_sqlite_is_told_is_told_to_postgresql() {
        assert_eq!(
            translated("UPDATE t SET a = ?, b = ? WHERE c = ?"),
            "UPDATE t SET a = $1, b = $2 WHERE c = $3"
        );
        assert_eq!(translated("a = ?2 AND b = ?1"), "a = $2 AND b = $1");
        let id = "00000000000000000000000000000000";
        assert_eq!(translated("zeroblob(16), zeroblob(2)"), format!("'{id}'::uuid, '\\x0000'::bytea"));
        assert_eq!(translated("'KEY' || char(10)"), "'KEY' || chr(10)");
    }
}
