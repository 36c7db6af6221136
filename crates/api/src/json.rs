//! Strict JSON: duplicate keys, NUL, too much depth and too many elements are
//! refused, and no message ever quotes the input. An object's fields are named
//! by the static names of the type that they are read into, a map's entries by
//! their position, because a key may be a value that was pasted in the wrong
//! place.

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use zeroize::Zeroizing;

use crate::error::ApiError;

/// Objects and arrays within one another; no body here needs more than three.
const DEEPEST: usize = 16;
/// Values in a body, of any kind, at any depth.
const MOST: usize = 4_096;

/// Why a body was refused. Our own words only.
#[derive(Debug)]
pub(crate) enum JsonError {
    /// It isn't JSON, by position.
    Syntax { line: usize, column: usize },
    /// It has too many elements.
    TooMany,
    /// A part of it is wrong.
    Wrong { path: String, reason: String },
}

/// What becomes of fields that a type doesn't have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Ignored,
    Refused,
}

/// Reads a body into its type.
///
/// # Errors
/// When it isn't JSON, or isn't what the type asks for.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8], unknown: Unknown) -> Result<T, JsonError> {
    let limits = Limits { left: Cell::new(MOST), refusal: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let tree = limits.seed(0).deserialize(&mut reader).and_then(|tree| reader.end().map(|()| tree));
    let tree = tree.map_err(|error| match limits.refusal.take() {
        Some(Refusal::TooMany) => JsonError::TooMany,
        Some(Refusal::Wrong(reason)) => JsonError::wrong(reason),
        None => JsonError::Syntax { line: error.line(), column: error.column() },
    })?;
    T::deserialize(Reader { tree, unknown })
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::TooMany => {
                Self::too_large("the body has more than 4,096 elements; send less at a time")
            }
            other => Self::invalid(other.to_string()),
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column } => {
                write!(f, "the body is not valid JSON; look at line {line}, column {column}")
            }
            Self::TooMany => f.write_str("the body has too many elements"),
            Self::Wrong { path, reason } if path.is_empty() => write!(f, "the body {reason}"),
            Self::Wrong { path, reason } => write!(f, "{path}: {reason}"),
        }
    }
}

impl std::error::Error for JsonError {}

impl JsonError {
    fn wrong(reason: impl fmt::Display) -> Self {
        Self::Wrong { path: String::new(), reason: reason.to_string() }
    }

    /// The same error, one step further out.
    fn within(self, step: impl fmt::Display) -> Self {
        match self {
            Self::Wrong { path, reason } if path.is_empty() => Self::Wrong { path: step.to_string(), reason },
            Self::Wrong { path, reason } => Self::Wrong { path: format!("{step}, {path}"), reason },
            other => other,
        }
    }
}

/// What was expected, as somebody says it who doesn't know our types.
fn in_words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64" => "a whole number in bounds".to_owned(),
        other => other.to_owned(),
    }
}

/// Serde's messages, without the input that its own ones quote.
impl de::Error for JsonError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::wrong(reason)
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong(format_args!("must be {}", in_words(expected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong(format_args!("must be {}", in_words(expected)))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::wrong(format_args!("must be {}", in_words(expected)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::wrong(format_args!("must be one of {}", expected.join(", ")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::wrong(format_args!("has a field other than {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::wrong("is required").within(format_args!("`{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::wrong("stands twice").within(format_args!("`{field}`"))
    }
}

/// A body's JSON, each text erased when dropped.
enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Zeroizing<String>),
    List(Vec<Tree>),
    Object(Vec<(Zeroizing<String>, Tree)>),
}

/// What the first pass counts, and why it stopped.
struct Limits {
    left: Cell<usize>,
    refusal: Cell<Option<Refusal>>,
}

enum Refusal {
    TooMany,
    Wrong(&'static str),
}

impl Limits {
    fn seed(&self, depth: usize) -> Seed<'_> {
        Seed { limits: self, depth }
    }

    /// Ends the first pass; serde's error only carries the fact.
    fn refuse<E: de::Error>(&self, refusal: Refusal) -> E {
        self.refusal.set(Some(refusal));
        E::custom("refused")
    }
}

/// Builds a [`Tree`] at a depth.
#[derive(Clone, Copy)]
struct Seed<'a> {
    limits: &'a Limits,
    depth: usize,
}

impl Seed<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.depth + 1 {
            depth if depth > DEEPEST => {
                Err(self.limits.refuse(Refusal::Wrong("has objects or arrays more than 16 deep")))
            }
            depth => Ok(self.limits.seed(depth)),
        }
    }

    fn text<E: de::Error>(self, text: Zeroizing<String>) -> Result<Zeroizing<String>, E> {
        if text.contains('\0') {
            return Err(self.limits.refuse(Refusal::Wrong("has a string with NUL in it")));
        }
        Ok(text)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        let left = self.limits.left.get().checked_sub(1);
        self.limits.left.set(left.ok_or_else(|| self.limits.refuse::<D::Error>(Refusal::TooMany))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Tree, E> {
        self.text(Zeroizing::new(text.to_owned())).map(Tree::Text)
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Tree, E> {
        self.text(Zeroizing::new(text)).map(Tree::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let seed = self.deeper()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(seed)? {
            list.push(element);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let seed = self.deeper()?;
        let mut object = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            let key = self.text(Zeroizing::new(key))?;
            object.push((key, entries.next_value_seed(seed)?));
        }
        let distinct: HashSet<&str> = object.iter().map(|(key, _)| key.as_str()).collect();
        if distinct.len() < object.len() {
            return Err(self.limits.refuse(Refusal::Wrong("has an object with the same key twice")));
        }
        Ok(Tree::Object(object))
    }
}

/// A tree on its way into a type.
struct Reader {
    tree: Tree,
    unknown: Unknown,
}

impl Reader {
    fn entries(&self, entries: Vec<(Zeroizing<String>, Tree)>, fields: &'static [&'static str]) -> Entries {
        Entries { rest: entries.into_iter(), fields, unknown: self.unknown, value: None, at: 0 }
    }
}

impl<'de> Deserializer<'de> for Reader {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, JsonError> {
        match std::mem::replace(&mut self.tree, Tree::Null) {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(value),
            Tree::Unsigned(value) => visitor.visit_u64(value),
            Tree::Signed(value) => visitor.visit_i64(value),
            Tree::Float(value) => visitor.visit_f64(value),
            Tree::Text(mut text) => visitor.visit_string(std::mem::take(&mut *text)),
            Tree::List(elements) => {
                visitor.visit_seq(Elements { rest: elements.into_iter(), unknown: self.unknown, at: 0 })
            }
            Tree::Object(entries) => visitor.visit_map(self.entries(entries, &[])),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.tree {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        match std::mem::replace(&mut self.tree, Tree::Null) {
            Tree::Object(entries) => visitor.visit_map(self.entries(entries, fields)),
            _ => Err(JsonError::wrong("must be an object")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Elements {
    rest: std::vec::IntoIter<Tree>,
    unknown: Unknown,
    at: usize,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, JsonError> {
        self.at += 1;
        let Some(tree) = self.rest.next() else { return Ok(None) };
        let element = seed.deserialize(Reader { tree, unknown: self.unknown });
        element.map(Some).map_err(|error| error.within(format_args!("element {}", self.at)))
    }
}

/// The entries of an object; `fields` are the static names of the struct that
/// it is read into, empty for a map.
struct Entries {
    rest: std::vec::IntoIter<(Zeroizing<String>, Tree)>,
    fields: &'static [&'static str],
    unknown: Unknown,
    value: Option<(Option<&'static str>, Tree)>,
    at: usize,
}

impl Entries {
    fn step(&self, error: JsonError, field: Option<&'static str>) -> JsonError {
        match field {
            Some(field) => error.within(format_args!("`{field}`")),
            None => error.within(format_args!("entry {}", self.at)),
        }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, JsonError> {
        let Some((mut key, value)) = self.rest.next() else { return Ok(None) };
        self.at += 1;
        let field = self.fields.iter().find(|field| **field == key.as_str()).copied();
        if field.is_none() && !self.fields.is_empty() && self.unknown == Unknown::Refused {
            return Err(de::Error::unknown_field("", self.fields));
        }
        self.value = Some((field, value));
        let key: StringDeserializer<JsonError> = std::mem::take(&mut *key).into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| self.step(error, field))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, JsonError> {
        let (field, tree) = self.value.take().ok_or_else(|| JsonError::wrong("has a key without a value"))?;
        let value = seed.deserialize(Reader { tree, unknown: self.unknown });
        value.map_err(|error| self.step(error, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    /// JSON without the numbers that two readers may round differently.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[^\0]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map("[^\0]{0,8}", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, JsonError> {
        super::parse(body, Unknown::Ignored)
    }

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(default)]
        switch: Option<bool>,
        #[serde(default)]
        list: Vec<u8>,
    }

    #[test]
    fn lists_and_options_are_read_and_refused_in_our_own_words() {
        let body: Body = parse(br#"{"switch": true, "list": [1, 2], "more": 3}"#).unwrap();
        assert_eq!((body.switch, body.list), (Some(true), vec![1, 2]));
        assert_eq!(parse::<Body>(br#"{"switch": null}"#).unwrap().switch, None);
        for (body, message) in [
            (r#"{"switch": "hunter2"}"#, "`switch`: must be a boolean"),
            (r#"{"list": [1, "hunter2"]}"#, "`list`, element 2: must be a whole number in bounds"),
            (r#"{"list": [1, 2, 256]}"#, "`list`, element 3: must be a whole number in bounds"),
        ] {
            assert_eq!(parse::<Body>(body.as_bytes()).unwrap_err().to_string(), message);
        }
        let strict = super::parse::<Body>(br#"{"list": [], "hunter2": 1}"#, Unknown::Refused);
        assert_eq!(strict.unwrap_err().to_string(), "the body has a field other than switch, list");
    }

    #[test]
    fn depth_is_counted_exactly() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse::<Value>(nested(DEEPEST).as_bytes()).is_ok());
        assert!(parse::<Value>(nested(DEEPEST + 1).as_bytes()).is_err());
    }

    #[test]
    fn elements_are_counted_exactly() {
        let list = |elements: usize| format!("[{}]", vec!["1"; elements].join(","));
        assert!(parse::<Value>(list(MOST - 1).as_bytes()).is_ok());
        assert!(matches!(parse::<Value>(list(MOST).as_bytes()), Err(JsonError::TooMany)));
    }

    proptest! {
        #[test]
        fn what_it_reads_is_what_was_written(value in json()) {
            let read: Value = parse(value.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read, value);
        }

        #[test]
        fn no_message_quotes_the_input(value in json(), marker in "q[0-9]{6}q") {
            let body = value.to_string().replace('"', &format!("\"{marker}"));
            for error in [parse::<Body>(body.as_bytes()).err(), parse::<Vec<bool>>(body.as_bytes()).err()] {
                prop_assert!(!error.is_some_and(|error| error.to_string().contains(&marker)));
            }
        }

        #[test]
        fn other_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse::<Value>(&bytes);
        }
    }
}
