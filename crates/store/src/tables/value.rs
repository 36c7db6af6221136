//! Values of columns, on their way into a database, or out of one and not yet what they
//! mean.

use std::borrow::Cow;

use super::{Cells, Malformed};
use strongroom_core::clock::Timestamp;

/// A value on its way into a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value<'a> {
    Null,
    Id([u8; 16]),
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    Number(i64),
}

impl<'a> Value<'a> {
    pub(super) fn bytes(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn number(number: impl Into<i64>) -> Self {
        Self::Number(number.into())
    }

    pub(super) fn time(time: Timestamp) -> Self {
        Self::Number(time.as_millis())
    }

    /// The same, borrowed from nobody.
    pub(crate) fn owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Id(id) => Value::Id(id),
            Self::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Number(number) => Value::Number(number),
        }
    }

    /// About how many bytes it has.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Id(id) => id.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Number(_) => size_of::<i64>(),
        }
    }
}

/// An absent value is null.
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl From<&[u8; 16]> for Value<'_> {
    fn from(id: &[u8; 16]) -> Self {
        Self::Id(*id)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::text(text)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::time(time)
    }
}

/// Values that were read before.
impl<'r> Cells<'r> for &'r [Value<'static>] {
    fn id(&self, at: usize) -> Result<Option<[u8; 16]>, Malformed> {
        match self.get(at) {
            Some(Value::Id(id)) => Ok(Some(*id)),
            Some(Value::Null) => Ok(None),
            _ => Err(Malformed),
        }
    }

    fn bytes(&self, at: usize) -> Result<Option<&'r [u8]>, Malformed> {
        match self.get(at) {
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Value::Null) => Ok(None),
            _ => Err(Malformed),
        }
    }

    fn text(&self, at: usize) -> Result<Option<&'r str>, Malformed> {
        match self.get(at) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(Malformed),
        }
    }

    fn number(&self, at: usize) -> Result<Option<i64>, Malformed> {
        match self.get(at) {
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(Value::Null) => Ok(None),
            _ => Err(Malformed),
        }
    }

    fn is_null(&self, at: usize) -> Result<bool, Malformed> {
        self.get(at).map(|value| *value == Value::Null).ok_or(Malformed)
    }
}
