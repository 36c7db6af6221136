//! Bytes in which two readers may see different requests: refused, and nothing
//! after them is ever served.

use strongroom_net::Limits;

use crate::harness::TestFront;

/// Whatever the front took for the end of the first request, this comes after.
const HIDDEN: &str = "GET /context HTTP/1.1\r\nHost: a\r\n\r\n";

fn assert_refused(request: &str) {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(format!("{request}{HIDDEN}"));
    client.answer().assert_refusal(400, "invalid_request");
    client.finish_sending();
    client.assert_closed();
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}")
}

#[test]
fn two_lengths_are_one_too_many() {
    assert_refused(&post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
    assert_refused(&post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"));
    assert_refused(&post("Content-Length: 5\r\nContent-Length: 6\r\n", "12345"));
    assert_refused(&post("Content-Length: 5\r\nContent-Length: 5\r\n", "12345"));
    assert_refused(&post("Content-Length: 5, 5\r\n", "12345"));
    assert_refused(&post("Content-Length: +5\r\n", "12345"));
    assert_refused(&post("Content-Length: -5\r\n", "12345"));
    assert_refused(&post("Content-Length: 0x5\r\n", "12345"));
}

#[test]
fn only_one_transfer_encoding_is_known() {
    for encoding in
        ["gzip, chunked", "chunked, gzip", "gzip", "identity", "xchunked", "chunked\t;a", "\"chunked\"", ""]
    {
        assert_refused(&post(&format!("Transfer-Encoding: {encoding}\r\n"), "0\r\n\r\n"));
    }
    assert_refused(&post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"));
    assert_refused("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

#[test]
fn lines_have_one_shape() {
    assert_refused("GET / HTTP/1.1\nHost: a\n\n");
    assert_refused("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n");
    assert_refused(&post("X: a\r\n folded\r\n", ""));
    assert_refused(&post("X: a\r\n\tContent-Length: 3\r\n", ""));
    assert_refused(&post("Content-Length : 5\r\n", "12345"));
    assert_refused(&post("Content-Length\t: 5\r\n", "12345"));
    assert_refused(&post("Content Length: 5\r\n", "12345"));
    assert_refused(&post("X: a\0b\r\n", ""));
    assert_refused(&post("X\0: a\r\n", ""));
    assert_refused(&post("X: a\rContent-Length: 5\r\n", ""));
    assert_refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
}

#[test]
fn a_refused_request_doesnt_cost_those_before_it() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    let good = post("Content-Length: 5\r\n", "12345");
    let bad = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
    client.send(format!("{HIDDEN}{good}{bad}{HIDDEN}"));
    client.answer().assert_ok();
    assert_eq!(client.answer().body, "12345");
    client.answer().assert_refusal(400, "invalid_request");
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn a_refused_request_waits_for_a_slow_answer_before_it() {
    // Times that the connection isn't in any more.
    let short = std::time::Duration::from_millis(200);
    let front = TestFront::start(Limits { first_byte: short, head: short, ..Limits::default() });
    let mut client = front.client();
    client.send(format!("GET /soon HTTP/1.1\r\nHost: a\r\n\r\n\0{HIDDEN}"));
    assert_eq!(client.answer().body, "at last");
    client.answer().assert_refusal(400, "invalid_request");
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn a_refused_head_may_come_in_any_pieces() {
    let front = TestFront::start(Limits::default());
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for at in 0..head.len() {
        let mut client = front.client();
        client.send(&head[..at]);
        std::thread::sleep(std::time::Duration::from_millis(2));
        client.send(b"\0");
        let answer = client.answer();
        answer.assert_refusal(400, "invalid_request");
    }
}

#[test]
fn nothing_is_served_after_a_chunked_body() {
    let front = TestFront::start(Limits::default());
    let mut client = front.client();
    client.send(post("Transfer-Encoding: chunked\r\n", "5\r\n12345\r\n0\r\n\r\n") + HIDDEN);
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.as_str(), answer.closes()), (200, "12345", true));
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn malformed_chunks_end_in_a_400() {
    for chunks in
        ["5\r\n123456\r\n", "g\r\n", "5\n12345\n", "ffffffffffffffff1\r\n", "-1\r\n", "5;\n\r\n", " 5\r\n"]
    {
        let front = TestFront::start(Limits::default());
        let mut client = front.client();
        client.send(post("Transfer-Encoding: chunked\r\n", chunks) + HIDDEN);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (400, true), "{chunks:?}");
        assert_eq!(answer.body, "the body's chunks are malformed", "{chunks:?}");
        client.finish_sending();
        client.assert_closed();
    }
}
