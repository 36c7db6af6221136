//! Many requests on one connection.

use std::time::Duration;

use strongroom_net::Limits;

use crate::harness::TestFront;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_connection_is_used_again() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    let mut ids = std::collections::HashSet::new();
    for _ in 0..100 {
        client.send(GET);
        let answer = client.answer();
        answer.assert_ok();
        assert!(ids.insert(answer.header("x-request-id").unwrap().to_owned()));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    let echo = |body: usize| format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{body:03}");
    client.send((0..200).map(echo).collect::<String>());
    for body in 0..200 {
        assert_eq!(client.answer().body, format!("{body:03}"));
    }
    client.send(GET);
    client.answer().assert_ok();
}

#[test]
fn a_pipelined_request_waits_for_a_slow_one() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(format!("GET /soon HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));
    assert_eq!(client.answer().body, "at last");
    assert_eq!(client.answer().body, "hello");
}

#[test]
fn a_client_may_ask_for_the_end() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{GET}"));
    assert!(client.answer().closes());
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn a_client_may_close_its_side_and_wait() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send("GET /soon HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish_sending();
    assert_eq!(client.answer().body, "at last");
    client.assert_closed();
}

#[test]
fn a_panic_is_answered_and_costs_nobody_else() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(format!("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));
    let answer = client.answer();
    answer.assert_refusal(500, "internal");
    assert!(!format!("{answer:?}").contains("a secret"));
    client.finish_sending();
    client.assert_closed();
    front.ask(GET).assert_ok();
}

#[test]
fn answers_to_head_have_no_body() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let bytes = client.rest();
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n") && bytes.ends_with(b"\r\n\r\n"));
}
