//! The socket as the HTTP library sees it: heads are screened on the way in,
//! and on the way out the library's bare error answers become ours. Ending a
//! connection includes taking in what the client is still sending, so that it
//! gets to read the last answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::head::{Screen, Violation};
use crate::link::{Link, Phase};
use crate::refuse::Refusal;

/// What the library reads in place of bytes that the screen refused: malformed
/// wherever in a head it comes, and an end of the head for a parser that looks
/// for that first. It makes the library answer the requests before the bad one,
/// then with an error of its own, then end.
const POISON: &[u8] = b"\0\n\n";

/// One client's socket.
pub(crate) struct Wire<T> {
    stream: T,
    link: Arc<Link>,
    screen: Screen,
    /// The screen's last word, and what the library still has to read of
    /// [`POISON`].
    violation: Option<(Refusal, &'static [u8])>,
    /// Our answer in place of the library's, as far as it isn't written.
    own: Option<Bytes>,
    eof: bool,
    end: End,
}

/// How far the ending of a connection has come.
enum End {
    No,
    /// Nothing more is sent; so many more bytes may be taken in.
    Draining(u64),
    Done,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    pub(crate) fn new(stream: T, link: Arc<Link>) -> Self {
        let screen = Screen::new(link.limits());
        Self { stream, link, screen, violation: None, own: None, eof: false, end: End::No }
    }

    /// Screens what was read after the first `old` bytes of the buffer.
    fn screen(&mut self, buffer: &mut ReadBuf<'_>, old: usize) {
        let fresh = buffer.filled().get(old..).unwrap_or_default();
        self.eof = fresh.is_empty();
        match self.screen.read(fresh) {
            Ok(heads) => self.link.read(heads, self.head_is_open(), self.screen.bodies_arrived()),
            Err(violation) => self.poison(buffer, old, &violation),
        }
    }

    fn poison(&mut self, buffer: &mut ReadBuf<'_>, old: usize, violation: &Violation) {
        tracing::debug!(net.peer = %self.link.peer, net.refusal = ?violation.refusal, "net.request.refused");
        self.link.read(violation.heads, true, true);
        buffer.set_filled(old + violation.good);
        self.violation = Some((violation.refusal, POISON));
        self.read_poison(buffer);
    }

    /// Gives the library as much of [`POISON`] as there is room for.
    fn read_poison(&mut self, buffer: &mut ReadBuf<'_>) {
        let Some((_, poison)) = &mut self.violation else { return };
        let (given, rest) = poison.split_at(buffer.remaining().min(poison.len()));
        buffer.put_slice(given);
        *poison = rest;
    }

    fn head_is_open(&self) -> bool {
        self.screen.bodies_arrived() && !self.screen.between_requests()
    }

    /// Whether what the library writes now is an error answer of its own.
    fn library_speaks(&self) -> bool {
        self.own.is_some() || !self.link.service_owns_writes()
    }

    /// Makes our answer of the library's, `head`.
    fn speak_instead(&mut self, head: &[u8]) {
        if self.own.is_none() && !head.is_empty() {
            let bare = Refusal::from_status(head.get(9..12).unwrap_or_default());
            let refusal = self.violation.map_or(bare, |(refusal, _)| refusal);
            let id = (self.link.server.request_ids)();
            self.own = Some(refusal.raw(id, date(head)));
        }
    }

    fn poll_write_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(own) = self.own.as_mut().filter(|own| !own.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, own))?;
            own.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client may be sending more than was read, so that closing
    /// now would reset the connection under its eyes.
    fn client_may_be_sending(&self) -> bool {
        let clean = self.screen.between_requests() && !self.link.requests_wait();
        !self.eof && (self.violation.is_some() || !clean)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, mut left: u64) -> Poll<io::Result<()>> {
        let mut bytes = [0; 8 * 1024];
        while left > 0 {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            left = match buffer.filled().len() {
                0 => 0,
                read => left.saturating_sub(read as u64),
            };
            self.end = End::Draining(left);
        }
        self.end = End::Done;
        Poll::Ready(Ok(()))
    }
}

/// The `date` line of an answer's head; only the library tells that time.
fn date(head: &[u8]) -> &[u8] {
    head.split_inclusive(|byte| *byte == b'\n').find(|line| line.starts_with(b"date: ")).unwrap_or_default()
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.violation {
            // The library's answer is under way; nothing that comes now counts.
            Some((_, [])) => return Poll::Pending,
            Some(_) => self.read_poison(buffer),
            None => {
                let old = buffer.filled().len();
                ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
                self.screen(buffer, old);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.library_speaks() {
            self.speak_instead(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.library_speaks() {
            self.speak_instead(slices.first().map_or(&[], |slice| slice));
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_own(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.link.flushed(self.head_is_open());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let End::No = self.end {
            ready!(self.as_mut().poll_flush(cx))?;
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            let left = if self.client_may_be_sending() { self.link.limits().drain_bytes } else { 0 };
            self.link.enter(Phase::Closing);
            self.end = End::Draining(left);
        }
        match self.end {
            End::Draining(left) => self.poll_drain(cx, left),
            End::No | End::Done => Poll::Ready(Ok(())),
        }
    }
}
