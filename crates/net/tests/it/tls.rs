//! TLS: versions, protocols, deadlines, certificates and how they are changed,
//! and that HTTP/1.1 within is what it is without.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use strongroom_net::{Identity, IdentityError, Limits};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{AlertDescription, Error, ProtocolVersion};

use crate::harness::{Client, time};
use crate::tls_clients::{Pair, TlsFront, secure, secure_with};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const SHORT: Duration = Duration::from_millis(300);
/// A phase may end this much later where two cores are shared.
const BOUND: Duration = Duration::from_secs(5);

/// A `ClientHello` of this version, with what servers of TLS 1.0 to 1.2 ask for.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let extensions = [
        // supported_groups: secp256r1; ec_point_formats: uncompressed.
        &[0, 10, 0, 4, 0, 2, 0, 23][..],
        &[0, 11, 0, 2, 1, 0],
        // signature_algorithms: ecdsa_secp256r1_sha256, ecdsa_sha1.
        &[0, 13, 0, 6, 0, 4, 4, 3, 2, 3],
    ]
    .concat();
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, and with AES_128_CBC_SHA.
    let suites = [0, 4, 0xc0, 0x2b, 0xc0, 0x09];
    let mut body = [&version[..], &[7; 32], &[0], &suites, &[1, 0]].concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

/// What a server says first to a hello.
fn first_record(front: &TlsFront, hello: &[u8]) -> Vec<u8> {
    let mut client = front.front.client();
    client.send(hello);
    let mut head = [0; 5];
    client.stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; u16::from_be_bytes([head[3], head[4]]).into()];
    client.stream.read_exact(&mut body).unwrap();
    [&head[..1], &body].concat()
}

#[test]
fn versions_1_2_and_1_3_are_spoken() {
    let front = TlsFront::start(Limits::default());
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let config = front.pair.trusting_with(&[], &[version]);
        let mut client = secure(front.front.client(), config).unwrap();
        assert_eq!(client.version(), expected);
        client.send(GET);
        client.answer().assert_ok();
    }
}

#[test]
fn older_versions_are_refused() {
    const HANDSHAKE: u8 = 22;
    const FATAL_PROTOCOL_VERSION: [u8; 3] = [21, 2, 70];
    let front = TlsFront::start(Limits::default());
    for old in [[3, 0], [3, 1], [3, 2]] {
        assert_eq!(first_record(&front, &hello(old)), FATAL_PROTOCOL_VERSION, "{old:?}");
    }
    // The same hello, but for the version, is taken.
    let answer = first_record(&front, &hello([3, 3]));
    assert_eq!((answer[0], &answer[5..7]), (HANDSHAKE, &[3, 3][..]));
}

#[test]
fn the_client_chooses_the_protocol_and_http_2_is_preferred() {
    let front = TlsFront::start(Limits::default());
    for (offered, chosen) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["spdy/3", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let client = secure(front.front.client(), front.pair.trusting(offered)).unwrap();
        assert_eq!(client.protocol(), chosen, "{offered:?}");
    }
    let mut silent = secure(front.front.client(), front.pair.trusting(&[])).unwrap();
    silent.send(GET);
    silent.answer().assert_ok();
    let refused = secure(front.front.client(), front.pair.trusting(&["spdy/3"])).err().unwrap();
    let refused = refused.into_inner().unwrap().downcast::<Error>().unwrap();
    assert_eq!(*refused, Error::AlertReceived(AlertDescription::NoApplicationProtocol));
}

#[test]
fn http_1_within_is_what_it_is_without() {
    let front = TlsFront::start(Limits::default());
    let mut client = front.client();
    for _ in 0..3 {
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345");
        assert_eq!(client.answer().body, "12345");
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    client.answer().assert_refusal(400, "invalid_request");
    client.finish();
    client.assert_closed();
}

#[test]
fn who_sends_it_all_first_reads_why_it_was_refused() {
    let front = TlsFront::start(Limits::default());
    let body = "b".repeat(6 << 20);
    let mut client = front.client();
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    client.answer().assert_refusal(413, "too_large");
    client.assert_closed();
}

#[test]
fn a_big_answer_arrives_whole() {
    let front = TlsFront::start(Limits::default());
    let mut client = front.client();
    client.send("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let received = client.rest();
    let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    assert_eq!(received.len() - head - 4, 64 << 20);
}

#[test]
fn plain_http_is_told_to_use_https() {
    let front = TlsFront::start(Limits::default());
    let mut client = front.front.client();
    client.send(GET);
    let answer = client.answer();
    answer.assert_refusal(400, "invalid_request");
    assert!(answer.body.contains("https://"), "{}", answer.body);
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn noise_is_no_handshake() {
    let front = TlsFront::start(Limits::default());
    for noise in [&b"\0\0\0\0\0\0\0\0\0\0"[..], b"\x16\x03\x01\xff\xff\x01", &[0xff; 10_000], b"ssh-2.0\r\n"]
    {
        let mut client = front.front.client();
        client.try_send(noise);
        drop(client.stream.shutdown(std::net::Shutdown::Write));
        let received = client.rest();
        assert!(received.len() < 10, "{received:?}");
    }
    let mut client = front.client();
    client.send(GET);
    client.answer().assert_ok();
}

/// Fails unless the front closes after about [`SHORT`].
fn assert_closed_in_time(mut client: Client) {
    let taken = time(|| drop(client.rest()));
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
}

#[test]
fn a_handshake_must_begin_and_end_in_time() {
    let front = TlsFront::start(Limits { handshake: SHORT, ..Limits::default() });
    assert_closed_in_time(front.front.client());
    let mut begun = front.front.client();
    begun.send(&hello([3, 3])[..20]);
    assert_closed_in_time(begun);
    let mut half = front.front.client();
    half.send(hello([3, 3]));
    assert_closed_in_time(half);
}

#[test]
fn dribbling_doesnt_stretch_a_handshake() {
    let front = TlsFront::start(Limits { handshake: SHORT, ..Limits::default() });
    let mut client = front.front.client();
    let mut hello = hello([3, 3]).into_iter();
    let dribble = || {
        while hello.next().is_some_and(|byte| client.try_send([byte])) {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let taken = time(dribble);
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
}

#[test]
fn after_the_handshake_the_usual_times_hold() {
    let front = TlsFront::start(Limits { first_byte: SHORT, idle: SHORT, ..Limits::default() });
    let mut silent = front.client();
    let taken = time(|| assert!(silent.rest().is_empty()));
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
    let mut used = front.client();
    used.send(GET);
    used.answer().assert_ok();
    let taken = time(|| assert!(used.rest().is_empty()));
    assert!(taken > SHORT / 2 && taken < BOUND, "{taken:?}");
}

#[test]
fn a_handshake_takes_a_seat() {
    let front = TlsFront::start(Limits { max_connections_per_address: 1, ..Limits::default() });
    let waiting = front.front.client();
    let mut beyond = front.front.client();
    assert!(beyond.rest().is_empty());
    drop(waiting);
    // The seat comes back soon after.
    let seated = || {
        let client = secure(front.front.client(), front.pair.trusting(&[]));
        client.is_ok()
    };
    assert!((0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        seated()
    }));
}

#[test]
fn who_is_shaking_hands_doesnt_hold_up_the_end() {
    let mut front = TlsFront::start(Limits::default());
    let _silent = front.front.client();
    let mut half = front.front.client();
    half.send(hello([3, 3]));
    half.stream.read_exact(&mut [0; 5]).unwrap();
    front.front.shut_down();
    assert!(front.front.ends_within(BOUND));
}

#[test]
fn requests_in_flight_are_answered_when_it_ends() {
    let mut front = TlsFront::start(Limits::default());
    let mut client = front.client();
    client.send("GET /soon HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    front.front.shut_down();
    let answer = client.answer();
    assert_eq!((answer.body.as_str(), answer.closes()), ("at last", true));
    client.assert_closed();
    assert!(front.front.ends_within(BOUND));
}

#[test]
fn a_new_certificate_is_shown_to_whoever_comes_next() {
    let front = TlsFront::start(Limits::default());
    let old = Arc::new(front.pair.trusting(&["http/1.1"]));
    let mut before = secure_with(front.front.client(), &old).unwrap();
    before.send(GET);
    before.answer().assert_ok();

    let next = Pair::new();
    front.tls.replace(next.identity());
    let mut after = secure(front.front.client(), next.trusting(&["http/1.1"])).unwrap();
    after.send(GET);
    after.answer().assert_ok();
    // Who is connected goes on; a session that could be resumed isn't.
    before.send(GET);
    before.answer().assert_ok();
    let refused = secure_with(front.front.client(), &old).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
}

#[test]
fn sessions_are_resumed_while_the_certificate_stays() {
    // So that the refusal above is known to be one.
    let front = TlsFront::start(Limits::default());
    let config = Arc::new(front.pair.trusting(&["http/1.1"]));
    let mut client = secure_with(front.front.client(), &config).unwrap();
    client.send(GET);
    client.answer().assert_ok();
    let again = secure_with(front.front.client(), &config).unwrap();
    let kind = again.stream.conn.handshake_kind().unwrap();
    assert_eq!(kind, tokio_rustls::rustls::HandshakeKind::Resumed);
}

#[test]
fn what_is_no_pair_is_told_apart() {
    let (one, other) = (Pair::new(), Pair::new());
    let refused =
        |certificate: &str, key: &str| Identity::from_pem(certificate.as_bytes(), key.as_bytes()).err();
    let (certificate, key) = (one.certificate.as_str(), one.key.as_str());
    assert_eq!(refused(certificate, key), None);
    assert_eq!(refused(&(other.certificate.clone() + certificate), key), Some(IdentityError::Mismatch));
    assert_eq!(refused(certificate, &other.key), Some(IdentityError::Mismatch));
    assert_eq!(refused("", key), Some(IdentityError::NoCertificate));
    assert_eq!(refused(key, key), Some(IdentityError::NoCertificate));
    assert_eq!(refused(certificate, certificate), Some(IdentityError::NoKey));
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(refused(certificate, &encrypted), Some(IdentityError::NoKey));
    for cut in [60, certificate.len() / 2, certificate.len() - 30] {
        assert_eq!(refused(&certificate[..cut], key), Some(IdentityError::GarbledCertificate), "{cut}");
    }
    // Text within that isn't what it says it is.
    let swapped = key.replace("PRIVATE KEY", "CERTIFICATE");
    assert_eq!(refused(&swapped, key), Some(IdentityError::GarbledCertificate));
    let swapped = certificate.replace("CERTIFICATE", "PRIVATE KEY");
    assert_eq!(refused(certificate, &swapped), Some(IdentityError::GarbledKey));
    assert_eq!(refused(certificate, &key[..key.len() / 2]), Some(IdentityError::GarbledKey));
}

#[test]
fn the_client_may_close_as_it_likes() {
    let front = TlsFront::start(Limits::default());
    for orderly in [true, false] {
        let mut client = front.client();
        client.send(GET);
        client.answer().assert_ok();
        if orderly {
            client.finish();
        }
        client.stream.sock.flush().unwrap();
        client.stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        client.assert_closed();
    }
}
