//! Each phase of a connection ends in time, and not before.

use std::thread::sleep;
use std::time::Duration;

use strongroom_net::Limits;

use crate::harness::{Client, TestFront, time};

const SHORT: Duration = Duration::from_millis(300);
/// A phase may end this much later where two cores are shared.
const BOUND: Duration = Duration::from_secs(5);

/// Fails unless the front closes without a word after about [`SHORT`].
fn assert_closed_in_time(mut client: Client) {
    let taken = time(|| client.assert_closed());
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
}

#[test]
fn a_first_byte_must_come() {
    let front = TestFront::start(Limits { first_byte: SHORT, ..Limits::default() });
    assert_closed_in_time(front.client());
}

#[test]
fn a_head_must_be_whole() {
    let front = TestFront::start(Limits { head: SHORT, ..Limits::default() });
    let mut client = front.client();
    client.send("GET / HTTP/1.1\r\n");
    assert_closed_in_time(client);
}

#[test]
fn dribbling_doesnt_stretch_a_head() {
    let front = TestFront::start(Limits { head: SHORT, ..Limits::default() });
    let mut client = front.client();
    let dribble = || {
        while client.try_send("G") {
            sleep(Duration::from_millis(20));
        }
    };
    let taken = time(dribble);
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
}

#[test]
fn empty_lines_are_part_of_a_head() {
    let front = TestFront::start(Limits { head: SHORT, ..Limits::default() });
    let mut client = front.client();
    client.send("\r\n");
    assert_closed_in_time(client);
}

#[test]
fn a_later_head_must_be_whole_too() {
    let front = TestFront::start(Limits { head: SHORT, ..Limits::default() });
    let mut client = front.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.answer().assert_ok();
    sleep(SHORT);
    client.send("GET / HTTP/1.1\r\n");
    assert_closed_in_time(client);
}

#[test]
fn a_head_begun_during_a_request_must_be_whole_too() {
    let front = TestFront::start(Limits { head: SHORT, ..Limits::default() });
    let mut client = front.client();
    client.send("GET /soon HTTP/1.1\r\nHost: a\r\n\r\nGET /");
    client.answer().assert_ok();
    assert_closed_in_time(client);
}

#[test]
fn an_idle_connection_ends() {
    let front = TestFront::start(Limits { idle: SHORT, ..Limits::default() });
    let mut client = front.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.answer().assert_ok();
    assert_closed_in_time(client);
}

#[test]
fn each_phase_has_its_own_time() {
    let limits =
        Limits { first_byte: SHORT, head: SHORT, request: SHORT * 4, idle: BOUND, ..Limits::default() };
    let front = TestFront::start(limits);
    let mut client = front.client();
    for path in ["/", "/soon", "/"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.answer().assert_ok();
        sleep(SHORT * 2);
    }
}

#[test]
fn a_slow_body_fails_in_time_to_be_answered() {
    for path in ["/echo", "/elsewhere"] {
        let front = TestFront::start(Limits { request: SHORT, ..Limits::default() });
        let mut client = front.client();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123"));
        let taken = time(|| {
            let answer = client.answer();
            assert_eq!((answer.status, answer.closes()), (400, true), "{path}");
            assert_eq!(answer.body, "the body did not arrive in time", "{path}");
        });
        assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
        client.finish_sending();
        client.assert_closed();
    }
}

#[test]
fn dribbling_doesnt_stretch_a_body() {
    let front = TestFront::start(Limits { request: SHORT, drain_time: SHORT, ..Limits::default() });
    let mut client = front.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    let dribble = || {
        while client.try_send("b") {
            sleep(Duration::from_millis(20));
        }
    };
    let taken = time(dribble);
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
}

#[test]
fn a_slow_service_is_answered_for() {
    let front = TestFront::start(Limits { request: SHORT, ..Limits::default() });
    for request in [
        "GET /late HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /holds HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123",
    ] {
        let mut client = front.client();
        client.send(request);
        let taken = time(|| client.answer().assert_refusal(503, "unavailable"));
        assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
        client.finish_sending();
        client.assert_closed();
    }
}

#[test]
fn a_slow_reader_is_cut() {
    let front = TestFront::start(Limits { request: SHORT, ..Limits::default() });
    let mut client = front.client();
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep(SHORT * 4);
    let read = client.rest().len();
    assert!(read > 0 && read < 64 << 20, "{read}");
}
