//! Credentials that are none of the run's.

use http::header::{AUTHORIZATION, HeaderName};
use strongroom_core::policies::{Placement, Rule};

use super::{Injection, Spot, View, is_placed};
use crate::refuse::Refusal;

/// Headers in which services take credentials.
const CREDENTIAL_HEADERS: [&str; 13] = [
    "api-key",
    "apikey",
    "authorization",
    "private-token",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-api-token",
    "x-apikey",
    "x-auth-key",
    "x-auth-token",
    "x-goog-api-key",
    "x-vault-token",
];

/// Parameters of a query in which services take credentials.
const CREDENTIAL_PARAMETERS: [&str; 9] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "client_secret",
    "key",
    "token",
    "x-amz-signature",
    "x-goog-signature",
];

impl View<'_> {
    /// Refuses what would speak to the host in another's name.
    pub(super) fn refuse_foreign(&self, injections: &[Injection]) -> Result<(), Refusal> {
        let foreign = |place| Err(Refusal::Foreign(self.asked.target.clone(), place));
        let is_credential = |name: &HeaderName| {
            CREDENTIAL_HEADERS.contains(&name.as_str())
                || self.rules.iter().any(|(_, rule)| is_header(rule, name))
        };
        let is_foreign = |name: &HeaderName| {
            is_credential(name)
                && !is_placed(injections, name)
                && !self.is_allowed(|rule| is_header(rule, name))
        };
        if self.asked.headers.keys().any(is_foreign) {
            return foreign("a header");
        }
        let ours = injections.iter().filter(|one| matches!(one.spot, Spot::Query { .. })).count();
        let credentials = self.parameters().filter(|name| self.is_credential(name)).count();
        let is_query = |rule: &Rule| matches!(rule.placement(), Placement::Query(_));
        if credentials > ours && !self.is_allowed(is_query) { foreign("the query") } else { Ok(()) }
    }

    /// Whether another's credential may stand there: where a rule that puts a value there says so,
    /// and, where none does, any that covers the request.
    fn is_allowed(&self, puts_there: impl Fn(&Rule) -> bool) -> bool {
        let mut there = self.rules.iter().filter(|(_, rule)| puts_there(rule)).peekable();
        match there.peek() {
            Some(_) => there.any(|(_, rule)| rule.allows_foreign()),
            None => self.rules.iter().any(|(_, rule)| rule.allows_foreign()),
        }
    }

    /// Whether a parameter of the query of this name is one in which credentials stand.
    fn is_credential(&self, name: &[u8]) -> bool {
        let own = |rule: &Rule| matches!(rule.placement(), Placement::Query(own) if own.as_str().as_bytes() == name);
        CREDENTIAL_PARAMETERS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
            || self.rules.iter().any(|(_, rule)| own(rule))
    }
}

fn is_header(rule: &Rule, name: &HeaderName) -> bool {
    match rule.placement() {
        Placement::Header(own, _) => own.as_str() == name.as_str(),
        Placement::Basic(_) => *name == AUTHORIZATION,
        _ => false,
    }
}
