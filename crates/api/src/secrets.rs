//! Secrets on the wire, where they are called credentials. Values come in and
//! have no way out: the answer's type holds none.

use axum::extract::State;
use axum::http::{StatusCode, Uri, header::LINK};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use strongroom_core::rows::Proven;
use strongroom_core::secrets::{Edit, Filter, NewSecret, Patch, Secret as StoredSecret};
use strongroom_core::{App, Bundle, EnvKey, SecretId, SecretName, ServiceSlug, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success, shown};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::lists::Lists;
use crate::path::OnPath;
use crate::shared::Shared;
use crate::values::{Parsed, Renames, Values, given, secret_name, service_slug};
use crate::{query, timestamps, values};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(create_secret, list_secrets))
        .routes(routes!(get_secret, update_secret, delete_secret))
        .routes(routes!(create_secret_v1, list_secrets_v1))
        .routes(routes!(get_secret_v1, update_secret_v1, delete_secret_v1))
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
    #[schema(schema_with = values::described)]
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

/// What is to become of a secret. What isn't given stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"add_values": {"STRIPE_API_KEY": "sk_test_…"}, "remove_keys": ["STRIPE_OLD_KEY"]}))]
pub(crate) struct UpdateSecret {
    /// What to call it.
    #[serde(default, deserialize_with = "given_name")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: Option<SecretName>,
    /// Which service it is for; null: none.
    #[serde(default, deserialize_with = "given_slug")]
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 64, pattern = "^[^\\u0000]*$")]
    #[expect(clippy::option_option, reason = "absent, null and a text are three wishes")]
    service_slug: Option<Option<ServiceSlug>>,
    /// Shared with the team, or your own; changing it needs the role manager. Sharing a secret shares its history.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    shared: Option<bool>,
    /// Takes the place of all values; not together with the three below.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = values::described, required = false)]
    values: Option<Values>,
    /// New names by old names, first of the three. Each value keeps its place.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = values::renames_described, required = false)]
    rename_keys: Option<Renames>,
    /// Names whose values go, second of the three.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = values::names_described, required = false)]
    remove_keys: Option<Vec<Parsed<EnvKey>>>,
    /// Values that come, over those of the same name or at the end; last of the three.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = values::described, required = false)]
    add_values: Option<Values>,
}

fn given_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SecretName>, D::Error> {
    secret_name(deserializer).map(Some)
}

#[expect(clippy::option_option, reason = "absent, null and a text are three wishes")]
fn given_slug<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<ServiceSlug>>, D::Error> {
    service_slug(deserializer).map(Some)
}

impl UpdateSecret {
    pub(crate) fn into_patch(self) -> Result<Patch, ApiError> {
        let Self { name, service_slug, shared, values, rename_keys, remove_keys, add_values } = self;
        Ok(Patch {
            name,
            service_slug,
            shared,
            values: edit(values, (rename_keys, remove_keys, add_values))?,
        })
    }
}

/// What becomes of the values: replaced, or edited one by one.
fn edit(
    values: Option<Values>,
    edits: (Option<Renames>, Option<Vec<Parsed<EnvKey>>>, Option<Values>),
) -> Result<Edit, ApiError> {
    match (values, edits) {
        (Some(values), (None, None, None)) => Ok(Edit::Replace(Bundle::new(values.0)?)),
        (Some(_), _) => Err(ApiError::invalid(
            "`values` replaces everything; send it alone, or `rename_keys`, `remove_keys` and `add_values` without it",
        )),
        (None, (_, Some(removed), _)) if removed.is_empty() => {
            Err(ApiError::invalid("`remove_keys` must name at least one key; leave it out otherwise"))
        }
        (None, (rename, remove, add)) => Ok(Edit::Change {
            rename: rename.map(|rename| rename.0).unwrap_or_default(),
            remove: remove.unwrap_or_default().into_iter().map(|Parsed(key)| key).collect(),
            add: add.map(|add| Bundle::new(add.0)).transpose()?.unwrap_or_default(),
        }),
    }
}

/// A secret: everything but its values, which are never returned.
#[derive(Serialize, ToSchema)]
pub(crate) struct Secret {
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

impl From<&StoredSecret> for Secret {
    fn from(secret: &StoredSecret) -> Self {
        Self {
            id: secret.id.to_string(),
            team_id: secret.team_id.to_string(),
            user_id: secret.owner.map(|owner| owner.to_string()),
            name: secret.name.to_string(),
            service_slug: secret.service_slug.as_ref().map(ToString::to_string),
            env_var_keys: secret.env_keys.iter().map(ToString::to_string).collect(),
            created_by: secret.created_by.to_string(),
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        }
    }
}

/// A secret as an answer to a change.
pub(crate) fn answer(status: StatusCode, secret: &Proven<StoredSecret>) -> Answer {
    Answer::new(status, &Secret::from(&**secret)).tagged(secret.mac())
}

/// Create a secret
///
/// Seals the values and stores them. They are never returned: an answer has their names only.
#[utoipa::path(post, path = "/v2/teams/{teamId}/credentials", operation_id = "createSecret", tag = "Secrets",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = CreateSecret,
    responses((status = 201, description = "Created", body = Secret,
        headers(("etag" = String, description = "The secret's state"))), Refused, ChangeRefused, BodyRefused))]
async fn create_secret(
    State(app): State<Arc<App>>,
    act: Act,
    Json(new): Json<CreateSecret>,
) -> Result<Response, ApiError> {
    let planned = app.create_secret(&act.ask, new.into_new()?).await?;
    act.carry_out(&app, planned, |secret| answer(StatusCode::CREATED, secret)).await
}

/// Create a secret in your API key's team
///
/// As `createSecret`, with the team taken from the API key.
#[utoipa::path(post, path = "/v1/credentials", operation_id = "createSecretV1", tag = "Secrets (v1)",
    request_body = CreateSecret,
    responses((status = 201, description = "Created", body = Secret,
        headers(("etag" = String, description = "The secret's state"))), Refused, ChangeRefused, BodyRefused))]
async fn create_secret_v1(
    state: State<Arc<App>>,
    act: Act,
    new: Json<CreateSecret>,
) -> Result<Response, ApiError> {
    create_secret(state, act, new).await
}

/// List the secrets that you see
///
/// Those shared with the team and your own, by creation: all of them, or with `limit` so many; where the list goes on,
/// the header `Link` with `rel="next"` says.
#[utoipa::path(get, path = "/v2/teams/{teamId}/credentials", operation_id = "listSecrets", tag = "Secrets",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid), Listing),
    responses((status = 200, description = "The secrets", body = Vec<Secret>,
        headers(("link" = String, description = "Where the list goes on, if it does"))), Refused))]
async fn list_secrets(
    State(app): State<Arc<App>>,
    State(lists): State<Lists>,
    act: Act,
    uri: Uri,
) -> Result<Response, ApiError> {
    let listing = Listing::parse(&uri)?;
    let filter = Filter::new(listing.search.as_deref(), listing.service_slug.clone());
    let mut list = lists.begin().await;
    let (mut after, mut left) = (listing.cursor, listing.limit);
    loop {
        let most = left.map_or(u32::MAX, |left| left + 1);
        let mut page = app.secrets_after(&act.ask, after, &filter, most).await?;
        let more = left.is_some_and(|left| page.secrets.len() > left as usize);
        page.secrets.truncate(left.map_or(usize::MAX, |left| left as usize));
        after = page.secrets.last().map(|secret| secret.id).or(after);
        left = left.map(|left| left - u32::try_from(page.secrets.len()).unwrap_or(left));
        list.extend(page.secrets.iter().map(|secret| Secret::from(&**secret))).await;
        match page.next {
            _ if more => return Ok(([(LINK, listing.next(&uri, after))], list).into_response()),
            None => return Ok(list.into_response()),
            Some(next) => after = Some(next),
        }
    }
}

/// Which part of a list is wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// At most so many; all without it.
    #[param(value_type = u32, minimum = 1, maximum = 1000, required = false)]
    limit: Option<u32>,
    /// Where to go on: from the `Link` of the answer before.
    #[param(value_type = String, format = Uuid, required = false)]
    cursor: Option<SecretId>,
    /// Only those with this text, in any case, in their name, service or names of values.
    #[param(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$", required = false)]
    search: Option<String>,
    /// Only those for exactly this service.
    #[param(value_type = String, min_length = 1, max_length = 64, pattern = "^[^\\u0000]*$", required = false)]
    service_slug: Option<ServiceSlug>,
}

impl Listing {
    pub(crate) fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let cursor = |text: &str| SecretId::parse(text).ok();
        let slug = |text: &str| ServiceSlug::parse(text).ok();
        Ok(Self {
            limit: query::number(uri, "limit", "a number from 1 to 1000", 1..=1000)?,
            cursor: query::parsed(uri, "cursor", "taken from the `Link` of the answer before", cursor)?,
            search: query::search(uri)?,
            service_slug: query::parsed(uri, "service_slug", "1 to 64 characters without NUL", slug)?,
        })
    }

    /// Where the list goes on (RFC 8288), as seen from here.
    fn next(&self, uri: &Uri, after: Option<SecretId>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let pairs = [
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", after.map(|after| after.to_string())),
            ("search", self.search.clone()),
            ("service_slug", self.service_slug.as_ref().map(ToString::to_string)),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish())
    }
}

/// List the secrets that you see in your API key's team
///
/// As `listSecrets`, with the team taken from the API key.
#[utoipa::path(get, path = "/v1/credentials", operation_id = "listSecretsV1", tag = "Secrets (v1)",
    params(Listing),
    responses((status = 200, description = "The secrets", body = Vec<Secret>,
        headers(("link" = String, description = "Where the list goes on, if it does"))), Refused))]
async fn list_secrets_v1(
    state: State<Arc<App>>,
    lists: State<Lists>,
    act: Act,
    uri: Uri,
) -> Result<Response, ApiError> {
    list_secrets(state, lists, act, uri).await
}

/// Look at a secret
#[utoipa::path(get, path = "/v2/credentials/{id}", operation_id = "getSecret", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "The secret, without its values", body = Secret,
        headers(("etag" = String, description = "The secret's state"))), Refused, Absent))]
async fn get_secret(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
) -> Result<Response, ApiError> {
    let secret = app.secret(&act.ask, id).await?;
    Ok(shown(secret.mac(), &Secret::from(&*secret)))
}

/// Look at a secret (v1)
///
/// As `getSecret`.
#[utoipa::path(get, path = "/v1/credentials/{id}", operation_id = "getSecretV1", tag = "Secrets (v1)",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "The secret, without its values", body = Secret,
        headers(("etag" = String, description = "The secret's state"))), Refused, Absent))]
async fn get_secret_v1(state: State<Arc<App>>, act: Act, id: OnPath<SecretId>) -> Result<Response, ApiError> {
    get_secret(state, act, id).await
}

/// Change a secret
///
/// Replaces its values, or renames, removes and adds some, without reading any. A change of values makes a new version;
/// an empty body changes nothing.
#[utoipa::path(patch, path = "/v2/credentials/{id}", operation_id = "updateSecret", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    request_body = UpdateSecret,
    responses((status = 200, description = "The secret as it is now", body = Secret,
        headers(("etag" = String, description = "The secret's state"))),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn update_secret(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
    Json(update): Json<UpdateSecret>,
) -> Result<Response, ApiError> {
    let patch = update.into_patch()?;
    let plan = || app.update_secret(&act.ask, id, &patch);
    act.retrying(&app, plan, |secret| answer(StatusCode::OK, secret)).await
}

/// Change a secret (v1)
///
/// As `updateSecret`.
#[utoipa::path(patch, path = "/v1/credentials/{id}", operation_id = "updateSecretV1", tag = "Secrets (v1)",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    request_body = UpdateSecret,
    responses((status = 200, description = "The secret as it is now", body = Secret,
        headers(("etag" = String, description = "The secret's state"))),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn update_secret_v1(
    state: State<Arc<App>>,
    act: Act,
    id: OnPath<SecretId>,
    update: Json<UpdateSecret>,
) -> Result<Response, ApiError> {
    update_secret(state, act, id, update).await
}

/// Delete a secret
///
/// It is gone at once, from every list and run; `undeleteSecret` brings it back until it is purged.
#[utoipa::path(delete, path = "/v2/credentials/{id}", operation_id = "deleteSecret", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "Deleted", body = Success), Refused, Absent, ChangeRefused))]
async fn delete_secret(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.delete_secret(&act.ask, id), |()| Success::answer()).await
}

/// Delete a secret (v1)
///
/// As `deleteSecret`.
#[utoipa::path(delete, path = "/v1/credentials/{id}", operation_id = "deleteSecretV1", tag = "Secrets (v1)",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "Deleted", body = Success), Refused, Absent, ChangeRefused))]
async fn delete_secret_v1(
    state: State<Arc<App>>,
    act: Act,
    id: OnPath<SecretId>,
) -> Result<Response, ApiError> {
    delete_secret(state, act, id).await
}
