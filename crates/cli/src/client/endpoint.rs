//! An address of somebody else that takes texts. No key of ours is sent there.

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use super::{http, innermost};
use crate::failure::{Exit, Failure};

/// Where texts are sent.
pub(crate) struct Endpoint {
    http: reqwest::Client,
    url: Url,
}

impl Endpoint {
    /// The one at this URL; `None` when the text is none.
    ///
    /// # Errors
    /// When it can't be sent there.
    pub(crate) fn at(text: &str) -> Option<Result<Self, Failure>> {
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return None;
        }
        let url = match Url::parse(text) {
            Ok(url) if url.has_host() && url.username().is_empty() && url.password().is_none() => url,
            _ => {
                let failure = Failure::new("the URL to send to can't be used");
                let hint = "give one such as https://witness.example/heads, without a user name and password";
                return Some(Err(failure.hint(hint).exit(Exit::Usage)));
            }
        };
        Some(http(&url).map(|http| Self { http, url }))
    }

    /// Whom it belongs to. The rest of the URL may be a secret.
    pub(crate) fn shown(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    /// Sends a text.
    ///
    /// # Errors
    /// When it isn't taken.
    pub(crate) async fn send(&self, text: &str) -> Result<(), Failure> {
        let request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "text/plain; charset=utf-8");
        let answer = request.body(text.to_owned()).send().await.map_err(|error| {
            Failure::new(format!("{} can't be reached: {}", self.shown(), innermost(&error)))
                .hint("check the URL that --to names, and that something takes texts there")
        })?;
        if answer.status().is_success() {
            return Ok(());
        }
        let status = answer.status().as_u16();
        Err(Failure::new(format!("{} didn't take the head: it answered with status {status}", self.shown()))
            .hint("the URL that --to names must take POST with text/plain, without a redirect"))
    }
}
