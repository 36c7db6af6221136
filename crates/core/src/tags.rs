//! Tags that tell whether an object changed: an `ETag` of HTTP, and the
//! condition that a caller puts on a change.

use std::fmt;

use crate::rows::RowMac;

/// Stands for one state of one row; any change to the row changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag([u8; Tag::LENGTH]);

impl Tag {
    const LENGTH: usize = 16;

    /// The tag of a row: the first bytes of its MAC's digest.
    pub fn of(mac: RowMac) -> Self {
        let mut tag = [0; Self::LENGTH];
        tag.iter_mut().zip(mac.digest()).for_each(|(to, from)| *to = *from);
        Self(tag)
    }

    /// From the form of [`fmt::Display`].
    pub fn parse(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok()?;
        let tag = Self(number.to_be_bytes());
        (tag.to_string() == text).then_some(tag)
    }
}

/// 32 hexadecimal digits in lower case.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What must hold of an object for a change to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It exists.
    Exists,
    /// It is in one of these states. May be empty: then it never holds.
    IsOneOf(Vec<Tag>),
}

impl Condition {
    /// Whether it holds of a row in this state.
    pub fn holds(&self, mac: RowMac) -> bool {
        match self {
            Self::Exists => true,
            Self::IsOneOf(tags) => tags.contains(&Tag::of(mac)),
        }
    }
}
