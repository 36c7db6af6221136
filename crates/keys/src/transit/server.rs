//! Speaks to a Vault or OpenBao: signs in, asks, and sorts its refusals. Follows no
//! redirect, and repeats none of the server's words.

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use zeroize::Zeroizing;

use super::Key;
use crate::keeper::{Keeper, UNOPENED};
use crate::remote::{KeeperError, Remote, RemoteError, Trouble};

/// More than any answer here has.
const MOST: usize = 64 * 1024;

/// Who the server is to take this one for.
pub(super) enum Credential {
    /// Who has this token.
    Token(SecretString),
    /// The application of this role, with this secret id.
    AppRole(String, SecretString),
}

/// A server and how to sign in there.
pub(super) struct Server {
    http: Client,
    url: Url,
    credential: Credential,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Serialize)]
struct Login<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Deserialize)]
struct SignedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: SecretString,
}

#[derive(Default, Deserialize)]
struct Errors {
    errors: Vec<String>,
}

impl Server {
    /// Gets ready to speak to it.
    ///
    /// # Errors
    /// When the file of authorities can't be used.
    pub(super) fn new(
        url: Url,
        namespace: Option<&str>,
        credential: Credential,
        ca_file: Option<&Path>,
    ) -> Result<Self, RemoteError> {
        let misnamed = |reason: String| RemoteError::Misnamed { provider: Remote::TRANSIT, reason };
        let mut headers = HeaderMap::new();
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let Some(namespace) = namespace {
            let name = HeaderValue::from_str(namespace)
                .map_err(|_| misnamed("--transit-namespace is no namespace; give its path".to_owned()))?;
            headers.insert("x-vault-namespace", name);
        }
        let authorities = ca_file.map(authorities).transpose().map_err(misnamed)?;
        let http = client(&url, headers, authorities)
            .map_err(|_| misnamed("TLS finds no certificates to trust; install the system's (ca-certificates), or name a file of them with --transit-ca-file".to_owned()))?;
        Ok(Self { http, url, credential })
    }

    /// Reads what is at a path.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        key: &Key,
        path: &[String],
    ) -> Result<T, KeeperError> {
        let request = self.signed_in(key, Method::GET, path).await?;
        Ok(self.answer::<Answer<T>>(key, request).await?.data)
    }

    /// Sends something to a path, and reads what comes of it.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        key: &Key,
        path: &[String],
        body: &impl Serialize,
    ) -> Result<T, KeeperError> {
        let request = self.signed_in(key, Method::POST, path).await?.json(body);
        Ok(self.answer::<Answer<T>>(key, request).await?.data)
    }

    async fn signed_in(
        &self,
        key: &Key,
        method: Method,
        path: &[String],
    ) -> Result<RequestBuilder, KeeperError> {
        let request = self.request(method, path);
        match &self.credential {
            Credential::Token(token) => with_token(key, request, token),
            Credential::AppRole(role_id, secret_id) => {
                let path = ["auth", "approle", "login"].map(str::to_owned);
                #[expect(clippy::disallowed_methods, reason = "it goes to the server that it is for")]
                let login = Login { role_id, secret_id: secret_id.expose_secret() };
                let login = self.request(Method::POST, &path).json(&login);
                let signed_in: SignedIn =
                    self.answer(key, login).await.map_err(|error| not_let_in(key, error))?;
                with_token(key, request, &signed_in.auth.client_token)
            }
        }
    }

    fn request(&self, method: Method, path: &[String]) -> RequestBuilder {
        let mut url = self.url.clone();
        // An address with a host has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        self.http.request(method, url)
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        key: &Key,
        request: RequestBuilder,
    ) -> Result<T, KeeperError> {
        let away = |error: reqwest::Error| away(key, &error);
        let mut answer = request.send().await.map_err(away)?;
        let mut body = Zeroizing::new(Vec::with_capacity(MOST));
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > MOST {
                return Err(key.stranger());
            }
            body.extend_from_slice(&chunk);
        }
        if answer.status().is_success() {
            return serde_json::from_slice(&body).map_err(|_| key.stranger());
        }
        Err(refused(key, answer.status(), &serde_json::from_slice::<Errors>(&body).unwrap_or_default()))
    }
}

/// Why nothing came back.
fn away(key: &Key, error: &reqwest::Error) -> KeeperError {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    // The words of our own TLS.
    if cause.to_string().contains("peer certificate") {
        return key.subject.has(
            Trouble::Unreachable,
            "the server's certificate isn't trusted",
            "name its authority with --transit-ca-file, and the server as its certificate does with --transit-url",
        );
    }
    let detail = if error.is_connect() { "no connection" } else { "no answer" };
    key.subject.has(Trouble::Unreachable, detail, key.when_away())
}

fn with_token(
    key: &Key,
    request: RequestBuilder,
    token: &SecretString,
) -> Result<RequestBuilder, KeeperError> {
    #[expect(clippy::disallowed_methods, reason = "it goes to the server that it is for")]
    let header = HeaderValue::from_str(token.expose_secret());
    let mut header = header.map_err(|_| {
        key.subject.has(
            Trouble::Denied,
            "the token has letters that no token has",
            "put a token alone into its file",
        )
    })?;
    header.set_sensitive(true);
    Ok(request.header("x-vault-token", header))
}

/// A refusal to sign in, which isn't about the key.
fn not_let_in(key: &Key, error: KeeperError) -> KeeperError {
    match error.trouble {
        Trouble::Unreachable | Trouble::Locked => error,
        _ => key.subject.has(
            Trouble::Denied,
            "the server doesn't let the application in",
            "give it a new secret id with --transit-secret-id-file, and look at --transit-role-id",
        ),
    }
}

/// What a refusal means.
fn refused(key: &Key, status: StatusCode, errors: &Errors) -> KeeperError {
    let says = |words: &str| errors.errors.iter().any(|error| error.contains(words));
    let status = status.as_u16();
    let (trouble, remedy) = match status {
        403 => (
            Trouble::Denied,
            "renew the token, and allow it `update` on encrypt/ and decrypt/ of the key, and `read` on keys/ for `init`".to_owned(),
        ),
        _ if says("encryption key not found") => (Trouble::MissingKey, missing(key)),
        404 => (Trouble::MissingKey, missing(key)),
        503 if says("sealed") => (Trouble::Locked, "unseal the server, then start again".to_owned()),
        400 if says("message authentication failed") || says("invalid ciphertext") || says("too old") => {
            let remedy = "name the server and mount that have the instance's own key, or restore a backup";
            return key.subject.has(Trouble::WrongKey, UNOPENED, remedy);
        }
        400 => (Trouble::Unsuitable, "name a key of the type aes256-gcm96".to_owned()),
        300..400 => (Trouble::Unreachable, "name the server that answers by itself with --transit-url".to_owned()),
        _ => (Trouble::Unreachable, key.when_away()),
    };
    key.subject.has(trouble, format!("the server answers {status}"), remedy)
}

fn missing(key: &Key) -> String {
    format!(
        "look at --transit-mount (`{}`), --transit-namespace and --transit-key, or restore the key from its backup",
        key.mount
    )
}

/// The certificates in a file.
fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let unusable =
        || format!("{} holds no certificates; name a file in PEM with --transit-ca-file", path.display());
    let pem = std::fs::read(path)
        .map_err(|_| format!("{} can't be read; name another file with --transit-ca-file", path.display()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|_| unusable())?;
    if found.is_empty() { Err(unusable()) } else { Ok(found) }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one client of this keeper: no redirects, and plain HTTP never through a proxy"
)]
fn client(url: &Url, headers: HeaderMap, authorities: Option<Vec<Certificate>>) -> reqwest::Result<Client> {
    let port = url.port_or_known_default().unwrap_or(0);
    let loopback =
        [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
    let builder = Client::builder()
        .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(Policy::none())
        // Whatever the name servers say: plain HTTP is allowed to it.
        .resolve_to_addrs("localhost", &loopback);
    match (url.scheme(), authorities) {
        ("http", _) => builder.no_proxy().tls_certs_only([]).build(),
        (_, Some(authorities)) => builder.tls_certs_only(authorities).build(),
        (_, None) => builder.build(),
    }
}
