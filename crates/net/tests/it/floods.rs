//! Many clients that mean no good, and bytes that mean nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use strongroom_net::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::harness::TestFront;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Both ends of each connection are this process's.
fn allow_descriptors(count: u32) {
    let me = std::process::id().to_string();
    let allowed = Command::new("prlimit").args(["--pid", &me, &format!("--nofile={count}:")]).status();
    assert!(allowed.unwrap().success());
}

/// Sends a head that never ends, a byte at a time; how long it was allowed to.
async fn dribble(from: Ipv4Addr, to: SocketAddr) -> Duration {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let start = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let dribbling = async {
        for byte in "GET / HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'x')) {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dribbling => {}
        _ = reader.read_to_end(&mut answer) => {}
    }
    assert!(answer.is_empty());
    start.elapsed()
}

#[test]
fn a_thousand_slow_clients_are_closed_while_others_are_served() {
    allow_descriptors(4096);
    let limits = Limits { head: Duration::from_secs(2), ..Limits::default() };
    let front = TestFront::start(limits);
    let slow: Vec<_> = (0..1000_u16)
        .map(|number| {
            let from = Ipv4Addr::new(127, 0, 1, 1 + (number % 8) as u8);
            front.runtime.spawn(dribble(from, front.address))
        })
        .collect();
    let mut honest = front.client();
    let mut slowest = Duration::ZERO;
    while !slow.iter().all(tokio::task::JoinHandle::is_finished) {
        let start = Instant::now();
        honest.send(GET);
        honest.answer().assert_ok();
        slowest = slowest.max(start.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(slowest < Duration::from_secs(2), "an honest client waited {slowest:?}");
    let lives = slow.into_iter().map(|client| front.runtime.block_on(client).unwrap());
    let (shortest, longest) =
        lives.fold((Duration::MAX, Duration::ZERO), |(low, high), life| (low.min(life), high.max(life)));
    assert!(
        shortest > Duration::from_secs(1) && longest < Duration::from_secs(10),
        "{shortest:?} to {longest:?}"
    );
}

/// A fixed stream of numbers that look random (xorshift64*).
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// A few requests, some with a byte or a piece gone wrong.
    fn almost_requests(&mut self) -> Vec<u8> {
        let samples = [
            GET,
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
            "POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n",
            "GET http://a/ HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nUpgrade: x\r\n\r\n",
        ];
        let count = 1 + self.below(4);
        let mut bytes: Vec<u8> =
            (0..count).flat_map(|_| samples[self.below(samples.len())].bytes()).collect();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.byte(),
                1 => bytes.insert(at, self.byte()),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        bytes
    }
}

/// Fails unless what came back is a sequence of well-formed answers: nothing
/// bare, nothing of 5xx.
fn assert_answers(sent: &[u8], received: &[u8]) {
    let received = String::from_utf8_lossy(received).replace("HTTP/1.0 ", "HTTP/1.1 ");
    for head in received.split("HTTP/1.1 ").skip(1) {
        let status = head.get(..3).unwrap_or_default();
        let named = head.contains("\r\nx-request-id: ") || status == "100";
        assert!(named && !status.starts_with('5'), "{received:?} for {:?}", String::from_utf8_lossy(sent));
    }
    assert!(received.is_empty() || received.starts_with("HTTP/1.1 "), "{received:?}");
}

#[test]
fn noise_ends_in_answers_or_a_close() {
    let front = TestFront::start(Limits::default());
    let mut noise = Noise(0x5eed);
    for round in 0..1500 {
        let length = 1 + noise.below(600);
        let bytes = match round % 3 {
            0 => (0..length).map(|_| noise.byte()).collect(),
            _ => noise.almost_requests(),
        };
        let mut client = front.client();
        // In one piece or two, so that heads are met half-read.
        let cut = noise.below(bytes.len() + 1);
        client.send(&bytes[..cut]);
        client.try_send(&bytes[cut..]);
        drop(client.stream.shutdown(std::net::Shutdown::Write));
        assert_answers(&bytes, &client.rest());
    }
    front.ask(GET).assert_ok();
}
