//! Speaks to a server: finds out which and as whom, sends requests, repeats
//! them where that is safe, and turns refusals into words. It never follows a
//! redirect, and never sends a key where it doesn't belong.

mod answer;
mod endpoint;
mod request;
mod retry;
mod target;

pub(crate) use answer::{Answer, strange};
pub(crate) use endpoint::Endpoint;
pub(crate) use request::Request;
pub(crate) use target::{Target, loopback, token};

use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use strongroom_core::tokens::Token;
use uuid::Uuid;

use crate::cli::client::{Common, Server};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;

/// To reach a server.
const CONNECT: Duration = Duration::from_secs(10);
/// For one request and its answer; 2 MiB over a slow line fit.
const WHOLE: Duration = Duration::from_mins(1);

/// A server, and how answers of it are shown.
pub(crate) struct Client {
    http: reqwest::Client,
    target: Target,
    team: Option<Uuid>,
    json: bool,
}

/// What `GET /v2/profile` answers.
#[derive(Deserialize)]
pub(crate) struct Whoami {
    /// Who the key acts as.
    pub(crate) profile: Who,
}

/// Who a key acts as.
#[derive(Deserialize)]
pub(crate) struct Who {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    #[serde(rename = "teamId")]
    pub(crate) team_id: Uuid,
}

impl Client {
    /// Gets ready to speak to the server that the command line, the variables
    /// or a profile name.
    ///
    /// # Errors
    /// When none is named, there is no key for it, or the key would be seen by
    /// others on its way.
    pub(crate) fn open(common: &Common) -> Result<Self, Failure> {
        Ok(Self { json: common.json, ..Self::open_in(common.team, &common.server)? })
    }

    /// The same, to show nothing of what is answered.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_in(team: Option<Uuid>, server: &Server) -> Result<Self, Failure> {
        let client = Self::to(Target::choose(server, &Environment::read()?)?, false)?;
        Ok(Self { team: team.or(client.team), ..client })
    }

    /// The same server over the same connections, with another token.
    pub(crate) fn with_token(&self, token: Token, provenance: &str) -> Self {
        let target =
            Target { url: self.target.url.clone(), token, team: None, provenance: provenance.to_owned() };
        Self { http: self.http.clone(), target, team: None, json: false }
    }

    /// Gets ready to speak to a server that was chosen.
    ///
    /// # Errors
    /// When the system has no certificates to trust.
    pub(crate) fn to(target: Target, json: bool) -> Result<Self, Failure> {
        let http = http(&target.url)?;
        Ok(Self { http, team: target.team, target, json })
    }

    /// The URL of the server that it speaks to.
    pub(crate) fn url(&self) -> &str {
        self.target.shown()
    }

    /// The token that it speaks with, when it has said all.
    pub(crate) fn into_token(self) -> Token {
        self.target.token
    }

    /// Who the key acts as.
    ///
    /// # Errors
    /// When the server doesn't take the key.
    pub(crate) async fn whoami(&self) -> Result<Who, Failure> {
        Ok(self.send(Request::get("/v2/profile")).await?.read::<Whoami>()?.profile)
    }

    /// The team that was named, or the key's own.
    ///
    /// # Errors
    /// When the server doesn't take the key.
    pub(crate) async fn team(&self) -> Result<Uuid, Failure> {
        match self.team {
            Some(team) => Ok(team),
            None => Ok(self.whoami().await?.team_id),
        }
    }

    /// The path of something that the team has.
    ///
    /// # Errors
    /// When the server doesn't take the key.
    pub(crate) async fn in_team(&self, what: &str) -> Result<String, Failure> {
        Ok(format!("/v2/teams/{}/{what}", self.team().await?))
    }

    /// The server's answer to a request that it granted.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let answer = retry::send(&self.http, &self.target, &request).await?;
        if answer.granted() {
            return Ok(answer);
        }
        Err(answer.refusal(&self.target, self.json))
    }

    /// Shows an answer: as it is for a program, in words for a person.
    ///
    /// # Errors
    /// When it can't be understood or written.
    pub(crate) fn show<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        words: impl FnOnce(T) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { answer.raw()?.to_owned() } else { words(answer.read()?) };
        Ok(output::whole(&text)?)
    }

    /// Shows what is shown only once: all of it to a program, the secret part
    /// alone to a pipe or a person, who reads the rest on standard error.
    ///
    /// # Errors
    /// When nobody could read it.
    pub(crate) fn show_once(&self, answer: &Answer, once: &str, words: &str) -> Result<(), Failure> {
        output::complain(words);
        output::line(if self.json { answer.raw()? } else { once }).map_err(|error| {
            Failure::because("what is shown only once could not be shown", &error)
                .hint("revoke it, and run the command again with standard output open")
        })
    }

    /// Whether the output is for a program.
    pub(crate) fn json(&self) -> bool {
        self.json
    }
}

/// What went wrong below the layers of the HTTP library, each of which names
/// itself.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let words = cause.to_string();
    printable(words.split_once(" (os error").map_or(words.as_str(), |(words, _)| words))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one client: no redirects, and keys go where they belong only"
)]
fn http(url: &reqwest::Url) -> Result<reqwest::Client, Failure> {
    let port = url.port_or_known_default().unwrap_or(0);
    let loopback =
        [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        // Whatever the name servers say: plain HTTP is allowed to it.
        .resolve_to_addrs("localhost", &loopback);
    if url.scheme() == "http" {
        // A proxy would be one more that reads the key. Certificates have no part
        // in it, and the system may have none.
        builder = builder.no_proxy().tls_certs_only([]);
    }
    builder.build().map_err(|error| {
        Failure::new(format!("no connection can be made ready: {}", innermost(&error)))
            .hint("TLS needs the system's certificates: install them (ca-certificates), or name a file of them with SSL_CERT_FILE")
    })
}
