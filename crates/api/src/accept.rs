//! Which of two forms of an answer the caller would rather have (RFC 9110,
//! §12.5.1).

use axum::http::header::{ACCEPT, HeaderMap};

/// What a caller says of a form: how exactly it is named, then how much it is
/// wanted, from 0 to 1.
type Wish = (u8, f32);

/// Whether the caller would rather have plain text than JSON.
pub(crate) fn prefers_text(headers: &HeaderMap) -> bool {
    wanted(headers, ("text", "plain")) > wanted(headers, ("application", "json"))
}

/// How much a form is wanted; where several ranges have it in them, the one
/// that names it most exactly says.
fn wanted(headers: &HeaderMap, form: (&str, &str)) -> f32 {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let wishes = accepted.flat_map(|value| value.split(',')).filter_map(|range| wish(range, form));
    let most = wishes.max_by(|(exact, wanted), (other, than)| exact.cmp(other).then(wanted.total_cmp(than)));
    most.map_or(0.0, |(_, wanted)| wanted)
}

/// What a range such as `text/*;q=0.5` says of a form; nothing when that isn't
/// in it, or it can't be read.
fn wish(range: &str, (kind, form): (&str, &str)) -> Option<Wish> {
    let mut pieces = range.split(';').map(str::trim);
    let (range_kind, range_form) = pieces.next()?.split_once('/')?;
    let is = |found: &str, name: &str| found.eq_ignore_ascii_case(name);
    let exact = match (range_kind, range_form) {
        ("*", "*") => 0,
        (found, "*") if is(found, kind) => 1,
        (found, named) if is(found, kind) && is(named, form) => 2,
        _ => return None,
    };
    let weight = pieces.find_map(|piece| piece.split_once('=').filter(|(name, _)| is(name.trim(), "q")));
    let wanted = weight.map_or(Some(1.0), |(_, q)| q.trim().parse().ok())?;
    (0.0..=1.0).contains(&wanted).then_some((exact, wanted))
}
