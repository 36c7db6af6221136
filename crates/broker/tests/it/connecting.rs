//! A host that takes connections and says nothing holds nobody for ever.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{advance, pause, resume, timeout};
use tokio_rustls::TlsAcceptor;

use crate::client::{http2, request, tunnel_to, until};
use crate::harness::{SHOP, Scene};

/// A host that is silent from the beginning, or with TLS from when it agreed upon HTTP/2.
struct Silent {
    address: SocketAddr,
    /// Somebody is there.
    asked: Arc<Notify>,
}

impl Silent {
    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Notify::new()));
        let there = Arc::clone(&asked);
        tokio::spawn(async move {
            let (mut plain, mut shaken) = (Vec::new(), Vec::new());
            while let Ok((stream, _)) = listener.accept().await {
                match &tls {
                    Some(tls) => shaken.push(tls.accept(stream).await.unwrap()),
                    None => plain.push(stream),
                }
                there.notify_one();
            }
        });
        Self { address, asked }
    }
}

/// Lets time pass, of which everybody notices every moment.
pub(crate) async fn pass(time: Duration) {
    const MOMENT: Duration = Duration::from_millis(100);
    for _ in 0..time.as_millis() / MOMENT.as_millis() {
        advance(MOMENT).await;
    }
}

#[tokio::test]
async fn a_host_that_never_greets_is_given_up_after_ten_seconds() {
    let scene = Scene::in_time().await;
    let silent = Silent::listen(None).await;
    scene.names.lead(SHOP, silent.address);
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    tunnel.write_all(&request("GET /header/echo", &[], "")).await.unwrap();
    silent.asked.notified().await;
    pause();
    pass(Duration::from_secs(9)).await;
    assert!(timeout(Duration::from_millis(50), tunnel.read_u8()).await.is_err(), "it was given up too soon");
    pass(Duration::from_secs(1)).await;
    resume();
    let told = String::from_utf8(until(&mut tunnel, "}").await).unwrap();
    assert!(told.starts_with("HTTP/1.1 502") && told.contains("upstream_failed"), "{told}");
    assert!(told.contains("within 10 seconds; try again"), "{told}");
    let recorded = scene.recorded().await;
    let last = recorded.last().unwrap();
    assert_eq!((last.refused.as_deref(), last.ended), (Some("upstream_failed"), true));
}

#[tokio::test]
async fn a_host_that_agrees_upon_http2_and_never_begins_is_given_up_as_soon() {
    let scene = Scene::in_time().await;
    let silent = Silent::listen(Some(scene.hosts.authority.acceptor(SHOP, &[b"h2"]))).await;
    scene.names.lead(SHOP, silent.address);
    let mut client = http2(&scene, scene.token()).await;
    let get = http::Request::get(format!("https://{SHOP}/header/echo"));
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let asked = tokio::spawn(async move { client.open(get, empty).await.unwrap().status() });
    silent.asked.notified().await;
    pause();
    pass(Duration::from_secs(9)).await;
    assert!(!asked.is_finished(), "it was given up too soon");
    pass(Duration::from_secs(1)).await;
    resume();
    let status = timeout(Duration::from_secs(5), asked).await.expect("it is given up").unwrap();
    assert_eq!(status, 502);
}
