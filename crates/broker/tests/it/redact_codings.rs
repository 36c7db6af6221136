//! Bodies in content codings: when they pass as they came, what blocks them, how much
//! of them is in memory, and that streams keep their pace.

use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG};
use proptest::prelude::*;
use std::time::Duration;
use strongroom_broker::redact::{Broken, Unreadable};

use crate::origin::{
    Arrived, BrokenOff, CODINGS, Step, Steps, arrive, decode_some, encode, named, next, redaction,
};

const TOKEN: &str = "sk_live_51Hx9vQ2mZ";

fn respond(coding: &str, body: Steps) -> Response<Steps> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, named(coding).parse().unwrap());
    headers.insert(ETAG, "\"1\"".parse().unwrap());
    headers.insert("content-md5", "x".parse().unwrap());
    headers.insert("repr-digest", "x".parse().unwrap());
    headers.insert(CONTENT_LENGTH, 7.into());
    response
}

async fn known(coding: &str, body: &[u8]) -> Result<Arrived, Broken<BrokenOff>> {
    let steps = body.chunks(100).map(|piece| Step::Data(piece.to_vec()));
    arrive(&redaction(&[TOKEN]), respond(coding, Steps::of_length(steps))).await
}

async fn unknown(coding: &str, body: &[u8]) -> Result<Arrived, Broken<BrokenOff>> {
    let steps = body.chunks(100).map(|piece| Step::Data(piece.to_vec()));
    arrive(&redaction(&[TOKEN]), respond(coding, Steps::new(steps))).await
}

fn codings() -> impl Iterator<Item = &'static str> {
    CODINGS.into_iter().filter(|coding| !coding.is_empty())
}

#[tokio::test(start_paused = true)]
async fn a_short_body_without_a_value_passes_as_it_came() {
    for coding in codings() {
        let body = encode(b"nothing in here", coding);
        let arrived = known(coding, &body).await.unwrap();
        assert_eq!(arrived.body, body, "{coding}");
        assert!(arrived.headers.contains_key(CONTENT_LENGTH) && arrived.headers.contains_key("content-md5"));
        let arrived = unknown(coding, &body).await.unwrap();
        assert_eq!(decode_some(&arrived.body, coding), b"nothing in here");
        assert!(
            !arrived.headers.contains_key(CONTENT_LENGTH) && !arrived.headers.contains_key("content-md5")
        );
        assert!(!arrived.headers.contains_key("repr-digest") && arrived.headers.contains_key(ETAG));
    }
}

#[tokio::test(start_paused = true)]
async fn no_body_passes() {
    for coding in codings().chain(["compress"]) {
        let arrived = arrive(&redaction(&[TOKEN]), respond(coding, Steps::new([]))).await.unwrap();
        assert!(arrived.body.is_empty() && arrived.headers.contains_key(CONTENT_LENGTH), "{coding}");
        if coding != "compress" {
            let arrived =
                arrive(&redaction(&[TOKEN]), respond(coding, Steps::new([Step::Data(vec![])]))).await;
            assert!(arrived.unwrap().body.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_into_is_blocked() {
    for coding in ["compress", "dcb", "aes128gcm", "gzip, gzip, gzip", "gzip, other"] {
        let blocked = known(coding, b"body").await.err();
        assert!(matches!(blocked, Some(Broken::Unreadable(Unreadable::Coding))), "{coding}");
    }
    // A window of up to 1 GiB, which no browser takes.
    let blocked = known("br", b"\x11\x1e\x00\x00body").await.err();
    assert!(matches!(blocked, Some(Broken::Unreadable(Unreadable::Coding))));
    let text: Vec<u8> =
        (0..20_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for coding in codings() {
        let body = encode(&text[..1000], coding);
        let spoilt = [
            ("cut", body[..body.len() - 3].to_vec()),
            ("longer", [&body[..], b"and more"].concat()),
            ("no such thing", b"\xff\xff{\"plain\": true}".to_vec()),
        ];
        for (how, body) in spoilt {
            for arrived in [known(coding, &body).await, unknown(coding, &body).await] {
                assert!(
                    matches!(arrived.err(), Some(Broken::Unreadable(Unreadable::Corrupt))),
                    "{coding} {how}"
                );
            }
        }
        let mut response = respond(coding, Steps::new([Step::Data(body)]));
        *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
        let blocked = arrive(&redaction(&[TOKEN]), response).await.err();
        assert!(matches!(blocked, Some(Broken::Unreadable(Unreadable::Part))), "{coding}");
        let long = encode(&text, coding);
        assert!(matches!(known(coding, &long[..long.len() - 3]).await.err(), Some(Broken::Unreadable(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn members_may_follow_one_another() {
    for coding in ["gzip", "zstd"] {
        let (one, two) = TOKEN.as_bytes().split_at(9);
        let body = [encode(one, coding), encode(two, coding)].concat();
        for arrived in [known(coding, &body).await, unknown(coding, &body).await] {
            assert_eq!(decode_some(&arrived.unwrap().body, coding), b"*".repeat(TOKEN.len()));
        }
    }
}

/// What expands enormously is worked on in small pieces, each of which leaves before
/// the next is made.
#[tokio::test(start_paused = true)]
async fn bombs_are_never_unpacked_at_once() {
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let mut text = vec![b'a'; 64 << 20];
        text.extend_from_slice(TOKEN.as_bytes());
        let body = Steps::new([Step::Data(encode(&text, coding))]);
        let mut body = redaction(&[TOKEN]).response(respond(coding, body)).await.unwrap().into_body();
        let mut arrived = 0;
        while let Some(frame) = next(&mut body).await {
            let length = frame.unwrap().into_data().unwrap().len();
            assert!(length < 256 << 10, "{coding}: {length}");
            arrived += length;
        }
        assert!(arrived < 1 << 20, "{coding}: {arrived}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_body_leaves_as_it_comes() {
    let lines: Vec<u8> =
        (0..20_000_u32).flat_map(|line| format!("line {line} {TOKEN}\n").into_bytes()).collect();
    let expected = String::from_utf8(lines.clone()).unwrap().replace(TOKEN, &"*".repeat(TOKEN.len()));
    for coding in codings() {
        let encoded = encode(&lines, coding);
        let steps = encoded
            .chunks(4096)
            .flat_map(|piece| [Step::Data(piece.to_vec()), Step::Silence(Duration::from_secs(1))]);
        let arrived = arrive(&redaction(&[TOKEN]), respond(coding, Steps::new(steps))).await.unwrap();
        assert!(decode_some(&arrived.body, coding) == expected.as_bytes(), "{coding}");
        let halfway = Duration::from_millis(encoded.len() as u64 / 4096 * 500);
        assert!(arrived.pieces[0].0 <= halfway, "{coding}: {:?}", arrived.pieces[0].0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_leaves_is_the_same_however_it_is_cut(
        text in "([ab ]{0,9}|sk_live_51Hx9vQ2mZ|sk_live_){0,12}",
        coding in prop::sample::select(CODINGS.to_vec()),
        cuts in prop::collection::vec(1..40_usize, 1..9),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let encoded = encode(text.as_bytes(), coding);
        let (mut rest, mut steps) = (&encoded[..], Vec::new());
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            steps.push(Step::Data(piece.to_vec()));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let arrived = runtime.block_on(arrive(&redaction(&[TOKEN]), respond(coding, Steps::new(steps)))).unwrap();
        let expected = text.replace(TOKEN, &"*".repeat(TOKEN.len()));
        prop_assert_eq!(decode_some(&arrived.body, coding), expected.as_bytes());
    }
}
