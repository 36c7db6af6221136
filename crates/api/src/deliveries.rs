//! What runs received, on the wire: versions and the names of values, seen
//! from the run or from the secret. Never a value.

use axum::Json as JsonAnswer;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use strongroom_core::runs::Delivery as StoredDelivery;
use strongroom_core::{App, RunId, SecretId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::Act;
use crate::error::{Absent, ApiError, Refused};
use crate::path::OnPath;
use crate::shared::Shared;
use crate::timestamps;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list_deliveries)).routes(routes!(list_secret_runs))
}

/// That a run received values of a secret, seen from the run.
#[derive(Serialize, ToSchema)]
struct Delivery {
    /// The secret.
    #[schema(format = Uuid)]
    credential_id: String,
    /// Which of its versions.
    version: u32,
    /// The names of the values that were received.
    #[schema(example = json!(["STRIPE_API_KEY"]))]
    env_var_keys: Vec<String>,
    /// When they were received first.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:57.000Z")]
    delivered_at: Timestamp,
}

/// The answer about what a run received.
#[derive(Serialize, ToSchema)]
struct DeliveriesAnswer {
    deliveries: Vec<Delivery>,
}

impl From<&StoredDelivery> for Delivery {
    fn from(delivery: &StoredDelivery) -> Self {
        Self {
            credential_id: delivery.secret_id.to_string(),
            version: delivery.version,
            env_var_keys: delivery.env_keys.iter().map(ToString::to_string).collect(),
            delivered_at: delivery.at,
        }
    }
}

/// See what a run received
///
/// Which versions of which secrets, and the names of the values. Never values. Others' runs need the role manager. Needs
/// the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/runs/{runId}/deliveries", operation_id = "listDeliveries", tag = "Runs",
    params(("runId" = String, Path, description = "The run", format = Uuid)),
    responses((status = 200, description = "What it received", body = DeliveriesAnswer), Refused, Absent))]
async fn list_deliveries(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<RunId>,
) -> Result<JsonAnswer<DeliveriesAnswer>, ApiError> {
    let deliveries = app.deliveries(&act.ask, id).await?;
    Ok(JsonAnswer(DeliveriesAnswer { deliveries: deliveries.iter().map(Delivery::from).collect() }))
}

/// That a run received values of a secret, seen from the secret.
#[derive(Serialize, ToSchema)]
struct SecretRun {
    /// The run.
    #[schema(format = Uuid)]
    run_id: String,
    /// Which of the secret's versions.
    version: u32,
    /// The names of the values that were received.
    #[schema(example = json!(["STRIPE_API_KEY"]))]
    env_var_keys: Vec<String>,
    /// When they were received first.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:57.000Z")]
    delivered_at: Timestamp,
}

/// The answer about the runs that received a secret.
#[derive(Serialize, ToSchema)]
struct SecretRunsAnswer {
    runs: Vec<SecretRun>,
}

impl From<&StoredDelivery> for SecretRun {
    fn from(delivery: &StoredDelivery) -> Self {
        Self {
            run_id: delivery.run_id.to_string(),
            version: delivery.version,
            env_var_keys: delivery.env_keys.iter().map(ToString::to_string).collect(),
            delivered_at: delivery.at,
        }
    }
}

/// See which runs received a secret
///
/// By version, at most 1,000: which runs, and the names of the values that they received. Never values. Whoever sees the
/// secret sees this. Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/credentials/{id}/runs", operation_id = "listSecretRuns", tag = "Runs",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "The runs", body = SecretRunsAnswer), Refused, Absent))]
async fn list_secret_runs(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
) -> Result<JsonAnswer<SecretRunsAnswer>, ApiError> {
    let deliveries = app.secret_runs(&act.ask, id).await?;
    Ok(JsonAnswer(SecretRunsAnswer { runs: deliveries.iter().map(SecretRun::from).collect() }))
}
