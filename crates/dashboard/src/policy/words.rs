//! A policy in plain words: which requests may carry a value, and where in them it stands.

use maud::{Markup, html};
use strongroom_core::policies::{BasicPart, HeaderName, Placement, Rule, Scheme};

/// A rule, as the beginning of a sentence.
pub(crate) fn rule(rule: &Rule) -> Markup {
    let (prefix, is_pattern) = (rule.path_prefix().as_str(), rule.host().as_str().starts_with('*'));
    html! {
        (methods(rule.methods().names())) " to " code { (origin(rule)) }
        @if is_pattern { " (any one name for the " code { "*" } ")" }
        @if prefix != "/" { ", paths under " code { (prefix) } }
        ", " (place(rule.placement()))
        @if rule.scheme() == Scheme::Http { "; anybody on the way can read it" }
        @if rule.allows_private() { "; the host may be in a private network" }
        @if rule.allows_foreign() { "; credentials that are none of the run's may stand there, too" }
    }
}

/// Scheme and host of a rule, and its port where it isn't the usual one.
fn origin(rule: &Rule) -> String {
    let (scheme, host, port) = (rule.scheme(), rule.host().as_str(), rule.port());
    let port = if port == scheme.usual_port() { String::new() } else { format!(":{port}") };
    format!("{}://{host}{port}", scheme.name())
}

/// `GET, POST and PUT`, say.
fn methods(names: &[String]) -> String {
    match names.split_last() {
        None => "Any request".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// Where a value stands.
fn place(placement: &Placement) -> Markup {
    html! {
        @match placement {
            Placement::Header(name, Some(scheme)) => { "in the header " code { (usual(name)) } " as " code { (scheme.as_str()) } }
            Placement::Header(name, None) => { "in the header " code { (usual(name)) } }
            Placement::Query(name) => { "in the query as " code { (name.as_str()) } }
            Placement::Form(name) => { "in a form as " code { (name.as_str()) } }
            Placement::Json(pointer) => { "in a JSON body at " code { (pointer.as_str()) } }
            Placement::Basic(BasicPart::Username) => "as the user name of Basic authentication",
            Placement::Basic(BasicPart::Password) => "as the password of Basic authentication",
        }
    }
}

/// A header's name as people write it.
fn usual(name: &HeaderName) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.as_str().split('-').map(part).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_is_told_as_people_say_it() {
        let told = |rule_json: serde_json::Value| {
            let html = rule(&serde_json::from_value(rule_json).unwrap()).into_string();
            html.replace("<code>", "").replace("</code>", "")
        };
        for (rule, words) in [
            (
                json!({"host": "api.stripe.com", "methods": ["GET", "POST"], "path_prefix": "/v1/",
                    "placement": {"header": "authorization", "scheme": "Bearer"}}),
                "GET and POST to https://api.stripe.com, paths under /v1/, in the header Authorization as Bearer",
            ),
            (
                json!({"scheme": "http", "host": "vault", "port": 8_200, "methods": ["GET"],
                    "placement": {"header": "x-vault-token"}, "allow_private": true}),
                "GET to http://vault:8200, in the header X-Vault-Token; anybody on the way can read it; \
                 the host may be in a private network",
            ),
            (
                json!({"host": "*.example.com", "placement": {"basic": "password"}, "allow_foreign": true}),
                "Any request to https://*.example.com (any one name for the *), as the password of Basic \
                 authentication; credentials that are none of the run's may stand there, too",
            ),
            (
                json!({"host": "a.example", "methods": ["GET", "PUT", "POST"], "placement": {"json": "/a/b"}}),
                "GET, PUT and POST to https://a.example, in a JSON body at /a/b",
            ),
            (
                json!({"host": "a.example", "placement": {"query": "<key>"}}),
                "Any request to https://a.example, in the query as &lt;key&gt;",
            ),
        ] {
            assert_eq!(told(rule), words);
        }
    }
}
