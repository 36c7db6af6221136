//! What keys and members may do, on the wire: roles, scopes, agents, networks
//! and ends. Names are read into the core's own types; a list that may be left
//! out is never empty.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use strongroom_core::grants::{Agents, Grant, Networks};
use strongroom_core::text::KeyName;
use strongroom_core::{AgentId, Role, Scope, Scopes, Timestamp};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::values::{Parsed, parsed};

/// A core type that is known by its name on the wire.
pub(crate) trait Named: Copy + 'static {
    /// Every one of them.
    const ALL: &'static [Self];
    /// What the description calls the type.
    const TYPE: &'static str;
    /// What the description says of it.
    const ABOUT: &'static str;

    /// The name of one.
    fn name(self) -> &'static str;
}

impl Named for Role {
    const ALL: &'static [Self] = &Self::ALL;
    const TYPE: &'static str = "Role";
    const ABOUT: &'static str = "What a member may do in a team at most, from low to high. A member has personal secrets \
        and sees shared ones; a builder attaches secrets to agents; a manager changes shared secrets; an administrator \
        manages members and keys; an owner may do everything.";

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Named for Scope {
    const ALL: &'static [Self] = &Self::ALL;
    const TYPE: &'static str = "Scope";
    const ABOUT: &'static str = "A kind of act that a key is for: see secrets (never their values), change secrets, \
        start runs (which is to read the values of what is attached), see the team, see and \
        manage the team, its members and keys.";

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

/// A name on the wire.
#[derive(Clone, Copy)]
pub(crate) struct Name<T>(pub(crate) T);

/// A role's name.
pub(crate) type RoleName = Name<Role>;
/// A scope's name.
pub(crate) type ScopeName = Name<Scope>;

impl<T: Named> Serialize for Name<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de, T: Named> Deserialize<'de> for Name<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = T::ALL.iter().find(|known| known.name() == text);
        let names = || T::ALL.iter().map(|known| known.name()).collect::<Vec<_>>().join(", ");
        found
            .map(|found| Self(*found))
            .ok_or_else(|| de::Error::custom(format!("must be one of {}", names())))
    }
}

impl<T: Named> PartialSchema for Name<T> {
    fn schema() -> RefOr<Schema> {
        let names = T::ALL.iter().map(|known| known.name());
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
        schema.description(Some(T::ABOUT)).into()
    }
}

impl<T: Named> ToSchema for Name<T> {
    fn name() -> Cow<'static, str> {
        T::TYPE.into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::TYPE.into(), Self::schema()));
    }
}

/// A list of at least one; one that may be left out says so when it is empty.
fn at_least_one<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    Vec<T>: Deserialize<'de>,
{
    let list = Vec::<T>::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(de::Error::custom("must not be empty; name at least one, or leave it out"));
    }
    Ok(list)
}

/// For a field that may be absent, but isn't null.
pub(crate) fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Scopes>, D::Error> {
    let names = at_least_one::<_, ScopeName>(deserializer)?;
    Ok(Some(names.into_iter().map(|Name(scope)| scope).collect()))
}

/// For a field that may be absent, but isn't null.
pub(crate) fn agents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Agents>, D::Error> {
    let ids = at_least_one::<_, Parsed<AgentId>>(deserializer)?;
    let agents = Agents::new(ids.into_iter().map(|Parsed(agent)| agent).collect());
    agents.map(Some).map_err(de::Error::custom)
}

/// For a field that may be absent, but isn't null. They are held against the
/// caller's address: behind a reverse proxy that isn't trusted, the proxy's.
pub(crate) fn cidrs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Networks>, D::Error> {
    let networks = at_least_one::<_, String>(deserializer)?;
    Networks::parse(networks.iter().map(String::as_str)).map(Some).map_err(de::Error::custom)
}

/// For a field that may be absent, but isn't null.
pub(crate) fn expires_at<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    parsed(deserializer, |text| Timestamp::parse(&text)).map(Some)
}

pub(crate) fn key_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyName, D::Error> {
    parsed(deserializer, KeyName::parse)
}

/// The scopes that a grant has.
pub(crate) fn scopes_of(grant: &Grant) -> Vec<ScopeName> {
    grant.scopes.iter().map(Name).collect()
}

/// The agents that a grant is for.
pub(crate) fn agents_of(grant: &Grant) -> Option<Vec<String>> {
    grant.agents.as_ref().map(|agents| agents.iter().map(|agent| agent.to_string()).collect())
}

/// The networks that a grant is for.
pub(crate) fn cidrs_of(grant: &Grant) -> Option<Vec<String>> {
    grant.networks.as_ref().map(|networks| networks.iter().map(ToString::to_string).collect())
}
