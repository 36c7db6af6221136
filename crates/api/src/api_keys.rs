//! API keys on the wire. A key's token stands in one answer only, the one to
//! whoever made it.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use strongroom_core::api_keys::{ApiKey as StoredKey, UsedKey};
use strongroom_core::app::{GrantWish, NewKey};
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::rows::Proven;
use strongroom_core::text::KeyName;
use strongroom_core::tokens::Token;
use strongroom_core::{ApiKeyId, App, Scopes, Timestamp, UserId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::grants::{self, Name, RoleName, ScopeName};
use crate::path::OnPath;
use crate::shared::Shared;
use crate::timestamps;
use crate::values::{Parsed, given};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list_api_keys, create_api_key)).routes(routes!(revoke_api_key))
}

/// An API key: everything but its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// As whom it acts.
    #[schema(format = Uuid)]
    user_id: String,
    /// What its owner calls it.
    #[schema(example = "laptop")]
    name: String,
    /// The most it may do; its user's present role may lower it.
    #[schema(example = "builder")]
    role: RoleName,
    /// What kinds of act it is for.
    #[schema(value_type = Vec<ScopeName>, example = json!(["secrets:read", "secrets:write"]))]
    scopes: Vec<ScopeName>,
    /// Whose runs it may start; null: any agent's.
    #[schema(value_type = Option<Vec<uuid::Uuid>>, required)]
    agents: Option<Vec<String>>,
    /// The networks from which it may be used; null: from anywhere.
    #[schema(required, example = json!(["10.0.0.0/8"]))]
    cidrs: Option<Vec<String>>,
    /// Who made it; null: it is the first one of the instance.
    #[schema(format = Uuid, required)]
    created_by: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
    /// From when on it is refused; null: never.
    #[serde(serialize_with = "timestamps::optional")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Timestamp>,
    /// Since when it is revoked; null: it isn't.
    #[serde(serialize_with = "timestamps::optional")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    revoked_at: Option<Timestamp>,
    /// When it was last used, to about a minute; null: never.
    #[serde(serialize_with = "timestamps::optional")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_used_at: Option<Timestamp>,
}

impl ApiKey {
    fn of(key: &StoredKey, last_used_at: Option<Timestamp>) -> Self {
        Self {
            id: key.id.to_string(),
            user_id: key.user_id.to_string(),
            name: key.name.to_string(),
            role: Name(key.grant.role),
            scopes: grants::scopes_of(&key.grant),
            agents: grants::agents_of(&key.grant),
            cidrs: grants::cidrs_of(&key.grant),
            created_by: key.created_by.map(|user| user.to_string()),
            created_at: key.created_at,
            expires_at: key.grant.expires_at,
            revoked_at: key.revoked_at,
            last_used_at,
        }
    }
}

/// A new API key, with its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewApiKey {
    #[serde(flatten)]
    key: ApiKey,
    /// The token, shown this once: send it as `Authorization: Bearer <api_key>`. Null in a dry run, which makes none.
    #[schema(required, example = "srk_…")]
    api_key: Option<String>,
}

/// The answer to whoever made a key.
pub(crate) fn created(act: &Act, (key, token): &(Proven<StoredKey>, Token)) -> Answer {
    let api_key = (!act.dry_run).then(|| token.reveal().to_owned());
    let body = NewApiKey { key: ApiKey::of(key, None), api_key };
    Answer::new(StatusCode::CREATED, &body).tagged(key.mac()).showing_token_of(key.id.uuid())
}

/// The answer about API keys.
#[derive(Serialize, ToSchema)]
struct ApiKeysAnswer {
    api_keys: Vec<ApiKey>,
}

/// List API keys
///
/// By creation, revoked and expired ones too: all of the team's for administrators, your own for everybody else.
#[utoipa::path(get, path = "/v2/teams/{teamId}/api-keys", operation_id = "listApiKeys", tag = "API keys",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "The keys, without their tokens", body = ApiKeysAnswer), Refused))]
async fn list_api_keys(State(app): State<Arc<App>>, act: Act) -> Result<JsonAnswer<ApiKeysAnswer>, ApiError> {
    let keys = app.api_keys(&act.ask).await?;
    let api_keys = keys.iter().map(|UsedKey { key, last_used_at }| ApiKey::of(key, *last_used_at)).collect();
    Ok(JsonAnswer(ApiKeysAnswer { api_keys }))
}

/// What an API key is to be. What isn't given is as your own key has it; nothing may be wider.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "ci", "role": "builder", "scopes": ["secrets:read"], "cidrs": ["10.0.0.0/8"]}))]
struct CreateApiKey {
    /// What to call it. Need not be unique.
    #[serde(deserialize_with = "grants::key_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: KeyName,
    /// The most it may do.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = RoleName, required = false)]
    role: Option<RoleName>,
    /// What kinds of act it is for. Without it, those of your own key but for `runs:start`: starting runs is reading
    /// values, so it is named or not given.
    #[serde(default, deserialize_with = "grants::scopes")]
    #[schema(value_type = Vec<ScopeName>, required = false, min_items = 1)]
    scopes: Option<Scopes>,
    /// Whose runs it may start, by the agents' ids.
    #[serde(default, deserialize_with = "grants::agents")]
    #[schema(value_type = Vec<uuid::Uuid>, required = false, min_items = 1, max_items = 64)]
    agents: Option<Agents>,
    /// From when on it is refused: a date and time of RFC 3339, in the future.
    #[serde(default, deserialize_with = "grants::expires_at")]
    #[schema(value_type = String, format = DateTime, required = false, example = "2027-11-07T05:31:56Z")]
    expires_at: Option<Timestamp>,
    /// The networks from which it may be used. A plain address is a network of one.
    #[serde(default, deserialize_with = "grants::cidrs")]
    #[schema(value_type = Vec<String>, required = false, min_items = 1, max_items = 64, example = json!(["10.0.0.0/8"]))]
    cidrs: Option<Networks>,
    /// The service user as whom it acts; yourself otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, format = Uuid, required = false)]
    service_user_id: Option<Parsed<UserId>>,
}

impl From<CreateApiKey> for NewKey {
    fn from(new: CreateApiKey) -> Self {
        let CreateApiKey { name, role, scopes, agents, expires_at, cidrs, service_user_id } = new;
        let role = role.map(|Name(role)| role);
        Self {
            name,
            grant: GrantWish { role, scopes, agents, networks: cidrs, expires_at },
            service_user: service_user_id.map(|Parsed(user)| user),
        }
    }
}

/// Make an API key
///
/// For yourself or for a service user; its token is shown once, here. People make their own keys: send them a key link.
/// An old and a new key are valid side by side, so rotating is making a new one, then revoking the old one. Needs the
/// role administrator.
#[utoipa::path(post, path = "/v2/teams/{teamId}/api-keys", operation_id = "createApiKey", tag = "API keys",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = CreateApiKey,
    responses((status = 201, description = "The key, and its token", body = NewApiKey,
        headers(("etag" = String, description = "The key's state"))), Refused, Absent, ChangeRefused, BodyRefused))]
async fn create_api_key(
    State(app): State<Arc<App>>,
    act: Act,
    Json(new): Json<CreateApiKey>,
) -> Result<Response, ApiError> {
    let planned = app.create_api_key(&act.ask, new.into()).await?;
    act.carry_out(&app, planned, |new| created(&act, new)).await
}

/// Revoke an API key
///
/// It is refused from this answer on, the one that you ask with too. One that was revoked before stays so. Others' keys
/// need the role administrator, and no user above yourself.
#[utoipa::path(delete, path = "/v2/teams/{teamId}/api-keys/{keyId}", operation_id = "revokeApiKey", tag = "API keys",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid),
        ("keyId" = String, Path, description = "The key", format = Uuid)),
    responses((status = 200, description = "Revoked", body = Success), Refused, Absent, ChangeRefused))]
async fn revoke_api_key(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(key): OnPath<ApiKeyId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.revoke_api_key(&act.ask, key), |()| Success::answer()).await
}
