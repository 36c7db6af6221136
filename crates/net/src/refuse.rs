//! The answers that the front makes itself. Their texts are fixed: no piece of
//! what a client sent is ever in one.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::request_id::{RequestId, X_REQUEST_ID};

/// Why the front answers instead of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What arrived is not one unambiguous HTTP request.
    Invalid,
    /// Plain HTTP arrived where TLS is spoken.
    PlainHttp,
    /// Two headers of a trusted proxy name different callers.
    TwoOrigins,
    /// The announced body is longer than allowed.
    BodyTooLarge,
    /// The request target is longer than allowed.
    UriTooLong,
    /// The head has more lines or bytes than allowed.
    HeadTooLarge,
    /// There are as many connections as allowed.
    TooManyConnections,
    /// The service took longer than a request may.
    Overdue,
    /// The service panicked.
    Internal,
}

impl Refusal {
    /// What a bare answer of the HTTP library means, by its status.
    pub(crate) fn from_status(status: &[u8]) -> Self {
        match status {
            b"414" => Self::UriTooLong,
            b"431" => Self::HeadTooLarge,
            _ => Self::Invalid,
        }
    }

    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::PlainHttp | Self::TwoOrigins => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooManyConnections | Self::Overdue => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code and the message of the answer.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Invalid => {
                ("invalid_request", "the request is not well-formed HTTP; check its request line and headers")
            }
            Self::PlainHttp => {
                ("invalid_request", "this address speaks HTTPS only; begin its URL with https://")
            }
            Self::TwoOrigins => (
                "invalid_request",
                "X-Forwarded-For and Forwarded name different callers; have your proxy set one and remove the other",
            ),
            Self::BodyTooLarge => {
                ("too_large", "the body is longer than this service accepts; send less at a time")
            }
            Self::UriTooLong => (
                "uri_too_long",
                "the request target is longer than this service accepts; shorten the path or the query",
            ),
            Self::HeadTooLarge => (
                "headers_too_large",
                "the request has more or longer headers than this service accepts; send fewer of them",
            ),
            Self::TooManyConnections => {
                ("unavailable", "too many connections are open; close idle ones and try again after a second")
            }
            Self::Overdue => ("unavailable", "the service could not answer in time; try again in a moment"),
            Self::Internal => (
                "internal",
                "the service failed to answer; try again, and report the x-request-id if it happens again",
            ),
        }
    }

    /// The envelope, `{"error": …, "message": …}`.
    fn json(self) -> String {
        let (error, message) = self.words();
        format!(r#"{{"error":"{error}","message":"{message}"}}"#)
    }

    /// The answer as the service would give it.
    pub(crate) fn response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.json()));
        *response.status_mut() = self.status();
        self.headers(response.headers_mut());
        response
    }

    /// The answer as it crosses the wire, for a connection on which no service
    /// can answer any more; `date` is a whole header line, or nothing.
    pub(crate) fn raw(self, id: RequestId, date: &[u8]) -> Bytes {
        let (status, json) = (self.status(), self.json());
        let mut headers = HeaderMap::new();
        self.headers(&mut headers);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(X_REQUEST_ID, id.header());
        let mut raw = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", json.len()).into_bytes();
        raw.extend_from_slice(date);
        for (name, value) in &headers {
            raw.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        raw.extend_from_slice(&[b"\r\n", json.as_bytes()].concat());
        raw.into()
    }

    /// The headers of the answer, but for those about its length, its id and the
    /// connection.
    fn headers(self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
}
