//! Screens request heads as they stream past, before the HTTP library sees
//! them: stricter than its parser where leniency lets two readers of the same
//! bytes see two different requests. Keeps nothing of what it reads but a few
//! header names and lengths.

use crate::limits::Limits;
use crate::refuse::Refusal;

/// Where in the stream of requests the next byte falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a request line; empty lines are skipped here.
    Blank,
    /// After the CR of an empty line.
    BlankLf,
    Method,
    Target,
    /// In `HTTP/1.x`, so many characters in.
    Version(u8),
    /// After the CR of a line of the head.
    LineLf,
    LineStart,
    Name,
    Value,
    /// After the CR of the empty line that ends the head.
    EndLf,
    /// In a body of which so many bytes are to come.
    Body(u64),
    /// In a chunked body, which is the last thing read on its connection: where
    /// it ends is for one parser to say, so nothing after it is a request.
    Chunked,
}

/// A header that decides where a request begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Other,
}

impl Field {
    fn from_name(name: &[u8]) -> Self {
        match name {
            _ if name.eq_ignore_ascii_case(b"host") => Self::Host,
            _ if name.eq_ignore_ascii_case(b"content-length") => Self::ContentLength,
            _ if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TransferEncoding,
            _ => Self::Other,
        }
    }

    /// Whether its value says how long a body is.
    fn is_length(self) -> bool {
        matches!(self, Self::ContentLength | Self::TransferEncoding)
    }
}

/// What one head has shown so far.
#[derive(Debug, Default)]
struct Seen {
    bytes: usize,
    url: usize,
    headers: usize,
    hosts: usize,
    old: bool,
    length: Option<u64>,
    chunked: bool,
}

/// Reads along with one connection.
#[derive(Debug)]
pub(crate) struct Screen {
    state: State,
    seen: Seen,
    field: Field,
    word: Word,
    max_head: usize,
    max_url: usize,
    max_headers: usize,
    max_body: u64,
}

/// Bytes that must not reach the HTTP library, and how to answer them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// How many of the bytes just screened come before the first bad one.
    pub(crate) good: usize,
    /// How many heads became complete in those.
    pub(crate) heads: u32,
    /// The answer.
    pub(crate) refusal: Refusal,
}

impl Screen {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: State::Blank,
            seen: Seen::default(),
            field: Field::Other,
            word: Word::default(),
            max_head: limits.max_head,
            max_url: limits.max_url,
            max_headers: limits.max_headers,
            max_body: limits.max_body,
        }
    }

    /// Whether the stream is between two requests.
    pub(crate) fn between_requests(&self) -> bool {
        self.state == State::Blank && self.seen.bytes == 0
    }

    /// Whether everything that belongs to the heads seen has arrived.
    pub(crate) fn bodies_arrived(&self) -> bool {
        !matches!(self.state, State::Body(_) | State::Chunked)
    }

    /// Reads on; tells how many heads are now complete that weren't before.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<u32, Violation> {
        let (mut heads, mut good) = (0, 0);
        loop {
            good += self.run(bytes.get(good..).unwrap_or_default());
            let Some(&byte) = bytes.get(good) else { return Ok(heads) };
            let step = self.step(byte);
            heads += u32::from(step.map_err(|refusal| Violation { good, heads, refusal })?);
            good += 1;
        }
    }

    /// Takes those of the next bytes that change no state but a count, however
    /// many there are; the byte after them is for [`Screen::step`].
    fn run(&mut self, bytes: &[u8]) -> usize {
        match self.state {
            State::Chunked => bytes.len(),
            State::Body(left) => self.run_in_body(left, bytes),
            State::Target => self.run_in_target(bytes),
            State::Name => self.run_in_name(bytes),
            State::Value if !self.field.is_length() => self.run_in_head(bytes, is_text).len(),
            _ => 0,
        }
    }

    fn run_in_body(&mut self, left: u64, bytes: &[u8]) -> usize {
        let run = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(run as u64);
        self.state = if left == 0 { State::Blank } else { State::Body(left) };
        run
    }

    fn run_in_target(&mut self, bytes: &[u8]) -> usize {
        let room = self.max_url.saturating_sub(self.seen.url).min(bytes.len());
        let run = self.run_in_head(bytes.get(..room).unwrap_or_default(), is_target).len();
        self.seen.url += run;
        run
    }

    fn run_in_name(&mut self, bytes: &[u8]) -> usize {
        let run = self.run_in_head(bytes, is_token);
        self.word.extend(run);
        run.len()
    }

    /// The bytes up to the first that isn't `plain`, or doesn't fit in the head.
    fn run_in_head<'a>(&mut self, bytes: &'a [u8], plain: impl Fn(u8) -> bool) -> &'a [u8] {
        let room = self.max_head.saturating_sub(self.seen.bytes).min(bytes.len());
        let bytes = bytes.get(..room).unwrap_or_default();
        let end = bytes.iter().position(|byte| !plain(*byte)).unwrap_or(room);
        self.seen.bytes += end;
        bytes.get(..end).unwrap_or_default()
    }

    /// One byte of a head; tells whether it was the last.
    fn step(&mut self, byte: u8) -> Result<bool, Refusal> {
        self.seen.bytes += 1;
        if self.seen.bytes > self.max_head {
            return Err(Refusal::HeadTooLarge);
        }
        if self.state == State::EndLf && byte == b'\n' {
            return self.end_of_head().map(|()| true);
        }
        self.state = match self.state {
            State::Blank => blank(byte)?,
            State::BlankLf => expect(byte, b'\n', State::Blank)?,
            State::Method => method(byte)?,
            State::Target => self.target(byte)?,
            State::Version(at) => self.version(at, byte)?,
            State::LineLf => expect(byte, b'\n', State::LineStart)?,
            State::LineStart => self.line_start(byte)?,
            State::Name => self.name(byte)?,
            State::Value => self.value(byte)?,
            // A body never comes here, and any other end of a head is malformed.
            State::EndLf | State::Body(_) | State::Chunked => return Err(Refusal::Invalid),
        };
        Ok(false)
    }

    fn target(&mut self, byte: u8) -> Result<State, Refusal> {
        match byte {
            b' ' if self.seen.url > 0 => return Ok(State::Version(0)),
            _ if is_target(byte) => self.seen.url += 1,
            _ => return Err(Refusal::Invalid),
        }
        if self.seen.url > self.max_url { Err(Refusal::UriTooLong) } else { Ok(State::Target) }
    }

    fn version(&mut self, at: u8, byte: u8) -> Result<State, Refusal> {
        const NAME: &[u8] = b"HTTP/1.";
        match (NAME.get(usize::from(at)), byte) {
            (Some(expected), byte) if *expected == byte => {}
            (None, b'0' | b'1') if usize::from(at) == NAME.len() => self.seen.old = byte == b'0',
            (None, b'\r') if usize::from(at) > NAME.len() => return Ok(State::LineLf),
            _ => return Err(Refusal::Invalid),
        }
        Ok(State::Version(at + 1))
    }

    fn line_start(&mut self, byte: u8) -> Result<State, Refusal> {
        if byte == b'\r' {
            return Ok(State::EndLf);
        }
        self.seen.headers += 1;
        if self.seen.headers > self.max_headers {
            return Err(Refusal::HeadTooLarge);
        }
        self.word.clear();
        // Not a colon: a name has at least one character.
        if is_token(byte) { self.name(byte) } else { Err(Refusal::Invalid) }
    }

    fn name(&mut self, byte: u8) -> Result<State, Refusal> {
        if byte == b':' {
            self.field = Field::from_name(self.word.as_slice());
            self.word.clear();
            return Ok(State::Value);
        }
        if !is_token(byte) {
            return Err(Refusal::Invalid);
        }
        self.word.extend(&[byte]);
        Ok(State::Name)
    }

    fn value(&mut self, byte: u8) -> Result<State, Refusal> {
        match byte {
            b'\r' => self.end_of_value().map(|()| State::LineLf),
            _ if is_text(byte) => {
                self.word.extend(&[byte]);
                Ok(State::Value)
            }
            _ => Err(Refusal::Invalid),
        }
    }

    fn end_of_value(&mut self) -> Result<(), Refusal> {
        let word = self.word.as_slice().trim_ascii();
        match self.field {
            Field::Host => self.seen.hosts += 1,
            Field::ContentLength if self.seen.length.is_none() => self.seen.length = Some(number(word)?),
            Field::TransferEncoding if !self.seen.chunked && word.eq_ignore_ascii_case(b"chunked") => {
                self.seen.chunked = true;
            }
            Field::ContentLength | Field::TransferEncoding => return Err(Refusal::Invalid),
            Field::Other => {}
        }
        Ok(())
    }

    /// Judges a complete head and turns to what follows it.
    fn end_of_head(&mut self) -> Result<(), Refusal> {
        let seen = std::mem::take(&mut self.seen);
        let host_is_clear = seen.hosts == 1 || (seen.hosts == 0 && seen.old);
        let end_is_clear = !seen.chunked || (seen.length.is_none() && !seen.old);
        if !host_is_clear || !end_is_clear {
            return Err(Refusal::Invalid);
        }
        self.state = match seen.length {
            _ if seen.chunked => State::Chunked,
            None | Some(0) => State::Blank,
            Some(length) if length > self.max_body => return Err(Refusal::BodyTooLarge),
            Some(length) => State::Body(length),
        };
        Ok(())
    }
}

fn blank(byte: u8) -> Result<State, Refusal> {
    match byte {
        b'\r' => Ok(State::BlankLf),
        _ if is_token(byte) => Ok(State::Method),
        _ => Err(Refusal::Invalid),
    }
}

fn method(byte: u8) -> Result<State, Refusal> {
    match byte {
        b' ' => Ok(State::Target),
        _ if is_token(byte) => Ok(State::Method),
        _ => Err(Refusal::Invalid),
    }
}

fn expect(byte: u8, expected: u8, next: State) -> Result<State, Refusal> {
    if byte == expected { Ok(next) } else { Err(Refusal::Invalid) }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    #[expect(
        clippy::indexing_slicing,
        reason = "the compiler evaluates it, and refuses what is out of bounds"
    )]
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut bytes: &[u8] =
            b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        while let [byte, rest @ ..] = bytes {
            table[*byte as usize] = true;
            bytes = rest;
        }
        table
    };
    TOKEN.get(usize::from(byte)).is_some_and(|token| *token)
}

/// Visible ASCII but for what begins a fragment: none is ever sent, and a
/// reader that cuts one off sees another target than one that doesn't.
fn is_target(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && byte != b'#'
}

/// RFC 9110 §5.5: no control characters but tabs.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Digits and nothing else: `parse` alone would take a plus sign.
fn number(word: &[u8]) -> Result<u64, Refusal> {
    let digits = word.iter().all(u8::is_ascii_digit);
    let parsed = str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    parsed.filter(|_| digits).ok_or(Refusal::Invalid)
}

/// The name or value being read, as far as it can matter: longer than any word
/// that does, it keeps an end that no such word has.
#[derive(Debug, Default)]
struct Word {
    bytes: [u8; 32],
    len: usize,
}

impl Word {
    fn clear(&mut self) {
        self.len = 0;
    }

    fn extend(&mut self, more: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let fits = room.len().min(more.len());
        let (kept, lost) = more.split_at(fits);
        if let Some(place) = room.get_mut(..fits) {
            place.copy_from_slice(kept);
        }
        self.len += fits;
        if let (false, Some(last)) = (lost.trim_ascii().is_empty(), self.bytes.last_mut()) {
            *last = b'?';
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n";

    fn screen() -> Screen {
        Screen::new(&Limits::default())
    }

    fn refusal(head: &str) -> Option<Refusal> {
        screen().read(head.as_bytes()).err().map(|violation| violation.refusal)
    }

    #[test]
    fn a_head_is_one_however_it_is_cut() {
        let head = "\r\nPOST /a?b HTTP/1.1\r\nhOST:  a \r\nContent-Length:\t3 \r\nX:\r\n\r\nabc";
        assert_eq!(screen().read(head.as_bytes()), Ok(1));
        let mut bytewise = screen();
        let heads: u32 = head.bytes().map(|byte| bytewise.read(&[byte]).unwrap()).sum();
        assert!(heads == 1 && bytewise.between_requests());
    }

    #[test]
    fn pipelined_heads_are_told_from_bodies() {
        let mut screen = screen();
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\nGET \0 is only a body here..\n";
        assert_eq!(screen.read(format!("{GET}\r\n{post}{GET}\r\nPOS").as_bytes()), Ok(3));
        assert!(!screen.between_requests() && screen.bodies_arrived());
    }

    #[test]
    fn a_chunked_body_is_the_last_of_its_connection() {
        let mut screen = screen();
        assert_eq!(
            screen.read(format!("{GET}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n").as_bytes()),
            Ok(1)
        );
        assert!(!screen.bodies_arrived());
        assert_eq!(screen.read(b"\0 whatever"), Ok(0));
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "Content-Length: 1, 1\r\n\r\n",
            "Content-Length: +1\r\n\r\n",
            "Content-Length: 0x1\r\n\r\n",
            "Content-Length: \r\n\r\n",
            "Content-Length: 1 1\r\n\r\n",
            "Content-Length: 99999999999999999999\r\n\r\n",
            "Content-Length:                                 1\r\n\r\n",
            "Transfer-Encoding: gzip, chunked\r\n\r\n",
            "Transfer-Encoding: chunked, identity\r\n\r\n",
            "Transfer-Encoding: xchunked\r\n\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding: \x0bchunked\r\n\r\n",
            "Transfer-Encoding : chunked\r\n\r\n",
            " Transfer-Encoding: chunked\r\n\r\n",
            "X: a\r\n folded\r\n\r\n",
            "X: a\nY: b\r\n\r\n",
            "X: a\rY: b\r\n\r\n",
            "X: \0\r\n\r\n",
            "X\r\n\r\n",
            ": a\r\n\r\n",
            "Host: b\r\n\r\n",
            "\n",
        ] {
            assert_eq!(refusal(&format!("{GET}{lines}")), Some(Refusal::Invalid), "{lines:?}");
        }
    }

    #[test]
    fn request_lines_have_one_form() {
        for line in [
            "GET /\r\n",
            "GET  / HTTP/1.1\r\n",
            "GET / HTTP/1.1 \r\n",
            "GET / HTTP/1.2\r\n",
            "GET / HTTP/2.0\r\n",
            "GET / http/1.1\r\n",
            "GET / HTTP/1.11\r\n",
            "GET /a#b HTTP/1.1\r\n",
            "GET /\t HTTP/1.1\r\n",
            "GET /\u{e9} HTTP/1.1\r\n",
            "G(T / HTTP/1.1\r\n",
            " GET / HTTP/1.1\r\n",
            "\nGET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\n",
        ] {
            assert_eq!(refusal(&format!("{line}Host: a\r\n\r\n")), Some(Refusal::Invalid), "{line:?}");
        }
    }

    #[test]
    fn a_host_may_be_missing_only_in_http_1_0() {
        assert_eq!(refusal("GET / HTTP/1.0\r\n\r\n"), None);
        assert_eq!(refusal("GET / HTTP/1.1\r\n\r\n"), Some(Refusal::Invalid));
        assert_eq!(refusal("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(Refusal::Invalid));
    }

    #[test]
    fn the_first_bad_byte_is_told() {
        let bytes = format!("{GET}\r\nGET / HTTP/1.1\r\nX\0");
        let violation = screen().read(bytes.as_bytes()).unwrap_err();
        assert_eq!(violation, Violation { good: bytes.len() - 1, heads: 1, refusal: Refusal::Invalid });
    }

    #[test]
    fn limits_are_met_to_the_byte() {
        let url = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(len - 1));
        assert_eq!(refusal(&url(8192)), None);
        assert_eq!(refusal(&url(8193)), Some(Refusal::UriTooLong));
        let lines = |count: usize| format!("{GET}{}\r\n", "X: a\r\n".repeat(count - 1));
        assert_eq!(refusal(&lines(64)), None);
        assert_eq!(refusal(&lines(65)), Some(Refusal::HeadTooLarge));
        let head = |len: usize| format!("{GET}X: {}\r\n\r\n", "a".repeat(len - GET.len() - 7));
        assert_eq!(refusal(&head(16384)), None);
        assert_eq!(refusal(&head(16385)), Some(Refusal::HeadTooLarge));
        let body = |len| format!("{GET}Content-Length: {len}\r\n\r\n");
        assert_eq!(refusal(&body(2 << 20)), None);
        assert_eq!(refusal(&body((2 << 20) + 1)), Some(Refusal::BodyTooLarge));
        assert_eq!(refusal(&"\r\n".repeat(8193)), Some(Refusal::HeadTooLarge));
    }
}
