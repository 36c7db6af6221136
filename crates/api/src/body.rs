//! From a request to a parsed body: the type, the size, the JSON, the fields.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use strongroom_net::BodyError;

use crate::error::ApiError;
use crate::json;

/// A body of JSON, parsed into the operation's own type.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(&request) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send the body as JSON, with the header `Content-Type: application/json`",
            ));
        }
        let bytes = read(request.into_body()).await?;
        json::parse(&bytes).map(Self).map_err(Into::into)
    }
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

async fn read(body: Body) -> Result<Bytes, ApiError> {
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
