//! A front in a process that has run out of descriptors goes on when it has
//! some again. It is a process of its own, so that no other test runs out.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use strongroom_net::Limits;
use tokio::net::TcpSocket;

use crate::harness::{Client, TestFront};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Not a test: the process with few descriptors. Serves until its input ends.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn starved_front() {
    let front = TestFront::start(Limits::default());
    println!("listening on {}", front.address);
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
}

struct Starved {
    process: Child,
    address: SocketAddr,
}

fn starve() -> Starved {
    let script = r#"ulimit -n 64; exec "$0" --exact descriptors::starved_front --ignored --nocapture"#;
    let mut process = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let told =
        lines.map(Result::unwrap).find_map(|line| line.split("listening on ").nth(1).map(str::to_owned));
    Starved { process, address: told.unwrap().parse().unwrap() }
}

impl Drop for Starved {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn connect(runtime: &tokio::runtime::Runtime, address: SocketAddr) -> Client {
    let stream = runtime.block_on(TcpSocket::new_v4().unwrap().connect(address)).unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    Client::new(stream)
}

#[test]
fn the_accept_loop_survives() {
    let starved = starve();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clients: Vec<_> = (0..100).map(|_| connect(&runtime, starved.address)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let mut waiting = connect(&runtime, starved.address);
    waiting.send(GET);
    waiting.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(waiting.stream.peek(&mut [0]).is_err(), "there were descriptors enough");

    drop(clients);
    waiting.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    waiting.answer().assert_ok();
}
