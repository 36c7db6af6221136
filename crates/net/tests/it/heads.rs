//! What a head may be, and the answer to one that isn't.

use strongroom_net::Limits;

use crate::harness::TestFront;

fn refused(limits: Limits, request: &str, status: u16, code: &str) {
    let front = TestFront::start(limits);
    let mut client = front.client();
    client.send(request);
    let answer = client.answer();
    answer.assert_refusal(status, code);
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn a_good_request_is_served() {
    let front = TestFront::start(Limits::default());
    let answer = front.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    answer.assert_ok();
    assert_eq!((answer.body.as_str(), answer.closes()), ("hello", false));
    assert!(answer.header("date").is_some());
}

#[test]
fn the_service_learns_id_and_peer_and_no_id_of_the_clients() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client_at([127, 0, 0, 7].into());
    client.send("GET /context HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n");
    let answer = client.answer();
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(answer.body, format!("{id} 127.0.0.7"));
    assert_ne!(id, "mine");
}

#[test]
fn a_long_target_is_answered_414() {
    let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(8192));
    refused(Limits::default(), &request, 414, "uri_too_long");
    refused(Limits { max_url: 9, ..Limits::default() }, "GET /123456789", 414, "uri_too_long");
}

#[test]
fn many_headers_are_answered_431() {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(64));
    refused(Limits::default(), &request, 431, "headers_too_large");
}

#[test]
fn limits_above_the_librarys_own_hold() {
    let limits = Limits { max_headers: 300, max_head: 128 << 10, max_url: 60_000, ..Limits::default() };
    let front = TestFront::start(limits);
    let lines = format!("X: {}\r\n", "x".repeat(260)).repeat(298);
    let many = format!("GET /?{} HTTP/1.1\r\nHost: a\r\n{lines}\r\n", "u".repeat(50_000));
    front.ask(&many).assert_ok();
}

#[test]
fn a_large_head_is_answered_431() {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(16 << 10));
    refused(Limits::default(), &request, 431, "headers_too_large");
}

#[test]
fn a_malformed_head_is_answered_400_and_never_quoted() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: canary\0\r\n\r\n",
        "GET /canary\r\n\r\n",
        "canary",
        "GET /\u{7f}canary HTTP/1.1\r\n\r\n",
    ] {
        let front = TestFront::start(Limits::default());
        let mut client = front.client();
        client.send(request);
        // One of them is no more than the beginning of a method yet.
        client.send("\0");
        let answer = client.answer();
        answer.assert_refusal(400, "invalid_request");
        assert!(answer.header("date").is_some());
        assert!(!format!("{answer:?}").contains("canary"));
    }
}

#[test]
fn what_only_the_library_refuses_is_answered_alike() {
    // Every byte of it is one that a target may have.
    refused(Limits::default(), "GET http:///% HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_request");
}

#[test]
fn host_must_be_there_once() {
    refused(Limits::default(), "GET / HTTP/1.1\r\n\r\n", 400, "invalid_request");
    refused(Limits::default(), "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "invalid_request");
    let front = TestFront::start(Limits::default());
    front.ask("GET / HTTP/1.1\r\nHost:\r\n\r\n").assert_ok();
}

#[test]
fn http_1_0_is_served_and_closed() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.answer().assert_ok();
    client.assert_closed();
}

#[test]
fn targets_have_an_origins_form() {
    let front = TestFront::start(Limits::default());
    front.ask("GET http://a:80/ HTTP/1.1\r\nHost: A:80\r\n\r\n").assert_ok();
    assert_eq!(front.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status, 404);
    for line in [
        "GET http://b/ HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET * HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT http://a/ HTTP/1.1",
    ] {
        let answer = front.ask(&format!("{line}\r\nHost: a\r\n\r\n"));
        answer.assert_refusal(400, "invalid_request");
    }
}

#[test]
fn other_protocols_are_answered_and_closed() {
    let client_hello: Vec<u8> = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[7; 500]].concat();
    let http_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    for bytes in [client_hello, http_2, b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), vec![0xff; 100_000]] {
        let front = TestFront::start(Limits::default());
        let mut client = front.client();
        client.send(&bytes);
        client.answer().assert_refusal(400, "invalid_request");
        client.finish_sending();
        client.assert_closed();
    }
}
