//! One request and its answer: what the service is given, what it may not take
//! longer than, and what every answer carries.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tower::{Service, ServiceExt};

use crate::body::{Answer, Body};
use crate::link::Link;
use crate::refuse::Refusal;
use crate::request_id::{PeerAddr, RequestId, X_REQUEST_ID};

/// Has the service answer a request, or answers for it.
pub(crate) async fn exchange<S, B>(
    link: Arc<Link>,
    service: S,
    request: Request<Incoming>,
) -> Result<Response<Answer<B>>, Infallible>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    link.call();
    let id = (link.server.request_ids)();
    let request = request.map(|incoming| Body::new(incoming, &link));
    let has_body = !http_body::Body::is_end_stream(request.body());
    let answer = if target_is_clear(&request) {
        serve(&link, service, admit(request, id, &link)).await
    } else {
        Err(Refusal::Invalid)
    };
    // A body that wasn't waited for is not part of a later request: end here.
    let last = has_body && !link.body_arrived();
    Ok(finish(link, answer, id, last))
}

/// The request as the service gets it.
fn admit(mut request: Request<Body>, id: RequestId, link: &Link) -> Request<Body> {
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(PeerAddr(link.peer));
    request
}

/// Waits for the service as long as a request may take.
async fn serve<S, B>(link: &Link, service: S, request: Request<Body>) -> Result<Response<B>, Refusal>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut answer = pin!(service.oneshot(request));
    std::future::poll_fn(|cx| match poll_unwinding(answer.as_mut(), cx)? {
        Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
        // One that waits for its body is about to hear that it waits in vain.
        Poll::Pending if link.is_overdue() && !link.body_waits() => Poll::Ready(Err(Refusal::Overdue)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Polls what may panic. In builds that abort on a panic this costs nothing
/// and catches nothing.
fn poll_unwinding<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Result<Poll<F::Output>, Refusal> {
    catch_unwind(AssertUnwindSafe(|| future.poll(cx))).map_err(|_| Refusal::Internal)
}

fn finish<B>(
    link: Arc<Link>,
    answer: Result<Response<B>, Refusal>,
    id: RequestId,
    last: bool,
) -> Response<Answer<B>> {
    link.answer();
    let mut response = match answer {
        Ok(response) => response.map(|body| Answer::service(body, link)),
        Err(refusal) => refuse(refusal, id, link),
    };
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id.header());
    if last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn refuse<B>(refusal: Refusal, id: RequestId, link: Arc<Link>) -> Response<Answer<B>> {
    if refusal == Refusal::Internal {
        tracing::error!(net.request_id = %id, "net.service.panicked");
    } else {
        tracing::debug!(net.request_id = %id, net.refusal = ?refusal, "net.request.refused");
    }
    refusal.response().map(|body: Bytes| Answer::own(body, link))
}

/// Whether the request target has a form that an origin server is sent
/// (RFC 9112 §3.2) and names the same host as the `host` header.
fn target_is_clear<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    match (uri.scheme(), uri.authority()) {
        (None, None) => path_is_clear(request.method(), uri.path()),
        (Some(scheme), Some(authority)) => is_http(scheme) && is_host(authority, request),
        _ => false,
    }
}

fn path_is_clear(method: &Method, path: &str) -> bool {
    let whole_server = path == "*" && method == Method::OPTIONS;
    method != Method::CONNECT && (path.starts_with('/') || whole_server)
}

fn is_http(scheme: &Scheme) -> bool {
    *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS
}

/// Of a target in absolute form: HTTP/1.0 has it without a `host` header, too.
fn is_host<B>(authority: &Authority, request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let same = host.is_none_or(|host| authority.as_str().as_bytes().eq_ignore_ascii_case(host));
    same && request.method() != Method::CONNECT
}
