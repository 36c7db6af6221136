//! TLS by `serve` itself: what it says and refuses, and that a renewed
//! certificate costs nobody a request.

use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::certificates::{Pair, ask, curl, options, put, trusting};
use crate::harness::{BINARY, Place, Server, chmod, clean, eventually, run};

const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// A server that speaks TLS with the certificate that lies there.
fn serve(place: &Place, args: &[&str]) -> Server {
    let tls = options(place);
    let args = [&tls.each_ref().map(String::as_str)[..], &["--rate-limit", "0"], args].concat();
    Server::start(place.command("serve", &args), place.path("stderr"))
}

fn refusal(place: &Place) -> String {
    let tls = options(place);
    let args = [&tls.each_ref().map(String::as_str)[..], &ANY_PORT].concat();
    place.run("serve", &args).refusal().to_owned()
}

#[test]
fn https_is_said_and_spoken() {
    let (place, key) = Place::with_instance();
    Pair::new().write(&place);
    let server = serve(&place, &ANY_PORT);
    assert_eq!(server.first_line, format!("listening on https://{}\n", server.address));
    let url = format!("https://localhost:{}", server.address.port());
    let certificate = place.path("tls.pem");
    let health = format!("{url}/healthz");
    assert_eq!(curl(&certificate, &[&health]), "200 2");
    assert_eq!(curl(&certificate, &["--http1.1", &health]), "200 1.1");
    let plain = format!("http://localhost:{}/healthz", server.address.port());
    assert_eq!(curl(&certificate, &[&plain]), "400 1.1");

    let mut profile = clean(BINARY);
    profile
        .args(["profile", "--url", &url])
        .env("STRONGROOM_API_KEY", &key)
        .env("SSL_CERT_FILE", certificate);
    assert!(run(&mut profile).done().contains("owner@localhost"));
    server.stop();
}

#[test]
fn with_tls_it_may_be_reached_from_other_machines() {
    let (place, _) = Place::with_instance();
    Pair::new().write(&place);
    serve(&place, &["--listen", "0.0.0.0:0"]).stop();
    let tls = options(&place);
    let args =
        [&tls.each_ref().map(String::as_str)[..], &ANY_PORT, &["--metrics-listen", "0.0.0.0:0"]].concat();
    assert!(place.run("serve", &args).refusal().contains("without TLS"));
}

#[test]
fn dev_speaks_it_too() {
    let place = Place::new();
    Pair::new().write(&place);
    let tls = options(&place);
    let url = "https://strongroom.example/sub/";
    let args = [&tls.each_ref().map(String::as_str)[..], &ANY_PORT, &["--public-url", url]].concat();
    let mut server = Server::start(place.command("dev", &args), place.path("stderr"));
    assert!(server.first_line.contains("listening on https://127.0.0.1:"), "{}", server.first_line);
    let welcome = server.read_until("the values stay inside.\n");
    assert!(welcome.contains("--url https://strongroom.example/sub/v1/credentials "), "{welcome}");
    server.stop();
}

#[test]
fn what_clients_are_told_begins_with_the_public_url() {
    let (place, _) = Place::with_instance();
    let said = |args: &[&str]| {
        let args = [&ANY_PORT[..], args].concat();
        let server = Server::start(place.command("serve", &args), place.path("stderr"));
        let description = server.client("").get("/openapi.json").json();
        server.stop();
        description["servers"].clone()
    };
    assert_eq!(said(&[]), serde_json::Value::Null);
    let servers = said(&["--public-url", "https://strongroom.example"]);
    assert_eq!(servers, serde_json::json!([{"url": "https://strongroom.example"}]));
    let wrong = place.run("serve", &["--public-url", "strongroom.example"]);
    assert_eq!(wrong.code, Some(64), "{}", wrong.stderr);
}

#[test]
fn files_that_cannot_be_used_are_named_with_a_remedy() {
    let (place, _) = Place::with_instance();
    let pair = Pair::new();
    let (certificate, key) = (place.path("tls.pem"), place.path("tls.key"));
    let assert_refused = |message: &str, hint: &str| {
        let said = refusal(&place);
        assert!(said.contains(message) && said.contains(hint), "{message}: {said}");
        assert!(!said.contains("BEGIN") && !said.contains("MIG"), "{said}");
    };
    assert_refused("tls.pem can't be read: No such file", "hint: name a file with --tls-cert");
    pair.write(&place);
    fs::remove_file(&key).unwrap();
    assert_refused("tls.key can't be read: No such file", "hint: name a file with --tls-key");
    put(&key, &Pair::new().key);
    assert_refused("doesn't belong to the first certificate", "hint: give the pair that was made together");
    put(&key, &pair.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
    assert_refused("tls.key can't be used: there is no private key", "hint: give a file in PEM");
    put(&key, &pair.key[..pair.key.len() / 2]);
    assert_refused("tls.key can't be used: the private key in it is garbled", "hint: give a file in PEM");
    pair.write(&place);
    put(&certificate, "not a certificate");
    assert_refused("tls.pem can't be used: there is no certificate in it", "fullchain.pem");
    put(&certificate, &pair.certificate[..pair.certificate.len() / 2]);
    assert_refused("tls.pem can't be used: a certificate in it is garbled", "fullchain.pem");
    Pair::valid(2001, 2002).write(&place);
    assert_refused("tls.pem ended at 2002-01-01T00:00:00.000Z", "hint: renew it");
    Pair::valid(2901, 2902).write(&place);
    assert_refused("tls.pem is not valid before 2901-01-01T00:00:00.000Z", "clock");
    pair.write(&place);
    for mode in [0o644, 0o640, 0o604] {
        chmod(&key, mode);
        assert_refused("so others can read it", "hint: run: chmod 600");
    }
    chmod(&key, 0o600);
    serve(&place, &ANY_PORT).stop();
}

#[test]
fn one_file_alone_is_refused() {
    let (place, _) = Place::with_instance();
    Pair::new().write(&place);
    for (name, file, missing) in
        [("--tls-cert", "tls.pem", "--tls-key"), ("--tls-key", "tls.key", "--tls-cert")]
    {
        let file = place.path(file);
        let refused = place.run("serve", &[&ANY_PORT[..], &[name, file.to_str().unwrap()]].concat());
        assert!(refused.refusal().contains(&format!("{missing} is not")), "{}", refused.stderr);
    }
}

#[test]
fn a_link_to_the_newest_key_is_followed_and_its_mode_is_the_keys() {
    let (place, _) = Place::with_instance();
    Pair::new().write(&place);
    fs::rename(place.path("tls.key"), place.path("key-7.pem")).unwrap();
    symlink("key-7.pem", place.path("tls.key")).unwrap();
    serve(&place, &ANY_PORT).stop();
    chmod(&place.path("key-7.pem"), 0o644);
    assert!(refusal(&place).contains("so others can read it"));
}

/// Clients that ask without a pause, half of them on a connection for each
/// request, and what they saw.
struct Load {
    stop: Arc<AtomicBool>,
    failures: Arc<Mutex<Vec<String>>>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server, key: &str, pairs: &[&Pair]) -> Self {
        let load = Self {
            stop: Arc::default(),
            failures: Arc::default(),
            answered: Arc::default(),
            clients: Vec::new(),
        };
        let head = format!("GET /v1/credentials HTTP/1.1\r\nauthorization: Bearer {key}\r\n");
        let clients = (0..4).map(|number| {
            let (stop, failures) = (Arc::clone(&load.stop), Arc::clone(&load.failures));
            let answered = Arc::clone(&load.answered);
            let (address, config, head) = (server.address, trusting(pairs), head.clone());
            std::thread::spawn(move || {
                let mut kept = kept::Client::new(address, &config);
                while !stop.load(Ordering::Relaxed) {
                    let status = match number % 2 {
                        0 => ask(address, &config, &head).map(|(status, _)| status),
                        _ => kept.ask(&head),
                    };
                    match status.as_deref() {
                        Ok("200") => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        other => failures.lock().unwrap().push(format!("{other:?}")),
                    }
                }
            })
        });
        let clients = clients.collect();
        Self { clients, ..load }
    }

    /// Waits until so many more were answered.
    fn go_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("clients are served", || self.answered.load(Ordering::Relaxed) >= before + 50);
    }

    fn finish(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        (self.answered.load(Ordering::Relaxed), std::mem::take(&mut self.failures.lock().unwrap()))
    }
}

/// A client that keeps its connection.
mod kept {
    use std::io::{self, Read, Write};
    use std::net::SocketAddr;
    use std::sync::Arc;
    use tokio_rustls::rustls::ClientConfig;

    use crate::certificates::{Secure, connect};

    pub(super) struct Client(Secure);

    impl Client {
        pub(super) fn new(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
            Self(connect(address, config).unwrap())
        }

        /// The status of the answer.
        pub(super) fn ask(&mut self, head: &str) -> io::Result<String> {
            write!(self.0, "{head}host: localhost\r\n\r\n")?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                self.0.read_exact(&mut byte)?;
                answer.extend(byte);
            }
            let answer = String::from_utf8(answer).unwrap();
            let length = answer.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            self.0.read_exact(&mut vec![0; length.parse().unwrap()])?;
            Ok(answer.split(' ').nth(1).unwrap().to_owned())
        }
    }
}

#[test]
fn a_renewed_certificate_costs_nobody_a_request_and_a_bad_one_changes_nothing() {
    let (place, key) = Place::with_instance();
    let (old, new) = (Pair::new(), Pair::new());
    old.write(&place);
    let server = serve(&place, &ANY_PORT);
    let log = || fs::read_to_string(place.path("stderr")).unwrap();
    let config = trusting(&[&old, &new]);
    let shown = || ask(server.address, &config, "GET /healthz HTTP/1.1\r\n").unwrap().1;
    assert!(old.is(&shown()));
    let load = Load::start(&server, &key, &[&old, &new]);
    load.go_on();

    new.write(&place);
    server.signal(Signal::HUP);
    eventually("the new certificate is read", || log().contains("tls.renewed"));
    assert!(new.is(&shown()));
    load.go_on();

    // The key of another, as when a renewal is seen half done.
    put(&place.path("tls.key"), &old.key);
    server.signal(Signal::HUP);
    eventually("the bad pair is refused", || log().contains("tls.kept"));
    assert!(log().contains("doesn't belong to the first certificate"), "{}", log());
    assert!(new.is(&shown()));
    load.go_on();

    let (answered, failures) = load.finish();
    assert_eq!(failures, [""; 0], "of {answered}");
    server.stop();
}
