//! `strongroom openapi`: prints the description of the HTTP API.

use crate::failure::Failure;
use crate::output;

pub(super) fn run() -> Result<(), Failure> {
    Ok(output::answer(strongroom_api::document())?)
}
