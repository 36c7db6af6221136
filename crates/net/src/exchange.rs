//! One request and its answer: what the service is given, what it may not take
//! longer than, and what every answer carries.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::time::sleep_until;
use tower::{Service, ServiceExt};

use crate::body::{Answer, Body};
use crate::limits::Limits;
use crate::link::Link;
use crate::refuse::Refusal;
use crate::request_id::{CallerAddr, PeerAddr, RequestId, X_REQUEST_ID};

/// Has the service answer a request of HTTP/1.1, or answers for it. The
/// connection tells when its time is up.
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
        serve(&link, service, request, id).await
    } else {
        Err(Refusal::Invalid)
    };
    // A body that wasn't waited for is not part of a later request: end here.
    let last = answer.is_err() || (has_body && !link.body_arrived());
    let mut response = finish(link, answer, id);
    if last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Has the service answer a request of HTTP/2, in its own time, or answers for it.
pub(crate) async fn exchange_in_stream<S, B>(
    link: Link,
    service: S,
    request: Request<Incoming>,
) -> Result<Response<Answer<B>>, Infallible>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let link = Arc::new(link);
    let id = (link.server.request_ids)();
    let request = request.map(|incoming| Body::new(incoming, &link));
    let answer = match screen(&request, link.limits()) {
        Ok(()) => serve_in_time(&link, service, request, id).await,
        Err(refusal) => Err(refusal),
    };
    Ok(finish(link, answer, id))
}

async fn serve_in_time<S, B>(
    link: &Link,
    service: S,
    request: Request<Body>,
    id: RequestId,
) -> Result<Response<B>, Refusal>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut serving = pin!(serve(link, service, request, id));
    tokio::select! {
        biased;
        answer = serving.as_mut() => return answer,
        () = sleep_until(link.deadline()) => link.time_is_up(),
    }
    tokio::select! {
        biased;
        answer = serving => answer,
        () = sleep_until(link.deadline()) => Err(Refusal::Overdue),
    }
}

/// Waits for the service as long as a request may take.
async fn serve<S, B>(
    link: &Link,
    service: S,
    mut request: Request<Body>,
    id: RequestId,
) -> Result<Response<B>, Refusal>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    admit(&mut request, id, link)?;
    let mut answer = pin!(service.oneshot(request));
    std::future::poll_fn(|cx| match poll_unwinding(answer.as_mut(), cx)? {
        Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
        // One that waits for its body is about to hear that it waits in vain.
        Poll::Pending if link.is_overdue() && !link.body_waits() => Poll::Ready(Err(Refusal::Overdue)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Adds what the service is told beside the request.
fn admit(request: &mut Request<Body>, id: RequestId, link: &Link) -> Result<(), Refusal> {
    let caller = link.server.proxies.caller(link.peer.ip(), request.headers())?;
    let extensions = request.extensions_mut();
    extensions.insert(id);
    extensions.insert(PeerAddr(link.peer));
    extensions.insert(CallerAddr(caller));
    Ok(())
}

/// Polls what may panic. In builds that abort on a panic this costs nothing
/// and catches nothing.
fn poll_unwinding<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Result<Poll<F::Output>, Refusal> {
    catch_unwind(AssertUnwindSafe(|| future.poll(cx))).map_err(|_| Refusal::Internal)
}

fn finish<B>(link: Arc<Link>, answer: Result<Response<B>, Refusal>, id: RequestId) -> Response<Answer<B>> {
    link.answer();
    let mut response = match answer {
        Ok(response) => response.map(|body| Answer::service(body, link)),
        Err(refusal) => refuse(refusal, id, link),
    };
    response.headers_mut().insert(X_REQUEST_ID, id.header());
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

/// Holds a head of HTTP/2 to the limits; one of HTTP/1.1 is screened as it arrives.
fn screen<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let headers = request.headers();
    let url = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if url > limits.max_url {
        return Err(Refusal::UriTooLong);
    }
    if headers.len() > limits.max_headers || url + size(headers) > limits.max_head {
        return Err(Refusal::HeadTooLarge);
    }
    if !host_is_one(request) || !target_is_clear(request) {
        return Err(Refusal::Invalid);
    }
    match one(headers, &CONTENT_LENGTH)?.map(|length| length.to_str().unwrap_or_default().parse::<u64>()) {
        None => Ok(()),
        Some(Ok(length)) if length <= limits.max_body => Ok(()),
        Some(Ok(_)) => Err(Refusal::BodyTooLarge),
        Some(Err(_)) => Err(Refusal::Invalid),
    }
}

/// The size of a header list, in bytes, as clients are told to reckon it (RFC
/// 9113 §6.5.2).
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

/// The value of a header that a request has once at most.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Refusal::Invalid),
    }
}

/// Whether a request of HTTP/2 names one host, and no user there (RFC 9113 §8.3.1).
fn host_is_one<B>(request: &Request<B>) -> bool {
    match (request.uri().authority(), one(request.headers(), &HOST)) {
        (Some(authority), Ok(_)) => !authority.as_str().contains('@'),
        (None, Ok(host)) => host.is_some(),
        (_, Err(_)) => false,
    }
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
