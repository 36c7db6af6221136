//! What belongs to another run, or to one that is over, is worth nothing; and what is under way
//! ends with its run.

use std::time::{Duration, Instant};

use serde_json::json;
use strongroom_core::app::Suspected;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{
    ask, ask_on, basic, connect, connected, ends_within, http2, raw, request, tunnel_as, tunnel_to,
    under_way, until,
};
use crate::harness::{SHOP, Scene, rule};
use crate::host::{Fed, Host, contains};

/// By then everything of a run that is over has ended.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_placeholder_of_another_run_is_worth_nothing() {
    let scene = Scene::new().await;
    let shaped = [("STRIPE_KEY", "sk_live_the-real-one")];
    scene.another(&shaped, &json!([rule("/stripe", &json!({"header": "x-stripe"}))])).await;
    let (run, other) = (scene.another_run().await, scene.another_run().await);
    let (token, theirs) =
        (run.broker_token.as_ref().unwrap().reveal(), other.broker_token.as_ref().unwrap().reveal());
    let (own, generic) =
        (scene.placeholder_of(token, "KEY").await, scene.placeholder_of(theirs, "KEY").await);
    assert_ne!(own, generic);
    let shaped =
        [scene.placeholder_of(token, "STRIPE_KEY").await, scene.placeholder_of(theirs, "STRIPE_KEY").await];
    let with = async |line: &str, headers: &[(&str, &str)], body: &str| {
        let mut tunnel = tunnel_as(&scene, token, SHOP).await;
        ask_on(&mut tunnel, &request(line, headers, body)).await
    };
    let json = ("Content-Type", "application/json");
    for (line, headers, body) in [
        ("GET /header".to_owned(), vec![("X-Key", &*generic)], String::new()),
        ("GET /bearer".into(), vec![("Authorization", &*format!("Bearer {generic}"))], String::new()),
        ("GET /header".into(), vec![("X-Key", &*own), ("X-Other", &*generic)], String::new()),
        (format!("GET /query?key={generic}"), vec![], String::new()),
        (format!("GET /header/{generic}"), vec![], String::new()),
        ("POST /json".into(), vec![json], json!({"auth": {"key": generic}}).to_string()),
        ("POST /header".into(), vec![], format!("..{generic}..")),
    ] {
        let answer = with(&line, &headers, &body).await;
        assert_eq!((answer.status, &*answer.refusal()), (403, "placeholder_of_another_run"), "{line}");
    }
    // One in the form of a service is any credential that isn't ours.
    let answer = with("GET /stripe", &[("X-Stripe", &shaped[1])], "").await;
    assert_eq!(answer.refusal(), "foreign_credential");
    assert!(!scene.shop.was_sent(&generic) && !scene.shop.was_sent(&shaped[1]));
    assert_eq!(with("GET /header", &[("X-Key", &own)], "").await.status, 200, "the control");
    assert_eq!(with("GET /stripe", &[("X-Stripe", &shaped[0])], "").await.status, 200, "the control");
    // Nor is a placeholder worth anything without its own run's token.
    let answer = connect(&scene, scene.run.token.reveal(), &format!("{SHOP}:443")).await.unwrap_err();
    assert_eq!((answer.status, &*answer.refusal()), (407, "invalid_token"));
    let answer = connect(&scene, scene.owner_key(), &format!("{SHOP}:443")).await.unwrap_err();
    assert_eq!((answer.status, &*answer.refusal()), (407, "invalid_token"));
}

#[tokio::test]
async fn a_placeholder_of_another_run_is_found_however_a_body_is_cut() {
    let scene = Scene::new().await;
    let other = scene.another_run().await;
    let own = scene.placeholder("KEY").await;
    let theirs = scene.placeholder_of(other.broker_token.as_ref().unwrap().reveal(), "KEY").await;
    for (placeholder, expected) in [(&own, "placeholder_misplaced"), (&theirs, "placeholder_of_another_run")]
    {
        for size in [1, 7, 75, 76, 77] {
            let mut tunnel = tunnel_to(&scene, SHOP).await;
            let head =
                format!("POST /header/sink HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\n\r\n");
            tunnel.write_all(head.as_bytes()).await.unwrap();
            let text = format!("{}{placeholder}", ".".repeat(100));
            for piece in text.as_bytes().chunks(size) {
                tunnel.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
                tunnel.write_all(piece).await.unwrap();
                tunnel.write_all(b"\r\n").await.unwrap();
            }
            tunnel.write_all(b"0\r\n\r\n").await.unwrap();
            tunnel.flush().await.unwrap();
            let said = String::from_utf8(until(&mut tunnel, "}").await).unwrap();
            assert!(said.starts_with("HTTP/1.1 403") && said.contains(expected), "{size}: {said}");
        }
        assert!(!scene.shop.was_sent(placeholder));
    }
    // In the trailers, too.
    let mut client = http2(&scene, scene.token()).await;
    let (feed, frames) = tokio::sync::mpsc::channel(4);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-checksum", own.parse().unwrap());
    feed.send(http_body::Frame::data("text".into())).await.unwrap();
    feed.send(http_body::Frame::trailers(trailers)).await.unwrap();
    drop(feed);
    let post = http::Request::post(format!("https://{SHOP}/header/sink"));
    let body = http_body_util::BodyExt::boxed_unsync(Fed(frames));
    let refused = client.open(post, body).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 403));
    assert!(!scene.shop.was_sent(&own));
}

/// Everything that a run may have under way.
struct UnderWay {
    idle: tokio_rustls::client::TlsStream<tokio::net::TcpStream>,
    answer: tokio_rustls::client::TlsStream<tokio::net::TcpStream>,
    upload: tokio_rustls::client::TlsStream<tokio::net::TcpStream>,
    socket: tokio_rustls::client::TlsStream<tokio::net::TcpStream>,
    plain: tokio::net::TcpStream,
    by_http2: http::Response<hyper::body::Incoming>,
}

impl UnderWay {
    async fn begin(scene: &Scene) -> Self {
        let key = scene.placeholder("KEY").await;
        let bearer = format!("Bearer {key}");
        let with = [("X-Key", &*key)];
        let mut idle = tunnel_to(scene, SHOP).await;
        let head = format!("GET /header HTTP/1.1\r\nHost: {SHOP}\r\nX-Key: {key}\r\n\r\n");
        assert_eq!(ask_on(&mut idle, head.as_bytes()).await.status, 200);
        let mut answer = tunnel_to(scene, SHOP).await;
        answer.write_all(&request("GET /header/drip", &with, "")).await.unwrap();
        until(&mut answer, "x-key").await;
        let mut upload = tunnel_to(scene, SHOP).await;
        let head =
            format!("POST /header/sink HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 1000000\r\n\r\nbegin");
        upload.write_all(head.as_bytes()).await.unwrap();
        let mut socket = tunnel_to(scene, SHOP).await;
        let head = format!(
            "GET /bearer/ws HTTP/1.1\r\nHost: {SHOP}\r\nAuthorization: {bearer}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        until(&mut socket, "\r\n\r\n").await;
        let mut plain = connected(scene.address).await;
        let head = format!(
            "GET http://plain.shop.example/drip HTTP/1.1\r\nHost: plain.shop.example\r\nX-Key: {key}\r\nProxy-Authorization: {}\r\n\r\n",
            basic(scene.token())
        );
        plain.write_all(head.as_bytes()).await.unwrap();
        until(&mut plain, "x-key").await;
        let mut client = http2(scene, scene.token()).await;
        let get = http::Request::get(format!("https://{SHOP}/header/drip")).header("x-key", &key);
        let empty = http_body_util::BodyExt::boxed_unsync(http_body_util::BodyExt::map_err(
            http_body_util::Empty::new(),
            |never| match never {},
        ));
        let by_http2 = client.open(get, empty).await.unwrap();
        Self { idle, answer, upload, socket, plain, by_http2 }
    }

    /// Whether all of it ends in time.
    async fn ends(mut self, shop: &Host) {
        let by_http2 = async {
            while let Some(Ok(_)) = http_body_util::BodyExt::frame(self.by_http2.body_mut()).await {}
        };
        let (idle, answer, upload, socket, plain, by_http2) = tokio::join!(
            ends_within(&mut self.idle, SOON),
            ends_within(&mut self.answer, SOON),
            ends_within(&mut self.upload, SOON),
            ends_within(&mut self.socket, SOON),
            ends_within(&mut self.plain, SOON),
            tokio::time::timeout(SOON, by_http2),
        );
        assert!(by_http2.is_ok(), "an answer by HTTP/2");
        for (what, ended) in [
            ("an idle tunnel", idle),
            ("an answer", answer),
            ("an upload", upload),
            ("a WebSocket", socket),
            ("an answer without a tunnel", plain),
        ] {
            assert!(ended, "{what} goes on");
        }
        // The hosts notice it, too.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(shop.at.broken.load(std::sync::atomic::Ordering::SeqCst) >= 2);
    }
}

/// A scene in which a host is spoken to without TLS, too.
async fn with_plain() -> (Scene, Host) {
    let scene = Scene::new().await;
    let plain = scene.hosts.serve_plain().await;
    scene.names.lead("plain.shop.example", plain.address);
    let mut rules = crate::harness::placements();
    let by_http = json!({
        "scheme": "http", "host": "plain.shop.example", "placement": {"header": "x-key"}, "allow_private": true
    });
    rules.as_array_mut().unwrap().push(by_http);
    scene.set_policy(&rules).await;
    (scene, plain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_run_ends_what_it_has_under_way() {
    for how in ["stopped", "revoked", "agent suspected", "agent deleted", "expired"] {
        let (scene, _plain) = with_plain().await;
        let under_way = UnderWay::begin(&scene).await;
        let (id, owner, agent) = (scene.run.run.id, scene.owner_now().await, scene.place.0);
        let app = &scene.app;
        match how {
            "stopped" => scene.done(&owner, app.stop_run(&owner, id).await).await,
            "revoked" => drop(scene.done(&owner, app.panic(&owner, Suspected::Run(id)).await).await),
            "agent suspected" => {
                drop(scene.done(&owner, app.panic(&owner, Suspected::Agent(agent)).await).await);
            }
            "agent deleted" => scene.done(&owner, app.delete_agent(&owner, agent).await).await,
            _ => scene.pass(Duration::from_secs(3_601)),
        }
        Box::pin(under_way.ends(&scene.shop)).await;
        let answer = connect(&scene, scene.token(), &format!("{SHOP}:443")).await.unwrap_err();
        assert_eq!((answer.status, &*answer.refusal()), (407, "run_over"), "{how}");
        let plain = format!(
            "GET http://plain.shop.example/ HTTP/1.1\r\nhost: plain.shop.example\r\nproxy-authorization: {}\r\nconnection: close\r\n\r\n",
            basic(scene.token())
        );
        assert_eq!(raw(&scene, plain.as_bytes()).await.refusal(), "run_over", "{how}");
    }
}

#[tokio::test]
async fn what_is_under_way_goes_on_while_the_run_does() {
    let (scene, _plain) = with_plain().await;
    let mut under_way = UnderWay::begin(&scene).await;
    tokio::time::sleep(SOON + SOON / 2).await;
    let mut piece = [0; 16];
    under_way.answer.read_exact(&mut piece).await.unwrap();
    under_way.plain.read_exact(&mut piece).await.unwrap();
    assert!(!ends_within(&mut under_way.socket, Duration::from_millis(50)).await);
    assert!(!ends_within(&mut under_way.idle, Duration::from_millis(50)).await);
}

#[tokio::test]
async fn a_changed_policy_counts_from_the_next_request_of_an_open_tunnel() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    let head = format!("GET /header/echo HTTP/1.1\r\nHost: {SHOP}\r\nX-Key: {placeholder}\r\n\r\n");
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.status, 200);
    scene.set_policy(&json!([rule("/other", &json!({"header": "x-key"}))])).await;
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.refusal(), "not_covered");
    scene.set_policy(&json!([rule("/header", &json!({"header": "x-other"}))])).await;
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.refusal(), "placeholder_misplaced");
    scene.set_policy(&json!([])).await;
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.refusal(), "no_rule");
    scene.set_policy(&json!([rule("/header", &json!({"header": "x-key"}))])).await;
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.status, 200);
    let owner = scene.owner_now().await;
    scene.done(&owner, scene.app.delete_secret(&owner, scene.secret).await).await;
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.refusal(), "no_rule");
    assert_eq!(scene.shop.seen().len(), 2);
}

#[tokio::test]
async fn a_placeholder_of_a_value_that_is_gone_is_refused() {
    let mut scene = Scene::new().await;
    let (key, other) = (("GONE_KEY", "a-value-that-goes"), ("KEPT_KEY", "a-value-that-stays"));
    let id = scene.another(&[key, other], &json!([])).await;
    scene.run = scene.another_run().await;
    let gone = scene.placeholder("GONE_KEY").await;
    assert_eq!(ask(&scene, "GET /header", &[("X-Gone", &gone)], "").await.refusal(), "placeholder_misplaced");
    let owner = scene.owner_now().await;
    scene.done(&owner, scene.app.delete_secret(&owner, id).await).await;
    assert_eq!(
        ask(&scene, "GET /header", &[("X-Gone", &gone)], "").await.refusal(),
        "placeholder_of_another_run"
    );
    assert!(!contains(&scene.shop.bytes(), &gone));
}

#[tokio::test]
async fn what_is_asked_when_the_server_ends_is_answered_in_its_time() {
    let scene = Scene::new().await;
    let mut tunnel = under_way(&scene).await;
    let shop = std::sync::Arc::clone(&scene.shop.at);
    let ended = scene.end();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!ended.is_finished(), "it waits for what is under way");
    shop.go_on.notify_one();
    until(&mut tunnel, "data: 2").await;
    drop(ended.await.unwrap());
}

/// Whether a host is left as soon as whoever asked it leaves, and that is on record.
async fn is_left(scene: &Scene, host: &Host, leave: impl FnOnce()) {
    host.at.asked.notified().await;
    let broken = || host.at.broken.load(std::sync::atomic::Ordering::SeqCst);
    let (before, begun) = (broken(), scene.recorded().await);
    assert!(!begun.last().unwrap().ended);
    leave();
    let left = Instant::now();
    while broken() == before {
        assert!(left.elapsed() < SOON, "the host still thinks");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let recorded = scene.recorded().await;
    let last = recorded.last().unwrap();
    assert_eq!((last.ended, last.status, last.refused.as_deref()), (true, None, None));
}

#[tokio::test]
async fn who_leaves_while_a_host_thinks_is_noticed_at_once() {
    let (scene, plain) = with_plain().await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    tunnel.write_all(&request("GET /header/think", &[], "")).await.unwrap();
    is_left(&scene, &scene.shop, || drop(tunnel)).await;
    let mut client = http2(&scene, scene.token()).await;
    let get = http::Request::get(format!("https://{SHOP}/header/think"));
    let empty = http_body_util::Empty::new();
    let empty = http_body_util::BodyExt::map_err(empty, |never| match never {});
    let asked = tokio::spawn(async move {
        client.open(get, http_body_util::BodyExt::boxed_unsync(empty)).await.map(drop)
    });
    is_left(&scene, &scene.shop, || asked.abort()).await;
    let mut asked = connected(scene.address).await;
    let head = format!(
        "GET http://plain.shop.example/think HTTP/1.1\r\nhost: plain.shop.example\r\nproxy-authorization: {}\r\n\r\n",
        basic(scene.token())
    );
    asked.write_all(head.as_bytes()).await.unwrap();
    is_left(&scene, &plain, || drop(asked)).await;
    // The control: who stays gets the answer.
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    tunnel.write_all(&request("GET /header/think", &[], "")).await.unwrap();
    scene.shop.at.asked.notified().await;
    scene.shop.at.go_on.notify_one();
    until(&mut tunnel, "thought").await;
}
