//! Credentials that aren't the run's, values that don't fit where they go, and what refusals say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::client::{ask, basic, raw};
use crate::harness::{Scene, Setup, rule};

fn pair(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn nobody_speaks_to_the_host_in_another_name() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let (bearer, mine) = (format!("Bearer {placeholder}"), pair("u", "mine"));
    let mut cases = vec![
        ("GET /bearer".to_owned(), vec![("AUTHORIZATION", "Bearer mine")]),
        ("GET /bearer".into(), vec![("Authorization", "mine")]),
        ("GET /bearer".into(), vec![("Authorization", "")]),
        ("GET /bearer".into(), vec![("Authorization", &*mine)]),
        ("GET /bearer".into(), vec![("Authorization", &*bearer), ("X-Api-Key", "mine")]),
        ("GET /bearer".into(), vec![("Authorization", &*bearer), ("authorization", "Bearer mine")]),
        ("GET /bearer".into(), vec![("authorization", "Bearer mine"), ("Authorization", &*bearer)]),
        ("GET /header".into(), vec![("x-KEY", "mine")]),
        ("GET /header".into(), vec![("X-Key", &*placeholder), ("x-key", "mine")]),
        ("GET /header".into(), vec![("X-Key", &*placeholder), ("Authorization", &*mine)]),
        ("GET /user".into(), vec![("Authorization", &*mine)]),
        ("GET /password".into(), vec![("Authorization", &*mine)]),
        ("GET /password".into(), vec![("Authorization", "Bearer mine")]),
        ("GET /query?key=mine".into(), vec![]),
        ("GET /query?k%65y=mine".into(), vec![]),
        (format!("GET /query?key={placeholder}&key=mine"), vec![]),
        (format!("GET /query?key=mine&key={placeholder}"), vec![]),
        ("GET /bearer?access_token=mine".into(), vec![("Authorization", &*bearer)]),
        ("GET /bearer?API%5fKEY=mine".into(), vec![("Authorization", &*bearer)]),
        ("GET /bearer?token=mine".into(), vec![("Authorization", &*bearer)]),
        ("GET /bearer?key=mine".into(), vec![]),
    ];
    for name in
        ["X-Auth-Token", "x-access-token", "PRIVATE-TOKEN", "Api-Key", "X-Vault-Token", "x-goog-api-key"]
    {
        cases.push(("GET /bearer".into(), vec![("Authorization", &*bearer), (name, "mine")]));
    }
    for (line, headers) in &cases {
        let refused = ask(&scene, line, headers, "").await.refusal();
        let expected = ["foreign_credential", "placeholder_misplaced"];
        assert!(expected.contains(&&*refused), "{line} {headers:?}: {refused}");
    }
    assert_eq!(scene.shop.accepted(), 0);
    // The controls: the run's own, none at all, and a rule that allows others.
    for headers in [vec![("Authorization", &*bearer)], vec![("X-Other", "mine")]] {
        assert_eq!(ask(&scene, "GET /bearer?q=1", &headers, "").await.status, 200);
    }
    let mut allowing = rule("/bearer", &json!({"header": "authorization", "scheme": "Bearer"}));
    allowing["allow_foreign"] = json!(true);
    scene.set_policy(&json!([allowing])).await;
    scene.shop.seen();
    assert_eq!(ask(&scene, "GET /bearer", &[("Authorization", "Bearer mine")], "").await.status, 200);
    assert_eq!(scene.shop.only().headers["authorization"], "Bearer mine");
    let two = [("Authorization", &*bearer), ("authorization", "Bearer mine")];
    assert_eq!(ask(&scene, "GET /bearer", &two, "").await.refusal(), "placeholder_misplaced");
}

#[tokio::test]
async fn nobody_speaks_in_another_name_in_a_body_either() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let json = ("Content-Type", "application/json");
    for (line, kind, body) in [
        ("POST /form", form, "key=mine".to_owned()),
        ("POST /form", form, format!("key={placeholder}&key=mine")),
        ("POST /form", form, format!("k%65y=mine&key={placeholder}")),
        ("POST /json", json, json!({"auth": {"key": "mine"}}).to_string()),
        ("POST /json", json, json!({"auth": {"key": {"of": "mine"}}}).to_string()),
    ] {
        assert_eq!(ask(&scene, line, &[kind], &body).await.refusal(), "foreign_credential", "{body}");
    }
    assert_eq!(scene.shop.accepted(), 0);
    for (line, kind, body) in [
        ("POST /form", form, format!("key={placeholder}&other=mine")),
        ("POST /form", form, "other=mine".to_owned()),
        ("POST /json", json, json!({"auth": {"key": placeholder}, "key": "mine"}).to_string()),
        ("POST /json", json, json!({"auth": {"key": null}}).to_string()),
    ] {
        assert_eq!(ask(&scene, line, &[kind], &body).await.status, 200, "{body}");
    }
}

/// What a rule was asked about is what the host does.
#[tokio::test]
async fn no_header_says_another_method_or_path() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let bearer = format!("Bearer {placeholder}");
    let names =
        ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"];
    for name in names {
        let headers = [("Authorization", &*bearer), (name, "DELETE")];
        assert_eq!(ask(&scene, "GET /bearer", &headers, "").await.refusal(), "unsupported", "{name}");
    }
    let asked = ask(&scene, "GET /bearer?a=1&_m%65thod=DELETE", &[("Authorization", &*bearer)], "").await;
    assert_eq!(asked.refusal(), "unsupported");
    assert_eq!(scene.shop.accepted(), 0);
    // Where rules say nothing of methods and paths, it makes no difference.
    scene.set_policy(&json!([rule("/", &json!({"header": "authorization", "scheme": "Bearer"}))])).await;
    let headers = [("Authorization", &*bearer), ("X-HTTP-Method-Override", "GET")];
    assert_eq!(ask(&scene, "GET /bearer", &headers, "").await.status, 200);
}

#[tokio::test]
async fn nothing_that_describes_a_body_is_said_to_be_for_one_hop() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.placeholder("KEY").await);
    for (name, value) in [
        ("Connection", "content-type"),
        ("Connection", "close, Content-Encoding"),
        ("Content-Type", "text/plain"),
    ] {
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json"), (name, value)];
        assert_eq!(ask(&scene, "GET /bearer", &headers, "").await.refusal(), "invalid_request", "{value}");
    }
    assert_eq!(scene.shop.accepted(), 0);
}

/// What stands for the value in each kind of place, or nothing where it can't.
async fn placed(value: &str) -> [Option<String>; 7] {
    let scene = Scene::with(Setup { value: value.to_owned(), ..Setup::default() }).await;
    let placeholder = scene.placeholder("KEY").await;
    let (bearer, json) = (format!("Bearer {placeholder}"), json!({"auth": {"key": placeholder}}).to_string());
    let (user, password) = (pair(&placeholder, "p"), pair("u", &placeholder));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let cases = [
        ("GET /bearer".to_owned(), vec![("Authorization", &*bearer)], String::new()),
        ("GET /header".into(), vec![("X-Key", &*placeholder)], String::new()),
        (format!("GET /query?key={placeholder}"), vec![], String::new()),
        ("POST /form".into(), vec![form], format!("key={placeholder}")),
        ("POST /json".into(), vec![("Content-Type", "application/json")], json),
        ("GET /user".into(), vec![("Authorization", &*user)], String::new()),
        ("GET /password".into(), vec![("Authorization", &*password)], String::new()),
    ];
    let mut got = [const { None }; 7];
    for (at, (line, headers, body)) in cases.iter().enumerate() {
        let answer = ask(&scene, line, headers, body).await;
        if answer.status != 200 {
            assert_eq!(answer.refusal(), "value_unfit", "{line} {value:?}");
            assert_eq!(scene.shop.seen().len(), 0);
            continue;
        }
        let seen = scene.shop.only();
        let text = |name| String::from_utf8(seen.headers[name].as_bytes().to_vec()).unwrap();
        let pairs = |text: &[u8]| form_urlencoded::parse(text).next().unwrap().1.into_owned();
        let decoded = || String::from_utf8(STANDARD.decode(&text("authorization")[6..]).unwrap()).unwrap();
        got[at] = Some(match at {
            0 => text("authorization").strip_prefix("Bearer ").unwrap().to_owned(),
            1 => text("x-key"),
            2 => pairs(seen.uri.split_once('?').unwrap().1.as_bytes()),
            3 => pairs(&seen.body),
            4 => serde_json::from_slice::<serde_json::Value>(&seen.body).unwrap()["auth"]["key"]
                .as_str()
                .unwrap()
                .into(),
            5 => decoded().strip_suffix(":p").unwrap().to_owned(),
            _ => decoded().strip_prefix("u:").unwrap().to_owned(),
        });
    }
    got
}

#[tokio::test]
async fn a_value_gets_there_as_it_is_or_not_at_all() {
    // In headers as they are, in all other places encoded.
    for (value, in_headers, as_user) in [
        ("plain-value-1", true, true),
        ("line\r\nX-Injected: 1", false, false),
        ("line\nbreak-value", false, true),
        ("carriage\rreturn", false, true),
        ("\r\n\r\nGET /smuggled HTTP/1.1", false, true),
        (" space-before", false, true),
        ("space-behind ", false, true),
        ("\ttab-before", false, true),
        ("delete\u{7f}d-value", false, true),
        ("bell\u{7}-value", false, true),
        ("r\u{e9}sum\u{e9}-value-\u{1f511}", true, true),
        ("a=1&b=2;c%20+\"\\'<>{}", true, true),
        ("colon:in-the-value", true, false),
    ] {
        let expected = |fits: bool| fits.then(|| value.to_owned());
        let header = expected(in_headers);
        let all = || expected(true);
        let expected = [header.clone(), header, all(), all(), all(), expected(as_user), all()];
        assert_eq!(placed(value).await, expected, "{value:?}");
    }
}

#[tokio::test]
async fn a_refusal_says_nothing_of_what_was_sent() {
    const MARKER: &str = "m4rker-of-the-request";
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let bearer = format!("Bearer {placeholder}");
    let (own, other) = (("X-Marker", MARKER), ("Authorization", MARKER));
    let mut refused = Vec::new();
    for (line, headers, body) in [
        (format!("GET /admin/{MARKER}?{MARKER}"), vec![own], ""),
        (format!("GET /{placeholder}/{MARKER}"), vec![own], ""),
        (format!("{MARKER} /bearer"), vec![own], ""),
        (format!("{placeholder} /bearer"), vec![own], ""),
        (format!("GET /query?{MARKER}={placeholder}"), vec![own], ""),
        ("GET /bearer".into(), vec![own, other], ""),
        ("GET /bearer".into(), vec![own, ("X-Key", &bearer)], ""),
        ("GET /bearer".into(), vec![own, ("Host", MARKER)], ""),
        ("GET /bearer".into(), vec![own, ("Upgrade", MARKER)], ""),
        ("TRACE /bearer".into(), vec![own], ""),
        ("POST /bearer".into(), vec![own], &*placeholder),
    ] {
        refused.push(ask(&scene, &line, &headers, body).await);
    }
    for (line, token) in [
        (format!("GET http://{MARKER}.example/{MARKER}"), scene.token()),
        (format!("GET /{MARKER}"), scene.token()),
        (format!("CONNECT {MARKER}"), scene.token()),
        (format!("CONNECT {MARKER}:1"), MARKER),
    ] {
        let token = basic(token);
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {MARKER}\r\nx-marker: {MARKER}\r\nproxy-authorization: {token}\r\nconnection: close\r\n\r\n"
        );
        refused.push(raw(&scene, head.as_bytes()).await);
    }
    for answer in &refused {
        answer.refusal();
        assert!(
            answer.status >= 400 && !answer.head.contains(MARKER) && !answer.text().contains(MARKER),
            "{answer:?}"
        );
        let names: Vec<_> = answer.head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
        let usual =
            ["content-type", "cache-control", "content-length", "connection", "date", "proxy-authenticate"];
        assert!(names.iter().all(|name| usual.contains(&&*name.to_ascii_lowercase())), "{}", answer.head);
    }
    assert_eq!(scene.shop.seen().len(), 0);
}
