//! HTTP/2 by its bytes, for what no client's library would send.

use std::io::{ErrorKind, Read, Write};

use strongroom_net::Limits;

use crate::tls_clients::{Secure, TlsFront};

/// Kinds of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header field in HPACK, spelled out.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// The same, to be remembered by the other side.
pub(crate) fn remembered_field(name: &str, value: &str) -> Vec<u8> {
    [&[0x40][..], &text(name), &text(value)].concat()
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // RFC 7541 §5.1: what doesn't fit into seven bits follows, seven at a time.
    let mut rest = text.len();
    if rest >= 127 {
        bytes.push(127);
        rest -= 127;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes.extend(text.as_bytes());
    bytes
}

/// The head of a `GET`, as a header block.
pub(crate) fn get(path: &str) -> Vec<u8> {
    // :method: GET, :scheme: https.
    [&[0x82, 0x87][..], &field(":path", path), &field(":authority", "localhost")].concat()
}

/// A frame that came back.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection on which frames are sent and seen.
pub(crate) struct Raw(pub(crate) Secure);

impl Raw {
    /// Past the preface and both sides' settings.
    pub(crate) fn connect(front: &TlsFront) -> Self {
        Self::connect_with(front, &[])
    }

    pub(crate) fn connect_with(front: &TlsFront, settings: &[u8]) -> Self {
        Self::over(front.raw_http2(), settings)
    }

    pub(crate) fn over(connection: Secure, settings: &[u8]) -> Self {
        let mut raw = Self(connection);
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings), &frame(SETTINGS, ACK, 0, &[])].concat());
        raw
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.send(bytes);
        self.0.stream.flush().unwrap();
    }

    /// Begins the connection, and asks whose request it is that a proxy passes on.
    pub(crate) fn ask_as_forwarded(&mut self) {
        let block = [get("/caller"), field("x-forwarded-for", "203.0.113.9")].concat();
        let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
        self.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &asked].concat());
    }

    /// Sends it unless the front is gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.try_send(bytes) && self.0.stream.flush().is_ok()
    }

    /// The next frame; none when the front has closed or reset.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.read(&mut payload)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn read(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.0.stream.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the front neither went on nor closed")
            }
            Err(_) => None,
        }
    }

    /// The next frame of this kind for this stream; none when the front closed
    /// before.
    pub(crate) fn next(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if (frame.kind, frame.stream) == (kind, stream) {
                return Some(frame);
            }
        }
    }

    /// Fails unless a request on this connection is answered with 200.
    pub(crate) fn assert_served(&mut self, stream: u32) {
        assert!(self.is_served(stream), "no answer on stream {stream}");
    }

    pub(crate) fn is_served(&mut self, stream: u32) -> bool {
        // :status: 200 is the eighth entry of HPACK's table.
        self.try_send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/")))
            && self.next(HEADERS, stream).is_some_and(|head| head.payload.first() == Some(&0x88))
    }

    /// Whether a stream is reset, or the connection ended, without an answer.
    pub(crate) fn is_refused(&mut self, stream: u32) -> bool {
        loop {
            match self.frame() {
                Some(frame) if (frame.kind, frame.stream) == (HEADERS, stream) => return false,
                Some(frame) if (frame.kind, frame.stream) == (RST_STREAM, stream) => return true,
                Some(_) => {}
                None => return true,
            }
        }
    }

    /// Reads until the front closes; the reason that it gave, if any.
    pub(crate) fn reason_of_end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(frame) = self.frame() {
            if frame.kind == GOAWAY {
                reason = frame.payload[4..8].try_into().ok().map(u32::from_be_bytes);
            }
        }
        reason
    }
}

/// What the front says of itself first.
pub(crate) fn settings(front: &TlsFront) -> Vec<(u16, u32)> {
    let mut raw = Raw::connect(front);
    let settings = raw.next(SETTINGS, 0).unwrap();
    let pairs = settings.payload.chunks(6);
    pairs
        .map(|pair| {
            (u16::from_be_bytes([pair[0], pair[1]]), u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
        })
        .collect()
}

/// A front with the usual limits.
pub(crate) fn usual_front() -> TlsFront {
    TlsFront::start(Limits::default())
}
