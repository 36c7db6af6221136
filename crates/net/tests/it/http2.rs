//! HTTP/2: the same limits and times as HTTP/1.1, by a client's library where
//! it can be made to send it.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use strongroom_net::Limits;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::time;
use crate::raw_http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, Raw, field, frame, get,
    settings, usual_front,
};
use crate::tls_clients::TlsFront;

const SHORT: Duration = Duration::from_millis(300);
/// A phase may end this much later where two cores are shared.
const BOUND: Duration = Duration::from_secs(5);

type Body = BoxBody<Bytes, Infallible>;

/// One connection.
pub(crate) struct Http2 {
    sender: SendRequest<Body>,
    /// Ends with the connection; true if it ended in order.
    ended: JoinHandle<bool>,
}

impl Http2 {
    pub(crate) async fn connect(front: &TlsFront) -> Self {
        let io = TokioIo::new(front.connect(&["h2"]).await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        Self { sender, ended: tokio::spawn(async move { connection.await.is_ok() }) }
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        Answer::of(self.send(request("GET", path, empty())).await.unwrap()).await
    }

    async fn post(&mut self, path: &str, body: &'static [u8]) -> Answer {
        let body = Full::new(Bytes::from_static(body)).boxed();
        Answer::of(self.send(request("POST", path, body)).await.unwrap()).await
    }

    /// Whether the front closes in order within [`BOUND`].
    async fn closes(&mut self) -> bool {
        tokio::time::timeout(BOUND, &mut self.ended).await.is_ok_and(|ended| ended.unwrap())
    }
}

pub(crate) fn empty() -> Body {
    Empty::new().boxed()
}

pub(crate) fn request(method: &str, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(format!("https://localhost{path}")).body(body).unwrap()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
    id: String,
}

impl Answer {
    async fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.version(), Version::HTTP_2);
        assert!(response.headers().get("connection").is_none(), "{response:?}");
        let status = response.status().as_u16();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Self { status, body: String::from_utf8(body.to_vec()).unwrap(), id }
    }

    #[track_caller]
    fn assert_ok(&self) {
        assert_eq!((self.status, self.id.len()), (200, 36), "{self:?}");
    }

    #[track_caller]
    fn assert_refusal(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.id.len()), (status, 36), "{self:?}");
        assert!(self.body.starts_with(&format!(r#"{{"error":"{code}","message":""#)), "{self:?}");
    }
}

/// Runs a client against a front with these limits.
fn with_client<F: Future<Output = ()>>(limits: Limits, run: impl FnOnce(Http2) -> F) {
    let front = TlsFront::start(limits);
    front.front.runtime.block_on(async { run(Http2::connect(&front).await).await });
}

#[test]
fn requests_are_answered_side_by_side() {
    with_client(Limits::default(), |client| async move {
        let asked = (0..50).map(|number| {
            let mut sender = Http2 { sender: client.sender.clone(), ended: tokio::spawn(async { true }) };
            tokio::spawn(async move {
                let path = if number % 2 == 0 { "/" } else { "/soon" };
                sender.get(path).await
            })
        });
        let asked: Vec<_> = asked.collect();
        let mut ids = Vec::new();
        let begun = tokio::time::Instant::now();
        for answer in asked {
            let answer = answer.await.unwrap();
            answer.assert_ok();
            ids.push(answer.id);
        }
        // Half of them take 0.5 s each.
        assert!(begun.elapsed() < BOUND);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 50);
    });
}

#[test]
fn bodies_go_both_ways_and_are_as_long_as_allowed() {
    static TWO_MIB: [u8; 2 << 20] = [b'b'; 2 << 20];
    static MORE: [u8; (2 << 20) + 1] = [b'b'; (2 << 20) + 1];
    with_client(Limits::default(), |mut client| async move {
        let answer = client.post("/echo", &TWO_MIB).await;
        assert_eq!((answer.status, answer.body.len()), (200, 2 << 20));
        client.post("/echo", &MORE).await.assert_refusal(413, "too_large");
        assert_eq!(client.post("/elsewhere", b"12345").await.body, "12345");
        assert_eq!(client.post("/refuse", b"12345").await.status, 401);
        client.get("/").await.assert_ok();
    });
}

#[test]
fn a_body_of_no_announced_length_ends_where_one_must() {
    with_client(Limits { max_body: 100_000, ..Limits::default() }, |mut client| async move {
        for (pieces, status) in [(100, 200), (101, 413)] {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            for _ in 0..pieces {
                sender.send(Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'b'; 1000])))).unwrap();
            }
            drop(sender);
            let body = StreamBody::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)));
            let answer = client.send(request("POST", "/echo", body.boxed())).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{pieces}");
        }
    });
}

#[test]
fn heads_are_held_to_the_limits_of_http_1() {
    with_client(Limits::default(), |mut client| async move {
        let url = |length: usize| format!("/{}", "u".repeat(length - 1));
        assert_eq!(client.get(&url(8192)).await.status, 404);
        client.get(&url(8193)).await.assert_refusal(414, "uri_too_long");

        for (count, status) in [(64, 200), (65, 431)] {
            let mut many = request("GET", "/", empty());
            for _ in 0..count {
                many.headers_mut().append("x", "a".parse().unwrap());
            }
            assert_eq!(Answer::of(client.send(many).await.unwrap()).await.status, status, "{count}");
        }

        for (length, status) in [(16_000, 200), (16_384, 431), (20_000, 431)] {
            let mut long = request("GET", "/", empty());
            long.headers_mut().append("x", "a".repeat(length).parse().unwrap());
            let answer = Answer::of(client.send(long).await.unwrap()).await;
            assert_eq!(answer.status, status, "{length}");
            if status == 431 {
                answer.assert_refusal(431, "headers_too_large");
            }
        }
        client.get("/").await.assert_ok();
    });
}

#[test]
fn a_target_is_clear_or_refused() {
    let front = usual_front();
    let mut raw = Raw::connect(&front);
    let pseudo = [&[0x82, 0x87][..], &field(":path", "/")].concat();
    let authority = field(":authority", "localhost");
    for (number, (fields, status)) in [
        (vec![authority.clone()], 200),
        (vec![field("host", "localhost")], 200),
        (vec![authority.clone(), field("host", "localhost")], 200),
        (vec![authority.clone(), field("host", "elsewhere")], 400),
        (vec![authority.clone(), field("host", "localhost"), field("host", "localhost")], 400),
        (vec![field("host", "a"), field("host", "b")], 400),
        (vec![], 400),
        (vec![field(":authority", "user@localhost")], 400),
        (vec![authority.clone(), field("content-length", "0"), field("content-length", "0")], 400),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = u32::try_from(2 * number + 1).unwrap();
        let block = [pseudo.clone(), fields.concat()].concat();
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        let head = raw.next(HEADERS, stream).unwrap();
        // :status: 200 and 400 have numbers in HPACK's table.
        let expected = if status == 200 { 0x88 } else { 0x8c };
        assert_eq!(head.payload[0], expected, "{fields:?}");
    }
    raw.assert_served(101);
}

#[test]
fn what_belongs_to_http_1_is_malformed_here() {
    let front = usual_front();
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("keep-alive", "5"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("X-Upper", "a"),
        (":unknown", "a"),
        ("content-length", "+5"),
        ("content-length", "5"),
    ] {
        let mut raw = Raw::connect(&front);
        let block = [get("/"), field(name, value)].concat();
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
        assert!(raw.is_refused(1), "{name}: {value}");
    }
}

#[test]
fn a_body_of_another_length_than_announced_never_ends_well() {
    let front = usual_front();
    let mut raw = Raw::connect(&front);
    // :method: POST.
    let block = [&[0x83, 0x87][..], &field(":path", "/echo"), &field(":authority", "localhost")].concat();
    let block = [block, field("content-length", "5")].concat();
    raw.send(&frame(HEADERS, END_HEADERS, 1, &block));
    raw.send(&frame(DATA, END_STREAM, 1, b"123456"));
    assert!(raw.next(RST_STREAM, 1).is_some());
    raw.assert_served(3);
}

#[test]
fn it_says_what_it_allows() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    const MAX_HEADER_LIST_SIZE: u16 = 6;
    let said = settings(&usual_front());
    for (setting, value) in
        [(MAX_CONCURRENT_STREAMS, 100), (INITIAL_WINDOW_SIZE, 65_536), (MAX_HEADER_LIST_SIZE, 32_768)]
    {
        assert!(said.contains(&(setting, value)), "{setting}: {said:?}");
    }
}

#[test]
fn more_at_a_time_than_allowed_are_refused() {
    const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
    let front = usual_front();
    let mut raw = Raw::connect(&front);
    let late = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/late"));
    raw.send(&(0..101_u32).flat_map(|number| late(2 * number + 1)).collect::<Vec<_>>());
    assert_eq!(raw.next(RST_STREAM, 201).unwrap().payload, REFUSED_STREAM);
}

#[test]
fn prior_knowledge_needs_tls() {
    let front = crate::harness::TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(PREFACE);
    client.answer().assert_refusal(400, "invalid_request");
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn a_slow_service_is_answered_for_and_the_connection_goes_on() {
    with_client(Limits { request: SHORT, ..Limits::default() }, |mut client| async move {
        client.get("/late").await.assert_refusal(503, "unavailable");
        client.get("/").await.assert_ok();
    });
}

#[test]
fn a_slow_body_fails_in_time_to_be_answered() {
    with_client(Limits { request: SHORT, ..Limits::default() }, |mut client| async move {
        for path in ["/echo", "/elsewhere"] {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            sender.send(Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"123")))).unwrap();
            let body = StreamBody::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)));
            let answer = Answer::of(client.send(request("POST", path, body.boxed())).await.unwrap()).await;
            assert_eq!((answer.status, answer.body.as_str()), (400, "the body did not arrive in time"));
            drop(sender);
        }
        client.get("/").await.assert_ok();
    });
}

#[test]
fn a_slow_reader_is_cut() {
    let limits = Limits { request: SHORT, drain_time: SHORT, head: SHORT, ..Limits::default() };
    with_client(limits, |mut client| async move {
        let unread = client.send(request("GET", "/big", empty())).await.unwrap();
        let mut body = unread.into_body();
        tokio::time::sleep(SHORT * 12).await;
        let mut read = 0;
        let ended = loop {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.into_data().unwrap().len(),
                ended => break ended,
            }
        };
        assert!(ended.is_some_and(|ended| ended.is_err()) && read < 64 << 20, "{read}");
    });
}

#[test]
fn a_panic_costs_its_own_request() {
    with_client(Limits::default(), |mut client| async move {
        client.get("/panic").await.assert_refusal(500, "internal");
        client.get("/").await.assert_ok();
    });
}

#[test]
fn an_idle_connection_ends_in_order() {
    with_client(Limits { idle: SHORT, ..Limits::default() }, |mut client| async move {
        client.get("/").await.assert_ok();
        let begun = tokio::time::Instant::now();
        assert!(client.closes().await);
        assert!(begun.elapsed() > SHORT / 2, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_busy_connection_is_not_idle() {
    with_client(Limits { idle: SHORT, ..Limits::default() }, |mut client| async move {
        assert_eq!(client.get("/soon").await.body, "at last");
        client.get("/").await.assert_ok();
    });
}

#[test]
fn a_first_request_must_come() {
    let front = TlsFront::start(Limits { head: SHORT, ..Limits::default() });
    for sent in [&b""[..], &PREFACE[..10], &[PREFACE, &frame(4, 0, 0, &[])].concat()] {
        let mut client = front.raw_http2();
        client.send(sent);
        let taken = time(|| assert_eq!(Raw(client).reason_of_end(), None));
        assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
    }
}

#[test]
fn a_head_must_be_whole_in_time_also_while_others_are_answered() {
    let front = TlsFront::start(Limits { head: SHORT, ..Limits::default() });
    let mut raw = Raw::connect(&front);
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/late")));
    raw.send(&frame(HEADERS, END_STREAM, 3, &get("/")));
    let dribble = || {
        // Pings are answered before a head is begun, and can't be within one.
        while raw.try_send(&frame(CONTINUATION, 0, 3, &field("x", "a"))) {
            std::thread::sleep(SHORT / 4);
        }
    };
    let taken = time(dribble);
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
}

#[test]
fn requests_in_flight_are_answered_when_it_ends() {
    let mut front = usual_front();
    let (mut client, answer) = front.front.runtime.block_on(async {
        let client = Http2::connect(&front).await;
        let mut asking = Http2 { sender: client.sender.clone(), ended: tokio::spawn(async { true }) };
        let answer = tokio::spawn(async move { asking.get("/soon").await });
        // Long enough for a request to reach the service.
        tokio::time::sleep(Duration::from_millis(100)).await;
        (client, answer)
    });
    front.front.shut_down();
    let answer = front.front.runtime.block_on(answer).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK.as_u16(), "at last"));
    assert!(front.front.ends_within(BOUND));
    assert!(front.front.runtime.block_on(client.closes()));
}

#[test]
fn grace_is_finite() {
    let mut front = TlsFront::start(Limits { grace: SHORT, ..Limits::default() });
    let mut raw = Raw::connect(&front);
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/late")));
    std::thread::sleep(Duration::from_millis(100));
    front.front.shut_down();
    assert!(!front.front.ends_within(Duration::from_millis(100)));
    assert!(front.front.ends_within(BOUND));
    assert!(raw.next(HEADERS, 1).is_none());
}

#[test]
fn idle_connections_close_at_once_when_it_ends() {
    let mut front = usual_front();
    let mut client = front.front.runtime.block_on(async {
        let mut client = Http2::connect(&front).await;
        client.get("/").await.assert_ok();
        client
    });
    front.front.shut_down();
    assert!(front.front.runtime.block_on(client.closes()));
    assert!(front.front.ends_within(BOUND));
}
