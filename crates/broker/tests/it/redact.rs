//! Plain answers: what is held, and for how long; parts; what gRPC encodes; what passes untouched.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use std::time::Duration;
use strongroom_broker::redact::{Broken, Redaction, Unreadable};

use crate::origin::{Arrived, BrokenOff, Step, Steps, arrive, redaction};

const TOKEN: &str = "sk_live_51Hx9vQ2mZ";

fn data(text: &str) -> Step {
    Step::Data(text.as_bytes().to_vec())
}

fn silence(millis: u64) -> Step {
    Step::Silence(Duration::from_millis(millis))
}

async fn plain(steps: impl IntoIterator<Item = Step>) -> Result<Arrived, Broken<BrokenOff>> {
    arrive(&redaction(&[TOKEN]), Response::new(Steps::new(steps))).await
}

fn millis(arrived: &Arrived) -> Vec<(u128, usize)> {
    arrived.pieces.iter().map(|(when, end)| (when.as_millis(), *end)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_short_beginning_waits_20_ms_and_a_longer_one_a_second() {
    let arrived =
        plain([data("a sk"), silence(5_000), data("y sk_l"), silence(5_000), data("ow")]).await.unwrap();
    assert_eq!(arrived.body, b"a sky sk_low");
    let expected = [(0, 2), (20, 4), (5_000, 6), (6_000, 10), (10_000, 12)];
    // The tokio clock has whole milliseconds, and a timer fires after its time.
    for ((at, end), (expected_at, expected_end)) in millis(&arrived).into_iter().zip(expected) {
        assert!(end == expected_end && at.abs_diff(expected_at) <= 2, "{:?}", millis(&arrived));
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_comes_slowly_is_hidden() {
    let steps = TOKEN.chars().flat_map(|character| [data(&character.to_string()), silence(5_000)]);
    let arrived = plain(steps).await.unwrap();
    assert_eq!(arrived.body, format!("{}{}", &TOKEN[..7], "*".repeat(TOKEN.len() - 7)).as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_body_may_end_like_the_beginning_of_a_value() {
    assert_eq!(plain([data("it is sk_live_51")]).await.unwrap().body, b"it is sk_live_51");
}

#[tokio::test(start_paused = true)]
async fn parts_may_begin_and_end_within_a_value() {
    for (status, range) in [(206, "bytes 0-9/100"), (200, "bytes 0-9/100")] {
        let mut response = Response::new(Steps::of_length([data("9vQ"), data("2mZ, and sk_li")]));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert(CONTENT_RANGE, range.parse().unwrap());
        response.headers_mut().insert(CONTENT_LENGTH, 17.into());
        let arrived = arrive(&redaction(&[TOKEN]), response).await.unwrap();
        assert_eq!(arrived.body, b"******, and *****");
        assert_eq!(arrived.headers[CONTENT_LENGTH], "17");
    }
    let mut response = Response::new(Steps::new([data("--x")]));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    response.headers_mut().insert(CONTENT_TYPE, "Multipart/byteranges; boundary=x".parse().unwrap());
    let blocked = arrive(&redaction(&[TOKEN]), response).await.err();
    assert!(matches!(blocked, Some(Broken::Unreadable(Unreadable::Part))));
}

/// Otherwise whoever asks for one byte after another has all of it.
#[tokio::test(start_paused = true)]
async fn parts_of_next_to_nothing_are_blocked() {
    let part = |text: &str, length: Option<usize>| {
        let step = [data(text)];
        let mut response =
            Response::new(if length.is_some() { Steps::of_length(step) } else { Steps::new(step) });
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        response
    };
    for (text, length) in [("s", Some(1)), ("k_l", Some(3)), ("k_li", None)] {
        let blocked = arrive(&redaction(&[TOKEN]), part(text, length)).await.err();
        assert!(matches!(blocked, Some(Broken::Unreadable(Unreadable::Part))), "{text}");
    }
    for at in 0..TOKEN.len() - 3 {
        let text = &TOKEN[at..at + 4];
        assert_eq!(arrive(&redaction(&[TOKEN]), part(text, Some(4))).await.unwrap().body, b"****", "{at}");
    }
    assert_eq!(arrive(&redaction(&[TOKEN]), part("else", Some(4))).await.unwrap().body, b"else");
}

#[tokio::test(start_paused = true)]
async fn other_encodings_are_blocked() {
    for (name, value) in [("transfer-encoding", "gzip, chunked"), ("grpc-encoding", "gzip")] {
        let respond = || {
            let mut response = Response::new(Steps::new([data("text")]));
            response.headers_mut().insert(name, value.parse().unwrap());
            response
        };
        let blocked = arrive(&redaction(&[TOKEN]), respond()).await.err();
        assert!(matches!(blocked, Some(Broken::Unreadable(Unreadable::Coding))), "{name}");
        assert_eq!(arrive(&redaction(&[]), respond()).await.unwrap().body, b"text");
    }
    let mut response = Response::new(Steps::new([data("text")]));
    response.headers_mut().insert(TRANSFER_ENCODING, "Chunked".parse().unwrap());
    assert_eq!(arrive(&redaction(&[TOKEN]), response).await.unwrap().body, b"text");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_breaks_off_is_heard_of_and_nothing_held_leaves() {
    let mut body = {
        let steps = Steps::new([data("a sk_live"), Step::Failure]);
        redaction(&[TOKEN]).response(Response::new(steps)).await.unwrap().into_body()
    };
    let first = crate::origin::next(&mut body).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "a ");
    assert!(matches!(crate::origin::next(&mut body).await, Some(Err(Broken::Origin(BrokenOff)))));
    assert!(crate::origin::next(&mut body).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn reason_phrases_go_and_other_headers_stay() {
    let respond = |redaction: Redaction| async move {
        let mut response = Response::new(Steps::of_length([data("text")]));
        response.headers_mut().insert(ETAG, "\"1\"".parse().unwrap());
        response.headers_mut().insert(CONTENT_LENGTH, 4.into());
        response.extensions_mut().insert(ReasonPhrase::from_static(TOKEN.as_bytes()));
        redaction.response(response).await.unwrap()
    };
    let response = respond(redaction(&[TOKEN])).await;
    assert!(response.extensions().get::<ReasonPhrase>().is_none());
    assert_eq!(
        (&response.headers()[ETAG], &response.headers()[CONTENT_LENGTH]),
        (&"\"1\"".parse().unwrap(), &4.into())
    );
    assert!(respond(redaction(&[])).await.extensions().get::<ReasonPhrase>().is_some());
}

#[test]
fn answers_may_be_redacted_on_any_thread() {
    fn sent<T: Send + 'static>(_: &T) {}
    fn body<T: http_body::Body + Send + Unpin + 'static>() {}
    let origin = || Response::new(Steps::new([]));
    let redaction = redaction(&[TOKEN]);
    sent(&{
        let redaction = redaction.clone();
        async move { redaction.response(origin()).await }
    });
    body::<strongroom_broker::redact::Redacted<hyper::body::Incoming>>();
}

/// As servers in Go, C, Java and Rust encode them. What is left can be read by clients.
#[test]
fn what_grpc_encodes_is_redacted_in_its_coding() {
    let value = "p@ss w%rd/{\"hunter2\"}~";
    let (redaction, stars) = (redaction(&[value]), "*".repeat(value.len()));
    let redacted = |name: &'static str, text: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert(name, text.parse().unwrap());
        redaction.headers(&mut headers);
        headers[name].to_str().unwrap().to_owned()
    };
    for message in [
        "100%25: p@ss w%25rd/{\"hunter2\"}~",
        "100%25: p@ss w%25rd/{\"hunter2\"}%7E",
        "100%25: p@ss%20w%25rd/%7B%22hunter2%22%7D~",
        "100%25: p%40ss w%25rd%2f%7b\"hunter2\"%7d~",
    ] {
        assert_eq!(redacted("grpc-message", message), format!("100%25: {stars}"), "{message}");
    }
    for engine in [STANDARD, STANDARD_NO_PAD] {
        for before in ["", "u", "u:"] {
            let [sent, expected] = [value, &stars].map(|text| engine.encode(format!("{before}{text} end")));
            assert_eq!(redacted("grpc-status-details-bin", &sent), expected);
            assert_eq!(redacted("x-mine-bin", &sent), expected);
        }
    }
    // What has nothing in it stays, and what isn't what its name says is redacted as any other.
    for (name, text) in [("grpc-message", "100%25: n%6F"), ("x-mine-bin", "bm8"), ("x-mine-bin", "bm8=")] {
        assert_eq!(redacted(name, text), text);
    }
    assert_eq!(redacted("x-mine-bin", value), stars);
}
