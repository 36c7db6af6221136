//! Bodies on their way: what a run's process sends is looked through for placeholders as it
//! streams by, and both ways are counted.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use strongroom_core::scanner::Finder;
use tokio::time::{Sleep, sleep};

use crate::exchange::Exchange;
use crate::known::{self, Strays};
use crate::refuse::Refusal;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that goes back to a run's process.
pub(crate) type BackBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of an answer of our own.
pub(crate) fn own(text: Bytes) -> BackBody {
    Full::new(text).map_err(|never| match never {}).boxed_unsync()
}

/// The request was stopped; why, its exchange knows.
#[derive(Debug, thiserror::Error)]
#[error("the broker stopped it")]
pub(crate) struct Stopped;

/// A body that goes out.
pub(crate) enum OutBody {
    /// As the run's process sends it.
    Watched(Watched),
    /// Whole, with values in it.
    Whole(Full<Bytes>),
}

/// A body in which no placeholder may be.
pub(crate) struct Watched {
    body: Incoming,
    placeholders: Arc<known::Finder>,
    /// Finds the run's own, also encoded.
    finder: Finder,
    /// Finds those of other runs.
    strays: Strays,
    exchange: Arc<Exchange>,
    /// Is there as long as this is, if anything is to come.
    here: Option<Arc<()>>,
}

impl Watched {
    pub(crate) fn new(body: Incoming, placeholders: Arc<known::Finder>, exchange: Arc<Exchange>) -> Self {
        let finder = placeholders.scanner().finder();
        let here = (!body.is_end_stream()).then(Arc::default);
        Self { body, placeholders, finder, strays: Strays::default(), exchange, here }
    }

    fn look(&mut self, frame: &Frame<Bytes>) -> Result<(), Refusal> {
        if let Some(data) = frame.data_ref() {
            self.exchange.sent(data.len())?;
            if self.finder.push(data) {
                return Err(Refusal::MISPLACED_IN_BODY);
            }
            if self.strays.push(&self.placeholders, data) {
                return Err(Refusal::OfAnotherRun);
            }
        }
        let trailers = frame.trailers_ref().into_iter().flatten();
        let mut texts = trailers.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
        let finder = &self.placeholders;
        if texts.any(|text| finder.scanner().finds(text) || finder.first(text).is_some()) {
            Err(Refusal::MISPLACED_IN_BODY)
        } else {
            Ok(())
        }
    }
}

impl OutBody {
    /// Is gone when all of it was taken from the run's process.
    pub(crate) fn end(&self) -> Weak<()> {
        match self {
            Self::Watched(Watched { here: Some(here), .. }) => Arc::downgrade(here),
            _ => Weak::new(),
        }
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Watched(watched) => {
                let Some(frame) = ready!(Pin::new(&mut watched.body).poll_frame(cx)) else {
                    return Poll::Ready(None);
                };
                let frame = frame?;
                if let Err(refusal) = watched.look(&frame) {
                    watched.exchange.stop(refusal);
                    return Poll::Ready(Some(Err(Stopped.into())));
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Watched(watched) => watched.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Watched(watched) => watched.body.size_hint(),
        }
    }
}

/// A body that comes back as long as its run isn't over.
pub(crate) struct Until {
    body: BackBody,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Until {
    pub(crate) fn new(body: BackBody, over: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        Self { body, over }
    }
}

impl Body for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Stopped.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that comes back; with it ends what is told of its request.
pub(crate) struct Counted<B> {
    body: B,
    exchange: Arc<Exchange>,
}

impl<B> Counted<B> {
    pub(crate) fn new(body: B, exchange: Arc<Exchange>) -> Self {
        Self { body, exchange }
    }
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?;
        let count = frame.data_ref().map_or(0, Bytes::len);
        if let Err(refusal) = self.exchange.received(count) {
            self.exchange.stop(refusal);
            return Poll::Ready(Some(Err(Stopped.into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How long a body that broke off waits until it says so.
const PARTING: Duration = Duration::from_millis(100);

/// A body that breaks off a moment late. The library that writes it lets go of what it has not written yet, and
/// the head with it: by then it is written, unless its reader is slower than that.
pub(crate) struct Parting<B> {
    body: B,
    broke: Option<(BoxError, Pin<Box<Sleep>>)>,
}

impl<B> Parting<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, broke: None }
    }
}

impl<B> Body for Parting<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.broke.is_none() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Err(error)) => self.broke = Some((error, Box::pin(sleep(PARTING)))),
                frame => return Poll::Ready(frame),
            }
        }
        if let Some((_, moment)) = &mut self.broke {
            ready!(moment.as_mut().poll(cx));
        }
        Poll::Ready(self.broke.take().map(|(error, _)| Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.broke.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
