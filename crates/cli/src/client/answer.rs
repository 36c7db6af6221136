//! What a server answered, and a refusal in words. The server's own words are
//! made fit for a terminal; what isn't Strongroom's manner isn't shown at all.

use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, LINK, RETRY_AFTER};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::time::Duration;

use super::{Target, retry};
use crate::failure::{Exit, Failure};
use crate::printable::printable;

/// As much of a server's words as is shown.
const LONGEST: usize = 1000;

/// An answer, read whole.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    repeat_as: Option<String>,
}

/// How the API says no.
#[derive(Deserialize)]
struct Envelope {
    error: String,
    message: Option<String>,
}

impl Envelope {
    fn words(self) -> String {
        let words = self.message.filter(|words| !words.is_empty()).unwrap_or(self.error);
        printable(&words.chars().take(LONGEST).collect::<String>())
    }
}

impl Answer {
    /// From what came in.
    pub(super) fn new(status: StatusCode, headers: HeaderMap, text: String) -> Self {
        Self { status, headers, text, repeat_as: None }
    }

    /// The same about a change that may have been made by then: under this
    /// idempotency key it isn't made twice.
    pub(super) fn repeat_as(self, key: Option<String>) -> Self {
        Self { repeat_as: key, ..self }
    }

    /// An answer put together of several.
    pub(crate) fn joined(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// Whether it says yes.
    pub(super) fn granted(&self) -> bool {
        self.status.is_success()
    }

    /// Whether it says: not now. A repeat is as safe as the request is.
    pub(super) fn not_now(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Whether the same request was sent before and is still under way.
    pub(super) fn under_way(&self) -> bool {
        let says_so = |envelope: Envelope| envelope.error == "in_progress";
        self.status == StatusCode::CONFLICT && self.envelope().is_some_and(says_so)
    }

    /// How long it asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.header(RETRY_AFTER)?.parse().ok()?))
    }

    /// Its text, whatever it is.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its text, if it is JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn raw(&self) -> Result<&str, Failure> {
        match serde_json::from_str::<IgnoredAny>(&self.text) {
            Ok(_) => Ok(&self.text),
            Err(_) => Err(strange()),
        }
    }

    /// Its meaning.
    ///
    /// # Errors
    /// When it isn't what the API promises.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.text).map_err(|_| strange())
    }

    /// The meaning of one of its fields.
    ///
    /// # Errors
    /// When it has no such field, or the field isn't what the API promises.
    pub(crate) fn field<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(&self.text).map_err(|_| strange())?;
        let field = fields.get(name).ok_or_else(strange)?;
        serde_json::from_str(field.get()).map_err(|_| strange())
    }

    /// The tag of the version that it shows.
    pub(crate) fn etag(&self) -> Option<&str> {
        self.header(ETAG)
    }

    /// The parameters of the next page. Only they are taken from the link: where
    /// the key goes isn't the answer's to say.
    pub(crate) fn next(&self) -> Option<Vec<(String, String)>> {
        let link = self.header(LINK)?;
        let mut links = link.split('<').filter_map(|link| link.split_once('>'));
        let (target, _) = links.find(|(_, parameters)| parameters.contains("rel=\"next\""))?;
        let (_, query) = target.split_once('?')?;
        let url = reqwest::Url::parse(&format!("http://localhost/?{query}")).ok()?;
        Some(url.query_pairs().into_owned().collect())
    }

    fn header(&self, name: reqwest::header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn envelope(&self) -> Option<Envelope> {
        serde_json::from_str(&self.text).ok()
    }

    /// Why the server refused. For a program the answer goes along.
    pub(super) fn refusal(&self, target: &Target, json: bool) -> Failure {
        let Some(envelope) = self.envelope() else { return self.no_envelope(target) };
        let (code, remedy) = (envelope.error.clone(), self.remedy(target, &envelope.error));
        let failure = match remedy {
            Some(remedy) => Failure::new(envelope.words()).hint(remedy),
            None => Failure::new(envelope.words()),
        };
        let failure = failure.code(code).exit(self.exit());
        if json { failure.answer(self.text.clone()) } else { failure }
    }

    fn exit(&self) -> Exit {
        match self.status {
            StatusCode::UNAUTHORIZED => Exit::NotAuthenticated,
            StatusCode::NOT_FOUND => Exit::NotFound,
            _ => Exit::Failed,
        }
    }

    fn remedy(&self, target: &Target, code: &str) -> Option<String> {
        if let Some(key) = &self.repeat_as {
            return Some(retry::repeat_as(key));
        }
        Some(match self.status.as_u16() {
            401 => format!(
                "{}; if it was revoked or is for another server, log in again: `strongroom login --url {}`",
                target.provenance,
                target.shown()
            ),
            403 => {
                "`strongroom profile` shows who your key acts as; an administrator of the team can give more"
                    .to_owned()
            }
            404 => {
                "the `list` commands show what you can see; a deleted secret or team comes back with `undelete`".to_owned()
            }
            409 if code == "already_done" => {
                "if that answer was lost, revoke what it made, and run the command again under another idempotency key"
                    .to_owned()
            }
            412 => "`strongroom secrets get` shows it as it is now, with the tag for --if-match".to_owned(),
            422 => "leave --idempotency-key out, or give one that was not used for something else".to_owned(),
            429 | 503 => match self.retry_after() {
                Some(wait) if wait.as_secs() <= 1 => "try again in a second".to_owned(),
                Some(wait) => format!("try again in {} seconds", wait.as_secs()),
                None => "try again a little later".to_owned(),
            },
            500..=599 => format!("the server's log says more{}", self.request_id()),
            _ => return None,
        })
    }

    fn request_id(&self) -> String {
        let id = self.headers.get("x-request-id").and_then(|value| value.to_str().ok());
        id.map(|id| format!("; look for the request {}", printable(id))).unwrap_or_default()
    }

    /// Somebody else answered: a proxy, or another kind of server.
    fn no_envelope(&self, target: &Target) -> Failure {
        let status = self.status.as_u16();
        let failure = Failure::new(format!(
            "{} answered with status {status}, and not as Strongroom does",
            target.shown()
        ));
        if self.status.is_redirection() {
            return failure.hint("redirects are not followed: give the URL that the server itself has");
        }
        failure
            .hint("check the URL; a proxy before the server may have answered in its place")
            .exit(if status == 401 { Exit::NotAuthenticated } else { Exit::Failed })
    }
}

/// Why an answer is of no use.
pub(crate) fn strange() -> Failure {
    Failure::new("the server's answer is not what Strongroom answers")
        .hint("check the URL, and that server and command line are of about the same version")
}
