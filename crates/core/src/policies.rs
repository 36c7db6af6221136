//! Where the values of a secret may be used through the broker: which requests, and at
//! which place of them a value may stand. Everything here is pure: it looks at texts,
//! and never at a value.

mod destinations;
mod placements;
mod stored;

pub use destinations::{HostPattern, Methods, PathPrefix, Scheme};
pub use placements::{AuthScheme, BasicPart, FieldName, HeaderName, JsonPointer, Placement};
pub use stored::NewRule;

use crate::text::Invalid;

/// The port of a scheme is 443 or 80 unless a rule says otherwise.
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;

/// Where a secret may be used. What no rule covers is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    broker_only: bool,
    since: u32,
}

/// One kind of request, and where in it a value may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
    methods: Methods,
    path_prefix: PathPrefix,
    placement: Placement,
    allow_private: bool,
    allow_foreign: bool,
}

/// A request on its way out, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// By which scheme it goes.
    pub scheme: Scheme,
    /// To which host, in lower case and without a dot at its end.
    pub host: &'a str,
    /// At which port.
    pub port: u16,
    /// Its method, as it was sent.
    pub method: &'a str,
    /// Its path, as it was sent, without the query.
    pub path: &'a str,
}

/// From where the policy of a secret comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// It was set for this secret.
    Own,
    /// It is what is known of the secret's service.
    Service,
    /// There is none: the secret can't be used through the broker.
    None,
}

impl PolicySource {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Service => "service",
            Self::None => "none",
        }
    }
}

impl Policy {
    /// The most rules of a policy.
    pub const MAX_RULES: usize = 64;
    /// The most bytes of a policy as it is stored: 16 KiB.
    pub const MAX_BYTES: usize = 16 << 10;

    /// Of these rules. With `broker_only` the values never get into an environment.
    ///
    /// # Errors
    /// When there are more than [`Self::MAX_RULES`], or they are more than
    /// [`Self::MAX_BYTES`] as they are stored.
    pub fn new(rules: Vec<Rule>, broker_only: bool) -> Result<Self, Invalid> {
        if rules.len() > Self::MAX_RULES {
            return Err(Invalid::new("must be at most 64 rules; a pattern may cover several hosts"));
        }
        // Whatever the number of the version is, it fits.
        let widest = Self { rules, broker_only, since: u32::MAX };
        if widest.to_stored().len() > Self::MAX_BYTES {
            return Err(Invalid::new("must be rules of at most 16 KiB together; use fewer, or shorter ones"));
        }
        Ok(Self { since: 0, ..widest })
    }

    /// The same, with the oldest version of the secret that may be made current again;
    /// with 0 any may be.
    #[must_use]
    pub fn since(self, since: u32) -> Self {
        Self { since, ..self }
    }

    /// Its rules, in the order in which they were given.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether the values never get into an environment.
    pub fn is_broker_only(&self) -> bool {
        self.broker_only
    }

    /// The oldest version of the secret that may be made current again: those before it
    /// were stored under a narrower policy. 0 when any may be.
    pub fn oldest_version(&self) -> u32 {
        self.since
    }

    /// Its rules about a host, whatever is asked of it there, with their places in the
    /// policy. Where there are any, the host is one of the broker's.
    pub fn rules_for<'a>(
        &'a self,
        scheme: Scheme,
        host: &'a str,
        port: u16,
    ) -> impl Iterator<Item = (usize, &'a Rule)> {
        let about = move |rule: &Rule| rule.is_about(scheme, host, port);
        self.rules.iter().enumerate().filter(move |(_, rule)| about(rule))
    }

    /// Whether a value may be used in any way that `before` didn't allow. It errs on the
    /// safe side: a rule must be within a single one of those before.
    pub fn widens(&self, before: &Self) -> bool {
        self.rules.iter().any(|rule| before.rules.iter().all(|old| rule.wider_than(old)))
    }
}

impl Rule {
    /// Values at this place of the requests to a host: by HTTPS, at its usual port, of any
    /// method and path.
    ///
    /// # Errors
    /// When the host has a single label, as those of a private network have.
    pub fn new(host: HostPattern, placement: Placement) -> Result<Self, Invalid> {
        NewRule::of(host, placement).into_rule()
    }

    /// The same for requests whose path begins so.
    #[must_use]
    pub fn under(self, path_prefix: PathPrefix) -> Self {
        Self { path_prefix, ..self }
    }

    /// By which scheme requests go.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// To which hosts.
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// At which port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// By which methods.
    pub fn methods(&self) -> &Methods {
        &self.methods
    }

    /// How their path begins.
    pub fn path_prefix(&self) -> &PathPrefix {
        &self.path_prefix
    }

    /// Where in them a value may stand.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Whether the host's address may be one of a private network.
    pub fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Whether a credential that is none of ours may stand at this place.
    pub fn allows_foreign(&self) -> bool {
        self.allow_foreign
    }

    /// Whether it is about this host, whatever is asked of it there.
    pub fn is_about(&self, scheme: Scheme, host: &str, port: u16) -> bool {
        self.scheme == scheme && self.port == port && self.host.covers(host)
    }

    /// Whether it allows this request.
    pub fn covers(&self, to: &Destination<'_>) -> bool {
        self.is_about(to.scheme, to.host, to.port)
            && self.methods.covers(to.method)
            && self.path_prefix.covers(to.path)
    }

    /// Whether it allows anything that `before` didn't.
    pub fn wider_than(&self, before: &Self) -> bool {
        let narrower = self.scheme == before.scheme
            && self.port == before.port
            && self.placement == before.placement
            && self.host.is_within(&before.host)
            && self.methods.are_within(&before.methods)
            && self.path_prefix.is_within(&before.path_prefix)
            && self.allow_private <= before.allow_private
            && self.allow_foreign <= before.allow_foreign;
        !narrower
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn rule(json: &Value) -> Rule {
        serde_json::from_value(json.clone()).unwrap()
    }

    fn policy(rules: &[Rule]) -> Policy {
        Policy::new(rules.to_vec(), false).unwrap()
    }

    fn refused(json: &Value) -> String {
        serde_json::from_value::<Rule>(json.clone()).unwrap_err().to_string()
    }

    #[test]
    fn a_rule_says_all_that_it_was_given_and_all_that_it_was_not() {
        let least = json!({"host": "API.example.com", "placement": {"header": "X-Key"}});
        let whole = json!({
            "scheme": "https", "host": "api.example.com", "port": 443, "methods": [], "path_prefix": "/",
            "placement": {"header": "x-key"}, "allow_private": false, "allow_foreign": false,
        });
        assert_eq!(serde_json::to_value(rule(&least)).unwrap(), whole);
        assert_eq!(rule(&whole), rule(&least));
        let given = json!({
            "scheme": "http", "host": "vault", "port": 8_200, "methods": ["GET", "PUT"], "path_prefix": "/v1/",
            "placement": {"header": "authorization", "scheme": "Bearer"}, "allow_private": true, "allow_foreign": true,
        });
        assert_eq!(serde_json::to_value(rule(&given)).unwrap(), given);
        let http = json!({"scheme": "http", "host": "a.example", "placement": {"query": "key"}});
        assert_eq!(rule(&http).port(), 80);
        for placement in [
            json!({"query": "a"}),
            json!({"form": "a"}),
            json!({"json": "/a/b"}),
            json!({"basic": "password"}),
        ] {
            let with = json!({"host": "a.example", "placement": placement});
            assert_eq!(serde_json::to_value(rule(&with)).unwrap()["placement"], placement);
        }
    }

    #[test]
    fn what_a_rule_has_not_is_refused_without_a_word_of_it() {
        let with = |member: &str, value: Value| {
            let mut rule = json!({"host": "a.example", "placement": {"query": "key"}});
            rule[member] = value;
            refused(&rule)
        };
        assert!(refused(&json!({"placement": {"query": "key"}})).contains("host"));
        assert!(refused(&json!({"host": "a.example"})).contains("placement"));
        assert!(with("comment", json!(1)).contains("path_prefix"), "it says what there is");
        assert!(with("host", json!("localhost")).contains("allow_private"));
        for (member, value) in [
            ("scheme", json!("ftp")),
            ("port", json!(0)),
            ("port", json!(65_536)),
            ("port", json!(null)),
            ("methods", json!(["CONNECT"])),
            ("path_prefix", json!("hunter2")),
            ("placement", json!({})),
            ("placement", json!({"query": "a", "form": "a"})),
            ("placement", json!({"query": "a", "scheme": "Bearer"})),
            ("placement", json!({"scheme": "Bearer"})),
            ("placement", json!({"header": null, "query": "a"})),
            ("placement", json!({"cookie": "hunter2"})),
            ("placement", json!({"header": "host"})),
            ("placement", json!({"basic": "both"})),
            ("allow_private", json!("hunter2")),
        ] {
            with(member, value);
        }
    }

    #[test]
    fn only_the_stored_form_is_read_as_one() {
        let one = rule(&json!({"host": "a.example", "placement": {"query": "key"}}));
        let policy = Policy::new(vec![one], true).unwrap().since(7);
        let stored = policy.to_stored();
        assert_eq!(Policy::from_stored(&stored), Ok(policy));
        for broken in [
            String::new(),
            "null".to_owned(),
            "{}".to_owned(),
            format!("{stored} "),
            stored.replace("\"since\":7", "\"since\":07"),
            stored.replace(",\"since\":7", ""),
            stored.replace("a.example", "A.example"),
            stored.replace("\"port\":443,", ""),
            stored.replace("\"broker_only\":true", "\"broker_only\":true,\"broker_only\":true"),
            stored.replace("\"since\":7", "\"since\":7,\"more\":1"),
        ] {
            assert!(Policy::from_stored(&broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_policy_has_its_bounds() {
        let one = rule(&json!({"host": "a.example", "placement": {"query": "key"}}));
        assert!(Policy::new(vec![one.clone(); Policy::MAX_RULES], false).is_ok());
        assert!(Policy::new(vec![one; Policy::MAX_RULES + 1], false).is_err());
        let long = format!("/{}", "a".repeat(1_000));
        let long = rule(&json!({"host": "a.example", "placement": {"query": "key"}, "path_prefix": long}));
        assert!(
            Policy::new(vec![long.clone(); 14], true).unwrap().since(u32::MAX).to_stored().len()
                <= Policy::MAX_BYTES
        );
        assert!(Policy::new(vec![long; 15], true).is_err());
    }

    #[test]
    fn a_host_is_the_brokers_when_any_rule_is_about_it() {
        let policy = policy(&[
            rule(&json!({"host": "*.example.com", "placement": {"query": "key"}, "methods": ["GET"]})),
            rule(&json!({"host": "b.example", "placement": {"query": "key"}, "port": 8_443})),
        ]);
        let places = |host, port| -> Vec<usize> {
            policy.rules_for(Scheme::Https, host, port).map(|(at, _)| at).collect()
        };
        assert_eq!((places("a.example.com", 443), places("b.example", 8_443)), (vec![0], vec![1]));
        assert_eq!((places("a.example.com", 80), places("b.example", 443)), (vec![], vec![]));
        assert_eq!(policy.rules_for(Scheme::Http, "a.example.com", 443).count(), 0);
    }

    #[test]
    fn each_part_of_a_rule_can_widen_it() {
        let with = |member: &str, value: Value| {
            let mut rule = json!({
                "host": "a.example.com", "placement": {"header": "x-key"}, "methods": ["GET"], "path_prefix": "/v1/",
            });
            rule[member] = value;
            policy(&[self::rule(&rule)])
        };
        let before = with("port", json!(443));
        assert!(!before.widens(&before) && !policy(&[]).widens(&before) && before.widens(&policy(&[])));
        for (member, value) in [
            ("scheme", json!("http")),
            ("host", json!("b.example.com")),
            ("host", json!("*.example.com")),
            ("port", json!(8_443)),
            ("methods", json!([])),
            ("methods", json!(["GET", "POST"])),
            ("path_prefix", json!("/")),
            ("path_prefix", json!("/v1")),
            ("path_prefix", json!("/v2/")),
            ("placement", json!({"header": "x-other"})),
            ("placement", json!({"header": "x-key", "scheme": "Bearer"})),
            ("placement", json!({"query": "x-key"})),
            ("allow_private", json!(true)),
            ("allow_foreign", json!(true)),
        ] {
            assert!(with(member, value.clone()).widens(&before), "{member}: {value}");
        }
        assert!(!with("path_prefix", json!("/v1/charges")).widens(&before));
        assert!(!before.widens(&with("host", json!("*.example.com"))));
        assert!(!before.widens(&with("methods", json!([]))));
        assert!(!before.widens(&with("allow_private", json!(true))));
    }

    fn of<T: std::fmt::Debug + Clone + 'static>(some: &[T]) -> impl Strategy<Value = T> + use<T> {
        prop::sample::select(some.to_vec())
    }

    fn some_rule() -> impl Strategy<Value = Rule> {
        let hosts = ["a.example.com", "b.example.com", "*.example.com", "example.com"];
        let methods = [json!([]), json!(["GET"]), json!(["GET", "POST"])];
        let prefixes = ["/", "/v1", "/v1/", "/v1/x"];
        let placements = [json!({"header": "x-key"}), json!({"query": "key"})];
        let ends = (of(&["https", "http"]), of(&hosts), of(&[443, 8_443]));
        let within = (of(&methods), of(&prefixes), of(&placements));
        (ends, within, any::<bool>()).prop_map(|((scheme, host, port), (methods, path_prefix, placement), private)| {
            rule(&json!({
                "scheme": scheme, "host": host, "port": port, "methods": methods, "path_prefix": path_prefix,
                "placement": placement, "allow_private": private,
            }))
        })
    }

    fn some_policy() -> impl Strategy<Value = Policy> {
        prop::collection::vec(some_rule(), 0..6).prop_map(|rules| policy(&rules))
    }

    proptest! {
        #[test]
        fn what_does_not_widen_allows_nothing_new(
            (before, after) in (some_policy(), some_policy()),
            kept in any::<prop::sample::Index>(),
            ((scheme, host, port), (method, path)) in (
                (of(&[Scheme::Https, Scheme::Http]), of(&["a.example.com", "b.example.com", "c.example.com", "example.com"]), of(&[443, 8_443])),
                (of(&["GET", "POST", "PATCH"]), of(&["/", "/v1", "/v1/", "/v1/x", "/v1/x/y", "/v10", "/v1/../v2", "/v1//x"])),
            ),
        ) {
            let to = Destination { scheme, host, port, method, path };
            let allows = |policy: &Policy| -> Vec<(Placement, bool)> {
                let covering = policy.rules().iter().filter(|rule| rule.covers(&to));
                covering.map(|rule| (rule.placement().clone(), rule.allows_private())).collect()
            };
            // Two that have nothing to do with each other, and one that is a part of the other.
            let part = before.rules().iter().take(kept.index(before.rules().len() + 1)).cloned().collect::<Vec<_>>();
            for after in [after, policy(&part)] {
                let granted = allows(&before);
                let within = |(placement, private): &(Placement, bool)| {
                    granted.iter().any(|(old, was)| old == placement && private <= was)
                };
                prop_assert!(after.widens(&before) || allows(&after).iter().all(within));
            }
        }

        #[test]
        fn narrower_is_an_order(a in some_rule(), b in some_rule(), c in some_rule()) {
            prop_assert!(!a.wider_than(&a));
            prop_assert!(a.wider_than(&b) || b.wider_than(&c) || !a.wider_than(&c));
            prop_assert!(a.wider_than(&b) || b.wider_than(&a) || a == b);
        }

        #[test]
        fn no_text_is_read_as_a_policy_but_what_was_written(policy in some_policy(), since in any::<u32>(), cut in any::<prop::sample::Index>()) {
            let policy = policy.since(since);
            let stored = policy.to_stored();
            let cut = cut.index(stored.len());
            prop_assert!(Policy::from_stored(&stored[..cut]).is_err());
            prop_assert_eq!(Policy::from_stored(&stored), Ok(policy));
        }
    }
}
