//! The tables, as every engine keeps them: their columns, and how a row becomes
//! values and values become a row. A column that isn't what was written there
//! makes its row malformed, which the core treats as tampering.

pub(crate) mod agents;
pub(crate) mod answers;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod fill_requests;
mod grants;
pub(crate) mod instance;
pub(crate) mod invitations;
pub(crate) mod key_links;
pub(crate) mod proofs;
pub(crate) mod purge;
pub(crate) mod runs;
pub(crate) mod secrets;
pub(crate) mod sessions;
mod sign_ins;
pub(crate) mod teams;
pub(crate) mod users;
mod value;

use std::marker::PhantomData;
use std::sync::OnceLock;

use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::KeptAnswer;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::clock::Timestamp;
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::instance::{Instance, RootCopy};
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::WrappedKey;
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::runs::{Delivery, Run};
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::teams::Team;
use strongroom_core::tokens::TokenHash;
use strongroom_core::users::{Membership, User};

pub(crate) use value::Value;

use crate::query::Text;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The 16 bytes of a UUID.
    Id,
    Bytes,
    Text,
    Number,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

const fn id(name: &'static str) -> Column {
    Column { name, kind: Kind::Id }
}

const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: Kind::Number }
}

/// The MAC's column: the last of every table that has one.
static ROW_MAC: [Column; 1] = [bytes("row_mac")];

/// A table's columns, and what is said about it again and again, made once.
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    pub(crate) key: &'static [Column],
    others: &'static [Column],
    mac: &'static [Column],
    by_key: OnceLock<String>,
    unchanged: OnceLock<Text>,
    insert: OnceLock<String>,
    update: OnceLock<String>,
}

impl Shape {
    /// A table without MACs.
    const fn plain(table: &'static str, key: &'static [Column], others: &'static [Column]) -> Self {
        Self::with(table, [key, others, &[]])
    }

    /// A table whose rows have MACs.
    const fn new(table: &'static str, key: &'static [Column], others: &'static [Column]) -> Self {
        Self::with(table, [key, others, &ROW_MAC])
    }

    const fn with(table: &'static str, [key, others, mac]: [&'static [Column]; 3]) -> Self {
        Self {
            table,
            key,
            others,
            mac,
            by_key: OnceLock::new(),
            unchanged: OnceLock::new(),
            insert: OnceLock::new(),
            update: OnceLock::new(),
        }
    }

    /// Every column, in the order in which they are read and written: the
    /// primary key's, the others, the MAC.
    pub(crate) fn columns(&self) -> impl Iterator<Item = Column> {
        [self.key, self.others, self.mac].into_iter().flatten().copied()
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.columns().map(|column| column.name).collect()
    }

    /// The condition that is true of the row with this primary key, whose
    /// values are `?1` and on.
    pub(crate) fn is_key(&self) -> String {
        let place = |(at, column): (usize, &Column)| format!("{} = ?{}", column.name, at + 1);
        let places: Vec<_> = self.key.iter().enumerate().map(place).collect();
        places.join(" AND ")
    }

    /// The query for the row with a primary key.
    pub(crate) fn by_key(&'static self) -> &'static str {
        self.by_key.get_or_init(|| self.select(&self.is_key()))
    }

    /// The query for a 1 where there is a row with a primary key and a MAC.
    /// SQLite has one writer; elsewhere the row is held as it is.
    pub(crate) fn unchanged(&'static self) -> &'static Text {
        self.unchanged.get_or_init(|| {
            let mac = self.key.len() + 1;
            let find = format!("SELECT 1 FROM {} WHERE {} AND row_mac = ?{mac}", self.table, self.is_key());
            Text { postgres: format!("{find} FOR SHARE").into(), sqlite: find.into() }
        })
    }

    /// The statement that stores a new row: its values are the columns.
    pub(crate) fn insert(&'static self) -> &'static str {
        self.insert.get_or_init(|| {
            let names = self.names();
            let places: Vec<_> = (1..=names.len()).map(|at| format!("?{at}")).collect();
            format!("INSERT INTO {} ({}) VALUES ({})", self.table, names.join(", "), places.join(", "))
        })
    }

    /// The statement that puts a row in the place of another: its values are the
    /// columns, and the MAC of the row that is to be replaced.
    pub(crate) fn update(&'static self) -> &'static str {
        self.update.get_or_init(|| {
            let names = self.names();
            // The key itself is not set: SQLite would take that for a new place.
            let set = names.iter().zip(1..).skip(self.key.len());
            let set: Vec<_> = set.map(|(name, at)| format!("{name} = ?{at}")).collect();
            let (is_key, was) = (self.is_key(), names.len() + 1);
            format!("UPDATE {} SET {} WHERE {is_key} AND row_mac = ?{was}", self.table, set.join(", "))
        })
    }

    /// The columns of a query that calls the table so.
    pub(crate) fn of(&self, alias: &str) -> String {
        let columns: Vec<_> = self.columns().map(|column| format!("{alias}.{}", column.name)).collect();
        columns.join(", ")
    }

    /// The query with this condition.
    pub(crate) fn select(&self, condition: &str) -> String {
        format!("SELECT {} FROM {} WHERE {condition}", self.names().join(", "), self.table)
    }
}

/// Every table of an instance, in an order in which their rows can be stored.
pub(crate) fn shapes() -> impl Iterator<Item = &'static Shape> {
    [
        Instance::shape(),
        WrappedKey::shape(),
        RootCopy::shape(),
        Team::shape(),
        User::shape(),
        Membership::shape(),
        ApiKey::shape(),
        &api_keys::USES,
        KeyLink::shape(),
        SignIn::shape(),
        Session::shape(),
        Invitation::shape(),
        FillRequest::shape(),
        KeptAnswer::shape(),
        Agent::shape(),
        Revision::shape(),
        Attachment::shape(),
        Run::shape(),
        Delivery::shape(),
        Secret::shape(),
        Version::shape(),
        &events::NUMBERED,
        &audit::SPANS,
        &audit::TILES,
        &audit::SINKS,
        &audit::HEAD,
    ]
    .into_iter()
}

/// What is kept in a table, a row each.
pub(crate) trait Record: Read {
    /// The table.
    fn shape() -> &'static Shape;

    /// The values of its columns but for the MAC, in their order.
    fn values(&self) -> Vec<Value<'_>>;
}

/// What is read from consecutive columns.
pub(crate) trait Read: Sized {
    /// Reads them; of a [`Record`] those of its table but for the MAC, in
    /// their order.
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed>;
}

/// A row and its MAC.
impl<T: Record + Row> Read for Stored<T> {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        let row = T::read(columns)?;
        Ok(Self::unproven(row, columns.mac()?))
    }
}

/// What a counting query answers.
impl Read for u64 {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        columns.number()
    }
}

/// A number, and how many.
impl Read for (i64, u64) {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok((columns.number()?, columns.number()?))
    }
}

/// A number by itself.
impl Read for i64 {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        columns.number()
    }
}

/// A column holds what can't stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A row as an engine hands it out; `None` is null.
pub(crate) trait Cells<'r> {
    fn id(&self, at: usize) -> Result<Option<[u8; 16]>, Malformed>;
    fn bytes(&self, at: usize) -> Result<Option<&'r [u8]>, Malformed>;
    fn text(&self, at: usize) -> Result<Option<&'r str>, Malformed>;
    fn number(&self, at: usize) -> Result<Option<i64>, Malformed>;
    fn is_null(&self, at: usize) -> Result<bool, Malformed>;
}

/// Reads a row's columns from left to right.
pub(crate) struct Columns<'r, C> {
    cells: C,
    at: usize,
    row: PhantomData<&'r ()>,
}

impl<'r, C: Cells<'r>> Columns<'r, C> {
    pub(crate) fn new(cells: C) -> Self {
        Self { cells, at: 0, row: PhantomData }
    }

    fn advance(&mut self) -> usize {
        self.at += 1;
        self.at - 1
    }

    /// Whether the next column is null; it is still to be read.
    pub(crate) fn at_null(&self) -> Result<bool, Malformed> {
        self.cells.is_null(self.at)
    }

    /// An id.
    pub(crate) fn id<T, E>(&mut self, from: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<T, Malformed> {
        self.optional_id(from)?.ok_or(Malformed)
    }

    /// An id that may be null.
    pub(crate) fn optional_id<T, E>(
        &mut self,
        from: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<Option<T>, Malformed> {
        let at = self.advance();
        self.cells.id(at)?.map(|id| from(&id)).transpose().map_err(|_| Malformed)
    }

    /// Text through a parser.
    pub(crate) fn text<T, E>(&mut self, parse: impl FnOnce(&'r str) -> Result<T, E>) -> Result<T, Malformed> {
        self.optional_text(parse)?.ok_or(Malformed)
    }

    /// Text that may be null, through a parser.
    pub(crate) fn optional_text<T, E>(
        &mut self,
        parse: impl FnOnce(&'r str) -> Result<T, E>,
    ) -> Result<Option<T>, Malformed> {
        let at = self.advance();
        self.cells.text(at)?.map(parse).transpose().map_err(|_| Malformed)
    }

    /// Text as it is.
    pub(crate) fn string(&mut self) -> Result<String, Malformed> {
        self.text(|text| Ok::<_, Malformed>(text.to_owned()))
    }

    /// Bytes through a parser.
    pub(crate) fn bytes<T>(&mut self, parse: impl FnOnce(&'r [u8]) -> Option<T>) -> Result<T, Malformed> {
        self.optional_bytes(|bytes| parse(bytes).ok_or(Malformed))?.ok_or(Malformed)
    }

    /// Bytes that may be null, through a parser.
    pub(crate) fn optional_bytes<T, E>(
        &mut self,
        parse: impl FnOnce(&'r [u8]) -> Result<T, E>,
    ) -> Result<Option<T>, Malformed> {
        let at = self.advance();
        self.cells.bytes(at)?.map(parse).transpose().map_err(|_| Malformed)
    }

    /// A number within its type's range.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Malformed> {
        let at = self.advance();
        let number = self.cells.number(at)?.ok_or(Malformed)?;
        T::try_from(number).map_err(|_| Malformed)
    }

    /// A number within its type's range that may be null.
    pub(crate) fn optional_number<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Malformed> {
        let at = self.advance();
        let number = self.cells.number(at)?;
        number.map(|number| T::try_from(number).map_err(|_| Malformed)).transpose()
    }

    /// A flag: 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.number::<i64>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Malformed> {
        self.number().map(Timestamp::from_millis)
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>, Malformed> {
        let at = self.advance();
        Ok(self.cells.number(at)?.map(Timestamp::from_millis))
    }

    pub(crate) fn mac(&mut self) -> Result<RowMac, Malformed> {
        self.bytes(RowMac::from_slice)
    }

    pub(crate) fn token_hash(&mut self) -> Result<TokenHash, Malformed> {
        self.bytes(TokenHash::from_slice)
    }
}
