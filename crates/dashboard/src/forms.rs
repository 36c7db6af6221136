//! Forms that people send. Each is taken only from a page of our own: the
//! browser says where it comes from, and it carries what only such a page has.

use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, ORIGIN};
use axum::http::request::Parts;
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::rows::Proven;
use strongroom_core::tags::{Condition, Tag};
use zeroize::Zeroizing;

use crate::browser::Cookie;
use crate::desk::Desk;
use crate::refusal::Refusal;
use crate::visit::Visit;

/// The largest form, in bytes: what the front lets in. A secret's 1 MiB fits, unless most
/// of it is escaped, which takes three bytes for one.
const LARGEST: usize = 2 << 20;
/// The same of somebody who isn't signed in and has no secret to fill in, in bytes.
const STRANGERS: usize = 16 << 10;
/// The most fields of a form: those of a secret's 256 values, and some. A field costs more
/// memory than it has bytes.
const MOST_FIELDS: usize = 1_024;
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The field that carries it.
pub(crate) const TOKEN: &str = "form";
/// The field that says of which state a page was made.
const STATE: &str = "state";

/// Carries the state of what a page is made of.
pub(crate) fn state<T>(row: &Proven<T>) -> Markup {
    html! { input type="hidden" name=(STATE) value=(Tag::of(row.mac())); }
}

/// Carries it on where what was filled in for it is to be mended.
pub(crate) fn same_state(filled: &Fields) -> Markup {
    html! { input type="hidden" name=(STATE) value=(filled.text(STATE)); }
}

/// What was filled in, in its order. Erased when dropped.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    fn parse(body: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(body)
                // A browser ends lines as in mails, whatever was typed.
                .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.replace("\r\n", "\n"))))
                .collect(),
        )
    }

    /// What stands in a field; empty when it isn't there.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The same without spaces around it; `None` when nothing is left.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }

    /// Everything in the fields of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// That something is still what the page was made of, where the page carries that.
    pub(crate) fn condition(&self) -> Option<Condition> {
        self.filled(STATE).map(|state| Condition::IsOneOf(Tag::parse(state).into_iter().collect()))
    }

    /// Whether a box is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }
}

/// A form that somebody sent who is signed in.
pub(crate) struct Sent {
    pub(crate) visit: Visit,
    pub(crate) fields: Fields,
}

impl FromRequest<Arc<Desk>> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        own_site(&parts, desk)?;
        let visit = Visit::from_request_parts(&mut parts, desk).await?;
        let fields = read(Request::from_parts(parts, body), LARGEST).await?;
        if !same(fields.text(TOKEN), &visit.form) {
            return Err(foreign());
        }
        Ok(Self { visit, fields })
    }
}

/// A form that somebody sent who isn't signed in.
pub(crate) struct Stranger {
    pub(crate) parts: Parts,
    pub(crate) fields: Fields,
}

impl Stranger {
    /// What the form carried, for another that is bound to the same browser.
    pub(crate) fn form(&self) -> &str {
        self.fields.text(TOKEN)
    }
}

impl FromRequest<Arc<Desk>> for Stranger {
    type Rejection = Refusal;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        own_site(&parts, desk)?;
        let bound_to = Cookie::Form.read(&parts.headers, desk.is_secure).ok_or_else(no_cookies)?;
        let again = Request::from_parts(parts.clone(), body);
        let largest = if is_filling(&parts) { LARGEST } else { STRANGERS };
        let fields = read(again, largest).await?;
        if !same(fields.text(TOKEN), &desk.app.stranger_form_token(&bound_to)) {
            return Err(foreign());
        }
        Ok(Self { parts, fields })
    }
}

/// Refuses what another site had the browser send. Browsers of today say where a
/// request comes from; an origin of `null` is what our own policy of telling no
/// referrer makes of ours, and is left to the token.
fn own_site(parts: &Parts, desk: &Desk) -> Result<(), Refusal> {
    let headers = &parts.headers;
    if headers.get(&SITE).is_some_and(|site| site != "same-origin") {
        return Err(foreign());
    }
    let Some(origin) = headers.get(ORIGIN).filter(|origin| *origin != "null") else { return Ok(()) };
    if origin.as_bytes() == desk.address.origin(strongroom_net::host(parts)).as_bytes() {
        Ok(())
    } else {
        Err(foreign())
    }
}

/// Whether values are sent for a request, by its link alone.
fn is_filling(parts: &Parts) -> bool {
    let pattern = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    pattern.is_some_and(|pattern| pattern.starts_with("/fill/"))
}

async fn read(request: Request, largest: usize) -> Result<Fields, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This isn't a form of these pages."));
    }
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "That is more than a form takes: 2 MiB as a browser sends it, where everything but letters and digits takes three times its size. Store a large secret by the API or the command line.",
        )
    };
    let body = axum::body::to_bytes(request.into_body(), largest).await.map_err(|_| too_large())?;
    if body.split(|byte| *byte == b'&').count() > MOST_FIELDS {
        return Err(too_large());
    }
    Ok(Fields::parse(&body))
}

fn same(one: &str, other: &str) -> bool {
    // Neither tells anything of the other but by being equal; lengths are known.
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn foreign() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "This form didn't come from these pages, or was opened too long ago. Nothing was done. Open the page again and send it from there.",
    )
}

fn no_cookies() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "Your browser didn't bring back the cookie that this form is bound to. Allow cookies for this site, and open the page again.",
    )
}
