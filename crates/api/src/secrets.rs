//! Secrets on the wire, where they are called credentials. Values come in and
//! have no way out: the answer's type holds none.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use strongroom_core::access::Ownership;
use strongroom_core::secrets::{NewSecret, Secret as StoredSecret};
use strongroom_core::text::Invalid;
use strongroom_core::{
    Action, App, Bundle, EnvKey, SecretId, SecretName, SecretValue, ServiceSlug, Timestamp,
};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Authenticated, InTeam};
use crate::body;
use crate::error::{Absent, ApiError, BodyRefused, Refused};
use crate::lists::Lists;
use crate::path::OnPath;
use crate::timestamps;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create_secret, list_secrets))
        .routes(routes!(get_secret))
        .routes(routes!(create_secret_v1, list_secrets_v1))
        .routes(routes!(get_secret_v1))
}

/// What a secret is created from.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "Stripe", "values": {"STRIPE_API_KEY": "sk_test_…"}, "service_slug": "stripe"}))]
pub(crate) struct CreateSecret {
    /// What to call it. Need not be unique.
    #[serde(deserialize_with = "secret_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: SecretName,
    /// The environment variables: names match `^[A-Z_][A-Z0-9_]*$` and have at most 128 characters;
    /// values are strings of 1 to 65,536 characters without NUL. At most 256 names and 1 MiB of values.
    /// May be empty, to be filled later.
    #[schema(value_type = std::collections::BTreeMap<String, String>, example = json!({"STRIPE_API_KEY": "sk_test_…"}))]
    values: Values,
    /// Which service it is for.
    #[serde(default, deserialize_with = "service_slug")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = "^[^\\u0000]*$")]
    service_slug: Option<ServiceSlug>,
    /// Shared with the team (needs the role manager), or your own.
    #[serde(default)]
    #[schema(default = false)]
    shared: bool,
}

impl CreateSecret {
    pub(crate) fn into_new(self) -> Result<NewSecret, ApiError> {
        let Self { name, values, service_slug, shared } = self;
        Ok(NewSecret { name, service_slug, shared, values: Bundle::new(values.0)? })
    }
}

/// Named values in the order in which they were sent.
struct Values(Vec<(EnvKey, SecretValue)>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Values, A::Error> {
        let mut values = Vec::new();
        while let Some(Parsed(key)) = entries.next_key::<Parsed<EnvKey>>()? {
            let Parsed(value) = entries.next_value::<Parsed<SecretValue>>()?;
            values.push((key, value));
        }
        Ok(Values(values))
    }
}

/// A text parsed into its domain type while it is read.
struct Parsed<T>(T);

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

fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(String) -> Result<T, Invalid>,
) -> Result<T, D::Error> {
    parse(String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn secret_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretName, D::Error> {
    parsed(deserializer, SecretName::parse)
}

fn service_slug<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServiceSlug>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(ServiceSlug::parse).transpose().map_err(de::Error::custom)
}

/// A secret: everything but its values, which are never returned.
#[derive(Serialize, ToSchema)]
struct Secret {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// Whose team's it is.
    #[schema(format = Uuid)]
    team_id: String,
    /// Whose it is; null when it is shared with the team.
    #[schema(format = Uuid, required)]
    user_id: Option<String>,
    /// What people call it.
    #[schema(example = "Stripe")]
    name: String,
    /// Which service it is for.
    #[schema(required, example = "stripe")]
    service_slug: Option<String>,
    /// The names of its values, in the order in which they were given.
    #[schema(example = json!(["STRIPE_API_KEY"]))]
    env_var_keys: Vec<String>,
    /// Who created it.
    #[schema(format = Uuid)]
    created_by: String,
    /// When it was created.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
    /// When anything of it last changed.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    updated_at: Timestamp,
}

impl From<StoredSecret> for Secret {
    fn from(secret: StoredSecret) -> Self {
        Self {
            id: secret.id.to_string(),
            team_id: secret.team_id.to_string(),
            user_id: secret.owner.map(|owner| owner.to_string()),
            name: secret.name.to_string(),
            service_slug: secret.service_slug.map(|slug| slug.to_string()),
            env_var_keys: secret.env_keys.iter().map(ToString::to_string).collect(),
            created_by: secret.created_by.to_string(),
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        }
    }
}

/// Create a secret
///
/// Seals the values and stores them. They are never returned: an answer has their names only.
#[utoipa::path(post, path = "/v2/teams/{teamId}/credentials", operation_id = "createSecret", tag = "Secrets",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = CreateSecret,
    responses((status = 201, description = "Created", body = Secret), Refused, BodyRefused))]
async fn create_secret(
    State(app): State<Arc<App>>,
    InTeam(Authenticated { caller, cause }): InTeam,
    request: Request,
) -> Result<(StatusCode, Json<Secret>), ApiError> {
    // Nobody makes us hold a body who may not send one.
    caller.permit(Action::CreateSecret, Ownership::Own)?;
    refuse_dry_run(&request)?;
    let new = body::parse::<CreateSecret>(request).await?.into_new()?;
    let secret = app.create_secret(&caller, new, &cause).await?;
    Ok((StatusCode::CREATED, Json(secret.into())))
}

/// Somebody who wants nothing done must not get it done.
fn refuse_dry_run(request: &Request) -> Result<(), ApiError> {
    let query = request.uri().query().unwrap_or_default();
    if query
        .split('&')
        .any(|pair| pair == "dry_run" || pair.starts_with("dry_run=") && pair != "dry_run=false")
    {
        return Err(ApiError::invalid("`dry_run` is not offered yet; nothing was done"));
    }
    Ok(())
}

/// Create a secret in your API key's team
///
/// As `createSecret`, with the team taken from the API key.
#[utoipa::path(post, path = "/v1/credentials", operation_id = "createSecretV1", tag = "Secrets (v1)",
    request_body = CreateSecret,
    responses((status = 201, description = "Created", body = Secret), Refused, BodyRefused))]
async fn create_secret_v1(
    state: State<Arc<App>>,
    authenticated: Authenticated,
    request: Request,
) -> Result<(StatusCode, Json<Secret>), ApiError> {
    create_secret(state, InTeam(authenticated), request).await
}

/// List the secrets that you see
///
/// Those shared with the team and your own, by creation.
#[utoipa::path(get, path = "/v2/teams/{teamId}/credentials", operation_id = "listSecrets", tag = "Secrets",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "The secrets", body = Vec<Secret>), Refused))]
async fn list_secrets(
    State(app): State<Arc<App>>,
    Extension(lists): Extension<Lists>,
    InTeam(Authenticated { caller, cause }): InTeam,
) -> Result<Response, ApiError> {
    let mut list = lists.begin().await;
    let mut after = None;
    loop {
        let page = app.secrets_after(&caller, after, &cause).await?;
        let Some(newest) = page.last() else { return Ok(list.into_response()) };
        after = Some(newest.id);
        list.extend(page.into_iter().map(Secret::from)).await;
    }
}

/// List the secrets that you see in your API key's team
///
/// As `listSecrets`, with the team taken from the API key.
#[utoipa::path(get, path = "/v1/credentials", operation_id = "listSecretsV1", tag = "Secrets (v1)",
    responses((status = 200, description = "The secrets", body = Vec<Secret>), Refused))]
async fn list_secrets_v1(
    state: State<Arc<App>>,
    lists: Extension<Lists>,
    authenticated: Authenticated,
) -> Result<Response, ApiError> {
    list_secrets(state, lists, InTeam(authenticated)).await
}

/// Look at a secret
#[utoipa::path(get, path = "/v2/credentials/{id}", operation_id = "getSecret", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "The secret, without its values", body = Secret), Refused, Absent))]
async fn get_secret(
    State(app): State<Arc<App>>,
    Authenticated { caller, cause }: Authenticated,
    OnPath(id): OnPath<SecretId>,
) -> Result<Json<Secret>, ApiError> {
    Ok(Json(app.secret(&caller, id, &cause).await?.into()))
}

/// Look at a secret (v1)
///
/// As `getSecret`.
#[utoipa::path(get, path = "/v1/credentials/{id}", operation_id = "getSecretV1", tag = "Secrets (v1)",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "The secret, without its values", body = Secret), Refused, Absent))]
async fn get_secret_v1(
    state: State<Arc<App>>,
    authenticated: Authenticated,
    id: OnPath<SecretId>,
) -> Result<Json<Secret>, ApiError> {
    get_secret(state, authenticated, id).await
}
