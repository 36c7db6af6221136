//! What every answer gets: no caching of anything, a count, and one log line
//! when it is the server's fault. Never a header or a body in a log.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use strongroom_core::{LogLimit, with_causes};
use strongroom_net::RequestId;

use crate::error::{self, Cause};
use crate::metrics::Metrics;

/// What looks at every answer.
pub(crate) struct Observer {
    metrics: Arc<Metrics>,
    failures: LogLimit,
}

impl Observer {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics, failures: LogLimit::default() })
    }
}

/// Middleware around every operation.
pub(crate) async fn observe(State(observer): State<Arc<Observer>>, request: Request, next: Next) -> Response {
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let request_id = request.extensions().get().copied().map(RequestId::uuid).map(tracing::field::display);
    let mut response = match route {
        None if is_by_program(&request) => error::no_such_path(request.uri().clone()).await.into_response(),
        _ => next.run(request).await,
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    observer.metrics.answered(response.status());
    let status = response.status().as_u16();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        if let Some(unlogged) = observer.failures.one_more() {
            let (cause, unlogged) = (with_causes(&*cause), unlogged.told());
            tracing::error!(request_id, method, route, status, cause, unlogged, "request.failed");
        }
    } else {
        tracing::debug!(request_id, method, route, status, "request.answered");
    }
    response
}

/// Whether whoever asks for a path that isn't there is no person, whom the pages tell so.
fn is_by_program(request: &Request) -> bool {
    let kinds = request.headers().get(ACCEPT).and_then(|kinds| kinds.to_str().ok());
    !kinds.is_some_and(|kinds| kinds.contains("text/html"))
}

/// A method for the log: any other word may be a piece of something else that
/// a confused client sent.
fn known(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
