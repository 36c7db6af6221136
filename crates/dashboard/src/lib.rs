//! The pages for people: what they do with an instance in a browser, and the
//! documentation. Written on the server, and whole without a script; what a
//! script adds is convenience. Rules are the core's: a page asks for nothing
//! that a caller may not have, and shows no value.

mod account;
mod acts;
mod agents;
mod api_keys;
mod assets;
mod audit;
mod browser;
mod catalog;
mod chart;
mod confirm;
mod desk;
mod docs;
mod fill;
mod forms;
mod headers;
mod invitation;
mod layout;
mod members;
mod overview;
mod parts;
mod policy;
mod refusal;
mod requests;
mod runs;
mod secret;
mod secrets;
mod set_up;
mod settings;
mod sign_in;
mod visit;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use std::sync::Arc;
use strongroom_core::App;
use strongroom_net::Address;

use crate::desk::Desk;
use crate::docs::Docs;
use crate::refusal::Refusal;

/// The documentation of the API that this describes (OpenAPI 3.1, as JSON): under
/// `/docs`, at `/llms.txt`, and what all pages need under `/assets`.
pub fn documentation<S: Clone + Send + Sync + 'static>(
    description: fn() -> &'static str,
    address: &Address,
) -> Router<S> {
    Docs::new(description, address).routes().merge(assets::routes()).layer(map_response(headers::add))
}

/// What the server's operator has set, as far as people are told of it.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many requests each key or run may make in a minute; 0: as many as it likes.
    pub requests_per_minute: u32,
    /// How many days deleted secrets and teams can be brought back.
    pub retention_days: u32,
}

/// The pages of an instance, and what people are told who look for one that there isn't.
pub fn desk<S: Clone + Send + Sync + 'static>(app: Arc<App>, address: &Address, terms: Terms) -> Router<S> {
    let desk = Arc::new(Desk::new(app, address.clone(), terms));
    Router::new()
        .merge(sign_in::routes())
        .merge(overview::routes())
        .merge(settings::routes())
        .merge(set_up::routes())
        .merge(invitation::routes())
        .merge(account::routes())
        .merge(secrets::routes())
        .merge(secret::routes())
        .merge(policy::routes())
        .merge(agents::routes())
        .merge(runs::routes())
        .merge(api_keys::routes())
        .merge(members::routes())
        .merge(requests::routes())
        .merge(fill::routes())
        .merge(audit::routes())
        .fallback(async || Refusal::absent())
        .layer(from_fn_with_state(Arc::clone(&desk), refusal::shown))
        .layer(map_response(headers::add))
        .with_state(desk)
}
