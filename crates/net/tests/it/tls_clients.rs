//! Certificates of our own, and clients that speak TLS and trust those.

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use strongroom_net::{Identity, Limits, Tls};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use crate::harness::{Client, TestFront, front};

/// A certificate for `localhost` that vouches for itself, and its key.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    der: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { certificate: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// A client that trusts this certificate only, and speaks these protocols.
    pub(crate) fn trusting(&self, protocols: &[&str]) -> ClientConfig {
        self.trusting_with(protocols, &[&TLS13, &TLS12])
    }

    pub(crate) fn trusting_with(
        &self,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// A front that speaks TLS, and its certificate.
pub(crate) struct TlsFront {
    pub(crate) front: TestFront,
    pub(crate) pair: Pair,
    pub(crate) tls: Arc<Tls>,
}

impl TlsFront {
    pub(crate) fn start(limits: Limits) -> Self {
        let pair = Pair::new();
        let tls = Tls::new(pair.identity());
        let front = TestFront::of(front(limits).with_tls(Arc::clone(&tls)));
        Self { front, pair, tls }
    }

    /// A client of HTTP/1.1.
    pub(crate) fn client(&self) -> Secure {
        secure(self.front.client(), self.pair.trusting(&["http/1.1"])).unwrap()
    }

    /// A connection on which HTTP/2 is to be spoken, for programs that do it by bytes.
    pub(crate) fn raw_http2(&self) -> Secure {
        secure(self.front.client(), self.pair.trusting(&["h2"])).unwrap()
    }

    /// A connection that a task can use.
    pub(crate) async fn connect(&self, protocols: &[&str]) -> TlsStream<tokio::net::TcpStream> {
        connect(self.front.address, self.pair.trusting(protocols)).await
    }
}

pub(crate) async fn connect(
    address: std::net::SocketAddr,
    config: ClientConfig,
) -> TlsStream<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    let stream = socket.connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(name(), stream).await.unwrap()
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// A client that says and sees exact bytes, within TLS.
pub(crate) type Secure = Client<StreamOwned<ClientConnection, TcpStream>>;

/// The whole handshake of a client.
pub(crate) fn secure(client: Client, config: ClientConfig) -> std::io::Result<Secure> {
    secure_with(client, &Arc::new(config))
}

pub(crate) fn secure_with(client: Client, config: &Arc<ClientConfig>) -> std::io::Result<Secure> {
    let connection = ClientConnection::new(Arc::clone(config), name()).unwrap();
    let mut stream = StreamOwned::new(connection, client.stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(Client::over(stream))
}

impl Secure {
    pub(crate) fn version(&self) -> ProtocolVersion {
        self.stream.conn.protocol_version().unwrap()
    }

    pub(crate) fn protocol(&self) -> Option<&str> {
        self.stream.conn.alpn_protocol().map(|name| str::from_utf8(name).unwrap())
    }

    /// Says that nothing more will come.
    pub(crate) fn finish(&mut self) {
        self.stream.conn.send_close_notify();
        self.stream.conn.write_tls(&mut self.stream.sock).unwrap();
    }
}

/// A client that takes any certificate, of a front in another process.
pub(crate) fn trusting_anyone(protocol: &str) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    // A resumed session would be cheaper than a client that comes anew.
    config.resumption = Resumption::disabled();
    config
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
