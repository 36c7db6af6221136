//! The headers and parameters by which a caller says how a request is to be
//! taken: `If-Match`, `Idempotency-Key`, `dry_run`, `Prefer`.

use axum::http::Uri;
use axum::http::header::{HeaderMap, HeaderName, IF_MATCH};
use axum::http::request::Parts;
use strongroom_core::access::Action;
use strongroom_core::tags::{Condition, Tag};

use crate::error::ApiError;
use crate::query;

/// Names a request that may come again.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest name of one.
const LONGEST: usize = 255;

/// Asks that nothing be done.
pub(crate) const DRY_RUN: &str = "dry_run";

/// What must hold of the object (RFC 9110 §13.1.1).
///
/// # Errors
/// When the header can't be read, or this has no object for it to hold of: it
/// would be done whatever the condition says.
pub(crate) fn if_match(headers: &HeaderMap, action: Action) -> Result<Option<Condition>, ApiError> {
    let condition = read_if_match(headers)?;
    if condition.is_some() && !action.is_conditional() {
        return Err(ApiError::invalid(
            "`If-Match` means nothing here, since this changes no object whose `ETag` you could know; nothing was \
             done, send it without",
        ));
    }
    Ok(condition)
}

fn read_if_match(headers: &HeaderMap) -> Result<Option<Condition>, ApiError> {
    let refused = || ApiError::invalid("`If-Match` must be *, or entity tags as an `ETag` has them: \"…\"");
    let mut tags = Vec::new();
    let mut values = headers.get_all(IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    for value in values {
        let value = value.to_str().map_err(|_| refused())?.trim();
        if value == "*" {
            return Ok(Some(Condition::Exists));
        }
        for tag in value.split(',').map(str::trim) {
            let opaque =
                tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let opaque = opaque.ok_or_else(refused)?;
            // A weak tag, or one that isn't ours, matches nothing.
            tags.extend(Tag::parse(opaque).filter(|_| !tag.starts_with("W/")));
        }
    }
    Ok(Some(Condition::IsOneOf(tags)))
}

/// The name of a request that may come again: 1 to 255 visible characters of
/// ASCII, in quotes or not.
///
/// # Errors
/// When there are several, or it is none.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let value = value.to_str().unwrap_or_default();
    let key = value.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(value);
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if values.next().is_some() || key.is_empty() || key.len() > LONGEST || !plain {
        return Err(ApiError::invalid(
            "`Idempotency-Key` must be one header of 1 to 255 visible ASCII characters, such as a UUID",
        ));
    }
    Ok(Some(key.to_owned()))
}

/// Whether nothing is to be done.
///
/// # Errors
/// When it is neither yes nor no.
pub(crate) fn dry_run(parts: &Parts) -> Result<bool, ApiError> {
    match query::value(&parts.uri, DRY_RUN)?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::invalid("`dry_run` in the query must be true or false; nothing was done")),
    }
}

/// Whether the caller wants refused what nobody knows: fields of a body and
/// parameters in the query (RFC 7240, `Prefer: handling=strict`).
pub(crate) fn is_strict(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all("prefer").iter().filter_map(|header| header.to_str().ok());
    preferences.flat_map(|header| header.split(',')).any(|preference| {
        // What stands behind a semicolon are parameters of the preference.
        let named = preference.split(';').next().unwrap_or_default();
        let (name, value) = named.split_once('=').unwrap_or_default();
        name.trim().eq_ignore_ascii_case("handling")
            && value.trim().trim_matches('"').eq_ignore_ascii_case("strict")
    })
}

/// Refuses parameters in the query that an operation doesn't have, without
/// repeating them.
///
/// # Errors
/// When there is one.
pub(crate) fn known_parameters(uri: &Uri, known: &[String]) -> Result<(), ApiError> {
    let query = uri.query().unwrap_or_default().as_bytes();
    if form_urlencoded::parse(query).all(|(name, _)| known.iter().any(|known| *known == name)) {
        return Ok(());
    }
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(ApiError::invalid(format!(
        "the query has a parameter that is not known here, and `Prefer: handling=strict` refuses those; known: {known}"
    )))
}
