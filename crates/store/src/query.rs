//! What is said to every engine, in words that all of them understand: a text
//! with `?1`, `?2` … for its values, and how its answer is read.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::tables::{Record, Value};
use strongroom_core::StoreError;
use strongroom_core::rows::{Row, RowMac, Stored};

/// A statement and its values; `T` is what each row of its answer is.
pub(crate) struct Query<'a, T> {
    /// What it is about, for errors.
    pub(crate) table: &'static str,
    pub(crate) text: Text,
    pub(crate) values: Vec<Value<'a>>,
    answer: PhantomData<fn() -> T>,
}

impl<'a, T> Query<'a, T> {
    pub(crate) fn new(
        table: &'static str,
        text: impl Into<Text>,
        values: impl IntoIterator<Item = Value<'a>>,
    ) -> Self {
        Self { table, text: text.into(), values: values.into_iter().collect(), answer: PhantomData }
    }
}

/// Why a key isn't stored that a master key of before sealed.
pub(crate) fn superseded() -> StoreError {
    StoreError::Unavailable("the master key was replaced a moment ago; try again in a few seconds".into())
}

/// A statement of which nothing but the number of rows is asked.
pub(crate) type Statement<'a> = Query<'a, ()>;

/// How a statement is put to each engine.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) sqlite: Cow<'static, str>,
    pub(crate) postgres: Cow<'static, str>,
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text.into(), postgres: text.into() }
    }
}

impl From<&'static Text> for Text {
    fn from(text: &'static Text) -> Self {
        Self { sqlite: (&*text.sqlite).into(), postgres: (&*text.postgres).into() }
    }
}

impl Text {
    /// A text with the hints that only SQLite takes: `INDEXED BY`, and `CROSS
    /// JOIN … ON` for a join whose sides stay in their order. The others get
    /// the text without them, and `order`: what follows from such a join's
    /// order must be asked of them.
    pub(crate) fn hinted(text: String, order: &str) -> Self {
        let mut plain = text.replace(" CROSS JOIN ", " JOIN ");
        while let Some((before, after)) = plain.split_once(" INDEXED BY ") {
            let rest = after.split_once(' ').map_or("", |(_, rest)| rest);
            plain = format!("{before} {rest}");
        }
        Self { sqlite: text.into(), postgres: (plain + order).into() }
    }
}

/// The row with this primary key.
pub(crate) fn by_key<'a, T: Record + Row>(
    key: impl IntoIterator<Item = &'a [u8; 16]>,
) -> Query<'static, Stored<T>> {
    let shape = T::shape();
    Query::new(shape.table, shape.by_key(), key.into_iter().map(Value::from))
}

/// Finds the row with this primary key and this MAC, while it is as it was; it
/// stays so until the end of the transaction.
pub(crate) fn unchanged<'a, T: Record + Row>(
    key: impl IntoIterator<Item = &'a [u8; 16]>,
    mac: RowMac,
) -> Query<'static, u64> {
    let shape = T::shape();
    let mac = Value::Bytes(mac.as_bytes().to_vec().into());
    Query::new(shape.table, shape.unchanged(), key.into_iter().map(Value::from).chain([mac]))
}
