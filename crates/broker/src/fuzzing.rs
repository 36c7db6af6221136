//! What the fuzzer gets to call; compiled for it only.

use std::sync::Arc;

use http::Request;
use strongroom_core::SecretId;
use strongroom_core::app::Brokered;
use strongroom_core::placeholders::Placeholder;
use strongroom_core::policies::Scheme;
use strongroom_core::scanner::Scanner;
use strongroom_core::values::{EnvKey, SecretValue};
use uuid::Uuid;

use crate::asked::{Asked, strip_request};
use crate::decide::{Decision, decide};
use crate::inject::{self, Opened};
use crate::known::{Finder, Known, Strays};
use crate::redact::fuzzing::{has_value, recoded};
use crate::target::Target;
use crate::websocket::{FromOrigin, FromRun};

/// What is looked for: short and alike, so that much of it is found by chance.
const VALUES: [&[u8]; 3] = [b"aaaaaaab", b"aaaaaaaaab", b"01234567890123456789"];

/// Frames from either side, whole and in pieces, whose size the first byte gives.
///
/// # Panics
/// When a length changes, or cutting makes a difference.
pub fn websocket(bytes: &[u8]) {
    let scanner = Scanner::new(VALUES);
    let piece = usize::from(bytes.first().copied().unwrap_or(0) % 16) + 1;
    let [whole, cut] = [bytes.len().max(1), piece].map(|size| {
        let (mut origin, mut output) = (FromOrigin::new(&scanner), Vec::new());
        let ended = bytes.chunks(size).try_for_each(|piece| origin.push(piece, &mut output));
        origin.flush(&mut output);
        // Only a head that isn't whole stays.
        assert!(!origin.holds() && (ended.is_err() || bytes.len() - output.len() < 14));
        ended.map(|()| output)
    });
    // So much may wait that some of it is let go early, of one and not of the other.
    assert!(whole == cut || bytes.len() > 1024);
    let [whole, cut] = [bytes.len().max(1), piece].map(|size| {
        let (mut run, mut output) = (FromRun::new(&scanner), Vec::new());
        bytes.chunks(size).try_for_each(|piece| run.push(piece, &mut output)).map(|()| output)
    });
    assert_eq!(whole, cut);
    assert!(whole.is_err() || whole.is_ok_and(|output| output == bytes));
}

/// A body in the codings that the first byte names, whole and in pieces, whose size the
/// second one gives: refused or read, and what leaves is in the same codings.
///
/// # Panics
/// When what leaves can't be read or has a value.
pub fn content_codings(bytes: &[u8]) {
    let [codings, piece, body @ ..] = bytes else { return };
    let scanner = Scanner::new(VALUES);
    let piece = usize::from(piece % 16) + 1;
    let whole = recoded(*codings, &scanner, body.chunks(body.len().max(1)));
    let cut = recoded(*codings, &scanner, body.chunks(piece));
    // Of a broken body zstd finds more when it has all of it.
    for body in [whole, cut].into_iter().flatten() {
        assert!(!has_value(*codings, &scanner, &body));
    }
}

/// A run's placeholders that are alike, in a text, whole and in pieces, whose size the first byte
/// gives.
///
/// # Panics
/// When what is found isn't there, or cutting makes a difference.
pub fn placeholders(bytes: &[u8]) {
    let Some((piece, text)) = bytes.split_first() else { return };
    let placeholder = |text: &&str| {
        let env_key = EnvKey::parse(text.to_uppercase()).ok()?;
        Some(Placeholder { text: (*text).to_owned(), secret_id: SecretId::from_uuid(Uuid::nil()), env_key })
    };
    let all: Vec<_> = ["aaaaaaab", "aaaaaaaab", "srp_aaaa"].iter().filter_map(placeholder).collect();
    let Some(finder) = Finder::new(&all) else { return };
    let mut from = 0;
    for found in finder.find(text) {
        assert!(found.start >= from && found.end > found.start);
        let own = found.which.and_then(|which| all.get(which)).map(|one| one.text.as_bytes());
        assert!(own.is_none() || own == text.get(found.start..found.end));
        from = found.end;
    }
    let piece = usize::from(piece % 16) + 1;
    let [mut whole, mut cut] = [(); 2].map(|()| Strays::default());
    let in_pieces = text.chunks(piece).any(|piece| cut.push(&finder, piece));
    assert_eq!(whole.push(&finder, text), in_pieces);
}

/// A request as lines, the first of which has its method and its target: refused, or sent on
/// without a placeholder, and with values only where a rule that covers it says so.
///
/// # Panics
/// When a placeholder gets through, or a value by a rule that doesn't cover the request.
pub fn brokered_request(brokered: &Arc<Brokered>, host: &str, text: &[u8]) {
    let Some(known) = Known::of(Arc::clone(brokered)) else { return };
    let target = Target { scheme: Scheme::Https, host: host.to_owned(), port: 443 };
    let Some(mut head) = head(&known, text) else { return };
    let decision = Asked::of(&target, &head).and_then(|asked| {
        let decision = decide(&known, &asked)?;
        let covers = |decision: &Decision| {
            decision.injections.iter().all(|one| {
                let rule = known.rule(one.granted);
                rule.is_some_and(|rule| rule.covers(&asked.destination()))
            })
        };
        assert!(covers(&decision));
        Ok(decision)
    });
    let (Ok(decision), Ok(value)) = (decision, SecretValue::parse("the value".to_owned())) else { return };
    strip_request(&mut head.headers, false);
    let opened = Opened(decision.injections.iter().map(|_| &value).collect());
    if inject::head(&mut head, (&known, &decision), &opened).is_ok() {
        let finder = known.finder();
        let texts = head.headers.values().map(http::HeaderValue::as_bytes);
        let mut texts = texts.chain([head.method.as_str().as_bytes()]);
        assert!(texts.all(|text| finder.first(text).is_none()));
        assert!(finder.first(head.uri.to_string().as_bytes()).is_none());
    }
}

/// The head of a request, in which a `\0` and a digit stand for a placeholder.
fn head(known: &Known, text: &[u8]) -> Option<http::request::Parts> {
    let mut text = String::from_utf8(text.to_vec()).ok()?;
    for (which, placeholder) in known.brokered.placeholders.iter().enumerate() {
        text = text.replace(&format!("\0{which}"), &placeholder.text);
    }
    let mut lines = text.lines();
    let (method, uri) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(uri);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        request = request.header(name, value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}
