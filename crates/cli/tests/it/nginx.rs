//! Behind a real nginx, configured as the guide says: whose request it is, and
//! that both always see the same requests.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::certificates::{Pair, connect, curl, trusting};
use crate::harness::{Place, Server, clean, eventually};
use crate::proxies::{place_with_key_for, status};

/// The configuration in the guide, for these places.
fn from_guide(port: u16, upstream: SocketAddr, place: &Place) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/tls.md");
    let guide = fs::read_to_string(guide).unwrap();
    let block = guide.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    let mut block = block.to_owned();
    let path = |name| place.path(name).display().to_string();
    for (theirs, ours) in [
        ("127.0.0.1:8700", upstream.to_string()),
        ("listen 443", format!("listen 127.0.0.1:{port}")),
        ("server_name strongroom.example", "server_name localhost".to_owned()),
        ("/etc/letsencrypt/live/strongroom.example/fullchain.pem", path("tls.pem")),
        ("/etc/letsencrypt/live/strongroom.example/privkey.pem", path("tls.key")),
    ] {
        assert_eq!(block.matches(theirs).count(), 1, "{theirs}");
        block = block.replace(theirs, &ours);
    }
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};\n", path(name)))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {};\nerror_log {};\nevents {{}}\nhttp {{\n{temporary}\
         log_format seen '$upstream_status $status $request';\naccess_log {} seen;\n{block}}}\n",
        path("nginx.pid"),
        path("nginx-errors"),
        path("nginx-seen"),
    )
}

/// nginx before a server. Ended when dropped.
struct Nginx {
    process: Child,
    address: SocketAddr,
    seen: PathBuf,
}

impl Nginx {
    fn start(place: &Place, upstream: SocketAddr) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = place.path("nginx.conf");
        fs::write(&config, from_guide(free.port(), upstream, place)).unwrap();
        let mut nginx = clean(program());
        nginx.arg("-e").arg(place.path("nginx-errors")).arg("-p").arg(place.path("")).arg("-c").arg(config);
        let process = nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { process, address: free, seen: place.path("nginx-seen") };
        let errors = place.path("nginx-errors");
        eventually("nginx listens", || {
            let said = fs::read_to_string(&errors).unwrap_or_default();
            assert!(!said.contains("[emerg]"), "{said}");
            TcpStream::connect(nginx.address).is_ok()
        });
        nginx
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// How many requests nginx has passed on and had an answer to.
    fn passed_on(&self) -> usize {
        let seen = fs::read_to_string(&self.seen).unwrap_or_default();
        seen.lines().filter(|line| !line.starts_with("- ")).count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Where nginx is. Its absence is no reason to leave its tests out.
fn program() -> &'static str {
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];
    let found = places.into_iter().find(|place| Command::new(place).arg("-v").output().is_ok());
    found.expect("this test needs nginx: apt-get install nginx")
}

fn serve(place: &Place, args: &[&str]) -> Server {
    let log = "strongroom_api=debug,strongroom_net=debug";
    let args = [&["--listen", "127.0.0.1:0", "--rate-limit", "0", "--log", log], args].concat();
    Server::start(place.command("serve", &args), place.path("stderr"))
}

#[test]
fn a_key_for_one_network_is_held_against_the_client_and_not_against_nginx() {
    let (place, key) = place_with_key_for("127.0.0.5/32");
    Pair::new().write(&place);
    for (args, named) in [(&["--trusted-proxies", "127.0.0.1"][..], "200"), (&[], "403")] {
        let server = serve(&place, args);
        let nginx = Nginx::start(&place, server.address);
        let url = nginx.url("/v1/credentials");
        let ask = |from: &str, headers: &[&str]| status(&url, &place.path("tls.pem"), &key, from, headers);
        assert_eq!(ask("127.0.0.5", &[]), named, "{args:?}");
        for spoof in [
            &[][..],
            &["X-Forwarded-For: 127.0.0.5"],
            &["X-Forwarded-For: 127.0.0.5, 127.0.0.5"],
            &["Forwarded: for=127.0.0.5"],
            &["X-Forwarded-For: 127.0.0.5", "Forwarded: for=127.0.0.5"],
            &["X-Forwarded-For: 127.0.0.1"],
            &["X-Forwarded-For: 127.0.0.5, unknown"],
        ] {
            assert_eq!(ask("127.0.0.6", spoof), "403", "{spoof:?}");
            assert_eq!(ask("127.0.0.5", spoof), named, "{spoof:?}");
        }
        drop(nginx);
        server.stop();
    }
}

#[test]
fn both_versions_of_http_pass_through_it() {
    let (place, key) = Place::with_instance();
    Pair::new().write(&place);
    let server = serve(&place, &["--trusted-proxies", "127.0.0.1"]);
    let nginx = Nginx::start(&place, server.address);
    let token = format!("Authorization: Bearer {key}");
    let body = r#"{"name": "Mail", "values": {"A": "b"}}"#;
    for version in ["--http2", "--http1.1"] {
        let url = nginx.url("/v1/credentials");
        let create = [version, "--header", &token, "--json", body, &url];
        assert!(curl(&place.path("tls.pem"), &create).starts_with("201 "), "{version}");
    }
    server.stop();
}

const HIDDEN: &str = "GET /healthz?hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST: &str = "GET /healthz?last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Heads and bodies in which two readers may see different requests.
fn smuggled() -> Vec<String> {
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/credentials HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
        )
    };
    let mut all = Vec::new();
    let length = HIDDEN.len();
    for headers in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}, 0\r\n"),
        format!("Content-Length: +{length}\r\n"),
        "Content-Length: 0x0\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length : 0\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: identity, chunked\r\n".to_owned(),
        "Transfer-Encoding: \x0bchunked\r\n".to_owned(),
        "Transfer-Encoding:\tchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "X: a\r\n Transfer-Encoding: chunked\r\n".to_owned(),
        "X: a\nTransfer-Encoding: chunked\r\n".to_owned(),
        "X: a\rTransfer-Encoding: chunked\r\n".to_owned(),
        "X: a\0b\r\n".to_owned(),
        "Expect: 100-continue\r\nContent-Length: 2\r\n".to_owned(),
        "Connection: Content-Length\r\nContent-Length: 2\r\n".to_owned(),
        "Connection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            .to_owned(),
    ] {
        all.extend(["", "0\r\n\r\n", "{}"].map(|body| post(&headers, body)));
    }
    for chunks in [
        "5\r\n123456\r\n0\r\n\r\n",
        "1;\nx\r\n0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
        "0 \r\n\r\n",
        "00\r\n\r\n",
        "5\n12345\n0\n\n",
    ] {
        all.push(post("Transfer-Encoding: chunked\r\n", chunks));
    }
    for line in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n",
        "GET /healthz\r\n",
        "GET /%0d%0aHost:%20a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://elsewhere/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        all.push(line.to_owned());
    }
    all
}

#[test]
fn nginx_and_the_server_always_see_the_same_requests() {
    let (place, _) = Place::with_instance();
    let pair = Pair::new();
    pair.write(&place);
    let server = serve(&place, &["--trusted-proxies", "127.0.0.1"]);
    let nginx = Nginx::start(&place, server.address);
    let config = trusting(&[&pair]);
    // What the server has answered, in its own words.
    let answered = || {
        let log = fs::read_to_string(place.path("stderr")).unwrap();
        ["request.answered", "net.request.refused"]
            .map(|line| log.matches(line).count())
            .iter()
            .sum::<usize>()
    };
    let exchange = |bytes: &str| {
        let mut stream = connect(nginx.address, &config).unwrap();
        stream.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answers = Vec::new();
        let _cut = stream.read_to_end(&mut answers);
        String::from_utf8_lossy(&answers).into_owned()
    };

    // The control: what is clear, passes, and both count it.
    let before = (nginx.passed_on(), answered());
    let answers = exchange(&format!("{HIDDEN}{HIDDEN}{LAST}"));
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    eventually("both have seen three", || (nginx.passed_on(), answered()) == (before.0 + 3, before.1 + 3));

    let all = smuggled();
    assert!(all.len() > 80, "{}", all.len());
    for bytes in &all {
        exchange(&format!("{bytes}{HIDDEN}{LAST}"));
    }
    // A request on a connection of its own comes after all of these.
    let answers = exchange(LAST);
    assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    eventually("both have seen the same", || nginx.passed_on() == answered());
    server.stop();
}
