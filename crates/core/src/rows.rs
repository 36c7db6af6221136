//! Rows that decide who gets what carry a MAC over all their fields, so that a
//! database writer can neither forge one nor swap two.
//!
//! A store hands out [`Stored`] rows; their fields are to be believed only
//! after [`Stored::verify`].

use std::ops::Deref;

use crate::ids::InstanceId;
use crate::keyed_hash::KeyedHash;
use crate::memory::KeyBytes;
use crate::sealing::IntegrityViolation;

/// A row with a MAC. The fields that it feeds are the whole row, its primary
/// key among them.
pub trait Row {
    /// The table's name; a row of one table never passes for one of another.
    const TABLE: &'static str;

    /// Feeds every field under its column's name.
    fn fields(&self, fields: &mut Fields);
}

/// Collects a row's fields: each as its name and its bytes, both behind a
/// length of 4 big-endian bytes. An absent field is left out, so that a
/// column added later doesn't change the MACs of rows that haven't got it.
pub struct Fields(Vec<u8>);

impl Fields {
    fn new(instance: InstanceId, table: &str) -> Self {
        let mut fields = Self(Vec::with_capacity(320));
        for piece in [b"strongroom.row.v1", &instance.as_bytes()[..], table.as_bytes()] {
            fields.piece(piece);
        }
        fields
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.0.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend(bytes);
    }

    /// A field of bytes or text.
    pub fn bytes(&mut self, name: &'static str, value: impl AsRef<[u8]>) {
        self.piece(name.as_bytes());
        self.piece(value.as_ref());
    }

    /// A field that may be absent.
    pub fn optional(&mut self, name: &'static str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.bytes(name, value);
        }
    }

    /// A number, as 8 big-endian bytes.
    pub fn number(&mut self, name: &'static str, value: i64) {
        self.bytes(name, value.to_be_bytes());
    }

    /// A number that may be absent.
    pub fn optional_number(&mut self, name: &'static str, value: Option<i64>) {
        self.optional(name, value.map(i64::to_be_bytes));
    }
}

/// A row's MAC as it is stored: the key's version in 2 big-endian bytes, then
/// HMAC-SHA-256.
#[derive(Clone, Copy, Debug)]
pub struct RowMac(KeyedHash);

impl RowMac {
    /// Bytes in a stored MAC.
    pub const LENGTH: usize = KeyedHash::LENGTH;

    /// From a stored column; `None` when the length is off.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        KeyedHash::from_slice(bytes).map(Self)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }

    /// The digest alone.
    pub(crate) fn digest(&self) -> &[u8] {
        self.0.digest()
    }
}

/// In constant time.
impl PartialEq for RowMac {
    fn eq(&self, other: &Self) -> bool {
        self.0.matches(&other.0)
    }
}

impl Eq for RowMac {}

/// A row as it lies in a store, its MAC beside it.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    row: T,
    mac: RowMac,
}

impl<T: Row> Stored<T> {
    /// What a store read. Nothing is proven by this.
    pub fn unproven(row: T, mac: RowMac) -> Self {
        Self { row, mac }
    }

    /// The fields, for writing them down or for telling which row it is; to
    /// decide by them, [`Self::verify`] first.
    pub fn row(&self) -> &T {
        &self.row
    }

    /// The MAC to store beside the fields.
    pub fn mac(&self) -> RowMac {
        self.mac
    }

    /// Which version of the key made the MAC, by its own (yet unproven) word.
    pub(crate) fn key_version(&self) -> u16 {
        self.mac.0.key_version()
    }

    /// The row, when its MAC holds under this key.
    pub(crate) fn verify(
        self,
        instance: InstanceId,
        key: &KeyBytes,
    ) -> Result<Proven<T>, IntegrityViolation> {
        if mac(&self.row, instance, self.key_version(), key) != self.mac {
            return Err(IntegrityViolation);
        }
        Ok(Proven { row: self.row, mac: self.mac })
    }

    pub(crate) fn authenticate(row: T, instance: InstanceId, version: u16, key: &KeyBytes) -> Self {
        let mac = mac(&row, instance, version, key);
        Self { row, mac }
    }
}

/// A row whose MAC held when it was read, or was made just now.
#[derive(Clone, Debug)]
pub struct Proven<T> {
    row: T,
    mac: RowMac,
}

impl<T> Proven<T> {
    /// The row's MAC, which stands for this state of it.
    pub fn mac(&self) -> RowMac {
        self.mac
    }

    /// The row alone.
    pub fn into_row(self) -> T {
        self.row
    }
}

impl<T> Deref for Proven<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.row
    }
}

impl<T: Clone> Stored<T> {
    /// The row, known to be true because its MAC was made here.
    pub(crate) fn proven(&self) -> Proven<T> {
        Proven { row: self.row.clone(), mac: self.mac }
    }
}

fn mac<T: Row>(row: &T, instance: InstanceId, version: u16, key: &KeyBytes) -> RowMac {
    let mut fields = Fields::new(instance, T::TABLE);
    row.fields(&mut fields);
    RowMac(KeyedHash::new(version, key, &fields.0))
}
