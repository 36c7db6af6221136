//! A place for an instance, the binary run in it, and a client that speaks to
//! a server. Ends only processes that it started.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use strongroom_core::{OsRandom, random};

/// The longest that anything here may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_strongroom");

/// A command that reads none of the variables of whoever runs the tests.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard error, of a command that failed as a command should.
    pub(crate) fn refusal(&self) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        &self.stderr
    }

    /// What a person read on a terminal, wherever its lines ended.
    pub(crate) fn screen(&self) -> String {
        self.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Standard output, of a command that did its work.
    pub(crate) fn done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        &self.stdout
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary in the environment of this command on a terminal of 60
/// columns, and types a reply to what it asks. The screen is its standard output.
pub(crate) fn on_a_terminal(like: &Command, args: &str, reply: &str) -> Ended {
    let mut terminal = clean("script");
    terminal.args(["-qec", &format!("stty cols 60; exec {BINARY} {args}"), "/dev/null"]);
    terminal.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(reply.as_bytes()).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    Ended { code: wait(&mut child).code(), stdout, stderr: String::new() }
}

/// An empty directory of its own for each test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With an instance in it, and the instance's API key.
    pub(crate) fn with_instance() -> (Self, String) {
        let place = Self::new();
        let made = place.init(&["--json"]);
        let made: Value = serde_json::from_str(made.done()).unwrap();
        (place, made["api_key"].as_str().unwrap().to_owned())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("strongroom.db")
    }

    /// The binary, with a command and this place's data directory.
    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = clean(BINARY);
        command.current_dir(self.0.path()).args([name, "--data-dir"]).arg(self.data()).args(args);
        command
    }

    pub(crate) fn run(&self, name: &str, args: &[&str]) -> Ended {
        run(&mut self.command(name, args))
    }

    /// `init` with a recovery key file.
    pub(crate) fn init(&self, args: &[&str]) -> Ended {
        let recovery = self.path("recovery.key");
        self.run("init", &[&["--recovery-key-file", recovery.to_str().unwrap()], args].concat())
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(
            self.command("serve", &["--listen", "127.0.0.1:0", "--rate-limit", "0"]),
            self.path("stderr"),
        )
    }

    /// A new file that only its owner can read; its path.
    pub(crate) fn private(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        path.display().to_string()
    }

    /// Everything in the data directory and beside it, by name.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut names = Vec::new();
        walk(self.0.path(), &mut |path| {
            names.push(path.strip_prefix(self.0.path()).unwrap().display().to_string());
        });
        names.sort();
        names
    }
}

fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        visit(&path);
        if path.is_dir() {
            walk(&path, visit);
        }
    }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A server process. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    stdout: Option<BufReader<std::process::ChildStdout>>,
    pub(crate) stderr: PathBuf,
    pub(crate) first_line: String,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it and waits until it listens; its standard error goes to a file.
    pub(crate) fn start(mut command: Command, stderr: PathBuf) -> Self {
        let log = File::options().append(true).create(true).open(&stderr).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).unwrap();
        let address = first_line.split_once("listening on ").and_then(|(_, url)| url.split_once("://"));
        let Some((_, address)) = address else {
            panic!("no server: {first_line:?} {}", fs::read_to_string(&stderr).unwrap());
        };
        let address = address.trim().parse().unwrap();
        Self { child, stdout: Some(stdout), stderr, first_line, address }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it as a power cut would end the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for it to end by itself; what else it wrote to standard output.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        let mut rest = String::new();
        self.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        (status, rest)
    }

    /// Reads lines of standard output until one has this.
    pub(crate) fn read_until(&mut self, last: &str) -> String {
        let mut text = String::new();
        while !text.contains(last) {
            let read = self.stdout.as_mut().unwrap().read_line(&mut text).unwrap();
            assert_ne!(read, 0, "the end came before {last:?}: {text}");
        }
        text
    }

    /// Asks it to end, as an init system does.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let (status, _) = self.wait();
        assert_eq!(status.code(), Some(0));
    }

    pub(crate) fn client(&self, key: &str) -> Client {
        Client::new(self.address, key)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits for a child to end, but not for ever.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("the process ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Polls until it is so.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A number below `end`, by chance.
pub(crate) fn chance(end: u64) -> u64 {
    u64::from_be_bytes(random::bytes(&OsRandom)) % end
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One connection that is kept open between requests.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    key: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        Self { address, key: key.to_owned(), stream: None }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "").unwrap()
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.request("POST", path, body).unwrap()
    }

    /// Creates a secret with one value; its id once that was acknowledged.
    pub(crate) fn create(&mut self, value: &str) -> io::Result<Result<String, u16>> {
        let body = serde_json::json!({"name": "load", "values": {"VALUE": value}}).to_string();
        let answer = self.request("POST", "/v1/credentials", &body)?;
        Ok(if answer.status == 201 {
            Ok(answer.json()["id"].as_str().unwrap().to_owned())
        } else {
            Err(answer.status)
        })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        self.request_with(method, path, "", body)
    }

    /// The same, with more lines in the head, each with its end.
    pub(crate) fn request_with(
        &mut self,
        method: &str,
        path: &str,
        head: &str,
        body: &str,
    ) -> io::Result<Answer> {
        self.request_whole(method, path, head, body).map(|(answer, _)| answer)
    }

    /// The same; the answer's head beside it, in lower case.
    pub(crate) fn request_whole(
        &mut self,
        method: &str,
        path: &str,
        head: &str,
        body: &str,
    ) -> io::Result<(Answer, String)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let (address, key, length) = (self.address, &self.key, body.len());
        write!(
            stream.get_mut(),
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{head}content-length: {length}\r\n\r\n{body}"
        )?;
        let (answer, head, stays) = read_answer(&mut stream)?;
        self.stream = stays.then_some(stream);
        Ok((answer, head))
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<(Answer, String, bool)> {
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    let (mut length, mut stays, mut head) = (0, true, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(cut());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        head.extend([&name.to_ascii_lowercase(), ": ", value, "\n"]);
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "connection" => stays = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((Answer { status, body: String::from_utf8(body).unwrap() }, head, stays))
}
