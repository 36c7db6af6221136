//! What a front serves, as bounds that are said once.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower::Service;

use crate::body::Body;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A service that answers requests with bodies of this kind. It isn't to be
/// implemented: whatever fits, is one.
pub trait Callee<B>:
    Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S, B> Callee<B> for S where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// A body that a service answers with. It isn't to be implemented: whatever
/// fits, is one.
pub trait AnswerBody: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static {}

impl<B> AnswerBody for B where B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static {}
