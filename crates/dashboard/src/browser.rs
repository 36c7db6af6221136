//! What a browser brings with a request, and what is left in it. Cookies go to
//! this host alone, by TLS where there is any, and no script reads them.

use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue};
use axum::response::Response;
use strongroom_core::app::{Cause, Whereabouts};
use strongroom_core::sessions::LASTS;
use strongroom_core::text::BrowserName;
use strongroom_net::{CallerAddr, RequestId};

/// Seconds that a browser is known: a year.
const KNOWN: i64 = 365 * 24 * 60 * 60;

/// What a cookie is for.
#[derive(Clone, Copy)]
pub(crate) enum Cookie {
    /// The session's token.
    Session,
    /// The mark that somebody signed in here before.
    Mark,
    /// What a form without a session is bound to.
    Form,
}

impl Cookie {
    /// The prefix has browsers refuse it for other hosts and from plain HTTP.
    fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Session, true) => "__Host-strongroom",
            (Self::Session, false) => "strongroom",
            (Self::Mark, true) => "__Host-strongroom-browser",
            (Self::Mark, false) => "strongroom-browser",
            (Self::Form, true) => "__Host-strongroom-form",
            (Self::Form, false) => "strongroom-form",
        }
    }

    /// How many seconds it is kept; `None`: until the browser is closed.
    const fn lasts(self) -> Option<i64> {
        match self {
            Self::Session => Some(LASTS / 1_000),
            Self::Mark => Some(KNOWN),
            Self::Form => None,
        }
    }

    /// What the browser brought.
    pub(crate) fn read(self, headers: &HeaderMap, is_secure: bool) -> Option<String> {
        let name = self.name(is_secure);
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    }

    /// Leaves something in the browser.
    pub(crate) fn leave(self, response: &mut Response, value: &str, is_secure: bool) {
        self.set(response, value, self.lasts(), is_secure);
    }

    /// Takes it out.
    pub(crate) fn take_away(self, response: &mut Response, is_secure: bool) {
        self.set(response, "", Some(0), is_secure);
    }

    fn set(self, response: &mut Response, value: &str, lasts: Option<i64>, is_secure: bool) {
        let name = self.name(is_secure);
        let age = lasts.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}");
        if let Ok(mut text) = HeaderValue::try_from(text) {
            text.set_sensitive(true);
            response.headers_mut().append(SET_COOKIE, text);
        }
    }
}

/// The address that a request comes from, where that is known.
pub(crate) fn from(extensions: &Extensions) -> Option<std::net::IpAddr> {
    extensions.get::<CallerAddr>().and_then(|caller| caller.0)
}

/// Where the person is who signs in.
pub(crate) fn whereabouts(parts: &Parts, is_secure: bool) -> Whereabouts {
    let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Whereabouts {
        from: from(&parts.extensions),
        browser: agent.and_then(|agent| BrowserName::parse(named(agent)).ok()),
        mark: Cookie::Mark.read(&parts.headers, is_secure),
    }
}

/// What people call a browser that says this of itself. The order matters: most
/// say that they are others, too.
fn named(agent: &str) -> String {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => agent.chars().take(60).collect(),
    }
}

/// In answer to which request something is done.
pub(crate) fn cause(extensions: &Extensions) -> Cause {
    Cause { request_id: extensions.get().copied().map(RequestId::uuid), action: None }
}
