//! Policies as JSON, which is the same on the wire and in the database. What
//! comes in is read strictly: a member that a rule doesn't have is refused, not ignored.

use serde::de::{self, Deserializer};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use super::{
    AuthScheme, BasicPart, FieldName, HeaderName, HostPattern, JsonPointer, Methods, PathPrefix, Placement,
    Policy, Rule, Scheme,
};
use crate::text::Invalid;

/// A policy as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPolicy<'a> {
    rules: Cow<'a, [Rule]>,
    broker_only: bool,
    since: u32,
}

#[expect(clippy::expect_used, reason = "texts, numbers and flags always become JSON")]
fn written(policy: &StoredPolicy<'_>) -> String {
    serde_json::to_string(policy).expect("a policy becomes JSON")
}

impl Policy {
    /// As it is stored: JSON without white space, with every member there.
    pub fn to_stored(&self) -> String {
        let Self { rules, broker_only, since } = self;
        written(&StoredPolicy { rules: Cow::Borrowed(rules), broker_only: *broker_only, since: *since })
    }

    /// From its stored form, and from no other form of the same: what isn't exactly as it
    /// was written is none.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn from_stored(text: &str) -> Result<Self, Invalid> {
        let refused = Invalid::new("must be a policy as it is stored");
        let read: StoredPolicy<'_> = serde_json::from_str(text).map_err(|_| refused)?;
        let policy = Self::new(read.rules.into_owned(), read.broker_only)?.since(read.since);
        if policy.to_stored() == text { Ok(policy) } else { Err(refused) }
    }
}

/// A rule before it is known that its members go together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "rule")]
pub struct NewRule {
    /// By which scheme requests go.
    #[serde(default)]
    pub scheme: Scheme,
    /// To which hosts.
    pub host: HostPattern,
    /// At which port; `None`: the scheme's usual one.
    #[serde(default, deserialize_with = "given")]
    pub port: Option<u16>,
    /// By which methods.
    #[serde(default)]
    pub methods: Methods,
    /// How their path begins.
    #[serde(default)]
    pub path_prefix: PathPrefix,
    /// Where in them a value may stand.
    pub placement: Placement,
    /// Whether the host's address may be one of a private network.
    #[serde(default)]
    pub allow_private: bool,
    /// Whether a credential that is none of ours may stand at this place.
    #[serde(default)]
    pub allow_foreign: bool,
}

impl NewRule {
    /// Of what a rule must say.
    pub fn of(host: HostPattern, placement: Placement) -> Self {
        Self {
            scheme: Scheme::default(),
            host,
            port: None,
            methods: Methods::default(),
            path_prefix: PathPrefix::default(),
            placement,
            allow_private: false,
            allow_foreign: false,
        }
    }

    /// The rule.
    ///
    /// # Errors
    /// When the port is 0, or the host has a single label and may not be in a private network.
    pub fn into_rule(self) -> Result<Rule, Invalid> {
        let port = self.port.unwrap_or(self.scheme.usual_port());
        if port == 0 {
            return Err(Invalid::new("`port` must be a number from 1 to 65535"));
        }
        if self.host.is_single_label() && !self.allow_private {
            return Err(Invalid::new(
                "`host` has a single label, as only hosts of a private network have; `allow_private` must be true for it",
            ));
        }
        let Self { scheme, host, methods, path_prefix, placement, allow_private, allow_foreign, .. } = self;
        Ok(Rule { scheme, host, port, methods, path_prefix, placement, allow_private, allow_foreign })
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NewRule::deserialize(deserializer)?.into_rule().map_err(de::Error::custom)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(8))?;
        map.serialize_entry("scheme", self.scheme.name())?;
        map.serialize_entry("host", self.host.as_str())?;
        map.serialize_entry("port", &self.port)?;
        map.serialize_entry("methods", self.methods.names())?;
        map.serialize_entry("path_prefix", self.path_prefix.as_str())?;
        map.serialize_entry("placement", &self.placement)?;
        map.serialize_entry("allow_private", &self.allow_private)?;
        map.serialize_entry("allow_foreign", &self.allow_foreign)?;
        map.end()
    }
}

/// The members of which exactly one names a place; `scheme` goes with `header`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "placement")]
struct PlacementParts {
    #[serde(deserialize_with = "given")]
    header: Option<HeaderName>,
    #[serde(deserialize_with = "given")]
    scheme: Option<AuthScheme>,
    #[serde(deserialize_with = "given")]
    query: Option<FieldName>,
    #[serde(deserialize_with = "given")]
    form: Option<FieldName>,
    #[serde(deserialize_with = "given")]
    json: Option<JsonPointer>,
    #[serde(deserialize_with = "given")]
    basic: Option<BasicPart>,
}

/// For a member that may be absent, but isn't null when it is there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl PlacementParts {
    fn into_placement(self) -> Result<Placement, Invalid> {
        let Self { header, scheme, query, form, json, basic } = self;
        match (header, scheme, (query, form), (json, basic)) {
            (Some(name), scheme, (None, None), (None, None)) => Ok(Placement::Header(name, scheme)),
            (None, None, (Some(name), None), (None, None)) => Ok(Placement::Query(name)),
            (None, None, (None, Some(name)), (None, None)) => Ok(Placement::Form(name)),
            (None, None, (None, None), (Some(pointer), None)) => Ok(Placement::Json(pointer)),
            (None, None, (None, None), (None, Some(part))) => Ok(Placement::Basic(part)),
            _ => Err(Invalid::new(
                "must have exactly one of `header`, `query`, `form`, `json` and `basic`; `scheme` goes with `header` only",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Placement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PlacementParts::deserialize(deserializer)?.into_placement().map_err(de::Error::custom)
    }
}

impl Serialize for Placement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Header(name, scheme) => {
                map.serialize_entry("header", name.as_str())?;
                if let Some(scheme) = scheme {
                    map.serialize_entry("scheme", scheme.as_str())?;
                }
            }
            Self::Query(name) => map.serialize_entry("query", name.as_str())?,
            Self::Form(name) => map.serialize_entry("form", name.as_str())?,
            Self::Json(pointer) => map.serialize_entry("json", pointer.as_str())?,
            Self::Basic(part) => map.serialize_entry("basic", part.name())?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Methods {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

macro_rules! parsed {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    )*};
}

parsed! { Scheme HostPattern PathPrefix HeaderName AuthScheme FieldName JsonPointer BasicPart }
