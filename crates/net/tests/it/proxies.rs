//! Whose request it is: what a trusted proxy says, and nobody else.

use strongroom_net::{Limits, TrustedProxies};

use crate::harness::{Client, TestFront, front};
use crate::tls_clients::secure;

/// Trusts `127.0.0.9`, and nobody else.
fn trusting_front() -> TestFront {
    let proxies = TrustedProxies::parse("127.0.0.9").unwrap();
    TestFront::of(front(Limits::default()).with_trusted_proxies(proxies))
}

/// Whom the service is told that a request is from.
fn caller(mut client: Client, headers: &str) -> String {
    client.send(format!("GET /caller HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
    let answer = client.answer();
    answer.assert_ok();
    answer.body
}

/// Each way in which somebody says that they are another.
const SPOOFS: [&str; 8] = [
    "X-Forwarded-For: 203.0.113.9\r\n",
    "x-forwarded-for: 127.0.0.9\r\n",
    "Forwarded: for=203.0.113.9\r\n",
    "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=198.51.100.1\r\n",
    "X-Real-IP: 203.0.113.9\r\n",
    "X-Client-IP: 203.0.113.9\r\nTrue-Client-IP: 203.0.113.9\r\nCF-Connecting-IP: 203.0.113.9\r\n",
    "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.10\r\n",
    "Forwarded: for=\"203.0.113.9\r\n",
];

#[test]
fn strangers_change_nothing_by_what_they_say() {
    let front = trusting_front();
    for spoof in SPOOFS {
        assert_eq!(caller(front.client(), spoof), "127.0.0.1", "{spoof}");
    }
    let nobody = TestFront::start(Limits::default());
    for spoof in SPOOFS {
        assert_eq!(caller(nobody.client_at([127, 0, 0, 9].into()), spoof), "127.0.0.9", "{spoof}");
    }
}

#[test]
fn a_proxys_word_counts_and_what_came_before_it_does_not() {
    let front = trusting_front();
    let proxy = || front.client_at([127, 0, 0, 9].into());
    assert_eq!(caller(proxy(), ""), "127.0.0.9");
    assert_eq!(caller(proxy(), "X-Forwarded-For: 203.0.113.9\r\n"), "203.0.113.9");
    assert_eq!(caller(proxy(), "Forwarded: for=203.0.113.9;proto=https\r\n"), "203.0.113.9");
    assert_eq!(caller(proxy(), "X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\n"), "203.0.113.9");
    assert_eq!(caller(proxy(), "X-Real-IP: 203.0.113.9\r\n"), "127.0.0.9");
    assert_eq!(caller(proxy(), "X-Forwarded-For: unknown\r\n"), "nowhere");
}

#[test]
fn two_stories_are_one_too_many() {
    let front = trusting_front();
    let mut proxy = front.client_at([127, 0, 0, 9].into());
    proxy.send(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nForwarded: for=127.0.0.1\r\n\r\n",
    );
    let answer = proxy.answer();
    answer.assert_refusal(400, "invalid_request");
    assert!(answer.body.contains("X-Forwarded-For"), "{}", answer.body);
}

#[test]
fn over_tls_and_http_2_it_is_the_same() {
    let pair = crate::tls_clients::Pair::new();
    let tls = strongroom_net::Tls::new(pair.identity());
    let proxies = TrustedProxies::parse("127.0.0.9").unwrap();
    let front = TestFront::of(front(Limits::default()).with_tls(tls).with_trusted_proxies(proxies));
    for (address, expected) in [([127, 0, 0, 9], "203.0.113.9"), ([127, 0, 0, 8], "127.0.0.8")] {
        let client = front.client_at(address.into());
        let mut raw = crate::raw_http2::Raw(secure(client, pair.trusting(&["h2"])).unwrap());
        raw.ask_as_forwarded();
        let body = raw.next(crate::raw_http2::DATA, 1).unwrap();
        assert_eq!(String::from_utf8(body.payload).unwrap(), expected);
    }
}

#[test]
fn a_trusted_proxy_has_more_connections_than_one_address() {
    let proxies = TrustedProxies::parse("127.0.0.9").unwrap();
    let limits = Limits { max_connections_per_address: 2, ..Limits::default() };
    let front = TestFront::of(front(limits).with_trusted_proxies(proxies));
    for (address, seats) in [([127, 0, 0, 9], 20), ([127, 0, 0, 8], 2)] {
        let mut clients: Vec<_> = (0..20).map(|_| front.client_at(address.into())).collect();
        let served = clients.iter_mut().filter_map(|client| {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            (client.answer().status == 200).then_some(())
        });
        assert_eq!(served.count(), seats, "{address:?}");
    }
}
