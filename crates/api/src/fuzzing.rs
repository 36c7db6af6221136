//! What the fuzzer gets to call; compiled for it only.

use crate::error::ApiError;
use crate::json::{self, Unknown};
use crate::secrets::CreateSecret;

/// Parses the body of a create, down to the domain.
pub fn create_secret(body: &[u8]) {
    for unknown in [Unknown::Ignored, Unknown::Refused] {
        match json::parse::<CreateSecret>(body, unknown) {
            Ok(parsed) => drop(parsed.into_new()),
            Err(refused) => drop(ApiError::from(refused)),
        }
    }
}
