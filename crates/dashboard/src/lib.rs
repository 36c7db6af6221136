//! The pages for people: what they do with an instance in a browser, and the
//! documentation. Written on the server, and whole without a script; what a
//! script adds is convenience. Rules are the core's: a page asks for nothing
//! that a caller may not have, and shows no value.

mod account;
mod agents;
mod api_keys;
mod assets;
mod browser;
mod catalog;
mod desk;
mod docs;
mod forms;
mod headers;
mod invitation;
mod layout;
mod members;
mod parts;
mod refusal;
mod runs;
mod secret;
mod secrets;
mod set_up;
mod sign_in;
mod visit;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use std::sync::Arc;
use strongroom_core::App;

use crate::desk::Desk;
use crate::docs::Docs;

/// Where clients find the server, as far as pages must know.
#[derive(Clone, Default)]
pub struct Front {
    /// The URL that its operator named.
    pub public_url: Option<String>,
    /// Whether browsers reach it by TLS, so that its cookies go no other way.
    pub is_secure: bool,
}

/// The documentation of the API that this describes (OpenAPI 3.1, as JSON): under
/// `/docs`, at `/llms.txt`, and what all pages need under `/assets`.
pub fn documentation<S: Clone + Send + Sync + 'static>(
    description: fn() -> &'static str,
    front: &Front,
) -> Router<S> {
    Docs::new(description, front.public_url.clone())
        .routes()
        .merge(assets::routes())
        .layer(map_response(headers::add))
}

/// The pages of an instance.
pub fn desk<S: Clone + Send + Sync + 'static>(app: Arc<App>, front: &Front) -> Router<S> {
    let desk = Arc::new(Desk::new(app, front));
    Router::new()
        .merge(sign_in::routes())
        .merge(set_up::routes())
        .merge(invitation::routes())
        .merge(account::routes())
        .merge(secrets::routes())
        .merge(secret::routes())
        .merge(agents::routes())
        .merge(runs::routes())
        .merge(api_keys::routes())
        .merge(members::routes())
        .layer(from_fn_with_state(Arc::clone(&desk), refusal::shown))
        .layer(map_response(headers::add))
        .with_state(desk)
}

/// What stands before each path at this URL: clients may find the server under one.
fn base(public_url: &str) -> String {
    let behind_host = public_url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    behind_host.unwrap_or_default().trim_end_matches('/').to_owned()
}
