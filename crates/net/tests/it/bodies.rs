//! Bodies: too long, too slow to matter here, unread, and refused.

use std::time::Duration;

use strongroom_net::Limits;

use crate::harness::{TestFront, time};

const MIB: usize = 1 << 20;

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
}

#[test]
fn a_body_as_long_as_allowed_is_served() {
    let front = TestFront::start(Limits::default());
    let answer = front.ask(&(post("/echo", 2 * MIB) + &"b".repeat(2 * MIB)));
    answer.assert_ok();
    assert_eq!((answer.body.len(), answer.closes()), (2 * MIB, false));
}

#[test]
fn an_announced_long_body_is_answered_413_before_it_is_sent() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(post("/echo", 2 * MIB + 1));
    client.answer().assert_refusal(413, "too_large");
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn a_client_that_sends_it_all_first_reads_why_it_was_refused() {
    let front = TestFront::start(Limits::default());
    let body = "b".repeat(6 * MIB);
    let mut client = front.client();
    client.send(post("/echo", body.len()) + &body);
    client.answer().assert_refusal(413, "too_large");
    client.assert_closed();

    // The same where the library leaves the closing to us.
    let mut client = front.client();
    let upgrade = post("/echo", body.len()).replace("\r\n\r\n", "\r\nUpgrade: h2c\r\n\r\n");
    client.send(upgrade + &body);
    client.answer().assert_refusal(413, "too_large");
    client.assert_closed();
}

#[test]
fn a_client_that_sends_it_all_first_reads_the_services_refusal() {
    let front = TestFront::start(Limits { max_body: 8 << 20, ..Limits::default() });
    for upgrade in ["", "\r\nUpgrade: h2c"] {
        let body = "b".repeat(6 * MIB);
        let head = post("/refuse", body.len()).replace("\r\n\r\n", &format!("{upgrade}\r\n\r\n"));
        let mut client = front.client();
        client.send(head + &body);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (401, true));
        client.assert_closed();
    }
}

#[test]
fn draining_ends_after_so_many_bytes() {
    let front = TestFront::start(Limits { drain_bytes: 1 << 20, ..Limits::default() });
    let mut client = front.client();
    client.send(post("/echo", 1 << 30));
    client.answer().assert_refusal(413, "too_large");
    let chunk = vec![b'b'; MIB];
    let taken = (0..200).take_while(|_| client.try_send(&chunk)).count();
    assert!(taken < 100, "{taken} MiB were taken");
}

#[test]
fn draining_ends_after_some_time() {
    let front = TestFront::start(Limits { drain_time: Duration::from_millis(300), ..Limits::default() });
    let mut client = front.client();
    client.send(post("/refuse", MIB));
    assert_eq!(client.answer().status, 401);
    let dribble = || {
        while client.try_send(b"b") {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let taken = time(dribble);
    assert!(taken > Duration::from_millis(200) && taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn a_short_unread_body_doesnt_cost_the_connection() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    for _ in 0..3 {
        client.send(post("/refuse", 5) + "12345");
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (401, false));
    }
}

#[test]
fn an_unread_body_is_never_taken_for_a_request() {
    let front = TestFront::start(Limits::default());
    let hidden = "GET /context HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = front.client();
    client.send(post("/refuse", 3 + hidden.len()));
    let answer = client.answer();
    assert_eq!((answer.status, answer.closes()), (401, true));
    client.send(format!("123{hidden}"));
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn pipelined_bodies_are_read_by_their_own_requests() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(post("/echo", 3) + "one" + &post("/refuse", 3) + "two" + &post("/echo", 5) + "th");
    assert_eq!(client.answer().body, "one");
    let answer = client.answer();
    assert_eq!((answer.status, answer.closes()), (401, false));
    client.send("ree");
    assert_eq!(client.answer().body, "three");
}

#[test]
fn expectations_are_met_or_answered() {
    let front = TestFront::start(Limits::default());
    let expecting = |path| post(path, 5).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let mut client = front.client();
    client.send(expecting("/echo"));
    assert_eq!(client.answer().status, 100);
    client.send("12345");
    assert_eq!(client.answer().body, "12345");

    let mut client = front.client();
    client.send(expecting("/refuse"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.closes()), (401, true));
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn a_chunked_body_that_grows_too_long_fails_as_such() {
    let front = TestFront::start(Limits { max_body: 1000, ..Limits::default() });
    let answer = front.ask(&(chunked("/echo") + "3e8\r\n" + &"b".repeat(1000) + "\r\n0\r\n\r\n"));
    assert_eq!((answer.status, answer.body.len()), (200, 1000));
    let answer = front.ask(&(chunked("/echo") + "3e9\r\n" + &"b".repeat(1001) + "\r\n0\r\n\r\n"));
    assert_eq!((answer.status, answer.body.as_str()), (413, "the body is longer than allowed"));
}

#[test]
fn an_endless_body_ends() {
    let front = TestFront::start(Limits { drain_bytes: 1 << 20, ..Limits::default() });
    let mut client = front.client();
    client.send(chunked("/echo"));
    let chunk = [b"10000\r\n".as_slice(), &vec![b'b'; 65_536], b"\r\n"].concat();
    let taken = (0..4000).take_while(|_| client.try_send(&chunk)).count();
    assert!(taken < 2000, "{taken} chunks were taken");
    let answer = client.rest();
    // The drain ended under way, so the answer may be lost, but nothing else may come.
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 413 "), "{answer:?}");
}

#[test]
fn chunks_may_be_a_byte_each() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(chunked("/echo"));
    for piece in "1\r\nb\r\n".repeat(200).as_bytes() {
        client.send([*piece]);
    }
    client.send("0\r\nTrailer: dropped\r\n\r\n");
    assert_eq!(client.answer().body, "b".repeat(200));
}
