//! What is known of services by their slug: at which hosts they take their keys, and where
//! in a request. It is the policy of a secret that has none of its own.
//!
//! Only hosts of the services themselves are here, and none where anybody can have a name:
//! a value that goes to such a host goes to whoever has it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::policies::{AuthScheme, BasicPart, HeaderName, HostPattern, PathPrefix, Placement, Policy, Rule};
use crate::text::{Invalid, ServiceSlug};

/// Where in a request a service takes its key.
#[derive(Clone, Copy)]
enum Takes {
    /// `authorization`, behind this scheme.
    Scheme(&'static str),
    /// This header, whole.
    Header(&'static str),
    /// The user name of `Basic`.
    Username,
    /// The password of `Basic`.
    Password,
}

use Takes::{Header, Password, Scheme, Username};

/// `authorization: Bearer …`.
const BEARER: Takes = Scheme("Bearer");

/// A service: its slug, and its hosts, each with how paths begin there, and how it takes its key.
type Service = (&'static str, &'static [(&'static str, &'static str, Takes)]);

const SERVICES: &[Service] = &[
    ("airtable", &[("api.airtable.com", "/", BEARER)]),
    ("anthropic", &[("api.anthropic.com", "/", Header("x-api-key"))]),
    ("asana", &[("app.asana.com", "/api/", BEARER)]),
    ("brave", &[("api.search.brave.com", "/", Header("x-subscription-token"))]),
    ("cloudflare", &[("api.cloudflare.com", "/client/", BEARER)]),
    ("cohere", &[("api.cohere.com", "/", BEARER), ("api.cohere.ai", "/", BEARER)]),
    ("deepseek", &[("api.deepseek.com", "/", BEARER)]),
    ("digitalocean", &[("api.digitalocean.com", "/", BEARER)]),
    ("discord", &[("discord.com", "/api/", Scheme("Bot"))]),
    ("elevenlabs", &[("api.elevenlabs.io", "/", Header("xi-api-key"))]),
    ("exa", &[("api.exa.ai", "/", Header("x-api-key"))]),
    ("figma", &[("api.figma.com", "/", Header("x-figma-token"))]),
    ("firecrawl", &[("api.firecrawl.dev", "/", BEARER)]),
    ("fireworks", &[("api.fireworks.ai", "/", BEARER)]),
    (
        "gemini",
        &[
            ("generativelanguage.googleapis.com", "/", Header("x-goog-api-key")),
            // Its endpoints that speak as OpenAI's do.
            ("generativelanguage.googleapis.com", "/v1beta/openai/", BEARER),
        ],
    ),
    (
        "github",
        &[
            ("api.github.com", "/", BEARER),
            ("api.github.com", "/", Scheme("token")),
            ("uploads.github.com", "/", BEARER),
            ("uploads.github.com", "/", Scheme("token")),
            // Git itself.
            ("github.com", "/", Password),
        ],
    ),
    (
        "gitlab",
        &[
            ("gitlab.com", "/api/", BEARER),
            ("gitlab.com", "/api/", Header("private-token")),
            ("gitlab.com", "/", Password),
        ],
    ),
    ("groq", &[("api.groq.com", "/", BEARER)]),
    ("hubspot", &[("api.hubapi.com", "/", BEARER)]),
    (
        "huggingface",
        &[
            ("huggingface.co", "/", BEARER),
            ("huggingface.co", "/", Password),
            ("router.huggingface.co", "/", BEARER),
        ],
    ),
    (
        "linear",
        // A person's key stands alone, an application's token behind a scheme.
        &[("api.linear.app", "/", Header("authorization")), ("api.linear.app", "/", BEARER)],
    ),
    ("mailgun", &[("api.mailgun.net", "/", Password), ("api.eu.mailgun.net", "/", Password)]),
    ("mistral", &[("api.mistral.ai", "/", BEARER)]),
    ("netlify", &[("api.netlify.com", "/", BEARER)]),
    ("notion", &[("api.notion.com", "/", BEARER)]),
    ("openai", &[("api.openai.com", "/", BEARER)]),
    ("openrouter", &[("openrouter.ai", "/api/", BEARER)]),
    ("perplexity", &[("api.perplexity.ai", "/", BEARER)]),
    ("postmark", &[("api.postmarkapp.com", "/", Header("x-postmark-server-token"))]),
    ("render", &[("api.render.com", "/", BEARER)]),
    ("replicate", &[("api.replicate.com", "/", BEARER)]),
    ("resend", &[("api.resend.com", "/", BEARER)]),
    ("sendgrid", &[("api.sendgrid.com", "/", BEARER), ("api.eu.sendgrid.com", "/", BEARER)]),
    ("sentry", &[("sentry.io", "/api/", BEARER)]),
    ("serper", &[("google.serper.dev", "/", Header("x-api-key"))]),
    ("slack", &[("slack.com", "/api/", BEARER), ("files.slack.com", "/", BEARER)]),
    (
        "stripe",
        &[
            ("api.stripe.com", "/", BEARER),
            ("api.stripe.com", "/", Username),
            ("files.stripe.com", "/", BEARER),
            ("files.stripe.com", "/", Username),
        ],
    ),
    ("tavily", &[("api.tavily.com", "/", BEARER)]),
    ("together", &[("api.together.xyz", "/", BEARER)]),
    // The account's or the key's id is the name, its secret the password.
    ("twilio", &[("api.twilio.com", "/", Username), ("api.twilio.com", "/", Password)]),
    ("vercel", &[("api.vercel.com", "/", BEARER)]),
    ("xai", &[("api.x.ai", "/", BEARER)]),
];

static POLICIES: LazyLock<HashMap<&'static str, Policy>> = LazyLock::new(|| {
    let known = |(slug, rules): &Service| Some((*slug, policy(rules).ok()?));
    SERVICES.iter().filter_map(known).collect()
});

/// What is known of a service; its slug is the same in any case.
pub fn policy_of(slug: &ServiceSlug) -> Option<&'static Policy> {
    POLICIES.get(slug.as_str().to_ascii_lowercase().as_str())
}

fn policy(rules: &[(&str, &str, Takes)]) -> Result<Policy, Invalid> {
    let rule = |(host, prefix, takes): &(&str, &str, Takes)| {
        let rule = Rule::new(HostPattern::parse(host)?, placement(*takes)?)?;
        Ok(rule.under(PathPrefix::parse(prefix)?))
    };
    Policy::new(rules.iter().map(rule).collect::<Result<_, _>>()?, false)
}

fn placement(takes: Takes) -> Result<Placement, Invalid> {
    Ok(match takes {
        Scheme(scheme) => {
            Placement::Header(HeaderName::parse("authorization")?, Some(AuthScheme::parse(scheme)?))
        }
        Header(name) => Placement::Header(HeaderName::parse(name)?, None),
        Username => Placement::Basic(BasicPart::Username),
        Password => Placement::Basic(BasicPart::Password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(slug: &str) -> Option<&'static Policy> {
        policy_of(&ServiceSlug::parse(slug).unwrap())
    }

    #[test]
    fn every_service_has_its_policy_and_is_there_once() {
        assert_eq!(POLICIES.len(), SERVICES.len());
        for (slug, rules) in SERVICES {
            let policy = known(slug).unwrap();
            assert_eq!(policy.rules().len(), rules.len(), "{slug}");
            assert!(!policy.is_broker_only() && policy.oldest_version() == 0);
            assert_eq!(Policy::from_stored(&policy.to_stored()).as_ref(), Ok(policy));
        }
        assert!(SERVICES.is_sorted_by_key(|(slug, _)| *slug));
    }

    #[test]
    fn no_service_has_a_pattern_or_a_private_host() {
        for policy in POLICIES.values() {
            let plain = |rule: &Rule| {
                !rule.host().as_str().contains('*') && !rule.allows_private() && !rule.allows_foreign()
            };
            assert!(policy.rules().iter().all(plain));
        }
    }

    #[test]
    fn a_slug_is_known_in_any_case() {
        assert_eq!(known("OpenAI"), known("openai"));
        assert!(known("openai").is_some() && known("a shop around the corner").is_none());
    }
}
