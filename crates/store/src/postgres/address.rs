//! Where the database is, and how it is reached: a `postgres://` URL as libpq
//! takes it, several hosts and `sslmode=verify-full` among it. The password
//! comes from the URL or, better, from a file.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long it may take until a host answers at all.
const CONNECT: Duration = Duration::from_secs(3);
/// How long sent bytes may stay unacknowledged by the other machine before the
/// connection counts as broken.
const SILENCE: Duration = Duration::from_secs(5);

/// A database's address. Its text never holds the password.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    tls: Tls,
    shown: String,
}

/// Whether the connection is encrypted, and who vouches for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tls {
    /// In the clear.
    None,
    /// Certificate and name verified, by this file's authorities or, without
    /// one, the system's.
    Full(Option<PathBuf>),
}

/// Why an address can't be used. Never holds a piece of it: a password may be in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(String);

fn invalid(why: impl Into<String>) -> InvalidAddress {
    InvalidAddress(why.into())
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(url: &str) -> Result<Self, InvalidAddress> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(invalid("must be a URL such as postgres://strongroom@db.example.com/strongroom"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authorities, mut rest) = (None, None, Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => authorities = Some(PathBuf::from(value.into_owned())),
                _ => rest.push((name, value)),
            }
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
        // In a URL of libpq a `+` is a plus, not a blank.
        let plain =
            if query.is_empty() { base.to_owned() } else { format!("{base}?{}", query.replace('+', "%20")) };
        let mut config = Config::from_str(&plain).map_err(|_| {
            invalid("is no URL that PostgreSQL takes; see docs/guides/scale.md for its parts")
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(invalid("names no host; of a server on this machine: ?host=/run/postgresql"));
        }
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            // What is before it is a piece of the password, which must not be shown.
            return Err(invalid(
                "has an @ too many: in a password, write it as %40, or put the password into a file",
            ));
        }
        let tls = tls(mode.as_deref(), authorities, &config)?;
        config
            .ssl_mode(if tls == Tls::None { SslMode::Disable } else { SslMode::Require })
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .application_name("strongroom")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(3);
        let shown = shown(&config);
        Ok(Self { config, tls, shown })
    }
}

/// Over a network nothing but a verified server will do: what is stored is
/// sealed, but names, roles and hashes of tokens are not.
fn tls(mode: Option<&str>, authorities: Option<PathBuf>, config: &Config) -> Result<Tls, InvalidAddress> {
    let near = config.get_hosts().iter().all(is_near);
    match mode {
        Some("disable") => Ok(Tls::None),
        None if near => Ok(Tls::None),
        None | Some("verify-full") => Ok(Tls::Full(authorities)),
        Some(_) => Err(invalid(
            "knows two values of sslmode: verify-full, which is what it is when nothing is said and the server is on \
             another machine, and disable",
        )),
    }
}

fn is_near(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

/// Where it is, without who connects and how.
fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => path.display().to_string(),
        }
    });
    let hosts: Vec<_> = hosts.collect();
    format!(
        "postgres://{}/{}",
        hosts.join(","),
        config.get_dbname().or(config.get_user()).unwrap_or_default()
    )
}

impl Address {
    /// The same with another password.
    #[must_use]
    pub fn with_password(mut self, password: &[u8]) -> Self {
        self.config.password(password);
        self
    }

    /// How TLS is done; `None` when it isn't.
    pub(super) fn tls(&self) -> Result<Option<MakeRustlsConnect>, InvalidAddress> {
        let Tls::Full(authorities) = &self.tls else { return Ok(None) };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let unusable = |error: rustls::Error| invalid(format!("TLS can't be set up: {error}"));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let config = match authorities {
            Some(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
            None => builder.with_platform_verifier().map_err(unusable)?.with_no_client_auth(),
        };
        Ok(Some(MakeRustlsConnect::new(config)))
    }
}

fn roots(path: &Path) -> Result<RootCertStore, InvalidAddress> {
    let unusable = |why: String| invalid(format!("names {} as sslrootcert, which {why}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(format!("can't be read: {error}")))?
    {
        let certificate = certificate.map_err(|error| unusable(format!("isn't PEM: {error}")))?;
        roots.add(certificate).map_err(|error| unusable(format!("holds no good certificate: {error}")))?;
    }
    if roots.is_empty() { Err(unusable("holds no certificate".into())) } else { Ok(roots) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, InvalidAddress> {
        url.parse()
    }

    #[test]
    fn neither_text_nor_error_holds_the_password() {
        let good = address("postgres://u:hunter2@db.example.com:5433,other.example.com/x?options=-c%20a%3Db")
            .unwrap();
        assert_eq!(good.to_string(), "postgres://db.example.com:5433,other.example.com:5432/x");
        assert!(good.config.get_password().is_some() && !format!("{good:?}").contains("hunter2"));
        for bad in [
            "postgres://u:hunter2@db:notaport/x",
            "mysql://u:hunter2@db/x",
            "postgres://u:hunter2@db/x?sslmode=hunter2",
            "postgres://u:p@hunter2@db/x",
            "postgres://u:p@hunter2#x@db/x",
        ] {
            assert!(!address(bad).unwrap_err().to_string().contains("hunter2"));
        }
    }

    #[test]
    fn off_this_machine_the_server_is_verified_unless_told_otherwise() {
        let tls = |url| address(url).unwrap().tls;
        assert_eq!(tls("postgres://db.example.com/x"), Tls::Full(None));
        assert_eq!(tls("postgres://127.0.0.1,db.example.com/x"), Tls::Full(None));
        assert_eq!(tls("postgres://db.example.com/x?sslmode=disable"), Tls::None);
        assert_eq!(tls("postgres://127.0.0.1/x"), Tls::None);
        assert_eq!(tls("postgres:///x?host=/run/postgresql"), Tls::None);
        let file = tls("postgres://localhost/x?sslmode=verify-full&sslrootcert=/etc/ca.pem");
        assert_eq!(file, Tls::Full(Some("/etc/ca.pem".into())));
        assert!(address("postgres://db/x?sslmode=require").is_err(), "encrypted for whom?");
        assert!(address("postgres:///x").unwrap_err().to_string().contains("names no host"));
    }
}
