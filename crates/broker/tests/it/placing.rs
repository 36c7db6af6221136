//! Where values go in: in every place that a rule names, and nowhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::addresses::percent;
use crate::client::{ask, basic, raw};
use crate::harness::{OTHER, Scene, VALUE};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// The value as a form or a query has it.
fn encoded() -> String {
    form_urlencoded::byte_serialize(VALUE.as_bytes()).collect()
}

fn pair(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn a_value_takes_its_place_in_every_placement() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let bearer = format!("bearer {placeholder}");
    let answer = ask(&scene, "GET /bearer/echo", &[("Authorization", &bearer)], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.shop.only().headers["authorization"], format!("bearer {VALUE}"));
    ask(&scene, "GET /header", &[("X-Key", &placeholder)], "").await;
    assert_eq!(scene.shop.only().headers["x-key"], VALUE);
    ask(&scene, &format!("GET /query?a=1&key={placeholder}&b=2"), &[], "").await;
    let uri = scene.shop.only().uri;
    let pairs: Vec<_> = form_urlencoded::parse(uri.split_once('?').unwrap().1.as_bytes()).collect();
    assert_eq!(pairs.iter().map(|(_, value)| &**value).collect::<Vec<_>>(), ["1", VALUE, "2"]);
    for body in [format!("a=1&key={placeholder}"), format!("key={placeholder}&a=1")] {
        let answer = ask(&scene, "POST /form", &[FORM], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = scene.shop.only().body;
        let pairs: Vec<_> = form_urlencoded::parse(&seen).collect();
        assert!(pairs.contains(&("key".into(), VALUE.into())) && pairs.contains(&("a".into(), "1".into())));
    }
    let body = json!({"auth": {"key": placeholder}, "more": [1, "two"]});
    let answer = ask(&scene, "POST /json", &[JSON], &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen: serde_json::Value = serde_json::from_slice(&scene.shop.only().body).unwrap();
    assert_eq!(seen, json!({"auth": {"key": VALUE}, "more": [1, "two"]}));
    for (path, given, expected) in [
        ("/user", pair(&placeholder, "p"), pair(VALUE, "p")),
        ("/password", pair("u", &placeholder), pair("u", VALUE)),
    ] {
        ask(&scene, &format!("GET {path}"), &[("Authorization", &given)], "").await;
        assert_eq!(scene.shop.only().headers["authorization"], expected);
    }
    assert!(!scene.shop.was_sent(&placeholder));
}

#[tokio::test]
async fn a_placeholder_in_any_other_place_is_refused_and_gets_nowhere() {
    let scene = Scene::new().await;
    let placeholder = &scene.placeholder("KEY").await;
    let other = &scene.placeholder("OTHER_KEY").await;
    assert_ne!(placeholder, other);
    let base64 = &STANDARD.encode(placeholder);
    let percent = &percent(placeholder);
    let header = |name: &'static str, value: String| vec![(name, value)];
    let mut heads: Vec<(String, Vec<(&str, String)>)> = vec![
        (format!("GET /bearer/{placeholder}"), vec![]),
        (format!("GET /bearer/{percent}"), vec![]),
        (format!("GET /bearer/{base64}"), vec![]),
        (format!("GET /bearer/echo?key={placeholder}"), vec![]),
        (format!("GET /query?other={placeholder}"), vec![]),
        (format!("GET /query?key=x{placeholder}"), vec![]),
        (format!("GET /query?key={base64}"), vec![]),
        (format!("GET /query?{placeholder}=key"), vec![]),
        (format!("GET /query?{placeholder}"), vec![]),
        (format!("GET /query?KEY={percent}"), vec![]),
        (format!("{placeholder} /bearer"), vec![]),
        ("GET /bearer".into(), header("X-Key", placeholder.clone())),
        ("GET /bearer".into(), header("Cookie", format!("a={placeholder}"))),
        ("GET /bearer".into(), header("Cookie", format!("a={percent}"))),
        ("GET /bearer".into(), header("Authorization", placeholder.clone())),
        ("GET /bearer".into(), header("Authorization", format!("Token {placeholder}"))),
        ("GET /bearer".into(), header("Authorization", format!("Bearer  {placeholder}"))),
        ("GET /bearer".into(), header("Authorization", format!("Bearer {placeholder}x"))),
        ("GET /bearer".into(), header("Authorization", format!("Bearer {placeholder} {placeholder}"))),
        ("GET /bearer".into(), header("Authorization", format!("Bearer {base64}"))),
        ("GET /bearer".into(), header("Authorization", pair("u", placeholder))),
        ("GET /user".into(), header("Authorization", pair("u", placeholder))),
        ("GET /password".into(), header("Authorization", pair(placeholder, "p"))),
        ("GET /password".into(), header("Authorization", pair("u", &format!("{placeholder}x")))),
        ("GET /password".into(), header("X-Authorization", pair("u", placeholder))),
        ("GET /header".into(), header("X-Key", base64.clone())),
        ("GET /header".into(), header("X-Key", percent.clone())),
        ("GET /header".into(), header("Referer", format!("https://{}/?{placeholder}", crate::harness::SHOP))),
    ];
    let bearer = format!("Bearer {placeholder}");
    // Also beside one in its right place.
    heads.push((
        "GET /bearer".into(),
        vec![("Authorization", bearer.clone()), ("X-Key", placeholder.clone())],
    ));
    heads.push(("GET /bearer".into(), vec![("Authorization", bearer.clone()), ("Authorization", bearer)]));
    for (line, headers) in &heads {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = ask(&scene, line, &headers, "").await;
        assert!(answer.status >= 400, "{line} {headers:?}");
        assert!(!answer.text().contains(placeholder.as_str()), "{line}: {}", answer.text());
        answer.refusal();
    }
    assert!(!scene.shop.was_sent(placeholder));
    let recorded = scene.recorded().await;
    let mut ended = recorded.iter().filter(|one| one.ended);
    assert!(ended.all(|one| one.refused.is_some()) && recorded.len() >= heads.len(), "{recorded:?}");
}

#[tokio::test]
async fn a_placeholder_in_any_other_place_of_a_body_is_refused() {
    let scene = Scene::new().await;
    let placeholder = &scene.placeholder("KEY").await;
    let (base64, percent) = (&STANDARD.encode(placeholder), &percent(placeholder));
    let json = |text: String| (vec![JSON], text);
    let (text, twice) = (json!({"auth": {"key": "k"}, "x": placeholder}), json!([placeholder, placeholder]));
    let escaped = format!("\\u{:04x}{}", placeholder.as_bytes()[0], &placeholder[1..]);
    for (line, (headers, body)) in [
        ("POST /bearer", (vec![], placeholder.clone())),
        ("POST /bearer", (vec![], percent.clone())),
        ("POST /bearer", (vec![], base64.clone())),
        ("POST /bearer", json(json!({"auth": {"key": placeholder}}).to_string())),
        ("POST /json", json(text.to_string())),
        ("POST /json", json(twice.to_string())),
        ("POST /json", json(json!({"auth": {"key": format!("x{placeholder}")}}).to_string())),
        ("POST /json", json(json!({"auth": {placeholder.clone(): "key"}}).to_string())),
        ("POST /json", json(json!({"auth": {"key": base64}}).to_string())),
        ("POST /json", json(format!("{{\"auth\": {{\"key\": \"{placeholder}\""))),
        ("POST /json", json(format!("{{\"{placeholder}\": 1, \"auth\": {{\"key\": \"{escaped}\"}}}}"))),
        (
            "POST /json",
            json(format!("{{\"auth\": {{\"key\": \"{escaped}\"}}, \"x\": \"{placeholder}\", \"x\": \"\"}}")),
        ),
        ("POST /json", (vec![FORM], format!("key={placeholder}"))),
        ("POST /form", (vec![FORM], format!("other={placeholder}"))),
        ("POST /form", (vec![FORM], format!("key=x{placeholder}"))),
        ("POST /form", (vec![FORM], format!("key={placeholder};other=1"))),
        ("POST /form", (vec![FORM], format!("{placeholder}=key"))),
        ("POST /form", (vec![FORM], format!("key={percent}"))),
        ("POST /form", (vec![FORM], format!("key={base64}"))),
        ("POST /form", json(json!({"key": placeholder}).to_string())),
    ] {
        let answer = ask(&scene, line, &headers, &body).await;
        assert!(answer.status >= 400, "{line} {body}: {} {}", answer.status, answer.text());
        answer.refusal();
    }
    assert!(!scene.shop.was_sent(placeholder));
    for value in [VALUE, OTHER, &encoded()] {
        assert!(!scene.shop.was_sent(value));
    }
}

#[tokio::test]
async fn without_a_run_s_token_nothing_is_asked() {
    let scene = Scene::new().await;
    let (own, other) = (scene.token().to_owned(), scene.run.token.reveal().to_owned());
    for token in ["", "srb_", "x", &other, &own.to_uppercase(), &own[..own.len() - 1], &format!("{own}x")] {
        for scheme in [basic(token), format!("Bearer {token}")] {
            let head = format!(
                "CONNECT api.shop.example:443 HTTP/1.1\r\nhost: a\r\nproxy-authorization: {scheme}\r\nconnection: close\r\n\r\n"
            );
            let answer = raw(&scene, head.as_bytes()).await;
            assert_eq!((answer.status, &*answer.refusal()), (407, "invalid_token"));
            assert!(answer.head.to_ascii_lowercase().contains("proxy-authenticate: basic"));
        }
    }
}
