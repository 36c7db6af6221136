//! Sends a request, and again where that is safe: when it surely wasn't acted
//! upon, or when its idempotency key keeps it from being acted upon twice.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use std::time::Duration;
use tokio::time::sleep;

use super::{Answer, Request, Target, innermost};
use crate::failure::Failure;

/// How often a request is sent at most.
const ATTEMPTS: u32 = 4;
/// Before the second attempt; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(200);
/// A server that asks for more patience is left alone.
const PATIENCE: Duration = Duration::from_secs(15);
/// More than any list of secrets has.
const MOST: usize = 256 << 20;

/// Why there is no answer.
enum Lost {
    /// The server was not reached: nothing was done.
    Unreached(reqwest::Error),
    /// It was reached, and may have done it.
    Unanswered(reqwest::Error),
    /// It answered endlessly, or not in text.
    Unreadable,
}

/// The server's answer, whatever it says. A refusal that leaves open whether an
/// attempt before it was acted upon knows under which key to go on.
///
/// # Errors
/// When the server can't be reached, or its answer is lost too often.
pub(super) async fn send(
    http: &reqwest::Client,
    target: &Target,
    request: &Request,
) -> Result<Answer, Failure> {
    let (mut attempt, mut perhaps_done) = (1, false);
    loop {
        let outcome = once(http, target, request).await;
        perhaps_done |= matches!(outcome, Err(Lost::Unanswered(_)));
        let Some(pause) = pause(&outcome, request, attempt).filter(|_| attempt < ATTEMPTS) else {
            return match outcome {
                Ok(answer) if answer.under_way() || perhaps_done && answer.not_now() => {
                    Ok(answer.repeat_as(request.idempotency_key.clone()))
                }
                Ok(answer) => Ok(answer),
                Err(lost) => Err(lost.into_failure(target, request, perhaps_done)),
            };
        };
        sleep(pause).await;
        attempt += 1;
    }
}

/// How long to wait before the request is sent again; none when it isn't.
fn pause(outcome: &Result<Answer, Lost>, request: &Request, attempt: u32) -> Option<Duration> {
    let usual = PAUSE * 2_u32.pow(attempt.saturating_sub(1));
    match outcome {
        Ok(answer) if (answer.not_now() || answer.under_way()) && request.repeatable() => {
            Some(answer.retry_after().unwrap_or(usual)).filter(|wait| *wait <= PATIENCE)
        }
        Ok(_) | Err(Lost::Unreadable) => None,
        // Nobody listens: at first it is better to say so at once. After a
        // connection was lost, the server may just be starting again.
        Err(Lost::Unreached(_)) => (attempt > 1).then_some(usual),
        Err(Lost::Unanswered(error)) => (request.repeatable() && !error.is_timeout()).then_some(usual),
    }
}

async fn once(http: &reqwest::Client, target: &Target, request: &Request) -> Result<Answer, Lost> {
    let lost = |error: reqwest::Error| {
        if error.is_connect() || error.is_builder() {
            Lost::Unreached(error)
        } else {
            Lost::Unanswered(error)
        }
    };
    let mut response = built(http, target, request).send().await.map_err(lost)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Lost::Unanswered)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST {
            return Err(Lost::Unreadable);
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Lost::Unreadable)?;
    Ok(Answer::new(response.status(), std::mem::take(response.headers_mut()), text))
}

fn built(http: &reqwest::Client, target: &Target, request: &Request) -> reqwest::RequestBuilder {
    let mut url = target.at(&request.path);
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(request.query.iter().map(|(name, value)| (name, value)));
    }
    let mut built = http.request(request.method.clone(), url).header(AUTHORIZATION, bearer(target));
    if let Some(key) = &request.idempotency_key {
        built = built.header("idempotency-key", key);
    }
    if let Some(tag) = &request.if_match {
        built = built.header(IF_MATCH, tag);
    }
    match &request.body {
        Some(body) => built.header(CONTENT_TYPE, "application/json").body(body.clone()),
        None => built,
    }
}

/// Marked as sensitive, so that no debugging aid of the HTTP library shows it.
fn bearer(target: &Target) -> HeaderValue {
    let text = format!("Bearer {}", target.token.reveal());
    // A token has letters, digits and an underscore only.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

impl Lost {
    fn into_failure(self, target: &Target, request: &Request, perhaps_done: bool) -> Failure {
        let failure = match self {
            Self::Unreached(error) => unreached(&error, target),
            Self::Unanswered(error) => {
                Failure::new(format!("{} gave no answer: {}", target.shown(), innermost(&error)))
            }
            Self::Unreadable => {
                Failure::new(format!("{} answered in a way that can't be read", target.shown()))
                    .hint("check the URL; it may not be a Strongroom server")
            }
        };
        match &request.idempotency_key {
            _ if !perhaps_done => failure,
            Some(key) => failure.hint(repeat_as(key)),
            None if request.repeatable() => failure.hint_if_none("try again"),
            None => failure.hint("it may have been done all the same; look before you repeat it"),
        }
    }
}

/// How a change is made for certain that may have been made already.
pub(super) fn repeat_as(key: &str) -> String {
    format!(
        "it may have been done all the same; repeat the command with `--idempotency-key {key}`, and it will not be done twice"
    )
}

fn unreached(error: &reqwest::Error, target: &Target) -> Failure {
    let cause = innermost(error);
    let failure = Failure::new(format!("{} can't be reached: {cause}", target.shown()));
    let https = target.url.scheme() == "https";
    failure.hint(match () {
        () if https && cause.contains("certificate") => {
            "if the server's certificate is of your own authority, name that authority's file with SSL_CERT_FILE"
        }
        () if https && cause.contains("corrupt message") => {
            "what listens there doesn't speak TLS: give the URL with the port that does"
        }
        () => {
            "check the URL (--url, STRONGROOM_URL, or the profile's) and that a server runs there; `strongroom dev` starts one on this machine"
        }
    })
}
