//! `strongroom serve`: when it serves, and when and in which words it refuses.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::harness::{BINARY, Client, Place, Server, chmod, clean, eventually, mode};

const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[test]
fn standard_output_is_one_line_and_logs_go_to_standard_error() {
    let (place, _) = Place::with_instance();
    let server = place.serve();
    assert_eq!(server.first_line, format!("listening on http://{}\n", server.address));
    assert_ne!(server.address.port(), 0);
    assert_eq!(server.client("").get("/healthz").status, 200);
    server.signal(rustix::process::Signal::TERM);
    let (status, rest) = server.wait();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
}

#[test]
fn logs_are_lines_of_json_when_wanted() {
    let (place, _) = Place::with_instance();
    let args = [&ANY_PORT[..], &["--log", "trace", "--log-format", "json"]].concat();
    let server = Server::start(place.command("serve", &args), place.path("stderr"));
    server.client("").get("/healthz");
    let stderr = server.stderr.clone();
    server.stop();
    let log = fs::read_to_string(stderr).unwrap();
    assert!(!log.is_empty());
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let (place, key) = Place::with_instance();
    let args = [&ANY_PORT[..], &["--metrics-listen", "127.0.0.1:0", "--log-format", "json"]].concat();
    let server = Server::start(place.command("serve", &args), place.path("stderr"));
    assert_eq!(server.client(&key).get("/v1/credentials").status, 200);
    assert_eq!(server.client(&key).get("/metrics").status, 404);
    let log = fs::read_to_string(&server.stderr).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut addresses = lines.filter_map(|line| line["address"].as_str().map(str::to_owned));
    let address = addresses.next().unwrap();
    let answer = Client::new(address.parse().unwrap(), "").get("/metrics");
    assert!(answer.body.contains("strongroom_answers_total{status=\"2xx\"} 1\n"), "{}", answer.body);
    server.stop();
}

#[test]
fn a_second_signal_ends_it_without_waiting_for_those_it_serves() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let mut stalled = TcpStream::connect(server.address).unwrap();
    write!(stalled, "POST /v1/credentials HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n").unwrap();
    write!(stalled, "content-type: application/json\r\ncontent-length: 100\r\n\r\n{{").unwrap();
    // Answered after the stalled one was accepted: connections are taken in order.
    assert_eq!(server.client(&key).get("/v1/credentials").status, 200);
    server.signal(rustix::process::Signal::TERM);
    let stderr = server.stderr.clone();
    eventually("the first signal is heeded", || {
        fs::read_to_string(&stderr).unwrap().contains("serve.stopping")
    });
    let begun = Instant::now();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "as long as the grace for requests: 30 s");
}

/// What manages services sends it to have files read again, also where there is none.
#[test]
fn a_hangup_does_not_end_a_server_without_a_certificate() {
    let (place, _) = Place::with_instance();
    let server = place.serve();
    server.signal(rustix::process::Signal::HUP);
    let stderr = server.stderr.clone();
    eventually("it is heeded", || fs::read_to_string(&stderr).unwrap().contains("serve.unchanged"));
    assert_eq!(server.client("").get("/healthz").status, 200);
    server.stop();
}

#[test]
fn a_data_directory_that_others_can_enter_is_refused() {
    let (place, _) = Place::with_instance();
    chmod(&place.data(), 0o755);
    for command in ["serve", "dev"] {
        assert!(place.run(command, &ANY_PORT).refusal().contains("chmod 700"), "{command}");
    }
    chmod(&place.data(), 0o700);
    chmod(&place.data().join("strongroom.lock"), 0o644);
    assert!(place.run("serve", &ANY_PORT).refusal().contains("chmod 600"));
}

#[test]
fn metrics_too_stay_on_this_machine() {
    let (place, _) = Place::with_instance();
    let open = [&ANY_PORT[..], &["--metrics-listen", "0.0.0.0:0"]].concat();
    assert!(place.run("serve", &open).refusal().contains("other machines"));
}

#[test]
fn a_second_server_is_refused_and_told_of_the_first() {
    let (place, _) = Place::with_instance();
    let first = place.serve();
    let second = place.run("serve", &ANY_PORT);
    assert!(second.refusal().contains(&format!("process {}", first.pid())), "{}", second.stderr);
    first.stop();
    place.serve().stop();
}

#[test]
fn a_missing_database_is_missed_and_not_created() {
    let (place, _) = Place::with_instance();
    fs::rename(place.database(), place.path("moved.db")).unwrap();
    let refused = place.run("serve", &ANY_PORT);
    assert!(refused.refusal().contains("strongroom.db is missing, but"), "{}", refused.stderr);
    assert!(refused.stderr.contains("restore the database from a backup"), "{}", refused.stderr);
    fs::remove_file(place.data().join("root.key")).unwrap();
    assert!(place.run("serve", &ANY_PORT).refusal().contains("strongroom.lock is there"));
    assert!(!place.database().exists());
}

#[test]
fn where_nothing_ever_was_init_is_named() {
    let place = Place::new();
    let refused = place.run("serve", &ANY_PORT);
    assert!(refused.refusal().contains("strongroom init"), "{}", refused.stderr);
    assert_eq!(place.tree(), [""; 0]);
}

#[test]
fn a_root_key_that_does_not_serve_changes_no_byte_of_the_database() {
    let (place, _) = Place::with_instance();
    let (other, _) = Place::with_instance();
    let key = place.data().join("root.key");
    let good = fs::read(&key).unwrap();
    let database = fs::read(place.database()).unwrap();
    let refused = |words: &str| {
        let refused = place.run("serve", &ANY_PORT);
        assert!(refused.refusal().contains(words), "{words}: {}", refused.stderr);
        assert!(!refused.stderr.contains(std::str::from_utf8(&good[30..60]).unwrap()));
        assert!(database == fs::read(place.database()).unwrap(), "{words}");
    };

    fs::copy(other.data().join("root.key"), &key).unwrap();
    refused("this instance is sealed under the root key file:");
    refused("\nhint: restore ");
    fs::write(&key, &good[..good.len() / 2]).unwrap();
    refused("does not hold a whole root key");
    fs::write(&key, &good).unwrap();
    chmod(&key, 0o640);
    refused("chmod 600");
    fs::rename(&key, place.path("elsewhere")).unwrap();
    refused("root.key is missing");
    chmod(&place.path("elsewhere"), 0o600);
    symlink(place.path("elsewhere"), &key).unwrap();
    refused("not a link");
    fs::remove_file(&key).unwrap();
    fs::rename(place.path("elsewhere"), &key).unwrap();
    place.serve().stop();
}

#[test]
fn off_loopback_only_when_insisted() {
    let (place, _) = Place::with_instance();
    let refused = place.run("serve", &["--listen", "0.0.0.0:0"]);
    assert!(refused.refusal().contains("without TLS"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--insecure-http"), "{}", refused.stderr);
    let insisting = place.command("serve", &["--listen", "0.0.0.0:0", "--insecure-http"]);
    Server::start(insisting, place.path("stderr")).stop();
}

#[test]
fn a_taken_port_is_named() {
    let (place, _) = Place::with_instance();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = place.run("serve", &["--listen", &address]);
    assert!(refused.refusal().contains(&format!("can't listen on {address}")), "{}", refused.stderr);
}

#[test]
fn variables_and_the_file_in_the_data_directory_are_heeded() {
    let (place, _) = Place::with_instance();
    fs::write(place.data().join("strongroom.toml"), "listen = \"[::1]:0\"\nlog = \"error\"\n").unwrap();
    let server = Server::start(place.command("serve", &[]), place.path("stderr"));
    assert!(server.address.is_ipv6());
    server.stop();
    let mut command = place.command("serve", &[]);
    command.env("STRONGROOM_LISTEN", "127.0.0.1:0").env("RUST_LOG", "trace");
    let server = Server::start(command, place.path("stderr"));
    assert!(server.address.is_ipv4());
    let stderr = server.stderr.clone();
    server.stop();
    assert_eq!(fs::read_to_string(stderr).unwrap(), "");
    let mut command = place.command("serve", &["--listen", "nowhere"]);
    assert_eq!(crate::harness::run(&mut command).code, Some(64));
}

#[test]
fn the_process_is_hardened() {
    let (place, _) = Place::with_instance();
    let server = place.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let mut numbers = line[name.len()..].split_whitespace().map(str::to_owned);
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    assert_eq!(limit("Max core file size"), ("0".to_owned(), "0".to_owned()));
    let (soft, hard) = limit("Max open files");
    assert_eq!(soft, hard);
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("Umask:\t0077"), "{status}");
    assert_eq!(mode(&place.data().join("strongroom.db-wal")), 0o600);
}

/// The system gives what shows a process's memory to root when the process
/// said that it must not be dumped. So that this can be seen, it runs as
/// somebody who isn't root.
#[test]
fn its_memory_is_closed_to_its_own_user() {
    const NOBODY: u32 = 65_534;
    let (place, _) = Place::with_instance();
    let user = match rustix::process::geteuid().as_raw() {
        0 => NOBODY,
        user => user,
    };
    fs::copy(BINARY, place.path("strongroom")).unwrap();
    for name in place.tree().into_iter().chain([String::new()]) {
        chown(place.path(&name), Some(user), None).unwrap();
    }
    let mut command = clean(place.path("strongroom"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(place.data());
    command.uid(user);
    let server = Server::start(command, place.path("stderr"));
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains(&format!("Uid:\t{user}\t")), "{status}");
    assert_eq!(fs::metadata(format!("/proc/{}/mem", server.pid())).unwrap().uid(), 0);
}
