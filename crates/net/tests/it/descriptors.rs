//! A front in a process that has run out of descriptors goes on when it has
//! some again. It is a process of its own, so that no other test runs out.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use strongroom_net::Limits;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::harness::{Client, TestFront};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Not a test: the process with few descriptors. Serves until its input ends;
/// a line has it open all the files it can, another has it close them.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn starved_front() {
    let front = TestFront::start(Limits::default());
    println!("listening on {}", front.address);
    let mut lines = std::io::stdin().lines();
    while lines.next().is_some() {
        let files = std::iter::repeat_with(|| File::open("/dev/null")).map_while(Result::ok);
        let hoard: Vec<File> = files.collect();
        println!("holding {}", hoard.len());
        lines.next();
    }
}

struct Starved {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Starved {
    fn start() -> Self {
        let script = r#"ulimit -n 64; exec "$0" --exact descriptors::starved_front --ignored --nocapture"#;
        let mut process = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, input, output }
    }

    fn tell(&mut self) {
        self.input.write_all(b"\n").unwrap();
    }

    /// What comes after `words` in the first line that has them.
    fn hear(&mut self, words: &str) -> String {
        let said = |line: String| line.split(words).nth(1).map(str::to_owned);
        self.output.by_ref().map(Result::unwrap).find_map(said).unwrap()
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn connect(runtime: &Runtime, address: SocketAddr) -> Client {
    let connected = runtime.block_on(TcpSocket::new_v4().unwrap().connect(address));
    let stream = connected.unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    Client::new(stream)
}

/// A client with a request that nobody accepts for a while.
fn waiting(runtime: &Runtime, address: SocketAddr) -> Client {
    let mut client = connect(runtime, address);
    client.send(GET);
    client.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(client.stream.peek(&mut [0]).is_err(), "there were descriptors enough");
    client.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
}

#[test]
fn the_accept_loop_survives_too_many_clients() {
    let mut starved = Starved::start();
    let address = starved.hear("listening on ").parse().unwrap();
    let runtime = Runtime::new().unwrap();
    let clients: Vec<_> = (0..100).map(|_| connect(&runtime, address)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let mut client = waiting(&runtime, address);
    drop(clients);
    client.answer().assert_ok();
}

#[test]
fn the_accept_loop_tries_again_by_itself() {
    let mut starved = Starved::start();
    let address = starved.hear("listening on ").parse().unwrap();
    let runtime = Runtime::new().unwrap();
    starved.tell();
    assert_ne!(starved.hear("holding "), "0");
    let mut client = waiting(&runtime, address);
    starved.tell();
    client.answer().assert_ok();
}
