//! Certificates of our own in files, curl that trusts them, and a client that
//! sees which one it is shown.

use rcgen::{CertificateParams, KeyPair};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{PATIENCE, Place, chmod, clean, run};

/// A certificate for `localhost` that vouches for itself, and its key.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    der: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::of(&CertificateParams::new(vec!["localhost".to_owned()]).unwrap())
    }

    /// One that is valid in these years only.
    pub(crate) fn valid(from: i32, to: i32) -> Self {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        Self::of(&params)
    }

    fn of(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        Self { certificate: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }

    /// Whether this is its certificate.
    pub(crate) fn is(&self, der: &CertificateDer<'_>) -> bool {
        self.der == *der
    }

    /// Puts it where [`options`] says, whole from one moment to the next.
    pub(crate) fn write(&self, place: &Place) {
        put(&place.path("tls.pem"), &self.certificate);
        put(&place.path("tls.key"), &self.key);
    }
}

/// Replaces a file that only its owner may read.
pub(crate) fn put(path: &Path, contents: &str) {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    chmod(&new, 0o600);
    fs::rename(new, path).unwrap();
}

/// What has a server speak TLS.
pub(crate) fn options(place: &Place) -> [String; 4] {
    let path = |name| place.path(name).to_str().unwrap().to_owned();
    ["--tls-cert".to_owned(), path("tls.pem"), "--tls-key".to_owned(), path("tls.key")]
}

/// curl, which asks `localhost` at a port and trusts the certificates in a file.
/// It prints the status and the version of HTTP, and then what it is told to.
pub(crate) fn curl(authorities: &PathBuf, args: &[&str]) -> String {
    assert!(clean("curl").arg("--version").output().is_ok(), "this test needs curl: apt-get install curl");
    let mut curl = clean("curl");
    curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{http_version}"]);
    curl.args(["--max-time", "20", "--cacert"]).arg(authorities).args(args);
    answered(&mut curl)
}

fn answered(curl: &mut Command) -> String {
    run(curl).done().to_owned()
}

/// Asks for something on a connection of its own; the status, and the
/// certificate that was shown.
pub(crate) fn ask(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    head: &str,
) -> io::Result<(String, CertificateDer<'static>)> {
    let mut stream = connect(address, config)?;
    write!(stream, "{head}host: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let shown = stream.conn.peer_certificates().unwrap()[0].clone();
    Ok((status, shown.into_owned()))
}

pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Secure> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    Ok(StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream))
}

/// A client that trusts these.
pub(crate) fn trusting(pairs: &[&Pair]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.der.clone()).unwrap();
    }
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
