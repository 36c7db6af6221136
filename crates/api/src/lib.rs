//! The public HTTP API: routes, wire types and their description. One file a
//! noun. Handlers hold no rules: they parse, call [`App`], and answer.

mod auth;
mod body;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod json;
mod lists;
mod metrics;
mod observe;
mod openapi;
mod path;
mod secrets;
mod timestamps;

use axum::middleware;
use axum::routing::get;
use axum::{Extension, Router};
use std::sync::Arc;
use strongroom_core::App;
use utoipa_axum::router::OpenApiRouter;

use lists::Lists;
use metrics::Metrics;

pub use openapi::document;

/// What is served: two routers, each for a listener of its own.
pub struct Api {
    /// The operations.
    pub operations: Router,
    /// `GET /metrics`, for whoever watches the server and nobody else.
    pub metrics: Router,
}

impl Api {
    /// The API of this instance.
    pub fn new(app: Arc<App>) -> Self {
        let metrics = Arc::new(Metrics::new(Arc::clone(&app)));
        let (operations, _) = operations().split_for_parts();
        let operations = operations
            .route("/openapi.json", get(openapi::serve))
            .fallback(error::no_such_path)
            .method_not_allowed_fallback(error::no_such_method)
            .layer(Extension(Lists::new()))
            .layer(middleware::from_fn_with_state(Arc::clone(&metrics), observe::observe))
            .with_state(app);
        let metrics = Router::new()
            .route("/metrics", get(metrics::serve))
            .fallback(error::no_such_path)
            .method_not_allowed_fallback(error::no_such_method)
            .with_state(metrics);
        Self { operations, metrics }
    }
}

/// The operations, each with its description: what isn't described isn't served.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame()).merge(secrets::routes()).merge(health::routes())
}
