//! From a request to a proven [`Caller`]. Runs before a body is read.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use std::sync::Arc;
use strongroom_core::app::Cause;
use strongroom_core::{App, Caller, TeamId};
use strongroom_net::RequestId;

use crate::error::ApiError;
use crate::path::OnPath;

/// Who is asking, proven, and in which request.
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    pub(crate) cause: Cause,
}

/// The same, on a path that names the caller's own team.
pub(crate) struct InTeam(pub(crate) Authenticated);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let cause = Cause { request_id: parts.extensions.get().copied().map(RequestId::uuid) };
        let caller = app.authenticate(bearer(parts)?, &cause).await?;
        Ok(Self { caller, cause })
    }
}

impl FromRequestParts<Arc<App>> for InTeam {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let authenticated = Authenticated::from_request_parts(parts, app).await?;
        let OnPath(team) = OnPath::<TeamId>::from_request_parts(parts, app).await?;
        authenticated.caller.in_team(team)?;
        Ok(Self(authenticated))
    }
}

/// The token of the one `Authorization: Bearer …` header.
fn bearer(parts: &Parts) -> Result<&str, ApiError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next().ok_or_else(|| {
        ApiError::invalid_token("send your API key in the header `Authorization: Bearer <key>`")
    })?;
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    if headers.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::invalid_token(
            "send one header `Authorization: Bearer <key>`, and no other kind",
        ));
    }
    Ok(token.trim_matches(' '))
}
