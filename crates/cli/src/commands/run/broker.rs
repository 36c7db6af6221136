//! The way of a command to the broker: what its environment says of the proxy and of whom to
//! trust, and what has Node's own clients heed that. The command gets the run's token for the
//! broker, which is good for nothing else, and nothing more of ours.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use strongroom_core::tokens::{Token, TokenKind};
use tempfile::NamedTempFile;

use super::environment::inherited;
use super::forward::Broker;
use crate::environment;
use crate::failure::Failure;

/// Hosts that the command reaches by itself: what it may have started on this machine.
const DIRECT: &str = "localhost,127.0.0.1,::1";

/// Where programs look for the proxy.
const PROXY: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Where they look for what needs none.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Where they look for the file of certificates that they trust.
const TRUST: [&str; 14] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "HTTPX_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "UV_SSL_CERT_FILE",
];

/// Has Node's own clients go through the proxy, where Node doesn't do so itself.
const PRELOAD: &str = include_str!("through_proxy.cjs");
/// What Node takes from its environment, the preload among it.
const NODE_OPTIONS: &str = "NODE_OPTIONS";

/// What the server says of its broker when it starts a run.
pub(super) struct Terms {
    pub(super) token: String,
    pub(super) url: String,
    pub(super) ca: String,
}

/// The way to the broker; while it is kept, the command finds it.
pub(super) struct Way {
    proxy: String,
    trust: NamedTempFile,
    preload: NamedTempFile,
}

impl Way {
    /// Makes the way that the server names.
    ///
    /// # Errors
    /// When what it says isn't that, the broker can't be reached, or the system refuses.
    pub(super) async fn new(terms: &Terms) -> Result<Self, Failure> {
        Token::parse(TokenKind::Broker, &terms.token)
            .map_err(|_| Failure::new("the server gave no token for its broker that can be understood"))?;
        let door = Broker::at(&terms.url)?.door().await?;
        let unwritten = |error: io::Error| {
            Failure::because("the files that the command needs for the broker can't be written", &error)
                .hint("look whether there is room in the directory for temporary files (TMPDIR)")
        };
        let trust = trust(&terms.ca).map_err(unwritten)?;
        let preload = file("node", ".cjs", |file| file.write_all(PRELOAD.as_bytes())).map_err(unwritten)?;
        Ok(Self { proxy: format!("http://run:{}@{door}", terms.token), trust, preload })
    }

    /// The variables by which the command finds it.
    pub(super) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let trust = self.trust.path().as_os_str();
        let proxy = PROXY.into_iter().map(|name| (name, OsString::from(&self.proxy)));
        let direct = NO_PROXY.into_iter().map(|name| (name, OsString::from(DIRECT)));
        let trusted = TRUST.into_iter().map(|name| (name, trust.to_owned()));
        let others = [("DENO_TLS_CA_STORE", "system,mozilla"), ("NODE_USE_ENV_PROXY", "1")];
        let others = others.into_iter().map(|(name, value)| (name, OsString::from(value)));
        let node = [(NODE_OPTIONS, node_options(self.preload.path()))];
        proxy.chain(direct).chain(trusted).chain(others).chain(node).collect()
    }
}

/// The caller's own options, and the preload behind them.
fn node_options(preload: &Path) -> OsString {
    let own = inherited(environment::whole()).find(|(name, _)| name == NODE_OPTIONS);
    let mut options = own.map_or_else(OsString::new, |(_, value)| value);
    if !options.is_empty() {
        options.push(" ");
    }
    options.push("--require=");
    options.push(quoted(preload.as_os_str()));
    options
}

/// One word of `NODE_OPTIONS`, whatever is in it.
fn quoted(word: &OsStr) -> OsString {
    let mut quoted = b"\"".to_vec();
    for byte in word.as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

/// A file that only its owner reads, gone when it is dropped.
fn file(
    what: &str,
    ending: &str,
    write: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let prefix = format!("strongroom-{what}-");
    let mut file = tempfile::Builder::new().prefix(&prefix).suffix(ending).tempfile()?;
    write(&mut file)?;
    file.flush()?;
    Ok(file)
}

/// A file with the authorities that the system trusts, and the broker's own.
fn trust(ca: &str) -> io::Result<NamedTempFile> {
    file("trust", ".pem", |file| {
        for certificate in rustls_native_certs::load_native_certs().certs {
            file.write_all(pem(&certificate).as_bytes())?;
        }
        file.write_all(ca.as_bytes())
    })
}

fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
