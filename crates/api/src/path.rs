//! Ids in paths. A malformed one is a 400 that names the parameter.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use strongroom_core::agents::{Agent, Revision};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::key_links::KeyLink;
use strongroom_core::rows::Row;
use strongroom_core::runs::Run;
use strongroom_core::secrets::Secret;
use strongroom_core::teams::Team;
use strongroom_core::text::Invalid;
use strongroom_core::users::User;
use strongroom_core::{
    AgentId, ApiKeyId, FillRequestId, KeyLinkId, RevisionId, RunId, SecretId, TeamId, UserId,
};

use crate::error::{ApiError, malformed_id};

/// An id that stands in the path under its own parameter's name.
pub(crate) struct OnPath<T>(pub(crate) T);

/// Which parameter an id has in a path, and how it is read.
pub(crate) trait PathId: Sized {
    const PARAMETER: &'static str;
    fn parse(text: &str) -> Result<Self, Invalid>;
}

impl PathId for SecretId {
    const PARAMETER: &'static str = "id";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for TeamId {
    const PARAMETER: &'static str = "teamId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for UserId {
    const PARAMETER: &'static str = "userId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for ApiKeyId {
    const PARAMETER: &'static str = "keyId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for KeyLinkId {
    const PARAMETER: &'static str = "linkId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for FillRequestId {
    const PARAMETER: &'static str = "requestId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for AgentId {
    const PARAMETER: &'static str = "agentId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for RevisionId {
    const PARAMETER: &'static str = "buildId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl PathId for RunId {
    const PARAMETER: &'static str = "runId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

/// The table of what a path has in the place of this parameter, in its braces.
pub(crate) fn table(parameter: &str) -> Option<&'static str> {
    let name = parameter.strip_prefix('{')?.strip_suffix('}')?;
    Some(match name {
        SecretId::PARAMETER | AttachedId::PARAMETER => Secret::TABLE,
        TeamId::PARAMETER => Team::TABLE,
        UserId::PARAMETER => User::TABLE,
        ApiKeyId::PARAMETER => ApiKey::TABLE,
        KeyLinkId::PARAMETER => KeyLink::TABLE,
        AgentId::PARAMETER => Agent::TABLE,
        RevisionId::PARAMETER => Revision::TABLE,
        RunId::PARAMETER => Run::TABLE,
        _ => return None,
    })
}

/// The secret in a path that leads over something else to it.
pub(crate) struct AttachedId(pub(crate) SecretId);

impl PathId for AttachedId {
    const PARAMETER: &'static str = "credentialId";
    fn parse(text: &str) -> Result<Self, Invalid> {
        SecretId::parse(text).map(Self)
    }
}

/// An event's place in the record.
pub(crate) struct EventPlace(pub(crate) i64);

impl PathId for EventPlace {
    const PARAMETER: &'static str = "sequence";
    fn parse(text: &str) -> Result<Self, Invalid> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let place = text.parse().ok().filter(|_| is_plain);
        place.map(Self).ok_or(Invalid::new("must be a number from 1"))
    }
}

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for OnPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let malformed = |invalid| malformed_id(T::PARAMETER, invalid);
        // Fails on percent-encoding that is no UTF-8, which no id is.
        let parameters = RawPathParams::from_request_parts(parts, state).await;
        let parameters = parameters.map_err(|_| malformed(Invalid::new("is not UTF-8")))?;
        let found = parameters.iter().find(|(name, _)| *name == T::PARAMETER);
        T::parse(found.map_or("", |(_, text)| text)).map(Self).map_err(malformed)
    }
}
