//! Values on their way in: parsed into their own types while they are read,
//! in the order in which they were sent.

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use strongroom_core::fill_requests::MOST_KEYS;
use strongroom_core::text::Invalid;
use strongroom_core::{EnvKey, SecretName, SecretValue, ServiceSlug};
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, Type};

use crate::path::PathId;

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

impl<'de, T: PathId> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |text| T::parse(&text)).map(Self)
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

/// How named values look.
pub(crate) fn described() -> Object {
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(SecretValue::MAX))
        .pattern(Some(r"^[^\u0000]*$"));
    by_name(value, serde_json::json!({"STRIPE_API_KEY": "sk_test_…"}))
        .description(Some("Values by name. At most 256 names and 1 MiB of values."))
        .build()
}

/// How new names by old names look.
pub(crate) fn renames_described() -> Object {
    by_name(name_schema(), serde_json::json!({"OLD_NAME": "NEW_NAME"}))
        .description(Some("New names by old names, first of the three. Each value keeps its place."))
        .build()
}

/// How a list of names looks whose values go.
pub(crate) fn names_described() -> Array {
    names("Names whose values go, second of the three.", "STRIPE_OLD_KEY").build()
}

/// How a list of names looks whose values are asked for.
pub(crate) fn asked_described() -> Array {
    let asked = names("What its values are to be called, each once.", "STRIPE_API_KEY");
    asked.max_items(Some(MOST_KEYS)).unique_items(true).build()
}

fn names(description: &str, example: &str) -> ArrayBuilder {
    ArrayBuilder::new()
        .items(name_schema())
        .min_items(Some(1))
        .description(Some(description))
        .examples([serde_json::json!([example])])
}

fn by_name(entry: ObjectBuilder, example: serde_json::Value) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(name_schema()))
        .additional_properties(Some(entry))
        .examples([example])
}

fn name_schema() -> ObjectBuilder {
    let text =
        ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(EnvKey::MAX));
    text.pattern(Some(EnvKey::PATTERN))
}
