//! Counts the frames of an HTTP/2 connection as they stream past: pings,
//! settings, resets and whatever else asks for nothing. The library answers or
//! swallows each, however many there are; here they are few enough, or the
//! connection ends. Keeps nothing of what it reads but a frame's first bytes.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a client sends before its first frame (RFC 9113 §3.4); the library
/// looks whether it did.
const PREFACE: usize = 24;

/// What a frame begins with (RFC 9113 §4.1).
const HEAD: usize = 9;

/// Such frames are allowed a thousand a second: over 50 times what clients do
/// that keep time by pings and grant windows for each piece of an answer.
const EACH: Duration = Duration::from_millis(1);

/// Two thousand may come at once.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A reset takes back a request that may have cost as much as ten pings.
const OF_A_RESET: u32 = 10;

/// A client's stream of frames.
pub(crate) struct Frames<T> {
    stream: T,
    counter: Counter,
    peer: SocketAddr,
}

impl<T> Frames<T> {
    pub(crate) fn new(stream: T, peer: SocketAddr) -> Self {
        Self { stream, counter: Counter::new(Instant::now()), peer }
    }

    /// Counts what was read after the first `old` bytes of the buffer.
    fn count(&mut self, buffer: &ReadBuf<'_>, old: usize) -> io::Result<()> {
        let cost = self.counter.read(buffer.filled().get(old..).unwrap_or_default());
        if cost == 0 || self.counter.afford(cost, Instant::now()) {
            return Ok(());
        }
        tracing::debug!(net.peer = %self.peer, "net.connection.flooded");
        Err(io::Error::new(ErrorKind::InvalidData, "too many frames that ask for nothing"))
    }
}

/// Where in the stream of frames the next byte falls, and what they have cost.
struct Counter {
    /// Bytes until the next frame begins.
    skip: usize,
    head: [u8; HEAD],
    /// How much of `head` is there.
    have: usize,
    /// When all that came is paid for.
    paid: Instant,
}

impl Counter {
    fn new(now: Instant) -> Self {
        Self { skip: PREFACE, head: [0; HEAD], have: 0, paid: now }
    }

    /// Reads on; tells what the frames that began have cost.
    fn read(&mut self, mut bytes: &[u8]) -> u32 {
        let mut cost: u32 = 0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { return cost };
            bytes = rest;
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            if self.have == HEAD {
                cost = cost.saturating_add(self.frame());
            }
        }
    }

    /// A frame's first bytes are there: what it costs.
    fn frame(&mut self) -> u32 {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = usize::try_from(length).unwrap_or(usize::MAX);
        self.have = 0;
        cost(kind, flags, length)
    }

    /// Whether there aren't too many by now.
    fn afford(&mut self, cost: u32, now: Instant) -> bool {
        self.paid = self.paid.max(now) + EACH.saturating_mul(cost);
        self.paid - now <= AT_ONCE
    }
}

/// What a frame costs; nothing if it is a piece of a request.
fn cost(kind: u8, flags: u8, length: u32) -> u32 {
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    match kind {
        // DATA, HEADERS, CONTINUATION.
        0 if length > 0 || flags & END_STREAM != 0 => 0,
        1 => 0,
        9 if length > 0 || flags & END_HEADERS != 0 => 0,
        // RST_STREAM.
        3 => OF_A_RESET,
        _ => 1,
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Frames<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let old = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.count(buffer, old))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Frames<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend(vec![0xff; length.into()]);
        frame
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat()
    }

    #[test]
    fn what_asks_for_nothing_costs_however_it_is_cut() {
        let frames = [
            frame(4, 0, 6),
            frame(1, 4, 30),
            frame(0, 0, 200),
            frame(6, 0, 8),
            frame(3, 0, 4),
            frame(0, 1, 0),
            frame(0, 0, 0),
            frame(9, 0, 0),
            frame(99, 0, 5),
        ];
        let bytes = connection(&frames);
        let whole = Counter::new(Instant::now()).read(&bytes);
        assert_eq!(whole, 1 + 1 + OF_A_RESET + 1 + 1 + 1);
        let mut bytewise = Counter::new(Instant::now());
        assert_eq!(bytes.iter().map(|byte| bytewise.read(&[*byte])).sum::<u32>(), whole);
    }

    #[test]
    fn a_thousand_a_second_go_on_for_ever_and_more_do_not() {
        let now = Instant::now();
        let mut counter = Counter::new(now);
        assert!((0..60).all(|second| counter.afford(1000, now + Duration::from_secs(second))));
        let mut counter = Counter::new(now);
        assert!(counter.afford(2000, now) && !counter.afford(1, now));
        let mut counter = Counter::new(now);
        assert!(!(0..60).all(|second| counter.afford(1100, now + Duration::from_secs(second))));
    }
}
