//! The way of a command to the broker: what its environment says of the proxy and of whom to
//! trust, and the files that have Node, PHP and Wget heed that. The command gets the run's token
//! for the broker, which is good for nothing else, and nothing more of ours.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use strongroom_core::tokens::{Token, TokenKind};
use tempfile::TempDir;

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
const TRUST: [&str; 15] = [
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
    "PERL_LWP_SSL_CA_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "UV_SSL_CERT_FILE",
];

/// Has Node's own clients go through the proxy, where Node doesn't do so itself.
const PRELOAD: &str = include_str!("through_proxy.cjs");
/// What Node takes from its environment, the preload among it.
const NODE_OPTIONS: &str = "NODE_OPTIONS";
/// Where Wget looks for the system's settings, which the user's own come after.
const WGET_SETTINGS: &str = "SYSTEM_WGETRC";
/// Where it finds them otherwise.
const OF_SYSTEM: &str = "/etc/wgetrc";
/// Where PHP looks for settings: directories, of which an empty one is its own.
const PHP_SETTINGS: &str = "PHP_INI_SCAN_DIR";

/// The files that the command needs.
const TRUSTED: &str = "trust.pem";
const PRELOADED: &str = "node.cjs";
const WGET: &str = "wgetrc";
const PHP: &str = "php.ini";

/// What the server says of its broker when it starts a run.
pub(super) struct Terms {
    pub(super) token: String,
    pub(super) url: String,
    pub(super) ca: String,
}

/// The way to the broker; while it is kept, the command finds it.
pub(super) struct Way {
    proxy: String,
    files: TempDir,
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
        let files = files(&terms.ca).map_err(|error| {
            Failure::because("the files that the command needs for the broker can't be written", &error)
                .hint("look whether there is room in the directory for temporary files (TMPDIR)")
        })?;
        Ok(Self { proxy: format!("http://run:{}@{door}", terms.token), files })
    }

    /// The variables by which the command finds it.
    pub(super) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let file = |name| OsString::from(self.files.path().join(name));
        let proxy = PROXY.into_iter().map(|name| (name, OsString::from(&self.proxy)));
        let direct = NO_PROXY.into_iter().map(|name| (name, OsString::from(DIRECT)));
        let trusted = TRUST.into_iter().map(|name| (name, file(TRUSTED)));
        let others = [
            ("DENO_TLS_CA_STORE", "system,mozilla"),
            ("NODE_USE_ENV_PROXY", "1"),
            ("PERL_LWP_ENV_PROXY", "1"),
        ];
        let others = others.into_iter().map(|(name, value)| (name, OsString::from(value)));
        let own = [(NODE_OPTIONS, node_options(&file(PRELOADED))), (WGET_SETTINGS, file(WGET))];
        let php = php_settings(self.files.path()).map(|directories| (PHP_SETTINGS, directories));
        proxy.chain(direct).chain(trusted).chain(others).chain(own).chain(php).collect()
    }
}

/// What the caller's environment has of this name, and the command inherits.
fn callers(name: &str) -> Option<OsString> {
    inherited(environment::whole()).find_map(|(own, value)| (own == name).then_some(value))
}

/// The caller's own options, and the preload behind them.
fn node_options(preload: &OsStr) -> OsString {
    let mut options = callers(NODE_OPTIONS).unwrap_or_default();
    if !options.is_empty() {
        options.push(" ");
    }
    options.push("--require=");
    options.push(quoted(preload, b"\"\\"));
    options
}

/// The directories of settings that PHP has anyway, and ours behind them. None where its name would be
/// taken for two: PHP then trusts whom it trusted before, and the broker isn't among them.
fn php_settings(ours: &Path) -> Option<OsString> {
    if ours.as_os_str().as_bytes().contains(&b':') {
        return None;
    }
    let own = callers(PHP_SETTINGS);
    // An empty text has it read none, not even its own.
    let reads_none = own.as_ref().is_some_and(|own| own.is_empty());
    let mut directories = own.unwrap_or_default();
    if !reads_none {
        directories.push(":");
    }
    directories.push(ours);
    Some(directories)
}

/// One word, whatever is in it, where these have another meaning unless a backslash stands before them.
fn quoted(word: &OsStr, special: &[u8]) -> OsString {
    let mut quoted = b"\"".to_vec();
    for byte in word.as_bytes() {
        if special.contains(byte) {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

/// The files that the command needs, which only their owner reads, until this is dropped.
fn files(ca: &str) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("strongroom-run-").tempdir()?;
    let trusted = directory.path().join(TRUSTED);
    for (name, text) in [
        (TRUSTED, trust(ca).into_bytes()),
        (PRELOADED, PRELOAD.as_bytes().to_vec()),
        (WGET, wgetrc(&trusted)),
        (PHP, php_ini(&trusted)),
    ] {
        let path = directory.path().join(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(&text)?;
    }
    Ok(directory)
}

/// The authorities that the system trusts, and the broker's own.
fn trust(ca: &str) -> String {
    let of_system = rustls_native_certs::load_native_certs().certs;
    of_system.iter().map(|certificate| pem(certificate)).chain([ca.to_owned()]).collect()
}

/// What the system has Wget do, and whom to trust.
fn wgetrc(trusted: &Path) -> Vec<u8> {
    let of_system = fs::read(OF_SYSTEM).unwrap_or_default();
    [&of_system, &b"\nca_certificate = "[..], trusted.as_os_str().as_bytes(), b"\n"].concat()
}

/// Whom PHP's own clients trust.
fn php_ini(trusted: &Path) -> Vec<u8> {
    let path = quoted(trusted.as_os_str(), b"\"\\$");
    let setting = |name: &[u8]| [name, b" = ", path.as_bytes(), b"\n"].concat();
    [setting(b"curl.cainfo"), setting(b"openssl.cafile")].concat()
}

fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
