//! The public HTTP API: routes, wire types and their description. One file a
//! noun. Handlers hold no rules: they parse, call [`App`], and answer.

mod accept;
mod act;
mod agents;
mod api_keys;
mod attachments;
mod audit;
mod auth;
mod body;
mod conditions;
mod deliveries;
mod dotenv;
mod environment;
mod error;
mod events;
mod fill_requests;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod grants;
mod health;
mod json;
mod key_links;
mod lists;
mod members;
mod metrics;
mod observe;
mod openapi;
mod panic;
mod path;
mod policies;
mod profile;
mod query;
mod rate;
mod requests;
mod revisions;
mod runs;
mod secrets;
mod shared;
mod teams;
mod timestamps;
mod values;
mod versions;

use axum::middleware;
use axum::routing::get;
use axum::{Extension, Router};
use std::sync::Arc;
use strongroom_core::App;
use strongroom_net::Address;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use gate::Gate;
use lists::Lists;
use metrics::Metrics;
use observe::Observer;
use openapi::Served;
use shared::Shared;

pub use openapi::document;

/// What is served: two routers, each for a listener of its own.
pub struct Api {
    /// The operations.
    pub operations: Router,
    /// `GET /metrics`, for whoever watches the server and nobody else.
    pub metrics: Router,
}

impl Api {
    /// The API of this instance, where each key or run may make so many requests
    /// a minute (0: as many as it likes), and which clients find at this address.
    /// Beside it these pages are served, which ask for no token; their fallback is what
    /// people are told who look for what there isn't.
    pub fn new(app: Arc<App>, requests_per_minute: u32, address: Address, pages: Router<Arc<App>>) -> Self {
        let metrics = Arc::new(Metrics::new(Arc::clone(&app)));
        let (gated, description) = gated().split_for_parts();
        let gate = Arc::new(Gate::new(Arc::clone(&app), &description, requests_per_minute));
        let served = Arc::new(Served::new(address.clone()));
        let (open, _) = open().split_for_parts();
        let operations = gated
            .route_layer(middleware::from_fn_with_state(gate, gate::gate))
            .merge(open)
            .merge(pages.with_state(Arc::clone(&app)))
            .route("/openapi.json", get(openapi::serve).layer(Extension(served)))
            .method_not_allowed_fallback(error::no_such_method)
            .layer(middleware::from_fn_with_state(Observer::new(Arc::clone(&metrics)), observe::observe))
            .with_state(Shared { app, lists: Lists::new(), address: Arc::new(address) });
        let metrics = Router::new()
            .route("/metrics", get(metrics::serve))
            .fallback(error::no_such_path)
            .method_not_allowed_fallback(error::no_such_method)
            .with_state(metrics);
        Self { operations, metrics }
    }
}

/// The operations that ask for a token, each with its description: what isn't
/// described isn't let through the gate.
fn gated() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(secrets::routes())
        .merge(versions::routes())
        .merge(policies::routes())
        .merge(profile::routes())
        .merge(teams::routes())
        .merge(members::routes())
        .merge(api_keys::routes())
        .merge(key_links::routes())
        .merge(agents::routes())
        .merge(revisions::routes())
        .merge(attachments::routes())
        .merge(environment::routes())
        .merge(runs::routes())
        .merge(deliveries::routes())
        .merge(requests::routes())
        .merge(panic::routes())
        .merge(fill_requests::routes())
        .merge(events::routes())
        .merge(audit::routes())
}

/// The operations that ask for no token.
fn open() -> OpenApiRouter<Shared> {
    health::routes().merge(audit::open_routes())
}

/// What all operations are, in words for programs.
fn description() -> OpenApi {
    let (_, mut description) = gated().split_for_parts();
    description = openapi::complete(description);
    description.merge(open().split_for_parts().1);
    description
}
