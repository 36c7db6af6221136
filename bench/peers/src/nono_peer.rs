//! nono-proxy, with the routes that put a value in a header, as its configuration file would have them.

use nono_proxy::config::ProxyConfig;
use std::path::Path;

/// What its client shows to it, at the tunnel and in the place of the value.
const TOKEN: &str = "bench";

/// Serves; `directory` gets its authority's certificate. What it trusts is named by `SSL_CERT_FILE`.
pub async fn serve(host: &str, port: &str, directory: &str) {
    let route = |name: &str, host: &str| {
        serde_json::json!({
            "prefix": name,
            "upstream": format!("https://{host}:{port}"),
            "credential_key": "env://BENCH_KEY",
            "inject_header": "authorization",
            "credential_format": "Bearer {}",
        })
    };
    let routes = [route("one", host), route("many", &format!("*.{host}"))];
    let config = ProxyConfig {
        session_token: Some(TOKEN.to_owned().into()),
        routes: routes.map(|route| serde_json::from_value(route).expect("a route")).to_vec(),
        intercept_ca_dir: Some(Path::new(directory).to_owned()),
        ..ProxyConfig::default()
    };
    let handle = nono_proxy::server::start(config).await.expect("it serves");
    for diagnostic in handle.diagnostics() {
        eprintln!("nono-proxy: {diagnostic:?}");
    }
    println!("{}", handle.port);
    std::future::pending().await
}
