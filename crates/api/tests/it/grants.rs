//! Nobody gives more than they have: keys made by random keys, for oneself or
//! by a link, against a judge of their own.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::net::IpAddr;
use strongroom_core::grants::Networks;
use strongroom_core::{Role, Timestamp};

use crate::people::{claim, in_millis, made, mint, settled, team, text};
use crate::support::TestApp;

const AGENTS: [&str; 3] = [
    "019ab3c4-7c1e-7d55-8a3f-000000000001",
    "019ab3c4-7c1e-7d55-8a3f-000000000002",
    "019ab3c4-7c1e-7d55-8a3f-000000000003",
];
const SCOPES: [&str; 5] = ["secrets:read", "secrets:write", "runs:start", "team:read", "admin"];

/// What somebody wishes for a key, or has.
#[derive(Clone, Debug)]
struct Rights {
    role: Option<Role>,
    scopes: Option<Vec<&'static str>>,
    agents: Option<Vec<&'static str>>,
    cidrs: Option<Vec<&'static str>>,
    /// In minutes from now.
    end: Option<i64>,
}

/// No two of these together make up a third, so that what lies in one of
/// several lies in one of them.
const CIDRS: [&str; 5] = ["127.0.0.0/8", "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"];
/// An address for each way in which those differ.
const ADDRESSES: [&str; 5] = ["127.0.0.1", "203.0.113.9", "10.2.0.1", "10.1.0.1", "2001:db8::1"];

fn rights() -> impl Strategy<Value = Rights> {
    let some = |all: &'static [&'static str]| prop::option::of(prop::sample::subsequence(all, 1..=all.len()));
    let role = prop::option::of(prop::sample::select(&Role::ALL[..]));
    (role, some(&SCOPES), some(&AGENTS), some(&CIDRS), prop::option::of(1_i64..4))
        .prop_map(|(role, scopes, agents, cidrs, end)| Rights { role, scopes, agents, cidrs, end })
}

impl Rights {
    /// As somebody has them who makes keys, and from here.
    fn of_a_maker(mut self) -> Self {
        self.role = self.role.map(|role| role.max(Role::Administrator));
        for (list, needed) in [(&mut self.scopes, "admin"), (&mut self.cidrs, "127.0.0.0/8")] {
            if let Some(list) = list.as_mut().filter(|list| !list.contains(&needed)) {
                list.push(needed);
            }
        }
        self
    }

    fn body(&self, app: &TestApp) -> Value {
        let end = self.end.map(|minutes| in_millis(app, minutes * 60_000));
        let all = json!({
            "name": "n", "role": self.role.map(Role::name), "scopes": self.scopes, "agents": self.agents,
            "cidrs": self.cidrs, "expires_at": end,
        });
        all.as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// Whether none of these is wider than the maker's.
    fn within(&self, maker: &Value, app: &TestApp) -> bool {
        let mut wish = self.body(app);
        // What isn't wished for is as the maker's; scopes are never more.
        for field in ["role", "scopes", "agents", "cidrs", "expires_at"] {
            if wish.get(field).is_none() {
                wish[field] = maker[field].clone();
            }
        }
        narrower(&wish, maker)
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// The addresses from which a key may be used.
fn admits(cidrs: &Value) -> Vec<IpAddr> {
    let addresses = ADDRESSES.map(|address| address.parse().unwrap()).into_iter();
    match cidrs {
        Value::Null => addresses.collect(),
        cidrs => {
            let networks = Networks::parse(strings(cidrs)).unwrap();
            addresses.filter(|address| networks.contain(*address)).collect()
        }
    }
}

/// Whether a key has no right that another hasn't, told without the server's help.
fn narrower(key: &Value, maker: &Value) -> bool {
    let role = |key: &Value| Role::from_name(text(key, "role")).unwrap();
    let given = strings(&maker["scopes"]);
    // Who may change the team may look at it.
    let has = |scope: &&str| given.contains(scope) || *scope == "team:read" && given.contains(&"admin");
    let scopes = strings(&key["scopes"]).iter().all(has);
    let agents = match (&key["agents"], &maker["agents"]) {
        (_, Value::Null) => true,
        (Value::Null, _) => false,
        (key, maker) => strings(key).iter().all(|agent| strings(maker).contains(agent)),
    };
    let cidrs = maker["cidrs"].is_null()
        || !key["cidrs"].is_null()
            && admits(&key["cidrs"]).iter().all(|ip| admits(&maker["cidrs"]).contains(ip));
    let end = |key: &Value| match &key["expires_at"] {
        Value::Null => i64::MAX,
        end => Timestamp::parse(end.as_str().unwrap()).unwrap().as_millis(),
    };
    role(key) <= role(maker) && scopes && agents && cidrs && end(key) <= end(maker)
}

#[test]
fn no_key_is_ever_wider_than_whoever_made_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(settled());
    let (mut granted, mut refused) = (0, 0);
    let case = (rights(), rights(), any::<bool>());
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), chance);
    for _ in 0..256 {
        let (maker, wish, by_link) = case.new_tree(&mut runner).unwrap().current();
        runtime.block_on(async {
            let maker = made(&mint(&app, &app.owner(), maker.of_a_maker().body(&app)).await);
            let caller = app.bearer(text(&maker, "api_key"));
            let fits = wish.within(&maker, &app);
            let mut body = wish.body(&app);
            if by_link {
                body["user_id"] = maker["user_id"].clone();
            }
            let path = team(&app, if by_link { "/key-links" } else { "/api-keys" });
            let answer = caller.post(&path, body.to_string()).await;
            if answer.status == 403 {
                refused += 1;
                assert!(!fits, "{wish:?} lies within {maker} and was refused: {}", answer.body);
                return;
            }
            granted += 1;
            let made_by = made(&answer);
            let key = if by_link { made(&claim(&app, text(&made_by, "link")).await) } else { made_by };
            assert!(fits && narrower(&key, &maker), "{key} is wider than {maker}");
        });
    }
    assert!(granted > 20 && refused > 20, "both happen: {granted}, {refused}");
}
