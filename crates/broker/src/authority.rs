//! The certificates that the broker shows to runs: each host's is made when it is first
//! asked for, good for a day, and signed by the instance's own authority.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs::sign::any_ecdsa_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use strongroom_core::authority::Authority as Signer;
use strongroom_core::random::{self, Random};
use strongroom_core::{Clock, Timestamp};

use crate::tls;

/// How long a host's certificate is good, from [`BACKDATED`] before it is made.
const LEAF_LASTS: Duration = Duration::from_hours(24);
/// A client's clock may be behind ours by so much.
const BACKDATED: Duration = Duration::from_hours(1);
/// How long a certificate is shown; by then it is still good for hours.
const SHOWN_FOR: Duration = Duration::from_hours(12);
/// How long the authority's own certificate is good: ten years. A new key ends it sooner.
const AUTHORITY_LASTS: Duration = Duration::from_hours(10 * 365 * 24);
/// Hosts whose certificates are at hand, at about 2 KiB each.
const MOST: usize = 1_024;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[error("a certificate can't be made: {0}")]
pub struct CertificateError(#[from] rcgen::Error);

/// The instance's certificate authority, at work.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    pem: String,
    /// The key of every host's certificate, of this process alone.
    leaf: KeyPair,
    leaf_signer: Arc<dyn rustls::sign::SigningKey>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    shown: Mutex<HashMap<String, Shown>>,
}

/// A host's certificate, and since when it is shown, by the clock that never jumps.
struct Shown {
    config: Arc<ServerConfig>,
    since: Duration,
}

impl Authority {
    /// With the instance's key for it.
    ///
    /// # Errors
    /// When the library refuses to make its certificate.
    pub fn new(
        signer: Arc<Signer>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, CertificateError> {
        let params = authority(&signer);
        let key = Key(signer);
        let pem = params.self_signed(&key)?.pem();
        let leaf = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = PrivateKeyDer::Pkcs8(leaf.serialize_der().into());
        let leaf_signer = any_ecdsa_type(&der).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
            leaf,
            leaf_signer,
            provider: Arc::new(tls::to_runs()),
            clock,
            random,
            shown: Mutex::default(),
        })
    }

    /// Its certificate, in PEM: what the processes of runs are to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// How to greet, over TLS, a client that asks for this host, by HTTP/2 or HTTP/1.1.
    ///
    /// # Errors
    /// When the host's certificate can't be made.
    pub(crate) fn greeting(&self, host: &str) -> Result<Arc<ServerConfig>, CertificateError> {
        let now = self.clock.monotonic();
        if let Some(shown) =
            self.shown().get(host).filter(|shown| now.saturating_sub(shown.since) < SHOWN_FOR)
        {
            return Ok(Arc::clone(&shown.config));
        }
        let config = Arc::new(self.config(host)?);
        let mut shown = self.shown();
        if shown.len() >= MOST {
            // A run that asks for ever new hosts makes others' certificates be made again, no more.
            shown.clear();
        }
        shown.insert(host.to_owned(), Shown { config: Arc::clone(&config), since: now });
        Ok(config)
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, HashMap<String, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self, host: &str) -> Result<ServerConfig, CertificateError> {
        let certificate = self.certificate(host)?;
        let key = Arc::new(CertifiedKey::new(vec![certificate], Arc::clone(&self.leaf_signer)));
        let provider = Arc::clone(&self.provider);
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
        let mut config = builder
            .map_err(|_| rcgen::Error::UnsupportedSignatureAlgorithm)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(OneHost { host: host.to_owned(), key }));
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// No two certificates of an authority have the same (RFC 5280), and all hosts' have one key.
    fn serial_number(&self) -> SerialNumber {
        let mut number = random::bytes::<16>(&*self.random);
        // Positive, and of its full length.
        number[0] = number[0] & 0x3f | 0x40;
        SerialNumber::from_slice(&number)
    }

    fn certificate(&self, host: &str) -> Result<CertificateDer<'static>, CertificateError> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(self.serial_number());
        let now = self.clock.now();
        (params.not_before, params.not_after) = validity(earlier(now, BACKDATED), LEAF_LASTS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&self.leaf, &self.issuer)?.into())
    }
}

fn authority(signer: &Signer) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = format!("Strongroom broker {} ({})", signer.instance(), signer.version());
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Strongroom");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) =
        validity(earlier(signer.created_at(), BACKDATED), AUTHORITY_LASTS);
    params
}

fn earlier(at: Timestamp, by: Duration) -> i64 {
    at.as_millis() / 1_000 - i64::try_from(by.as_secs()).unwrap_or_default()
}

/// From a second of Unix time on, for so long.
fn validity(from: i64, lasts: Duration) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let from = time::OffsetDateTime::from_unix_timestamp(from).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    (from, from.saturating_add(time::Duration::try_from(lasts).unwrap_or(time::Duration::DAY)))
}

/// The authority's key, as the library that makes certificates wants it.
struct Key(Arc<Signer>);

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(text).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// Shows one host's certificate, to whoever asks for that host.
#[derive(Debug)]
struct OneHost {
    host: String,
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for OneHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().is_some_and(|name| name.eq_ignore_ascii_case(&self.host));
        asked.then(|| Arc::clone(&self.key))
    }
}
