//! A body from which values are taken as it is read. It holds no more than one piece
//! and what may be the beginning of a value, and that not for long.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Bytes;
use strongroom_core::scanner::{CHANCE, HELD, HIDDEN_LATE, Redactor};
use tokio::time::Sleep;

use super::recoding::{Recoding, TURN};
use super::{Redaction, Unreadable};

/// How long the end of a stream that is the beginning of a value by chance is held in silence.
const SHORT: Duration = Duration::from_millis(20);
/// From this length on what a part of something ends with leaves as stars.
const HIDDEN_IN_PART: usize = 4;

/// How a body ends that can't be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken<E> {
    /// The origin's body failed.
    #[error("the answer broke off")]
    Origin(#[source] E),
    /// What came can't be looked into, so nothing more of it leaves.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// How long to wait in silence for what follows behind this many bytes that a value
/// begins with.
pub(crate) fn patience(begun: usize) -> Duration {
    if begun < CHANCE { SHORT } else { HELD }
}

/// Lets go of what was held for too long.
pub(crate) fn release_late(redactor: &mut Redactor, output: &mut Vec<u8>) {
    redactor.release(HIDDEN_LATE, output);
}

/// A body without the values. Pieces, trailers and, where nothing is encoded anew,
/// lengths are the origin's; it is read only as fast as this is.
pub struct Redacted<B> {
    source: Source<B>,
    redaction: Redaction,
    work: Work,
    /// What leaves next.
    ready: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    waiting: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
}

/// Where the body comes from.
struct Source<B> {
    /// All of it, if it was read before.
    read: Option<Bytes>,
    trailers: Option<HeaderMap>,
    body: Option<B>,
}

enum Work {
    None,
    Plain { redactor: Box<Redactor>, is_part: bool },
    Recode(Box<Recoding>),
}

impl<B> Redacted<B> {
    pub(super) fn untouched(body: B, redaction: Redaction) -> Self {
        Self::new(Source { read: None, trailers: None, body: Some(body) }, redaction, Work::None)
    }

    pub(super) fn plain(body: B, redaction: Redaction, is_part: bool) -> Self {
        let redactor = Box::new(redaction.redactor(is_part));
        let source = Source { read: None, trailers: None, body: Some(body) };
        Self::new(source, redaction, Work::Plain { redactor, is_part })
    }

    pub(super) fn recoded(body: B, redaction: Redaction, recoding: Recoding) -> Self {
        let source = Source { read: None, trailers: None, body: Some(body) };
        Self::new(source, redaction, Work::Recode(Box::new(recoding)))
    }

    /// Of a body that was read to its end.
    pub(super) fn read(
        bytes: Bytes,
        trailers: Option<HeaderMap>,
        redaction: Redaction,
        recoding: Option<Recoding>,
    ) -> Self {
        let work = recoding.map_or(Work::None, |recoding| Work::Recode(Box::new(recoding)));
        Self::new(Source { read: Some(bytes), trailers, body: None }, redaction, work)
    }

    fn new(source: Source<B>, redaction: Redaction, work: Work) -> Self {
        let (ready, trailers) = (VecDeque::new(), None);
        Self { source, redaction, work, ready, trailers, waiting: None, has_ended: false }
    }

    /// Works on what was taken in, and says whether some of it may be left.
    fn go_on(&mut self) -> Result<bool, Unreadable> {
        let Work::Recode(recoding) = &mut self.work else { return Ok(false) };
        for _ in 0..TURN {
            match recoding.step()? {
                None => return Ok(false),
                Some(piece) if piece.is_empty() => {}
                Some(piece) => {
                    self.ready.push_back(piece.into());
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        self.waiting = None;
        match frame.into_data() {
            Ok(piece) => self.take_piece(piece),
            Err(frame) => {
                let mut trailers = frame.into_trailers().ok();
                if let Some(trailers) = &mut trailers {
                    self.redaction.headers(trailers);
                }
                self.trailers = trailers;
            }
        }
    }

    fn take_piece(&mut self, piece: Bytes) {
        match &mut self.work {
            Work::None => self.ready.push_back(piece),
            Work::Recode(recoding) => recoding.feed(piece),
            Work::Plain { redactor, .. } => {
                let mut redacted = Vec::new();
                let passed = redactor.pass(&piece, &mut redacted);
                let both = [piece.slice(..passed), redacted.into()];
                self.ready.extend(both.into_iter().filter(|piece| !piece.is_empty()));
            }
        }
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        let rest = match &mut self.work {
            Work::None => Vec::new(),
            Work::Recode(recoding) => recoding.end()?,
            Work::Plain { redactor, is_part } => {
                let mut rest = Vec::new();
                redactor.release(if *is_part { HIDDEN_IN_PART } else { usize::MAX }, &mut rest);
                rest
            }
        };
        self.leave(rest);
        Ok(())
    }

    /// Nothing follows for now: lets go of what only waits for company, and sooner or
    /// later of what may be the beginning of a value.
    fn pause(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unreadable>> {
        if let Work::Recode(recoding) = &mut self.work {
            let rest = recoding.pause()?;
            self.leave(rest);
        }
        let redactor = match &self.work {
            Work::Plain { redactor, .. } => redactor,
            Work::Recode(recoding) => recoding.redactor(),
            Work::None => return Poll::Pending,
        };
        if !self.ready.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if redactor.held() == 0 {
            return Poll::Pending;
        }
        let begun = redactor.begun().max(redactor.held());
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience(begun))));
        ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(self.release())
    }

    fn release(&mut self) -> Result<(), Unreadable> {
        let mut late = Vec::new();
        match &mut self.work {
            Work::None => {}
            Work::Plain { redactor, .. } => release_late(redactor, &mut late),
            Work::Recode(recoding) => late = recoding.release(HIDDEN_LATE)?,
        }
        self.leave(late);
        Ok(())
    }

    fn leave(&mut self, piece: Vec<u8>) {
        if !piece.is_empty() {
            self.ready.push_back(piece.into());
        }
    }

    /// How many bytes are here, if they leave with the length that they came with.
    fn held(&self) -> Option<u64> {
        let held = match &self.work {
            Work::None => 0,
            Work::Plain { redactor, .. } => redactor.held(),
            Work::Recode(_) => return None,
        };
        let ready: usize = self.ready.iter().map(Bytes::len).sum();
        u64::try_from(held + ready).ok()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Redacted<B> {
    /// What leaves next, but for trailers. Not ready with nothing while it waits.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken<B::Error>>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            if self.go_on()? {
                if self.ready.is_empty() {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            match self.source.poll(context) {
                Poll::Ready(Some(Ok(frame))) => self.take(frame),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Broken::Origin(error)))),
                Poll::Ready(None) => {
                    self.has_ended = true;
                    self.end()?;
                }
                Poll::Pending => ready!(self.pause(context))?,
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Source<B> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(read) = self.read.take().filter(|read| !read.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_read = self.read.as_ref().is_none_or(Bytes::is_empty) && self.trailers.is_none();
        is_read && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.as_ref().map_or(0, Bytes::len).try_into().unwrap_or(u64::MAX);
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(read), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Redacted<B> {
    type Data = Bytes;
    type Error = Broken<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = ready!(self.poll_piece(context));
        if let Some(Err(_)) = polled {
            // What was taken in since is not to be trusted.
            self.has_ended = true;
            self.ready.clear();
            self.trailers = None;
        }
        let trailers = |trailers| Ok(Frame::trailers(trailers));
        Poll::Ready(match polled {
            Some(piece) => Some(piece.map(Frame::data)),
            None => self.trailers.take().map(trailers),
        })
    }

    fn is_end_stream(&self) -> bool {
        let is_empty = self.ready.is_empty() && self.trailers.is_none();
        is_empty && (self.has_ended || (matches!(self.work, Work::None) && self.source.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        let Some(held) = self.held() else { return SizeHint::default() };
        let source = self.source.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(source.lower().saturating_add(held));
        if let Some(upper) = source.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}
