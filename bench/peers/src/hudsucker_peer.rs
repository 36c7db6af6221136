//! hudsucker, as its documentation has it, with small pieces leaving at once on both sides.

use hudsucker::certificate_authority::RcgenAuthority;
use hudsucker::hyper::Request;
use hudsucker::hyper_util::client::legacy::connect::HttpConnector;
use hudsucker::rcgen::{Issuer, KeyPair};
use hudsucker::rustls::crypto::aws_lc_rs::default_provider;
use hudsucker::{Body, HttpContext, HttpHandler, Proxy, RequestOrResponse};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Puts a value in a header, which is the least that a broker does.
#[derive(Clone)]
struct Inject;

impl HttpHandler for Inject {
    async fn handle_request(&mut self, _: &HttpContext, mut request: Request<Body>) -> RequestOrResponse {
        let value = "Bearer sk-bench-0123456789abcdef".parse().expect("a value");
        request.headers_mut().insert("authorization", value);
        request.into()
    }
}

pub async fn serve(certificate: &str, key: &str, trusted: &str) {
    let text = |path: &str| std::fs::read_to_string(path).expect("a file");
    let issuer = Issuer::from_ca_cert_pem(&text(certificate), KeyPair::from_pem(&text(key)).expect("a key"));
    let authority = RcgenAuthority::new(issuer.expect("an authority"), 1_000, default_provider());
    // What is accepted has what the listener has.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_nodelay(true).expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(1_024).expect("a port");
    crate::listening(&listener);
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).expect("a file")).expect("a certificate");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    let proxy = Proxy::builder()
        .with_listener(listener)
        .with_ca(authority)
        .with_http_connector(https)
        .with_http_handler(Inject)
        .build()
        .expect("a proxy");
    proxy.start().await.expect("it serves");
}
