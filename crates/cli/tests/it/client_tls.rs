//! HTTPS: whose certificate is trusted, and that a key is sent to nobody else.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use strongroom_core::tokens::TokenKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::harness::{BINARY, Ended, clean, run};
use crate::stub::{TEAM, USER, token};

/// A server whose certificate for `name` is of an authority of its own.
pub(crate) struct Tls {
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    requests: Arc<AtomicUsize>,
}

impl Tls {
    pub(crate) fn new(name: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let address = serve(TlsAcceptor::from(Arc::new(config)), Arc::clone(&requests));
        Self { address, authority: authority.pem(), requests }
    }
}

/// Answers every request with a profile, for as long as the tests run.
fn serve(acceptor: TlsAcceptor, requests: Arc<AtomicUsize>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let body =
        format!(r#"{{"profile": {{"id": "{USER}", "name": "Ada", "email": null, "teamId": "{TEAM}"}}}}"#);
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                requests.fetch_add(1, Ordering::SeqCst);
                let _read = stream.read(&mut [0; 4096]).await;
                let _written = stream.write_all(answer.as_bytes()).await;
                let _closed = stream.shutdown().await;
            }
        });
    });
    address
}

/// Asks the server who one is, trusting the authorities in a file if one is named.
fn profile(url: &str, authorities: Option<&str>) -> Ended {
    let place = tempfile::tempdir().unwrap();
    let mut command = clean(BINARY);
    command.args(["profile", "--url", url]).env("STRONGROOM_API_KEY", token(TokenKind::ApiKey));
    if let Some(pem) = authorities {
        fs::write(place.path().join("ca.pem"), pem).unwrap();
        command.env("SSL_CERT_FILE", place.path().join("ca.pem"));
    }
    run(&mut command)
}

#[test]
fn a_certificate_of_a_trusted_authority_is_taken() {
    let tls = Tls::new("localhost");
    let url = format!("https://localhost:{}", tls.address.port());
    assert!(profile(&url, Some(&tls.authority)).done().contains("Ada"));
    assert_eq!(tls.requests.load(Ordering::SeqCst), 1);
}

#[test]
fn any_other_certificate_is_refused_before_the_key_is_sent() {
    let (tls, other) = (Tls::new("localhost"), Tls::new("elsewhere.example"));
    let url = format!("https://localhost:{}", tls.address.port());
    for trusted in [None, Some(other.authority.as_str())] {
        let refused = profile(&url, trusted);
        if refused.stderr.contains("no connection can be made ready") {
            // A machine without any authorities refuses even earlier.
            continue;
        }
        assert!(refused.refusal().contains("certificate"), "{}", refused.stderr);
        assert!(refused.stderr.contains("SSL_CERT_FILE"), "{}", refused.stderr);
    }
    let url = format!("https://localhost:{}", other.address.port());
    assert!(profile(&url, Some(&other.authority)).refusal().contains("certificate"), "another server's name");
    assert_eq!(tls.requests.load(Ordering::SeqCst) + other.requests.load(Ordering::SeqCst), 0);
}
