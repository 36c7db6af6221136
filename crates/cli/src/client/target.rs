//! Which server a command speaks to, and with whose key. The command line wins
//! over the variables, the variables over the profile; a profile's key goes to
//! the profile's server only, and over plain HTTP to nobody else's machine.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use strongroom_core::tokens::{Token, TokenKind};
use uuid::Uuid;

use crate::cli::client::Server;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::profiles::{Profile, ProfileName, Profiles};

/// Where `strongroom dev` and `strongroom serve` listen unless told otherwise.
const USUAL: &str = "http://127.0.0.1:8700";

/// A server and a token for it.
pub(crate) struct Target {
    /// Its URL.
    pub(super) url: Url,
    /// An API key, or a link.
    pub(super) token: Token,
    /// The team of the key, where it is known.
    pub(super) team: Option<Uuid>,
    /// Where the token is from, to complete "…, and was not taken".
    pub(super) provenance: String,
}

impl Target {
    /// What the command line, the variables and the profiles say.
    ///
    /// # Errors
    /// When there is no key, or it must not be sent there.
    pub(crate) fn choose(server: &Server, environment: &Environment) -> Result<Self, Failure> {
        let name = ProfileName::choose(server.profile.as_ref(), environment)?;
        // A profile named by an option wins over the variables, as options do.
        let explicit = server.profile.is_some();
        let variable = |text: &Option<String>| text.clone().filter(|_| !explicit);
        let url = server.url.clone().or_else(|| variable(&environment.url));
        let api_key = environment.api_key.as_ref().filter(|_| !explicit);
        match (api_key, url) {
            (Some(key), Some(url)) => Self::by_variable(key, &url, server.insecure_http),
            (Some(key), None) => {
                let profile = profiles_if_any(environment)?.and_then(|profiles| profiles.take(&name));
                let url = profile.as_ref().map_or(USUAL, |profile| &profile.url);
                let lax = profile.as_ref().is_some_and(|profile| profile.insecure_http);
                Self::by_variable(key, url, server.insecure_http || lax)
            }
            (None, url) => Self::by_profile(&name, url.as_deref(), server.insecure_http, environment),
        }
    }

    /// With a token that was read from somewhere else.
    ///
    /// # Errors
    /// When the token must not be sent there.
    pub(crate) fn with_token(
        server: &Server,
        environment: &Environment,
        token: Token,
    ) -> Result<Self, Failure> {
        let name = ProfileName::choose(server.profile.as_ref(), environment)?;
        let profiles = profiles_if_any(environment)?;
        let known =
            profiles.as_ref().and_then(|profiles| profiles.find(&name)).map(|profile| profile.url.as_str());
        let named = server.url.as_deref().or(environment.url.as_deref()).or(known);
        let url = url(named.unwrap_or(USUAL), server.insecure_http)?;
        Ok(Self { url, token, team: None, provenance: "the key came from the command's input".to_owned() })
    }

    fn by_variable(key: &SecretString, text: &str, insecure_http: bool) -> Result<Self, Failure> {
        let token =
            api_key(key).map_err(|failure| failure.hint("set STRONGROOM_API_KEY to the whole key"))?;
        let url = url(text, insecure_http)?;
        Ok(Self { url, token, team: None, provenance: "the key came from STRONGROOM_API_KEY".to_owned() })
    }

    fn by_profile(
        name: &ProfileName,
        wanted: Option<&str>,
        insecure_http: bool,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let profiles = profiles_if_any(environment)?;
        let names = profiles.as_ref().map(|profiles| profiles.names().join(", ")).unwrap_or_default();
        let Some(profile) = profiles.and_then(|profiles| profiles.take(name)) else {
            return Err(nobody(name, &names));
        };
        let Profile { url: own, api_key, team_id, insecure_http: lax } = profile;
        let own = url(&own, insecure_http || lax)?;
        if let Some(wanted) = wanted
            && url(wanted, true)? != own
        {
            return Err(elsewhere(name, &own));
        }
        let provenance = format!("the key came from the profile `{name}`");
        Ok(Self { url: own, token: api_key, team: team_id, provenance })
    }

    /// The server's URL as people are shown it.
    pub(crate) fn shown(&self) -> &str {
        shown(&self.url)
    }

    /// The URL of a path of the API.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url
    }
}

/// A URL without the slash that it may end with.
fn shown(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// An API key that somebody gave.
///
/// # Errors
/// When it can't be one; found without asking a server.
#[expect(clippy::disallowed_methods, reason = "the key is checked before it is sent")]
fn api_key(text: &SecretString) -> Result<Token, Failure> {
    token(TokenKind::ApiKey, text.expose_secret())
}

/// A token of some kind that somebody gave.
///
/// # Errors
/// When it can't be one; the message never quotes it.
pub(crate) fn token(kind: TokenKind, text: &str) -> Result<Token, Failure> {
    let what = if kind == TokenKind::ApiKey { "an API key" } else { "a link" };
    Token::parse(kind, text.trim()).map_err(|_| {
        let words = format!("what was given is not {what}: one starts with {}, and its last characters prove that none is missing or wrong", kind.prefix());
        Failure::new(words).hint("copy it again, whole").exit(Exit::NotAuthenticated)
    })
}

/// The profiles, or none where there is no home to keep them in.
fn profiles_if_any(environment: &Environment) -> Result<Option<Profiles>, Failure> {
    environment.config_home.as_ref().map(|_| Profiles::read(environment)).transpose()
}

fn nobody(name: &ProfileName, names: &str) -> Failure {
    let known = if names.is_empty() { String::new() } else { format!(" (there are: {names})") };
    Failure::new(format!(
        "there is no API key: STRONGROOM_API_KEY is not set, and there is no profile `{name}`{known}"
    ))
    .hint("log in with `strongroom login --url URL`, or set STRONGROOM_URL and STRONGROOM_API_KEY")
    .exit(Exit::NotAuthenticated)
}

fn elsewhere(name: &ProfileName, own: &Url) -> Failure {
    let own = shown(own);
    Failure::new(format!("the key of the profile `{name}` is for {own}, so it isn't sent to another server"))
        .hint("log in there under another name (`strongroom login --url URL --profile NAME`), or set STRONGROOM_API_KEY")
}

/// A server's URL, if a key may be sent to it.
fn url(text: &str, insecure_http: bool) -> Result<Url, Failure> {
    let wrong = |why: &str| {
        Failure::new(format!("the server's URL {why}")).hint("give one such as https://strongroom.example")
    };
    let url = Url::parse(text).map_err(|_| wrong("can't be understood"))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(wrong("must begin with https:// (or http:// for this machine)"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must hold no user name and no password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must end with its path, without ? and #"));
    }
    if url.scheme() == "http" && !insecure_http && !loopback(&url) {
        return Err(Failure::new(format!(
            "{} is another machine, and without TLS whoever sees the traffic can use the key",
            shown(&url)
        ))
        .hint("use an https:// URL; or, on a network that you trust wholly, add --insecure-http"));
    }
    Ok(url)
}

/// Whether a URL is this machine's own.
pub(crate) fn loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_over_plain_http_to_this_machine_only() {
        for good in [
            "https://a.example",
            "https://a.example/sub/",
            "http://127.0.0.1:8700",
            "http://[::1]:1",
            "http://localhost:8700",
            "http://127.8.0.1",
        ] {
            assert!(url(good, false).is_ok(), "{good}");
        }
        for open in [
            "http://a.example",
            "http://10.0.0.1",
            "http://localhost.a.example",
            "http://127.0.0.1.a.example",
            "http://0.0.0.0",
            "http://[::ffff:10.0.0.1]",
        ] {
            assert!(url(open, false).is_err(), "{open}");
            assert!(url(open, true).is_ok(), "{open}");
        }
        for bad in [
            "",
            "a.example",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/?x=1",
            "https://a.example/#x",
            "file:///etc/passwd",
        ] {
            assert!(url(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_follow_the_servers_own() {
        let token = Token::mint(TokenKind::ApiKey, Uuid::nil(), &strongroom_core::OsRandom);
        for (base, whole) in [
            ("https://a.example", "https://a.example/v2/profile"),
            ("https://a.example/", "https://a.example/v2/profile"),
            ("https://a.example/sub/", "https://a.example/sub/v2/profile"),
        ] {
            let target = Target {
                url: url(base, false).unwrap_or_else(|f| panic!("{f:?}")),
                token: Token::parse(TokenKind::ApiKey, token.reveal()).unwrap(),
                team: None,
                provenance: String::new(),
            };
            assert_eq!(target.at("/v2/profile").as_str(), whole);
        }
    }
}
