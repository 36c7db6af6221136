//! The server's side of a run: started, asked for its environment, renewed
//! while the command runs, stopped when it has ended. A host that is cut off
//! does nothing, and the lease ends by itself.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{EnvKey, Timestamp};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::broker::Terms;
use super::environment::Values;
use super::events::{Event, Teller};
use crate::client::{Client, Request};
use crate::failure::Failure;

/// After a renewal that failed, twice as long after each further one; and the
/// least between two that didn't, for a server that gives no more time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The command has ended: whoever waits for it isn't kept waiting for long.
const STOPPING: Duration = Duration::from_secs(3);

/// What is to be run, on the wire.
#[derive(Serialize)]
pub(super) struct Wanted<'a> {
    pub(super) agent_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build_id: Option<Uuid>,
    pub(super) mode: &'static str,
    pub(super) ttl_seconds: u32,
    pub(super) strict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<&'a str>,
}

#[derive(Deserialize)]
struct Started {
    run: Run,
    token: String,
    expires_at: String,
    #[serde(default)]
    broker_token: Option<String>,
    #[serde(default)]
    broker_url: Option<String>,
    #[serde(default)]
    broker_ca: Option<String>,
}

#[derive(Deserialize)]
struct Run {
    started_at: String,
}

#[derive(Deserialize)]
struct Extended {
    expires_at: String,
}

#[derive(Deserialize)]
struct Environment {
    environment: BTreeMap<String, String>,
}

/// A run that was started.
pub(super) struct Lease {
    client: Client,
    seconds: u32,
    end: End,
    broker: Option<Terms>,
}

impl Lease {
    /// Starts a run. When the answer is lost another one is started: nobody has
    /// the first one's token, and it expires.
    ///
    /// # Errors
    /// When the server refuses or can't be reached.
    pub(super) async fn start(client: &Client, team: Uuid, wanted: &Wanted<'_>) -> Result<Self, Failure> {
        let request = Request::post(format!("/v2/teams/{team}/runs")).harmless().body(wanted)?;
        let answer = client.send(request).await?;
        let started: Started = answer.read()?;
        let token = Token::parse(TokenKind::Run, &started.token).map_err(|_| strange("token"))?;
        let end = End::first(moment(&started.run.started_at)?, moment(&started.expires_at)?);
        let client = client.with_token(token, "the run's token came from the server");
        let Started { broker_token, broker_url, broker_ca, .. } = started;
        let broker = broker_token.zip(broker_url).zip(broker_ca);
        let broker = broker.map(|((token, url), ca)| Terms { token, url, ca });
        Ok(Self { client, seconds: wanted.ttl_seconds, end, broker })
    }

    /// What the server said of its broker, for a run that has one.
    ///
    /// # Errors
    /// When it said nothing of it.
    pub(super) fn broker(&self) -> Result<&Terms, Failure> {
        self.broker.as_ref().ok_or_else(|| {
            Failure::new("the server started a run without a broker, so it is older than this program")
                .hint("bring the server up to date, or run without --broker: the command has the values then")
        })
    }

    /// The run's values.
    ///
    /// # Errors
    /// When the server refuses or can't be reached.
    pub(super) async fn environment(&self) -> Result<Values, Failure> {
        let Environment { environment } =
            self.client.send(Request::get("/v2/run/environment")).await?.read()?;
        let variable = |(name, value): (String, String)| {
            let name = EnvKey::parse(name).ok().filter(|_| !value.contains('\0'));
            name.map(|name| (name, SecretString::from(value))).ok_or_else(|| strange("environment"))
        };
        environment.into_iter().map(variable).collect()
    }

    /// Renews the lease, each time when a third of it is over, and tells what
    /// comes in between.
    pub(super) async fn keep(&self, teller: &Teller) -> Infallible {
        let (mut end, mut pause, mut warned) = (self.end, FIRST_PAUSE, false);
        sleep(end.third()).await;
        loop {
            match self.extend().await {
                Ok(expires) => {
                    end = end.moved(expires);
                    (pause, warned) = (FIRST_PAUSE, false);
                    sleep(end.third()).await;
                }
                Err(failure) => {
                    if let Some(event) = ended(&failure) {
                        let _unheard = teller.send(event);
                        std::future::pending::<Infallible>().await;
                    }
                    if end.is_near() && !warned {
                        let _unheard = teller.send(Event::Note(end.warning(&failure)));
                        warned = true;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn extend(&self) -> Result<Timestamp, Failure> {
        let body = serde_json::json!({"ttl_seconds": self.seconds});
        let answer = self.client.send(Request::post("/v2/run/extend").harmless().body(&body)?).await?;
        moment(&answer.read::<Extended>()?.expires_at)
    }

    /// Stops the run, unless that takes too long or it has ended already.
    ///
    /// # Errors
    /// When it goes on until its lease ends.
    pub(super) async fn stop(&self) -> Result<(), Failure> {
        let stopping = self.client.send(Request::post("/v2/run/stop").harmless());
        match timeout(STOPPING, stopping).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(failure)) if ended(&failure).is_some() => Ok(()),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new("the server takes too long to answer")),
        }
    }
}

/// What a refusal says about the end of the run, if that is what it is about.
fn ended(failure: &Failure) -> Option<Event> {
    let note = |words: &str| Some(Event::Note(format!("{words}; the command keeps the values that it has")));
    match () {
        () if failure.is("run_revoked") => Some(Event::Revoked),
        () if failure.is("run_stopped") => note("the run was stopped on the server"),
        () if failure.is("run_expired") => note("the run has expired, because it was not renewed in time"),
        () if failure.is("invalid_token") => note("the server doesn't know the run any more"),
        () => None,
    }
}

/// When the lease ends: by the server's clock, and by our own, which may tell
/// another time but runs as fast.
#[derive(Clone, Copy)]
struct End {
    expires: Timestamp,
    at: Instant,
    whole: Duration,
}

impl End {
    fn first(started: Timestamp, expires: Timestamp) -> Self {
        let whole = between(started, expires);
        Self { expires, at: Instant::now() + whole, whole }
    }

    fn moved(self, expires: Timestamp) -> Self {
        let at = self.at + between(self.expires, expires);
        Self { expires, at, whole: at.saturating_duration_since(Instant::now()) }
    }

    fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// A third of what is left.
    fn third(self) -> Duration {
        (self.left() / 3).max(FIRST_PAUSE)
    }

    /// Whether only a third of it is left.
    fn is_near(self) -> bool {
        self.left() <= self.whole / 3
    }

    fn warning(self, failure: &Failure) -> String {
        let seconds = self.left().as_secs();
        format!(
            "the run could not be renewed and expires in {seconds} seconds: {}; the command keeps the values that it has",
            failure.message()
        )
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    let millis = later.as_millis().saturating_sub(earlier.as_millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn moment(text: &str) -> Result<Timestamp, Failure> {
    Timestamp::parse(text).map_err(|_| strange("time"))
}

fn strange(what: &str) -> Failure {
    Failure::new(format!("the server gave no {what} that can be understood"))
        .hint("check that server and command line are of about the same version")
}
