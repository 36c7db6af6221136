//! The values themselves: the one kind of data this product exists to keep.
//! A [`SecretValue`] can't be printed, copied, compared or serialised; sealing
//! consumes it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;
use std::fmt;
use zeroize::Zeroizing;

use crate::text::Invalid;

/// The name of an environment variable: `^[A-Z_][A-Z0-9_]*$`, 1 to 128 long.
/// Names aren't secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvKey(String);

impl EnvKey {
    /// The pattern that a name matches, as the API's description has it.
    pub const PATTERN: &'static str = "^[A-Z_][A-Z0-9_]*$";
    /// The longest name.
    pub const MAX: usize = 128;

    /// Takes a name that matches [`Self::PATTERN`].
    ///
    /// # Errors
    /// When it doesn't; the message never quotes it.
    pub fn parse(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_uppercase());
        let rest = bytes.all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit());
        if first && rest && text.len() <= Self::MAX {
            Ok(Self(text))
        } else {
            Err(Invalid::new("must match ^[A-Z_][A-Z0-9_]*$ and have 1 to 128 characters"))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A plain value: 1 to 65,536 Unicode scalar values, no NUL. Erased when
/// dropped. It can't be printed, copied, compared or serialised:
///
/// ```compile_fail
/// fn debug(value: strongroom_core::SecretValue) { println!("{value:?}"); }
/// ```
/// ```compile_fail
/// fn display(value: strongroom_core::SecretValue) { println!("{value}"); }
/// ```
/// ```compile_fail
/// fn copy(value: &strongroom_core::SecretValue) -> strongroom_core::SecretValue { value.clone() }
/// ```
/// ```compile_fail
/// fn compare(a: &strongroom_core::SecretValue, b: &strongroom_core::SecretValue) -> bool { a == b }
/// ```
pub struct SecretValue(SecretString);

impl SecretValue {
    /// The longest value, in Unicode scalar values.
    pub const MAX: usize = 65_536;

    /// Takes the text, without a copy of it.
    ///
    /// # Errors
    /// When it is empty, too long or holds a NUL; the message never quotes it.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        let text = Zeroizing::new(text);
        let length = text.chars().take(Self::MAX + 1).count();
        if length == 0 || length > Self::MAX || text.contains('\0') {
            return Err(Invalid::new("must be a string of 1 to 65,536 characters without NUL"));
        }
        let mut text = text;
        Ok(Self(SecretString::from(std::mem::take(&mut *text))))
    }

    /// The text, to hand to a run.
    #[expect(clippy::disallowed_methods, reason = "the one way out; whoever calls this says why")]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> usize {
        self.bytes().len()
    }

    /// Whether both are the same, in time that depends on their lengths only.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.bytes(), other.bytes()).is_ok()
    }

    #[expect(clippy::disallowed_methods, reason = "sealing reads what it is given to seal")]
    fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Named values in the order in which they were given; no name twice.
#[derive(Default)]
pub struct Bundle {
    entries: Vec<(EnvKey, SecretValue)>,
}

/// Why a bundle could not be put together. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// More than [`Bundle::MAX_KEYS`] names.
    #[error("a secret holds at most 256 values; split it into several secrets")]
    TooManyKeys,
    /// More than [`Bundle::MAX_BYTES`] of values.
    #[error("the values of a secret have at most 1 MiB together; split it into several secrets")]
    TooManyBytes,
    /// The same name a second time.
    #[error("entry {0} repeats the name of an earlier one; each name may stand once")]
    Repeated(usize),
}

impl Bundle {
    /// The most names in a bundle.
    pub const MAX_KEYS: usize = 256;
    /// The most bytes of values in a bundle, in UTF-8: 1 MiB.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Puts entries together.
    ///
    /// # Errors
    /// When there are too many, or too much, or a name stands twice.
    pub fn new(entries: Vec<(EnvKey, SecretValue)>) -> Result<Self, BundleError> {
        bounded(entries.iter().map(|(_, value)| value))?;
        let mut seen = HashSet::new();
        if let Some(at) = entries.iter().position(|(key, _)| !seen.insert(key.as_str())) {
            return Err(BundleError::Repeated(at + 1));
        }
        Ok(Self { entries })
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &EnvKey> {
        self.entries.iter().map(|(key, _)| key)
    }

    /// What a blob is made of.
    pub(crate) fn into_plaintext(self) -> Zeroizing<Vec<u8>> {
        self.entries().plaintext()
    }

    /// The entries, to be read where they are.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries(self.entries.iter().map(|(key, value)| (key, value)).collect())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its entries themselves.
    pub fn into_entries(self) -> Vec<(EnvKey, SecretValue)> {
        self.entries
    }

    /// What it holds under a name.
    pub(crate) fn value(&self, key: &EnvKey) -> Option<&SecretValue> {
        self.entries.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    /// The inverse of [`Self::into_plaintext`]; `None` when the bytes aren't a bundle.
    pub(crate) fn from_plaintext(plain: &[u8]) -> Option<Self> {
        let mut rest = plain;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (key, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (value, after) = after.split_at_checked(length)?;
            let key = EnvKey::parse(std::str::from_utf8(key).ok()?).ok()?;
            let value = SecretValue::parse(std::str::from_utf8(value).ok()?.to_owned()).ok()?;
            entries.push((key, value));
            rest = after;
        }
        Self::new(entries).ok()
    }
}

/// The entries of a bundle as it is, or as it is to become.
pub(crate) struct Entries<'a>(Vec<(&'a EnvKey, &'a SecretValue)>);

/// Why a bundle could not be edited. Names aren't secret; values never appear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A name to be renamed or removed isn't there.
    #[error("`{what}`: there is no {key} in this secret")]
    Missing {
        /// Which field of the request named it.
        what: &'static str,
        /// The name.
        key: EnvKey,
    },
    /// Two values would have the same name.
    #[error("`rename_keys`: there would be two of {0}; remove or rename the other one first")]
    Taken(EnvKey),
    /// It would be too large.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl<'a> Entries<'a> {
    /// The names, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a EnvKey> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// Renames all at once, so that two can be swapped; each keeps its place.
    pub(crate) fn rename(&mut self, renames: &'a [(EnvKey, EnvKey)]) -> Result<(), EditError> {
        let absent = |old: &EnvKey| !self.0.iter().any(|(key, _)| *key == old);
        if let Some((old, _)) = renames.iter().find(|(old, _)| absent(old)) {
            return Err(EditError::Missing { what: "rename_keys", key: old.clone() });
        }
        for (key, _) in &mut self.0 {
            if let Some((_, new)) = renames.iter().find(|(old, _)| old == *key) {
                *key = new;
            }
        }
        let mut seen = HashSet::new();
        match self.0.iter().find(|(key, _)| !seen.insert(key.as_str())) {
            Some((key, _)) => Err(EditError::Taken((*key).clone())),
            None => Ok(()),
        }
    }

    /// Takes these out.
    pub(crate) fn remove(&mut self, removed: &[EnvKey]) -> Result<(), EditError> {
        for key in removed {
            let missing = || EditError::Missing { what: "remove_keys", key: key.clone() };
            let at = self.0.iter().position(|(found, _)| *found == key).ok_or_else(missing)?;
            self.0.remove(at);
        }
        Ok(())
    }

    /// Puts these in: over those of the same name, else at the end.
    pub(crate) fn add(&mut self, added: &'a Bundle) -> Result<(), EditError> {
        for (key, value) in &added.entries {
            match self.0.iter_mut().find(|(found, _)| *found == key) {
                Some((_, present)) => *present = value,
                None => self.0.push((key, value)),
            }
        }
        let values = self.0.iter().map(|(_, value)| *value);
        Ok(bounded(values)?)
    }

    /// The plaintext of a blob: for each entry the name's length (2 bytes), the
    /// name, the value's length (4 bytes), the value; lengths big-endian.
    pub(crate) fn plaintext(&self) -> Zeroizing<Vec<u8>> {
        let size = |(key, value): &(&EnvKey, &SecretValue)| 6 + key.0.len() + value.bytes().len();
        let mut plain = Zeroizing::new(Vec::with_capacity(self.0.iter().map(size).sum()));
        for (key, value) in &self.0 {
            // Names have at most 128 bytes and values 256 KiB: both lengths fit.
            plain.extend(u16::try_from(key.0.len()).unwrap_or(u16::MAX).to_be_bytes());
            plain.extend(key.0.as_bytes());
            plain.extend(u32::try_from(value.bytes().len()).unwrap_or(u32::MAX).to_be_bytes());
            plain.extend(value.bytes());
        }
        plain
    }
}

/// Refuses more than a bundle holds.
fn bounded<'a>(values: impl ExactSizeIterator<Item = &'a SecretValue>) -> Result<(), BundleError> {
    if values.len() > Bundle::MAX_KEYS {
        return Err(BundleError::TooManyKeys);
    }
    if values.map(|value| value.bytes().len()).sum::<usize>() > Bundle::MAX_BYTES {
        return Err(BundleError::TooManyBytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bundle(entries: &[(String, String)]) -> Result<Bundle, BundleError> {
        let parse = |(key, value): &(String, String)| {
            (EnvKey::parse(key.as_str()).unwrap(), SecretValue::parse(value.clone()).unwrap())
        };
        Bundle::new(entries.iter().map(parse).collect())
    }

    #[test]
    fn keys_match_the_pattern() {
        for good in ["A", "_", "A1", "STRIPE_API_KEY", &"A".repeat(128)] {
            assert!(EnvKey::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "1A", "A-B", "A B", "É", "A\n", "A=", &"A".repeat(129)] {
            assert!(EnvKey::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_are_bounded_in_scalar_values() {
        assert!(SecretValue::parse("🔑".repeat(65_536)).is_ok());
        assert!(SecretValue::parse("a".repeat(65_537)).is_err());
        assert!(SecretValue::parse(String::new()).is_err());
        assert!(SecretValue::parse("a\0".into()).is_err());
    }

    #[test]
    fn bundles_are_bounded() {
        let many = |count: usize| (0..count).map(|i| (format!("K{i}"), "v".into())).collect::<Vec<_>>();
        assert!(bundle(&many(256)).is_ok());
        assert_eq!(bundle(&many(257)).err(), Some(BundleError::TooManyKeys));
        let big =
            |count: usize| (0..count).map(|i| (format!("K{i}"), "v".repeat(65_536))).collect::<Vec<_>>();
        assert!(bundle(&big(16)).is_ok());
        assert_eq!(bundle(&big(17)).err(), Some(BundleError::TooManyBytes));
        let twice = [("A".into(), "1".into()), ("B".into(), "2".into()), ("A".into(), "3".into())];
        assert_eq!(bundle(&twice).err(), Some(BundleError::Repeated(3)));
    }

    proptest! {
        #[test]
        fn plaintext_round_trips(entries in prop::collection::btree_map("[A-Z_][A-Z0-9_]{0,12}", "[^\0]{1,40}", 0..12)) {
            let entries: Vec<_> = entries.into_iter().collect();
            let plain = bundle(&entries).unwrap().into_plaintext();
            let back = Bundle::from_plaintext(&plain).unwrap();
            let same = back.entries.iter().map(|(k, v)| (k.as_str().as_bytes(), v.bytes()));
            prop_assert!(same.eq(entries.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes()))));
        }

        #[test]
        fn other_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(back) = Bundle::from_plaintext(&bytes) {
                prop_assert_eq!(&*back.into_plaintext(), &bytes);
            }
        }
    }
}
