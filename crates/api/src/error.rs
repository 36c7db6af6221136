//! The one table from errors to statuses, and the envelope of every error:
//! `{"error": "<code>", "message": "<what to do about it>"}`. No message holds
//! a piece of the request.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use strongroom_core::access::Denied;
use strongroom_core::app;
use strongroom_core::store::StoreError;
use strongroom_core::text::Invalid;
use strongroom_core::values::BundleError;
use utoipa::{IntoResponses, ToSchema};

/// What every error looks like.
#[derive(Serialize, ToSchema)]
pub(crate) struct Error {
    /// A stable short code.
    #[schema(example = "invalid_request")]
    error: &'static str,
    /// What to do about it.
    #[schema(value_type = String, example = "`name`: must be 1 to 128 characters without NUL")]
    message: Cow<'static, str>,
}

/// What any operation may answer instead of doing its work.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; ApiError makes them")]
pub(crate) enum Refused {
    /// The request is malformed; the message says where
    #[response(status = 400)]
    Malformed(Error),
    /// There is no valid API key in it
    #[response(status = 401, headers(("www-authenticate" = String)))]
    NotProven(Error),
    /// Not allowed: by role, by the key's scope, or in another team
    #[response(status = 403)]
    Forbidden(Error),
    /// Something is wrong here; the operator finds it by the answer's `x-request-id`
    #[response(status = 500)]
    Broken(Error),
    /// It can't be done now; nothing was done
    #[response(status = 503)]
    Unavailable(Error),
}

/// What an operation on one object may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; ApiError makes them")]
pub(crate) enum Absent {
    /// There is no such object, or it isn't yours to see
    #[response(status = 404)]
    Absent(Error),
}

/// What an operation with a body may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; ApiError makes them")]
pub(crate) enum BodyRefused {
    /// There is too much in it
    #[response(status = 413)]
    TooLarge(Error),
    /// The body isn't JSON
    #[response(status = 415)]
    NotJson(Error),
}

/// An error on its way to the caller, its cause on the way to the log.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    cause: Option<Arc<app::Error>>,
}

/// The cause of a 5xx, for [`crate::observe`] to log beside the request's id.
#[derive(Clone)]
pub(crate) struct Cause(pub(crate) Arc<app::Error>);

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), cause: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(crate) fn invalid_token(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", message)
    }

    fn caused(self, cause: app::Error) -> Self {
        Self { cause: Some(Arc::new(cause)), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = axum::Json(Error { error: self.code, message: self.message });
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl From<app::Error> for ApiError {
    fn from(error: app::Error) -> Self {
        match error {
            app::Error::NotProven => Self::invalid_token(
                "this API key is not valid here: mistyped, expired or revoked; check it, or ask for a new one",
            ),
            app::Error::Denied(denied) => denied.into(),
            app::Error::Integrity(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "integrity_violation",
                "a stored record is not what was stored; the operator finds it with `strongroom doctor`",
            )
            .caused(error),
            app::Error::Store(StoreError::StalePermit) => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "the rights of your key changed while the request was under way; nothing was done, send it again",
            ),
            app::Error::Store(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the database can't do this now; nothing was done, try again in a moment",
            )
            .caused(error),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Invisible => Self::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such object, or it is not yours to see; check the id",
            ),
            Denied::Scope(_) => Self::new(StatusCode::FORBIDDEN, "insufficient_scope", denied.to_string()),
            Denied::Role(_) | Denied::OtherTeam => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", denied.to_string())
            }
        }
    }
}

impl From<BundleError> for ApiError {
    fn from(error: BundleError) -> Self {
        let message = format!("`values`: {error}");
        match error {
            BundleError::Repeated(_) => Self::invalid(message),
            BundleError::TooManyKeys | BundleError::TooManyBytes => Self::too_large(message),
        }
    }
}

/// A part of the path that isn't an id.
pub(crate) fn malformed_id(name: &'static str, invalid: Invalid) -> ApiError {
    ApiError::invalid(format!("`{name}` in the path {invalid}"))
}

/// No operation has this path.
pub(crate) async fn no_such_path(_: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "no operation has this path; /openapi.json describes those that exist",
    )
}

/// The path exists, but not with this method; `allow` is set by the router.
pub(crate) async fn no_such_method(_: Method) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path has no such method; the `allow` header lists those that it has",
    )
}
