//! Whatever the way in which an address of a private network is spelled, or got at by a name,
//! nobody there is ever dialled, unless a rule says so.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;

use serde_json::json;
use strongroom_broker::Unmatched;

use crate::client::{ask, ask_on, basic, connect, raw, request, tunnel_to};
use crate::harness::{SHOP, Scene, Setup, rule};

/// Ways to write an address of version 4 that some resolver, library or server takes for it.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let ([a, b, c, d], all) = (address.octets(), address.to_bits());
    let (rest, low) = (all & 0x00ff_ffff, all & 0xffff);
    let [high_half, low_half] = [all >> 16, low];
    let fullwidth = |text: &str| -> String {
        text.chars()
            .map(|one| char::from_u32(one as u32 + 0xfee0).filter(|_| one != '.').unwrap_or('。'))
            .collect()
    };
    let percent = percent(&address.to_string());
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{a}.{b}.{low}"),
        format!("{a}.{rest}"),
        format!("{all}"),
        format!("{all}."),
        format!("0x{all:x}"),
        format!("0X{all:X}"),
        format!("0x{all:016x}"),
        format!("0{all:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0x{a:02x}.{b}.{c}.{d}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a:o}.{b}.{c}.{d}"),
        format!("{a:03}.{b:03}.{c:03}.{d:03}"),
        format!("0x{a:x}.{rest}"),
        format!("0{a:o}.0x{rest:x}"),
        format!("[::ffff:{address}]"),
        format!("[::ffff:{high_half:x}:{low_half:x}]"),
        format!("[0:0:0:0:0:ffff:{address}]"),
        format!("[::{address}]"),
        format!("[::ffff:0:{address}]"),
        format!("[64:ff9b::{address}]"),
        format!("[2002:{high_half:x}:{low_half:x}::1]"),
        format!("[::ffff:{address}%25lo]"),
        format!("{a}。{b}。{c}。{d}"),
        fullwidth(&address.to_string()),
        percent,
        format!("{a}%2e{b}%2e{c}%2e{d}"),
        format!("{address}@{SHOP}"),
        format!("{SHOP}@{address}"),
        format!("{SHOP}:443@{address}"),
        format!("{address}#{SHOP}"),
        format!("{address}%00.{SHOP}"),
        format!("{address}\\.{SHOP}"),
    ]
}

/// Every byte of it encoded.
pub(crate) fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Names and spellings of this machine and its cloud, beside those of addresses.
const NAMES: [&str; 34] = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost.localdomain",
    "ip6-localhost",
    "ip6-loopback",
    "host.docker.internal",
    "metadata",
    "metadata.google.internal",
    "metadata.google.internal.",
    "instance-data",
    "kubernetes.default.svc",
    "127.0.0.1.nip.example",
    "7f000001.rebind.example",
    "localtest.example",
    "a.b.c.example",
    "xn--127-8va.example",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::]",
    "[::1%25lo]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "[::0.0.0.0]",
    "127.1",
];

/// All of them, each once.
fn all() -> BTreeSet<String> {
    let addresses = [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "172.16.0.1",
        "100.100.100.200",
    ];
    let spelled = addresses.iter().flat_map(|address| spellings(address.parse().unwrap()));
    spelled.chain(NAMES.map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_private_address_is_dialled() {
    let scene = Scene::with(Setup { unmatched: Unmatched::Tunnel, ..Setup::default() }).await;
    let inside = scene.hosts.serve_plain().await;
    let port = inside.address.port();
    scene.names.lead_all(inside.address);
    let all = all();
    assert!(all.len() >= 150, "{}", all.len());
    let token = basic(scene.token());
    for host in &all {
        let connect = format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\nproxy-authorization: {token}\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(&scene, connect.as_bytes()).await;
        assert!(answer.status >= 400, "CONNECT {host}: {}", answer.head);
        let plain = format!(
            "GET http://{host}:{port}/ HTTP/1.1\r\nhost: {host}:{port}\r\nproxy-authorization: {token}\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(&scene, plain.as_bytes()).await;
        assert!(answer.status >= 400, "GET {host}: {}", answer.head);
        let names_it = [("Host", &*format!("{host}:{port}"))];
        let answer = ask(&scene, "GET /bearer", &names_it, "").await;
        assert!(answer.status >= 400, "Host: {host}: {}", answer.head);
    }
    assert_eq!((inside.accepted(), scene.shop.seen().len()), (0, 0));
}

#[tokio::test]
async fn a_rule_lets_a_private_address_be_dialled_and_no_other() {
    let scene = Scene::in_time().await;
    let inside = scene.hosts.serve_plain().await;
    scene.names.lead_all(inside.address);
    let port = inside.address.port();
    let local = |private: bool| {
        let placement = json!({"header": "x-key"});
        json!([{
            "scheme": "http", "host": "inside.shop.example", "port": port, "placement": placement, "allow_private": private
        }])
    };
    let token = basic(scene.token());
    let get = async |scene: &Scene| {
        let target = format!("inside.shop.example:{port}");
        let head = format!(
            "GET http://{target}/ HTTP/1.1\r\nhost: {target}\r\nproxy-authorization: {token}\r\nconnection: close\r\n\r\n"
        );
        raw(scene, head.as_bytes()).await
    };
    scene.set_policy(&local(false)).await;
    let answer = get(&scene).await;
    assert_eq!((answer.status, &*answer.refusal(), inside.accepted()), (403, "out_of_reach", 0));
    scene.set_policy(&local(true)).await;
    assert_eq!((get(&scene).await.status, inside.accepted()), (200, 1));
    // The connection that is kept was let through for another rule.
    scene.set_policy(&local(false)).await;
    assert_eq!(get(&scene).await.refusal(), "out_of_reach");
    assert_eq!(inside.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_bound_anew_is_dialled_where_it_was_looked_at() {
    const TRIES: usize = 1_000;
    let scene = Scene::new().await;
    let inside = scene.hosts.serve(SHOP).await;
    let port = inside.address.port();
    // What is public would be dialled over the network, so nothing stands in for it.
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port));
    scene.names.answer(SHOP, move |before| match before % 8 {
        0 => vec![],
        1 => vec![inside.address; 8],
        2 => vec![SocketAddr::from((Ipv4Addr::new(169, 254, 169, 254), port)), inside.address],
        3 => vec![mapped],
        4 => vec![SocketAddr::from((Ipv6Addr::LOCALHOST, port))],
        5 => vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))],
        _ => vec![inside.address],
    });
    let mut private = rule("/", &json!({"header": "x-key"}));
    private["allow_private"] = json!(false);
    scene.set_policy(&json!([private])).await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    let head = format!("GET /echo HTTP/1.1\r\nhost: {SHOP}\r\n\r\n");
    for _ in 0..TRIES {
        let answer = ask_on(&mut tunnel, head.as_bytes()).await;
        assert!(["out_of_reach", "upstream_failed"].contains(&&*answer.refusal()), "{}", answer.text());
    }
    assert_eq!(scene.names.lookups.load(Ordering::SeqCst), TRIES);
    assert_eq!(inside.at.accepted(), 0);
    // The control: where the rule allows it, one of those is dialled.
    scene.set_policy(&json!([rule("/", &json!({"header": "x-key"}))])).await;
    let answers = [ask_on(&mut tunnel, head.as_bytes()).await, ask_on(&mut tunnel, head.as_bytes()).await];
    assert_eq!(answers.map(|answer| answer.status), [502, 200], "it has no address, and then one");
    assert_eq!(inside.at.accepted(), 1);
}

#[tokio::test]
async fn a_tunnel_that_is_left_alone_leads_to_no_private_address() {
    let scene = Scene::with(Setup { unmatched: Unmatched::Tunnel, ..Setup::default() }).await;
    let inside = scene.hosts.serve_plain().await;
    scene.names.lead("elsewhere.example", inside.address);
    let answer = connect(&scene, scene.token(), "elsewhere.example:443").await.unwrap_err();
    assert_eq!((answer.status, &*answer.refusal(), inside.accepted()), (403, "out_of_reach", 0));
    let recorded = scene.recorded().await;
    let told: Vec<_> = recorded.iter().map(|one| (&*one.host, one.refused.as_deref())).collect();
    assert_eq!(told, [("elsewhere.example", Some("out_of_reach"))]);
    // To a host with rules no tunnel is left alone.
    let answer = crate::client::within(&scene, &request("GET /elsewhere", &[], "")).await;
    assert_eq!(answer.refusal(), "not_covered");
}
