//! Requests to fill in a secret, on the wire: a program asks, learns where a person
//! does so, and then that they did.

use axum::Json as JsonAnswer;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::convert::Infallible;
use std::sync::Arc;
use strongroom_core::app::NewFillRequest;
use strongroom_core::fill_requests::{Fate, FillRequest as StoredRequest, USUALLY_SECONDS, VALID_SECONDS};
use strongroom_core::rows::Proven;
use strongroom_core::text::FillNote;
use strongroom_core::tokens::Token;
use strongroom_core::{App, EnvKey, FillRequestId, SecretName, ServiceSlug, Timestamp};
use strongroom_net::Address;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success, shown};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::path::OnPath;
use crate::shared::Shared;
use crate::timestamps;
use crate::values::{self, Parsed, parsed};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_fill_requests, create_fill_request))
        .routes(routes!(get_fill_request, cancel_fill_request))
}

/// What came of a request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FillStatus {
    /// It can be filled in.
    Open,
    /// It was filled in.
    Filled,
    /// It was withdrawn.
    Cancelled,
    /// Nobody did in time.
    Expired,
}

impl From<Fate> for FillStatus {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Open => Self::Open,
            Fate::Filled => Self::Filled,
            Fate::Cancelled => Self::Cancelled,
            Fate::Expired => Self::Expired,
        }
    }
}

/// A request that a person fill in a secret: everything but its link. Which secret it became, and who filled it in, the
/// asker isn't told.
#[derive(Serialize, ToSchema)]
struct FillRequest {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// What came of it.
    #[schema(example = "open")]
    status: FillStatus,
    /// What the secret is to be called.
    #[schema(example = "Stripe")]
    name: String,
    /// Which service it is for.
    #[schema(required, example = "stripe")]
    service_slug: Option<String>,
    /// What its values are to be called.
    #[schema(example = json!(["STRIPE_API_KEY"]))]
    env_var_keys: Vec<String>,
    /// What for, in the asker's words.
    #[schema(required, example = "to send the invoices of November")]
    note: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
    /// From when on it can't be filled in.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-08T05:31:56.000Z")]
    expires_at: Timestamp,
}

impl FillRequest {
    fn of(request: &StoredRequest, now: Timestamp) -> Self {
        Self {
            id: request.id.to_string(),
            status: request.fate(now).into(),
            name: request.name.to_string(),
            service_slug: request.service_slug.as_ref().map(ToString::to_string),
            env_var_keys: request.env_keys.iter().map(ToString::to_string).collect(),
            note: request.note.as_ref().map(ToString::to_string),
            created_at: request.created_at,
            expires_at: request.expires_at,
        }
    }
}

/// A new request, with its link.
#[derive(Serialize, ToSchema)]
struct NewRequest {
    #[serde(flatten)]
    request: FillRequest,
    /// Where a person fills it in, shown this once: send it to them. Null in a dry run, which makes none.
    #[schema(required, example = "https://secrets.example.com/fill/srl_…")]
    url: Option<String>,
}

/// The answer about requests.
#[derive(Serialize, ToSchema)]
struct FillRequestsAnswer {
    fill_requests: Vec<FillRequest>,
}

/// What a client calls the server, from where a link for people is made.
struct Found {
    address: Arc<Address>,
    host: Option<String>,
}

impl FromRequestParts<Shared> for Found {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let address = Arc::clone(&shared.address);
        Ok(Self { address, host: strongroom_net::host(parts).map(ToOwned::to_owned) })
    }
}

impl Found {
    fn link(&self, token: &Token) -> String {
        self.address.url(&format!("/fill/{}", token.reveal()), self.host.as_deref())
    }
}

/// List open requests to fill in a secret
///
/// Those that can still be filled in: yours, and with the role manager the whole team's; at most the 1,000 that can be
/// longest.
#[utoipa::path(get, path = "/v2/teams/{teamId}/fill-requests", operation_id = "listFillRequests", tag = "Fill requests",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "The requests, without their links", body = FillRequestsAnswer), Refused))]
async fn list_fill_requests(
    State(app): State<Arc<App>>,
    act: Act,
) -> Result<JsonAnswer<FillRequestsAnswer>, ApiError> {
    let (open, now) = (app.fill_requests(&act.ask).await?, app.clock().now());
    let fill_requests = open.iter().map(|request| FillRequest::of(request, now)).collect();
    Ok(JsonAnswer(FillRequestsAnswer { fill_requests }))
}

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "Stripe", "service_slug": "stripe", "env_var_keys": ["STRIPE_API_KEY"],
    "note": "to send the invoices of November"}))]
struct CreateFillRequest {
    /// What the secret is to be called. Need not be unique.
    #[serde(deserialize_with = "values::secret_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: SecretName,
    /// What its values are to be called.
    #[schema(schema_with = values::asked_described)]
    env_var_keys: Vec<Parsed<EnvKey>>,
    /// Which service it is for.
    #[serde(default, deserialize_with = "values::service_slug")]
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 64, pattern = "^[^\\u0000]*$")]
    service_slug: Option<ServiceSlug>,
    /// What for: whoever opens the link reads it beside your name.
    #[serde(default, deserialize_with = "note")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 512, pattern = "^[^\\u0000]*$")]
    note: Option<FillNote>,
    /// How long it can be filled in, in seconds.
    #[serde(default = "usually", deserialize_with = "expires_in")]
    #[schema(minimum = 60, maximum = 604_800, default = 86_400)]
    expires_in: u32,
}

fn usually() -> u32 {
    USUALLY_SECONDS
}

fn expires_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(deserializer).ok().filter(|seconds| VALID_SECONDS.contains(seconds));
    seconds.ok_or_else(|| de::Error::custom("must be a whole number of seconds from 60 to 604800"))
}

fn note<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FillNote>, D::Error> {
    parsed(deserializer, FillNote::parse).map(Some)
}

impl From<CreateFillRequest> for NewFillRequest {
    fn from(new: CreateFillRequest) -> Self {
        Self {
            name: new.name,
            service_slug: new.service_slug,
            env_keys: new.env_var_keys.into_iter().map(|Parsed(key)| key).collect(),
            note: new.note,
            valid_seconds: new.expires_in,
        }
    }
}

/// Ask a person to fill in a secret
///
/// With an API key, or with a run's token. Send the person the link: they see who asks and what for, sign in, and fill the
/// values in, as a new secret of the team's or, when they are the asker themselves, of their own. A secret of the team's
/// needs somebody with the role manager. You learn that it was done, and no value. At most 20 of your requests are open at
/// a time.
#[utoipa::path(post, path = "/v2/teams/{teamId}/fill-requests", operation_id = "createFillRequest", tag = "Fill requests",
    params(("teamId" = String, Path, description = "The team of your API key, or of the run", format = Uuid)),
    request_body = CreateFillRequest, security(("bearerAuth" = []), ("runToken" = [])),
    responses((status = 201, description = "The request, and its link", body = NewRequest,
        headers(("etag" = String, description = "The request's state"))), Refused, ChangeRefused, BodyRefused))]
async fn create_fill_request(
    State(app): State<Arc<App>>,
    act: Act,
    found: Found,
    Json(new): Json<CreateFillRequest>,
) -> Result<Response, ApiError> {
    let (new, now) = (new.into(), app.clock().now());
    let plan = || app.request_fill(&act.ask, &new);
    act.retrying(&app, plan, |(request, token)| created(&act, (request, now), found.link(token))).await
}

fn created(act: &Act, (request, now): (&Proven<StoredRequest>, Timestamp), link: String) -> Answer {
    let body = NewRequest { request: FillRequest::of(request, now), url: (!act.dry_run).then_some(link) };
    Answer::new(StatusCode::CREATED, &body).tagged(request.mac()).showing_token_of(request.id.uuid())
}

/// See what came of a request
///
/// Of yours, with the role manager of anybody's in the team; with a run's token, of what that run asked for. Told for 30
/// days after it was over.
#[utoipa::path(get, path = "/v2/teams/{teamId}/fill-requests/{requestId}", operation_id = "getFillRequest",
    tag = "Fill requests", security(("bearerAuth" = []), ("runToken" = [])),
    params(("teamId" = String, Path, description = "The team of your API key, or of the run", format = Uuid),
        ("requestId" = String, Path, description = "The request", format = Uuid)),
    responses((status = 200, description = "The request", body = FillRequest,
        headers(("etag" = String, description = "The request's state"))), Refused, Absent))]
async fn get_fill_request(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<FillRequestId>,
) -> Result<Response, ApiError> {
    let request = app.fill_request(&act.ask, id).await?;
    Ok(shown(request.mac(), &FillRequest::of(&request, app.clock().now())))
}

/// Withdraw a request
///
/// It can't be filled in from this answer on. One that is over is not found: filled in, withdrawn, or expired. Yours, or
/// with the role manager anybody's in the team.
#[utoipa::path(delete, path = "/v2/teams/{teamId}/fill-requests/{requestId}", operation_id = "cancelFillRequest",
    tag = "Fill requests",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid),
        ("requestId" = String, Path, description = "The request", format = Uuid)),
    responses((status = 200, description = "Withdrawn", body = Success), Refused, Absent, ChangeRefused))]
async fn cancel_fill_request(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<FillRequestId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.cancel_fill_request(&act.ask, id), |()| Success::answer()).await
}
