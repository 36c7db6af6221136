//! A webhook: each batch of events is sent as JSON Lines, with a signature by which the
//! receiver knows who sent it. Only an answer of 2xx within half a minute takes them.

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::SecretString;
use std::time::Duration;
use strongroom_core::audit::webhook::{HEADER, signature};
use strongroom_core::{Clock as _, with_causes};
use strongroom_keys::passphrase;

use crate::cli::Sinks;
use crate::client::loopback;
use crate::clock::SystemClock;
use crate::failure::Failure;

/// For one batch and its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The least characters of a secret.
const SHORTEST: usize = 16;

/// Where events are sent.
pub(super) struct Webhook {
    client: Client,
    url: Url,
    secret: SecretString,
}

impl Webhook {
    /// The webhook with this address and the secret that goes with it.
    ///
    /// # Errors
    /// When the address isn't HTTPS off this machine, or the secret can't be read.
    pub(super) fn new(url: &Url, args: &Sinks) -> Result<Self, Failure> {
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback(url)) {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            return Err(Failure::new(format!("events would go to {host} in the clear"))
                .hint("name an https:// address with --audit-webhook"));
        }
        let path = args.audit_webhook_secret_file.as_deref().ok_or_else(|| {
            Failure::new("a webhook needs a secret, by which its receiver knows who sends")
                .hint("write one to a file of mode 0600 and name that with --audit-webhook-secret-file, for example: (umask 077; openssl rand -hex 32 > webhook.secret)")
        })?;
        let secret = passphrase::read(path)?;
        if length(&secret) < SHORTEST {
            return Err(Failure::new(format!("the secret in {} is too short", path.display()))
                .hint("take one of at least 16 characters: openssl rand -hex 32"));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the operator names where it goes, and it follows no redirect"
        )]
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|error| Failure::because("no connection can be prepared", &error))?;
        Ok(Self { client, url: url.clone(), secret })
    }

    /// Sends lines, and returns when they were taken.
    pub(super) async fn take(&self, first: u64, lines: String) -> Result<(), String> {
        let signature = signature(&self.secret, SystemClock.now(), lines.as_bytes());
        let request = self.client.post(self.url.clone()).header(HEADER, signature);
        let request = request.header("strongroom-first-leaf", first);
        let sent = request.header("content-type", "application/jsonl").body(lines).send().await;
        let answer = sent.map_err(|error| with_causes(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("it was answered with {status}")) }
    }
}

/// An address without what may be secret in it: a password, or a token in its query.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Only an address that can't have them refuses to lose them.
    let _has_none = (shown.set_username(""), shown.set_password(None));
    shown.into()
}

#[expect(clippy::disallowed_methods, reason = "its length is checked")]
fn length(secret: &SecretString) -> usize {
    secrecy::ExposeSecret::expose_secret(secret).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let url = Url::parse("https://ada:hush@siem.example.com:8443/in?token=hush#hush").unwrap();
        assert_eq!(shown(&url), "https://siem.example.com:8443/in");
    }
}
