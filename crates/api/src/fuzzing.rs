//! What the fuzzer gets to call; compiled for it only.

use axum::http::Request;
use strongroom_core::access::Action;

use crate::conditions;
use crate::error::ApiError;
use crate::json::{self, Unknown};
use crate::runs::StartRun;
use crate::secrets::{CreateSecret, Listing, UpdateSecret};

/// Parses the body of a create, down to the domain.
pub fn create_secret(body: &[u8]) {
    for unknown in [Unknown::Ignored, Unknown::Refused] {
        match json::parse::<CreateSecret>(body, unknown) {
            Ok(parsed) => drop(parsed.into_new()),
            Err(refused) => drop(ApiError::from(refused)),
        }
    }
}

/// Parses the body of an update, down to the domain.
pub fn update_secret(body: &[u8]) {
    for unknown in [Unknown::Ignored, Unknown::Refused] {
        match json::parse::<UpdateSecret>(body, unknown) {
            Ok(parsed) => drop(parsed.into_patch()),
            Err(refused) => drop(ApiError::from(refused)),
        }
    }
}

/// Parses the headers and the query by which a caller says how a change is to
/// be made: lines of a header's name, a colon and its value; the first line is
/// the query.
pub fn conditions(text: &str) {
    let mut lines = text.split('\n');
    let uri = format!("/v1/credentials?{}", lines.next().unwrap_or_default());
    let mut request = Request::builder().uri(uri);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    drop(conditions::if_match(&parts.headers, Action::UpdateSecret));
    drop(conditions::idempotency_key(&parts.headers));
    drop(conditions::dry_run(&parts));
    drop(conditions::known_parameters(&parts.uri, &[]));
    let _strict = conditions::is_strict(&parts.headers);
    drop(Listing::parse(&parts.uri));
}

/// Parses the body that starts a run, down to the domain.
pub fn start_run(body: &[u8]) {
    for unknown in [Unknown::Ignored, Unknown::Refused] {
        match json::parse::<StartRun>(body, unknown) {
            Ok(parsed) => drop(parsed.into_new()),
            Err(refused) => drop(ApiError::from(refused)),
        }
    }
}
