//! The history of a secret: what its versions hold, going back to one, and a
//! copy of the present one.

use super::ask::Steps;
use super::secrets::{object, target};
use super::{App, Ask, Error, Planned};
use crate::access::Action;
use crate::events::{EventKind, Object};
use crate::ids::SecretId;
use crate::rows::Proven;
use crate::sealing::IntegrityViolation;
use crate::secrets::{NewCopy, Secret, Version, VersionInfo};
use crate::store::{Change, Put};
use crate::values::Bundle;

/// Versions in a page. Each is opened for the names in it, and may hold 1 MiB:
/// between two pages others get the thread.
const PAGE: u32 = 4;

impl App {
    /// What the versions of a secret are, by number: a page of those after
    /// `after`, which holds at most `most`. The present one is the last.
    ///
    /// # Errors
    /// When the caller doesn't see the secret, or a version doesn't open.
    pub async fn versions_after(
        &self,
        ask: &Ask,
        id: SecretId,
        after: u32,
        most: u32,
    ) -> Result<Vec<VersionInfo>, Error> {
        let (secret, _) = self.present(ask, Action::ListVersions, id).await?;
        let suspect = ask.suspect(version_object(&secret, None));
        let versions = self.readable(self.store.versions(id, after, most.min(PAGE)).await, suspect).await?;
        let mut infos = Vec::with_capacity(versions.len());
        for version in versions {
            let bundle = self.open_proven(ask, &secret, &version).await?;
            infos.push(VersionInfo {
                number: version.number,
                current: version.number == secret.version,
                env_keys: bundle.keys().cloned().collect(),
                created_by: version.created_by,
                created_at: version.created_at,
            });
        }
        Ok(infos)
    }

    /// Makes the content of an earlier version current again, as a new version.
    ///
    /// # Errors
    /// When the caller may not, there is no such version, or it is from before a policy was
    /// loosened: then it would get out under a policy that it wasn't stored for.
    pub async fn roll_back_secret(
        &self,
        ask: &Ask,
        id: SecretId,
        number: u32,
    ) -> Result<Planned<Proven<Secret>>, Error> {
        let (before, permit) = self.present(ask, Action::RollbackSecret, id).await?;
        ask.demands(before.mac())?;
        if number == before.version {
            return Ok(Planned::nothing(before));
        }
        if number == 0 || number > before.version {
            return Err(Error::Invalid(
                "`version`: this secret has no such version; its versions list them".into(),
            ));
        }
        if before.policy.as_ref().is_some_and(|policy| number < policy.oldest_version()) {
            return Err(Error::Conflict(
                "this version was stored while the secret was for the broker only and its policy allowed less; it can't \
                 be made current any more, so store its values anew",
            ));
        }
        let content = self.open_content(ask, &before, number).await?;
        let mut after = self.touched(&before);
        let version = self.next_version(ask, &mut after, &content.entries()).await?;
        Ok(self.replacing(ask, (EventKind::SecretRolledBack, permit), &before, (after, Some(version))))
    }

    /// Copies a secret as it is now: its values, its service and its policy.
    ///
    /// # Errors
    /// When the caller may not change the secret, or create such a copy.
    pub async fn copy_secret(
        &self,
        ask: &Ask,
        id: SecretId,
        new: &NewCopy,
    ) -> Result<Planned<Proven<Secret>>, Error> {
        let (source, _) = self.present(ask, Action::CopySecret, id).await?;
        ask.demands(source.mac())?;
        let permit = ask.permit(Action::CreateSecret, target(new.shared))?;
        let content = self.open_content(ask, &source, source.version).await?;
        let named = (new.name.clone(), source.service_slug.clone(), new.shared);
        // It has one version, which is the one that this policy was made for.
        let policy = source.policy.clone().map(|policy| policy.since(0));
        let copy = Secret { policy, ..self.new_secret(ask, named, source.env_keys.clone()) };
        let version = self.seal(ask, &copy, content.into_plaintext()).await?;
        let stored = self.keys.authenticate(copy);
        let at = stored.row().created_at;
        let copied = ask.event_of(EventKind::SecretCopied, at, version_object(&source, Some(source.version)));
        let created = ask.event_of(EventKind::SecretCreated, at, object(&stored));
        let outcome = stored.proven();
        let steps = Steps::default()
            // Whoever lost the right to it in the meantime gets no copy.
            .with(Change::SecretIs(source.team_id, source.id, source.mac()))
            .telling(copied)
            .and(Change::Secret(Put::new(stored)), created)
            .with(Change::Version(version));
        Ok(Planned::new(outcome, permit, steps))
    }

    /// Opens one version of a secret whose row was proven.
    pub(super) async fn open_content(
        &self,
        ask: &Ask,
        secret: &Secret,
        number: u32,
    ) -> Result<Bundle, Error> {
        let suspect = ask.suspect(version_object(secret, Some(number)));
        let version = self.readable(self.store.version(secret.id, number).await, suspect).await?;
        match version {
            Some(version) => self.open_proven(ask, secret, &version).await,
            None => self.noting(Err(IntegrityViolation), suspect).await,
        }
    }

    pub(super) async fn open_proven(
        &self,
        ask: &Ask,
        secret: &Secret,
        version: &Version,
    ) -> Result<Bundle, Error> {
        let suspect = ask.suspect(version_object(secret, Some(version.number)));
        let id = self.noting(version.sealed.key_id(), suspect).await?;
        let key = match self.opening_key(secret.team_id, id).await {
            Err(Error::Integrity(violation)) => return self.noting(Err(violation), suspect).await,
            key => key?,
        };
        self.noting(self.open_version(&key, secret, version), suspect).await
    }
}

/// A version of a secret in an event.
pub(super) fn version_object(secret: &Secret, version: Option<u32>) -> Object {
    Object { version, ..Object::of::<Secret>(Some(secret.id.uuid())) }
}
