//! Clients of HTTP/2 that mean no good: each is closed or refused, while an
//! honest client is served. What is almost a flood, isn't one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use strongroom_net::Limits;
use tokio::task::JoinHandle;

use crate::http2::{Http2, empty, request};
use crate::raw_http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, field, frame, get, remembered_field, usual_front,
};
use crate::tls_clients::TlsFront;

const ENHANCE_YOUR_CALM: u32 = 11;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// An honest client may wait this long while two cores are kept busy.
const PATIENT: Duration = Duration::from_secs(2);

/// An honest client that asks again and again, and how long it waited at most.
struct Honest {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<(usize, Duration)>,
}

impl Honest {
    fn start(front: &TlsFront) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut client = front.front.runtime.block_on(Http2::connect(front));
        let asking = front.front.runtime.spawn(async move {
            let (mut served, mut slowest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) || served < 10 {
                let begun = Instant::now();
                let answer = client.send(request("GET", "/", empty())).await.unwrap();
                assert_eq!(answer.status().as_u16(), 200);
                slowest = slowest.max(begun.elapsed());
                served += 1;
            }
            (served, slowest)
        });
        Self { stop, asking }
    }

    /// Fails unless each of its requests was answered soon.
    fn assert_served(self, front: &TlsFront) {
        self.stop.store(true, Ordering::Relaxed);
        let (served, slowest) = front.front.runtime.block_on(self.asking).unwrap();
        assert!(slowest < PATIENT, "one of {served} waited {slowest:?}");
    }
}

/// How many of these the front took before it closed, each some frames.
fn taken(front: &TlsFront, most: usize, mut piece: impl FnMut(usize) -> Vec<u8>) -> usize {
    let honest = Honest::start(front);
    let mut raw = Raw::connect(front);
    let reader = raw.0.stream.sock.try_clone().unwrap();
    // What comes back isn't read: a flood that waits for answers is none. But
    // so that it can't stand still by that, it gives up after a while.
    reader.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let taken = (0..most).take_while(|number| raw.try_send(&piece(*number))).count();
    honest.assert_served(front);
    taken
}

fn request_on(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/"))
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL)
}

/// The streams that a client may open, in their order.
fn stream(number: usize) -> u32 {
    u32::try_from(2 * number + 1).unwrap()
}

#[test]
fn requests_that_are_taken_back_at_once_end_the_connection() {
    let front = usual_front();
    let honest = Honest::start(&front);
    let mut raw = Raw::connect(&front);
    raw.send(
        &(0..100)
            .flat_map(|number| [request_on(stream(number)), reset(stream(number))].concat())
            .collect::<Vec<_>>(),
    );
    assert_eq!(raw.reason_of_end(), Some(ENHANCE_YOUR_CALM));
    honest.assert_served(&front);

    let mut raw = Raw::connect(&front);
    raw.send(
        &(0..10)
            .flat_map(|number| [request_on(stream(number)), reset(stream(number))].concat())
            .collect::<Vec<_>>(),
    );
    raw.assert_served(1001);
}

#[test]
fn requests_that_are_taken_back_one_by_one_end_the_connection() {
    let front = usual_front();
    let taken = taken(&front, 100_000, |number| [request_on(stream(number)), reset(stream(number))].concat());
    assert!(taken < 20_000, "{taken}");
}

#[test]
fn malformed_requests_end_the_connection() {
    let front = usual_front();
    let bad = [get("/"), field("connection", "close")].concat();
    let most = 100_000;
    let taken = taken(&front, most, |number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &bad));
    assert!(taken < 20_000, "{taken}");

    let mut raw = Raw::connect(&front);
    for number in 0..50 {
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &bad));
    }
    raw.assert_served(1001);
}

#[test]
fn a_head_has_few_continuations() {
    let front = usual_front();
    let piece = field("x", &"a".repeat(1000));
    for piece in [&piece[..], &[]] {
        let honest = Honest::start(&front);
        let mut raw = Raw::connect(&front);
        raw.send(&frame(HEADERS, END_STREAM, 1, &get("/")));
        let taken = (0..100_000).take_while(|_| raw.try_send(&frame(CONTINUATION, 0, 1, piece))).count();
        assert!(taken < 20_000, "{taken} of {} bytes", piece.len());
        honest.assert_served(&front);
    }

    let mut raw = Raw::connect(&front);
    raw.send(&frame(HEADERS, END_STREAM, 1, &get("/")));
    raw.send(&frame(CONTINUATION, 0, 1, &piece));
    raw.send(&frame(CONTINUATION, END_HEADERS, 1, &piece));
    assert_eq!(raw.next(HEADERS, 1).unwrap().payload[0], 0x88);
}

#[test]
fn pings_settings_and_other_frames_that_ask_for_nothing_end_the_connection() {
    let front = usual_front();
    let many = |frame: Vec<u8>| frame.repeat(100);
    for (name, flood) in [
        ("ping", many(frame(PING, 0, 0, &[7; 8]))),
        ("answered ping", many(frame(PING, ACK, 0, &[7; 8]))),
        ("settings", many(frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]))),
        ("priority", many(frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]))),
        ("window", many(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ("unknown", many(frame(99, 0, 0, &[7; 8]))),
    ] {
        // What lies in sockets counts as taken here, up to 10 MB.
        let taken = taken(&front, 100_000, |_| flood.clone());
        assert!(taken < 20_000, "{name}: {taken} hundred");
    }
}

#[test]
fn empty_pieces_of_a_body_end_the_connection() {
    let front = usual_front();
    let honest = Honest::start(&front);
    let mut raw = Raw::connect(&front);
    let post = [&[0x83, 0x87][..], &field(":path", "/echo"), &field(":authority", "a")].concat();
    raw.send(&frame(HEADERS, END_HEADERS, 1, &post));
    let pieces = frame(DATA, 0, 1, &[]).repeat(100);
    let taken = (0..100_000).take_while(|_| raw.try_send(&pieces)).count();
    assert!(taken < 20_000, "{taken} hundred");
    honest.assert_served(&front);
}

#[test]
fn a_thousand_pings_are_no_flood() {
    let front = usual_front();
    let mut raw = Raw::connect(&front);
    raw.send(&frame(PING, 0, 0, &[7; 8]).repeat(1000));
    for _ in 0..1000 {
        let pong = raw.next(PING, 0).unwrap();
        assert_eq!((pong.flags, pong.payload), (ACK, vec![7; 8]));
    }
    raw.assert_served(1);
}

#[test]
fn a_huge_header_list_is_refused_however_it_is_packed() {
    let front = usual_front();
    let honest = Honest::start(&front);
    // 4,000 bytes are remembered once, then named by a byte each: 40 MB.
    let mut raw = Raw::connect(&front);
    let bomb = [get("/"), remembered_field("x", &"a".repeat(3900)), vec![0xbe; 10_000]].concat();
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
    if let Some(answer) = raw.next(HEADERS, 1) {
        assert_ne!(answer.payload[0], 0x88, "{answer:?}");
    }

    // One value of 64 KiB, in as many frames as that takes.
    let mut raw = Raw::connect(&front);
    let block = [get("/"), field("x", &"a".repeat(65_000))].concat();
    let pieces: Vec<_> = block.chunks(16_000).collect();
    raw.send(&frame(HEADERS, END_STREAM, 1, pieces[0]));
    for (number, piece) in pieces.iter().enumerate().skip(1) {
        let flags = if number == pieces.len() - 1 { END_HEADERS } else { 0 };
        raw.try_send(&frame(CONTINUATION, flags, 1, piece));
    }
    if let Some(answer) = raw.next(HEADERS, 1) {
        assert_ne!(answer.payload[0], 0x88, "{answer:?}");
    }
    honest.assert_served(&front);
}

#[test]
fn who_grants_no_window_holds_nothing_for_long() {
    const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let short = Duration::from_millis(300);
    let front = TlsFront::start(Limits { request: short, drain_time: short, ..Limits::default() });
    let honest = Honest::start(&front);
    let mut raw = Raw::connect_with(&front, &NO_WINDOW);
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/big")));
    assert!(raw.next(HEADERS, 1).is_some());
    assert!(raw.next(RST_STREAM, 1).is_some());
    honest.assert_served(&front);
}

#[test]
fn who_reads_nothing_is_closed() {
    let front = TlsFront::start(Limits { head: Duration::from_millis(300), ..Limits::default() });
    let honest = Honest::start(&front);
    let mut raw = Raw::connect(&front);
    // Pings of ours stay without an answer.
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/late")));
    assert!(raw.next(HEADERS, 1).is_none());
    honest.assert_served(&front);
}
