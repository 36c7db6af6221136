//! Calls by gRPC: their clients look for a status in headers or trailers, and take an answer that
//! has none for a broken one. So a refusal has one here, with the same words.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use percent_encoding::utf8_percent_encode;

use crate::body::{BackBody, BoxError, own};
use crate::exchange::Exchange;
use crate::redact::IN_MESSAGES;
use crate::refuse::Refusal;

/// How whoever asks is told of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// By a status of HTTP and a body.
    Http,
    /// By a status of gRPC and its message.
    Grpc,
}

impl Asker {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let is_call = match kind.split_at_checked(GRPC.len()) {
            Some((start, rest)) => {
                start.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest, [] | [b'+' | b';', ..])
            }
            None => false,
        };
        if is_call && request.version() == Version::HTTP_2 { Self::Grpc } else { Self::Http }
    }

    /// The answer to a request that goes no further.
    pub(crate) fn refused(self, refusal: &Refusal) -> Response<BackBody> {
        if self == Self::Http {
            return refusal.answer().map(own);
        }
        // A head that is the end as well: with another status of HTTP some clients look at nothing else.
        let mut answer = Response::new(own(Bytes::new()));
        let headers = answer.headers_mut();
        headers.extend(ending(refusal));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    /// An answer of which it is told, too, if it is stopped on its way.
    pub(crate) fn answered(self, answer: Response<BackBody>, exchange: Arc<Exchange>) -> Response<BackBody> {
        match self {
            Self::Http => answer,
            Self::Grpc => answer.map(|body| Ending { body, exchange, has_ended: false }.boxed_unsync()),
        }
    }
}

/// The media type of a call; what follows it says how its messages are written.
const GRPC: &str = "application/grpc";

/// What a call ends with that was refused.
fn ending(refusal: &Refusal) -> HeaderMap {
    let message = format!("{}: {}", refusal.name(), refusal.message());
    let message = utf8_percent_encode(&message, IN_MESSAGES).to_string();
    let mut ending = HeaderMap::new();
    ending.insert(HeaderName::from_static("grpc-status"), code(refusal).into());
    if let Ok(message) = HeaderValue::try_from(message) {
        ending.insert(HeaderName::from_static("grpc-message"), message);
    }
    ending
}

/// The status of gRPC (statuscodes.md) that says what the one of HTTP does.
fn code(refusal: &Refusal) -> u16 {
    match (refusal, refusal.status()) {
        // The call was made: nobody is to try again by themselves.
        (Refusal::Unreadable, _) => 13,
        (_, StatusCode::FORBIDDEN) => 7,
        (_, StatusCode::PROXY_AUTHENTICATION_REQUIRED) => 16,
        (_, StatusCode::TOO_MANY_REQUESTS) => 8,
        (_, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE) => 14,
        _ => 3,
    }
}

/// The body of an answer that ends with why it was stopped, if it was.
struct Ending {
    body: BackBody,
    exchange: Arc<Exchange>,
    has_ended: bool,
}

impl Body for Ending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if !matches!(frame, Some(Err(_))) {
            return Poll::Ready(frame);
        }
        self.has_ended = true;
        let stopped = self.exchange.stopped();
        Poll::Ready(stopped.map_or(frame, |refusal| Some(Ok(Frame::trailers(ending(&refusal))))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_is_one() {
        for (kind, version, expected) in [
            ("application/grpc", Version::HTTP_2, Asker::Grpc),
            ("Application/gRPC+proto", Version::HTTP_2, Asker::Grpc),
            ("application/grpc;charset=utf-8", Version::HTTP_2, Asker::Grpc),
            ("application/grpc", Version::HTTP_11, Asker::Http),
            ("application/grpc-web", Version::HTTP_2, Asker::Http),
            ("application/json", Version::HTTP_2, Asker::Http),
            ("", Version::HTTP_2, Asker::Http),
        ] {
            let request = Request::post("https://a.example/").version(version).header(CONTENT_TYPE, kind);
            assert_eq!(Asker::of(&request.body(()).unwrap()), expected, "{kind} {version:?}");
        }
    }

    #[test]
    fn each_status_has_its_like() {
        for (refusal, expected) in [
            (Refusal::MISPLACED_IN_BODY, "7"),
            (Refusal::RunOver, "16"),
            (Refusal::Limit("bytes"), "8"),
            (Refusal::Upstream("it took too long"), "14"),
            (Refusal::Unavailable, "14"),
            (Refusal::Unreadable, "13"),
            (Refusal::Unsupported("TRACE"), "3"),
            (Refusal::Mismatch, "3"),
        ] {
            let ending = ending(&refusal);
            assert_eq!(ending["grpc-status"], expected, "{refusal:?}");
            let message = ending["grpc-message"].to_str().unwrap();
            assert!(message.starts_with(&format!("{}: ", refusal.name())), "{message}");
        }
    }
}
