//! The public HTTP API: routes, wire types and their description. One file a
//! noun. Handlers hold no rules: they parse, call [`App`], and answer.

mod auth;
mod body;
mod error;
mod health;
mod json;
mod observe;
mod openapi;
mod path;
mod secrets;
mod timestamps;

use axum::Router;
use axum::middleware;
use std::sync::Arc;
use strongroom_core::App;
use utoipa_axum::router::OpenApiRouter;

pub use openapi::document;

/// Everything under one router, ready to be served.
pub fn router(app: Arc<App>) -> Router {
    let (operations, _) = operations().split_for_parts();
    operations
        .route("/openapi.json", axum::routing::get(openapi::serve))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(middleware::from_fn(observe::observe))
        .with_state(app)
}

/// The operations, each with its description: what isn't described isn't served.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame()).merge(secrets::routes()).merge(health::routes())
}
