//! No host is told anything that doesn't prove by a good certificate who it is.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use serde_json::json;

use crate::client::ask;
use crate::harness::{SHOP, Scene, rule};
use crate::host::{Identity, authority_params, key, private};

type Altered = fn(&mut CertificateParams);

fn leaf(alter: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new([SHOP.to_owned()]).unwrap();
    alter(&mut params);
    params
}

/// A certificate for these names alone.
fn named(names: Vec<SanType>) -> CertificateParams {
    leaf(|params| {
        params.distinguished_name.push(DnType::CommonName, SHOP);
        params.subject_alt_names = names;
    })
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// Names that aren't the host's.
const OTHER_NAMES: [&str; 19] = [
    "evil.example",
    "shop.example",
    "x.api.shop.example",
    "api.shop.example.evil.example",
    "apishop.example",
    "api.shop.exampl",
    "pi.shop.example",
    "api.shop.example.",
    ".shop.example",
    "*.example",
    "*",
    "*.*.example",
    "api.*.example",
    "a*.shop.example",
    "*pi.shop.example",
    "*.api.shop.example",
    "api.shop.example\0.evil.example",
    "api.shop.example ",
    "xn--api-shop.example",
];

/// What makes a leaf bad by itself.
const ALTERED: [(&str, Altered); 13] = [
    ("expired", |params| params.not_after = date_time_ymd(2024, 1, 1)),
    ("of long ago", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(1976, 1, 1));
    }),
    ("not yet valid", |params| params.not_before = date_time_ymd(2090, 1, 1)),
    ("never valid", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2000, 1, 1));
    }),
    ("an authority", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
    ("for clients", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
    ("for mail", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection]),
    ("for code", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
    ("for time stamps", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping]),
    ("for OCSP", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning]),
    ("without a name", |params| params.subject_alt_names.clear()),
    ("with its name as a person's", |params| {
        params.subject_alt_names = vec![SanType::Rfc822Name("you@api.shop.example".try_into().unwrap())];
    }),
    ("with something unknown that matters", |params| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions.push(unknown);
    }),
];

/// What makes an authority in between bad.
const BETWEEN: [(&str, Altered); 8] = [
    ("an expired one between", |params| params.not_after = date_time_ymd(2024, 1, 1)),
    ("a future one between", |params| params.not_before = date_time_ymd(2090, 1, 1)),
    ("no authority between", |params| params.is_ca = IsCa::ExplicitNoCa),
    ("a plain certificate between", |params| params.is_ca = IsCa::NoCa),
    ("one for clients", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
    ("one for other names", |params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("other.example".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    }),
    ("one that excludes the name", |params| {
        let excluded_subtrees = vec![GeneralSubtree::DnsName("shop.example".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees: vec![], excluded_subtrees });
    }),
    ("one with something unknown that matters", |params| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 2], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions.push(unknown);
    }),
];

/// A leaf below this issuer, with the certificates above it.
fn below(
    issuer: &Issuer<'_, KeyPair>,
    params: &CertificateParams,
    above: &[CertificateDer<'static>],
) -> Identity {
    let own = key();
    let certificate = params.signed_by(&own, issuer).unwrap().der().clone();
    (std::iter::once(certificate).chain(above.iter().cloned()).collect(), private(&own))
}

fn between(
    scene: &Scene,
    alter: impl FnOnce(&mut CertificateParams),
) -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
    let (mut params, own) = (authority_params("between"), key());
    alter(&mut params);
    let certificate = params.signed_by(&own, scene.hosts.authority.issuer()).unwrap().der().clone();
    (Issuer::new(params, own), certificate)
}

/// The identity with a byte of its certificate changed.
fn tampered((mut chain, key): Identity, at: impl Fn(&[u8]) -> usize) -> Identity {
    let mut bytes = chain[0].to_vec();
    let at = at(&bytes);
    bytes[at] ^= 1;
    chain[0] = bytes.into();
    (chain, key)
}

fn position(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

fn bad(scene: &Scene) -> Vec<(String, Identity)> {
    let authority = &scene.hosts.authority;
    let good = || authority.identity(&leaf(|_| ()));
    let mut all: Vec<(String, Identity)> = Vec::new();
    for name in OTHER_NAMES {
        all.push((format!("for {name:?}"), authority.identity(&named(vec![dns(name)]))));
    }
    let address = SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));
    all.push(("for an address".into(), authority.identity(&named(vec![address]))));
    let url = SanType::URI(format!("https://{SHOP}").try_into().unwrap());
    all.push(("for a URL".into(), authority.identity(&named(vec![url]))));
    for (what, alter) in ALTERED {
        all.push((what.into(), authority.identity(&leaf(alter))));
    }
    for (what, alter) in BETWEEN {
        let (issuer, certificate) = between(scene, alter);
        all.push((what.into(), below(&issuer, &leaf(|_| ()), &[certificate])));
    }
    let (issuer, _) = between(scene, |_| ());
    all.push(("without the one between".into(), below(&issuer, &leaf(|_| ()), &[])));
    let (_, stranger) = between(scene, |_| ());
    all.push(("with another one between".into(), below(&issuer, &leaf(|_| ()), &[stranger])));
    let (last, short) = between(scene, |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let (params, own) = (authority_params("below"), key());
    let lower = params.signed_by(&own, &last).unwrap().der().clone();
    all.push(("too long a way".into(), below(&Issuer::new(params, own), &leaf(|_| ()), &[lower, short])));
    let own = key();
    let self_signed = leaf(|_| ()).self_signed(&own).unwrap().der().clone();
    all.push(("by itself".into(), (vec![self_signed], private(&own))));
    for (what, name) in [("by a stranger", "nobody"), ("by a namesake of the authority", "hosts")] {
        let issuer = CertifiedIssuer::self_signed(authority_params(name), key()).unwrap();
        let above = AsRef::<rcgen::Certificate>::as_ref(&issuer).der().clone();
        all.push((what.into(), below(&issuer, &leaf(|_| ()), &[above, authority.der().clone()])));
    }
    let sibling_params = leaf(|_| ());
    let sibling = key();
    let above = sibling_params.signed_by(&sibling, authority.issuer()).unwrap().der().clone();
    all.push((
        "by another host".into(),
        below(&Issuer::new(sibling_params, sibling), &leaf(|_| ()), &[above]),
    ));
    all.push(("with the key of another".into(), (good().0, good().1)));
    all.push(("without any".into(), (vec![], good().1)));
    all.push(("with a broken signature".into(), tampered(good(), |bytes| bytes.len() - 1)));
    let other = authority.identity(&named(vec![dns("bpi.shop.example")]));
    all.push((
        "with a name written over".into(),
        tampered(other, |bytes| position(bytes, "bpi.shop.example")),
    ));
    all
}

#[tokio::test]
async fn a_bad_certificate_is_refused_before_a_byte_of_the_request() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    scene.set_policy(&json!([rule("/", &json!({"header": "x-key"}))])).await;
    let all = bad(&scene);
    assert!(all.len() >= 40, "{}", all.len());
    for (what, identity) in all {
        let host = scene.hosts.serve_as(identity).await;
        scene.names.lead(SHOP, host.address);
        let answer = ask(&scene, "GET /echo", &[("X-Key", &placeholder)], "").await;
        assert_eq!((answer.status, &*answer.refusal()), (502, "upstream_failed"), "{what}");
        assert_eq!((host.accepted(), host.shaken(), host.bytes().len()), (1, 0, 0), "{what}");
    }
}

#[tokio::test]
async fn a_good_certificate_is_taken() {
    for which in 0..3 {
        let scene = Scene::new().await;
        let placeholder = scene.placeholder("KEY").await;
        let (issuer, certificate) = between(&scene, |_| ());
        let host = scene.hosts.serve_as(match which {
            0 => scene.hosts.authority.identity(&leaf(|_| ())),
            1 => scene.hosts.authority.identity(&named(vec![dns("other.example"), dns("*.shop.example")])),
            _ => below(&issuer, &leaf(|_| ()), &[certificate]),
        });
        let host = host.await;
        scene.names.lead(SHOP, host.address);
        let answer = ask(&scene, "GET /header", &[("X-Key", &placeholder)], "").await;
        assert_eq!((answer.status, host.shaken()), (200, 1), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_host_that_speaks_no_tls_is_told_nothing() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let plain = scene.hosts.serve_plain().await;
    scene.names.lead(SHOP, plain.address);
    let answer = ask(&scene, "GET /header", &[("X-Key", &placeholder)], "").await;
    assert_eq!((answer.status, &*answer.refusal()), (502, "upstream_failed"));
    assert!(!plain.was_sent("GET") && !plain.was_sent(crate::harness::VALUE));
}
