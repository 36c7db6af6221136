//! What runs asked for through the broker, on the wire: where it went and how much was said, never
//! what.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use strongroom_core::events::Recorded;
use strongroom_core::requests::RequestedText;
use strongroom_core::rows::Row;
use strongroom_core::secrets::Secret;
use strongroom_core::{App, RunId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::Act;
use crate::error::{Absent, ApiError, Refused};
use crate::events::Part;
use crate::path::OnPath;
use crate::shared::Shared;
use crate::{query, timestamps};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list_run_requests))
}

/// What a run asked for through the broker, and what came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Requested {
    /// Which rule of the secret's policy let its value in, counted from 0; null: none went in.
    #[schema(required)]
    rule: Option<u16>,
    /// `https` or `http`.
    #[schema(example = "https")]
    scheme: String,
    /// The host.
    #[schema(example = "api.example.com")]
    host: String,
    /// Its port.
    #[schema(example = 443)]
    port: u16,
    /// The method.
    #[schema(example = "POST")]
    method: String,
    /// The path, without the query; at most 512 characters of it.
    #[schema(example = "/v1/charges")]
    path: String,
    /// The status of the answer; null: there was none, or none yet.
    #[schema(required, example = 200)]
    status: Option<u16>,
    /// Bytes of the request's body.
    sent: u64,
    /// Bytes of the answer's body.
    received: u64,
    /// How long it took so far, in milliseconds.
    millis: u64,
    /// Why the broker refused it; null: it didn't.
    #[schema(required, example = json!(null))]
    refused: Option<String>,
    /// Whether it was over by then: one that takes long is told of when it begins, and again when it ends.
    ended: bool,
}

impl From<&RequestedText> for Requested {
    fn from(text: &RequestedText) -> Self {
        let requested = text.read();
        Self {
            rule: requested.rule,
            scheme: requested.scheme.into_owned(),
            host: requested.host.into_owned(),
            port: requested.port,
            method: requested.method.into_owned(),
            path: requested.path.into_owned(),
            status: requested.status,
            sent: requested.sent,
            received: requested.received,
            millis: requested.millis,
            refused: requested.refused.map(Cow::into_owned),
            ended: requested.ended,
        }
    }
}

/// A request of a run.
#[derive(Serialize, ToSchema)]
struct RunRequest {
    /// Its place in the record: what was recorded later has a higher one.
    sequence: i64,
    /// When that was so which is told of it.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:58.000Z")]
    at: Timestamp,
    /// Its id, the same when it is told of twice.
    #[schema(format = Uuid, required)]
    request_id: Option<String>,
    /// The secret of which a value went in; null: none did.
    #[schema(format = Uuid, required)]
    credential_id: Option<String>,
    /// Which of the secret's versions.
    #[schema(required)]
    version: Option<u32>,
    /// What was asked for, and what came of it.
    requested: Requested,
}

impl RunRequest {
    /// A request as it was recorded; `None` for an event that tells of none.
    fn of(event: &Recorded) -> Option<Self> {
        let secret = event.object_id.filter(|_| event.table == Secret::TABLE);
        Some(Self {
            sequence: event.sequence,
            at: event.at,
            request_id: event.request_id.map(|id| id.to_string()),
            credential_id: secret.map(|id| id.to_string()),
            version: event.version,
            requested: event.requested.as_ref()?.into(),
        })
    }
}

/// The answer about a run's requests.
#[derive(Serialize, ToSchema)]
struct RunRequestsAnswer {
    /// The newest first.
    data: Vec<RunRequest>,
    /// The `cursor` with which the list goes on; null at its end.
    #[schema(required, example = json!(null))]
    next: Option<i64>,
}

/// See what a run asked for through the broker
///
/// The newest first: where each request went, which secret's value went in, and what came of it. Never values, queries or
/// bodies. Others' runs need the role manager. Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/runs/{runId}/requests", operation_id = "listRunRequests", tag = "Runs",
    params(("runId" = String, Path, description = "The run", format = Uuid), Part),
    responses((status = 200, description = "Its requests", body = RunRequestsAnswer,
        headers(("link" = String, description = "Where the list goes on, if it does"))), Refused, Absent))]
async fn list_run_requests(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<RunId>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (cursor, limit) = Part::parse(&uri)?;
    let page = app.run_requests(&act.ask, id, cursor, limit).await?;
    let next = page.next.map(|next| [(LINK, query::next(&uri, &[("cursor", next.to_string())]))]);
    let data = page.events.iter().filter_map(RunRequest::of).collect();
    Ok((next, JsonAnswer(RunRequestsAnswer { data, next: page.next })).into_response())
}
