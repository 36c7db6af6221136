//! Origins that send values back: in every form, content coding and cut, in headers,
//! bodies, trailers, events and in a WebSocket. Nothing of a value arrives, everything
//! else as it was sent. With redaction switched off each case finds its value.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use std::collections::HashSet;
use std::time::Duration;
use strongroom_broker::redact::Redaction;
use strongroom_broker::websocket::FromOrigin;
use strongroom_core::scanner::Scanner;

use crate::origin::{
    Arrived, CODINGS, Form, Step, Steps, arrive, decode_some, encode, encode_pieces, forms, named, redaction,
};
use crate::redact_websocket::{Opcode, frame, payloads};

const VALUES: [&str; 3] =
    ["sk_live_51Hx9vQ2mZ8tRkW4nB7c", "p@ss w/rd\"\\&<'é🔑~!*()+>", "eyJhbGciOiJIUzI1NiJ9.e30.x_-Zq"];

/// A text with the form in it, and where.
fn text_with(form: &Form) -> (Vec<u8>, usize) {
    let before = "data: {\"echo\": \"";
    (format!("{before}{}\", \"n\": 42}}\n\n", form.text).into_bytes(), before.len())
}

/// Checks what arrived of a text: with stars for the value, and otherwise as it was.
fn check(case: &str, sent: &[u8], arrived: &[u8], form: &Form, at: usize) {
    assert_eq!(arrived.len(), sent.len(), "{case}: length");
    let value = form.value.start + at..form.value.end + at;
    for (place, (left, came)) in arrived.iter().zip(sent).enumerate() {
        match place {
            _ if value.contains(&place) => assert_eq!(*left, b'*', "{case}: {place}"),
            _ if place + 1 == value.start || place == value.end || *came == b'=' => {
                let is_beside = value != (at..at + form.text.len()) && *left == b'*';
                assert!(left == came || is_beside, "{case}: beside");
            }
            _ => assert_eq!(left, came, "{case}: {place}"),
        }
    }
}

/// The eight bytes with which each form of a value begins.
struct Beginnings(HashSet<Vec<u8>>);

impl Beginnings {
    fn of(value: &str) -> Self {
        let begin = |form: Form| form.text.as_bytes()[form.value.start..form.value.start + 8].to_vec();
        Self(forms(value).into_iter().map(begin).collect())
    }

    /// Whether a text has any of them, and so may have a form or a piece of one.
    fn leak(&self, text: &[u8]) -> bool {
        text.windows(8).any(|window| self.0.contains(window))
    }
}

/// Into which pieces a body is cut: whole, at and beside where the value is or would
/// be, in single bytes, and at two places by chance.
fn cuts(length: usize, at: usize, form: usize, seed: usize) -> Vec<Vec<usize>> {
    let around = [at, at + 1, at + form / 2, at + form - 1, at + form].map(|cut| vec![cut.min(length)]);
    let mut cuts: Vec<Vec<usize>> = around.into();
    cuts.push(Vec::new());
    cuts.push((1..length).collect());
    let chance = |salt: usize| (seed * 7919 + salt * 104_729) % (length + 1);
    let mut two = vec![chance(1), chance(2)];
    two.sort_unstable();
    cuts.push(two);
    cuts
}

fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    for to in cuts.iter().copied().chain([bytes.len()]) {
        if from < to {
            pieces.push(bytes[from..to].to_vec());
        }
        from = to;
    }
    pieces
}

fn response(coding: &str, pieces: Vec<Vec<u8>>, is_known: bool) -> Response<Steps> {
    let length: usize = pieces.iter().map(Vec::len).sum();
    let steps = pieces.into_iter().map(Step::Data);
    let body = if is_known { Steps::of_length(steps) } else { Steps::new(steps) };
    let mut response = Response::new(body);
    if !coding.is_empty() {
        response.headers_mut().insert(CONTENT_ENCODING, named(coding).parse().unwrap());
    }
    if is_known {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

fn check_length(arrived: &Arrived) {
    if let Some(length) = arrived.headers.get(CONTENT_LENGTH) {
        assert_eq!(length.to_str().unwrap(), arrived.body.len().to_string());
    }
}

/// One body, with redaction and without.
async fn reflect(
    case: &str,
    redaction: &Redaction,
    coding: &str,
    pieces: Vec<Vec<u8>>,
    known: bool,
) -> [Vec<u8>; 2] {
    let mut bodies = [Vec::new(), Vec::new()];
    for (redaction, body) in [redaction, &self::redaction(&[])].into_iter().zip(&mut bodies) {
        let arrived = arrive(redaction, response(coding, pieces.clone(), known)).await;
        let arrived = arrived.unwrap_or_else(|error| panic!("{case}: {error}"));
        check_length(&arrived);
        *body = decode_some(&arrived.body, coding);
    }
    bodies
}

#[tokio::test(start_paused = true)]
async fn bodies() {
    let (mut cases, redaction) = (0, redaction(&VALUES));
    for value in VALUES {
        let beginnings = Beginnings::of(value);
        for (form, coding) in forms(value).iter().flat_map(|form| CODINGS.map(|coding| (form, coding))) {
            let (text, at) = text_with(form);
            let encoded = encode(&text, coding);
            let place = if coding.is_empty() { at } else { encoded.len() / 4 };
            for cuts in cuts(encoded.len(), place, form.text.len(), cases) {
                let case = format!("{} of {value} in {coding:?} cut at {cuts:?}", form.name);
                let known = cases % 2 == 0;
                let [body, control] = reflect(&case, &redaction, coding, cut(&encoded, &cuts), known).await;
                check(&case, &text, &body, form, at);
                assert!(!beginnings.leak(&body), "{case}");
                assert!(control == text && beginnings.leak(&control), "{case}: the control");
                cases += 1;
            }
        }
    }
    assert!(cases > 5_000, "{cases}");
}

/// The origin's encoders are flushed in the middle of the value.
#[tokio::test(start_paused = true)]
async fn bodies_that_are_flushed_within_the_value() {
    let (mut cases, redaction) = (0, redaction(&VALUES));
    for value in VALUES {
        let beginnings = Beginnings::of(value);
        for (form, coding) in forms(value).iter().flat_map(|form| CODINGS.map(|coding| (form, coding))) {
            let (text, at) = text_with(form);
            for cuts in cuts(text.len(), at, form.text.len(), cases).into_iter().take(5) {
                let case = format!("{} of {value} in {coding:?} flushed at {cuts:?}", form.name);
                let pieces = encode_pieces(&cut(&text, &cuts), coding);
                let [body, control] = reflect(&case, &redaction, coding, pieces, false).await;
                check(&case, &text, &body, form, at);
                assert!(!beginnings.leak(&body), "{case}");
                assert!(control == text && beginnings.leak(&control), "{case}: the control");
                cases += 1;
            }
        }
    }
    assert!(cases > 2_000, "{cases}");
}

#[tokio::test(start_paused = true)]
async fn headers_and_trailers() {
    let redaction = redaction(&VALUES);
    for value in VALUES {
        let beginnings = Beginnings::of(value);
        for form in forms(value).iter().filter(|form| HeaderValue::from_bytes(form.text.as_bytes()).is_ok()) {
            let sent = format!("a {} b", form.text);
            let mut headers = HeaderMap::new();
            headers.append("x-echo", sent.parse().unwrap());
            headers.append("x-echo", "second".parse().unwrap());
            headers.append("x-plain", "plain".parse().unwrap());
            let mut response =
                Response::new(Steps::new([Step::Data(b"body".to_vec()), Step::Trailers(headers.clone())]));
            *response.headers_mut() = headers.clone();
            let arrived = arrive(&redaction, response).await.unwrap();
            for headers in [arrived.headers, arrived.trailers.unwrap()] {
                let values: Vec<_> = headers.get_all("x-echo").iter().collect();
                check(&form.name, sent.as_bytes(), values[0].as_bytes(), form, 2);
                assert!(values.len() == 2 && values[1] == "second" && headers["x-plain"] == "plain");
            }
            assert!(beginnings.leak(sent.as_bytes()));
        }
    }
}

#[test]
fn names_of_headers() {
    let redaction = redaction(&VALUES);
    let mut headers = HeaderMap::new();
    let name = HeaderName::from_bytes(b"x-SK_live_51Hx9vQ2mZ8tRkW4nB7c").unwrap();
    headers.append(&name, "one".parse().unwrap());
    headers.append(&name, "two".parse().unwrap());
    headers.append("content-type", "text/plain".parse().unwrap());
    redaction.headers(&mut headers);
    let stars = "*".repeat(name.as_str().len());
    assert_eq!(headers.get_all(&stars).iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!((headers.len(), headers["content-type"].as_bytes()), (3, &b"text/plain"[..]));
}

#[tokio::test(start_paused = true)]
async fn events_leave_at_once() {
    let (redaction, second) = (redaction(&VALUES), Duration::from_secs(1));
    for value in VALUES {
        let beginnings = Beginnings::of(value);
        for (form, coding) in forms(value).iter().flat_map(|form| CODINGS.map(|coding| (form, coding))) {
            let case = format!("{} of {value} in {coding:?}", form.name);
            let (text, at) = text_with(form);
            let pieces = encode_pieces(&[text.clone(), text.clone(), Vec::new()], coding);
            let silence = || Step::Silence(10 * second);
            let steps = pieces.into_iter().flat_map(|piece| [Step::Data(piece), silence()]);
            let mut response = Response::new(Steps::new(steps));
            response.headers_mut().insert(CONTENT_ENCODING, named(coding).parse().unwrap());
            let arrived = arrive(&redaction, response).await.unwrap();
            for (number, time) in [(1, 0), (2, 10)] {
                let by_then = arrived.pieces.iter().filter(|(when, _)| *when <= time * second);
                let end = by_then.map(|(_, end)| *end).max().unwrap_or(0);
                let seen = decode_some(&arrived.body[..end], coding);
                assert_eq!(seen.len(), number * text.len(), "{case}: event {number} in time");
                assert!(!beginnings.leak(&seen), "{case}");
                check(&case, &text, &seen[(number - 1) * text.len()..], form, at);
            }
        }
    }
}

#[test]
fn websockets() {
    let (mut cases, values) = (0, VALUES.map(str::as_bytes));
    for value in VALUES {
        let beginnings = Beginnings::of(value);
        for form in &forms(value) {
            let (text, at) = text_with(form);
            let (one, two) = text.split_at(at + form.text.len() / 2);
            let kinds: [(&str, Vec<Vec<u8>>); 6] = [
                ("text", vec![frame(Opcode::Text, true, None, &text)]),
                ("binary", vec![frame(Opcode::Binary, true, None, &text)]),
                (
                    "fragments",
                    vec![frame(Opcode::Text, false, None, one), frame(Opcode::More, true, None, two)],
                ),
                (
                    "around a ping",
                    vec![
                        frame(Opcode::Text, false, None, one),
                        frame(Opcode::Ping, true, None, b"ping"),
                        frame(Opcode::More, true, None, two),
                    ],
                ),
                (
                    "messages",
                    vec![frame(Opcode::Text, true, None, one), frame(Opcode::Text, true, None, two)],
                ),
                ("ping", vec![frame(Opcode::Ping, true, None, form.text.as_bytes())]),
            ];
            for (kind, frames) in
                kinds.into_iter().filter(|(kind, _)| *kind != "ping" || form.text.len() < 126)
            {
                let sent = frames.concat();
                for cuts in cuts(sent.len(), at + 2, form.text.len(), cases) {
                    let case = format!("{} of {value}, {kind}, cut at {cuts:?}", form.name);
                    let [output, control] = [&values[..], &[]].map(|values| {
                        let (mut origin, mut output) =
                            (FromOrigin::new(&Scanner::new(values.iter().copied())), Vec::new());
                        for piece in cut(&sent, &cuts) {
                            origin.push(&piece, &mut output).unwrap();
                        }
                        // Padding may still follow a ping.
                        assert!(kind == "ping" || !origin.holds(), "{case}");
                        origin.flush(&mut output);
                        output
                    });
                    let at = if kind == "ping" { 0 } else { at };
                    let arrived = payloads(&output);
                    check(&case, &payloads(&sent), &arrived, form, at);
                    assert!(!beginnings.leak(&arrived), "{case}");
                    assert!(control == sent && beginnings.leak(&payloads(&control)), "{case}: the control");
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 5_000, "{cases}");
}
