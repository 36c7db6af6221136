//! Who asks: so many connections for so many seconds, each one request after the other, directly or
//! through a proxy. Prints one JSON object.
//!
//! `ask KIND HOST:PORT PATH PROXY TOKEN TRUSTED CONNECTIONS SECONDS`: KIND `kept` (one tunnel a connection, for as long as the proxy keeps it),
//! `fresh` (a tunnel for each request), `hosts` (also a new host for each), `held` (one request a tunnel, whose answer is not
//! read beyond its beginning until standard input ends; says `held` when all have begun); TOKENs, by `;`, take turns by
//! connection; PROXY `-` for none.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Asker {
    kind: String,
    host: String,
    port: u16,
    path: String,
    proxy: String,
    token: String,
    tls: TlsConnector,
    hosts: Arc<AtomicU64>,
}

/// A connection to a host.
struct Connected {
    sender: http1::SendRequest<Empty<Bytes>>,
    host: String,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    bytes: u64,
}

pub async fn run(words: &[&str]) {
    let [kind, target, path, proxy, token, trusted, connections, seconds] = words else {
        return eprintln!("see the head of src/ask.rs");
    };
    let (host, port) = target.rsplit_once(':').expect("HOST:PORT");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(trusted).expect("a file") {
        roots.add(certificate.expect("PEM")).expect("a certificate");
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // Each tunnel is to cost a whole handshake.
    config.resumption = rustls::client::Resumption::disabled();
    let asker = Asker {
        kind: (*kind).to_owned(),
        host: host.to_owned(),
        port: port.parse().expect("a port"),
        path: (*path).to_owned(),
        proxy: (*proxy).to_owned(),
        token: (*token).to_owned(),
        tls: TlsConnector::from(Arc::new(config)),
        // Others than the last time.
        hosts: Arc::new(AtomicU64::new(UNIX_EPOCH.elapsed().expect("a clock").as_secs() << 20)),
    };
    let count = connections.parse::<usize>().expect("a number");
    if *kind == "held" {
        return asker.hold(count).await;
    }
    let lasts = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let begun = Instant::now();
    let connections = asker.of_each_run().into_iter().cycle().take(count).map(|asker| {
        tokio::spawn(async move { asker.ask(begun + lasts).await.map_err(|error| error.to_string()) })
    });
    let (mut times, mut bytes) = (Vec::new(), 0);
    for connection in connections.collect::<Vec<_>>() {
        let seen = connection.await.expect("no panic").expect("answers");
        times.extend(seen.times);
        bytes += seen.bytes;
    }
    let took = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |part: f64| {
        times.get((times.len() as f64 * part) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        "{}",
        serde_json::json!({
            "requests": times.len(), "per_second": times.len() as f64 / took, "p50_us": at(0.5), "p99_us": at(0.99),
            "mb_per_second": bytes as f64 / took / 1e6,
        })
    );
}

impl Asker {
    async fn ask(self, until: Instant) -> Result<Seen, Failed> {
        let mut seen = Seen::default();
        let mut kept = if self.kind == "kept" { Some(self.connect().await?) } else { None };
        while Instant::now() < until {
            let begun = Instant::now();
            let mut fresh = None;
            let connected = match &mut kept {
                Some(connected) => {
                    // A proxy may close a tunnel after each answer; a client then opens another.
                    if connected.sender.ready().await.is_err() {
                        *connected = self.connect().await?;
                    }
                    connected
                }
                None => fresh.insert(self.connect().await?),
            };
            seen.bytes += self.get(connected).await?;
            seen.times.push(begun.elapsed());
        }
        Ok(seen)
    }

    /// One for each run whose token was given.
    fn of_each_run(&self) -> Vec<Self> {
        self.token.split(';').map(|token| Self { token: token.to_owned(), ..self.clone() }).collect()
    }

    /// Has so many answers begun at once, and reads no more of them.
    async fn hold(self, count: usize) {
        let mut held = Vec::new();
        for run in self.of_each_run().iter().cycle().take(count) {
            let mut connected = run.connect().await.expect("a tunnel");
            let mut body = run.answer(&mut connected).await.expect("an answer").into_body();
            let first = body.frame().await;
            held.push((connected, body, first));
        }
        println!("held");
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.expect("no panic").expect("standard input");
        drop(held);
    }

    async fn get(&self, connected: &mut Connected) -> Result<u64, Failed> {
        let answer = self.answer(connected).await?;
        let (mut body, mut bytes) = (answer.into_body(), 0);
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(bytes)
    }

    async fn answer(&self, connected: &mut Connected) -> Result<Response<Incoming>, Failed> {
        let Connected { sender, host } = connected;
        sender.ready().await?;
        let request = Request::get(&self.path)
            .header("host", format!("{host}:{}", self.port))
            .header("authorization", format!("Bearer {}", self.placeholder()))
            .body(Empty::new())?;
        let answer = sender.send_request(request).await?;
        if !answer.status().is_success() {
            let status = answer.status();
            let text = answer.into_body().collect().await?.to_bytes();
            return Err(format!("{status}: {}", String::from_utf8_lossy(&text)).into());
        }
        Ok(answer)
    }

    /// Behind a comma in the token.
    fn placeholder(&self) -> &str {
        self.token.split_once(',').map_or("none", |(_, placeholder)| placeholder)
    }

    async fn connect(&self) -> Result<Connected, Failed> {
        let direct = format!("127.0.0.1:{}", self.port);
        let mut stream = TcpStream::connect(if self.proxy == "-" { &direct } else { &self.proxy }).await?;
        stream.set_nodelay(true)?;
        let host = match self.kind.as_str() {
            "hosts" => format!("h{}.{}", self.hosts.fetch_add(1, Ordering::Relaxed), self.host),
            _ => self.host.clone(),
        };
        if self.proxy != "-" {
            let token = self.token.split(',').next().unwrap_or_default();
            let head = format!(
                "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nProxy-Authorization: Bearer {token}\r\n\r\n",
                port = self.port
            );
            stream.write_all(head.as_bytes()).await?;
            let (mut answer, mut byte) = (Vec::new(), [0]);
            while !answer.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).await?;
                answer.push(byte[0]);
            }
            if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.0 200") {
                return Err(String::from_utf8_lossy(&answer).into_owned().into());
            }
        }
        let named = host.clone();
        let stream = self.tls.connect(ServerName::try_from(host)?, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connected { sender, host: named })
    }
}
