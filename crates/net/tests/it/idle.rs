//! What a client costs that is connected and asks for nothing. The front is a
//! process of its own, so that its memory is not its clients'.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use strongroom_net::Limits;
use tokio::net::TcpSocket;

use crate::harness::Client;
use crate::raw_http2::Raw;
use crate::tls_clients::{Secure, TlsFront, secure_with, trusting_anyone};

/// Not a test: the process whose memory is looked at. Serves until its input ends.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn watched_front() {
    let limits = Limits {
        max_connections: usize::MAX,
        max_connections_per_address: usize::MAX,
        idle: std::time::Duration::from_mins(10),
        ..Limits::default()
    };
    let front = TlsFront::start(limits);
    println!("listening on {}", front.front.address);
    drop(std::io::stdin().lines().last());
}

struct Watched {
    process: Child,
    address: SocketAddr,
}

impl Watched {
    fn start(descriptors: usize) -> Self {
        let script = format!(
            r#"ulimit -n {descriptors}; exec "$0" --exact idle::watched_front --ignored --nocapture"#
        );
        let mut process = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let said = |line: String| line.split("listening on ").nth(1).map(str::to_owned);
        let address = lines.map(Result::unwrap).find_map(said).unwrap().parse().unwrap();
        Self { process, address }
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Many clients, each once served, and what each costs the front, in KiB.
fn cost_of(count: usize, protocol: &str) -> f64 {
    let watched = Watched::start(count + 100);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Arc::new(trusting_anyone(protocol));
    let connect = |number: usize| {
        // So that ports don't run out.
        let host = u8::try_from(1 + number / 5000).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 2, host), 0).into()).unwrap();
        let stream = runtime.block_on(socket.connect(watched.address)).unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        served(secure_with(Client::new(stream), &config).unwrap(), protocol)
    };
    // What is made once is not a client's cost.
    let first: Vec<_> = (0..20).map(connect).collect();
    let before = watched.memory();
    let clients: Vec<_> = (0..count).map(connect).collect();
    let after = watched.memory();
    drop((first, clients));
    let cost = f64::from(u32::try_from(after.saturating_sub(before)).unwrap())
        / f64::from(u32::try_from(count).unwrap());
    println!("{count} idle connections over TLS, {protocol}: {cost:.1} KiB each");
    cost
}

/// A client of the protocol that was served once.
fn served(mut client: Secure, protocol: &str) -> Secure {
    if protocol == "h2" {
        let mut raw = Raw::over(client, &[]);
        raw.assert_served(1);
        return raw.0;
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.answer().assert_ok();
    client
}

fn allow_descriptors(count: usize) {
    let me = std::process::id().to_string();
    let allowed = Command::new("prlimit").args(["--pid", &me, &format!("--nofile={count}:")]).status();
    assert!(allowed.unwrap().success());
}

/// In kibibytes: what a client may cost in a debug build, whose futures are
/// larger. The release build is held to 30: `cargo test --release`.
const MOST: f64 = if cfg!(debug_assertions) { 45.0 } else { 30.0 };

#[test]
fn a_thousand_idle_clients_cost_little() {
    allow_descriptors(4096);
    for protocol in ["http/1.1", "h2"] {
        let cost = cost_of(1000, protocol);
        assert!(cost < MOST, "{protocol}: {cost:.1} KiB");
    }
}

#[test]
#[ignore = "needs 10,200 descriptors in each of two processes: ulimit -n 20000; add --ignored idle::ten"]
fn ten_thousand_idle_clients_cost_little() {
    allow_descriptors(12_000);
    for protocol in ["http/1.1", "h2"] {
        let cost = cost_of(10_000, protocol);
        assert!(cost < MOST, "{protocol}: {cost:.1} KiB");
    }
}
