//! What goes beyond the original API of secrets: their history, going back,
//! undeleting, copying and comparing. No answer holds a value.

use axum::extract::State;
use axum::http::{StatusCode, Uri, header::LINK};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use strongroom_core::secrets::{Comparison as CoreComparison, NewCopy, VersionInfo};
use strongroom_core::{App, EnvKey, SecretId, SecretName, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::lists::List;
use crate::path::OnPath;
use crate::secrets::{Secret, answer};
use crate::shared::Shared;
use crate::values::{Parsed, secret_name};
use crate::{query, timestamps};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_versions))
        .routes(routes!(roll_back))
        .routes(routes!(undelete))
        .routes(routes!(copy))
        .routes(routes!(compare))
}

/// One content that a secret has or had, without its values.
#[derive(Serialize, ToSchema)]
struct Version {
    /// Which one, from 1.
    number: u32,
    /// Whether it is the one that runs receive.
    current: bool,
    /// The names of its values.
    #[schema(example = json!(["STRIPE_API_KEY"]))]
    env_var_keys: Vec<String>,
    /// Who made it.
    #[schema(format = Uuid)]
    created_by: String,
    /// When it was made.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
}

impl From<VersionInfo> for Version {
    fn from(info: VersionInfo) -> Self {
        Self {
            number: info.number,
            current: info.current,
            env_var_keys: info.env_keys.iter().map(ToString::to_string).collect(),
            created_by: info.created_by.to_string(),
            created_at: info.created_at,
        }
    }
}

/// See a secret's history
///
/// Its versions, by number: the names that they hold, when they were made and by whom. Never values. Whoever sees a
/// secret sees all of them, also those from before it was shared. Where the list goes on, the header `Link` with
/// `rel="next"` says.
#[utoipa::path(get, path = "/v2/credentials/{id}/versions", operation_id = "listSecretVersions", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid), Listing),
    responses((status = 200, description = "The versions", body = Vec<Version>,
        headers(("link" = String, description = "Where the list goes on, if it does"))), Refused, Absent))]
async fn list_versions(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let Listing { limit, cursor } = Listing::parse(&uri)?;
    let mut list = List::default();
    let (mut after, mut left) = (cursor, limit);
    loop {
        let page = app.versions_after(&act.ask, id, after, left).await?;
        let goes_on = page.last().filter(|newest| !newest.current).map(|newest| newest.number);
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(left));
        list.extend(page.into_iter().map(Version::from)).await;
        match goes_on {
            Some(number) if left == 0 => {
                return Ok(([(LINK, next(&uri, limit, number))], list).into_response());
            }
            Some(number) => after = number,
            None => return Ok(list.into_response()),
        }
    }
}

/// Which part of a history is wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 100, required = false)]
    limit: u32,
    /// Only those after the one of this number: from the `Link` of the answer before.
    #[param(minimum = 0, required = false)]
    cursor: u32,
}

impl Listing {
    fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let cursor = "taken from the `Link` of the answer before";
        Ok(Self {
            limit: query::number(uri, "limit", "a number from 1 to 100", 1..=100)?.unwrap_or(100),
            cursor: query::number(uri, "cursor", cursor, 0..=2_147_483_647)?.unwrap_or(0),
        })
    }
}

/// Where a history goes on (RFC 8288), as seen from here.
fn next(uri: &Uri, limit: u32, after: u32) -> String {
    format!("<{}?limit={limit}&cursor={after}>; rel=\"next\"", uri.path())
}

/// To which version to go back.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"version": 1}))]
struct RollBack {
    /// Its number.
    #[schema(minimum = 1, example = 1)]
    version: u32,
}

/// Go back to an earlier version
///
/// Makes its content current again, as a new version. Nothing is lost.
#[utoipa::path(post, path = "/v2/credentials/{id}/rollback", operation_id = "rollbackSecret", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    request_body = RollBack,
    responses((status = 200, description = "The secret as it is now", body = Secret,
        headers(("etag" = String, description = "The secret's state"))),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn roll_back(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
    Json(RollBack { version }): Json<RollBack>,
) -> Result<Response, ApiError> {
    let plan = || app.roll_back_secret(&act.ask, id, version);
    act.retrying(&app, plan, |secret| answer(StatusCode::OK, secret)).await
}

/// Bring a deleted secret back
///
/// Until it is purged. One that isn't deleted stays as it is.
#[utoipa::path(post, path = "/v2/credentials/{id}/undelete", operation_id = "undeleteSecret", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "The secret as it is now", body = Secret,
        headers(("etag" = String, description = "The secret's state"))),
        Refused, Absent, ChangeRefused))]
async fn undelete(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.undelete_secret(&act.ask, id), |secret| answer(StatusCode::OK, secret)).await
}

/// What a copy is to be.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "Stripe, for the new agent"}))]
struct CopySecret {
    /// What to call it. Need not be unique.
    #[serde(deserialize_with = "secret_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: SecretName,
    /// Shared with the team (needs the role manager), or your own.
    #[serde(default)]
    #[schema(default = false)]
    shared: bool,
}

/// Copy a secret
///
/// With its values as they are now, which nobody sees on the way. Needs the right to change the secret.
#[utoipa::path(post, path = "/v2/credentials/{id}/copy", operation_id = "copySecret", tag = "Secrets",
    params(("id" = String, Path, description = "The secret to copy", format = Uuid)),
    request_body = CopySecret,
    responses((status = 201, description = "The copy", body = Secret,
        headers(("etag" = String, description = "The secret's state"))), Refused, Absent, ChangeRefused, BodyRefused))]
async fn copy(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
    Json(CopySecret { name, shared }): Json<CopySecret>,
) -> Result<Response, ApiError> {
    let new = NewCopy { name, shared };
    let plan = || app.copy_secret(&act.ask, id, &new);
    act.retrying(&app, plan, |secret| answer(StatusCode::CREATED, secret)).await
}

/// Which secrets to compare.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"a": "018f4d2a-7c3b-7e21-9a40-1b2c3d4e5f60", "b": "018f4d2a-7c3b-7e21-9a40-1b2c3d4e5f61"}))]
struct Compare {
    /// The first.
    #[schema(value_type = String, format = Uuid)]
    a: Parsed<SecretId>,
    /// The second.
    #[schema(value_type = String, format = Uuid)]
    b: Parsed<SecretId>,
}

/// How two secrets compare.
#[derive(Serialize, ToSchema)]
struct Comparison {
    /// Each name that either has.
    #[schema(example = json!({"STRIPE_API_KEY": "same", "STRIPE_WEBHOOK_SECRET": "only_a"}))]
    keys: BTreeMap<String, Compared>,
}

/// How a name's values in two secrets compare.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Compared {
    Same,
    Different,
    OnlyA,
    OnlyB,
}

impl From<&CoreComparison> for Compared {
    fn from(comparison: &CoreComparison) -> Self {
        match comparison {
            CoreComparison::Same => Self::Same,
            CoreComparison::Different => Self::Different,
            CoreComparison::OnlyA => Self::OnlyA,
            CoreComparison::OnlyB => Self::OnlyB,
        }
    }
}

/// Compare two secrets
///
/// Tells for each name whether both have the same value, and nothing else about it. Needs the right to change both, and
/// is recorded, a dry run too.
#[utoipa::path(post, path = "/v2/teams/{teamId}/credentials/compare", operation_id = "compareSecrets",
    tag = "Secrets",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = Compare,
    responses((status = 200, description = "Name by name", body = Comparison),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn compare(
    State(app): State<Arc<App>>,
    act: Act,
    Json(Compare { a: Parsed(a), b: Parsed(b) }): Json<Compare>,
) -> Result<Response, ApiError> {
    let act = act.in_earnest();
    act.retrying(&app, || app.compare_secrets(&act.ask, a, b), |keys| compared(keys)).await
}

fn compared(keys: &[(EnvKey, CoreComparison)]) -> Answer {
    let keys = keys.iter().map(|(key, comparison)| (key.to_string(), comparison.into())).collect();
    Answer::new(StatusCode::OK, &Comparison { keys })
}
