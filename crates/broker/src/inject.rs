//! Puts values in the places of their placeholders. Pure: a request's head goes in with its
//! decision and the values, and comes out as it is sent on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use smallvec::SmallVec;
use strongroom_core::policies::{BasicPart, Placement, Rule};
use strongroom_core::values::SecretValue;
use zeroize::Zeroizing;

use crate::decide::{BodyPlan, Decision, Granted, Injection, Spot, basic, halves};
use crate::known::{Found, Known};
use crate::refuse::Refusal;

/// The largest body in which a value is put: it is read whole for that, 2 MiB.
pub(crate) const MOST_BODY: usize = 2 << 20;

/// The values of a request's injections, in their order.
pub(crate) struct Opened<'a>(pub(crate) SmallVec<[&'a SecretValue; 1]>);

impl Opened<'_> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the value is put where a rule of its secret says, on its way out"
    )]
    fn of(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(|value| value.reveal())
    }
}

/// The head as it is sent on.
///
/// # Errors
/// When a value can't stand in its place.
pub(crate) fn head(
    head: &mut Parts,
    (known, decision): (&Known, &Decision),
    opened: &Opened<'_>,
) -> Result<(), Refusal> {
    let (mut pair, mut query) = (None, Vec::new());
    for (at, injection) in decision.injections.iter().enumerate() {
        let unfit = || unfit(known, injection);
        let value = opened.of(at).ok_or_else(unfit)?;
        match &injection.spot {
            Spot::Header { name, behind } => {
                let before = head.headers.get(name).and_then(|before| before.as_bytes().get(..*behind));
                let whole = Zeroizing::new([before.ok_or_else(unfit)?, value.as_bytes()].concat());
                // A space at an end would be lost.
                let is_whole = value.trim_ascii() == value;
                let whole = sensitive(&whole).filter(|_| is_whole);
                head.headers.insert(name, whole.ok_or_else(unfit)?);
            }
            Spot::Basic(part) => {
                let pair = pair.get_or_insert_with(|| pair_of(&head.headers));
                let (user, password) = pair.as_mut().ok_or_else(unfit)?;
                if *part == BasicPart::Username && value.contains(':') {
                    return Err(unfit());
                }
                let own = if *part == BasicPart::Username { user } else { password };
                *own = Zeroizing::new(value.as_bytes().to_vec());
            }
            Spot::Query { start, end } => query.push((*start, *end, value)),
            Spot::Form(_) | Spot::Json(_) => {}
        }
    }
    if let Some(Some((user, password))) = pair {
        let text = Zeroizing::new([&user[..], b":", &password[..]].concat());
        let encoded = Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(&*text))));
        let value = sensitive(encoded.as_bytes()).ok_or(Refusal::Malformed("the header `authorization`"))?;
        head.headers.insert(AUTHORIZATION, value);
    }
    if query.is_empty() { Ok(()) } else { put_in_query(head, &query) }
}

fn unfit(known: &Known, injection: &Injection) -> Refusal {
    let key = known.placeholder(injection.placeholder).map(|one| one.env_key.as_str().to_owned());
    Refusal::Unfit(key.unwrap_or_default())
}

/// A header's value, unless it has a character that may not be there.
fn sensitive(text: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A user and a password.
type Pair = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

fn pair_of(headers: &HeaderMap) -> Option<Pair> {
    let encoded = basic(headers.get(AUTHORIZATION)?)?;
    let (user, password) = halves(&encoded)?;
    Some((Zeroizing::new(user.to_vec()), Zeroizing::new(password.to_vec())))
}

fn put_in_query(head: &mut Parts, values: &[(usize, usize, &str)]) -> Result<(), Refusal> {
    let malformed = || Refusal::MALFORMED_TARGET;
    let query = head.uri.query().ok_or_else(malformed)?;
    let mut target = Zeroizing::new(format!("{}?", head.uri.path()));
    let mut from = 0;
    for (start, end, value) in values {
        target.push_str(query.get(from..*start).ok_or_else(malformed)?);
        target.extend(percent_encode(value.as_bytes(), NON_ALPHANUMERIC));
        from = *end;
    }
    target.push_str(query.get(from..).ok_or_else(malformed)?);
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target.as_bytes()).map_err(|_| malformed())?);
    head.uri = http::Uri::from_parts(parts).map_err(|_| malformed())?;
    Ok(())
}

/// A whole body in which values may have their place: which ones, and where it stands.
pub(crate) struct Placed {
    pub(crate) injections: Vec<Injection>,
    /// Of each, from where to where.
    spans: Vec<(usize, usize)>,
}

/// Finds the placeholders of a whole body, each of which must stand where a rule puts its value.
///
/// # Errors
/// When one doesn't, or the body isn't what its type says.
pub(crate) fn place(
    known: &Known,
    (plan, rules): (BodyPlan, &[Granted]),
    body: &[u8],
) -> Result<Placed, Refusal> {
    let mut placed = Placed { injections: Vec::new(), spans: Vec::new() };
    let mut between = known.finder().scanner().finder();
    let mut from = 0;
    for found in known.finder().find(body) {
        let refused = || crate::decide::misplaced(known, found);
        let which = found.which.ok_or_else(refused)?;
        let spot = match plan {
            BodyPlan::Form => field_at(body, (found.start, found.end)).map(Spot::Form),
            BodyPlan::Json => pointer_to(body, known, found).map(Spot::Json),
            BodyPlan::Watch => None,
        };
        let granted = spot.as_ref().and_then(|spot| granted(known, rules, which, spot));
        let (spot, granted) = spot.zip(granted).ok_or_else(refused)?;
        placed.injections.push(Injection { granted, placeholder: which, spot });
        placed.spans.push((found.start, found.end));
        between.push(body.get(from..found.start).unwrap_or_default());
        from = found.end;
    }
    // One that is encoded stands in no place of a value.
    let is_hidden = between.push(body.get(from..).unwrap_or_default());
    if is_hidden {
        return Err(Refusal::MISPLACED_IN_BODY);
    }
    let mut rules = rules.iter().filter_map(|granted| known.rule(*granted));
    if rules.any(|rule| is_foreign(rule, body, &placed)) { Err(Refusal::ForeignInBody) } else { Ok(placed) }
}

/// Whether something else than a value of ours stands where a rule of the request puts one.
fn is_foreign(rule: &Rule, body: &[u8], placed: &Placed) -> bool {
    if rule.allows_foreign() {
        return false;
    }
    let ours =
        |is_it: &dyn Fn(&Spot) -> bool| placed.injections.iter().filter(|one| is_it(&one.spot)).count();
    match rule.placement() {
        Placement::Form(own) => {
            let own = own.as_str();
            let fields = form_urlencoded::parse(body).filter(|(name, _)| name == own).count();
            fields > ours(&|spot| matches!(spot, Spot::Form(name) if name == own))
        }
        Placement::Json(own) => {
            let own = own.as_str();
            let document = serde_json::from_slice::<serde_json::Value>(body).ok();
            let stands =
                document.is_some_and(|document| document.pointer(own).is_some_and(|value| !value.is_null()));
            stands && ours(&|spot| matches!(spot, Spot::Json(pointer) if pointer == own)) == 0
        }
        _ => false,
    }
}

fn granted(known: &Known, rules: &[Granted], which: usize, spot: &Spot) -> Option<Granted> {
    known.granting(rules.iter().copied(), which, |placement| match (placement, spot) {
        (Placement::Form(own), Spot::Form(name)) => own.as_str() == name,
        (Placement::Json(own), Spot::Json(pointer)) => own.as_str() == pointer,
        _ => false,
    })
}

/// The name of the form's field whose value is all that stands there.
fn field_at(body: &[u8], (start, end): (usize, usize)) -> Option<String> {
    let first = body.get(..start)?.iter().rposition(|byte| *byte == b'&').map_or(0, |at| at + 1);
    let ends = body.get(end).is_none_or(|next| *next == b'&');
    let name = std::str::from_utf8(body.get(first..start)?).ok()?.strip_suffix('=')?;
    if !ends || name.contains('=') {
        return None;
    }
    String::from_utf8(crate::decide::form_decoded(name)).ok()
}

/// The place in a JSON document where the placeholder is all of a text, if it stands nowhere else.
fn pointer_to(body: &[u8], known: &Known, found: Found) -> Option<String> {
    let text = &known.placeholder(found.which?)?.text;
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let mut pointers = Vec::new();
    walk(&document, &mut String::new(), &mut |pointer, own| {
        if own.contains(text.as_str()) {
            pointers.push((pointer.to_owned(), own == text));
        }
    });
    let [(pointer, true)] = pointers.as_slice() else { return None };
    // What was read at the pointer may have been written with escapes, while the placeholder that
    // was found is the name of a member, or a member that is there twice: so it is taken away.
    let without = [body.get(..found.start)?, body.get(found.end..)?].concat();
    let document: serde_json::Value = serde_json::from_slice(&without).ok()?;
    (document.pointer(pointer)? == "").then(|| pointer.clone())
}

/// Tells every text of a document with the pointer to it. The names of members are no texts.
fn walk(value: &serde_json::Value, pointer: &mut String, tell: &mut impl FnMut(&str, &str)) {
    let here = pointer.len();
    match value {
        serde_json::Value::String(text) => tell(pointer, text),
        serde_json::Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&at.to_string());
                walk(item, pointer, tell);
                pointer.truncate(here);
            }
        }
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                walk(member, pointer, tell);
                pointer.truncate(here);
            }
        }
        _ => {}
    }
}

/// The body with the values in their places.
///
/// # Errors
/// When a value can't be written there.
pub(crate) fn body(body: &[u8], placed: &Placed, opened: &Opened<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let mut whole = Zeroizing::new(Vec::with_capacity(body.len() + 4_096));
    let mut from = 0;
    for (at, (start, end)) in placed.spans.iter().enumerate() {
        whole.extend_from_slice(body.get(from..*start)?);
        let value = opened.of(at)?;
        match placed.injections.get(at)?.spot {
            Spot::Json(_) => {
                let written = Zeroizing::new(serde_json::to_string(value).ok()?);
                whole.extend_from_slice(written.get(1..written.len() - 1)?.as_bytes());
            }
            _ => percent_encode(value.as_bytes(), NON_ALPHANUMERIC)
                .for_each(|piece| whole.extend_from_slice(piece.as_bytes())),
        }
        from = *end;
    }
    whole.extend_from_slice(body.get(from..)?);
    Some(whole)
}
