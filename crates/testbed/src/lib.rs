//! What tests of both engines need: a database as an attacker or a curious person
//! sees it, and a PostgreSQL: a real server of the tests' own,
//! in a directory that goes with it, run by a user who may do nothing else. Never part of the program.
//!
//! A machine without the server's programs fails the tests, and says what to
//! install.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests alone: what fails here fails the test"
)]

mod engine;
mod raw;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use engine::Engine;
pub use raw::{Cell, Database, FromCell, Kind, Refused, Row};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server, and its files.
pub struct Cluster {
    directory: tempfile::TempDir,
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    server: Option<Child>,
    databases: AtomicU32,
    files_end_with_server: bool,
}

/// How a server is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its sessions are cut off, what was committed is written down.
    Fast,
    /// As in a crash: nothing is written down any more.
    Immediate,
}

impl Ending {
    fn mode(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

impl Cluster {
    /// The one that all tests of a process share. It goes when the process does.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        // What tests of the API and the store ask of it doesn't hang on the disk.
        SHARED.get_or_init(|| {
            let mut cluster = Self::new();
            // Nobody drops what a whole process shares.
            cluster.files_end_with_server = true;
            cluster.begin("fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n");
            cluster
        })
    }

    /// A new one, with these lines in its configuration.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(configuration: &str) -> Self {
        let mut cluster = Self::new();
        cluster.begin(configuration);
        cluster
    }

    fn begin(&mut self, configuration: &str) {
        self.run(
            "initdb",
            &["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username=strongroom"],
        );
        self.configure(configuration);
        self.resume();
    }

    /// A standby of this one, which follows it as a stream under this name.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn standby(&self, name: &str) -> Self {
        let mut standby = Self::new();
        let (host, port) = (self.directory.path().display().to_string(), self.port.to_string());
        let from = format!("host={host} port={port} user=strongroom application_name={name}");
        standby.run(
            "pg_basebackup",
            &["--dbname", &from, "--checkpoint=fast", "--write-recovery-conf", "--no-sync"],
        );
        standby.configure("");
        standby.resume();
        standby
    }

    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("strongroom-pg-").tempdir().unwrap();
        // Its own user must be able to reach what is theirs in it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        give_away(&[directory.path(), &data]);
        Self {
            programs: programs(),
            data,
            port: free_port(),
            server: None,
            databases: AtomicU32::new(0),
            files_end_with_server: false,
            directory,
        }
    }

    /// Appends to the configuration; what comes last counts.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn configure(&self, lines: &str) {
        let own = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nmax_connections = 400\n\
             shared_buffers = 64MB\nlog_min_messages = warning\nmax_wal_senders = 4\nwal_keep_size = 256MB\n",
            self.port,
            self.directory.path().display(),
        );
        let path = self.data.join("postgresql.auto.conf");
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + &own + lines + "\n").unwrap();
    }

    /// Starts the server, and waits until it takes connections.
    ///
    /// # Panics
    /// When it doesn't in time.
    pub fn resume(&mut self) {
        // The server ends when the pipe does, which is when we end, however that is.
        let script = "exec 3<&0; \"$0\"/postgres -D \"$1\" </dev/null >\"$2\" 2>&1 & \
                      trap : HUP INT TERM; read -r _ <&3; kill -QUIT $!; wait; test -z \"$3\" || rm -rf \"$3\"";
        let log = self.directory.path().join("log");
        let mut command = self.as_other_user("sh");
        command.arg("-c").arg(script).arg(&self.programs).arg(&self.data).arg(&log);
        if self.files_end_with_server {
            command.arg(self.directory.path());
        }
        let server =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.server = Some(server);
        let until = Instant::now() + PATIENCE;
        while !self.ready() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < until, "PostgreSQL did not start: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ready(&self) -> bool {
        let mut ready = Command::new(self.programs.join("pg_isready"));
        ready.arg("-q").arg("-h").arg(self.directory.path()).arg("-p").arg(self.port.to_string());
        ready.status().unwrap().success()
    }

    /// Ends the server; its files stay.
    ///
    /// # Panics
    /// When it doesn't end.
    pub fn stop(&mut self, ending: Ending) {
        self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode", ending.mode()]);
        if let Some(mut server) = self.server.take() {
            drop(server.stdin.take());
            server.wait().unwrap();
        }
    }

    /// Makes a standby the primary.
    ///
    /// # Panics
    /// When it can't be.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "--wait", "--silent"]);
    }

    /// Has the server read its configuration again.
    ///
    /// # Panics
    /// When it can't be told.
    pub fn reload(&self) {
        self.run("pg_ctl", &["reload", "--silent"]);
    }

    /// The port on loopback where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// When it can't be made.
    pub fn database(&self) -> String {
        let name = format!("db{}", self.databases.fetch_add(1, Ordering::Relaxed));
        Database::connect(&self.url("postgres")).execute_batch(&format!("CREATE DATABASE {name}")).unwrap();
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://strongroom@127.0.0.1:{}/{name}", self.port)
    }

    /// What the server logged.
    ///
    /// # Panics
    /// When that can't be read.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Runs one of PostgreSQL's programs on the data directory.
    ///
    /// # Panics
    /// When it fails.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = self.as_other_user(self.programs.join(program));
        command.arg("--pgdata").arg(&self.data).args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let status = child.wait().unwrap();
        let mut said = String::new();
        if !status.success() {
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        }
        assert!(status.success(), "{program}: {said}");
    }

    /// As somebody who isn't root, whom PostgreSQL refuses.
    fn as_other_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path()).env("LC_ALL", "C");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.stdin.take());
            let _ended = server.wait();
        }
    }
}

/// Where the server's programs are.
fn programs() -> PathBuf {
    let newest = fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        let versions = versions.flatten().map(|version| version.path().join("bin"));
        versions.filter(|programs| programs.join("initdb").exists()).max()
    });
    let path = std::env::split_paths(&path()).find(|directory| directory.join("initdb").exists());
    newest.or(path).expect("no PostgreSQL server on this machine; install one: apt-get install postgresql")
}

#[expect(clippy::disallowed_methods, reason = "where programs are, of the test's own process")]
fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout.starts_with(b"0\n"))
}

fn give_away(paths: &[&Path]) {
    if is_root() {
        let given = Command::new("chown").arg("nobody:nogroup").args(paths).status().unwrap();
        assert!(given.success(), "chown failed");
    }
}

/// A port that nobody uses just now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
