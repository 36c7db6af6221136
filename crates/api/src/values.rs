//! Values on their way in: parsed into their own types while they are read,
//! in the order in which they were sent.

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use strongroom_core::text::Invalid;
use strongroom_core::{EnvKey, SecretName, SecretValue, ServiceSlug};

/// An object's entries, in the order in which they were sent.
pub(crate) struct Entries<V>(pub(crate) Vec<(EnvKey, V)>);

/// Named values.
pub(crate) type Values = Entries<SecretValue>;
/// Old names and new ones.
pub(crate) type Renames = Entries<EnvKey>;

impl<'de, V> Deserialize<'de> for Entries<V>
where
    Parsed<V>: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V> Visitor<'de> for EntriesVisitor<V>
where
    Parsed<V>: Deserialize<'de>,
{
    type Value = Entries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<V>, A::Error> {
        let mut entries = Vec::new();
        while let Some(Parsed(key)) = map.next_key::<Parsed<EnvKey>>()? {
            let Parsed(value) = map.next_value::<Parsed<V>>()?;
            entries.push((key, value));
        }
        Ok(Entries(entries))
    }
}

/// A text parsed into its domain type while it is read.
pub(crate) struct Parsed<T>(pub(crate) T);

impl<'de> Deserialize<'de> for Parsed<EnvKey> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, EnvKey::parse).map(Self)
    }
}

impl<'de> Deserialize<'de> for Parsed<SecretValue> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, SecretValue::parse).map(Self)
    }
}

/// Reads a text through its parser.
pub(crate) fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(String) -> Result<T, Invalid>,
) -> Result<T, D::Error> {
    parse(String::deserialize(deserializer)?).map_err(de::Error::custom)
}

pub(crate) fn secret_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretName, D::Error> {
    parsed(deserializer, SecretName::parse)
}

pub(crate) fn service_slug<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ServiceSlug>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(ServiceSlug::parse).transpose().map_err(de::Error::custom)
}

/// For a field that may be absent, but isn't null when it is there.
pub(crate) fn given<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
