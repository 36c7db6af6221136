//! What the keepers elsewhere have in common: a key that never leaves them, a
//! deadline, and one sentence for whatever goes wrong.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use strongroom_core::ids::{InstanceId, KeyId};
use strongroom_core::random::Random;
use strongroom_core::root_key::{RootKey, RootKeyError, remote_key_id};
use strongroom_core::sealing::Sealed;
use zeroize::Zeroizing;

use crate::remote::{KeeperError, RemoteError, Trouble};

/// The most that one contact takes, with everything that belongs to it: signing
/// in, asking again, finding the key.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Somebody who seals and opens with a key that they keep.
#[async_trait]
pub(crate) trait Keeper: Send + Sync {
    /// The kind of keeper, as instances name it.
    const PROVIDER: &'static str;

    /// The key, as messages name it.
    fn subject(&self) -> &Subject;

    /// What to do when nobody answers.
    fn when_away(&self) -> String;

    /// Seals the master key for this instance.
    async fn seal(
        &self,
        instance: InstanceId,
        master: Zeroizing<Vec<u8>>,
        iv: [u8; 12],
    ) -> Result<Vec<u8>, KeeperError>;

    /// Opens what was sealed for this instance.
    async fn open(&self, instance: InstanceId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeeperError>;
}

/// A root key that its keeper never hands out.
pub(crate) struct RemoteRootKey<K> {
    keeper: K,
    id: KeyId,
}

impl<K: Keeper> RemoteRootKey<K> {
    /// The key whose stable name with this keeper it is.
    pub(crate) fn new(keeper: K, name: &str) -> Self {
        Self { keeper, id: remote_key_id(K::PROVIDER, name) }
    }

    async fn contact<T>(
        &self,
        contact: impl Future<Output = Result<T, KeeperError>>,
    ) -> Result<T, RootKeyError> {
        in_time(&self.keeper, contact).await.map_err(|error| RootKeyError::Keeper(error.into()))
    }
}

#[async_trait]
impl<K: Keeper> RootKey for RemoteRootKey<K> {
    fn provider(&self) -> &'static str {
        K::PROVIDER
    }

    fn id(&self) -> KeyId {
        self.id
    }

    async fn wrap(
        &self,
        instance: InstanceId,
        master: Zeroizing<Vec<u8>>,
        random: &dyn Random,
    ) -> Result<Sealed, RootKeyError> {
        let iv = strongroom_core::random::bytes(random);
        self.contact(self.keeper.seal(instance, master, iv)).await.map(Sealed::from_bytes)
    }

    async fn unwrap(
        &self,
        instance: InstanceId,
        wrapped: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
        self.contact(self.keeper.open(instance, wrapped.as_bytes())).await
    }
}

/// What a contact came to, or that it took too long.
///
/// # Errors
/// As the contact's, and when the deadline passes.
pub(crate) async fn in_time<K: Keeper, T>(
    keeper: &K,
    contact: impl Future<Output = Result<T, KeeperError>>,
) -> Result<T, KeeperError> {
    tokio::time::timeout(DEADLINE, contact).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} seconds", DEADLINE.as_secs());
        Err(keeper.subject().has(Trouble::Unreachable, detail, keeper.when_away()))
    })
}

/// What a keeper's refusal to open comes to.
#[cfg(any(feature = "pkcs11", feature = "transit"))]
pub(crate) const UNOPENED: &str =
    "it doesn't open what is stored, so it is another key of that name, or the database was altered";

/// A key elsewhere, as messages name it.
#[derive(Clone, Debug)]
pub(crate) struct Subject(pub(crate) String);

impl Subject {
    /// What is wrong with it, and what to do.
    pub(crate) fn has(
        &self,
        trouble: Trouble,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> KeeperError {
        KeeperError { trouble, subject: self.0.clone(), detail: detail.into(), remedy: remedy.into() }
    }
}

/// Whether what is sent there stays on this machine.
#[cfg(any(feature = "aws-kms", feature = "transit"))]
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The first line of a file that only its owner may read, also through a link.
///
/// # Errors
/// When others may read it, or it can't be read.
#[cfg(any(feature = "pkcs11", feature = "transit"))]
pub(crate) fn credential(path: &std::path::Path) -> Result<secrecy::SecretString, RemoteError> {
    let contents = crate::private_file::read_through_links(path)?;
    Ok(contents.lines().next().unwrap_or_default().into())
}

/// What an option must say.
///
/// # Errors
/// When it says nothing.
pub(crate) fn named<'a, T: ?Sized>(
    option: Option<&'a T>,
    provider: &'static str,
    missing: &'static str,
    remedy: impl Into<String>,
) -> Result<&'a T, RemoteError> {
    option.ok_or_else(|| RemoteError::Unnamed { provider, missing, remedy: remedy.into() })
}

/// What an instance is to remember.
pub(crate) fn to_parameters(remembered: &impl Serialize) -> Result<String, RemoteError> {
    serde_json::to_string(remembered).map_err(|_| RemoteError::Parameters)
}

/// What an instance remembers.
///
/// # Errors
/// When that makes no sense.
pub(crate) fn from_parameters<T: DeserializeOwned>(parameters: &str) -> Result<T, RemoteError> {
    serde_json::from_str(parameters).map_err(|_| RemoteError::Parameters)
}
