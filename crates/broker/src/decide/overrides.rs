//! What has some hosts take a request for another one.

use http::HeaderName;
use strongroom_core::policies::Rule;

use super::View;
use crate::refuse::Refusal;

/// Headers by which some hosts take another method or path than the request's own.
const OVERRIDES: [HeaderName; 6] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-method"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

impl View<'_> {
    /// Refuses what would have the host take another method or path than the one that rules were
    /// asked about, where they make a difference.
    pub(super) fn refuse_overrides(&self) -> Result<(), Refusal> {
        let narrows = |rule: &Rule| !rule.methods().names().is_empty() || rule.path_prefix().as_str() != "/";
        if !self.rules.iter().any(|(_, rule)| narrows(rule)) {
            return Ok(());
        }
        let headers = OVERRIDES.iter().any(|name| self.asked.headers.contains_key(name));
        if headers || self.parameters().any(|name| name == b"_method") {
            return Err(Refusal::Unsupported("a header or parameter that says another method or path"));
        }
        Ok(())
    }
}
