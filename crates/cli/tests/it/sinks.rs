//! Where events go as they are sealed: each place gets every event once it is named, in
//! their order, and one that is away or slow keeps nobody waiting.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use strongroom_core::Timestamp;
use strongroom_core::audit::webhook::signature;

use crate::harness::{Client, Place, Server, chmod, eventually, mode};
use crate::stub::{Stub, Told};

const SECRET: &str = "a secret of a webhook";

fn serve(place: &Place, args: &[&str]) -> Server {
    let all = [&["--listen", "127.0.0.1:0", "--rate-limit", "0"], args].concat();
    Server::start(place.command("serve", &all), place.path("stderr"))
}

fn created(client: &mut Client, count: usize) -> BTreeSet<String> {
    (0..count).map(|_| client.create("a value").unwrap().unwrap()).collect()
}

/// The secrets whose creation lines tell of, in their order; each once.
fn told(lines: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for line in lines.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        if event["action"] == "secret.created" {
            assert!(ids.insert(event["object_id"].as_str().unwrap().to_owned()), "twice: {line}");
        }
    }
    ids
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_file_and_standard_output_get_each_event_also_over_a_restart() {
    let (place, key) = Place::with_instance();
    let file = place.path("audit.jsonl");
    let args = ["--audit-file", file.to_str().unwrap(), "--audit-stdout"];
    let mut all = BTreeSet::new();
    for _ in 0..2 {
        let server = serve(&place, &args);
        let mut client = server.client(&key);
        all.extend(created(&mut client, 30));
        server.signal(rustix::process::Signal::TERM);
        let (status, printed) = server.wait();
        assert!(status.success());
        assert!(told(&printed).is_subset(&all) && told(&printed).len() == 30, "{printed}");
    }
    assert_eq!(told(&read(&file)), all);
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_webhook_that_was_away_gets_everything_signed() {
    let (place, key) = Place::with_instance();
    let (stub, secret) = (Stub::new(), place.path("secret"));
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    chmod(&secret, 0o600);
    stub.tell(Told::Cut).say(500, "not now").otherwise("");
    let url = format!("{}hook", stub.url());
    let args = ["--audit-webhook", &url, "--audit-webhook-secret-file", secret.to_str().unwrap()];
    let server = serve(&place, &args);
    let all = created(&mut server.client(&key), 25);
    let mut got = BTreeSet::new();
    eventually("it has them all", || {
        got = stub.bodies().iter().skip(2).flat_map(|body| told(body)).collect();
        got == all
    });
    for seen in stub.seen() {
        assert_eq!(seen.line(), "POST /hook");
        let header = seen.header("strongroom-signature").unwrap();
        let seconds: i64 = header[2..].split(',').next().unwrap().parse().unwrap();
        let expected =
            signature(&SECRET.into(), Timestamp::from_millis(seconds * 1_000), seen.body.as_bytes());
        assert_eq!(header, expected);
    }
    server.stop();
    let log = read(&place.path("stderr"));
    assert!(log.contains("audit.sink.failed") && log.contains("audit.sink.recovered"), "{log}");
    assert!(!log.contains(SECRET));
}

#[test]
fn a_place_that_never_takes_anything_keeps_nobody_waiting() {
    let (place, key) = Place::with_instance();
    let (stub, secret) = (Stub::new(), place.path("secret"));
    fs::write(&secret, SECRET).unwrap();
    chmod(&secret, 0o600);
    stub.tell(Told::Never);
    let url = stub.url();
    // Nobody reads what it prints either, which is more than a pipe holds.
    let args =
        ["--audit-stdout", "--audit-webhook", &url, "--audit-webhook-secret-file", secret.to_str().unwrap()];
    let server = serve(&place, &args);
    let begun = std::time::Instant::now();
    created(&mut server.client(&key), 600);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    server.signal(rustix::process::Signal::TERM);
    eventually("it ends", || {
        rustix::process::test_kill_process(server_pid(&server)).is_err() || is_zombie(&server)
    });
}

fn server_pid(server: &Server) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap()
}

fn is_zombie(server: &Server) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

#[test]
fn a_webhook_that_makes_no_sense_is_refused_before_anything_is_served() {
    let (place, _) = Place::with_instance();
    let secret = place.path("secret");
    fs::write(&secret, "short").unwrap();
    chmod(&secret, 0o600);
    let file = secret.to_str().unwrap();
    for (args, expected) in [
        (vec!["--audit-webhook", "http://example.com/"], "in the clear"),
        (vec!["--audit-webhook", "https://example.com/"], "needs a secret"),
        (vec!["--audit-webhook", "https://example.com/", "--audit-webhook-secret-file", file], "too short"),
        (vec!["--audit-file", "/proc/audit"], "can't be written to"),
    ] {
        let ended = place.run("serve", &[&["--listen", "127.0.0.1:0"], &args[..]].concat());
        assert!(ended.refusal().contains(expected), "{}", ended.refusal());
    }
}
