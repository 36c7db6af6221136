//! Connections to hosts that are kept for the next request, and what becomes of one that can't be.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{pause, resume, timeout};
use tokio_rustls::server::TlsStream;

use crate::client::{ask, ask_on, http2, request, tunnel_to, until};
use crate::connecting::pass;
use crate::harness::{SHOP, Scene};

/// A host that does with each connection what a test says, and counts them.
struct Scripted {
    connections: Arc<AtomicUsize>,
    /// Those that are over.
    ended: Arc<AtomicUsize>,
}

impl Scripted {
    async fn lead<S>(scene: &Scene, script: fn(TlsStream<TcpStream>, usize) -> S) -> Self
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let tls = scene.hosts.authority.acceptor(SHOP, &[]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        scene.names.lead(SHOP, listener.local_addr().unwrap());
        let host = Self { connections: Arc::default(), ended: Arc::default() };
        let (connections, ended) = (Arc::clone(&host.connections), Arc::clone(&host.ended));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (tls, ended) = (tls.clone(), Arc::clone(&ended));
                tokio::spawn(async move {
                    script(tls.accept(stream).await.unwrap(), number).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        host
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many connections are over.
    async fn ended(&self, count: usize) {
        let all = async {
            while self.ended.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), all).await.expect("an end");
    }
}

const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers one request after the other, as long as there are any.
async fn answers(mut stream: TlsStream<TcpStream>, _: usize) {
    let mut piece = [0; 4096];
    while stream.read(&mut piece).await.is_ok_and(|count| count > 0) {
        stream.write_all(SHORT).await.unwrap();
    }
}

/// Answers one request, and leaves without a word.
async fn answers_once(mut stream: TlsStream<TcpStream>, _: usize) {
    until(&mut stream, "\r\n\r\n").await;
    stream.write_all(SHORT).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Answers with the head that it got.
async fn tells_the_head(mut stream: TlsStream<TcpStream>, _: usize) {
    let head = until(&mut stream, "\r\n\r\n").await;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-mY-nAME: 1\r\n\r\n", head.len());
    stream.write_all(&[answer.as_bytes(), &head].concat()).await.unwrap();
}

/// Takes one request and leaves; the second time, answers.
async fn leaves_first(mut stream: TlsStream<TcpStream>, number: usize) {
    until(&mut stream, "\r\n\r\n").await;
    if number > 0 {
        answers_rest(stream).await;
    }
}

async fn answers_rest(mut stream: TlsStream<TcpStream>) {
    stream.write_all(SHORT).await.unwrap();
    answers(stream, 0).await;
}

/// More than is held anywhere on the way.
const MUCH: usize = 24 << 20;

/// How many bytes of the body are behind the head.
fn body_in(begun: &[u8]) -> usize {
    begun.windows(4).rev().position(|four| four == b"\r\n\r\n").unwrap()
}

/// Answers at length before anything of the body is read, and reads the body to its end.
async fn answers_early(stream: TlsStream<TcpStream>, _: usize) {
    let (mut from, mut to) = tokio::io::split(stream);
    let begun = until(&mut from, "\r\n\r\n").await;
    let answer = async {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
        to.write_all(head.as_bytes()).await.unwrap();
        to.write_all(&vec![b'x'; MUCH]).await.unwrap();
        to.flush().await.unwrap();
    };
    let body = async {
        from.read_exact(&mut vec![0; MUCH - body_in(&begun)]).await.unwrap();
    };
    tokio::join!(answer, body);
}

/// Begins a long answer, and waits.
async fn begins(mut stream: TlsStream<TcpStream>, number: usize) {
    until(&mut stream, "\r\n\r\n").await;
    if number > 0 {
        return answers_rest(stream).await;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\nbeginning").await.unwrap();
    stream.read_u8().await.unwrap_err();
}

async fn asked(scene: &Scene) -> (u16, String) {
    let mut tunnel = tunnel_to(scene, SHOP).await;
    let answer = ask_on(&mut tunnel, &request("GET /header/echo", &[], "")).await;
    (answer.status, answer.text())
}

fn ok() -> (u16, String) {
    (200, "ok".to_owned())
}

#[tokio::test]
async fn one_connection_serves_tunnels_that_follow_one_another() {
    let scene = Scene::in_time().await;
    let host = Scripted::lead(&scene, answers).await;
    for _ in 0..5 {
        assert_eq!(asked(&scene).await, ok());
    }
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn each_thread_has_a_connection_of_its_own_and_who_is_alone_finds_the_first_ones() {
    /// Until the tunnel, of which the end was seen, counts no more.
    const MOMENT: Duration = Duration::from_millis(500);
    let scene = Scene::new().await;
    let host = Scripted::lead(&scene, answers).await;
    let in_turn = async || {
        for _ in 0..2 {
            let mut tunnel = tunnel_to(&scene, SHOP).await;
            assert_eq!(ask_on(&mut tunnel, &request("GET /header/echo", &[], "")).await.text(), "ok");
            tunnel.read_to_end(&mut Vec::new()).await.unwrap();
            tokio::time::sleep(MOMENT).await;
        }
    };
    in_turn().await;
    assert_eq!(host.connections(), 1);
    let held = tunnel_to(&scene, SHOP).await;
    in_turn().await;
    assert_eq!(host.connections(), 2, "the first thread has more to do");
    drop(held);
    tokio::time::sleep(MOMENT).await;
    in_turn().await;
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn one_that_the_host_has_closed_is_not_asked() {
    let scene = Scene::in_time().await;
    let host = Scripted::lead(&scene, answers_once).await;
    for count in 1..=3 {
        assert_eq!(asked(&scene).await, ok());
        host.ended(count).await;
        assert_eq!(host.connections(), count);
    }
}

#[tokio::test]
async fn what_a_host_has_seen_is_not_sent_again() {
    let scene = Scene::new().await;
    let host = Scripted::lead(&scene, leaves_first).await;
    assert_eq!(asked(&scene).await.0, 502);
    assert_eq!(host.connections(), 1);
    assert_eq!(asked(&scene).await, ok(), "the control");
}

/// Says more than it was asked for, at once the first time, later the second, and then what it should.
async fn says_more(mut stream: TlsStream<TcpStream>, number: usize) {
    const MORE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmore";
    until(&mut stream, "\r\n\r\n").await;
    match number {
        0 => stream.write_all(&[SHORT, MORE].concat()).await.unwrap(),
        1 => {
            stream.write_all(SHORT).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(MORE).await.unwrap();
        }
        _ => return answers_rest(stream).await,
    }
    _ = stream.read_u8().await;
}

#[tokio::test]
async fn what_a_host_says_unasked_is_nobodys_answer() {
    let scene = Scene::in_time().await;
    let host = Scripted::lead(&scene, says_more).await;
    for count in 1..=3 {
        assert_eq!(asked(&scene).await, ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(host.connections(), count);
    }
    assert_eq!((asked(&scene).await, host.connections()), (ok(), 3), "the control");
}

#[tokio::test]
async fn who_speaks_http2_reaches_a_host_that_does_not() {
    let scene = Scene::new().await;
    let host = Scripted::lead(&scene, answers).await;
    let mut client = http2(&scene, scene.token()).await;
    for _ in 0..2 {
        let request = http::Request::get(format!("https://{SHOP}/header/echo"));
        let answer = client.send(request, "").await;
        assert_eq!((answer.status, answer.text()), ok());
    }
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn who_sends_all_before_reading_anything_is_not_held_up_by_the_answer() {
    let scene = Scene::new().await;
    Scripted::lead(&scene, answers_early).await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    let head = format!("POST /header/sink HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: {MUCH}\r\n\r\n");
    tunnel.write_all(head.as_bytes()).await.unwrap();
    let sent = async {
        tunnel.write_all(&vec![b'.'; MUCH]).await.unwrap();
        tunnel.flush().await.unwrap();
    };
    timeout(Duration::from_secs(20), sent).await.expect("all is taken while nothing is read");
    let begun = until(&mut tunnel, "\r\n\r\n").await;
    let mut rest = vec![0; MUCH - body_in(&begun)];
    timeout(Duration::from_secs(20), tunnel.read_exact(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_whose_answer_was_left_is_not_asked_again() {
    let scene = Scene::in_time().await;
    let host = Scripted::lead(&scene, begins).await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    tunnel.write_all(&request("GET /header/echo", &[], "")).await.unwrap();
    until(&mut tunnel, "beginning").await;
    drop(tunnel);
    host.ended(1).await;
    assert_eq!(asked(&scene).await, ok());
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn one_that_nobody_uses_is_closed_after_thirty_seconds() {
    let scene = Scene::in_time().await;
    let host = Scripted::lead(&scene, answers).await;
    assert_eq!(asked(&scene).await, ok());
    pause();
    pass(Duration::from_secs(29)).await;
    assert_eq!(host.ended.load(Ordering::SeqCst), 0, "too soon");
    pass(Duration::from_secs(2)).await;
    resume();
    host.ended(1).await;
}

#[tokio::test]
async fn a_host_sees_names_of_headers_as_they_were_written_and_answers_have_usual_ones() {
    let scene = Scene::new().await;
    let _host = Scripted::lead(&scene, tells_the_head).await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    let written = [("x-mY-oWN", "1"), ("User-Agent", "test"), ("accept", "*/*")];
    let answer = ask_on(&mut tunnel, &request("GET /header/echo", &written, "")).await;
    for (name, value) in written {
        assert!(answer.text().contains(&format!("\r\n{name}: {value}\r\n")), "{}", answer.text());
    }
    assert!(answer.head.contains("\r\nX-My-Name: 1"), "{}", answer.head);
}

/// Says of one body how long it is in two ways.
async fn says_two_lengths(mut stream: TlsStream<TcpStream>, _: usize) {
    until(&mut stream, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}5\r\nhello\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    _ = stream.read_u8().await;
}

#[tokio::test]
async fn of_two_lengths_the_codings_is_the_one() {
    let scene = Scene::new().await;
    let _host = Scripted::lead(&scene, says_two_lengths).await;
    let answer = ask(&scene, "GET /header/echo", &[], "").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.head.to_ascii_lowercase().contains("content-length"), "{}", answer.head);
    assert!(answer.text().contains("hello"), "{}", answer.text());
    let mut client = http2(&scene, scene.token()).await;
    let request = http::Request::get(format!("https://{SHOP}/header/echo"));
    let answer = client.send(request, "").await;
    assert_eq!((answer.status, answer.text()), (200, "hello".to_owned()));
}

/// Answers with so many headers, or with something else altogether.
async fn says_too_much(mut stream: TlsStream<TcpStream>, number: usize) {
    until(&mut stream, "\r\n\r\n").await;
    let headers = "x-more: 1\r\n".repeat([90, 101, 0][number.min(2)]);
    let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\nok");
    stream.write_all(if number < 2 { answer.as_bytes() } else { b"SSH-2.0-x\r\n" }).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_told_apart_from_none() {
    let scene = Scene::new().await;
    let _host = Scripted::lead(&scene, says_too_much).await;
    assert_eq!(asked(&scene).await, ok(), "the control");
    for what in ["too many headers", "no HTTP"] {
        let (status, said) = asked(&scene).await;
        assert_eq!(status, 502, "{what}");
        assert!(
            said.contains("isn't HTTP that can be read, or its head has more than 100 headers"),
            "{what}: {said}"
        );
    }
}

/// Begins an answer and breaks off: without a word, or in the midst of what no chunk is.
async fn breaks_off(mut stream: TlsStream<TcpStream>, number: usize) {
    until(&mut stream, "\r\n\r\n").await;
    let answer = match number % 3 {
        0 => "HTTP/1.1 200 OK\r\nx-half: 1\r\ncontent-length: 1000\r\n\r\nthe first half",
        1 => {
            "HTTP/1.1 200 OK\r\nx-half: 1\r\ntransfer-encoding: chunked\r\n\r\ne\r\nthe first half\r\nno chunk\r\n"
        }
        _ => "HTTP/1.1 200 OK\r\nx-half: 1\r\ntransfer-encoding: chunked\r\n\r\ne\r\nthe first half\r\n",
    };
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let (tcp, _) = stream.get_mut();
    // Without a word within TLS.
    tcp.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_came_of_an_answer_that_breaks_off_arrives() {
    let scene = Scene::new().await;
    let _host = Scripted::lead(&scene, breaks_off).await;
    for count in 0..30 {
        let answer = ask(&scene, "GET /header/echo", &[], "").await;
        assert_eq!(answer.status, 200, "{count}");
        assert!(answer.head.to_ascii_lowercase().contains("x-half: 1"), "{count}: {}", answer.head);
        assert!(answer.text().contains("the first half"), "{count}: {}", answer.text());
    }
}
