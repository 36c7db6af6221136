//! How serving ends.

use std::time::Duration;

use strongroom_net::Limits;

use crate::harness::TestFront;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const SOON: &str = "GET /soon HTTP/1.1\r\nHost: a\r\n\r\n";

/// Long enough for a request to reach the service.
const ARRIVAL: Duration = Duration::from_millis(100);

#[test]
fn idle_connections_close_at_once() {
    let mut front = TestFront::start(Limits::default());
    let mut used = front.client();
    used.send(GET);
    used.answer().assert_ok();
    let mut fresh = front.client();
    std::thread::sleep(ARRIVAL);
    front.shut_down();
    used.assert_closed();
    fresh.assert_closed();
    assert!(front.ends_within(Duration::from_secs(5)));
}

#[test]
fn requests_in_flight_are_answered() {
    let mut front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(SOON);
    std::thread::sleep(ARRIVAL);
    front.shut_down();
    let answer = client.answer();
    assert_eq!((answer.body.as_str(), answer.closes()), ("at last", true));
    client.assert_closed();
    assert!(front.ends_within(Duration::from_secs(5)));
}

#[test]
fn nobody_is_accepted_any_more() {
    let mut front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(SOON);
    std::thread::sleep(ARRIVAL);
    front.shut_down();
    std::thread::sleep(ARRIVAL);
    let refused = front.runtime.block_on(tokio::net::TcpSocket::new_v4().unwrap().connect(front.address));
    assert!(refused.is_err());
    client.answer().assert_ok();
}

#[test]
fn grace_is_finite() {
    let mut front = TestFront::start(Limits { grace: Duration::from_millis(300), ..Limits::default() });
    let mut client = front.client();
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(ARRIVAL);
    front.shut_down();
    assert!(!front.ends_within(Duration::from_millis(100)));
    assert!(front.ends_within(Duration::from_secs(5)));
    assert!(client.rest().is_empty());
}
