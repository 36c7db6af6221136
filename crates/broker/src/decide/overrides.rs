//! What has some hosts take a request for another one.

use strongroom_core::policies::Rule;

use super::View;
use crate::refuse::Refusal;

/// Headers by which some hosts take another method or path than the request's own.
const OVERRIDES: [&str; 6] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-url",
    "x-rewrite-url",
];

impl View<'_> {
    /// Refuses what would have the host take another method or path than the one that rules were
    /// asked about, where they make a difference.
    pub(super) fn refuse_overrides(&self) -> Result<(), Refusal> {
        let narrows = |rule: &Rule| !rule.methods().names().is_empty() || rule.path_prefix().as_str() != "/";
        let headers = OVERRIDES.iter().any(|name| self.asked.headers.contains_key(*name));
        let query = self.parameters().any(|name| name == b"_method");
        if (headers || query) && self.rules.iter().any(|(_, rule)| narrows(rule)) {
            return Err(Refusal::Unsupported("a header or parameter that says another method or path"));
        }
        Ok(())
    }
}
