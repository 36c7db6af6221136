//! Takes values out of what an origin answers, as it passes: headers, body and
//! trailers, also in content codings. Nothing is let through that can't be looked
//! into, as long as there is something to look for.
//!
//! Every byte of a value becomes a `*`, so that lengths stay true. `Content-Length`
//! goes only where a body is encoded anew, and with it the digests of its bytes. An
//! `ETag` stays: it names what the origin has. Of a plain body digests stay as well,
//! and fail where a value was taken out.

mod body;
mod codings;
mod layers;
mod metadata;
mod recoding;

pub use body::{Broken, Redacted};
pub(crate) use body::{patience, release_late};
pub(crate) use metadata::IN_MESSAGES;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::ext::ReasonPhrase;
use strongroom_core::scanner::{Redactor, Scanner};

use codings::Coding;
use metadata::Text;
use recoding::{Recoding, Survey};

/// An encoded body that isn't longer is read before its headers leave: without a find
/// it leaves as it came.
const SMALL: u64 = 64 << 10;

/// A part of a body that is shorter is less than what is known again of a value.
const SHORTEST_PART: u64 = 4;

/// Digests of the bytes of a body.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

/// Why an answer can't be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A coding that isn't known here, or too many of them.
    #[error("the answer is encoded in a way that can't be looked into")]
    Coding,
    /// The body isn't what its coding demands, or has something behind its end.
    #[error("the answer isn't what its content coding says")]
    Corrupt,
    /// A range of an encoded body, several ranges, or next to nothing of it.
    #[error("a part of an encoded answer, or several parts, can't be looked into")]
    Part,
}

/// What is taken out of answers. A clone shares it.
#[derive(Clone)]
pub struct Redaction {
    scanner: Scanner,
}

/// What is done with a body.
enum Plan {
    Pass,
    Plain { is_part: bool },
    Recode(Vec<Coding>),
}

impl Redaction {
    /// Takes out what this scanner finds.
    pub fn new(scanner: Scanner) -> Self {
        Self { scanner }
    }

    /// What finds it.
    pub fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// Whether there is nothing to take out: then everything passes as it is.
    pub fn is_empty(&self) -> bool {
        self.scanner.is_empty()
    }

    /// Takes values out of an answer: out of its headers now, and out of its body and
    /// trailers as they are read. Also removes the reason phrase of HTTP/1.
    ///
    /// # Errors
    /// When it can't be looked into, or a short encoded body breaks off: nothing of it
    /// may leave then. What is found out later comes as an error of the body.
    pub async fn response<B>(&self, response: Response<B>) -> Result<Response<Redacted<B>>, Broken<B::Error>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut parts, body) = response.into_parts();
        let plan = self.plan(&parts, &body)?;
        let redacted = match plan {
            Plan::Pass => Redacted::untouched(body, self.clone()),
            Plan::Plain { is_part } => Redacted::plain(body, self.clone(), is_part),
            Plan::Recode(codings) if body.size_hint().exact().is_some_and(|length| length <= SMALL) => {
                Box::pin(self.small(&mut parts.headers, &codings, body)).await?
            }
            Plan::Recode(codings) => {
                forget_bytes(&mut parts.headers);
                Redacted::recoded(body, self.clone(), self.recoding(&codings))
            }
        };
        if !self.is_empty() {
            parts.extensions.remove::<ReasonPhrase>();
        }
        self.headers(&mut parts.headers);
        Ok(Response::from_parts(parts, redacted))
    }

    /// Takes values out of headers or trailers: out of the values, and each name that
    /// has one becomes stars. Only `Content-Length` is left.
    pub fn headers(&self, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        for (name, value) in headers.iter_mut().filter(|(name, _)| *name != CONTENT_LENGTH) {
            self.value(name, value);
        }
        let is_named = |name: &HeaderName| self.scanner.finds_in_any_case(name.as_str().as_bytes());
        if headers.keys().any(is_named) {
            let mut name = None;
            for (next, value) in std::mem::take(headers) {
                name = next.map(|name| if is_named(&name) { stars(&name) } else { Some(name) }).or(name);
                if let Some(name) = name.clone().flatten() {
                    headers.append(name, value);
                }
            }
        }
    }

    fn value(&self, name: &HeaderName, value: &mut HeaderValue) {
        let sensitive = value.is_sensitive();
        if let Some(meant) = self.meant(name, value) {
            *value = meant;
        }
        if self.scanner.finds(value.as_bytes()) {
            // Stars may stand wherever something else may.
            let redacted = HeaderValue::from_bytes(&self.redacted(value.as_bytes()));
            *value = redacted.unwrap_or(HeaderValue::from_static("*"));
        }
        value.set_sensitive(sensitive);
    }

    /// A text of gRPC anew, without what was found in what it means.
    fn meant(&self, name: &HeaderName, value: &HeaderValue) -> Option<HeaderValue> {
        let text = Text::of(name, value)?;
        let meant = text.decode(value.as_bytes()).filter(|meant| self.scanner.finds(meant))?;
        HeaderValue::try_from(text.encode(&self.redacted(&meant))).ok()
    }

    fn redacted(&self, text: &[u8]) -> Vec<u8> {
        let mut redacted = Vec::with_capacity(text.len());
        let mut redactor = self.scanner.redactor();
        redactor.push(text, &mut redacted);
        redactor.release(usize::MAX, &mut redacted);
        redacted
    }

    fn plan(&self, parts: &Parts, body: &impl Body) -> Result<Plan, Unreadable> {
        if self.is_empty() || body.is_end_stream() {
            return Ok(Plan::Pass);
        }
        let headers = &parts.headers;
        let others = [(TRANSFER_ENCODING, "chunked"), (HeaderName::from_static("grpc-encoding"), "identity")];
        if others.iter().any(|(name, plain)| codings::has_other(headers, name, plain)) {
            return Err(Unreadable::Coding);
        }
        let codings = codings::of(headers)?;
        let is_part = parts.status == StatusCode::PARTIAL_CONTENT
            || (parts.status.is_success() && headers.contains_key(CONTENT_RANGE));
        match codings.is_empty() {
            _ if is_part && is_multipart(headers) => Err(Unreadable::Part),
            // Byte by byte, all of a value could be asked for.
            _ if is_part && body.size_hint().exact().is_none_or(|length| length < SHORTEST_PART) => {
                Err(Unreadable::Part)
            }
            false if is_part => Err(Unreadable::Part),
            true => Ok(Plan::Plain { is_part }),
            false => Ok(Plan::Recode(codings)),
        }
    }

    /// A short encoded body, which leaves as it came if nothing is in it.
    async fn small<B: Body<Data = Bytes> + Unpin>(
        &self,
        headers: &mut HeaderMap,
        codings: &[Coding],
        body: B,
    ) -> Result<Redacted<B>, Broken<B::Error>> {
        let collected = body.collect().await.map_err(Broken::Origin)?;
        let trailers = collected.trailers().cloned();
        let bytes = collected.to_bytes();
        let mut survey = Survey::new(codings, self.scanner.finder(), bytes.clone());
        while !survey.step()? {
            tokio::task::yield_now().await;
        }
        if !survey.has_found() {
            return Ok(Redacted::read(bytes, trailers, self.clone(), None));
        }
        forget_bytes(headers);
        Ok(Redacted::read(bytes, trailers, self.clone(), Some(self.recoding(codings))))
    }

    fn recoding(&self, codings: &[Coding]) -> Recoding {
        Recoding::new(codings, self.redactor(false))
    }

    fn redactor(&self, is_part: bool) -> Redactor {
        if is_part { self.scanner.redactor_of_part() } else { self.scanner.redactor() }
    }
}

/// Removes what is true only of the bytes that the origin sent.
fn forget_bytes(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    for digest in DIGESTS {
        headers.remove(digest);
    }
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/"))
}

fn stars(name: &HeaderName) -> Option<HeaderName> {
    HeaderName::from_bytes(&vec![b'*'; name.as_str().len()]).ok()
}

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    //! What the fuzzer does with bodies in content codings.

    use super::codings::Coding;
    use super::recoding::{Recoding, Survey};
    use super::{Bytes, Scanner, Unreadable};

    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    /// One coding, or two around one another.
    fn codings(which: u8) -> Vec<Coding> {
        let known = |which: u8| ALL.get(usize::from(which)).copied();
        known(which % 4).into_iter().chain(known(which / 4 % 5)).collect()
    }

    pub(crate) fn recoded<'a>(
        which: u8,
        scanner: &Scanner,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<u8>, Unreadable> {
        let (mut recoding, mut output) = (Recoding::new(&codings(which), scanner.redactor()), Vec::new());
        for piece in pieces {
            recoding.feed(Bytes::copy_from_slice(piece));
            while let Some(piece) = recoding.step()? {
                output.extend(piece);
            }
            output.extend(recoding.pause()?);
        }
        output.extend(recoding.end()?);
        Ok(output)
    }

    pub(crate) fn has_value(which: u8, scanner: &Scanner, body: &[u8]) -> bool {
        let mut survey = Survey::new(&codings(which), scanner.finder(), Bytes::copy_from_slice(body));
        let mut is_through = Ok(false);
        while is_through == Ok(false) {
            is_through = survey.step();
        }
        assert!(is_through.is_ok(), "what leaves can be read");
        survey.has_found()
    }
}
