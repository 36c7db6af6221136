//! The root key, from whoever keeps it: a file, a passphrase, later a hardware
//! module or a cloud. Its one act is to wrap and unwrap the master key.

use async_trait::async_trait;
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
    /// The keeper of the root key could not be reached or refused.
    #[error("the root key is not available: {0}")]
    Unavailable(String),
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

fn context(instance: InstanceId) -> Context {
    Context::new("strongroom.master.v1").field(instance.as_bytes())
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
