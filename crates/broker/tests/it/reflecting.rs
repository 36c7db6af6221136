//! Hosts that send back what they were sent: the value never arrives, by whichever way it comes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use serde_json::json;
use std::time::Duration;
use strongroom_core::secrets::{Edit, Patch};
use strongroom_core::{Bundle, EnvKey, SecretValue};
use tokio::io::AsyncWriteExt as _;

use crate::client::{Answer, ask, http2, request, to_end, tunnel_as, tunnel_to, until};
use crate::harness::{OTHER, SHOP, Scene, VALUE, rule};
use crate::host::contains;
use crate::origin::decode_some;

/// Makes sure that no piece of a value is in what arrived.
pub(crate) fn assert_clean(what: &str, bytes: &[u8]) {
    for value in [VALUE, OTHER] {
        for piece in value.as_bytes().windows(6) {
            let piece = std::str::from_utf8(piece).unwrap();
            assert!(!contains(bytes, piece), "{what}: {}", String::from_utf8_lossy(bytes));
        }
        let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for encoded in [STANDARD.encode(value), form] {
            assert!(!contains(bytes, &encoded), "{what}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

fn assert_starred(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 200, "{what}: {} {}", answer.head, answer.text());
    let whole = [answer.head.as_bytes(), &answer.body].concat();
    assert_clean(what, &whole);
    let stars = "*".repeat(VALUE.len());
    assert!(contains(&whole, &stars), "{what}: {}", String::from_utf8_lossy(&whole));
}

#[tokio::test]
async fn what_was_put_in_comes_back_as_stars() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let (bearer, json) = (format!("Bearer {placeholder}"), json!({"auth": {"key": placeholder}}).to_string());
    let basic = format!("Basic {}", STANDARD.encode(format!("u:{placeholder}")));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for (line, headers, body) in [
        ("GET /bearer/echo".to_owned(), vec![("Authorization", &*bearer)], String::new()),
        ("GET /bearer/headers".into(), vec![("Authorization", &*bearer)], String::new()),
        ("GET /bearer/trailers".into(), vec![("Authorization", &*bearer), ("TE", "trailers")], String::new()),
        ("GET /header/echo".into(), vec![("X-Key", &*placeholder)], String::new()),
        (format!("GET /query/echo?key={placeholder}"), vec![], String::new()),
        ("POST /form/echo".into(), vec![form], format!("key={placeholder}")),
        ("POST /json/echo".into(), vec![("Content-Type", "application/json")], json),
        ("GET /password/echo".into(), vec![("Authorization", &*basic)], String::new()),
    ] {
        assert_starred(&line, &ask(&scene, &line, &headers, &body).await);
        let mut seen = scene.shop.seen();
        let seen = seen.pop().unwrap();
        let sent = format!("{} {:?} {}", seen.uri, seen.headers, String::from_utf8_lossy(&seen.body));
        assert!(!sent.contains(&placeholder), "{line}: {sent}");
    }
    assert!(scene.shop.was_sent(VALUE), "the control");
}

#[tokio::test]
async fn it_comes_back_as_stars_by_http2_too() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.placeholder("KEY").await);
    for doing in ["echo", "headers", "trailers"] {
        let mut client = http2(&scene, scene.token()).await;
        let get = http::Request::get(format!("https://{SHOP}/bearer/{doing}"));
        let get = get.header("authorization", &bearer).header("te", "trailers");
        let answer = client.send(get, "").await;
        assert_starred(doing, &answer);
        assert_eq!(scene.shop.only().version, http::Version::HTTP_2);
        if doing == "trailers" {
            assert!(answer.head.contains("\"grpc-status\": \"0\""), "{}", answer.head);
        }
    }
}

#[tokio::test]
async fn compressed_it_comes_back_as_stars_and_compressed() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.placeholder("KEY").await);
    let headers = [("Authorization", &*bearer), ("Accept-Encoding", "gzip")];
    let mut answer = ask(&scene, "GET /bearer/gzip", &headers, "").await;
    assert!(answer.head.contains("Content-Encoding: gzip"), "{}", answer.head);
    answer.body = decode_some(&answer.body, "gzip");
    assert_starred("gzip", &answer);
    let get = http::Request::get(format!("https://{SHOP}/bearer/gzip")).header("authorization", &bearer);
    let mut answer = http2(&scene, scene.token()).await.send(get, "").await;
    answer.body = decode_some(&answer.body, "gzip");
    assert_starred("gzip by HTTP/2", &answer);
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_sent() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.placeholder("KEY").await);
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    tunnel.write_all(&request("GET /bearer/events", &[("Authorization", &bearer)], "")).await.unwrap();
    let first = until(&mut tunnel, "\n\n").await;
    scene.shop.at.go_on.notify_one();
    let second = until(&mut tunnel, "data: 2").await;
    assert_clean("events", &[first.clone(), second].concat());
    assert!(contains(&first, &"*".repeat(VALUE.len())) && !contains(&first, "data: 2"));
    let mut client = http2(&scene, scene.token()).await;
    let get = http::Request::get(format!("https://{SHOP}/bearer/events")).header("authorization", &bearer);
    let empty = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut answer = client.open(get, empty).await.unwrap();
    let mut text = Vec::new();
    while !contains(&text, "data: 1") || !text.ends_with(b"\n\n") {
        text.extend(answer.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    scene.shop.at.go_on.notify_one();
    let rest = answer.collect().await.unwrap().to_bytes();
    assert!(contains(&rest, "data: 2"));
    assert_clean("events by HTTP/2", &[text, rest.to_vec()].concat());
}

/// A text as a client sends it: masked, though with nothing.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[tokio::test]
async fn a_websocket_says_stars_and_takes_no_placeholder() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    let head = format!(
        "GET /bearer/ws HTTP/1.1\r\nHost: {SHOP}\r\nAuthorization: Bearer {placeholder}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    );
    tunnel.write_all(head.as_bytes()).await.unwrap();
    let said = until(&mut tunnel, &"*".repeat(VALUE.len())).await;
    assert!(said.starts_with(b"HTTP/1.1 101"));
    assert_clean("a WebSocket", &said);
    tunnel.write_all(&frame("hello")).await.unwrap();
    while !scene.shop.was_sent("hello") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tunnel.write_all(&frame(&placeholder[..20])).await.unwrap();
    tunnel.write_all(&frame(&placeholder[20..])).await.unwrap();
    let rest = to_end(&mut tunnel).await;
    assert_eq!(rest, [0x88, 2, 0x03, 0xf0], "it is closed because of a policy");
    assert!(!scene.shop.was_sent(&placeholder[20..]) && !scene.shop.was_sent("permessage-deflate"));
    let recorded = scene.recorded().await;
    assert_eq!(recorded.last().unwrap().refused.as_deref(), Some("placeholder_misplaced"));
}

#[tokio::test]
async fn what_another_request_brought_to_the_host_comes_back_as_stars() {
    let mut scene = Scene::new().await;
    let mut elsewhere = rule("/mine", &json!({"header": "x-mine"}));
    elsewhere["port"] = json!(8443);
    let rules = [rule("/mine", &json!({"header": "x-mine"})), elsewhere];
    scene.another(&[("MINE", "a-value-that-is-not-the-other")], &json!(rules)).await;
    scene.run = scene.another_run().await;
    let placeholder = scene.placeholder("KEY").await;
    assert_eq!(ask(&scene, "GET /header", &[("X-Key", &placeholder)], "").await.status, 200);
    // Covered by no rule of the value's secret, though the host still knows it.
    assert_starred("at the same port", &ask(&scene, "GET /mine/recall", &[], "").await);
    let own = ("Host", "api.shop.example:8443");
    let stream = crate::client::connect(&scene, scene.token(), "api.shop.example:8443").await.unwrap();
    let mut tunnel = crate::client::greet(&scene, stream, (SHOP, &[])).await.unwrap();
    tunnel.write_all(&request("GET /mine/recall", &[own], "")).await.unwrap();
    let said = to_end(&mut tunnel).await;
    assert_clean("at another port", &said);
    assert!(contains(&said, &"*".repeat(VALUE.len())));
}

#[tokio::test]
async fn a_value_that_was_replaced_in_mid_run_comes_back_as_stars_too() {
    const NEW: &str = "another-value-0a1b2c3d4e5f";
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let said = async |token: &str, placeholder: &str| {
        let mut tunnel = tunnel_as(&scene, token, SHOP).await;
        tunnel.write_all(&request("POST /header/echo", &[("X-Key", placeholder)], VALUE)).await.unwrap();
        to_end(&mut tunnel).await
    };
    assert_clean("before", &said(scene.token(), &placeholder).await);
    let new = vec![(EnvKey::parse("KEY").unwrap(), SecretValue::parse(NEW.to_owned()).unwrap())];
    let values = Edit::Change { rename: vec![], remove: vec![], add: Bundle::new(new).unwrap() };
    let (owner, patch) = (scene.owner_now().await, Patch { values, ..Patch::default() });
    scene.done(&owner, scene.app.update_secret(&owner, scene.secret, &patch).await).await;
    scene.pass(Duration::from_secs(2));
    let after = said(scene.token(), &placeholder).await;
    assert_clean("after", &after);
    assert!(scene.shop.was_sent(NEW) && !contains(&after, NEW), "{}", String::from_utf8_lossy(&after));
    // A run that began later never had it: to it that is a word like any other.
    scene.pass(Duration::from_secs(2));
    let later = scene.another_run().await;
    let token = later.broker_token.as_ref().unwrap().reveal();
    let placeholder = scene.placeholder_of(token, "KEY").await;
    let later = said(token, &placeholder).await;
    assert!(contains(&later, VALUE) && !contains(&later, NEW), "{}", String::from_utf8_lossy(&later));
}
