//! The root key, from whoever keeps it: a file, a passphrase, a hardware module,
//! a cloud. Its one act is to wrap and unwrap the master key.

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use std::error::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::ids::{InstanceId, KeyId};
use crate::random::Random;
use crate::sealing::{Context, Sealed, SealingKey};

/// Why the master key could not be unwrapped or wrapped.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The wrapped master key is not what this root key once wrapped.
    #[error(
        "the instance's master key does not open with this root key; the database or the key file was altered"
    )]
    Integrity,
    /// The keeper of the root key could not be reached or refused; in its own words.
    #[error(transparent)]
    Keeper(Box<dyn Error + Send + Sync>),
}

/// Wraps the master key. The implementation decides where the root key lives.
#[async_trait]
pub trait RootKey: Send + Sync {
    /// A short stable name of the kind of keeper: `file`, `passphrase`, ….
    fn provider(&self) -> &'static str;

    /// Which key it is; compared with the stored one before anything else, so
    /// that a wrong key is told apart from a damaged database.
    fn id(&self) -> KeyId;

    /// Seals the master key of this instance.
    async fn wrap(
        &self,
        instance: InstanceId,
        master: Zeroizing<Vec<u8>>,
        random: &dyn Random,
    ) -> Result<Sealed, RootKeyError>;

    /// Opens what [`Self::wrap`] sealed for this instance.
    async fn unwrap(
        &self,
        instance: InstanceId,
        wrapped: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, RootKeyError>;
}

/// A root key whose bytes are at hand: what providers that don't wrap remotely
/// hand out.
pub struct LocalRootKey {
    provider: &'static str,
    key: SealingKey,
}

impl LocalRootKey {
    /// Takes the key's bytes and erases them.
    pub fn take(provider: &'static str, secret: &mut [u8; 32]) -> Self {
        Self { provider, key: SealingKey::take_root(secret) }
    }
}

/// What the wrapped master key is bound to, whoever keeps the root key: it opens
/// for this instance alone.
pub fn context(instance: InstanceId) -> Context {
    Context::new("strongroom.master.v1").field(instance.as_bytes())
}

/// Names a root key that its keeper never hands out: the first 16 bytes of
/// SHA-256 over a context of the provider and the key's stable name with it.
pub fn remote_key_id(provider: &str, name: &str) -> KeyId {
    let context = Context::new("strongroom.remote-root-key-id.v1");
    let context = context.field(provider.as_bytes()).field(name.as_bytes());
    let mut id = [0; 16];
    id.iter_mut().zip(digest(&SHA256, context.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    KeyId::from_uuid(Uuid::from_bytes(id))
}

#[async_trait]
impl RootKey for LocalRootKey {
    fn provider(&self) -> &'static str {
        self.provider
    }

    fn id(&self) -> KeyId {
        self.key.id()
    }

    async fn wrap(
        &self,
        instance: InstanceId,
        master: Zeroizing<Vec<u8>>,
        random: &dyn Random,
    ) -> Result<Sealed, RootKeyError> {
        Ok(self.key.seal(&context(instance), master, random))
    }

    async fn unwrap(
        &self,
        instance: InstanceId,
        wrapped: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
        self.key.open(&context(instance), wrapped).map_err(|_| RootKeyError::Integrity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_id_of_a_remote_key_is_as_documented() {
        let framed = b"\0\0\0\x20strongroom.remote-root-key-id.v1\0\0\0\x07transit\0\0\0\x04name";
        let id = remote_key_id("transit", "name");
        assert_eq!(id.as_bytes()[..], Sha256::digest(framed)[..16]);
        assert_ne!(id, remote_key_id("transitn", "ame"), "provider and name are kept apart");
    }
}
