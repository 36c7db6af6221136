//! From a request to a parsed body: the type, the size, the JSON, the fields.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use strongroom_net::BodyError;

use crate::conditions;
use crate::error::ApiError;
use crate::json::{self, Unknown};

/// A body of JSON, read into the operation's own type.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(request).await.map(Self)
    }
}

async fn parse<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    if !is_json(&request) || !is_plain(&request) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the body as JSON, not compressed, with the header `Content-Type: application/json`",
        ));
    }
    let strict = conditions::is_strict(request.headers());
    let unknown = if strict { Unknown::Refused } else { Unknown::Ignored };
    let bytes = read(request.into_body()).await?;
    json::parse(&bytes, unknown).map_err(Into::into)
}

/// Whether the body is as it is, without an encoding of its own.
fn is_plain(request: &Request) -> bool {
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether the one content type is `application/json`, in UTF-8 if it says.
fn is_json(request: &Request) -> bool {
    let mut types = request.headers().get_all(header::CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next(), types.next()) else { return false };
    let mut pieces = first.to_str().unwrap_or_default().split(';').map(str::trim);
    let essence = pieces.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && pieces.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// Reads a body whole.
///
/// # Errors
/// When it is too large, or doesn't arrive.
pub(crate) async fn read(body: Body) -> Result<Bytes, ApiError> {
    // The front bounds the body; this second bound is never the one that is met.
    axum::body::to_bytes(body, usize::MAX).await.map_err(|error| {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = source {
            if let Some(body) = error.downcast_ref::<BodyError>() {
                return refusal(*body);
            }
            source = error.source();
        }
        ApiError::invalid("the body could not be read; send it again")
    })
}

fn refusal(error: BodyError) -> ApiError {
    match error {
        BodyError::TooLarge => ApiError::too_large("a body has at most 2 MiB; send less at a time"),
        _ => ApiError::invalid("the body did not arrive whole and in time; send it again"),
    }
}
