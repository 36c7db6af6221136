//! `strongroom dev`: from nothing to a secret in one command, and again.

use std::fs;
use std::process::Stdio;

use crate::harness::{BINARY, Place, Server, clean, run, wait};

fn dev(place: &Place, args: &[&str]) -> Server {
    let args = [&["--listen", "127.0.0.1:0"], args].concat();
    Server::start(place.command("dev", &args), place.path("stderr"))
}

#[test]
fn the_printed_curl_creates_a_secret() {
    let place = Place::new();
    let mut server = dev(&place, &[]);
    let welcome = server.read_until("the values stay inside.\n");
    let curl = &welcome[welcome.find("  curl ").unwrap()..welcome.find("The answer").unwrap()];
    assert!(clean("curl").arg("--version").output().is_ok(), "this test needs curl: apt-get install curl");
    let answer = run(clean("sh").args(["-c", curl]));
    let answer: serde_json::Value = serde_json::from_str(answer.done()).unwrap();
    assert_eq!(answer["env_var_keys"], serde_json::json!(["WEATHER_API_KEY"]));
    assert_eq!(answer["service_slug"], "weather");
    assert!(welcome.contains(&fs::canonicalize(place.data()).unwrap().display().to_string()), "{welcome}");
    assert!(welcome.contains("No recovery key was kept"), "{welcome}");
    assert!(welcome.contains("\n  Broker    http://127.0.0.1:"), "{welcome}");
    assert!(!welcome.contains("AGE-SECRET-KEY"));
}

#[test]
fn the_second_start_says_where_the_key_was_and_how_to_start_over() {
    let place = Place::new();
    let mut first = dev(&place, &[]);
    let welcome = first.read_until("the values stay inside.\n");
    let key = welcome.split_whitespace().find(|word| word.starts_with("srk_")).unwrap().to_owned();
    first.stop();
    let mut second = dev(&place, &["--broker-listen", "none"]);
    let welcome = second.read_until("rm -r ");
    assert!(welcome.contains("\n  Broker    none"), "{welcome}");
    assert!(welcome.contains("was shown at the first start"), "{welcome}");
    assert!(!welcome.contains("srk_"), "{welcome}");
    assert_eq!(second.client(&key).get("/v1/credentials").status, 200);
}

#[test]
fn a_recovery_key_file_is_written_where_one_is_named() {
    let place = Place::new();
    let mut server = dev(&place, &["--recovery-key-file", "recovery.key"]);
    let welcome = server.read_until("the values stay inside.\n");
    assert!(welcome.contains("Recovery key written to recovery.key"), "{welcome}");
    assert!(place.path("recovery.key").exists());
}

#[test]
fn on_a_terminal_the_recovery_key_is_shown_once() {
    let place = Place::new();
    let command = format!("timeout -s INT 5 {BINARY} dev --listen 127.0.0.1:0 --data-dir data");
    let on_a_terminal = || {
        let mut terminal = clean("script");
        terminal.args(["-qec", &command, "/dev/null"]).current_dir(place.path("")).stdout(Stdio::piped());
        run(&mut terminal).stdout
    };
    let screen = on_a_terminal();
    assert!(screen.contains("\n  AGE-SECRET-KEY-1"), "{screen}");
    assert!(!on_a_terminal().contains("AGE-SECRET-KEY"));
}

#[test]
fn where_it_cannot_listen_it_creates_nothing() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = place.run("dev", &["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(refused.refusal().contains("can't listen on"), "{}", refused.stderr);
    assert_eq!(place.tree(), [""; 0]);
}

#[test]
fn a_key_that_nobody_could_read_belongs_to_no_instance() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = place
        .command("dev", &["--listen", "127.0.0.1:0"])
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(wait(&mut child).code(), Some(1));
    assert_eq!(place.tree(), [""; 0]);
}
