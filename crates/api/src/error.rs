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
use strongroom_core::runs::Ended;
use strongroom_core::store::StoreError;
use strongroom_core::text::Invalid;
use strongroom_core::values::BundleError;
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

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
    /// There is no valid API key in it, or what it asks for instead
    #[response(status = 401, headers(("www-authenticate" = String)))]
    NotProven(Error),
    /// Not allowed: by role, by the key's scope or networks, or in another team
    #[response(status = 403)]
    Forbidden(Error),
    /// More requests were made with the token than may be; `retry-after` says when to come again
    #[response(status = 429, headers(("retry-after" = u64)))]
    TooMany(Error),
    /// Something is wrong here; the operator finds it by the answer's `x-request-id`
    #[response(status = 500)]
    Broken(Error),
    /// It can't be done now; the message says whether something may have been done
    #[response(status = 503, headers(("retry-after" = u64)))]
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

/// What a change may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; ApiError makes them")]
pub(crate) enum ChangeRefused {
    /// `conflict`: the present state is in the way. `in_progress`: the same request is still under way. `already_done`:
    /// it was done, and its token shown once
    #[response(status = 409)]
    Conflict(Error),
    /// Another request had the same `Idempotency-Key`
    #[response(status = 422)]
    Mismatch(Error),
    /// The object isn't in the state that `If-Match` names
    #[response(status = 412)]
    Changed(Error),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(Error),
}

/// What an operation with a body may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; ApiError makes them")]
pub(crate) enum BodyRefused {
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
    passing: bool,
    /// The access table refused it: for the gate, which records that.
    denied: Option<Denied>,
}

/// Marks a refusal that another try may not get: it isn't the answer to keep.
#[derive(Clone, Copy)]
pub(crate) struct Passing;

/// The cause of a 5xx, for [`crate::observe`] to log beside the request's id.
#[derive(Clone)]
pub(crate) struct Cause(pub(crate) Arc<app::Error>);

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), cause: None, passing: false, denied: None }
    }

    fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The same, but trying again may help.
    fn passing(self) -> Self {
        Self { passing: true, ..self }
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            // A database that was restarted, or replaced by its standby, serves within seconds.
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        if self.passing {
            response.extensions_mut().insert(Passing);
        }
        if let Some(denied) = self.denied {
            response.extensions_mut().insert(denied);
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
                "this token is not valid here: mistyped, expired or revoked; check it, or ask for a new one",
            ),
            app::Error::RunOver(ended) => Self::new(StatusCode::UNAUTHORIZED, over(ended), error.to_string()),
            app::Error::Denied(denied) => denied.into(),
            app::Error::Integrity(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "integrity_violation",
                "a stored record is not what was stored; the operator finds it with `strongroom doctor`",
            )
            .caused(error),
            app::Error::Precondition => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "the object is not in the state that `If-Match` names; look at it again, then decide",
            ),
            app::Error::Invalid(message) => Self::invalid(message),
            app::Error::Bundle(error) => error.into(),
            app::Error::Conflict(message) => Self::conflict(message),
            app::Error::Collision(_) => Self::conflict(error.to_string()),
            app::Error::Store(StoreError::StalePermit) => Self::conflict(
                "the rights of your key changed while the request was under way; nothing was done, send it again",
            )
            .passing(),
            app::Error::Store(StoreError::Changed) => {
                Self::conflict("it changed while the request was under way; nothing was done, send it again").passing()
            }
            app::Error::Store(StoreError::Answered) => under_way(),
            app::Error::Store(StoreError::Exists) => Self::conflict("there is such an object already"),
            app::Error::Store(StoreError::Stopped) => Self::unavailable(
                "the database has stopped, and nobody knows whether this was done; when it serves again, \
                 look before you repeat it",
            )
            .caused(error),
            app::Error::Store(StoreError::Unsettled) => Self::unavailable(
                "the connection to the database broke, and it isn't known whether this was done; send it again \
                 with the same Idempotency-Key, or look before you repeat it",
            )
            .caused(error),
            app::Error::Store(_) => {
                Self::unavailable("the database can't do this now; nothing was done, try again in a moment")
                    .caused(error)
            }
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let refused = match denied {
            Denied::Invisible => Self::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such object, or it is not yours to see; check the id",
            ),
            Denied::Scope(_) => Self::new(StatusCode::FORBIDDEN, "insufficient_scope", denied.to_string()),
            Denied::Role(_)
            | Denied::OtherTeam
            | Denied::TeamDeleted
            | Denied::Agent
            | Denied::Address
            | Denied::Above(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", denied.to_string()),
        };
        Self { denied: Some(denied), ..refused }
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

/// The code that says why a run is over.
const fn over(ended: Ended) -> &'static str {
    match ended {
        Ended::Stopped => "run_stopped",
        Ended::Expired => "run_expired",
        Ended::Revoked => "run_revoked",
    }
}

/// It was done, but can't be told: the message says so where it would
/// otherwise say that nothing was.
pub(crate) fn untold(error: app::Error) -> ApiError {
    match error {
        app::Error::Store(_) => ApiError::unavailable(
            "this was done, but the database can't tell now what it came to; ask again in a moment, with a key that is good",
        )
        .caused(error),
        told => {
            let told = ApiError::from(told);
            ApiError { message: format!("this was done, but what it came to can't be told: {}", told.message).into(), ..told }
        }
    }
}

/// There is no row for it in the access table, so nobody may do it.
pub(crate) fn ungated() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "this operation can't be offered; tell the operator",
    )
}

/// More requests were made with a token than may be.
pub(crate) fn rate_limited() -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "too many requests were made with this token; wait for the seconds in `retry-after`",
    )
}

/// Another request had the same idempotency key.
pub(crate) fn idempotency_mismatch() -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_mismatch",
        "another request had this `Idempotency-Key`; nothing was done, send this one with a key of its own",
    )
    .passing()
}

/// The same request is being done.
pub(crate) fn under_way() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "in_progress",
        "the same request is still under way; send it again in a moment to get its answer",
    )
    .passing()
}

/// A request that showed a token once comes again. The token is gone.
pub(crate) fn already_done(id: Uuid) -> (StatusCode, Error) {
    let message = format!(
        "this was done, and its token shown once; the object's id is {id}, make another if you lost it"
    );
    let error = Error { error: "already_done", message: message.into() };
    (StatusCode::CONFLICT, error)
}

/// A kept answer can't be read.
pub(crate) fn unreadable_answer() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "this was answered before, but the answer can't be read any more; look at the object itself",
    )
}

/// An answer can't be put together.
pub(crate) fn unwritten() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the answer can't be put together; tell the operator",
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_has_stopped_does_not_say_that_nothing_was_done() {
        let stopped = ApiError::from(app::Error::Store(StoreError::Stopped));
        assert_eq!((stopped.status, stopped.code), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(!stopped.message.contains("nothing was done"), "{}", stopped.message);
        let unsettled = ApiError::from(app::Error::Store(StoreError::Unsettled));
        assert!(!unsettled.message.contains("nothing was done"), "{}", unsettled.message);
        let answer = unsettled.into_response();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        let busy = ApiError::from(app::Error::Store(StoreError::Unavailable("busy".into())));
        assert_eq!((busy.status, busy.code), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(busy.message.contains("nothing was done"), "{}", busy.message);
    }
}
