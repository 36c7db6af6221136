//! The root key in the Transit engine of Vault or OpenBao. The master key crosses
//! the wire within TLS; the instance is bound to it as associated data. The
//! server's own words are never repeated: they could hold a token.

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use strongroom_core::ids::InstanceId;
use strongroom_core::root_key::{RootKey, context};
use zeroize::Zeroizing;

use self::server::{Credential, Server};
use crate::keeper::{
    Keeper, RemoteRootKey, Subject, credential, from_parameters, in_time, is_loopback, named, to_parameters,
};
use crate::remote::{KeeperError, Made, Remote, RemoteError, Transit, Trouble};

mod server;

const MOUNT: &str = "transit";

/// What the instance remembers. The address is remembered to be named when it is
/// missed; whom the token goes to is said by whoever starts the server.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    mount: String,
    key: String,
}

/// A key of an engine.
struct Key {
    server: Server,
    mount: String,
    name: String,
    subject: Subject,
}

/// What an engine says of a key.
#[derive(Deserialize)]
struct Described {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    allow_plaintext_backup: bool,
}

#[derive(Serialize)]
struct Plain {
    plaintext: Zeroizing<String>,
    associated_data: String,
}

#[derive(Deserialize, Serialize)]
struct Cipher {
    ciphertext: String,
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    associated_data: Option<String>,
}

#[derive(Deserialize)]
struct Opened {
    plaintext: Zeroizing<String>,
}

pub(crate) async fn create(options: &Transit) -> Result<Made, RemoteError> {
    let remedy = "give the server's address, such as https://bao.example.com:8200";
    let url = named(options.url.as_deref(), Remote::TRANSIT, "--transit-url", remedy)?;
    let remedy = "give the name of a key of the type aes256-gcm96";
    let name = named(options.key.as_deref(), Remote::TRANSIT, "--transit-key", remedy)?;
    let mount = options.mount.as_deref().unwrap_or(MOUNT);
    let key = Key::new(options, url, (options.namespace.as_deref(), mount, name))?;
    in_time(&key, key.must_suit()).await?;
    let parameters = to_parameters(&Remembered {
        url: url.to_owned(),
        namespace: options.namespace.clone(),
        mount: mount.to_owned(),
        key: name.to_owned(),
    })?;
    Ok(Made { key: Box::new(RemoteRootKey::new(key, name)), parameters, note: None })
}

pub(crate) fn open(options: &Transit, parameters: &str) -> Result<Box<dyn RootKey>, RemoteError> {
    let remembered: Remembered = from_parameters(parameters)?;
    let remedy = format!("the instance was made with {}", remembered.url);
    let url = named(options.url.as_deref(), Remote::TRANSIT, "--transit-url", remedy)?;
    let mount = options.mount.as_ref().unwrap_or(&remembered.mount);
    let namespace = options.namespace.as_ref().or(remembered.namespace.as_ref()).map(String::as_str);
    let name = options.key.as_ref().unwrap_or(&remembered.key);
    let key = Key::new(options, url, (namespace, mount, name))?;
    if *name != remembered.key {
        let detail = format!("the instance's is `{}`", remembered.key);
        return Err(key
            .subject
            .has(Trouble::WrongKey, detail, "leave --transit-key out, or name that")
            .into());
    }
    Ok(Box::new(RemoteRootKey::new(key, name)))
}

/// The address, if what goes there is read by nobody else.
fn checked(url: &str, insecure_http: bool) -> Result<Url, RemoteError> {
    let misnamed =
        |reason: &str| RemoteError::Misnamed { provider: Remote::TRANSIT, reason: reason.to_owned() };
    let parsed = Url::parse(url).ok().filter(Url::has_host);
    let parsed = parsed.ok_or_else(|| {
        misnamed("--transit-url is no address; give an address such as https://bao.example.com:8200")
    })?;
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
        return Err(misnamed(
            "--transit-url holds more than an address; put the token into a file of mode 0600",
        ));
    }
    match (parsed.scheme(), parsed.host_str()) {
        ("https", _) => Ok(parsed),
        ("http", Some(host)) if insecure_http || is_loopback(host) => Ok(parsed),
        ("http", _) => Err(misnamed(
            "plain HTTP to another machine would show the token and the master key; give an address with https, or insist with --transit-insecure-http",
        )),
        _ => Err(misnamed(
            "--transit-url begins with neither https:// nor http://; give an address such as https://bao.example.com:8200",
        )),
    }
}

/// Who the server is to take this one for.
fn who(options: &Transit) -> Result<Credential, RemoteError> {
    match (&options.token_file, &options.role_id, &options.secret_id_file) {
        (Some(file), None, None) => Ok(Credential::Token(credential(file)?)),
        (None, Some(role), Some(file)) => Ok(Credential::AppRole(role.clone(), credential(file)?)),
        (None, None, None) => Err(RemoteError::Unnamed {
            provider: Remote::TRANSIT,
            missing: "--transit-token-file",
            remedy: "name a file of mode 0600 with a token, or give --transit-role-id and --transit-secret-id-file".to_owned(),
        }),
        _ => Err(RemoteError::Misnamed {
            provider: Remote::TRANSIT,
            reason: "the server signs in with a token or as an application; give --transit-token-file alone, or --transit-role-id and --transit-secret-id-file".to_owned(),
        }),
    }
}

impl Key {
    fn new(
        options: &Transit,
        url: &str,
        (namespace, mount, name): (Option<&str>, &str, &str),
    ) -> Result<Self, RemoteError> {
        let url = checked(url, options.insecure_http)?;
        let subject = Subject(format!("the root key `{name}` of Transit at {url}"));
        let server = Server::new(url, namespace, who(options)?, options.ca_file.as_deref())?;
        Ok(Self { server, mount: mount.trim_matches('/').to_owned(), name: name.to_owned(), subject })
    }

    fn path(&self, what: &str) -> Vec<String> {
        self.mount.split('/').chain([what, &self.name]).map(str::to_owned).collect()
    }

    /// Refuses a key that can't bind an instance, or that the engine would hand
    /// out. Asks for it by name first: sealing would make one that isn't there.
    async fn must_suit(&self) -> Result<(), KeeperError> {
        let described: Described = self.server.read(self, &self.path("keys")).await?;
        let kinds = ["aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];
        let detail = match described {
            Described { exportable: true, .. } | Described { allow_plaintext_backup: true, .. } => {
                "the engine would hand it out"
            }
            Described { derived: true, .. } => "it is a derived one",
            Described { kind, .. } if !kinds.contains(&kind.as_str()) => {
                "it is of another type than aes256-gcm96"
            }
            _ => return Ok(()),
        };
        let remedy = "make another, of the type aes256-gcm96, neither derived nor exportable nor to be backed up in plaintext";
        Err(self.subject.has(Trouble::Unsuitable, detail, remedy))
    }
}

fn associated_data(instance: InstanceId) -> String {
    BASE64_STANDARD.encode(context(instance).as_bytes())
}

#[async_trait]
impl Keeper for Key {
    const PROVIDER: &'static str = Remote::TRANSIT;

    fn subject(&self) -> &Subject {
        &self.subject
    }

    fn when_away(&self) -> String {
        "look whether the server runs and is unsealed, or name another address with --transit-url".to_owned()
    }

    async fn seal(
        &self,
        instance: InstanceId,
        master: Zeroizing<Vec<u8>>,
        _: [u8; 12],
    ) -> Result<Vec<u8>, KeeperError> {
        let plaintext = Zeroizing::new(BASE64_STANDARD.encode(&master));
        let plain = Plain { plaintext, associated_data: associated_data(instance) };
        let sealed: Cipher = self.server.write(self, &self.path("encrypt"), &plain).await?;
        Ok(sealed.ciphertext.into_bytes())
    }

    async fn open(&self, instance: InstanceId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeeperError> {
        let ciphertext = String::from_utf8_lossy(sealed).into_owned();
        let cipher = Cipher { ciphertext, associated_data: Some(associated_data(instance)) };
        let opened: Opened = self.server.write(self, &self.path("decrypt"), &cipher).await?;
        let opened = BASE64_STANDARD.decode(opened.plaintext.as_bytes());
        opened.map(Zeroizing::new).map_err(|_| self.stranger())
    }
}

impl Key {
    /// Something answers that isn't such a server.
    fn stranger(&self) -> KeeperError {
        self.subject.has(Trouble::Unreachable, "what answers is neither Vault nor OpenBao", self.when_away())
    }
}
