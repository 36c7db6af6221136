//! Secrets: create, look at, list, and (inside only) open.

use super::{App, Cause, Error, Suspect};
use crate::access::{Action, Caller, Denied, Ownership};
use crate::events::{Actor, Event, EventKind, Object};
use crate::ids::SecretId;
use crate::rows::{Row, Stored};
use crate::secrets::{NewSecret, Secret, Version};
use crate::store::StoreError;

/// Secrets in a page: what is read, verified and written before others get
/// their turn.
const PAGE: u32 = 256;

impl App {
    /// Seals the values and stores a new secret: the caller's own, or the
    /// team's when it is to be shared.
    ///
    /// # Errors
    /// When the caller may not, or the store can't.
    pub async fn create_secret(
        &self,
        caller: &Caller,
        new: NewSecret,
        cause: &Cause,
    ) -> Result<Secret, Error> {
        let ownership = if new.shared { Ownership::Shared } else { Ownership::Own };
        let permit = caller.permit(Action::CreateSecret, ownership)?;
        let (secret, version) = self.seal_new(caller, new).await?;
        let stored = self.keys.authenticate(secret.clone());
        let event = Event {
            at: secret.created_at,
            kind: EventKind::SecretCreated,
            team_id: Some(secret.team_id),
            actor: Actor::from(&permit),
            object: Object {
                version: Some(secret.version),
                mac: Some(stored.mac()),
                ..object(Some(secret.id))
            },
            request_id: cause.request_id,
        };
        match self.store.create_secret(permit, stored, version, event).await {
            Ok(()) => Ok(secret),
            Err(StoreError::StalePermit) => Err(self.stale(caller, cause).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn seal_new(&self, caller: &Caller, new: NewSecret) -> Result<(Secret, Version), Error> {
        let now = self.world.clock.now();
        let secret = Secret {
            id: SecretId::from_uuid(self.mint.uuid(now, &*self.world.random)),
            team_id: caller.team_id,
            owner: (!new.shared).then_some(caller.user_id),
            name: new.name,
            service_slug: new.service_slug,
            env_keys: new.values.keys().cloned().collect(),
            version: 1,
            created_by: caller.user_id,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        let context = Version::context(self.keys.instance(), secret.team_id, secret.id, secret.version);
        let key = self.team_key(secret.team_id).await?;
        let sealed = key.seal(&context, new.values.into_plaintext(), &*self.world.random);
        let version =
            Version { secret_id: secret.id, number: 1, sealed, created_by: caller.user_id, created_at: now };
        Ok((secret, version))
    }

    /// One secret that the caller sees.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when there is none, whatever the reason.
    pub async fn secret(&self, caller: &Caller, id: SecretId, cause: &Cause) -> Result<Secret, Error> {
        // Before anything is looked up: a key that may not read learns nothing.
        caller.permit(Action::ReadSecret, Ownership::Own)?;
        let suspect = Suspect { caller: Some(caller), object: object(Some(id)), cause };
        let stored = self.readable(self.store.secret(caller.team_id, id).await, suspect).await?;
        let stored = stored.ok_or(Denied::Invisible)?;
        let secret = self.proven(caller, stored, cause).await?;
        caller.permit(Action::ReadSecret, caller.ownership(secret.team_id, secret.owner))?;
        Ok(secret)
    }

    /// The secrets that the caller sees, by creation: a page of those after
    /// `after`. The page after the last secret is empty.
    ///
    /// # Errors
    /// When the key isn't for it, or a row isn't what was stored.
    pub async fn secrets_after(
        &self,
        caller: &Caller,
        after: Option<SecretId>,
        cause: &Cause,
    ) -> Result<Vec<Secret>, Error> {
        caller.permit(Action::ListSecrets, Ownership::Shared)?;
        let suspect = Suspect { caller: Some(caller), object: object(None), cause };
        let stored = self.store.secrets_visible_to(caller.team_id, caller.user_id, after, PAGE).await;
        let stored = self.readable(stored, suspect).await?;
        let mut secrets = Vec::with_capacity(stored.len());
        for row in stored {
            let secret = self.proven(caller, row, cause).await?;
            caller.permit(Action::ListSecrets, caller.ownership(secret.team_id, secret.owner))?;
            secrets.push(secret);
        }
        Ok(secrets)
    }

    async fn proven(&self, caller: &Caller, stored: Stored<Secret>, cause: &Cause) -> Result<Secret, Error> {
        let suspect = Suspect { caller: Some(caller), object: object(Some(stored.row().id)), cause };
        self.noting(self.keys.verify(stored), suspect).await
    }
}

fn object(id: Option<SecretId>) -> Object {
    Object { table: Secret::TABLE, id: id.map(SecretId::uuid), ..Object::default() }
}
