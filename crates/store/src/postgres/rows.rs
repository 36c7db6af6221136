//! PostgreSQL's rows and values as the rest of the store knows them.

use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::tables::{Cells, Columns, Kind, Malformed, Value};

/// Reads a row's columns from left to right.
pub(super) fn columns(row: &Row) -> Columns<'_, &Row> {
    Columns::new(row)
}

impl<'r> Cells<'r> for &'r Row {
    fn id(&self, at: usize) -> Result<Option<[u8; 16]>, Malformed> {
        let id: Option<Uuid> = self.try_get(at).map_err(|_| Malformed)?;
        Ok(id.map(Uuid::into_bytes))
    }

    fn bytes(&self, at: usize) -> Result<Option<&'r [u8]>, Malformed> {
        self.try_get(at).map_err(|_| Malformed)
    }

    fn text(&self, at: usize) -> Result<Option<&'r str>, Malformed> {
        self.try_get(at).map_err(|_| Malformed)
    }

    fn number(&self, at: usize) -> Result<Option<i64>, Malformed> {
        self.try_get(at).map_err(|_| Malformed)
    }

    fn is_null(&self, at: usize) -> Result<bool, Malformed> {
        self.try_get(at).map(|value: Option<Anything>| value.is_none()).map_err(|_| Malformed)
    }
}

/// A value of which nothing is asked but whether it is there.
struct Anything;

impl FromSql<'_> for Anything {
    fn from_sql(_: &Type, _: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// In the binary form of its column's type, which is that of its kind.
impl ToSql for Value<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Id(id) => out.extend_from_slice(id),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Number(number) => out.extend_from_slice(&number.to_be_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Kind {
    /// The type of a column of this kind.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Id => "uuid",
            Self::Bytes => "bytea",
            Self::Text => "text",
            Self::Number => "bigint",
        }
    }
}
