//! Key links on the wire: an administrator makes one, a member makes an API key
//! by it, once, and nobody but that member ever sees the key.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::ops::RangeInclusive;
use std::sync::Arc;
use strongroom_core::app::{GrantWish, NewKeyLink};
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::key_links::KeyLink as StoredLink;
use strongroom_core::rows::Proven;
use strongroom_core::text::KeyName;
use strongroom_core::tokens::Token;
use strongroom_core::{App, KeyLinkId, Scopes, Timestamp, UserId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success};
use crate::api_keys::{self, NewApiKey};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::grants::{self, Name, RoleName, ScopeName};
use crate::path::OnPath;
use crate::shared::Shared;
use crate::timestamps;
use crate::values::{Parsed, given};

/// How long a link can be used, in seconds: a minute to a week.
const VALID: RangeInclusive<u32> = 60..=604_800;
/// The same when the caller doesn't say: a day.
const USUALLY: u32 = 86_400;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_key_links, create_key_link))
        .routes(routes!(cancel_key_link))
        .routes(routes!(claim_key_link))
}

/// A key link: everything but its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyLink {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// As whom the key will act.
    #[schema(format = Uuid)]
    user_id: String,
    /// What the key will be called.
    #[schema(example = "laptop")]
    name: String,
    /// The most that the key may do.
    #[schema(example = "builder")]
    role: RoleName,
    /// What kinds of act the key is for.
    #[schema(value_type = Vec<ScopeName>, example = json!(["secrets:read", "secrets:write"]))]
    scopes: Vec<ScopeName>,
    /// Whose runs the key may start; null: any agent's.
    #[schema(value_type = Option<Vec<uuid::Uuid>>, required)]
    agents: Option<Vec<String>>,
    /// The networks from which the key may be used; null: from anywhere.
    #[schema(required, example = json!(["10.0.0.0/8"]))]
    cidrs: Option<Vec<String>>,
    /// From when on the key is refused; null: never.
    #[serde(serialize_with = "timestamps::optional")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    key_expires_at: Option<Timestamp>,
    /// Who made the link.
    #[schema(format = Uuid)]
    created_by: String,
    /// When the link was made.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
    /// From when on the link is refused.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-08T05:31:56.000Z")]
    expires_at: Timestamp,
}

impl From<&StoredLink> for KeyLink {
    fn from(link: &StoredLink) -> Self {
        Self {
            id: link.id.to_string(),
            user_id: link.user_id.to_string(),
            name: link.name.to_string(),
            role: Name(link.grant.role),
            scopes: grants::scopes_of(&link.grant),
            agents: grants::agents_of(&link.grant),
            cidrs: grants::cidrs_of(&link.grant),
            key_expires_at: link.grant.expires_at,
            created_by: link.created_by.to_string(),
            created_at: link.created_at,
            expires_at: link.expires_at,
        }
    }
}

/// A new key link, with its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewLink {
    #[serde(flatten)]
    key_link: KeyLink,
    /// The token, shown this once: whoever has it makes the key, with `claimKeyLink`. Null in a dry run, which makes none.
    #[schema(required, example = "srl_…")]
    link: Option<String>,
}

impl NewLink {
    /// The link as its maker sees it.
    pub(crate) fn of(act: &Act, link: &StoredLink, token: &Token) -> Self {
        Self { key_link: link.into(), link: (!act.dry_run).then(|| token.reveal().to_owned()) }
    }
}

/// The answer about key links.
#[derive(Serialize, ToSchema)]
struct KeyLinksAnswer {
    key_links: Vec<KeyLink>,
}

/// List open key links
///
/// Those that can still be used, by creation. Needs the role administrator.
#[utoipa::path(get, path = "/v2/teams/{teamId}/key-links", operation_id = "listKeyLinks", tag = "API keys",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "The links, without their tokens", body = KeyLinksAnswer), Refused))]
async fn list_key_links(
    State(app): State<Arc<App>>,
    act: Act,
) -> Result<JsonAnswer<KeyLinksAnswer>, ApiError> {
    let links = app.key_links(&act.ask).await?;
    Ok(JsonAnswer(KeyLinksAnswer { key_links: links.iter().map(|link| KeyLink::from(&**link)).collect() }))
}

/// For whom a key link is, and what the key will be. What isn't given is as your own key has it; nothing may be wider.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"user_id": "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d", "name": "laptop", "role": "builder"}))]
struct CreateKeyLink {
    /// The member who is to have the key.
    #[schema(value_type = String, format = Uuid)]
    user_id: Parsed<UserId>,
    /// What to call the key. Need not be unique.
    #[serde(deserialize_with = "grants::key_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: KeyName,
    /// The most that the key may do.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = RoleName, required = false)]
    role: Option<RoleName>,
    /// What kinds of act the key is for. Without it, those of your own key but for `runs:start`: starting runs is reading
    /// values, so it is named or not given.
    #[serde(default, deserialize_with = "grants::scopes")]
    #[schema(value_type = Vec<ScopeName>, required = false, min_items = 1)]
    scopes: Option<Scopes>,
    /// Whose runs the key may start, by the agents' ids.
    #[serde(default, deserialize_with = "grants::agents")]
    #[schema(value_type = Vec<uuid::Uuid>, required = false, min_items = 1, max_items = 64)]
    agents: Option<Agents>,
    /// The networks from which the key may be used. A plain address is a network of one. The link itself can be used from
    /// anywhere.
    #[serde(default, deserialize_with = "grants::cidrs")]
    #[schema(value_type = Vec<String>, required = false, min_items = 1, max_items = 64, example = json!(["10.0.0.0/8"]))]
    cidrs: Option<Networks>,
    /// From when on the key is refused: a date and time of RFC 3339, in the future.
    #[serde(default, deserialize_with = "grants::expires_at")]
    #[schema(value_type = String, format = DateTime, required = false, example = "2027-11-07T05:31:56Z")]
    expires_at: Option<Timestamp>,
    /// How long the link can be used, in seconds.
    #[serde(default = "usually", deserialize_with = "valid_seconds")]
    #[schema(minimum = 60, maximum = 604_800, default = 86_400)]
    valid_seconds: u32,
}

fn usually() -> u32 {
    USUALLY
}

fn valid_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(deserializer).ok().filter(|seconds| VALID.contains(seconds));
    seconds.ok_or_else(|| de::Error::custom("must be a whole number of seconds from 60 to 604800"))
}

impl From<CreateKeyLink> for NewKeyLink {
    fn from(new: CreateKeyLink) -> Self {
        let CreateKeyLink {
            user_id: Parsed(user),
            name,
            role,
            scopes,
            agents,
            cidrs,
            expires_at,
            valid_seconds,
        } = new;
        let role = role.map(|Name(role)| role);
        let grant = GrantWish { role, scopes, agents, networks: cidrs, expires_at };
        Self { user, name, grant, valid_for: i64::from(valid_seconds) * 1_000 }
    }
}

/// Make a key link
///
/// By its token, shown once, here, a member makes an API key of their own, once; you never see that key. Needs the role
/// administrator, and reaches nobody above yourself.
#[utoipa::path(post, path = "/v2/teams/{teamId}/key-links", operation_id = "createKeyLink", tag = "API keys",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = CreateKeyLink,
    responses((status = 201, description = "The link, and its token", body = NewLink,
        headers(("etag" = String, description = "The link's state"))), Refused, Absent, ChangeRefused, BodyRefused))]
async fn create_key_link(
    State(app): State<Arc<App>>,
    act: Act,
    Json(new): Json<CreateKeyLink>,
) -> Result<Response, ApiError> {
    let planned = app.create_key_link(&act.ask, new.into()).await?;
    act.carry_out(&app, planned, |(link, token)| created(&act, link, token)).await
}

fn created(act: &Act, link: &Proven<StoredLink>, token: &Token) -> Answer {
    let body = NewLink::of(act, link, token);
    Answer::new(StatusCode::CREATED, &body).tagged(link.mac()).showing_token_of(link.id.uuid())
}

/// Withdraw a key link
///
/// It can't be used from this answer on. One that was used or withdrawn is not found. Needs the role administrator.
#[utoipa::path(delete, path = "/v2/teams/{teamId}/key-links/{linkId}", operation_id = "cancelKeyLink", tag = "API keys",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid),
        ("linkId" = String, Path, description = "The link", format = Uuid)),
    responses((status = 200, description = "Withdrawn", body = Success), Refused, Absent, ChangeRefused))]
async fn cancel_key_link(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(link): OnPath<KeyLinkId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.cancel_key_link(&act.ask, link), |()| Success::answer()).await
}

/// Use a key link
///
/// Makes the API key that the link is for, and ends the link. Send the link's token where an API key stands elsewhere:
/// `Authorization: Bearer srl_…`, and no body. The key's token is shown once, here; a link that was used, withdrawn or is
/// too old is refused with 401.
#[utoipa::path(post, path = "/v2/key-links/claim", operation_id = "claimKeyLink", tag = "API keys",
    security(("keyLink" = [])),
    responses((status = 201, description = "The key, and its token", body = NewApiKey,
        headers(("etag" = String, description = "The key's state"))), Refused, ChangeRefused))]
async fn claim_key_link(State(app): State<Arc<App>>, act: Act) -> Result<Response, ApiError> {
    act.retrying(&app, || app.claim_key_link(&act.ask), |new| api_keys::created(&act, new)).await
}
