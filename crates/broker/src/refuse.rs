//! What the broker refuses, and how it says so: a status, a stable name, and what a person can
//! do about it. An answer names the place that was asked for and nothing else of what was sent.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{Response, StatusCode};
use strongroom_core::policies::Scheme;

use crate::target::Target;

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No token, or none that proves a run.
    NotProven,
    /// The run is over.
    RunOver,
    /// It can't be read as a request; which part of it.
    Malformed(&'static str),
    /// A request to a server came to the proxy.
    NotForAProxy,
    /// The host is an address, or something else that no rule can name.
    NotAName,
    /// Tunnel, host header and certificate don't name the same.
    Mismatch,
    /// A kind of request that none may send through here.
    Unsupported(&'static str),
    /// No secret of the run has a rule for the host.
    NoRule(Target),
    /// There are rules for the host, and none covers the method and path.
    NotCovered(Target, String),
    /// A placeholder stands where no rule puts its value.
    Misplaced(Option<String>),
    /// A placeholder of another run, or of a value that the run has no more.
    OfAnotherRun,
    /// A credential that isn't one of the run's.
    Foreign(Target, &'static str),
    /// Such a credential, in a body where a rule puts a value.
    ForeignInBody,
    /// The value can't stand there.
    Unfit(String),
    /// A body in which a value is to be put is too large, or isn't what its type says.
    Body(&'static str),
    /// The run has had as much as it may.
    Limit(&'static str),
    /// The host's addresses are none that the rule allows.
    OutOfReach(Target),
    /// The host doesn't answer, or isn't who it should be.
    Upstream(&'static str),
    /// What came back can't be looked through.
    Unreadable,
    /// Something of ours isn't there: what happens couldn't be recorded.
    Unavailable,
}

impl Refusal {
    /// A placeholder in a stream, where it isn't told which.
    pub(crate) const MISPLACED_IN_BODY: Self = Self::Misplaced(None);
    /// No connection to the host was there in time.
    pub(crate) const LATE: Self = Self::Upstream(
        "no connection to it could be made within 10 seconds; try again, and see whether the service is up and \
         its host and port are right",
    );
    pub(crate) const MALFORMED_TARGET: Self = Self::Malformed("the request target");

    /// The stable name.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::NotProven => "invalid_token",
            Self::RunOver => "run_over",
            Self::Malformed(_) => "invalid_request",
            Self::NotForAProxy => "not_for_a_proxy",
            Self::NotAName => "address_refused",
            Self::Mismatch => "host_mismatch",
            Self::Unsupported(_) => "unsupported",
            Self::NoRule(_) => "no_rule",
            Self::NotCovered(..) => "not_covered",
            Self::Misplaced(_) => "placeholder_misplaced",
            Self::OfAnotherRun => "placeholder_of_another_run",
            Self::Foreign(..) | Self::ForeignInBody => "foreign_credential",
            Self::Unfit(_) => "value_unfit",
            Self::Body(_) => "body_refused",
            Self::Limit(_) => "run_limit",
            Self::OutOfReach(_) => "out_of_reach",
            Self::Upstream(_) => "upstream_failed",
            Self::Unreadable => "answer_unreadable",
            Self::Unavailable => "unavailable",
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::NotProven | Self::RunOver => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::Malformed(_) | Self::NotForAProxy => StatusCode::BAD_REQUEST,
            Self::Mismatch => StatusCode::MISDIRECTED_REQUEST,
            Self::Unsupported(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Limit(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Upstream(_) | Self::Unreadable => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotAName
            | Self::NoRule(_)
            | Self::NotCovered(..)
            | Self::Misplaced(_)
            | Self::OfAnotherRun
            | Self::Foreign(..)
            | Self::ForeignInBody
            | Self::Unfit(_)
            | Self::OutOfReach(_) => StatusCode::FORBIDDEN,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::NotProven => {
                "this proxy serves brokered runs: start the program with `strongroom run --broker`, \
                 which gives it the token"
                    .to_owned()
            }
            Self::RunOver => {
                "this run is over: stopped, revoked, or its lease has ended; start a new one".to_owned()
            }
            Self::Malformed(what) => format!("{what} can't be read"),
            Self::NotForAProxy => {
                "this is a proxy: ask for https with CONNECT, and for http with the whole URL".to_owned()
            }
            Self::NotAName => "hosts are asked for by their names here, never by an address".to_owned(),
            Self::Mismatch => "the request names another host than its tunnel was opened for".to_owned(),
            Self::Unsupported(what) => format!("{what} can't go through the broker"),
            Self::NoRule(target) => {
                format!("no secret of this run may be used at {}; {}", origin(target), REMEDY)
            }
            Self::NotCovered(target, method) => format!(
                "no rule of this run's secrets covers {} of this path at {}; {}",
                if is_a_word(method) { method } else { "this method" },
                origin(target),
                REMEDY
            ),
            Self::Misplaced(key) => format!(
                "{} stands where no rule for this host puts its value; a rule says in which header, query \
                 parameter, form field or JSON member it goes: {REMEDY}",
                key.as_ref()
                    .map_or_else(|| "a placeholder".to_owned(), |key| format!("the placeholder of {key}"))
            ),
            Self::OfAnotherRun => {
                "a placeholder stands in this request that is worth nothing here: it is another run's, or \
                 of a value that this run has no more; use the environment of this run"
                    .to_owned()
            }
            Self::Foreign(target, place) => format!(
                "a credential that is none of this run's stands in {place}; at {} only values of the run's secrets \
                 may, unless a rule says `allow_foreign`: {}",
                origin(target),
                REMEDY
            ),
            Self::ForeignInBody => format!(
                "a credential that is none of this run's stands in the body where a rule puts a value; only values of the \
                 run's secrets may, unless the rule says `allow_foreign`: {REMEDY}"
            ),
            Self::Unfit(key) => format!(
                "the value of {key} can't stand in that place: it has a line break, or another character that \
                 may not be there; whoever may edit the secret looks whether it was pasted whole"
            ),
            Self::Body(what) => (*what).to_owned(),
            Self::Limit(what) => format!(
                "this run has reached its limit of {what}; start a new one, or ask for a higher limit"
            ),
            Self::OutOfReach(target) => format!(
                "{} has no public address, and the rule for it doesn't say `allow_private`",
                origin(target)
            ),
            Self::Upstream(what) => format!("the host didn't answer: {what}"),
            Self::Unreadable => {
                "the answer is in an encoding that can't be looked through for values, so it was held back; \
                 ask for another with `accept-encoding: gzip`"
                    .to_owned()
            }
            Self::Unavailable => {
                "it can't be recorded at the moment what happens here, so nothing goes through; \
                 try again in a moment"
                    .to_owned()
            }
        }
    }

    /// The answer.
    pub(crate) fn answer(&self) -> Response<Bytes> {
        let words = serde_json::json!({"error": self.name(), "message": self.message()});
        let mut answer = Response::new(Bytes::from(format!("{words}\n")));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::NotProven | Self::RunOver => {
                headers.insert(
                    PROXY_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"Strongroom broker\""),
                );
            }
            Self::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        answer
    }
}

/// How a person adds what is missing.
const REMEDY: &str = "whoever may edit the secret changes its policy on its page, or with \
    `strongroom secrets set-policy ID --file FILE`";

/// Whether a method is one as there are some, and no token that somebody put there.
fn is_a_word(method: &str) -> bool {
    method.len() <= 16 && method.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn origin(target: &Target) -> String {
    let scheme = match target.scheme {
        Scheme::Https => "https",
        Scheme::Http => "http",
    };
    format!("{scheme}://{}", target.authority())
}
