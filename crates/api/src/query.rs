//! Parameters in the query of a URL: each stands once, and what can't be read
//! is refused by its name.

use axum::http::Uri;
use std::str::FromStr;

use crate::error::ApiError;

/// Objects on a page, when the caller doesn't say.
const USUALLY: u32 = 50;

/// The text of a parameter, if it is there.
///
/// # Errors
/// When it stands twice.
pub(crate) fn value(uri: &Uri, name: &'static str) -> Result<Option<String>, ApiError> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut found = form_urlencoded::parse(query).filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    match found.next() {
        Some(_) => Err(ApiError::invalid(format!("`{name}` stands twice in the query"))),
        None => Ok(value),
    }
}

/// A parameter, through its parser; `expected` completes the sentence
/// "`name` in the query must be …".
///
/// # Errors
/// When it stands twice or can't be read.
pub(crate) fn parsed<T>(
    uri: &Uri,
    name: &'static str,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let refused = || ApiError::invalid(format!("`{name}` in the query must be {expected}"));
    value(uri, name)?.map(|text| parse(&text).ok_or_else(refused)).transpose()
}

/// A whole number in bounds.
///
/// # Errors
/// When it stands twice or is none.
pub(crate) fn number<T: FromStr + PartialOrd>(
    uri: &Uri,
    name: &'static str,
    expected: &'static str,
    bounds: std::ops::RangeInclusive<T>,
) -> Result<Option<T>, ApiError> {
    parsed(uri, name, expected, |text| text.parse().ok().filter(|number| bounds.contains(number)))
}

/// The value of a `Link` to the same with these parameters in the place of what they were.
pub(crate) fn next(uri: &Uri, parameters: &[(&str, String)]) -> String {
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut link = form_urlencoded::Serializer::new(String::new());
    let stays = |name: &str| parameters.iter().all(|(new, _)| *new != name);
    link.extend_pairs(form_urlencoded::parse(query).filter(|(name, _)| stays(name)));
    link.extend_pairs(parameters);
    format!("<{}?{}>; rel=\"next\"", uri.path(), link.finish())
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50, required = false)]
    pub(crate) limit: u32,
    /// Leave out so many from the start.
    #[param(minimum = 0, maximum = 2_147_483_647, default = 0, required = false)]
    pub(crate) offset: u32,
}

impl Page {
    /// # Errors
    /// When a number stands twice or is none.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let offset = number(uri, "offset", "a number from 0 to 2147483647", 0..=2_147_483_647)?;
        let limit = number(uri, "limit", "a number from 1 to 200", 1..=200)?;
        Ok(Self { limit: limit.unwrap_or(USUALLY), offset: offset.unwrap_or_default() })
    }

    /// The same, as the core counts: how many to leave out, and how many at most.
    pub(crate) fn bounds(self) -> (usize, usize) {
        (self.offset as usize, self.limit as usize)
    }
}

/// Text to look for: 1 to 128 characters without NUL.
///
/// # Errors
/// When it stands twice or is too long.
pub(crate) fn search(uri: &Uri) -> Result<Option<String>, ApiError> {
    let short = |text: &str| {
        let length = text.chars().take(129).count();
        ((1..=128).contains(&length) && !text.contains('\0')).then(|| text.to_owned())
    };
    parsed(uri, "search", "1 to 128 characters without NUL", short)
}
