//! Bodies on their way in and out: a request's, counted and timed, and an
//! answer's, whose end is noted.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::link::Link;

/// A request's body, as the service reads it: at most
/// [`max_body`](crate::Limits::max_body) bytes, none after the request's time
/// is up, no trailers. After an error it has ended.
pub struct Body(Option<Arriving>);

/// The body of a request that has one.
struct Arriving {
    incoming: Incoming,
    /// Bytes that may still come.
    left: u64,
    link: Arc<Link>,
}

/// Why a request's body can't be had whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than [`max_body`](crate::Limits::max_body). Answer 413.
    TooLarge,
    /// It wasn't whole when the request's time was up. Answer 400, at once.
    TimedOut,
    /// Its chunks are malformed. Answer 400.
    Malformed,
    /// The client left; there is nobody to answer.
    Disconnected,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, link: &Arc<Link>) -> Self {
        if HttpBody::is_end_stream(&incoming) {
            return Self(None);
        }
        Self(Some(Arriving { incoming, left: link.limits().max_body, link: Arc::clone(link) }))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(arriving) = &mut self.0 else { return Poll::Ready(None) };
        let data = ready!(arriving.poll_data(cx));
        if !matches!(data, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|arriving| arriving.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |arriving| arriving.incoming.size_hint())
    }
}

impl Arriving {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.link.is_overdue() {
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            return self.wait(cx);
        };
        self.link.stop_waiting_for_body();
        Poll::Ready(match frame {
            Some(Ok(frame)) => frame.into_data().ok().map(|data| self.count(data)),
            Some(Err(error)) => Some(Err(BodyError::from(&error))),
            None => None,
        })
    }

    fn wait(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.link.wait_for_body(cx.waker());
        // The time may have come to be up on another thread meanwhile.
        if self.link.is_overdue() { Poll::Ready(Some(Err(BodyError::TimedOut))) } else { Poll::Pending }
    }

    fn count(&mut self, data: Bytes) -> Result<Bytes, BodyError> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or(BodyError::TooLarge)?;
        Ok(data)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.link.stop_waiting_for_body();
    }
}

impl From<&hyper::Error> for BodyError {
    fn from(error: &hyper::Error) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        match cause.map(std::io::Error::kind) {
            Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) => Self::Malformed,
            _ => Self::Disconnected,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is longer than allowed",
            Self::TimedOut => "the body did not arrive in time",
            Self::Malformed => "the body's chunks are malformed",
            Self::Disconnected => "the client left before its body was whole",
        })
    }
}

impl Error for BodyError {}

/// An answer's body: the service's, or one of the front's own.
pub(crate) struct Answer<B> {
    content: Content<B>,
    link: Arc<Link>,
}

enum Content<B> {
    Service(B),
    Own(Option<Bytes>),
}

impl<B> Answer<B> {
    pub(crate) fn service(body: B, link: Arc<Link>) -> Self {
        Self { content: Content::Service(body), link }
    }

    pub(crate) fn own(body: Bytes, link: Arc<Link>) -> Self {
        Self { content: Content::Own(Some(body)), link }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = match &mut self.content {
            Content::Service(body) => ready!(Pin::new(body).poll_frame(cx)),
            Content::Own(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
        };
        if !self.link.is_of_stream() {
            return Poll::Ready(frame);
        }
        let held = |bytes| Bytes::from_owner(Held { bytes, _link: Arc::clone(&self.link) });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(held))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Service(body) => body.is_end_stream(),
            Content::Own(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Service(body) => body.size_hint(),
            Content::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// A piece of an answer of HTTP/2. The library takes as many as there are and
/// lets go of each once it is written: till then the request is under way.
struct Held {
    bytes: Bytes,
    _link: Arc<Link>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The HTTP library drops a body as soon as it has buffered the last of it.
impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.link.end_answer();
    }
}
