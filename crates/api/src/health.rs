//! Whether the process lives, and whether it can serve.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use strongroom_core::{App, app};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, Error};
use crate::shared::Shared;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(readiness))
}

/// That all is well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`; anything else is an error.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Does it live?
///
/// Asks nobody else.
#[utoipa::path(get, path = "/healthz", operation_id = "health", tag = "Operation", security(()),
    responses((status = 200, description = "It lives", body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Can it serve?
///
/// The database answers.
#[utoipa::path(get, path = "/readyz", operation_id = "readiness", tag = "Operation", security(()),
    responses(
        (status = 200, description = "It can serve", body = Health),
        (status = 503, description = "It can't serve now", body = Error),
    ))]
async fn readiness(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    app.ready().await.map_err(app::Error::from)?;
    Ok(Json(Health { status: "ok" }))
}
