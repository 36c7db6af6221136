//! Where a request carries its token.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::error::ApiError;

/// The token of the one `Authorization: Bearer …` header.
pub(crate) fn bearer(parts: &Parts) -> Result<&str, ApiError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next().ok_or_else(|| {
        ApiError::invalid_token("send your API key in the header `Authorization: Bearer <key>`")
    })?;
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    if headers.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::invalid_token(
            "send one header `Authorization: Bearer <key>`, and no other kind",
        ));
    }
    Ok(token.trim_matches(' '))
}
