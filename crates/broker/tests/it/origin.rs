//! An origin whose answers come as a test wants, the codings that it has, and the
//! forms in which it may send a value back.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{
    BrotliDecoder, BrotliEncoder, DecodeV2, DeflateDecoder, DeflateEncoder, EncodeV2, GzipDecoder,
    GzipEncoder, ZlibDecoder, ZlibEncoder, ZstdDecoder, ZstdEncoder,
};
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Bytes;
use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use strongroom_broker::redact::{Broken, Redacted, Redaction};
use strongroom_core::scanner::Scanner;
use tokio::time::Sleep;

/// What comes next of an answer.
pub(crate) enum Step {
    Data(Vec<u8>),
    Silence(Duration),
    Trailers(HeaderMap),
    Failure,
}

/// A body that comes in these steps.
pub(crate) struct Steps {
    left: VecDeque<Step>,
    silence: Option<Pin<Box<Sleep>>>,
    /// Whether its length is known before.
    is_known: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("broken off")]
pub(crate) struct BrokenOff;

impl Steps {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { left: steps.into_iter().collect(), silence: None, is_known: false }
    }

    pub(crate) fn of_length(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { is_known: true, ..Self::new(steps) }
    }

    fn length(&self) -> u64 {
        let length = |step: &Step| if let Step::Data(data) = step { data.len() } else { 0 };
        self.left.iter().map(length).sum::<usize>() as u64
    }
}

impl Body for Steps {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(silence) = &mut self.silence {
            std::task::ready!(silence.as_mut().poll(context));
            self.silence = None;
        }
        match self.left.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Failure) => Poll::Ready(Some(Err(BrokenOff))),
            Some(Step::Silence(time)) => {
                self.silence = Some(Box::pin(tokio::time::sleep(time)));
                self.poll_frame(context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.silence.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_known { SizeHint::with_exact(self.length()) } else { SizeHint::default() }
    }
}

/// What arrived of an answer.
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// When each piece arrived, counted from the beginning, and where it ended.
    pub(crate) pieces: Vec<(Duration, usize)>,
    pub(crate) trailers: Option<HeaderMap>,
}

pub(crate) fn redaction(values: &[&str]) -> Redaction {
    Redaction::new(Scanner::new(values.iter().map(|value| value.as_bytes())))
}

/// What arrives, unless it is blocked or breaks off.
pub(crate) async fn arrive(
    redaction: &Redaction,
    response: Response<Steps>,
) -> Result<Arrived, Broken<BrokenOff>> {
    let start = tokio::time::Instant::now();
    let (parts, mut redacted) = redaction.response(response).await?.into_parts();
    let mut arrived =
        Arrived { headers: parts.headers, body: Vec::new(), pieces: Vec::new(), trailers: None };
    let mut promised = redacted.size_hint().exact();
    while let Some(frame) = next(&mut redacted).await {
        match frame?.into_data() {
            Ok(data) => {
                assert!(!data.is_empty() && arrived.trailers.is_none());
                arrived.body.extend_from_slice(&data);
                arrived.pieces.push((start.elapsed(), arrived.body.len()));
                promised = promised.map(|promised| promised - data.len() as u64);
                assert_eq!(redacted.size_hint().exact(), promised);
            }
            Err(frame) => arrived.trailers = frame.into_trailers().ok(),
        }
    }
    assert!(promised.is_none_or(|promised| promised == 0) && redacted.is_end_stream());
    Ok(arrived)
}

pub(crate) async fn next(body: &mut Redacted<Steps>) -> Option<Result<Frame<Bytes>, Broken<BrokenOff>>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// The codings that an origin may use: as the header names them, the last one outside.
pub(crate) const CODINGS: [&str; 9] =
    ["", "gzip", "x-gzip", "br", "zstd", "deflate", "deflate (raw)", "gzip, br", "zstd, gzip"];

/// The header's value.
pub(crate) fn named(coding: &str) -> &str {
    coding.trim_end_matches(" (raw)")
}

fn encoder(coding: &str) -> Box<dyn EncodeV2> {
    match coding {
        "gzip" | "x-gzip" => Box::new(GzipEncoder::new(Level::Default.into())),
        "br" => Box::new(BrotliEncoder::new(
            compression_codecs::brotli::params::EncoderParams::default().quality(Level::Precise(4)),
        )),
        "zstd" => Box::new(ZstdEncoder::new(3)),
        "deflate" => Box::new(ZlibEncoder::new(Level::Default.into())),
        "deflate (raw)" => Box::new(DeflateEncoder::new(Level::Default.into())),
        _ => unreachable!(),
    }
}

fn decoder(coding: &str) -> Box<dyn DecodeV2> {
    match coding {
        "gzip" | "x-gzip" => Box::new(GzipDecoder::new()),
        "br" => Box::new(BrotliDecoder::new()),
        "zstd" => Box::new(ZstdDecoder::new()),
        "deflate" => Box::new(ZlibDecoder::new()),
        "deflate (raw)" => Box::new(DeflateDecoder::new()),
        _ => unreachable!(),
    }
}

/// Encodes, and flushes where the pieces end.
fn encode_once(pieces: &[Vec<u8>], coding: &str) -> Vec<Vec<u8>> {
    let (mut encoder, mut sent) = (encoder(coding), Vec::new());
    for (at, piece) in pieces.iter().enumerate() {
        let mut buffer = vec![0; 4 * piece.len() + (64 << 10)];
        let mut output = WriteBuffer::new_initialized(&mut buffer);
        let mut input = PartialBuffer::new(&piece[..]);
        while !input.unwritten().is_empty() {
            encoder.encode(&mut input, &mut output).unwrap();
        }
        let is_last = at + 1 == pieces.len();
        while !if is_last { encoder.finish(&mut output) } else { encoder.flush(&mut output) }.unwrap() {}
        sent.push(output.written().to_vec());
    }
    sent
}

pub(crate) fn encode_pieces(pieces: &[Vec<u8>], coding: &str) -> Vec<Vec<u8>> {
    let codings = coding.split(", ").filter(|coding| !coding.is_empty());
    codings.fold(pieces.to_vec(), |pieces, coding| encode_once(&pieces, coding))
}

pub(crate) fn encode(text: &[u8], coding: &str) -> Vec<u8> {
    encode_pieces(&[text.to_vec()], coding).concat()
}

/// What a client makes of so much of a body, which may go on.
pub(crate) fn decode_some(body: &[u8], coding: &str) -> Vec<u8> {
    let codings: Vec<&str> = coding.split(", ").filter(|coding| !coding.is_empty()).collect();
    codings.iter().rev().fold(body.to_vec(), |body, coding| {
        let mut buffer = vec![0; if body.len() < 4096 { 64 << 10 } else { 4 << 20 }];
        let mut output = WriteBuffer::new_initialized(&mut buffer);
        let (mut decoder, mut input) = (decoder(coding), PartialBuffer::new(&body[..]));
        while !input.unwritten().is_empty() {
            if decoder.decode(&mut input, &mut output).unwrap() {
                break;
            }
        }
        assert!(input.unwritten().is_empty(), "nothing behind the end");
        output.written().to_vec()
    })
}

/// A value as it may stand in a text: all of it, with what is around it in its coding,
/// and where the value is. The characters beside that may hold a few bits of it.
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) value: Range<usize>,
}

/// Encodes all but these and letters and digits.
fn percent(value: &str, kept: &str) -> String {
    let encode = |character: char| {
        let bytes = character.encode_utf8(&mut [0; 4]).to_owned();
        bytes.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
    };
    let is_kept = |character: char| character.is_ascii_alphanumeric() || kept.contains(character);
    value.chars().map(|one| if is_kept(one) { one.to_string() } else { encode(one) }).collect()
}

/// With the digits behind each percent sign in lower case.
fn lower(encoded: &str) -> String {
    let mut lower = String::new();
    let mut since = usize::MAX;
    for character in encoded.chars() {
        since = if character == '%' { 0 } else { since.saturating_add(1) };
        lower.push(if since < 3 { character.to_ascii_lowercase() } else { character });
    }
    lower
}

fn json(value: &str, escapes: impl Fn(char) -> bool) -> String {
    let unicode = |character: char| {
        let units = character.encode_utf16(&mut [0; 2]).to_vec();
        units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
    };
    let plain = |character: char| {
        let quoted = serde_json::to_string(&character.to_string()).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    };
    value.chars().map(|one| if escapes(one) { unicode(one) } else { plain(one) }).collect()
}

fn html(value: &str, double: &str, single: &str) -> String {
    let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', double).replace('\'', single)
}

/// Every form that is looked for.
pub(crate) fn forms(value: &str) -> Vec<Form> {
    let hex = value.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let every = value.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut whole = vec![
        ("raw", value.to_owned()),
        ("hex", hex.clone()),
        ("HEX", hex.to_uppercase()),
        ("percent, every byte", every.clone()),
        ("percent, every byte, lower", every.to_lowercase()),
        ("encodeURIComponent", percent(value, "-_.!~*'()")),
        ("encodeURIComponent, lower", lower(&percent(value, "-_.!~*'()"))),
        ("percent", percent(value, "-_.~")),
        ("percent, lower", lower(&percent(value, "-_.~"))),
        ("path", percent(value, "-_.~/")),
        ("path, lower", lower(&percent(value, "-_.~/"))),
        ("form", form.clone()),
        ("form, lower", lower(&form)),
        ("form, Python", percent(value, "-_.~ ").replace(' ', "+")),
        ("JSON", json(value, |_| false)),
        ("JSON, slashes", json(value, |_| false).replace('/', "\\/")),
        ("JSON, ASCII", json(value, |one| !one.is_ascii())),
        ("JSON, Go", json(value, |one| "<>&".contains(one))),
        ("JSON, PHP", json(value, |one| !one.is_ascii()).replace('/', "\\/")),
        ("HTML, PHP", html(value, "&quot;", "&#039;")),
        ("HTML, Java", html(value, "&quot;", "&#39;")),
        ("HTML, Go", html(value, "&#34;", "&#39;")),
        ("HTML, Python", html(value, "&quot;", "&#x27;")),
        ("HTML, text", html(value, "\"", "'")),
    ];
    for (name, engine) in [
        ("base64", STANDARD),
        ("base64, no padding", STANDARD_NO_PAD),
        ("base64url", URL_SAFE),
        ("base64url, no padding", URL_SAFE_NO_PAD),
    ] {
        whole.push((name, engine.encode(value)));
    }
    let whole =
        whole.into_iter().map(|(name, text)| Form { name: name.to_owned(), value: 0..text.len(), text });
    whole.chain(within_base64(value)).collect()
}

/// Base64 of longer texts, such as `user:value`.
fn within_base64(value: &str) -> impl Iterator<Item = Form> {
    let engines = [("base64", STANDARD), ("base64url", URL_SAFE_NO_PAD)];
    let longer =
        ["", "u", "u:", "u:u"].into_iter().flat_map(|before| ["", ":", "::"].map(|after| (before, after)));
    longer
        .flat_map(move |(before, after)| engines.clone().map(|(name, engine)| (before, after, name, engine)))
        .map({
            let value = value.to_owned();
            move |(before, after, name, engine)| {
                let (start, end) = (8 * before.len(), 8 * (before.len() + value.len()));
                let text = engine.encode(format!("{before}{value}{after}"));
                Form {
                    name: format!("{name} of {before}…{after}"), text, value: start.div_ceil(6)..end / 6
                }
            }
        })
}
