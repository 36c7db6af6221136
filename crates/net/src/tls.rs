//! TLS: the certificate that clients are shown, and how another takes its place
//! while connections are open. Versions, suites and protocols are chosen here,
//! so that nobody has to know about them.

use std::sync::{Arc, PoisonError, RwLock};
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error as TlsError, ServerConfig};
use tokio_rustls::server::TlsStream;

/// The protocols over TLS, the better one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// How ALPN calls HTTP/2 (RFC 9113 §3.2).
pub(crate) const HTTP2: &[u8] = b"h2";

/// A certificate with its chain, and the private key for it.
pub struct Identity {
    config: Arc<ServerConfig>,
    begins: i64,
    ends: i64,
}

/// Why there is no [`Identity`] in what was given. Never quotes any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is no certificate in PEM.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// A certificate is there, and can't be read.
    #[error("a certificate in it is garbled")]
    GarbledCertificate,
    /// There is no private key in PEM that isn't encrypted.
    #[error("there is no private key in it, or an encrypted one only")]
    NoKey,
    /// A private key is there, and can't be read or isn't of a kind that TLS uses.
    #[error("the private key in it is garbled, or of a kind that can't be used")]
    GarbledKey,
    /// The key isn't the one of the first certificate.
    #[error("the key doesn't belong to the first certificate")]
    Mismatch,
}

impl Identity {
    /// From PEM: the server's own certificate, then those between it and the
    /// authority's; and its key in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// When one of them is missing or garbled, or they don't belong together.
    /// Whether the time is right isn't asked: see [`Identity::begins`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = chain(certificates)?;
        let (begins, ends) = validity(&chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            PemError::NoItemsFound => IdentityError::NoKey,
            _ => IdentityError::GarbledKey,
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| IdentityError::from(&error))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Self { config: Arc::new(config), begins, ends })
    }

    /// From when on all certificates of the chain are valid, in Unix seconds.
    pub fn begins(&self) -> i64 {
        self.begins
    }

    /// When the first certificate of the chain ends, in Unix seconds.
    pub fn ends(&self) -> i64 {
        self.ends
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl From<&TlsError> for IdentityError {
    fn from(error: &TlsError) -> Self {
        match error {
            TlsError::InconsistentKeys(_) => Self::Mismatch,
            TlsError::InvalidCertificate(_) => Self::GarbledCertificate,
            _ => Self::GarbledKey,
        }
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| IdentityError::GarbledCertificate)?;
    if chain.is_empty() { Err(IdentityError::NoCertificate) } else { Ok(chain) }
}

/// The span of time in which all of them are valid, in Unix seconds.
fn validity(chain: &[CertificateDer<'_>]) -> Result<(i64, i64), IdentityError> {
    let (mut begins, mut ends) = (i64::MIN, i64::MAX);
    for der in chain {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|_| IdentityError::GarbledCertificate)?;
        let validity = certificate.validity();
        begins = begins.max(validity.not_before.timestamp());
        ends = ends.min(validity.not_after.timestamp());
    }
    Ok((begins, ends))
}

/// The present identity of a front. A new one is shown to whoever connects from
/// then on; connections that are open stay as they are.
pub struct Tls(RwLock<Arc<ServerConfig>>);

impl Tls {
    /// Begins with this one.
    pub fn new(identity: Identity) -> Arc<Self> {
        Arc::new(Self(RwLock::new(identity.config)))
    }

    /// Puts another in its place. Sessions of the former can't be resumed: what
    /// resumes shows no certificate, so an old one would live on in them.
    pub fn replace(&self, identity: Identity) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = identity.config;
    }

    /// Greets a client by the present identity.
    ///
    /// # Errors
    /// When the handshake fails; the error quotes nothing.
    pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> io::Result<TlsStream<T>> {
        TlsAcceptor::from(self.current()).accept(stream).await
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
